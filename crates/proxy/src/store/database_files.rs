//! The files of a database: private, and never closed by anybody but SQLite while it is open.
//!
//! The locks by which SQLite's processes know of each other belong to the process: when it closes any descriptor of a file, all its locks on
//! that file are gone, those of every connection. Another process then takes itself for the last one, and removes the log of what is not
//! yet in the file: what is written from then on is seen by nobody.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::sync::lock;

/// What the names of SQLite's other files end with: the log of what is not yet in the file, and its index.
pub(super) const TAILS: [&str; 2] = ["-wal", "-shm"];

/// Files that had to be opened although a connection may have them open too.
static KEPT_OPEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Makes the file before SQLite does, so that it is nobody else's from the first moment; and takes back what an older one gave
/// away. SQLite gives its other files the mode of this one.
///
/// # Errors
/// A link stands in the place of one of them, it belongs to somebody else, or it cannot be made or opened.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    match latimer_files::is_private(path) {
        Ok(true) => {}
        // Nobody has open what was not there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => drop(latimer_files::append(path)?),
        _ => lock(&KEPT_OPEN).push(latimer_files::append(path)?),
    }
    for tail in TAILS {
        let path = with_tail(path, tail);
        match latimer_files::is_private(&path) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => match latimer_files::open(&path) {
                Ok(file) => lock(&KEPT_OPEN).push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
        }
    }
    Ok(())
}

/// SQLite's other file of this name.
pub(super) fn with_tail(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}
