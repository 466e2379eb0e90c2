//! The server: plain HTTP/1.1 on a loopback socket, written by hand to have every byte under control.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::head::Head;
use super::play::{ConnectionFate, play};
use super::record::{Log, RecordedRequest};
use super::render::{Rendered, render};
use super::scenario::{Scenario, ScriptedAnswer};
use crate::clock;

/// The largest request body.
const BODY_LIMIT: usize = 128 << 20;

/// Where turns are asked for, in every protocol; what is answered is the scenario's affair.
const TURNS: [&str; 6] = [
    "/chat/completions",
    "/messages",
    "/responses",
    ":streamGenerateContent",
    ":generateContent",
    "/alpha/generate",
];

/// A running scripted provider; dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

/// What all connections share.
struct ServerState {
    answers: Vec<Rendered>,
    models: Rendered,
    unknown: Rendered,
    record: bool,
    by_text: bool,
    started: Instant,
    log: Arc<Log>,
}

impl Provider {
    /// Serves a scenario on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port can be bound, or the scenario has no answers.
    pub async fn start(scenario: Scenario) -> io::Result<Self> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)), scenario).await
    }

    /// Serves a scenario on this address.
    ///
    /// # Errors
    /// Where the address cannot be bound, or the scenario has no answers.
    pub async fn bind(address: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        if scenario.answers.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the scenario has no answers"));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let state = Arc::new(ServerState::new(&scenario, Arc::clone(&log)));
        let task = tokio::spawn(accept(listener, state));
        Ok(Self { address, log, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to write as `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far, in order of arrival, model lists included; the latest 10 000.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.log.requests()
    }

    /// How many turns were asked for, whether or not requests are kept.
    pub fn request_count(&self) -> usize {
        self.log.request_count.load(Ordering::Relaxed)
    }

    /// How many clients left before their answer was played to its end. One that leaves an answer which ends in a stall
    /// counts too.
    pub fn disconnects(&self) -> usize {
        self.log.disconnects.load(Ordering::Relaxed)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.log.open.load(Ordering::Relaxed)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServerState {
    fn new(scenario: &Scenario, log: Arc<Log>) -> Self {
        let models: Vec<Value> = scenario
            .models
            .iter()
            .map(|id| json!({"id": id, "object": "model", "owned_by": "scripted"}))
            .collect();
        let unknown = json!({"error": {"message": "no such path", "type": "invalid_request_error", "code": "not_found"}});
        Self {
            answers: scenario.answers.iter().map(render).collect(),
            models: render(&ScriptedAnswer::whole(json!({"object": "list", "data": models}))),
            unknown: render(&ScriptedAnswer::error(404, unknown)),
            record: scenario.record,
            by_text: scenario.answers.iter().any(|answer| answer.when.is_some()),
            started: clock::now(),
            log,
        }
    }

    /// Which answer a request gets.
    fn answer(&self, head: &Head, body: &Value) -> &Rendered {
        let path = head.path.split('?').next().unwrap_or_default();
        if head.method == "GET" && path.ends_with("/models") {
            return &self.models;
        }
        if head.method != "POST" || !TURNS.iter().any(|end| path.ends_with(end)) {
            return &self.unknown;
        }
        Log::add(&self.log.request_count);
        if self.by_text {
            let text = last_text(body);
            let fits =
                |answer: &&Rendered| answer.when.as_ref().is_some_and(|when| text.contains(when.as_str()));
            if let Some(answer) = self.answers.iter().find(fits) {
                return answer;
            }
        }
        let nth = Log::add(&self.log.ordered);
        let mut ordered = self.answers.iter().filter(|answer| answer.when.is_none());
        let count = ordered.clone().count();
        ordered.nth(nth.min(count.saturating_sub(1))).unwrap_or(&self.unknown)
    }

    fn keep(&self, head: Head, body: Value, connection: usize) {
        let received_at = self.started.elapsed();
        let Head { method, path, headers, .. } = head;
        self.log.keep(RecordedRequest { method, path, headers, body, connection, received_at });
    }
}

/// The text of the last user or tool message.
fn last_text(body: &Value) -> String {
    let messages = body.get("messages").or_else(|| body.get("input")).and_then(Value::as_array);
    let spoken =
        |message: &&Value| matches!(message.get("role").and_then(Value::as_str), Some("user" | "tool"));
    let content = messages.and_then(|all| all.iter().rev().find(spoken)).and_then(|last| last.get("content"));
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

async fn accept(listener: TcpListener, state: Arc<ServerState>) {
    // The set goes with this task, and the connections with the set.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let number = Log::add(&state.log.connections);
                    let state = Arc::clone(&state);
                    connections.spawn(async move {
                        let _open = OpenConnection::new(&state.log.open);
                        // A connection that breaks is the client's affair; it was counted where it matters.
                        let _ = serve(socket, &state, number).await;
                    });
                }
                // Out of file descriptors, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection while it lives, aborted ones too.
struct OpenConnection<'a>(&'a AtomicUsize);

impl<'a> OpenConnection<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(socket: TcpStream, state: &ServerState, number: usize) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut input, mut output) = socket.into_split();
    let mut waiting = Vec::with_capacity(16 * 1024);
    while let Some((head, body)) = next_request(&mut input, &mut waiting).await? {
        let body = if state.record || state.by_text {
            serde_json::from_slice(&body).unwrap_or(Value::Null)
        } else {
            Value::Null
        };
        let answer = state.answer(&head, &body);
        if state.record {
            state.keep(head, body, number);
        }
        match perform(answer, &mut input, &mut output, &mut waiting).await {
            Ok(ConnectionFate::KeepAlive) => {}
            Ok(ConnectionFate::Close) => return Ok(()),
            Ok(ConnectionFate::Reset) => {
                let socket = input.reunite(output).map_err(io::Error::other)?;
                return socket.set_zero_linger();
            }
            Err(error) => {
                Log::add(&state.log.disconnects);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Plays an answer while watching for a client that leaves.
async fn perform(
    answer: &Rendered,
    input: &mut OwnedReadHalf,
    output: &mut OwnedWriteHalf,
    waiting: &mut Vec<u8>,
) -> io::Result<ConnectionFate> {
    let mut playing = std::pin::pin!(play(&answer.ops, output));
    loop {
        tokio::select! {
            biased;
            played = &mut playing => return played,
            read = input.read_buf(waiting) => {
                if read? == 0 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
    }
}

/// The next request, or `None` when the client left between two.
async fn next_request(
    input: &mut OwnedReadHalf,
    waiting: &mut Vec<u8>,
) -> io::Result<Option<(Head, Vec<u8>)>> {
    let bad = |()| io::Error::from(io::ErrorKind::InvalidData);
    let head = loop {
        if let Some(head) = Head::read(waiting).map_err(bad)? {
            break head;
        }
        if input.read_buf(waiting).await? == 0 {
            return Ok(None);
        }
    };
    let length = head.body_len().map_err(bad)?;
    if length > BODY_LIMIT {
        return Err(bad(()));
    }
    while waiting.len() < head.len + length {
        if input.read_buf(waiting).await? == 0 {
            return Ok(None);
        }
    }
    let body = waiting.get(head.len..head.len + length).unwrap_or_default().to_vec();
    waiting.drain(..head.len + length);
    Ok(Some((head, body)))
}
