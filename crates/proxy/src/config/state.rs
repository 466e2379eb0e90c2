//! Files of latimer's own: the state directory, the access token, and private files written whole or not at all.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use latimer_protocol::secret::Secret;

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// The default configuration file: `latimer/config.toml` in the XDG config directory.
pub fn config_path(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    xdg(env, "XDG_CONFIG_HOME", ".config").map(|dir| dir.join("latimer/config.toml"))
}

/// The default state directory: `latimer` in the XDG state directory.
pub fn state_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    xdg(env, "XDG_STATE_HOME", ".local/state").map(|dir| dir.join("latimer"))
}

fn xdg(env: &dyn Fn(&str) -> Option<String>, variable: &str, fallback: &str) -> Option<PathBuf> {
    let given = env(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.or_else(|| env("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(fallback)))
}

/// Makes the state directory, readable by nobody else from the first moment.
///
/// # Errors
/// It cannot be made. A directory that is there already is left as it is.
pub fn prepare(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The access token: read, or made at the first start.
///
/// A token that is too short, a link in its place, or a file others can read is refused or repaired: see the error.
///
/// # Errors
/// The file cannot be read or made, is a link, belongs to somebody else, or holds a token that is too short to be one.
pub fn token(dir: &Path) -> io::Result<Secret> {
    let path = dir.join("token");
    match open_without_links(&path) {
        Ok(file) => read_token(&path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = random_secret()?.expose().to_owned();
            // Two first starts at once: the one whose file stands wins, the other reads it.
            match create_new(&path, text.as_bytes()) {
                Ok(()) => Ok(Secret::new(text)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    read_token(&path, open_without_links(&path)?)
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
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

fn read_token(path: &Path, mut file: File) -> io::Result<Secret> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(event = "token.mode_repaired", path = %path.display(), mode = format!("{mode:o}"));
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let token = text.trim();
    if token.len() < TOKEN_BYTES {
        let message = format!(
            "the token in `{}` is too short to be safe; delete the file and a new one is made",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Secret::new(token))
}

/// A symbolic link in the place of a secret was not put there by latimer.
fn open_without_links(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path)?.file_type().is_symlink() {
        let message = format!("`{}` is a symbolic link and is not followed; remove it", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    File::open(path)
}

/// Writes a file that only its owner can read: beside first, then renamed, so that a crash leaves the old or the new.
///
/// # Errors
/// The file cannot be made, written or renamed; the old one then still stands.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut random = [0u8; 6];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let suffix = hex(&random);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}.new"));
    let beside = path.with_file_name(name);
    let written = create_new(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A log that only its owner can read; it grows from launch to launch.
///
/// # Errors
/// A link stands in its place, or it cannot be opened for appending.
pub fn open_private_log(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a symbolic link stands in the place of the log",
        ));
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Creates a file that must not be there yet, with its mode from the first moment, and flushes it.
fn create_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn the_token_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("a/b");
        prepare(&state).expect("made");
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
    fn links_and_short_tokens_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("token"), "changeme").expect("written");
        assert_eq!(token(dir.path()).expect_err("too short").kind(), io::ErrorKind::InvalidData);
        fs::remove_file(dir.path().join("token")).expect("removed");
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("token")).expect("linked");
        assert_eq!(token(dir.path()).expect_err("a link").kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn private_files_are_replaced_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("catalog.json");
        write_private(&path, b"one").expect("written");
        write_private(&path, b"two").expect("replaced");
        assert_eq!((fs::read(&path).expect("read"), mode(&path)), (b"two".to_vec(), 0o600));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside");
    }
}
