//! One proxy as a child process: started with the socket, listened to line by line, waited for.
//!
//! It leads a process group of its own, so that Ctrl-C in a terminal reaches the watchdog alone, and so that whatever it starts
//! ends with it. It is not tied to our life: a proxy whose watchdog was killed goes on serving.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::mpsc;

use super::process::Identity;

/// Lines that a proxy said last, kept to explain its end.
const MAX_LAST_LINES: usize = 20;
/// Longer lines are cut: a proxy's own lines are short.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// After the end of a process, how long its last lines may take to arrive. Only a grandchild that keeps the pipe open takes it.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(200);

/// What to run.
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// Its arguments; never a secret.
    pub args: Vec<OsString>,
    /// The environment it needs, asked anew for every start; nothing else is passed on.
    pub environment: Box<dyn Fn() -> Vec<(OsString, OsString)> + Send>,
}

/// How a proxy ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessExit {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it said last that was no line of the log.
    pub last_lines: Vec<String>,
}

/// What happens to a child.
#[derive(Debug)]
pub enum ChildEvent {
    /// It said that it listens.
    Listens(Identity),
    /// A line of its log.
    Line(Identity, String),
    /// It is gone.
    Ended(Identity, ProcessExit),
}

impl ProcessExit {
    fn new(status: ExitStatus, last_lines: Vec<String>) -> Self {
        Self { code: status.code(), signal: status.signal(), last_lines }
    }

    /// In words, for people and for logs.
    pub fn words(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        }
    }
}

/// Starts a proxy on the socket, with more arguments where there are any.
///
/// # Errors
///
/// The program cannot be run, or there is no descriptor or process left.
pub fn spawn(
    program: &Program,
    extra: &[&str],
    listener: &TcpListener,
    events: mpsc::Sender<ChildEvent>,
) -> io::Result<Identity> {
    let (log, log_end) = pipe()?;
    let (ready, ready_end) = pipe()?;
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .args(extra)
        .env_clear()
        .envs((program.environment)())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDS_FIRST_FD", super::socket::CHILD_DESCRIPTOR.to_string())
        .stdin(OwnedFd::from(listener.try_clone()?))
        .stdout(Stdio::from(ready_end))
        .stderr(Stdio::from(log_end))
        .process_group(0);
    let mut child = tokio::process::Command::from(command).kill_on_drop(false).spawn()?;
    let gone = || io::Error::new(io::ErrorKind::NotFound, "the process ended at once");
    let pid = child.id().ok_or_else(gone)?;
    // A process that has ended already keeps its id until it is waited for, but has no start time: zero stands for that.
    let identity = Identity::of(pid).unwrap_or(Identity { pid, started: 0 });
    tokio::spawn(async move {
        let ready = tokio::spawn(read_ready_line(ready, identity, events.clone()));
        let mut lines = tokio::spawn(read_log(log, identity, events.clone()));
        let status = child.wait().await;
        let last_lines = if let Ok(words) = tokio::time::timeout(LAST_LINES_TIMEOUT, &mut lines).await {
            words.unwrap_or_default()
        } else {
            lines.abort();
            Vec::new()
        };
        ready.abort();
        let exit = status
            .map_or(ProcessExit { code: None, signal: None, last_lines: Vec::new() }, |status| {
                ProcessExit::new(status, last_lines)
            });
        let _ = events.send(ChildEvent::Ended(identity, exit)).await;
    });
    Ok(identity)
}

/// A pipe whose writer never waits: a watchdog that hangs must not hang the proxy. A line for which there is no room is lost.
fn pipe() -> io::Result<(tokio::net::unix::pipe::Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    let reader = tokio::net::unix::pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok((reader, OwnedFd::from(writer)))
}

async fn read_ready_line(pipe: impl AsyncRead + Unpin, identity: Identity, events: mpsc::Sender<ChildEvent>) {
    let mut reader = BufReader::new(pipe);
    if let Some(line) = next_line(&mut reader).await
        && line.starts_with("latimer listening on ")
    {
        let _ = events.send(ChildEvent::Listens(identity)).await;
    }
    // The rest is not for us, but a closed pipe would be an error for the proxy.
    let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
}

/// Passes the lines of a log on, and keeps the last ones that are none.
async fn read_log(
    pipe: impl AsyncRead + Unpin,
    identity: Identity,
    events: mpsc::Sender<ChildEvent>,
) -> Vec<String> {
    let mut reader = BufReader::new(pipe);
    let mut words = VecDeque::new();
    while let Some(line) = next_line(&mut reader).await {
        if !line.starts_with('{') {
            if words.len() == MAX_LAST_LINES {
                words.pop_front();
            }
            words.push_back(line.clone());
        }
        if events.send(ChildEvent::Line(identity, line)).await.is_err() {
            break;
        }
    }
    words.into()
}

/// The next line, cut where it is too long; `None` at the end.
async fn next_line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> Option<String> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).await.ok()?;
    if read == 0 {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> Program {
        Program {
            path: PathBuf::from("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            environment: Box::new(|| vec![("KEPT".into(), "yes".into())]),
        }
    }

    async fn events(script: &str) -> (Identity, Vec<ChildEvent>) {
        let listener = super::super::socket::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let (send, mut receive) = mpsc::channel(64);
        let identity = spawn(&program(script), &["sh", "too"], &listener, send).expect("it runs");
        let mut all = Vec::new();
        while let Some(event) = receive.recv().await {
            all.push(event);
        }
        (identity, all)
    }

    #[tokio::test]
    async fn it_is_heard_and_its_end_is_explained() {
        let (identity, events) = events(
            "echo latimer listening on x; echo '{\"event\":\"a\"}' >&2; echo \"$KEPT $1 $LISTEN_FDS${HOME:-}\" >&2; exit 3",
        )
        .await;
        assert!(
            events.iter().any(|event| matches!(event, ChildEvent::Listens(who) if *who == identity)),
            "{events:?}"
        );
        assert!(
            events
                .iter()
                .any(|event| matches!(event, ChildEvent::Line(_, line) if line == "{\"event\":\"a\"}"))
        );
        let Some(ChildEvent::Ended(_, exit)) = events.last() else { panic!("{events:?}") };
        let words = vec!["yes too 1".to_owned()];
        assert_eq!(
            *exit,
            ProcessExit { code: Some(3), signal: None, last_lines: words },
            "and nothing of our environment"
        );
    }

    #[tokio::test]
    async fn a_signal_is_told_from_an_exit() {
        let (_, events) = events("kill -9 $$").await;
        let Some(ChildEvent::Ended(_, exit)) = events.last() else { panic!("{events:?}") };
        assert_eq!((exit.code, exit.signal, exit.words()), (None, Some(9), "signal 9".to_owned()));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let listener = super::super::socket::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let program =
            Program { path: "/nowhere/latimer".into(), args: Vec::new(), environment: Box::new(Vec::new) };
        let (send, _receive) = mpsc::channel(4);
        assert!(spawn(&program, &[], &listener, send).is_err());
    }
}
