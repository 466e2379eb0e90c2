//! One at a time, over all processes: an exclusive lock on a file beside an account's.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use latimer_files::{FileLock, TryLock};

use crate::clock;

/// How long another process may hold it: longer than a refresh may take.
pub const WAIT: Duration = Duration::from_secs(45);
/// How often it is tried.
const PAUSE: Duration = Duration::from_millis(25);

/// A lock; released when it is dropped, also by a process that dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] FileLock);

fn attempt(path: &Path) -> io::Result<Option<Lock>> {
    let path = path.with_extension("lock");
    if let Some(folder) = path.parent() {
        latimer_files::prepare(folder)?;
    }
    match FileLock::take(&path)? {
        // Somebody may have removed the file between its opening and its locking.
        TryLock::Taken(lock) => Ok(fs::symlink_metadata(&path).is_ok().then_some(Lock(lock))),
        TryLock::Held => Ok(None),
    }
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "another process holds it")
}

/// Takes the lock of an account's file, waiting for whoever has it.
///
/// # Errors
/// The file cannot be made or locked, or another process holds it for longer than [`WAIT`].
pub async fn take(path: &Path) -> io::Result<Lock> {
    let begun = clock::now();
    while begun.elapsed() < WAIT {
        if let Some(lock) = attempt(path)? {
            return Ok(lock);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(busy())
}

/// The same for a program that has nothing else to do.
///
/// # Errors
/// As [`take`].
pub fn take_blocking(path: &Path) -> io::Result<Lock> {
    let begun = clock::now();
    while begun.elapsed() < WAIT {
        if let Some(lock) = attempt(path)? {
            return Ok(lock);
        }
        std::thread::sleep(PAUSE);
    }
    Err(busy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("accounts/me.json");
        let held = take_blocking(&path).expect("taken");
        let lock_file = dir.path().join("accounts/me.lock");
        assert_eq!(fs::metadata(&lock_file).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(attempt(&path).expect("no error").is_none(), "a second one waits");
        drop(held);
        assert!(attempt(&path).expect("no error").is_some());
    }

    #[test]
    fn whoever_waits_gets_it_when_it_is_free() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("me.json");
        let held = take_blocking(&path).expect("taken");
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| take_blocking(&path).is_ok());
            drop(held);
            assert!(waiting.join().expect("no panic"));
        });
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("file"), "").expect("written");
        assert!(attempt(&dir.path().join("file/me.json")).is_err());
    }
}
