//! Keys in files of their own: beside the configuration, in the folder `keys`, readable by their owner alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use latimer_protocol::secret::Secret;

/// The file of an endpoint's key. What was there before comes back unless the change that names it is written.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    before: Before,
}

/// What was in the file.
#[derive(Debug)]
enum Before {
    /// It was not touched.
    Untouched,
    /// There was none.
    Missing,
    /// This key.
    Key(Secret),
}

impl KeyFile {
    /// The file for the key of this endpoint.
    ///
    /// # Errors
    /// The name is no name of a file, or the configuration has no place.
    pub(crate) fn of(config: &Path, endpoint: &str) -> anyhow::Result<Self> {
        let is_plain = !endpoint.is_empty()
            && !endpoint.starts_with('.')
            && endpoint.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        ensure!(is_plain, "the name should hold letters, digits, `.`, `_` and `-` only");
        let config = std::path::absolute(config).context("the path of the configuration")?;
        Ok(Self { path: config.with_file_name("keys").join(endpoint), before: Before::Untouched })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its path as a value of the configuration.
    pub(crate) fn item(&self) -> toml_edit::Item {
        toml_edit::value(self.path.to_string_lossy().into_owned())
    }

    /// Puts a key into it.
    ///
    /// # Errors
    /// It is no key, or the file cannot be written.
    pub(crate) fn store(self, key: &str) -> anyhow::Result<Self> {
        let key = Secret::new(key.trim());
        ensure!(!key.is_empty(), "there is no key to keep");
        ensure!(
            !key.expose().contains(|c: char| c.is_whitespace() || c.is_control()),
            "that is no key: it holds spaces or several lines"
        );
        let Self { path, .. } = self;
        if let Some(folder) = path.parent() {
            latimer_files::prepare(folder).with_context(|| format!("making `{}`", folder.display()))?;
        }
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => Before::Key(Secret::new(text)),
            Err(_) => Before::Missing,
        };
        latimer_files::write(&path, key.expose().as_bytes())
            .with_context(|| format!("writing `{}`", path.display()))?;
        Ok(Self { path, before })
    }

    /// Keeps the key where the configuration that names it was written; else brings back what was there.
    pub(crate) fn settle(self, is_named: bool) {
        if is_named {
            return;
        }
        let _ = match self.before {
            Before::Untouched => Ok(()),
            Before::Missing => std::fs::remove_file(&self.path),
            Before::Key(key) => latimer_files::write(&self.path, key.expose().as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_nobody_names_goes_and_the_one_before_comes_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("config.toml");
        let file = || KeyFile::of(&config, "lab").expect("a place");
        let text = || std::fs::read_to_string(dir.path().join("keys/lab")).ok();
        file().store("first-key\n").expect("stored").settle(false);
        assert_eq!(text(), None);
        file().store("first-key").expect("stored").settle(true);
        file().store("second-key").expect("stored").settle(false);
        assert_eq!(text().as_deref(), Some("first-key"));
        assert!(file().store("two words").is_err() && file().store("").is_err());
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["", "..", "../x", "a/b", ".hidden", "a b", "a\nb"] {
            assert!(KeyFile::of(Path::new("/c/config.toml"), name).is_err(), "{name:?}");
        }
    }
}
