//! The configuration file and the state directory a command works with.

use std::cell::RefCell;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use latimer_adapters::transport::outbound::Outbound;
use latimer_protocol::secret::Secret;
use latimer_proxy::accounts;
use latimer_proxy::config::check::{ConfigProblem, report};
use latimer_proxy::config::parse::{ParsedConfig, load};
use latimer_proxy::config::watch::Version;
use latimer_proxy::config::{Auth, Config, Exposure, Server, state};

use crate::environment::{env, home};
use crate::exit::{Exit, ExitsWith as _};
use crate::terminal::LinesError;

/// How long open turns get at a stop where the configuration cannot be read: the default of `server.grace`.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Which configuration file and which state directory a command works with.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PathArgs {
    /// The configuration file [default: `LATIMER_CONFIG`, else latimer/config.toml in the XDG config directory]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the token and generated files live [default: `LATIMER_STATE_DIR`, else latimer in the XDG state directory]
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,
}

/// Who names a path that a command works with, in the order in which they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namer {
    /// A flag.
    Flag,
    /// A variable of the environment.
    Variable,
    /// Nobody: it is where such files usually are.
    Nobody,
}

impl Namer {
    fn of(flag: Option<&Path>, variable: &str) -> Self {
        match flag {
            Some(_) => Self::Flag,
            None if env(variable).is_some_and(|path| !path.is_empty()) => Self::Variable,
            None => Self::Nobody,
        }
    }
}

/// What every command takes that prints something to look at.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ReportArgs {
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) paths: PathArgs,
}

/// A configuration that can be used.
pub(crate) struct Configuration {
    /// Where it was read from; `None` when there is no file and none was named.
    pub(crate) path: Option<PathBuf>,
    /// The version of the file that was read.
    pub(crate) version: Option<Version>,
    /// What it says.
    pub(crate) loaded: ParsedConfig,
}

impl PathArgs {
    /// The configuration in this file, else the usual one.
    pub(crate) fn of_config(config: Option<PathBuf>) -> Self {
        Self { config, state_dir: None }
    }

    /// The same; what is not said here is as the arguments of another latimer say it.
    ///
    /// # Errors
    /// Both name one, and they are not the same.
    pub(crate) fn or_as_in(mut self, args: &[OsString]) -> anyhow::Result<Self> {
        for (flag, own) in [("--config", &mut self.config), ("--state-dir", &mut self.state_dir)] {
            let Some(theirs) = value_of(args, flag) else { continue };
            ensure!(
                own.as_ref().is_none_or(|own| *own == theirs),
                "`{flag}` of the watchdog and of its proxy are not the same; give it once"
            );
            *own = Some(theirs);
        }
        Ok(self)
    }

