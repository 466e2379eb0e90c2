//! The process side: what is sensed becomes signals, and orders are executed.

pub mod actions;
pub mod child;
pub mod clock;
pub mod control;
pub mod decider;
pub mod maintenance;
pub mod process;
pub mod proxy_client;
pub mod registry;
pub mod sensors;
pub mod socket;
pub mod status;
pub mod supervisor;
pub mod watchdog_loop;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use latimer_protocol::secret::Secret;
use tokio::sync::{mpsc, watch};

use self::actions::notify::Notifier;
use self::child::Program;
use self::clock::Clock;
use self::control::Control;
use self::decider::{Decider, Sources};
use self::process::Identity;
use self::proxy_client::{ProxyClient, TokenSource};
use self::registry::{Registry, Role};
use self::sensors::SensorConfig;
use self::sensors::files::WatchedFiles;
use self::socket::BindError;
use self::supervisor::Supervisor;
use self::watchdog_loop::{LoopInputs, LoopParts, Regenerate, WatchdogLoop};
use crate::settings::Settings;
use latimer_files::{FileLock, TryLock};

/// The lock in the state directory.
const LOCK_FILE: &str = "watchdog.lock";

/// What a watchdog is started with.
pub struct Options {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// A listener that a service manager handed over, in place of the address.
    pub listener: Option<TcpListener>,
    /// Where the registry, the lock, the control socket and the logs live.
    pub state_dir: PathBuf,
    /// What the proxy asks its clients for, if anything.
    pub token: Option<Secret>,
    /// Where that is read again when the proxy does not take it any more.
    pub token_source: TokenSource,
    /// The proxy.
    pub program: Program,
    /// How long open turns may go on after a request to stop, plus what the proxy needs for its last words.
    pub grace: Duration,
    /// The configuration file, where there is one.
    pub config: Option<PathBuf>,
    /// Logs of clients to look for signatures in, each with the client's name.
    pub foreign_logs: Vec<(String, PathBuf)>,
    /// The `[watchdog]` part of the configuration.
    pub settings: Settings,
    /// Where changed settings and rules are read from.
    pub sources: Sources,
    /// A proxy that ends well by itself takes the watchdog along.
    pub leaves_with_proxy: bool,
    /// Makes the generated files of a client anew.
    pub regenerate: Regenerate,
}

/// What the process is told from outside, by signals of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlSignal {
    /// End the proxy, give open turns their time, and end.
    Stop,
    /// Start the proxy anew behind the same socket.
    Upgrade,
}

/// Why a watchdog does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another one keeps the same state directory.
    #[error("another watchdog already keeps `{0}`")]
    Second(PathBuf),
    /// There is no socket to keep.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// Something of the system.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Keeps a proxy alive until it is told to stop, or until the proxy ends well by itself. `ready` hears the address once, when a
/// turn through the first proxy works.
///
/// # Errors
///
/// See [`RunError`]; nothing was started then.
pub async fn run(
    options: Options,
    control_signals: mpsc::Receiver<ControlSignal>,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), RunError> {
    let lock = match FileLock::take(&options.state_dir.join(LOCK_FILE)) {
        Ok(TryLock::Taken(lock)) => Some(lock),
        Ok(TryLock::Held) => return Err(RunError::Second(options.state_dir)),
        Err(error) => {
            // A disk that cannot be written is no reason to leave the proxy alone.
            tracing::warn!(event = "state.readonly", error = %error);
            None
        }
    };
    let registry = Registry::new(&options.state_dir);
    let (listener, orphan) = hold(options.listener, options.address, &registry)?;
    let address = match &listener {
        Some(listener) => listener
            .local_addr()
            .map_err(|source| RunError::Io { what: "the address of the listener", source })?,
        None => options.address,
    };
    let api = Arc::new(ProxyClient::new(address, options.token).with_token_source(options.token_source));
    let watched = WatchedFiles {
        files: options.config.into_iter().chain(options.sources.rules.clone()).collect(),
        program: options.program.path.clone(),
        state_dir: options.state_dir.clone(),
        address,
        foreign_logs: options.foreign_logs,
    };
    let (supervisor, events) =
        Supervisor::new(options.program, listener, address, registry.clone(), Arc::clone(&api));
    let (request_sender, requests) = mpsc::channel(16);
    let control = Control::open(&options.state_dir, request_sender);
    if let Err(error) = &control {
        tracing::warn!(event = "control.closed", error = %error);
    }
    let (signals, reports) = mpsc::channel(256);
    let (serving, expected) = watch::channel(None);
    let sensor_config = SensorConfig {
        api: Arc::clone(&api),
        registry: registry.clone(),
        watched,
        settings: options.settings.clone(),
    };
    let decider =
        Decider::new(options.settings.clone(), options.sources, &options.state_dir, Clock::new().now());
    let senses = sensors::start(sensor_config, &expected, &signals);
    let parts = LoopParts {
        supervisor,
        api,
        registry,
        decider,
        leaves_with_proxy: options.leaves_with_proxy,
        address,
        state_dir: options.state_dir,
        grace: options.grace,
        regenerate: options.regenerate,
        alerts: Notifier::new(options.settings.notify),
        serving,
        signals,
    };
    let inputs = LoopInputs { events, signals: reports, requests, control_signals };
    WatchdogLoop::new(parts).run(inputs, orphan, ready).await;
    drop((senses, control, lock));
    Ok(())
}

/// The socket, and a proxy that already serves on it because it outlived its watchdog.
fn hold(
    given: Option<TcpListener>,
    address: SocketAddr,
    registry: &Registry,
) -> Result<(Option<TcpListener>, Option<Identity>), RunError> {
    if let Some(listener) = given {
        listener
            .set_nonblocking(true)
            .map_err(|source| RunError::Io { what: "preparing the listener that was handed over", source })?;
        return Ok((Some(listener), None));
    }
    let trouble = match socket::bind(address) {
        Ok(listener) => return Ok((Some(listener), None)),
        Err(trouble) => trouble,
    };
    let ours = address.to_string();
    let orphan = registry.living(Role::Proxy).into_iter().find(|entry| entry.address.as_ref() == Some(&ours));
    match (orphan, trouble) {
        (Some(orphan), BindError::Taken { .. }) => {
            let listener = socket::take_back(orphan.identity, address);
            tracing::info!(
                event = "proxy.adopted",
                pid = orphan.identity.pid,
                with_socket = listener.is_some()
            );
            Ok((listener, Some(orphan.identity)))
        }
        (_, trouble) => Err(trouble.into()),
    }
}
