//! `latimer serve`: the proxy in the foreground.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use latimer_protocol::turn::Seal;
use latimer_proxy::config::watch::{Live, watch};
use latimer_proxy::config::{Auth, state};
use latimer_proxy::lifecycle::phase::StopRequest;
use latimer_proxy::server::Proxy;
use tokio::sync::mpsc;

use crate::logging::{self, Format};
use crate::setup::{self, Places};

/// How often the configuration file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The file in the state directory that says where the running proxy answers.
pub(crate) const PROXY_FILE: &str = "proxy.json";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer serve\n  latimer serve --config ./latimer.toml --listen 127.0.0.1:0 --log json\n\nThe first line on stdout says where it listens. Ctrl-C drains: open turns finish, new ones are refused."
)]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
    /// Where to listen; overrides `server.listen`; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The form of the log lines on stderr
    #[arg(long, value_enum, default_value_t = Format::Human)]
    log: Format,
    /// Stop after this many seconds without a turn
    #[arg(long, value_name = "SECONDS", hide = true)]
    idle_exit: Option<u64>,
    /// Read and write nothing that was learned or kept
    #[arg(long, hide = true)]
    safe: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    logging::init(args.log);
    raise_descriptor_limit();
    let state_dir = args.places.state()?;
    let configuration = args.places.configuration()?;
    for warning in &configuration.loaded.warnings {
        tracing::warn!(event = "config.warning", problem = %warning);
    }
    let server = configuration.loaded.config.server.clone();
    let listen = args.listen.unwrap_or(server.listen);
    if !listen.ip().is_loopback() && server.auth == Auth::None {
        anyhow::bail!(
            "`{listen}` can be reached from other machines, and server.auth is \"none\"; use auth = \"token\" or a loopback address"
        );
    }
    let secret = match (state::token(&state_dir), server.auth) {
        (Ok(secret), _) => Some(secret),
        (Err(error), Auth::Token) => return Err(error).context("the access token"),
        (Err(error), Auth::None) => {
            tracing::warn!(event = "state.readonly", error = %error);
            None
        }
    };
    // Without a secret that lasts, the state of providers is nobody's after a restart.
    let sealing = secret.clone().map_or_else(state::random_secret, Ok).context("randomness of the system")?;
    let seal = Seal::from_secret(sealing.expose().as_bytes());
    let token = secret.filter(|_| server.auth == Auth::Token);
    setup::runtime()?.block_on(async move {
        let listener = listener(listen)?;
        let address = listener.local_addr().context("the listener's address")?;
        let live = Arc::new(Live::new(configuration.loaded.config, configuration.path.clone()));
        let make = if args.safe { Proxy::safe } else { Proxy::new };
        let proxy = make(Arc::clone(&live), token.as_ref(), seal, Some(setup::accounts(&state_dir)));
        if let (Some(path), Some(version)) = (configuration.path, configuration.version) {
            tokio::spawn(watch(Arc::clone(&live), path, version, LOOK_EVERY, setup::load_text));
        }
        let url = format!("http://{address}");
        announce(&state_dir, &url);
        setup::say(&format!("latimer listening on {url}"))?;
        let stop =
            stop_signals(args.idle_exit.map(|seconds| (Duration::from_secs(seconds), Arc::clone(&proxy))))?;
        proxy.serve(listener, stop).await.context("serving")?;
        withdraw(&state_dir);
        Ok(ExitCode::SUCCESS)
    })
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

/// Writes where the proxy answers, so that `latimer launch` finds it. Not being found is no reason not to serve.
fn announce(state_dir: &Path, url: &str) {
    let text = serde_json::json!({ "pid": std::process::id(), "url": url }).to_string();
    if let Err(error) = state::write_private(&state_dir.join(PROXY_FILE), text.as_bytes()) {
        tracing::warn!(event = "announce.failed", error = %error);
    }
}

/// Removes what [`announce`] wrote, unless a proxy that took over has written it anew.
fn withdraw(state_dir: &Path) {
    let path = state_dir.join(PROXY_FILE);
    let is_ours = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .is_some_and(|value| value["pid"] == std::process::id());
    if is_ours {
        let _ = std::fs::remove_file(path);
    }
}

/// Yields once for every SIGTERM or Ctrl-C, once after a long idle time if one is given, and a hand-over for SIGUSR1.
fn stop_signals(idle: Option<(Duration, Arc<Proxy>)>) -> anyhow::Result<mpsc::Receiver<StopRequest>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (send, receive) = mpsc::channel(4);
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for Ctrl-C")?;
    let mut hand_over = signal(SignalKind::user_defined1()).context("watching for SIGUSR1")?;
    if let Some((longest, proxy)) = idle {
        let send = send.clone();
        tokio::spawn(async move {
            while proxy.idle_for() < longest {
                tokio::time::sleep(longest.saturating_sub(proxy.idle_for()).max(Duration::from_secs(1)))
                    .await;
            }
            let _ = send.send(StopRequest::Drain).await;
        });
    }
    tokio::spawn(async move {
        loop {
            let how = tokio::select! {
                _ = terminate.recv() => StopRequest::Drain,
                _ = interrupt.recv() => StopRequest::Drain,
                _ = hand_over.recv() => StopRequest::HandOver,
            };
            if send.send(how).await.is_err() {
                break;
            }
        }
    });
    Ok(receive)
}

/// Every stream needs two descriptors, and the usual soft limit is 1,024. Failing is fine: the accept loop copes.
fn raise_descriptor_limit() {
    let _ = rlimit::increase_nofile_limit(1 << 16);
}
