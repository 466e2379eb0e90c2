//! What the watchdog of this state directory says, for pages: the proxy only relays it, and knows nothing of what it means.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::Response;
use latimer_protocol::status::WATCHDOG_SOCKET;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};

/// How long the watchdog may take. It answers within milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// `GET /watchdog`: its state, or that there is none.
///
/// # Errors
///
/// There is a watchdog, and it does not answer (502).
pub(super) async fn show(state_dir: Option<&Path>) -> Result<Response<Reply>, Refusal> {
    let document = match exported(state_dir).await? {
        Some(known) => json!({ "running": true, "watchdog": known }),
        None => json!({ "running": false, "watchdog": null }),
    };
    Ok(reply::json(200, document.to_string()))
}

/// Everything the watchdog knows; `None` where none keeps this state directory.
///
/// # Errors
///
/// There is a watchdog, and it does not answer (502).
pub(super) async fn exported(state_dir: Option<&Path>) -> Result<Option<Value>, Refusal> {
    match call(state_dir, &json!({ "do": "export" })).await {
        Ok(known) => Ok(Some(known)),
        Err(RelayError::NoWatchdog) => Ok(None),
        Err(error) => Err(refusal(&error)),
    }
}

/// `POST /watchdog/cancel[/ID]`: what was announced is not done.
///
/// # Errors
///
/// The id is no number (400), there is no watchdog (404), it refuses (409) or does not answer (502).
pub(super) async fn cancel(state_dir: Option<&Path>, id: Option<&str>) -> Result<Response<Reply>, Refusal> {
    let id = id.map(str::parse::<u64>).transpose().map_err(|_| {
        Refusal::invalid(400, "invalid_value")
            .message("an order is named by its number; GET /watchdog lists those that wait")
    })?;
    let answer =
        call(state_dir, &json!({ "do": "cancel", "id": id })).await.map_err(|error| refusal(&error))?;
    Ok(reply::json(200, answer.to_string()))
}

/// Asks for what a person may ask for, such as `silence` or `accept`.
///
/// # Errors
///
/// There is no watchdog (404), it refuses (409) or does not answer (502).
pub(super) async fn ask(state_dir: Option<&Path>, request: &Value) -> Result<Value, Refusal> {
    call(state_dir, request).await.map_err(|error| refusal(&error))
}

/// Why there is no answer of the watchdog.
enum RelayError {
    /// No watchdog keeps this state directory.
    NoWatchdog,
    /// It answered that it will not, and why.
    Refused(String),
    /// It did not answer in time, or not in JSON.
    Broken(io::Error),
}

impl From<io::Error> for RelayError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NoWatchdog,
            _ => Self::Broken(error),
        }
    }
}

fn refusal(error: &RelayError) -> Refusal {
    match error {
        RelayError::NoWatchdog => Refusal::invalid(404, "no_watchdog")
            .message("no watchdog keeps this proxy; `latimer up` starts both"),
        RelayError::Refused(why) => Refusal::invalid(409, "refused_by_watchdog").message(why.clone()),
        RelayError::Broken(error) => Refusal::new(502, "server_error", "watchdog_unanswered")
            .message(format!("the watchdog did not answer: {error}")),
    }
}

async fn call(state_dir: Option<&Path>, request: &Value) -> Result<Value, RelayError> {
    let path = state_dir.ok_or(RelayError::NoWatchdog)?.join(WATCHDOG_SOCKET);
    let exchange = async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut answer).await?;
        Ok::<_, io::Error>(serde_json::from_str::<Value>(&answer)?)
    };
    let timeout = |_| RelayError::Broken(io::ErrorKind::TimedOut.into());
    let mut answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.map_err(timeout)??;
    match answer.get("error").and_then(Value::as_str) {
        Some(why) => Err(RelayError::Refused(why.to_owned())),
        None => Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// Answers one request in a state directory; gives back what was asked.
    fn watchdog(dir: &Path, answer: &'static str) -> tokio::task::JoinHandle<String> {
        let listener = UnixListener::bind(dir.join(WATCHDOG_SOCKET)).expect("a socket");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("asked");
            let mut request = String::new();
            BufReader::new(&mut stream).read_line(&mut request).await.expect("a line");
            stream.write_all(answer.as_bytes()).await.expect("answered");
            request
        })
    }

    #[tokio::test]
    async fn an_order_is_cancelled_by_its_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let request = watchdog(dir.path(), "{\"ok\":{\"cancelled\":1}}\n");
        assert!(cancel(Some(dir.path()), Some("7")).await.is_ok());
        let request: Value = serde_json::from_str(&request.await.expect("no panic")).expect("JSON");
        assert_eq!(request, json!({ "do": "cancel", "id": 7 }));
    }

    #[tokio::test]
    async fn each_way_of_getting_no_answer_has_a_status() {
        let dir = tempfile::tempdir().expect("a directory");
        let status =
            async |id: Option<&str>| cancel(Some(dir.path()), id).await.err().map(|refusal| refusal.status);
        assert_eq!(status(Some("x")).await, Some(400), "no number");
        assert_eq!(status(None).await, Some(404), "no watchdog");
        let request = watchdog(dir.path(), "{\"error\":\"no such order\"}\n");
        assert_eq!(status(None).await, Some(409), "refused");
        request.await.expect("no panic");
        std::fs::remove_file(dir.path().join(WATCHDOG_SOCKET)).expect("the socket");
        let request = watchdog(dir.path(), "garbage\n");
        assert_eq!(status(None).await, Some(502), "not JSON");
        request.await.expect("no panic");
    }

    #[tokio::test]
    async fn without_a_watchdog_there_is_nothing_to_show() {
        assert_eq!(show(None).await.expect("answered").status(), 200);
    }
}
