//! One turn on a connection: where it stands, and what it waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;
use tokio::time::Instant;

use crate::agents::codex::errors;
use crate::agents::queue::LineQueue;

/// What is done when a turn is over, in the step that reads its end; the lines that are to be read before that end.
pub type OnEnd = Box<dyn FnOnce(TurnEnd) -> Vec<Bytes> + Send>;

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnd {
    /// The conversation that it was part of.
    pub thread: String,
    /// Its name.
    pub turn: String,
    /// It came to its end.
    pub is_completed: bool,
    /// What the agent said in it, since it was asked last.
    pub answer: String,
}

/// Where a turn stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It was asked for; its name is not known.
    Starting,
    /// The same, and nobody wants it any more: it is interrupted as soon as it can be named, or the process is ended then.
    Abandoned(Instant),
    /// It runs under this name.
    Active(String),
    /// It was interrupted, and should be over by then.
    Interrupted(Instant),
}

/// A call of a tool of the client that is not answered.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCall {
    /// The server's request.
    pub request: Value,
    /// The call's name, which the client knows too.
    pub call: String,
}

/// Words that came in the middle of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Counts them.
    pub id: u64,
    /// The words.
    pub text: String,
    /// They were sent into the turn, and are not known to have been seen.
    pub is_sent: bool,
}

/// What became of words for a turn that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// They are seen in this turn or begin the next one.
    Taken,
    /// The turn is over: nothing was taken.
    Over,
}

/// What a connection knows of a turn that runs.
pub struct TurnSlot {
    pub(super) queue: Arc<LineQueue>,
    pub(super) phase: Phase,
    /// Lines that came before the turn's name.
    pub(super) held: Vec<Bytes>,
    /// The client's tools.
    pub(super) tools: Vec<String>,
    pub(super) calls: Vec<OpenCall>,
    /// Nobody reads it until the client has brought outputs; it waits no longer than that.
    pub(super) parked_until: Option<Instant>,
    pub(super) pushes: VecDeque<Push>,
    pub(super) answer: String,
    pub(super) on_end: Option<OnEnd>,
}

impl TurnSlot {
    pub(super) fn new(queue: Arc<LineQueue>, tools: Vec<String>, on_end: OnEnd) -> Self {
        Self {
            queue,
            phase: Phase::Starting,
            held: Vec::new(),
            tools,
            calls: Vec::new(),
            parked_until: None,
            pushes: VecDeque::new(),
            answer: String::new(),
            on_end: Some(on_end),
        }
    }

    /// Nobody wants the rest of it.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Abandoned(_) | Phase::Interrupted(_))
    }
}

/// Why a call was not answered as it should be.
#[derive(Debug, Clone)]
pub enum CallError {
    /// The server refuses.
    Refused {
        /// Its code.
        code: i64,
        /// Its words, cut.
        message: String,
        /// `input_too_large` and the like.
        detail: Option<String>,
    },
    /// The process is gone.
    Died(Failure),
    /// Nothing was answered in time.
    NoAnswer,
    /// A turn of the thread runs.
    Busy,
}

impl CallError {
    /// An error of the server as written.
    pub(super) fn refused(error: &str) -> Self {
        let error: Value = serde_json::from_str(error).unwrap_or_default();
        // The answer to an unknown method lists all of them.
        let message = error["message"].as_str().unwrap_or("no reason").chars().take(400).collect();
        let detail = error["data"]["input_error_code"].as_str().map(str::to_owned);
        Self::Refused { code: error["code"].as_i64().unwrap_or(0), message, detail }
    }

    /// Whether the thread is not there.
    pub fn is_stale(&self, method: &str) -> bool {
        matches!(self, Self::Refused { message, .. } if errors::is_stale(method, message))
    }

    /// Whether another process has the thread.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("already has an active writer"))
    }

    /// What it means for a turn.
    pub fn failure(&self, method: &str) -> Failure {
        match self {
            Self::Died(failure) => failure.clone(),
            Self::NoAnswer => Failure::new(
                FailureKind::Timeout,
                format!(
                    "the agent did not answer `{method}` in time and was ended (setting `agent.limits.call`)"
                ),
            ),
            Self::Busy => Failure::new(FailureKind::ConcurrencyLimited, "a turn of this thread runs"),
            Self::Refused { detail: Some(detail), message, .. } if detail == "input_too_large" => Failure {
                status: Some(413),
                ..Failure::new(FailureKind::BadRequest, format!("the input is too long for Codex: {message}"))
            },
            // What it says when too much was asked at once.
            Self::Refused { code: -32001, message, .. } => {
                Failure::new(FailureKind::Overloaded, format!("`{method}`: {message}"))
            }
            Self::Refused { code: -32600 | -32602, message, .. } => {
                Failure::new(FailureKind::BadRequest, format!("`{method}`: {message}"))
            }
            Self::Refused { message, .. } => {
                Failure::new(FailureKind::UpstreamError, format!("`{method}`: {message}"))
            }
        }
    }
}
