//! `latimer-watchdog run`: the keeper in the foreground.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use latimer_proxy::config::{Auth, state};
use latimer_watchdog::run::child::Program;
use latimer_watchdog::run::decider::Sources;
use latimer_watchdog::run::watchdog_loop::Regenerate;
use latimer_watchdog::run::{ControlSignal, Options};
use tokio::sync::mpsc;

use super::environment::environment;
use crate::command::launch::{CATALOG, write_catalog};
use crate::logging::{self, Format};
use crate::setup::{self, Places};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog run\n  latimer-watchdog run --config ./latimer.toml -- ./target/debug/latimer serve --log json\n\nThe first line on stdout says where it listens, once a turn through the proxy works. SIGHUP starts the proxy anew behind the\nsame port; Ctrl-C ends both."
)]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
    /// Where to listen; overrides `server.listen`; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The form of the watchdog's own log lines on stderr
    #[arg(long, value_enum, default_value_t = Format::Human)]
    log: Format,
    /// Stop when there was no turn for so many seconds
    #[arg(long, value_name = "SECONDS", hide = true)]
    idle_exit: Option<u64>,
    /// The proxy's program and arguments [default: the `latimer` beside this program, `serve`]
    #[arg(last = true, value_name = "PROXY")]
    proxy: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    logging::init(args.log);
    let state_dir = args.places.state()?;
    let configuration = args.places.configuration()?;
    let server = &configuration.loaded.config.server;
    let address = args.listen.unwrap_or(server.listen);
    if !address.ip().is_loopback() && server.auth == Auth::None {
        anyhow::bail!(
            "`{address}` can be reached from other machines, and server.auth is \"none\"; use auth = \"token\" or a loopback address"
        );
    }
    let token = match server.auth {
        Auth::Token => Some(state::token(&state_dir).context("the access token")?),
        Auth::None => None,
    };
    let settings = super::settings::of(&configuration)?;
    anyhow::ensure!(
        settings.enabled,
        "`watchdog.enabled` is false; `latimer serve` runs the proxy without a watchdog"
    );
    let program = program(args, &state_dir, configuration.path.as_deref())?;
    let listener =
        listenfd::ListenFd::from_env().take_tcp_listener(0).context("the listener given by LISTEN_FDS")?;
    let options = Options {
        address,
        listener,
        state_dir,
        token,
        program,
        grace: server.grace,
        config: configuration.path.clone(),
        foreign_logs: foreign_logs(),
        settings,
        sources: sources(&args.places, configuration.path.as_deref()),
        leaves_with_proxy: args.idle_exit.is_some(),
        regenerate: regenerate(&args.places),
    };
    setup::runtime()?.block_on(async move {
        let control_signals = control_signals()?;
        let ready = |address: SocketAddr| {
            // Nobody may be reading any more; that is no reason to stop.
            let _ = setup::say(&format!("latimer listening on http://{address}"));
        };
        latimer_watchdog::run::run(options, control_signals, ready)
            .await
            .context("the watchdog does not run")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Where changed settings are read from, and the rules: `watchdog-rules.toml` beside the configuration.
fn sources(places: &Places, config: Option<&Path>) -> Sources {
    let places = places.clone();
    let read = move || {
        let configuration = places.configuration().map_err(|error| format!("{error:#}"))?;
        super::settings::of(&configuration).map_err(|error| format!("{error:#}"))
    };
    Sources { settings: Box::new(read), rules: config.map(rules_file) }
}

/// The rules that go with a configuration file: beside it.
pub(crate) fn rules_file(config: &Path) -> PathBuf {
    config.with_file_name("watchdog-rules.toml")
}

/// Makes generated files anew: the model catalog of Codex is the only one. A file of a person's is never touched.
fn regenerate(places: &Places) -> Regenerate {
    let places = places.clone();
    Arc::new(move |client| {
        let state_dir = places.state().map_err(|error| format!("{error:#}"))?;
        match client {
            None | Some("codex") if state_dir.join(CATALOG).exists() => {
                let configuration = places.configuration().map_err(|error| format!("{error:#}"))?;
                write_catalog(&state_dir, &configuration.loaded.config, None)
                    .map(|_| ())
                    .map_err(|error| format!("{error:#}"))
            }
            None | Some("codex") => Ok(()),
            Some(other) => Err(format!("no file is generated for `{other}`")),
        }
    })
}

/// Where clients write their logs.
fn foreign_logs() -> Vec<(String, PathBuf)> {
    let home = setup::env("CODEX_HOME").map(PathBuf::from);
    let home = home.or_else(|| setup::env("HOME").map(|home| Path::new(&home).join(".codex")));
    home.map(|home| ("codex".to_owned(), home.join("log/codex-tui.log"))).into_iter().collect()
}

/// What to start: what was given, else our partner.
fn program(args: &Args, state_dir: &Path, config: Option<&Path>) -> anyhow::Result<Program> {
    let config = config.map(Path::to_owned);
    let mut given = args.proxy.iter().cloned();
    let (path, arguments) = match given.next() {
        Some(path) => (PathBuf::from(path), given.collect()),
        None => (partner("latimer")?, serve(state_dir, config.as_deref(), args.idle_exit)),
    };
    Ok(Program { path, args: arguments, environment: Box::new(move || environment(config.as_deref())) })
}

fn serve(state_dir: &Path, config: Option<&Path>, idle_exit: Option<u64>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["serve".into(), "--log".into(), "json".into()];
    args.extend(["--state-dir".into(), state_dir.into()]);
    if let Some(config) = config {
        args.extend(["--config".into(), config.into()]);
    }
    if let Some(seconds) = idle_exit {
        args.extend(["--idle-exit".into(), seconds.to_string().into()]);
    }
    args
}

/// The other binary, beside this one.
pub(crate) fn partner(name: &str) -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("the path of this program")?;
    // A program that was replaced while it ran is found under its old name.
    let text = me.to_string_lossy();
    let me = text.strip_suffix(" (deleted)").map_or_else(|| me.clone(), PathBuf::from);
    let partner = me.with_file_name(name);
    anyhow::ensure!(
        partner.is_file(),
        "there is no `{name}` beside `{}`; install both together",
        me.display()
    );
    Ok(partner)
}

/// Wishes by signal: SIGTERM and Ctrl-C stop, SIGHUP upgrades.
fn control_signals() -> anyhow::Result<mpsc::Receiver<ControlSignal>> {
    use tokio::signal::unix::{SignalKind, signal};
    const AT_ONCE: usize = 4;
    let (send, receive) = mpsc::channel(AT_ONCE);
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for Ctrl-C")?;
    let mut hang_up = signal(SignalKind::hangup()).context("watching for SIGHUP")?;
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = terminate.recv() => ControlSignal::Stop,
                _ = interrupt.recv() => ControlSignal::Stop,
                _ = hang_up.recv() => ControlSignal::Upgrade,
            };
            if send.send(signal).await.is_err() {
                break;
            }
        }
    });
    Ok(receive)
}

/// The longest that ending everything may take.
pub(crate) fn patience(grace: Duration) -> Duration {
    grace + Duration::from_secs(15)
}
