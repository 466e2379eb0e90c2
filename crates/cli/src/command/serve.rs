//! `latimer serve`: the proxy in the foreground.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::SealKey;
use latimer_proxy::clockwork::runner::{FirstRun, JobPlan};
use latimer_proxy::config::watch::{FileWatch, Live, Version};
use latimer_proxy::config::{Auth, state};
use latimer_proxy::lifecycle::phase::StopRequest;
use latimer_proxy::server::{Doors, Protection, Proxy};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use crate::configuration::{
    Configuration, PathArgs, account_places, load_text, local_address, open_to_others, read_text,
    refuse_exposure,
};
use crate::environment::env;
use crate::logging::{self, LogFormat};
use crate::panic_log;
use crate::proxy_file;
use crate::runtime::{Traceable, forbid_core_dumps, raise_descriptor_limit, runtime, signals};
use crate::shared_store::shared_store;
use crate::spawn::READY_PREFIX;
use crate::terminal::print_line;

/// How often the configuration file is looked at.
const CONFIG_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two looks at how long the proxy has been idle.
const MIN_IDLE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Only a watchdog says which descriptor the listener is.
const WATCHED_VARIABLE: &str = "LISTEN_FDS_FIRST_FD";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer serve\n  latimer serve --config ./latimer.toml --listen 127.0.0.1:0 --log json\n\nThe first line on stdout says where it listens. Ctrl-C drains: open turns finish, new ones are refused."
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Where to listen; overrides `server.listen`; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The form of the log lines on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Human)]
    log: LogFormat,
    /// Stop after this many seconds without a turn
    #[arg(long, value_name = "SECONDS", hide = true)]
    idle_exit: Option<u64>,
    /// Read and write nothing that was learned or kept
    #[arg(long, hide = true)]
    safe: bool,
}

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    logging::init(args.log);
    panic_log::install(args.log);
    raise_descriptor_limit();
    forbid_core_dumps(if env(WATCHED_VARIABLE).is_some() {
        Traceable::BySameUser
    } else {
        Traceable::ByNobody
    });
    let state_dir = args.paths.state_dir_if_possible()?;
    let configuration = args.paths.configuration()?;
    warn_of_open_files(&configuration);
    for warning in &configuration.loaded.warnings {
        tracing::warn!(event = "config.warning", problem = %warning);
    }
    let server = configuration.loaded.config.server.clone();
    if let Some(node) = &server.node {
        logging::set_node(node);
    }
    let address = args.listen.unwrap_or(server.listen);
    refuse_exposure(address, &server)?;
    let outbound = configuration.loaded.config.outbound.clone();
    for (endpoint, proxy) in configuration.loaded.config.proxies() {
        tracing::info!(event = "outbound.proxy", endpoint = %endpoint.name, proxy = %proxy);
    }
    let secret = secret(&state_dir, server.auth)?;
    // Without a secret that lasts, the state of providers is nobody's after a restart.
    let sealing = secret.clone().map_or_else(state::random_secret, Ok).context("randomness of the system")?;
    let seal = SealKey::from_secret(sealing.expose().as_bytes());
    let nodes = if args.safe {
        None
    } else {
        shared_store(&configuration.loaded.config, &state_dir, secret.as_ref())?
    };
    if let Some(nodes) = &nodes {
        nodes.wait_for_start()?;
    }
    runtime()?.block_on(async move {
        let protection = Protection::load(&server.exposure).context("server.tls")?;
        let listener = listener(address)?;
        let address = listener.local_addr().context("the listener's address")?;
        let metrics = match configuration.loaded.config.metrics.listen {
            Some(address) => Some(metrics_listener(address)?),
            None => None,
        };
        // A file that is not there yet is taken up once it is written.
        let path = configuration.path.or_else(|| args.paths.config_target().ok());
        let version = configuration.version.or_else(|| path.as_deref().map(Version::of));
        let live = Arc::new(Live::new(configuration.loaded.config, path.clone()));
        live.set_loader(load_text);
        let token_version = Version::of(&state_dir.join(state::TOKEN_FILE));
        let (config, places) = (Arc::clone(&live), Some(account_places(&state_dir, outbound)));
        let proxy = match nodes {
            Some(nodes) => Proxy::sharing(config, secret.as_ref(), seal, places, nodes),
            None if args.safe => Proxy::safe(config, secret.as_ref(), seal, places),
            None => Proxy::new(config, secret.as_ref(), seal, places),
        };
        if let (Some(path), Some(version)) = (path, version) {
            watch_config(&proxy, Arc::clone(&live), FileWatch::new(path, version));
        }
        watch_token(&proxy, state_dir.clone(), token_version);
        let url = format!("http://{}", local_address(address));
        if let Err(error) = proxy_file::write(&state_dir, &url) {
            tracing::warn!(event = "announce.failed", error = %error);
        }
        print_line(&format!("{READY_PREFIX}{url}"))?;
        let (stop, stops) = stop_signals()?;
        if let Some(seconds) = args.idle_exit {
            tokio::spawn(stop_when_idle(Arc::clone(&proxy), Duration::from_secs(seconds), stop));
        }
        proxy.serve_on(Doors { listener, protection, metrics }, stops).await.context("serving")?;
        proxy_file::remove_own(&state_dir);
        Ok(ExitCode::SUCCESS)
    })
}

