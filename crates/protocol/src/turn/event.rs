//! What happened.

use std::fmt;

use super::{Note, OpaqueState, StateOwner};
use crate::failure::Failure;

/// One thing that happened in an answer. Text is borrowed from the bytes it arrived in: nothing is copied on the way from
/// the upstream's frame to the client's.
///
/// Invariant: a reader emits exactly one [`TurnEvent::Finished`], as its last event, whatever the bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnEvent<'a> {
    /// The upstream began to answer. Not semantic: a retry is still possible after it.
    Started,
    /// A piece of the answer's text; never empty.
    Text(&'a str),
    /// A piece of a refusal; never empty.
    Refusal(&'a str),
    /// A piece of readable thoughts; never empty.
    Reasoning(&'a str),
    /// Provider-owned state that belongs to the thoughts just read (or stands for thoughts that are not shown).
    ReasoningState(OpaqueState),
    /// A call began and its name is known. Slots count from 0 in order of appearance and are never used twice.
    CallStarted {
        /// Which call of this answer.
        slot: u32,
        /// The upstream's id, when it gave a usable one.
        id: Option<&'a str>,
        /// The flat name, as declared in the request.
        name: &'a str,
    },
    /// A piece of a call's arguments, JSON text; pieces of several calls may interleave.
    CallArguments {
        /// Which call.
        slot: u32,
        /// The piece; never empty.
        json: &'a str,
    },
    /// No more arguments will come for this call. Says nothing about whether they are whole: the writer checks.
    CallEnded {
        /// Which call.
        slot: u32,
    },
    /// Tokens so far; a later one replaces an earlier one.
    Usage(Usage),
    /// An event of the client's own protocol, to be handed on as it is.
    Frame(PassthroughFrame<'a>),
    /// Something a log should show and a client should not.
    Note(Note),
    /// The answer is over.
    Finished(FinishReason),
}

impl TurnEvent<'_> {
    /// True once the client would have seen something of the answer: from here on there is no retry.
    pub fn is_semantic(&self) -> bool {
        match self {
            Self::Started | Self::Usage(_) | Self::Note(_) | Self::Finished(_) => false,
            Self::Frame(frame) => frame.semantic,
            _ => true,
        }
    }
}

/// An event of the protocol that both sides speak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassthroughFrame<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its payload, as the upstream wrote it.
    pub data: &'a str,
    /// Whether the client would see something of the answer in it.
    pub semantic: bool,
    /// Whose opaque state it holds, bare: it has to be sealed on its way through the client.
    pub state_of: Option<&'a StateOwner>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The model waits for its calls.
    ToolCalls,
    /// A token limit cut it.
    Length,
    /// A filter cut it.
    ContentFilter,
    /// It broke: an error event, a cut connection, a missing finish reason.
    Failed(Failure),
}

/// Tokens of a turn. `None` means the upstream did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: Option<u64>,
    /// Input tokens read from a cache.
    pub cached: Option<u64>,
    /// Input tokens written to a cache.
    pub cache_write: Option<u64>,
    /// All output tokens, thoughts included.
    pub output: Option<u64>,
    /// Output tokens spent on thoughts.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// What two answers used together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        Self {
            input: sum(self.input, other.input),
            cached: sum(self.cached, other.cached),
            cache_write: sum(self.cache_write, other.cache_write),
            output: sum(self.output, other.output),
            reasoning: sum(self.reasoning, other.reasoning),
        }
    }
}

/// Takes events as they happen. Implemented by client writers, by filters between, and by closures in tests.
pub trait EventSink {
    /// Takes one event. What it borrows is gone when the call returns.
    fn event(&mut self, event: TurnEvent<'_>);
}

impl<F: FnMut(TurnEvent<'_>)> EventSink for F {
    fn event(&mut self, event: TurnEvent<'_>) {
        self(event);
    }
}

/// A sink that keeps one line per event, for snapshots and transcripts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecordedEvents {
    /// The lines in order.
    pub lines: Vec<String>,
}

impl EventSink for RecordedEvents {
    fn event(&mut self, event: TurnEvent<'_>) {
        self.lines.push(event.to_string());
    }
}

impl fmt::Display for TurnEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Text(text) => write!(f, "text {text:?}"),
            Self::Refusal(text) => write!(f, "refusal {text:?}"),
            Self::Reasoning(text) => write!(f, "reasoning {text:?}"),
            Self::ReasoningState(opaque) => write!(f, "reasoning-state {} {:?}", opaque.owner, opaque.data),
            Self::CallStarted { slot, id, name } => write!(f, "call {slot} {} {name}", id.unwrap_or("-")),
            Self::CallArguments { slot, json } => write!(f, "args {slot} {json:?}"),
            Self::CallEnded { slot } => write!(f, "end {slot}"),
            Self::Usage(usage) => write!(f, "usage {usage}"),
            Self::Frame(frame) => write!(f, "frame {} {}", frame.kind, frame.data),
            Self::Note(note) => write!(f, "note {note}"),
            Self::Finished(reason) => write!(f, "finished {reason}"),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            ("in", self.input),
            ("cached", self.cached),
            ("cache_write", self.cache_write),
            ("out", self.output),
            ("reasoning", self.reasoning),
        ];
        let mut first = true;
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, "{}{name}={value}", if first { "" } else { " " })?;
                first = false;
            }
        }
        Ok(())
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::ToolCalls => f.write_str("tool_calls"),
            Self::Length => f.write_str("length"),
            Self::ContentFilter => f.write_str("content_filter"),
            Self::Failed(failure) => write!(f, "failed {} {:?}", failure.kind.code(), failure.message),
        }
    }
}
