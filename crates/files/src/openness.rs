//! Files that a person wrote, such as the configuration: they are never changed, but what others can do with them is told.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::owner::is_ours;

/// What a file holds, which decides what others may do with it.
const WRITE: u32 = 0o022;
const READ: u32 = 0o044;

/// What others can do with a file of a person, in one sentence with its remedy; `None` if nothing that matters. Others may read one
/// that holds no secret.
pub fn open_to_others(path: &Path, holds_secret: bool) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let mode = metadata.mode() & 0o777;
    let shown = path.display();
    if !is_ours(metadata.uid()) && metadata.uid() != 0 {
        return Some(format!(
            "`{shown}` belongs to user {}, who can change it; make it your own",
            metadata.uid()
        ));
    }
    if mode & WRITE != 0 {
        return Some(format!("`{shown}` can be changed by others (mode {mode:o}); run `chmod 600 {shown}`"));
    }
    (holds_secret && mode & READ != 0).then(|| {
        format!("`{shown}` holds a key and can be read by others (mode {mode:o}); run `chmod 600 {shown}`")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn others_may_read_what_is_no_secret() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "").expect("written");
        for (mode, plain, secret) in [
            (0o600, None, None),
            (0o644, None, Some("read")),
            (0o666, Some("changed"), Some("changed")),
            (0o620, Some("changed"), Some("changed")),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            for (holds_secret, wanted) in [(false, plain), (true, secret)] {
                let said = open_to_others(&path, holds_secret);
                assert_eq!(said.is_some(), wanted.is_some(), "{mode:o}: {said:?}");
                assert!(said.unwrap_or_default().contains(wanted.unwrap_or_default()));
            }
        }
        assert_eq!(open_to_others(&dir.path().join("none"), true), None);
    }
}
