//! A program that runs for an endpoint: in a process group of its own, with an environment by list, both pipes drained, and ended with
//! everything that it started.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use latimer_protocol::failure::{self, Failure, FailureKind};
use rustix::process::Signal;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::children::{self, ChildFile};
use super::processes::{ProcessId, sweep};

/// How long a program may take to end after it was asked to.
const POLITE: Duration = Duration::from_secs(2);
/// How long a killed one may take to be collected.
const COLLECT: Duration = Duration::from_secs(2);
/// Bytes of what a program said on its error output that are kept.
const MAX_TAIL: usize = 2048;

/// Programs that run or are being stopped.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// How many there may be.
static MAX_LIVE: AtomicUsize = AtomicUsize::new(USUAL_MAX);
/// How many there may be where the configuration says nothing (`agents.children`).
pub const USUAL_MAX: usize = 16;
/// When a client for whose program there was no room should ask again.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked whether all of them are gone.
const POLL: Duration = Duration::from_millis(10);

/// Waits until every program that was started is gone with all that it started, at most for so long.
pub async fn all_gone(limit: Duration) {
    let gone = async {
        while LIVE.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    let _ = tokio::time::timeout(limit, gone).await;
}

/// How many programs of agents may run at once, over all endpoints of this process.
pub fn set_max(max: usize) {
    MAX_LIVE.store(max, Ordering::Release);
}

/// Counts a program as long as something of it may be there.
#[derive(Debug)]
struct Live;

impl Live {
    /// `None` where there are as many as there may be.
    fn new() -> Option<Self> {
        let max = MAX_LIVE.load(Ordering::Acquire);
        let more = |live: usize| (live < max).then_some(live + 1);
        LIVE.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Self)
    }
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// As many run as may.
    #[error("as many programs of agents run as may (`agents.children`)")]
    Full,
    /// The system does not run it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StartError {
    /// What it means for a turn of this endpoint, whose program stands there.
    pub fn failure(&self, endpoint: &str, path: &Path) -> Failure {
        match self {
            Self::Full => {
                let message = format!(
                    "{endpoint}: {} programs of agents run already, and no more may; ask again later, or raise `agents.children`",
                    LIVE.load(Ordering::Relaxed)
                );
                let kind = FailureKind::ConcurrencyLimited;
                let (retry_after, cause) = (Some(RETRY_AFTER), Some(failure::QUEUE_FULL));
                Failure { retry_after, cause, ..Failure::new(kind, message) }
            }
            Self::Io(error) => {
                let message = format!("{endpoint}: `{}` cannot be started: {error}", path.display());
                // What else there is passes by itself: a machine without room for one more, a program that is being replaced.
                let lasts = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
                let cause = lasts.then_some(failure::NOT_INSTALLED);
                Failure { cause, ..Failure::new(FailureKind::Unreachable, message) }
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What to run.
#[derive(Debug)]
pub struct Program<'p> {
    /// The binary, as an absolute path.
    pub path: &'p Path,
    /// Its arguments; never a secret, a prompt or instructions.
    pub args: Vec<OsString>,
    /// Its variables: no others are passed on.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder it begins in.
    pub cwd: &'p Path,
    /// What ends it and its commands, once its input is closed.
    pub stop: StopSignal,
    /// The value of the mark in its environment: its own alone.
    pub mark: String,
    /// The folder of all agents, where it is written down.
    pub agents: &'p Path,
}

/// What ends a program together with its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// The end of its input is enough.
    EndOfInput,
    /// SIGINT to its group.
    Interrupt,
    /// SIGTERM to its group.
    Terminate,
}

impl StopSignal {
    fn signal(self) -> Option<Signal> {
        match self {
            Self::EndOfInput => None,
            Self::Interrupt => Some(Signal::INT),
            Self::Terminate => Some(Signal::TERM),
        }
    }
}

/// The pipes of a program.
pub struct Pipes {
    /// Closing it is a message too.
    pub stdin: ChildStdin,
    /// Its lines.
    pub stdout: ChildStdout,
    /// To be drained, whatever it says.
    pub stderr: ChildStderr,
}

/// A program that runs. Dropping it stops it, with everything that it started.
pub struct AgentChild {
    running: Option<Running>,
    id: ProcessId,
}

struct Running {
    child: Child,
    id: ProcessId,
    mark: String,
    stop: StopSignal,
    /// Removed when all of it is gone.
    file: Option<ChildFile>,
    live: Live,
}

/// Starts a program.
///
/// # Errors
/// It cannot be run, or there is no room for it.
pub fn start(program: Program<'_>) -> Result<(AgentChild, Pipes), StartError> {
    let live = Live::new().ok_or(StartError::Full)?;
    let mut command = Command::new(program.path);
    command
        .args(&program.args)
        .env_clear()
        .envs(program.environment)
        .current_dir(program.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the program ended at once");
    let pid = child.id().ok_or_else(gone)?;
    let id = ProcessId::of(pid).unwrap_or(ProcessId { pid, started: 0 });
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let pipes = Pipes {
        stdin: stdin.ok_or_else(gone)?,
        stdout: stdout.ok_or_else(gone)?,
        stderr: stderr.ok_or_else(gone)?,
    };
    // Without its file it is still found by its mark as long as this proxy lives.
    let file = children::register(program.agents, id, &program.mark)
        .inspect_err(|error| tracing::warn!(event = "agent.not_registered", pid, error = %error))
        .ok();
    let running = Running { child, id, mark: program.mark, stop: program.stop, file, live };
    Ok((AgentChild { running: Some(running), id }, pipes))
}

impl AgentChild {
    /// Which process it is.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits until it is gone. May be dropped and called again.
    pub async fn wait(&mut self) -> Exit {
        match &mut self.running {
            Some(running) => running.child.wait().await.map_or(Exit::UNKNOWN, Exit::of),
            None => Exit::UNKNOWN,
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<Exit> {
        let status = self.running.as_mut()?.child.try_wait();
        status.map_or(Some(Exit::UNKNOWN), |status| status.map(Exit::of))
    }

    /// Ends it with everything that it started, and waits until all of that is gone: at most a few seconds. Its input must be closed
    /// before where [`StopSignal::EndOfInput`] is to be enough.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.end().await;
        }
    }
}

impl Drop for AgentChild {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(running.end());
        } else {
            // The runtime is gone, and the process is about to be.
            let _ = running.child.start_kill();
            sweep(|found| found == running.mark);
        }
    }
}

impl Running {
    async fn end(mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            if let Some(signal) = self.stop.signal() {
                let _ = self.id.signal_group(signal);
            }
            if tokio::time::timeout(POLITE, self.child.wait()).await.is_err() {
                let _ = self.id.signal_group(Signal::KILL);
                let _ = self.child.start_kill();
                let _ = tokio::time::timeout(COLLECT, self.child.wait()).await;
            }
        }
        let Self { mark, file, live, .. } = self;
        // Reading the environments of all processes takes a few milliseconds.
        let swept = tokio::task::spawn_blocking(move || {
            let ended = sweep(|found| found == mark);
            drop((file, live));
            ended
        });
        if let Ok(ended @ 1..) = swept.await {
            tracing::info!(event = "agent.commands_ended", processes = ended);
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Nobody knows.
    pub const UNKNOWN: Self = Self { code: None, signal: None };

    fn of(status: ExitStatus) -> Self {
        Self { code: status.code(), signal: status.signal() }
    }

    /// In words.
    pub fn words(self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown end".to_owned(),
        }
    }
}

/// The last of what a program said on its error output.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// More of it.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let over = self.bytes.len().saturating_sub(MAX_TAIL);
        self.bytes.drain(..over);
    }

    /// The last line that is neither a warning nor a line of a log.
    pub fn words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let is_noise = |line: &str| {
            let lower = line.to_ascii_lowercase();
            lower.starts_with("warning") || line.contains(" WARN ") || line.contains(" INFO ")
        };
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !is_noise(line))?;
        Some(line.chars().take(400).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_line_that_says_something() {
        let mut tail = Tail::default();
        tail.push(&[b'x'; 5000]);
        tail.push(b"\nError: no login\nWARNING: old\n2026-01-01T00:00:00Z  WARN core: slow\n\n");
        assert_eq!(tail.words().as_deref(), Some("Error: no login"));
        assert_eq!(Tail::default().words(), None);
    }
}