/// The secret of the state directory. One that cannot be kept is an error only where clients must send it.
fn secret(state_dir: &Path, auth: Auth) -> anyhow::Result<Option<Secret>> {
    match (state::token(state_dir), auth) {
        (Ok(secret), _) => Ok(Some(secret)),
        (Err(error), Auth::Token) => Err(error).context("the access token"),
        (Err(error), Auth::None) => {
            tracing::warn!(event = "state.readonly", error = %error);
            Ok(None)
        }
    }
}

/// Says what others on this machine can do with the configuration and the keys it names.
fn warn_of_open_files(configuration: &Configuration) {
    if let Some(path) = &configuration.path
        && let Ok(text) = read_text(path)
    {
        for problem in open_to_others(path, &text) {
            tracing::warn!(event = "config.open_to_others", problem);
        }
    }
}

/// Takes up a configuration that was changed. A broken one is reported, and the old one stays.
fn watch_config(proxy: &Proxy, live: Arc<Live>, file: FileWatch) {
    let what = "a changed configuration file is taken up";
    proxy.clockwork().add(watching("config-watch", what), move || {
        let read = file.changed().map(std::fs::read_to_string).transpose();
        let looked = read.map_err(|error| format!("the configuration file cannot be read: {error}"));
        if let Ok(Some(text)) = &looked {
            live.replace(load_text(text));
        }
        std::future::ready(looked.map(drop))
    });
}

/// Takes up a token that was exchanged. One that cannot be used opens nothing, and the old one goes on. One that was removed is made anew
/// by the next command that needs it.
fn watch_token(proxy: &Arc<Proxy>, state_dir: PathBuf, version: Version) {
    let file = FileWatch::new(state_dir.join(state::TOKEN_FILE), version);
    let weak = Arc::downgrade(proxy);
    proxy.clockwork().add(watching("token-watch", "a changed access token is taken up"), move || {
        let proxy = weak.upgrade().filter(|_| file.changed().is_some());
        std::future::ready(proxy.map_or(Ok(()), |proxy| take_up_token(&proxy, &state_dir)))
    });
}

fn take_up_token(proxy: &Proxy, state_dir: &Path) -> Result<(), String> {
    match state::token(state_dir) {
        Ok(token) => {
            proxy.rotate_token(&token);
            tracing::info!(event = "token.rotated");
            Ok(())
        }
        Err(error) => {
            tracing::warn!(event = "token.refused", error = %error);
            Err(error.to_string())
        }
    }
}

fn watching(name: &'static str, what: &'static str) -> JobPlan {
    JobPlan { name, what, period: CONFIG_POLL_INTERVAL, first: FirstRun::AfterPeriod }
}

/// The listener: the one a parent handed over, else a new one.
fn listener(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let inherited =
        listenfd::ListenFd::from_env().take_tcp_listener(0).context("the listener given by LISTEN_FDS")?;
    let listener = match inherited {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(address).with_context(|| {
            format!("listening on {address}: is another latimer running there? `--listen 127.0.0.1:0` takes a free port")
        })?,
    };
    listener.set_nonblocking(true).context("preparing the listener")?;
    tokio::net::TcpListener::from_std(listener).context("preparing the listener")
}

/// The listener for figures alone.
fn metrics_listener(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    let listener =
        bind().with_context(|| format!("listening on {address} for figures (`metrics.listen`)"))?;
    tracing::info!(event = "metrics.listening", address = ?listener.local_addr().ok());
    Ok(listener)
}

/// SIGTERM and Ctrl-C drain, SIGUSR1 hands over.
fn stop_signals() -> anyhow::Result<(mpsc::Sender<StopRequest>, mpsc::Receiver<StopRequest>)> {
    signals([
        (SignalKind::terminate(), "SIGTERM", StopRequest::Drain),
        (SignalKind::interrupt(), "Ctrl-C", StopRequest::Drain),
        (SignalKind::user_defined1(), "SIGUSR1", StopRequest::HandOver),
    ])
}

/// Drains once there was no turn for this long.
async fn stop_when_idle(proxy: Arc<Proxy>, idle_exit: Duration, stop: mpsc::Sender<StopRequest>) {
    while proxy.idle_for() < idle_exit {
        let left = idle_exit.saturating_sub(proxy.idle_for());
        tokio::time::sleep(left.max(MIN_IDLE_POLL_INTERVAL)).await;
    }
    let _ = stop.send(StopRequest::Drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_cannot_be_written_matters_only_where_a_token_is_wanted() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(secret(dir.path(), Auth::Token).expect("made").is_some());
        // A directory in the place of the file: root cannot write there either.
        let broken = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(broken.path().join("token")).expect("made");
        assert!(secret(broken.path(), Auth::None).expect("fine").is_none());
        assert!(secret(broken.path(), Auth::Token).is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_answered_with_what_to_do() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = holder.local_addr().expect("an address");
        let error = listener(address).expect_err("taken");
        let text = format!("{error:#}");
        assert!(text.contains(&address.to_string()) && text.contains("--listen 127.0.0.1:0"), "{text}");
    }
}
