//! Where latimer keeps its own files, and the access token among them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use latimer_protocol::secret::Secret;

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;
/// The file of the access token in the state directory.
pub const TOKEN_FILE: &str = "token";
/// The longest file of a token, in bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// The default configuration file: `latimer/config.toml` in the XDG config directory.
pub fn config_path(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    xdg(env, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join("latimer/config.toml"))
}

/// The default state directory: `latimer` in the XDG state directory.
pub fn state_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    xdg(env, "XDG_STATE_HOME", ".local/state").map(|dir| dir.join("latimer"))
}

/// The lock of whoever edits this configuration file, beside it: commands and the page wait for each other.
pub fn edit_lock_path(config: &Path) -> PathBuf {
    let mut name = config.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    config.with_file_name(name)
}

fn xdg(env: &dyn Fn(&str) -> Option<String>, variable: &str, fallback: &str) -> Option<PathBuf> {
    let given = env(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.or_else(|| env("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(fallback)))
}

/// The access token: read, or made at the first start.
///
/// A token that is too short, a link in its place, or a file others can read is refused or repaired: see the error.
///
/// # Errors
/// The file cannot be read or made, is a link, belongs to somebody else, or holds a token that is too short to be one.
pub fn token(dir: &Path) -> io::Result<Secret> {
    let path = dir.join(TOKEN_FILE);
    match latimer_files::open_repaired(&path) {
        Ok(opened) => read_token(&path, opened),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = random_secret()?.expose().to_owned();
            // Two first starts at once: the one whose file stands wins, the other reads it.
            match latimer_files::create_new(&path, text.as_bytes()) {
                Ok(()) => Ok(Secret::new(text)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    read_token(&path, latimer_files::open_repaired(&path)?)
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Exchanges the access token: from the next request on only the new one opens a proxy of this state directory.
///
/// # Errors
/// The file cannot be written, or the system has no randomness to give.
pub fn exchange_token(dir: &Path) -> io::Result<Secret> {
    let token = random_secret()?;
    latimer_files::write(&dir.join(TOKEN_FILE), token.expose().as_bytes())?;
    Ok(token)
}

/// A new secret of 256 bits, in hex.
///
/// # Errors
/// The system has no randomness to give.
pub fn random_secret() -> io::Result<Secret> {
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(Secret::new(hex(&bytes)))
}

fn read_token(path: &Path, (file, repaired): (File, Option<u32>)) -> io::Result<Secret> {
    if let Some(mode) = repaired {
        tracing::warn!(event = "token.mode_repaired", path = %path.display(), mode = format!("{mode:o}"));
    }
    let mut text = String::new();
    file.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    let token = text.trim();
    let fault = if token.len() < TOKEN_BYTES {
        Some("is too short to be safe")
    } else if is_placeholder(token) {
        Some("is a placeholder that anybody could guess")
    } else {
        None
    };
    if let Some(fault) = fault {
        let message =
            format!("the token in `{}` {fault}; delete the file and a new one is made", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Secret::new(token))
}

/// Whether a token was typed and not drawn: words of examples, a piece over and over, or too few different characters. A random one of
/// 32 characters or more is none of that: even of hex digits it has ten.
fn is_placeholder(token: &str) -> bool {
    const WORDS: [&str; 12] = [
        "changeme",
        "change-me",
        "change_me",
        "your-",
        "your_",
        "yourapikey",
        "example",
        "placeholder",
        "insert",
        "password",
        "replace",
        "xxxx",
    ];
    const MIN_DIFFERENT: usize = 7;
    let lower = token.to_ascii_lowercase();
    let mut seen = [false; 256];
    token.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let is_sequence = |step: i16| {
        let steps =
            token.as_bytes().windows(2).filter(|pair| i16::from(pair[1]) - i16::from(pair[0]) == step);
        steps.count() * 2 > token.len()
    };
    let repeats = (1..=token.len() / 3)
        .any(|length| token.as_bytes().chunks(length).all(|piece| token.as_bytes().starts_with(piece)));
    WORDS.iter().any(|word| lower.contains(word))
        || seen.iter().filter(|seen| **seen).count() < MIN_DIFFERENT
        || is_sequence(1)
        || is_sequence(-1)
        || repeats
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn the_token_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("a/b");
        latimer_files::prepare(&state).expect("made");
        assert_eq!(mode(&state), 0o700);
        let first = token(&state).expect("a token");
        assert_eq!(first.expose().len(), 64);
        assert_eq!(mode(&state.join("token")), 0o600);
        assert_eq!(token(&state).expect("the same"), first);
        fs::set_permissions(state.join("token"), fs::Permissions::from_mode(0o644)).expect("loosened");
        assert_eq!(token(&state).expect("the same"), first);
        assert_eq!(mode(&state.join("token")), 0o600, "repaired");
    }

    #[test]
    fn placeholders_are_no_tokens() {
        let guessed = [
            "changeme".repeat(4),
            "0".repeat(64),
            "a".repeat(32),
            "your-api-key-1234567890-abcdefghij".to_owned(),
            "abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
            "0123456789".repeat(4),
            "f3a9c1d".repeat(5),
            "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
            "replace-this-token-with-a-real-one!!".to_owned(),
        ];
        for token in guessed {
            assert!(is_placeholder(&token), "{token}");
        }
        for _ in 0..200 {
            let drawn = random_secret().expect("randomness");
            assert!(!is_placeholder(drawn.expose()) && !is_placeholder(&drawn.expose()[..32]));
        }
        assert!(!is_placeholder("kX9vQz2LmB7sRt4WcY8nHd3FgJ6pAe5U"));
    }

    #[test]
    fn links_and_short_tokens_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("token"), "changeme").expect("written");
        assert_eq!(token(dir.path()).expect_err("too short").kind(), io::ErrorKind::InvalidData);
        fs::remove_file(dir.path().join("token")).expect("removed");
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("token")).expect("linked");
        assert_eq!(token(dir.path()).expect_err("a link").kind(), io::ErrorKind::InvalidInput);
    }
}