    /// The state directory, made if it is not there.
    ///
    /// # Errors
    /// The environment names none, or it cannot be made or is not private.
    pub(crate) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        let variable = || env("LATIMER_STATE_DIR").filter(|path| !path.is_empty()).map(PathBuf::from);
        let dir = match self.state_dir.clone().or_else(variable) {
            Some(dir) => dir,
            None => state::state_dir(&env)
                .context("no state directory: set HOME or XDG_STATE_HOME, or give --state-dir")?,
        };
        if home()
            .and_then(|home| std::fs::canonicalize(home).ok())
            .is_some_and(|home| std::fs::canonicalize(&dir).is_ok_and(|dir| home.starts_with(dir)))
        {
            bail!("`{}` holds your home directory; give latimer a directory of its own", dir.display());
        }
        latimer_files::prepare_root(&dir)
            .with_context(|| format!("preparing the state directory `{}`", dir.display()))
    }

    /// The same for a process that can do without: where the system has no such directory to give (a disk that is full or only read),
    /// what does not work is said, and the path is given all the same.
    ///
    /// # Errors
    /// It belongs to somebody else, or the environment names none.
    pub(crate) fn state_dir_if_possible(&self) -> anyhow::Result<PathBuf> {
        self.state_dir().or_else(|error| {
            let is_of_the_system =
                error.downcast_ref::<std::io::Error>().is_some_and(|error| error.raw_os_error().is_some());
            let dir = self.state_dir.clone().or_else(|| state::state_dir(&env));
            match dir.filter(|_| is_of_the_system) {
                Some(dir) => {
                    tracing::warn!(event = "state.unavailable", error = %format!("{error:#}"), note = "usage is not counted, nothing is learned or gone on with after a restart, and `latimer launch` does not find this proxy");
                    Ok(dir)
                }
                None => Err(error),
            }
        })
    }

    /// The configuration file's path: the one named, else the default one if it exists.
    pub(crate) fn config_path(&self) -> Option<PathBuf> {
        self.named_config().or_else(|| state::config_path(&env).filter(|path| path.exists()))
    }

    /// The flags that give another process the same paths.
    pub(crate) fn flags(&self) -> Vec<OsString> {
        let named = [("--config", &self.config), ("--state-dir", &self.state_dir)];
        let given =
            named.into_iter().filter_map(|(flag, path)| Some([flag.into(), path.clone()?.into_os_string()]));
        given.flatten().collect()
    }

    /// Who names the configuration file.
    pub(crate) fn config_namer(&self) -> Namer {
        Namer::of(self.config.as_deref(), "LATIMER_CONFIG")
    }

    /// Who names the state directory.
    pub(crate) fn state_dir_namer(&self) -> Namer {
        Namer::of(self.state_dir.as_deref(), "LATIMER_STATE_DIR")
    }

    /// What the flag names, else the variable `LATIMER_CONFIG`.
    fn named_config(&self) -> Option<PathBuf> {
        let variable = || env("LATIMER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(variable)
    }

    /// The configuration file to write: the one named, else the default one, which need not be there yet.
    ///
    /// # Errors
    /// Neither a flag nor the environment names a place.
    pub(crate) fn config_target(&self) -> anyhow::Result<PathBuf> {
        let path = self.named_config().or_else(|| state::config_path(&env));
        path.context("no place for a configuration: set HOME or XDG_CONFIG_HOME, or give --config")
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// The file cannot be read, or every problem of its text.
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        let path = self.config_path();
        let version = path.as_deref().map(Version::of);
        let text = match &path {
            Some(path) => read_text(path).exits(Exit::Configuration)?,
            None => String::new(),
        };
        match load_text(&text) {
            Ok(loaded) => Ok(Configuration { path, version, loaded }),
            Err(problems) => {
                let shown = path.as_deref().unwrap_or_else(|| Path::new("config.toml"));
                let problems = report(&problems, shown);
                let problems = problems.lines().map(str::to_owned);
                Err(LinesError::new("the configuration cannot be used", problems)).exits(Exit::Configuration)
            }
        }
    }

    /// What the configuration says; where it cannot be used, what holds without one. A configuration that is broken by now is no reason
    /// not to look at what runs.
    ///
    /// # Errors
    /// Every problem of the file, where even an empty one would have some.
    pub(crate) fn configuration_or_default(&self) -> anyhow::Result<Config> {
        self.configuration().map(|read| read.loaded.config).or_else(|error| {
            let missing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
            load("", &|_| None, &missing).map(|loaded| loaded.config).map_err(|_| error)
        })
    }

    /// The way out that holds where no endpoint has its own. A configuration that is broken is no reason not to log in.
    ///
    /// # Errors
    /// The configuration cannot be used, and the environment names a proxy that cannot be used either.
    pub(crate) fn outbound(&self) -> anyhow::Result<Outbound> {
        match self.configuration() {
            Ok(read) => Ok(read.loaded.config.outbound),
            Err(_) => Outbound::from_environment(&env)
                .map_err(|(name, error)| anyhow::anyhow!("the environment variable `{name}`: {error}")),
        }
    }

    /// How long open turns get at a stop. A configuration that is broken by now is no reason not to stop.
    pub(crate) fn grace(&self) -> Duration {
        self.configuration().map_or(DEFAULT_GRACE, |read| read.loaded.config.server.grace)
    }
}

