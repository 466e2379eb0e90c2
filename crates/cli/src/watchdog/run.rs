//! `latimer-watchdog run`: the watchdog in the foreground.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use latimer_proxy::config::state;
use latimer_watchdog::run::child::Program;
use latimer_watchdog::run::decider::Sources;
use latimer_watchdog::run::watchdog_loop::Regenerate;
use latimer_watchdog::run::{ControlSignal, Options};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use crate::configuration::{PathArgs, access_token, refuse_exposure};
use crate::environment::{env, home, proxy_environment};
use crate::logging::{self, LogFormat};
use crate::panic_log;
use crate::runtime::{Traceable, forbid_core_dumps, runtime, signals};
use crate::sibling::sibling_binary;
use crate::spawn::READY_PREFIX;
use crate::terminal::print_line;
use crate::{codex_catalog, watchdog_settings};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer-watchdog run\n  latimer-watchdog run --config ./latimer.toml -- ./target/debug/latimer serve --log json\n\nThe first line on stdout says where it listens, once a turn through the proxy works. SIGHUP starts the proxy anew behind the\nsame port; Ctrl-C ends both."
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    paths: PathArgs,
    /// Where to listen; overrides `server.listen`; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The form of the watchdog's own log lines on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Human)]
    log: LogFormat,
    /// Stop when there was no turn for so many seconds
    #[arg(long, value_name = "SECONDS", hide = true)]
    idle_exit: Option<u64>,
    /// The proxy's program and arguments [default: the `latimer` beside this program, `serve`]
    #[arg(last = true, value_name = "PROXY")]
    proxy: Vec<OsString>,
}

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    logging::init(args.log);
    panic_log::install(args.log);
    forbid_core_dumps(Traceable::ByNobody);
    // What the proxy is told holds for its watchdog, too.
    let paths = args.paths.clone().or_as_in(&args.proxy)?;
    let state_dir = paths.state_dir_if_possible()?;
    let configuration = paths.configuration()?;
    let server = &configuration.loaded.config.server;
    let address = args.listen.unwrap_or(server.listen);
    refuse_exposure(address, server)?;
    // A reload may want the token that is not wanted yet.
    let token = access_token(&state_dir, server)?.or_else(|| state::token(&state_dir).ok());
    let token_source = {
        let state_dir = state_dir.clone();
        Box::new(move || state::token(&state_dir).ok())
    };
    let settings = watchdog_settings::of(&configuration)?;
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
        token_source,
        program,
        grace: server.grace,
        config: configuration.path.clone(),
        foreign_logs: foreign_logs(),
        settings,
        sources: sources(&paths, configuration.path.as_deref()),
        leaves_with_proxy: args.idle_exit.is_some(),
        regenerate: regenerate(&paths),
    };
    runtime()?.block_on(async move {
        let signals = control_signals()?;
        let ready = |address: SocketAddr| {
            // Nobody may be reading any more; that is no reason to stop.
            let _ = print_line(&format!("{READY_PREFIX}http://{address}"));
        };
        latimer_watchdog::run::run(options, signals, ready).await.context("the watchdog does not run")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Where changed settings are read from, and the rules: `watchdog-rules.toml` beside the configuration.
fn sources(paths: &PathArgs, config: Option<&Path>) -> Sources {
    let paths = paths.clone();
    let read = move || {
        let configuration = paths.configuration().map_err(|error| format!("{error:#}"))?;
        watchdog_settings::of(&configuration).map_err(|error| format!("{error:#}"))
    };
    Sources { settings: Box::new(read), rules: config.map(watchdog_settings::rules_path) }
}

/// Makes generated files anew: the model catalog of Codex is the only one. A file of a person's is never touched.
fn regenerate(paths: &PathArgs) -> Regenerate {
    let paths = paths.clone();
    Arc::new(move |client| {
        let state_dir = paths.state_dir().map_err(|error| format!("{error:#}"))?;
        match client {
            None | Some("codex") if codex_catalog::path(&state_dir).exists() => {
                let configuration = paths.configuration().map_err(|error| format!("{error:#}"))?;
                codex_catalog::write(&state_dir, &configuration.loaded.config, None)
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
    let codex_home = env("CODEX_HOME").map(PathBuf::from).or_else(|| home().map(|home| home.join(".codex")));
    codex_home.map(|home| ("codex".to_owned(), home.join("log/codex-tui.log"))).into_iter().collect()
}

/// The proxy's program: the one that was given, else `latimer serve` of the sibling binary.
fn program(args: &RunArgs, state_dir: &Path, config: Option<&Path>) -> anyhow::Result<Program> {
    let config = config.map(Path::to_owned);
    // A program that was given need not repeat what its watchdog was told.
    let told: Vec<(OsString, OsString)> = std::iter::once(("LATIMER_STATE_DIR".into(), state_dir.into()))
        .chain(config.as_ref().map(|config| ("LATIMER_CONFIG".into(), config.into())))
        .collect();
    let mut given = args.proxy.iter().cloned();
    let (path, arguments) = match given.next() {
        Some(path) => (PathBuf::from(path), given.collect()),
        None => (sibling_binary("latimer")?, serve_arguments(state_dir, config.as_deref(), args.idle_exit)),
    };
    Ok(Program {
        path,
        args: arguments,
        environment: Box::new(move || {
            let mut environment = proxy_environment(config.as_deref());
            environment.retain(|(name, _)| told.iter().all(|(known, _)| known != name));
            environment.extend(told.iter().cloned());
            environment
        }),
    })
}

/// The arguments of a proxy with this state directory and configuration, which ends after so many idle seconds.
fn serve_arguments(state_dir: &Path, config: Option<&Path>, idle_exit: Option<u64>) -> Vec<OsString> {
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

/// SIGTERM and Ctrl-C stop, SIGHUP upgrades.
fn control_signals() -> anyhow::Result<mpsc::Receiver<ControlSignal>> {
    let (_, signals) = signals([
        (SignalKind::terminate(), "SIGTERM", ControlSignal::Stop),
        (SignalKind::interrupt(), "Ctrl-C", ControlSignal::Stop),
        (SignalKind::hangup(), "SIGHUP", ControlSignal::Upgrade),
    ])?;
    Ok(signals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_started_on_the_same_state_and_configuration() {
        let text = |config: Option<&str>, idle| -> Vec<String> {
            let args = serve_arguments(Path::new("/state"), config.map(Path::new), idle);
            args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(text(None, None).join(" "), "serve --log json --state-dir /state");
        assert_eq!(
            text(Some("/c.toml"), Some(60)).join(" "),
            "serve --log json --state-dir /state --config /c.toml --idle-exit 60"
        );
    }

    #[test]
    fn only_files_of_known_clients_are_made_anew() {
        let regenerate = regenerate(&PathArgs::default());
        let error = regenerate(Some("nobody")).expect_err("unknown");
        assert!(error.contains("nobody") || error.contains("state directory"), "{error}");
    }
}
