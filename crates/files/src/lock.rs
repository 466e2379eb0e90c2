//! One at a time, over all processes: an exclusive lock on a private file. The system takes it back when the process ends, however it
//! ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::file::append;

/// A lock; released when it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum TryLock {
    /// It is ours.
    Taken(FileLock),
    /// Another process has it.
    Held,
}

impl FileLock {
    /// Takes the lock, or says that another process holds it.
    ///
    /// # Errors
    /// The file cannot be made, as on a read-only disk, is a link, or belongs to somebody else.
    pub fn take(path: &Path) -> io::Result<TryLock> {
        let file = append(path)?;
        match file.try_lock() {
            Ok(()) => Ok(TryLock::Taken(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(TryLock::Held),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_given_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let TryLock::Taken(first) = FileLock::take(&path).expect("asked") else { panic!("nobody holds it") };
        assert!(matches!(FileLock::take(&path).expect("asked"), TryLock::Held));
        drop(first);
        assert!(matches!(FileLock::take(&path).expect("asked"), TryLock::Taken(_)));
    }
}