/// The value of a flag, written as one word or as two.
fn value_of(args: &[OsString], flag: &str) -> Option<PathBuf> {
    let joined = |arg: &OsString| {
        let value = arg.to_str()?.strip_prefix(flag)?.strip_prefix('=')?;
        Some(PathBuf::from(value))
    };
    let place = args.iter().position(|arg| arg == flag);
    let apart = place.and_then(|place| args.get(place + 1)).map(PathBuf::from);
    apart.or_else(|| args.iter().find_map(joined))
}

/// Reads a configuration text with this process's environment and files.
///
/// # Errors
/// Every problem of the text.
pub(crate) fn load_text(text: &str) -> Result<ParsedConfig, Vec<ConfigProblem>> {
    load(text, &env, &|path| std::fs::read_to_string(path))
}

/// What others on this machine can do with the configuration file and the files of keys that it names, one sentence each with its
/// remedy.
pub(crate) fn open_to_others(path: &Path, text: &str) -> Vec<String> {
    let key_files = RefCell::new(Vec::new());
    let read = |path: &Path| {
        key_files.borrow_mut().push(path.to_owned());
        std::fs::read_to_string(path)
    };
    // Only the files count here; their problems are told elsewhere.
    let _ = load(text, &env, &read);
    let of_config = latimer_files::open_to_others(path, holds_key(text));
    let of_keys = key_files.into_inner();
    let of_keys = of_keys.iter().filter_map(|path| latimer_files::open_to_others(path, true));
    of_config.into_iter().chain(of_keys).collect()
}

/// Whether the text itself holds a secret: a key, a header of an endpoint, or a URL with a password.
fn holds_key(text: &str) -> bool {
    fn any(value: &toml::Value, name: &str) -> bool {
        match value {
            toml::Value::Table(table) => {
                table.iter().any(|(key, value)| any(value, if name == "headers" { name } else { key }))
            }
            toml::Value::Array(list) => list.iter().any(|value| any(value, name)),
            toml::Value::String(text) => {
                matches!(name, "api_key" | "headers") && !text.is_empty()
                    || text
                        .split_once("://")
                        .is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'))
            }
            _ => false,
        }
    }
    text.parse::<toml::Table>().is_ok_and(|table| any(&toml::Value::Table(table), ""))
}

/// A configuration file as text.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading the configuration `{}`", path.display()))
}

/// The token that clients of this proxy must send; `None` where it wants none.
///
/// # Errors
/// It can be neither read nor made.
pub(crate) fn access_token(state_dir: &Path, server: &Server) -> anyhow::Result<Option<Secret>> {
    Ok(match server.auth {
        Auth::Token => Some(state::token(state_dir).context("the access token")?),
        Auth::None => None,
    })
}

/// Under which address this machine reaches a listener: one of every network is none to connect to, and in no `Host` header.
pub(crate) fn local_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, listen.port())
}

/// Refuses an address that other machines can reach when everybody may ask there, or nothing protects what is sent.
///
/// # Errors
/// The address is no loopback address, and no token is wanted, or there is neither TLS nor a proxy in front.
pub(crate) fn refuse_exposure(address: SocketAddr, server: &Server) -> anyhow::Result<()> {
    ensure!(
        address.ip().is_loopback() || server.auth != Auth::None,
        "`{address}` can be reached from other machines, and server.auth is \"none\"; use auth = \"token\" or a loopback address"
    );
    ensure!(
        address.ip().is_loopback() || server.exposure != Exposure::Loopback,
        "`{address}` can be reached from other machines, and tokens would travel in clear; add [server.tls] with cert and key, or behind_proxy = true with the trusted_proxies that end TLS"
    );
    Ok(())
}

