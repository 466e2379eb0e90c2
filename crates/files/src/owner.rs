//! Whose something is, and who may use it: looked at on what is open, never on a path.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, Stat, fchmod, fstat};

/// What every private file of ours has.
pub(crate) const PRIVATE_FILE: u32 = 0o600;
/// What every private folder of ours has.
pub(crate) const PRIVATE_DIRECTORY: u32 = 0o700;
/// The bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// A folder that everybody shares, as `/tmp` is.
const STICKY: u32 = 0o1000;

/// What has to be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// Checks kind and owner of what is open; its mode.
pub(crate) fn look(open: impl AsFd, path: &Path, kind: Kind) -> io::Result<u32> {
    let stat = fstat(&open)?;
    let wanted = match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
    };
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` is no plain {}; remove it", path.display(), name(kind)),
        ));
    }
    refuse_foreign(&stat, path)?;
    #[allow(clippy::useless_conversion, reason = "the type differs from system to system")]
    let mode = u32::from(stat.st_mode);
    Ok(mode & 0o7777)
}

/// Checks what is open: its kind, its owner, its mode. A mode that lets others in is repaired, and returned.
pub(crate) fn check(open: impl AsFd, path: &Path, kind: Kind) -> io::Result<Option<u32>> {
    let mode = look(&open, path, kind)?;
    let private = match kind {
        Kind::File => PRIVATE_FILE,
        Kind::Directory => PRIVATE_DIRECTORY,
    };
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    if kind == Kind::Directory && mode & STICKY != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "`{}` is shared with everybody (mode {mode:o}); give latimer a directory of its own",
                path.display()
            ),
        ));
    }
    match fchmod(&open, Mode::from_raw_mode(private)) {
        Ok(()) => Ok(Some(mode)),
        // Nobody can mend it there, and what stands in it was given away before.
        Err(rustix::io::Errno::ROFS) => Ok(Some(mode)),
        Err(error) => Err(error.into()),
    }
}

/// Whether this is a plain file of ours that nobody else can use.
pub(crate) fn is_private_file(stat: &Stat) -> bool {
    #[allow(clippy::useless_conversion, reason = "the type differs from system to system")]
    let mode = u32::from(stat.st_mode);
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && is_ours(stat.st_uid)
        && mode & OTHERS == 0
}

/// Refuses what belongs to neither this user nor the system.
pub(crate) fn refuse_foreign(stat: &Stat, path: &Path) -> io::Result<()> {
    if is_ours(stat.st_uid) {
        return Ok(());
    }
    let message = format!(
        "`{}` belongs to user {} and not to user {}; remove it, or run as its owner",
        path.display(),
        stat.st_uid,
        me()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Whether this user owns it, in whose name this process works.
pub(crate) fn is_ours(uid: u32) -> bool {
    uid == me()
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
    }
}

/// Says that a mode was repaired.
pub(crate) fn report_repair(path: &Path, mode: Option<u32>) {
    if let Some(mode) = mode {
        tracing::warn!(event = "state.mode_repaired", path = %path.display(), mode = format!("{mode:o}"));
    }
}

/// What an attempt to open something means where a link stands in its place.
pub(crate) fn link_error(error: rustix::io::Errno, path: &Path) -> io::Error {
    // ELOOP is the answer to O_NOFOLLOW; with O_DIRECTORY Linux says that a link is no directory.
    if matches!(error, rustix::io::Errno::LOOP | rustix::io::Errno::MLINK | rustix::io::Errno::NOTDIR)
        && std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
    {
        let message = format!("`{}` is a symbolic link and is not followed; remove it", path.display());
        return io::Error::new(io::ErrorKind::InvalidInput, message);
    }
    error.into()
}
