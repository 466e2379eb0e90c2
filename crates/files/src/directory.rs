//! Private folders.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use crate::owner::{Kind, PRIVATE_DIRECTORY, check, is_ours, link_error, report_repair};

/// Makes the state directory, or checks the one that is there; the path under which nothing is a link any more.
///
/// A person may have put a link in its place; one that somebody else made is refused.
///
/// # Errors
/// It cannot be made, belongs to somebody else, is shared with everybody, or is reached through somebody else's link.
pub fn prepare_root(dir: &Path) -> io::Result<PathBuf> {
    let link = std::fs::symlink_metadata(dir).ok().filter(std::fs::Metadata::is_symlink);
    let root = match link {
        Some(link) if is_ours(link.uid()) => std::fs::canonicalize(dir)?,
        Some(link) => {
            let message =
                format!("`{}` is a symbolic link of user {} and is not followed", dir.display(), link.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        None => dir.to_owned(),
    };
    prepare(&root)?;
    if let Some(parent) = std::path::absolute(&root)?.parent()
        && std::fs::metadata(parent)
            .is_ok_and(|parent| parent.mode() & 0o022 != 0 && parent.mode() & 0o1000 == 0)
    {
        tracing::warn!(event = "state.parent_open", path = %parent.display(), note = "others can exchange the state directory; run `chmod go-w` on it");
    }
    Ok(root)
}

/// Makes a folder readable by nobody else from the first moment, or checks the one that is there: ours, no link, mode 0700. A
/// wrong mode is repaired.
///
/// # Errors
/// It cannot be made, belongs to somebody else, is shared with everybody, or is a link.
pub fn prepare(dir: &Path) -> io::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(dir);
    // Without a look at what is there, a file in its place or a full disk would be told in the words of the check.
    let open = match open(dir) {
        Ok(open) => open,
        Err(error) => {
            return Err(made.err().filter(|_| error.kind() == io::ErrorKind::NotFound).unwrap_or(error));
        }
    };
    report_repair(dir, check(&open, dir, Kind::Directory)?);
    Ok(())
}

/// The folder of a file: open, and no link itself.
pub(crate) fn open_parent(path: &Path) -> io::Result<OwnedFd> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    open(parent)
}

fn open(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, dir, flags, Mode::empty()).map_err(|error| link_error(error, dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_is_private_from_the_first_moment_and_made_so_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("a/b");
        prepare(&state).expect("made");
        assert_eq!((mode(&state), mode(&dir.path().join("a"))), (0o700, 0o700));
        for open in [0o755, 0o777, 0o701] {
            std::fs::set_permissions(&state, std::fs::Permissions::from_mode(open)).expect("loosened");
            prepare(&state).expect("repaired");
            assert_eq!(mode(&state), 0o700);
        }
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o1777)).expect("loosened");
        let error = prepare(&state).expect_err("shared with everybody");
        assert!(error.to_string().contains("directory of its own"), "{error}");
        assert_eq!(mode(&state), 0o1777, "left as it is");
    }

    #[test]
    fn a_link_is_followed_at_the_root_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).expect("made");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        assert_eq!(prepare_root(&link).expect("ours"), std::fs::canonicalize(&real).expect("there"));
        assert_eq!(prepare(&link).expect_err("a link").kind(), io::ErrorKind::InvalidInput);
        std::fs::write(dir.path().join("file"), "").expect("written");
        assert!(prepare(&dir.path().join("file")).is_err());
    }
}
