//! What every command needs first: paths, the configuration, a runtime, and words on stderr.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use latimer_proxy::config::check::report;
use latimer_proxy::config::parse::{ParsedConfig, load};
use latimer_proxy::config::state;
use latimer_proxy::config::watch::Version;

/// Which configuration file and which state directory a command works with.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Places {
    /// The configuration file [default: latimer/config.toml in the XDG config directory]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where the token and generated files live [default: latimer in the XDG state directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state_dir: Option<PathBuf>,
}

/// The configuration as text and as values.
pub(crate) struct Configuration {
    /// Where it was read from; `None` when there is no file and none was named.
    pub(crate) path: Option<PathBuf>,
    /// The version of the file that was read.
    pub(crate) version: Option<Version>,
    /// What it says.
    pub(crate) loaded: ParsedConfig,
}

impl Places {
    /// The state directory, made if it is not there.
    pub(crate) fn state(&self) -> anyhow::Result<PathBuf> {
        let dir = match &self.state_dir {
            Some(dir) => dir.clone(),
            None => state::state_dir(&env)
                .context("no state directory: set HOME or XDG_STATE_HOME, or give --state-dir")?,
        };
        state::prepare(&dir).with_context(|| format!("preparing the state directory `{}`", dir.display()))?;
        Ok(dir)
    }

    /// The configuration file's path: the one named, else the default one if it exists.
    pub(crate) fn config_path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| state::config_path(&env).filter(|path| path.exists()))
    }

    /// Reads the configuration; an error lists every problem of the file.
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        let path = self.config_path();
        let version = path.as_deref().map(Version::of);
        let text = match &path {
            Some(path) => read_text(path)?,
            None => String::new(),
        };
        match load_text(&text) {
            Ok(loaded) => Ok(Configuration { path, version, loaded }),
            Err(problems) => {
                let shown = path.as_deref().unwrap_or_else(|| Path::new("config.toml"));
                bail!("the configuration cannot be used\n{}", report(&problems, shown))
            }
        }
    }
}

/// Reads a configuration text with this process's environment and files.
pub(crate) fn load_text(text: &str) -> Result<ParsedConfig, Vec<latimer_proxy::config::check::Problem>> {
    load(text, &env, &|path| std::fs::read_to_string(path))
}

/// A configuration file as text.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading the configuration `{}`", path.display()))
}

/// Where accounts and client ids are looked for.
pub(crate) fn accounts(state_dir: &Path) -> Arc<latimer_proxy::accounts::Places> {
    let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    Arc::new(latimer_proxy::accounts::Places::new(state_dir.to_owned(), home, env))
}

/// One variable of the environment; not UTF-8 counts as not set.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A line on stderr. Never fails: nobody is helped by an error about an error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A line on stdout; an error when the reader is gone.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("writing to stdout")
}

/// The runtime of a long-running command: one thread. A turn passes through three tasks (client, turn, upstream), and waking
/// a task on another core costs more than translating an event; one thread serves thousands of streams.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}
