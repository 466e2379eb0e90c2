//! Starts the watchdog, or the proxy alone, as a process in the background that outlives this one.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use latimer_watchdog::run::status::{WatchdogPhase, WatchdogStatus};

use crate::clock;
use crate::configuration::Configuration;
use crate::control_client::status_if_running;
use crate::environment::proxy_environment;
use crate::logging;
use crate::sibling::sibling_binary;

/// How long the first proxy may take to answer a turn.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a watchdog that starts is asked how it is.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The watchdog's log is turned over at a start when it is larger than this, in bytes.
const MAX_LOG_BYTES: u64 = 10 << 20;
/// What stands before the URL in the first line of a proxy on stdout.
pub(crate) const READY_PREFIX: &str = "latimer listening on ";

/// A proxy that was started alone.
pub(crate) struct StartedProxy {
    pub(crate) pid: u32,
    pub(crate) url: String,
}

/// Starts a watchdog with its proxy, and waits until a turn through the proxy works or the watchdog gave up.
/// With `listen` they listen there and not where the configuration says; with `idle_exit` both end after so many seconds without a turn.
///
/// # Errors
/// The watchdog is not installed beside this program, ends, or needs more than [`START_TIMEOUT`].
pub(crate) fn start_watchdog(
    state_dir: &Path,
    configuration: &Configuration,
    listen: Option<SocketAddr>,
    idle_exit: Option<Duration>,
) -> anyhow::Result<WatchdogStatus> {
    let log_path = state_dir.join("watchdog.log");
    turn_over(&log_path, MAX_LOG_BYTES);
    let log = latimer_files::append(&log_path)
        .with_context(|| format!("opening the log `{}`", log_path.display()))?;
    let mut command = Command::new(sibling_binary("latimer-watchdog")?);
    command.arg("run").arg("--state-dir").arg(state_dir).args(["--log", "json"]);
    if let Some(path) = &configuration.path {
        let path = std::path::absolute(path).context("the path of the configuration")?;
        command.arg("--config").arg(path);
    }
    if let Some(address) = listen {
        command.arg("--listen").arg(address.to_string());
    }
    if let Some(idle) = idle_exit {
        command.arg("--idle-exit").arg(idle.as_secs().to_string());
    }
    command.env_clear().envs(proxy_environment(configuration.path.as_deref()));
    say_as_much(&mut command);
    // Wherever it was started from, it keeps no directory busy and belongs to no terminal.
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = command.spawn().context("starting the watchdog")?;
    let first_line = read_in_background(take_stdout(&mut child)?);
    let started_at = clock::now();
    loop {
        // Its first line comes when a turn works; without one, its status says why.
        let is_ready = first_line.try_recv().is_ok_and(|line| !line.is_empty());
        match status_if_running(state_dir) {
            Ok(Some(status))
                if is_ready || matches!(status.phase, WatchdogPhase::Serving | WatchdogPhase::Holding) =>
            {
                return Ok(status);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                if let Some(status) = child.try_wait().context("waiting for the watchdog")? {
                    bail!("the watchdog ended with {status}: {}", last_line(&log_path));
                }
            }
        }
        if started_at.elapsed() > START_TIMEOUT {
            bail!("no turn works after {} s; the log is `{}`", START_TIMEOUT.as_secs(), log_path.display());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Starts a proxy without a watchdog, so that several launches can share it; it ends by itself after this long without a turn.
///
/// # Errors
/// It ends before it listens; its log says why.
pub(crate) fn start_proxy(
    state_dir: &Path,
    config: Option<&Path>,
    listen: Option<SocketAddr>,
    idle_exit: Duration,
) -> anyhow::Result<StartedProxy> {
    let log_path = state_dir.join("proxy.log");
    let log = latimer_files::append(&log_path)
        .with_context(|| format!("opening the log `{}`", log_path.display()))?;
    let mut command = Command::new(std::env::current_exe().context("the path of latimer")?);
    command.arg("serve").arg("--state-dir").arg(state_dir).args(["--log", "json"]);
    command.arg("--idle-exit").arg(idle_exit.as_secs().to_string());
    if let Some(path) = config {
        command.arg("--config").arg(path);
    }
    if let Some(address) = listen {
        command.arg("--listen").arg(address.to_string());
    }
    say_as_much(&mut command);
    // A group of its own: Ctrl-C in the client's terminal is meant for the client.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = command.spawn().context("starting the proxy")?;
    let url = take_stdout(&mut child)
        .and_then(ready_url)
        .with_context(|| format!("the proxy did not start; its log is `{}`", log_path.display()))?;
    Ok(StartedProxy { pid: child.id(), url })
}

/// What is started says as much in its log as this command was asked to.
fn say_as_much(command: &mut Command) {
    if let Some(level) = logging::wanted_level() {
        command.env("LATIMER_LOG", level);
    }
}

fn take_stdout(child: &mut Child) -> anyhow::Result<ChildStdout> {
    child.stdout.take().context("no stdout")
}

/// The URL in the first line of a proxy.
fn ready_url(stdout: impl Read) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("reading its first line")?;
    let url = line.trim().strip_prefix(READY_PREFIX).context("it ended before it was listening")?;
    Ok(url.to_owned())
}

/// The first line, once it is there; an empty one at the end.
fn read_in_background(stdout: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = send.send(line);
    });
    receive
}

/// Sets a log that has grown too large aside as `….1`. A log that cannot be moved goes on growing.
fn turn_over(path: &Path, max_bytes: u64) {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > max_bytes) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        let _ = std::fs::rename(path, old);
    }
}

/// The last line of a log, which says why a process ended.
fn last_line(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next_back().unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_proxy_brings_its_url() {
        let url = ready_url("latimer listening on http://127.0.0.1:1\nmore\n".as_bytes());
        assert_eq!(url.expect("a URL"), "http://127.0.0.1:1");
        assert!(ready_url("".as_bytes()).is_err() && ready_url("hello\n".as_bytes()).is_err());
    }

    #[test]
    fn only_the_first_line_is_waited_for() {
        let line = read_in_background("one\ntwo\n".as_bytes());
        assert_eq!(line.recv().expect("a line"), "one\n");
    }

    #[test]
    fn a_log_is_turned_over_when_it_is_too_large() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("watchdog.log");
        std::fs::write(&log, "first\nlast words\n").expect("written");
        assert_eq!(last_line(&log), "last words");
        turn_over(&log, 1000);
        assert!(log.exists());
        turn_over(&log, 10);
        assert!(!log.exists() && dir.path().join("watchdog.log.1").exists());
        assert_eq!(last_line(&log), "it said nothing");
    }
}
