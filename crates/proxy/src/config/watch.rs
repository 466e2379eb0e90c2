//! The configuration in use, and how a changed file becomes it. A broken file is refused and reported; the old one stays.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::SystemTime;

use latimer_protocol::status::ConfigState;

use super::check::{ConfigProblem, report};
use super::parse::ParsedConfig;
use super::{Auth, Config};
use crate::sync::{lock, read, write};

/// Reads a text as a configuration.
pub type Loader = fn(&str) -> Result<ParsedConfig, Vec<ConfigProblem>>;

/// The configuration of this moment. A turn takes it once and keeps it to its end.
#[derive(Debug)]
pub struct Live {
    path: Option<PathBuf>,
    /// Reads a text as a configuration, with the environment and the files of this process.
    loader: OnceLock<Loader>,
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    reloads: u64,
    refused: Option<String>,
}

impl Live {
    /// Begins with this configuration, read from this file.
    pub fn new(config: Config, path: Option<PathBuf>) -> Self {
        Self {
            path,
            loader: OnceLock::new(),
            inner: RwLock::new(Inner { config: Arc::new(config), reloads: 0, refused: None }),
        }
    }

    /// Says how a text is read, so that a changed one can be tried before it is written.
    pub fn set_loader(&self, loader: Loader) {
        let _ = self.loader.set(loader);
    }

    /// How a text is read; `None` where nobody said it.
    pub fn loader(&self) -> Option<Loader> {
        self.loader.get().copied()
    }

    /// The file, when there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The configuration in use.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&read(&self.inner).config)
    }

    /// Where it came from and whether the newest file is in use.
    pub fn state(&self) -> ConfigState {
        let inner = read(&self.inner);
        ConfigState {
            path: self.path.as_ref().map(|path| path.to_string_lossy().into_owned()),
            reloads: inner.reloads,
            refused: inner.refused.clone(),
        }
    }

    /// Takes up a newer configuration, or notes why it cannot.
    pub fn replace(&self, newer: Result<ParsedConfig, Vec<ConfigProblem>>) {
        let mut inner = write(&self.inner);
        match newer {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!(event = "config.warning", problem = %warning);
                }
                if loaded.config.server.listen != inner.config.server.listen {
                    tracing::warn!(event = "config.restart_needed", key = "server.listen");
                }
                if loaded.config.server.workers != inner.config.server.workers {
                    tracing::warn!(event = "config.restart_needed", key = "server.workers");
                }
                if inner.config.server.auth == Auth::Token && loaded.config.server.auth == Auth::None {
                    tracing::warn!(event = "config.restart_needed", key = "server.auth");
                }
                inner.config = Arc::new(loaded.config);
                inner.reloads += 1;
                inner.refused = None;
                tracing::info!(event = "config.reloaded", endpoints = inner.config.endpoints.len());
            }
            Err(problems) => {
                let path = self.path.as_deref().unwrap_or(Path::new("config.toml"));
                let text = report(&problems, path);
                tracing::error!(event = "config.refused", problems = problems.len(), report = %text);
                inner.refused = Some(text);
            }
        }
    }
}

/// What tells one version of a file from the next. Editors write beside and rename, so the inode is looked at too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(Option<(SystemTime, u64, u64)>);

impl Version {
    /// The version of the file now. Taken before the file is read, so that a change in between is seen later.
    pub fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(path).ok();
        Self(metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))))
    }
}

/// Looks at a file again and again, and notices when it is another version.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    seen: Mutex<Version>,
}

impl FileWatch {
    /// Begins with the version that was read.
    pub fn new(path: PathBuf, seen: Version) -> Self {
        Self { path, seen: Mutex::new(seen) }
    }

    /// The file, where it is another version than the one that was seen last. One that is gone is likely being replaced.
    pub fn changed(&self) -> Option<&Path> {
        let now = Version::of(&self.path);
        let mut seen = lock(&self.seen);
        if now.0.is_none() || now == *seen {
            return None;
        }
        *seen = now;
        Some(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::load;

    fn parse(text: &str) -> Result<ParsedConfig, Vec<ConfigProblem>> {
        load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()))
    }

    #[test]
    fn a_broken_file_is_refused_and_the_old_one_stays() {
        let live = Live::new(parse("").expect("empty is fine").config, None);
        let held = live.current();
        live.replace(parse("[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\""));
        assert_eq!(
            (live.current().endpoints.len(), held.endpoints.len()),
            (1, 0),
            "an open turn keeps its own"
        );
        live.replace(parse("[[endpoint]]\nnaem = \"a\""));
        let state = live.state();
        assert_eq!((live.current().endpoints.len(), state.reloads), (1, 1));
        assert!(state.refused.expect("said").contains("did you mean `name`?"));
        live.replace(parse(""));
        assert_eq!(live.state().refused, None);
    }

    #[test]
    fn another_version_of_a_file_is_noticed_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "a").expect("written");
        let watch = FileWatch::new(path.clone(), Version::of(&path));
        assert_eq!(watch.changed(), None);
        std::fs::write(&path, "another length").expect("written");
        assert_eq!(watch.changed(), Some(path.as_path()));
        assert_eq!(watch.changed(), None);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(watch.changed(), None, "being replaced");
        std::fs::write(&path, "back").expect("written");
        assert!(watch.changed().is_some());
    }
}
