//! Private files: read, appended to, and replaced whole or not at all.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, statat, unlinkat};

use crate::directory::open_parent;
use crate::owner::{
    Kind, PRIVATE_FILE, check, is_private_file, link_error, look, refuse_foreign, report_repair,
};

/// Opens a private file for reading: a plain file of ours. A mode that lets others in is repaired.
///
/// # Errors
/// It is not there, is a link, belongs to somebody else, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let (file, repaired) = open_repaired(path)?;
    report_repair(path, repaired);
    Ok(file)
}

/// The same; the mode that was repaired is for the caller to report.
///
/// # Errors
/// As [`open`].
pub fn open_repaired(path: &Path) -> io::Result<(File, Option<u32>)> {
    // Without NONBLOCK a pipe in the place of the file would hold the process up.
    let file = File::from(open_at(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
    let repaired = check(&file, path, Kind::File)?;
    Ok((file, repaired))
}

/// Whether a plain file of ours stands there that nobody else can use. It is not opened: closing a file lets go of every lock that this
/// process holds on it, whoever in the process took them.
///
/// # Errors
/// It is not there, or cannot be looked at.
pub fn is_private(path: &Path) -> io::Result<bool> {
    let stat = statat(open_parent(path)?, name(path)?, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(is_private_file(&stat))
}

/// Opens a file of this user that another program may have written, with its mode, and changes nothing. Its folder may be a link.
///
/// # Errors
/// It is not there, is a link or no plain file, belongs to somebody else, or cannot be opened.
pub fn open_as_it_is(path: &Path) -> io::Result<(File, u32)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        openat(rustix::fs::CWD, path, flags, Mode::empty()).map_err(|error| link_error(error, path))?;
    let mode = look(&file, path, Kind::File)?;
    Ok((File::from(file), mode))
}

/// Reads a private file of at most so many bytes.
///
/// # Errors
/// As [`open`], or it is larger.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let message = format!("`{}` is larger than {max_bytes} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// Opens a private file for appending, and makes it if it is not there.
///
/// # Errors
/// A link stands in its place, it belongs to somebody else, or it cannot be made or opened.
pub fn append(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
    let file = File::from(open_at(path, flags)?);
    report_repair(path, check(&file, path, Kind::File)?);
    Ok(file)
}

/// Makes a private file that must not be there yet, and flushes it.
///
/// # Errors
/// It is there, or it cannot be made or written.
pub fn create_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_in(&open_parent(path)?, Path::new(name(path)?), bytes)
}

/// Replaces a private file: beside first, then renamed, so that a crash leaves the old or the new content. A link in its place is
/// replaced and not followed.
///
/// # Errors
/// The folder is a link, a file of somebody else stands there, or it cannot be written; the old one then still stands.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = name(path)?;
    let parent = open_parent(path)?;
    if let Ok(stat) = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
        && stat.st_uid != 0
    {
        refuse_foreign(&stat, path)?;
    }
    let mut beside = name.to_owned();
    beside.push(format!(".{}-{}.new", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    // Left by a process of the same id that was ended in the middle of this.
    let _ = unlinkat(&parent, &beside, AtFlags::empty());
    let written = create_in(&parent, Path::new(&beside), bytes)
        .and_then(|()| Ok(renameat(&parent, &beside, &parent, name)?));
    if written.is_err() {
        let _ = unlinkat(&parent, &beside, AtFlags::empty());
    }
    written
}

fn create_in(parent: &OwnedFd, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::from_raw_mode(PRIVATE_FILE))?);
    file.write_all(bytes)?;
    file.sync_all()
}

fn open_at(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let parent = open_parent(path)?;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&parent, name(path)?, flags, Mode::from_raw_mode(PRIVATE_FILE))
        .map_err(|error| link_error(error, path))
}

fn name(path: &Path) -> io::Result<&std::ffi::OsStr> {
    path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no name of a file"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn files_are_replaced_whole_and_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.json");
        write(&path, b"one").expect("written");
        write(&path, b"two").expect("replaced");
        assert_eq!((read(&path, 3).expect("read"), mode(&path)), (b"two".to_vec(), 0o600));
        assert_eq!(read(&path, 2).expect_err("too large").kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside");
        assert!(write(&dir.path().join("none/a.json"), b"x").is_err());
        assert_eq!(create_new(&path, b"x").expect_err("there").kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn whether_a_file_is_private_is_seen_without_opening_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.db");
        assert_eq!(is_private(&path).expect_err("none").kind(), io::ErrorKind::NotFound);
        write(&path, b"x").expect("written");
        assert!(is_private(&path).expect("there"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("loosened");
        assert!(!is_private(&path).expect("there"));
        symlink(&path, dir.path().join("link")).expect("linked");
        assert!(!is_private(&dir.path().join("link")).expect("there"));
        assert!(!is_private(&dir.path().join(".")).unwrap_or(false));
    }

    #[test]
    fn a_file_open_to_others_is_repaired_by_whoever_opens_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        for what in ["append", "open"] {
            fs::write(&path, "x").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("loosened");
            let used = if what == "append" { append(&path) } else { open(&path) };
            used.expect(what);
            assert_eq!(mode(&path), 0o600, "{what}");
        }
    }

    #[test]
    fn links_are_not_followed_and_pipes_hold_nobody_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, elsewhere) = (dir.path().join("link"), dir.path().join("elsewhere"));
        symlink(&elsewhere, &path).expect("linked");
        for error in [append(&path).expect_err("a link"), open(&path).expect_err("a link")] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert!(!elsewhere.exists(), "nothing was made through it");
        fs::write(&elsewhere, "theirs").expect("written");
        write(&path, b"ours").expect("the link is replaced");
        assert_eq!(fs::read_to_string(&elsewhere).expect("read"), "theirs");
        assert!(fs::symlink_metadata(&path).expect("there").is_file());
        let folder = dir.path().join("folder");
        symlink(dir.path(), &folder).expect("linked");
        assert!(write(&folder.join("a"), b"x").is_err() && append(&folder.join("a")).is_err());
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
        assert!(open(&pipe).is_err() && append(&pipe).is_err());
    }
}
