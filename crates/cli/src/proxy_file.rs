//! `proxy.json` of the state directory: where the running proxy answers, so that other commands find it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Its name in the state directory.
const FILE: &str = "proxy.json";
/// The largest that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Where it is in this state directory, whether or not it was written.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    pid: u32,
    url: String,
}

/// Says that this process answers at this URL.
///
/// # Errors
/// The file cannot be written; the proxy is not found then, and serves all the same.
pub(crate) fn write(state_dir: &Path, url: &str) -> io::Result<()> {
    let document = Document { pid: std::process::id(), url: url.to_owned() };
    let text = serde_json::to_vec(&document).map_err(io::Error::other)?;
    latimer_files::write(&state_dir.join(FILE), &text)
}

/// The URL that the last proxy of this state directory wrote; it may be gone by now.
pub(crate) fn url(state_dir: &Path) -> Option<String> {
    read(state_dir).map(|document| document.url)
}

/// Removes the file, unless a proxy that took over has written it anew.
pub(crate) fn remove_own(state_dir: &Path) {
    if read(state_dir).is_some_and(|document| document.pid == std::process::id()) {
        let _ = std::fs::remove_file(state_dir.join(FILE));
    }
}

fn read(state_dir: &Path) -> Option<Document> {
    let bytes = latimer_files::read(&state_dir.join(FILE), MAX_BYTES).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_and_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(url(dir.path()), None);
        write(dir.path(), "http://127.0.0.1:1").expect("written");
        assert_eq!(url(dir.path()).as_deref(), Some("http://127.0.0.1:1"));
        remove_own(dir.path());
        assert_eq!(url(dir.path()), None);
    }

    #[test]
    fn the_file_of_a_proxy_that_took_over_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let other = format!("{{\"pid\":{},\"url\":\"http://127.0.0.1:2\"}}", std::process::id() + 1);
        std::fs::write(dir.path().join(FILE), other).expect("written");
        remove_own(dir.path());
        assert_eq!(url(dir.path()).as_deref(), Some("http://127.0.0.1:2"));
    }
}
