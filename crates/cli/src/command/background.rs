//! `latimer up`, `latimer down` and `latimer status`: the watchdog and its proxy in the background.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use latimer_proxy::config::state;
use latimer_watchdog::run::control::{ControlError, Request, ask};
use latimer_watchdog::run::status::{WatchdogPhase, WatchdogStatus};

use crate::setup::{self, Configuration, Places};
use crate::watchdog::ask::{end, words};
use crate::watchdog::environment::environment;
use crate::watchdog::run::{partner, patience};

/// How long the first proxy may take to answer a turn.
const START: Duration = Duration::from_secs(30);
/// How long the watchdog may take to answer.
const SOON: Duration = Duration::from_secs(5);
/// The log of orders and alerts is turned over at a start when it is larger than this, in bytes.
const LOG_FULL: u64 = 10 << 20;
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer up        start the watchdog and its proxy in the background\n  latimer status    see how they are\n  latimer down      end both; open turns get their time"
)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

pub(crate) fn up(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    let configuration = args.places.configuration()?;
    let (status, is_new) = match running(&state_dir)? {
        Some(status) => (status, false),
        None => (start(&state_dir, &configuration, None)?, true),
    };
    if args.json {
        setup::say(&serde_json::to_string_pretty(&status)?)?;
    } else {
        let begun = if is_new { "started" } else { "runs already" };
        setup::say(&format!("{begun}\n{}", words(&status)))?;
    }
    Ok(if status.phase == WatchdogPhase::Holding { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) fn down(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    // A configuration that is broken by now is no reason not to stop.
    let grace =
        args.places.configuration().map_or(Duration::from_secs(30), |read| read.loaded.config.server.grace);
    let was_running = running(&state_dir)?.is_some();
    if was_running {
        end(&state_dir, patience(grace))?;
    }
    if args.json {
        setup::say(&serde_json::json!({ "was_running": was_running }).to_string())?;
    } else {
        setup::say(if was_running { "stopped" } else { "nothing runs" })?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn status(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    match running(&state_dir)? {
        Some(status) if args.json => setup::say(&serde_json::to_string_pretty(&status)?)?,
        Some(status) => setup::say(&words(&status))?,
        None if args.json => {
            setup::say("null")?;
            return Ok(ExitCode::FAILURE);
        }
        None => {
            setup::say("nothing runs; `latimer up` starts the watchdog and its proxy")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The watchdog of this state directory, if one runs.
pub(crate) fn running(state_dir: &Path) -> anyhow::Result<Option<WatchdogStatus>> {
    match ask(state_dir, &Request::Status, SOON) {
        Ok(value) => Ok(Some(
            serde_json::from_value(value).context("a watchdog of another version answered; restart it")?,
        )),
        Err(ControlError::Nobody) => Ok(None),
        Err(error) => Err(error).context("asking the watchdog"),
    }
}

/// Starts a watchdog that outlives this process, and waits until a turn through its proxy works.
pub(crate) fn start(
    state_dir: &Path,
    configuration: &Configuration,
    idle_exit: Option<&str>,
) -> anyhow::Result<WatchdogStatus> {
    let log_path = state_dir.join("watchdog.log");
    if std::fs::metadata(&log_path).is_ok_and(|metadata| metadata.len() > LOG_FULL) {
        let _ = std::fs::rename(&log_path, state_dir.join("watchdog.log.1"));
    }
    let log = state::open_private_log(&log_path)
        .with_context(|| format!("opening the log `{}`", log_path.display()))?;
    let mut run = Command::new(partner("latimer-watchdog")?);
    run.arg("run").arg("--state-dir").arg(state_dir).args(["--log", "json"]);
    if let Some(path) = &configuration.path {
        let path = std::path::absolute(path).context("the path of the configuration")?;
        run.arg("--config").arg(path);
    }
    if let Some(seconds) = idle_exit {
        run.args(["--idle-exit", seconds]);
    }
    run.env_clear().envs(environment(configuration.path.as_deref()));
    // Wherever it was started from, it keeps no directory busy and belongs to no terminal.
    run.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = run.spawn().context("starting the watchdog")?;
    let stdout = child.stdout.take().context("no stdout")?;
    let (told, line) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = told.send(line);
    });
    let begun = Instant::now();
    loop {
        // Its first line comes when a turn works; without one, its status says why.
        let is_ready = line.try_recv().is_ok_and(|line| !line.is_empty());
        match ask(state_dir, &Request::Status, SOON) {
            Ok(value) => {
                let status: WatchdogStatus = serde_json::from_value(value).context("its status")?;
                if is_ready || matches!(status.phase, WatchdogPhase::Serving | WatchdogPhase::Holding) {
                    return Ok(status);
                }
            }
            Err(_) => {
                if let Some(status) = child.try_wait().context("waiting for the watchdog")? {
                    bail!("the watchdog ended with {status}: {}", last_line(&log_path));
                }
            }
        }
        if begun.elapsed() > START {
            bail!("no turn works after {} s; the log is `{}`", START.as_secs(), log_path.display());
        }
        std::thread::sleep(LOOK);
    }
}

/// The last line of a log, which says why a process ended.
fn last_line(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next_back().unwrap_or("it said nothing").to_owned()
}
