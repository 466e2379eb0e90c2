//! The other binary: `latimer` and `latimer-watchdog` are installed side by side.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// The path of the binary of this name beside the one that runs.
///
/// # Errors
/// There is none.
pub(crate) fn sibling_binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program")?;
    beside(&own, name)
}

fn beside(own: &Path, name: &str) -> anyhow::Result<PathBuf> {
    // Linux says so of a program that was replaced while it ran; the new one has its old name.
    let text = own.to_string_lossy();
    let own = text.strip_suffix(" (deleted)").map_or_else(|| own.to_owned(), PathBuf::from);
    let sibling = own.with_file_name(name);
    ensure!(sibling.is_file(), "there is no `{name}` beside `{}`; install both together", own.display());
    Ok(sibling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_finds_the_new_sibling() {
        let dir = tempfile::tempdir().expect("a directory");
        let sibling = dir.path().join("latimer-watchdog");
        std::fs::write(&sibling, "").expect("written");
        for own in ["latimer", "latimer (deleted)"] {
            assert_eq!(beside(&dir.path().join(own), "latimer-watchdog").expect("found"), sibling);
        }
    }

    #[test]
    fn a_sibling_that_is_missing_is_named() {
        let error = beside(Path::new("/nowhere/latimer"), "latimer-watchdog").expect_err("none");
        let words = "there is no `latimer-watchdog` beside `/nowhere/latimer`; install both together";
        assert_eq!(error.to_string(), words);
    }
}