/// Where accounts and client ids are looked for, and how token endpoints are asked.
pub(crate) fn account_places(state_dir: &Path, outbound: Outbound) -> Arc<accounts::Places> {
    Arc::new(accounts::Places::new(state_dir.to_owned(), home(), env).through(outbound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(dir: &Path, text: &str) -> PathArgs {
        let config = dir.join("latimer.toml");
        std::fs::write(&config, text).expect("written");
        PathArgs { config: Some(config), state_dir: Some(dir.join("state")) }
    }

    #[test]
    fn a_watchdog_works_on_what_its_proxy_is_told() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let words = args(&["latimer", "serve", "--config", "x.toml", "--state-dir=/s"]);
        let paths = PathArgs::default().or_as_in(&words).expect("no quarrel");
        assert_eq!((paths.config, paths.state_dir), (Some("x.toml".into()), Some("/s".into())));
        let own = || PathArgs { config: Some("y.toml".into()), state_dir: None };
        assert!(own().or_as_in(&words).is_err());
        assert_eq!(own().or_as_in(&args(&["latimer", "serve"])).expect("kept").config, Some("y.toml".into()));
    }

    #[test]
    fn the_state_directory_is_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let created = paths(dir.path(), "").state_dir().expect("made");
        assert!(created.is_dir() && created == dir.path().join("state"));
    }

    #[test]
    fn every_problem_of_a_file_is_in_the_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = paths(dir.path(), "[server]\nlisten = \"nowhere\"\nauht = \"token\"\n");
        let error = paths.configuration().err().expect("problems").to_string();
        for words in ["latimer.toml", "server.listen", "auht"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert_eq!(paths.grace(), DEFAULT_GRACE, "and stopping is still possible");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = PathArgs { config: Some(dir.path().join("none.toml")), state_dir: None };
        let error = paths.configuration().err().expect("no file");
        assert!(format!("{error:#}").contains("none.toml"), "{error:#}");
    }

    #[test]
    fn a_token_is_made_only_where_one_is_wanted() {
        let dir = tempfile::tempdir().expect("a directory");
        let server = |text: &str| load_text(text).expect("a configuration").config.server;
        let open = server("[server]\nauth = \"none\"\n");
        assert!(access_token(dir.path(), &open).expect("fine").is_none());
        let first = access_token(dir.path(), &server("")).expect("made").expect("a token");
        let second = access_token(dir.path(), &server("")).expect("read").expect("a token");
        assert_eq!(first.expose(), second.expose(), "it stays the same");
    }

    #[test]
    fn every_network_is_reached_on_this_machine_by_loopback() {
        for (listen, local) in
            [("0.0.0.0:4180", "127.0.0.1:4180"), ("[::]:4180", "[::1]:4180"), ("10.0.0.7:1", "10.0.0.7:1")]
        {
            assert_eq!(local_address(listen.parse().expect("an address")).to_string(), local);
        }
    }

    #[test]
    fn only_a_loopback_address_goes_without_a_token_and_without_tls() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let server =
            |text: &str| load_text(&format!("[server]\n{text}\n")).expect("a configuration").config.server;
        let (open, closed) = (server("auth = \"none\""), server(""));
        assert!(refuse_exposure(address("127.0.0.1:1"), &open).is_ok());
        assert!(refuse_exposure(address("[::1]:1"), &open).is_ok());
        assert!(refuse_exposure(address("0.0.0.0:1"), &open).is_err());
        let error = refuse_exposure(address("0.0.0.0:1"), &closed).expect_err("in clear").to_string();
        assert!(error.contains("[server.tls]") && error.contains("behind_proxy"), "{error}");
        let behind = server("behind_proxy = true\ntrusted_proxies = \"10.0.0.0/8\"");
        assert!(refuse_exposure(address("0.0.0.0:1"), &behind).is_ok());
    }
}
