//! The control socket: one JSON object a line in, one out, for the person's commands. Mode 0600 in the state directory.

use std::io::{self, BufRead as _, BufReader as SyncBufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

/// The socket in the state directory.
pub const SOCKET_FILE: &str = latimer_protocol::status::WATCHDOG_SOCKET;
/// The longest request.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// What a person can ask of a running watchdog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// How it is.
    Status,
    /// Start the proxy anew behind the same socket, without a failed request; answered when it is done or has failed.
    Upgrade,
    /// Do not do what is waiting to be done.
    Cancel {
        /// The number of one action; without it, all of them.
        #[serde(default)]
        id: Option<u64>,
    },
    /// Only count a fault from now on, or act on it again.
    Silence {
        /// Its code.
        fault: String,
        /// For how long, in seconds; 0 ends the silence, nothing is for good.
        #[serde(default)]
        seconds: Option<u64>,
    },
    /// Everything that is known: state, rules, incidents.
    Export,
    /// Start a proxy that was stopped or given up, and forget that it crashed.
    Start,
    /// End the proxy and start it again, out of safe mode.
    Restart,
    /// Carry out what an alert offered.
    Accept {
        /// The number in the alert.
        id: u64,
    },
    /// End the proxy and the watchdog.
    Stop,
}

/// A request, and where its answer goes.
#[derive(Debug)]
pub struct PendingRequest {
    /// What is asked.
    pub request: Request,
    /// Takes the answer, or why there is none.
    pub reply: oneshot::Sender<Result<Value, String>>,
}

/// The open control socket; closed and removed when dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Opens the socket. What stands in its place was left by a watchdog that is gone: the caller holds the lock.
    ///
    /// # Errors
    ///
    /// The directory is read-only, or its path is too long for a socket.
    pub fn open(state_dir: &Path, requests: mpsc::Sender<PendingRequest>) -> io::Result<Self> {
        let path = state_dir.join(SOCKET_FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = latimer_files::private_socket(&path)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self { path, task: tokio::spawn(accept(listener, requests)) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<PendingRequest>) {
    // The set goes with this task, and the connections with the set.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, requests.clone()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: UnixStream, requests: mpsc::Sender<PendingRequest>) {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    loop {
        let mut line = String::new();
        match (&mut input).take(MAX_REQUEST_BYTES).read_line(&mut line).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => {
                let (reply, answer) = oneshot::channel();
                if requests.send(PendingRequest { request, reply }).await.is_err() {
                    return;
                }
                answer.await.unwrap_or_else(|_| Err("the watchdog is stopping".to_owned()))
            }
            Err(error) => Err(format!("no such request: {error}")),
        };
        let document = match answer {
            Ok(value) => serde_json::json!({ "ok": value }),
            Err(error) => serde_json::json!({ "error": error }),
        };
        if output.write_all(format!("{document}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Why a watchdog did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: no watchdog keeps this state directory.
    #[error("no watchdog runs on this state directory")]
    Nobody,
    /// It answered that it will not.
    #[error("{0}")]
    Refused(String),
    /// The answer did not come, or made no sense.
    #[error("the watchdog did not answer")]
    Io(#[from] io::Error),
}

/// Asks the watchdog of a state directory, and waits for its answer at most so long.
///
/// # Errors
///
/// See [`ControlError`].
pub fn ask(state_dir: &Path, request: &Request, timeout: Duration) -> Result<Value, ControlError> {
    let mut stream =
        std::os::unix::net::UnixStream::connect(state_dir.join(SOCKET_FILE)).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::Nobody,
            _ => ControlError::Io(error),
        })?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let line = serde_json::to_string(request).map_err(io::Error::other)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    SyncBufReader::new(stream).read_line(&mut answer)?;
    let mut value: Value = serde_json::from_str(&answer).map_err(io::Error::other)?;
    match value.get("error").and_then(Value::as_str) {
        Some(error) => Err(ControlError::Refused(error.to_owned())),
        None => Ok(value["ok"].take()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn questions_are_answered_line_by_line() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(SOCKET_FILE), "left behind").expect("written");
        let (send, mut requests) = mpsc::channel::<PendingRequest>(4);
        let control = Control::open(dir.path(), send).expect("open");
        let mode =
            std::fs::metadata(dir.path().join(SOCKET_FILE)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        tokio::spawn(async move {
            while let Some(ask) = requests.recv().await {
                let answer = match ask.request {
                    Request::Status => Ok(serde_json::json!({ "phase": "serving" })),
                    other => Err(format!("not {other:?}")),
                };
                ask.reply.send(answer).expect("waited for");
            }
        });
        let path = dir.path().to_owned();
        let asked = move |request: Request| {
            let path = path.clone();
            tokio::task::spawn_blocking(move || ask(&path, &request, Duration::from_secs(5)))
        };
        let status = asked(Request::Status).await.expect("joined").expect("answered");
        assert_eq!(status["phase"], "serving");
        let refused = asked(Request::Silence { fault: "B2".into(), seconds: None }).await.expect("joined");
        assert!(matches!(refused, Err(ControlError::Refused(why)) if why.contains("B2")));
        drop(control);
        let nobody = asked(Request::Stop).await.expect("joined");
        assert!(matches!(nobody, Err(ControlError::Nobody)));
        assert!(!dir.path().join(SOCKET_FILE).exists());
    }

    #[test]
    fn requests_as_people_write_them() {
        let cases = [
            (r#"{"do":"status"}"#, Request::Status),
            (r#"{"do":"cancel"}"#, Request::Cancel { id: None }),
            (
                r#"{"do":"silence","fault":"B2","seconds":60}"#,
                Request::Silence { fault: "B2".into(), seconds: Some(60) },
            ),
        ];
        for (text, request) in cases {
            assert_eq!(serde_json::from_str::<Request>(text).expect("a request"), request);
        }
        assert!(serde_json::from_str::<Request>(r#"{"do":"format_disk"}"#).is_err());
    }
}
