//! One account in a file of latimer's own: private, written whole, with fields of other versions kept.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use latimer_adapters::auth::token::Token;
use latimer_protocol::secret::{Secret, fingerprint};
use serde_json::{Map, Value};

use crate::config::Login;

/// The form in which accounts are written.
const VERSION: u64 = 1;
/// The longest file, in bytes; a longer one is broken.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Who it is, as people call it.
    pub id: String,
    /// What requests carry.
    pub access: Secret,
    /// What makes the next access token.
    pub refresh: Option<Secret>,
    /// The end of the access token, in Unix seconds; `None` for one without an end.
    pub expires_at: Option<u64>,
    /// The project or account that requests are counted for.
    pub project: Option<String>,
}

impl Tokens {
    /// A token as it is stored, for a person of this address if one is known; `now` in Unix seconds.
    pub fn of_token(login: Login, token: Token, email: Option<String>, now: u64) -> Self {
        let name = token.email.or(email).or_else(|| token.account.clone());
        let id =
            name.unwrap_or_else(|| fingerprint_id(login, token.refresh.as_ref().unwrap_or(&token.access)));
        Self {
            id,
            access: token.access,
            refresh: token.refresh,
            expires_at: Some(now.saturating_add(token.life.as_secs())),
            project: token.account,
        }
    }

    /// An account whose token is never refreshed.
    pub fn lasting(id: String, access: Secret) -> Self {
        Self { id, access, refresh: None, expires_at: None, project: None }
    }

    /// Whether the access token is good for this many seconds more, at a time in Unix seconds. One without an end always is.
    pub(super) fn is_fresh(&self, now_unix: u64, seconds: u64) -> bool {
        self.expires_at.is_none_or(|at| at > now_unix.saturating_add(seconds))
    }
}

/// What an account is called whose provider does not say: two of them stay two.
pub fn fingerprint_id(login: Login, secret: &Secret) -> String {
    let fingerprint = secret.fingerprint();
    format!("{}-{}", login.name(), fingerprint.get(..6).unwrap_or(&fingerprint))
}

/// Why a file cannot be used. It is never written over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {why}")]
pub struct AccountFileError {
    path: String,
    why: String,
}

impl AccountFileError {
    pub(super) fn new(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), why: why.into() }
    }
}

/// The folder of a login.
pub fn folder(state_dir: &Path, login: Login) -> PathBuf {
    state_dir.join("accounts").join(login.name())
}

/// The file of an account: its name is a fingerprint, so that no name can lead elsewhere.
pub fn path(state_dir: &Path, login: Login, id: &str) -> PathBuf {
    folder(state_dir, login).join(format!("{}.json", fingerprint(id)))
}

/// Where newer tokens of a vendor's account are kept; the vendor's own file is only ever read.
pub fn vendor_copy_path(state_dir: &Path, login: Login, id: &str) -> PathBuf {
    folder(state_dir, login).join("kept").join(format!("{}.json", fingerprint(id)))
}

/// The files of a login, in a fixed order.
pub fn list(state_dir: &Path, login: Login) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder(state_dir, login)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

/// Reads a private JSON file of anybody's: an object, no link, closed to others.
///
/// # Errors
/// A file that cannot be read, is a link, is open to others, or is no JSON object. The file is left as it is.
pub fn read_private(path: &Path) -> Result<Map<String, Value>, AccountFileError> {
    let broken = |why: String| AccountFileError::new(path, why);
    let unreadable = |error: io::Error| match (error.raw_os_error(), error.kind()) {
        (None, io::ErrorKind::PermissionDenied) => broken("belongs to somebody else".to_owned()),
        (None, _) => broken("is a symbolic link or no plain file, and is not followed; remove it".to_owned()),
        (Some(_), kind) => broken(format!("cannot be read ({kind})")),
    };
    let (file, mode) = latimer_files::open_as_it_is(path).map_err(unreadable)?;
    if mode & 0o077 != 0 {
        return Err(broken(format!("can be read by others (mode {mode:o}); run `chmod 600` on it")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|_| broken("is broken or only half written; it was left as it is".to_owned()))?;
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(broken("holds something that is no account; it was left as it is".to_owned())),
    }
}

/// Reads an account.
///
/// # Errors
/// As [`read_private`], and a file of a newer version, or one without an id or an access token.
pub fn read(path: &Path) -> Result<Tokens, AccountFileError> {
    let fields = read_private(path)?;
    of_fields(&fields, path)
}

/// An account on its way from one node to another.
pub(super) fn to_json(tokens: &Tokens) -> Vec<u8> {
    let fields = serde_json::json!({
        "version": VERSION,
        "id": tokens.id,
        "access_token": tokens.access.expose(),
        "refresh_token": tokens.refresh.as_ref().map(Secret::expose),
        "expires_at": tokens.expires_at,
        "project": tokens.project,
    });
    fields.to_string().into_bytes()
}

/// An account that came from another node; `None` for what is none of this version.
pub(super) fn of_json(bytes: &[u8]) -> Option<Tokens> {
    of_fields(&serde_json::from_slice(bytes).ok()?, Path::new("another node")).ok()
}

fn of_fields(fields: &Map<String, Value>, path: &Path) -> Result<Tokens, AccountFileError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let version = fields.get("version").and_then(Value::as_u64).unwrap_or(VERSION);
    if version > VERSION {
        return Err(AccountFileError::new(
            path,
            format!("was written by a newer latimer (version {version}); update this one"),
        ));
    }
    let (Some(id), Some(access)) = (text("id"), text("access_token")) else {
        return Err(AccountFileError::new(path, "lacks `id` or `access_token`; log in again"));
    };
    Ok(Tokens {
        id: id.to_owned(),
        access: Secret::new(access),
        refresh: text("refresh_token").map(Secret::new),
        expires_at: fields.get("expires_at").and_then(Value::as_u64),
        project: text("project").map(str::to_owned),
    })
}

