//! Files of the watchdog: written whole or not at all, for their owner only, never through a symbolic link.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What endpoints taught; written by the proxy.
pub const LEARNED_FILE: &str = "learned.json";
/// Where the proxy answers; written by the proxy, read by `latimer launch`.
pub const PROXY_FILE: &str = "proxy.json";

/// Replaces a file: beside first, then renamed, so that a crash leaves the old or the new content. Mode 0600 from the first
/// moment.
///
/// # Errors
///
/// Whatever the file system says; nothing is left beside then.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{number}.new", std::process::id()));
    let beside = path.with_file_name(name);
    // Left by a process of the same id that was ended in the middle of this.
    let _ = fs::remove_file(&beside);
    let written = create(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Opens a file for appending, made with mode 0600.
///
/// # Errors
///
/// A symbolic link in its place is refused; it was not put there by latimer.
pub fn append_private(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
        let message = format!("`{}` is a symbolic link and is not followed; remove it", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The lock that says that a watchdog keeps this state directory; the system takes it back when the process ends, however it
/// ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says that another process holds it (`None`).
    ///
    /// # Errors
    ///
    /// The file cannot be made, as on a read-only disk.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = append_private(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A log of bounded size: the full file becomes `.1`, that one `.2`, and the oldest goes. A disk that is full loses lines and
/// nothing else; how many is counted.
#[derive(Debug)]
pub struct RotatingLog {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    lost_lines: u64,
}

impl RotatingLog {
    /// The size at which a file is full, in bytes.
    const FULL: u64 = 10 << 20;
    /// Files kept besides the one that is written.
    const KEPT: u32 = 4;

    /// A log at this path; what is there already stays.
    pub fn open(path: PathBuf) -> Self {
        let file = append_private(&path).ok();
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        Self { path, file, size, lost_lines: 0 }
    }

    /// Appends a line.
    pub fn line(&mut self, line: &str) {
        let bytes = line.len() as u64 + 1;
        if self.size + bytes > Self::FULL {
            self.rotate();
        }
        let written = self.file.as_mut().is_some_and(|file| {
            let mut whole = Vec::with_capacity(line.len() + 1);
            whole.extend_from_slice(line.as_bytes());
            whole.push(b'\n');
            file.write_all(&whole).is_ok()
        });
        if written {
            self.size += bytes;
        } else {
            self.lost_lines += 1;
        }
    }

    /// Lines that could not be written.
    pub fn lost_lines(&self) -> u64 {
        self.lost_lines
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..Self::KEPT).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        let _ = fs::rename(&self.path, numbered(1));
        self.file = append_private(&self.path).ok();
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_replaced_whole_and_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.json");
        write_private(&path, b"one").expect("written");
        write_private(&path, b"two").expect("replaced");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!((fs::read(&path).expect("read"), mode), (b"two".to_vec(), 0o600));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside");
        assert!(write_private(&dir.path().join("none/a.json"), b"x").is_err());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).expect("linked");
        assert_eq!(append_private(&path).expect_err("a link").kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_lock_is_held_once_and_given_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let first = Lock::take(&path).expect("taken");
        assert!(first.is_some());
        assert!(Lock::take(&path).expect("asked").is_none(), "held");
        drop(first);
        assert!(Lock::take(&path).expect("asked").is_some());
    }

    #[test]
    fn a_full_log_is_turned_over_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = RotatingLog::open(dir.path().join("proxy.log"));
        let line = "x".repeat(1 << 20);
        for _ in 0..70 {
            log.line(&line);
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["proxy.log", "proxy.log.1", "proxy.log.2", "proxy.log.3", "proxy.log.4"]);
        let sizes =
            fs::read_dir(dir.path()).expect("listed").map(|entry| entry.expect("an entry").metadata());
        assert!(sizes.into_iter().all(|metadata| metadata.expect("sized").len() <= RotatingLog::FULL));
        assert_eq!(log.lost_lines(), 0);
        let mut nowhere = RotatingLog::open(dir.path().join("none/proxy.log"));
        nowhere.line("x");
        assert_eq!(nowhere.lost_lines(), 1);
    }
}
