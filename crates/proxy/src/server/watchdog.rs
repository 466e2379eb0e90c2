//! What the watchdog of this state directory says, for pages: the proxy only passes it on, and knows nothing of what it means.

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

/// How long the watchdog may take. It thinks in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer.
const LONGEST: u64 = 16 << 20;

/// `GET /watchdog`: its state, or that there is none.
pub(super) async fn show(state_dir: Option<&Path>) -> Result<Response<Reply>, Refusal> {
    let document = match ask(state_dir, &json!({ "do": "export" })).await {
        Ok(known) => json!({ "running": true, "watchdog": known }),
        Err(Unanswered::Nobody) => json!({ "running": false, "watchdog": null }),
        Err(error) => return Err(refusal(&error)),
    };
    Ok(reply::json(200, document.to_string()))
}

/// `POST /watchdog/cancel[/ID]`: what was announced is not done.
pub(super) async fn cancel(state_dir: Option<&Path>, id: Option<&str>) -> Result<Response<Reply>, Refusal> {
    let id = id.map(str::parse::<u64>).transpose().map_err(|_| {
        Refusal::invalid(400, "invalid_value")
            .message("an order is named by its number; GET /watchdog lists those that wait")
    })?;
    let answer =
        ask(state_dir, &json!({ "do": "cancel", "id": id })).await.map_err(|error| refusal(&error))?;
    Ok(reply::json(200, answer.to_string()))
}

enum Unanswered {
    Nobody,
    Refused(String),
    Broken(io::Error),
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::Nobody,
            _ => Self::Broken(error),
        }
    }
}

fn refusal(error: &Unanswered) -> Refusal {
    match error {
        Unanswered::Nobody => Refusal::invalid(404, "no_watchdog")
            .message("no watchdog keeps this proxy; `latimer up` starts both"),
        Unanswered::Refused(why) => Refusal::invalid(409, "refused_by_watchdog").message(why.clone()),
        Unanswered::Broken(error) => Refusal::new(502, "server_error", "watchdog_unanswered")
            .message(format!("the watchdog did not answer: {error}")),
    }
}

async fn ask(state_dir: Option<&Path>, request: &Value) -> Result<Value, Unanswered> {
    let path = state_dir.ok_or(Unanswered::Nobody)?.join(WATCHDOG_SOCKET);
    let asked = async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(LONGEST)).read_line(&mut answer).await?;
        Ok::<_, io::Error>(serde_json::from_str::<Value>(&answer)?)
    };
    let timeout = |_| Unanswered::Broken(io::ErrorKind::TimedOut.into());
    let mut answer = tokio::time::timeout(PATIENCE, asked).await.map_err(timeout)??;
    match answer.get("error").and_then(Value::as_str) {
        Some(why) => Err(Unanswered::Refused(why.to_owned())),
        None => Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default()),
    }
}