/// Writes an account; fields that this version does not know survive.
///
/// # Errors
/// The folder or the file cannot be written, or the file that is there cannot be read: it is not written over.
pub fn write(path: &Path, login: Login, tokens: &Tokens) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        latimer_files::prepare(folder)?;
    }
    // A file that is there and broken is somebody's affair: it is not written over.
    let mut fields = match fs::symlink_metadata(path) {
        Ok(_) => read_private(path).map_err(io::Error::other)?,
        Err(_) => Map::new(),
    };
    let mut put = |name: &str, value: Option<Value>| match value {
        Some(value) => {
            fields.insert(name.to_owned(), value);
        }
        None => {
            fields.remove(name);
        }
    };
    put("version", Some(Value::from(VERSION)));
    put("login", Some(Value::from(login.name())));
    put("id", Some(Value::from(tokens.id.as_str())));
    put("access_token", Some(Value::from(tokens.access.expose())));
    put("refresh_token", tokens.refresh.as_ref().map(|token| Value::from(token.expose())));
    put("expires_at", tokens.expires_at.map(Value::from));
    put("project", tokens.project.as_deref().map(Value::from));
    let bytes = serde_json::to_vec_pretty(&Value::Object(fields)).unwrap_or_default();
    latimer_files::write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn tokens() -> Tokens {
        Tokens {
            id: "me@test".into(),
            access: Secret::new("at"),
            refresh: Some(Secret::new("rt")),
            expires_at: Some(7),
            project: None,
        }
    }

    #[test]
    fn files_are_private_and_keep_what_they_do_not_know() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = path(dir.path(), Login::Google, "../../me@test");
        assert!(path.starts_with(dir.path().join("accounts/google")), "{}", path.display());
        write(&path, Login::Google, &tokens()).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).expect("read"), tokens());
        let mut fields = read_private(&path).expect("read");
        fields.insert("novel".into(), Value::from(1));
        latimer_files::write(&path, Value::Object(fields).to_string().as_bytes()).expect("written");
        write(&path, Login::Google, &tokens()).expect("written");
        assert_eq!(read_private(&path).expect("read")["novel"], 1);
        assert_eq!(list(dir.path(), Login::Google), [path]);
    }

    #[test]
    fn broken_files_are_reported_and_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = path(dir.path(), Login::Google, "me");
        write(&path, Login::Google, &tokens()).expect("written");
        for (bytes, words) in [
            ("{\"id\":\"m", "half written"),
            ("[]", "no account"),
            ("{}", "lacks"),
            ("{\"version\":2}", "newer latimer"),
        ] {
            fs::write(&path, bytes).expect("written");
            let error = read(&path).expect_err(bytes).to_string();
            assert!(error.contains(words), "{error}");
        }
        fs::write(&path, "{\"id\":").expect("written");
        assert!(write(&path, Login::Google, &tokens()).is_err(), "not written over");
        assert_eq!(fs::read_to_string(&path).expect("read"), "{\"id\":");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("loosened");
        assert!(read(&path).expect_err("open").to_string().contains("chmod 600"));
        fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/etc/hostname", &path).expect("linked");
        assert!(read(&path).expect_err("a link").to_string().contains("symbolic link"));
    }
}
