//! What turns the payloads of one answer into turn events.

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, StateOwner, StreamNote, TurnEvent};
use serde_json::Value;

use crate::errors;
use crate::errors::foreign::{self, ForeignDocument};
use crate::prepared_request::PreparedRequest;
use crate::tool_names::ToolNames;

/// The state of one answer while it arrives. Pure: no clock, no IO.
///
/// Invariant: over its life a reader emits exactly one `Finished`, as its last event, whatever the bytes.
pub trait Reader: Send {
    /// Takes the payload of one frame: the text behind `data:`, a line, or a whole document.
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink);
    /// Takes the payload of an event that the upstream calls an error: whatever it is, the answer has failed in its words.
    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.push(data, sink);
    }
    /// Takes text that is no part of the framing: the reason, if the answer ends without another one.
    fn stray(&mut self, _text: &[u8]) {}
    /// True once the upstream said that nothing more will come; what is pushed after that is ignored.
    fn done(&self) -> bool;
    /// The body of the request that goes on with this answer, where the upstream paused it. Asked once at the end of each
    /// body; the reader reads on in the next one.
    fn continuation(&mut self) -> Option<Bytes> {
        None
    }
    /// Takes the end of the body, and emits `Finished`.
    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink);
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// As the framing says it should.
    Clean,
    /// It did not end, it broke.
    Broken(Failure),
}

/// What a reader must know of the request it reads the answer to.
#[derive(Debug, Clone, Default)]
pub struct ReaderContext {
    /// Who owns opaque state that comes back.
    pub owner: StateOwner,
    /// Tool names that had to be changed on the way out.
    pub names: ToolNames,
    /// The endpoint's name, for messages.
    pub endpoint: String,
    /// The model's name, for messages.
    pub model: String,
}

impl ReaderContext {
    /// What the reader of the answer to this request must know.
    pub fn of(prepared: &PreparedRequest, endpoint: &str) -> Self {
        Self {
            owner: prepared.owner.clone(),
            names: prepared.names.clone(),
            endpoint: endpoint.to_owned(),
            model: prepared.model.clone(),
        }
    }
}

/// What every reader keeps of the answer it reads: whose it is, whether it began, how much of it could not be read, and what that said.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) context: ReaderContext,
    started: bool,
    unreadable_lines: u32,
    /// The first thing that was no part of the protocol, as a failure: the reason, if the answer ends without another one.
    foreign: Option<Box<Failure>>,
    /// Why a filter cut the answer, in the provider's words.
    explanation: Option<String>,
}

/// What a document is that the protocol does not have.
pub(crate) enum Foreign {
    /// The answer has failed.
    Failed(Failure),
    /// An answer of the protocol, out of its envelope.
    Answer(String),
    /// It is passed over.
    Nothing,
}

impl Progress {
    pub(crate) fn new(context: ReaderContext) -> Self {
        Self { context, started: false, unreadable_lines: 0, foreign: None, explanation: None }
    }

    /// The answer has begun: `Started` goes out, the first time.
    pub(crate) fn begin(&mut self, sink: &mut dyn EventSink) {
        if !self.started {
            self.started = true;
            sink.event(TurnEvent::Started);
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.started
    }

    /// A line that is not what the protocol has; it is passed over, and its words are kept.
    pub(crate) fn unreadable_line(&mut self, text: &str, sink: &mut dyn EventSink) {
        self.unreadable_lines = self.unreadable_lines.saturating_add(1);
        // A broken piece of JSON may hold what the model wrote.
        if !text.trim_start().starts_with(['{', '[']) {
            self.stray(text);
        }
        sink.event(TurnEvent::Note(StreamNote::UnreadableLine.into()));
    }

    /// Text outside of the framing.
    pub(crate) fn stray(&mut self, text: &str) {
        self.unreadable_lines = self.unreadable_lines.saturating_add(1);
        if self.foreign.is_none() && !text.trim().is_empty() {
            self.foreign = Some(Box::new(self.failure_in_words(text)));
        }
    }

    /// JSON of another kind than the protocol has. `is_answer` tells an answer of the protocol.
    pub(crate) fn foreign(&mut self, text: &str, is_answer: fn(&Value) -> bool) -> Foreign {
        let ReaderContext { endpoint, model, .. } = &self.context;
        match foreign::document(text, is_answer, endpoint, model) {
            ForeignDocument::Failure(failure) => Foreign::Failed(failure),
            ForeignDocument::Envelope(answer) => Foreign::Answer(answer.to_string()),
            ForeignDocument::Unclear(failure) => {
                self.unreadable_lines = self.unreadable_lines.saturating_add(1);
                self.foreign.get_or_insert_with(|| Box::new(failure));
                Foreign::Nothing
            }
        }
    }

    /// The failure of an event that is called an error, in whatever form its words are.
    pub(crate) fn failure_in_words(&self, text: &str) -> Failure {
        foreign::failure(text, &self.context.endpoint, &self.context.model)
    }

    /// A filter cut the answer: its explanation, wherever the provider puts it in this event.
    pub(crate) fn filtered(&mut self, event: &str) {
        self.explanation = self.explanation.take().or_else(|| errors::explanation(event));
    }

    /// The explanation of a filter, which the client is shown as the answer's last words.
    pub(crate) fn explain(&mut self, sink: &mut dyn EventSink) {
        if let Some(explanation) = self.explanation.take() {
            self.begin(sink);
            sink.event(TurnEvent::Refusal(&explanation));
        }
    }

    /// A failure of this endpoint, in these words.
    pub(crate) fn failure(&self, kind: FailureKind, what: &str) -> Failure {
        Failure::new(kind, format!("{}: {what}", self.context.endpoint))
    }

    /// The failure of an answer that ended without saying why: in the words that were no part of it, where there were some. `expected`
    /// is what it should have been: `a Messages stream`.
    pub(crate) fn interrupted(&self, expected: &str) -> Failure {
        if let Some(foreign) = &self.foreign {
            let mut failure = Failure::clone(foreign);
            if !self.started && failure.kind == FailureKind::UpstreamError {
                failure.message.push_str(&format!(" (the answer is not {expected}; check base_url)"));
            }
            return failure;
        }
        match (self.started, self.unreadable_lines) {
            (false, 1..) => self.failure(
                FailureKind::UpstreamError,
                &format!("the answer is not {expected}; check base_url"),
            ),
            (false, 0) => self.failure(FailureKind::Interrupted, "the provider sent an empty answer"),
            (true, _) => self.failure(
                FailureKind::Interrupted,
                "the provider ended its answer without saying that it was finished",
            ),
        }
    }
}

/// What a finish reason means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopClass {
    /// The answer is whole.
    Normal,
    /// A limit on tokens cut it.
    Length,
    /// A filter cut it.
    Filter,
    /// The provider broke it off.
    Broken,
    /// The provider wants to be asked to go on.
    Pause,
    /// A normal end where something was said, a failure where nothing was.
    Unspecified,
}

impl StopClass {
    /// The class of a finish reason by a protocol's table, in whatever case it is spelt; `None` for one that is not in it.
    pub(crate) fn find(table: &[(&str, Self)], reason: &str) -> Option<Self> {
        table.iter().find(|(known, _)| known.eq_ignore_ascii_case(reason)).map(|(_, class)| *class)
    }
}

/// The number of a call for the events that speak of it.
pub(crate) fn slot_number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::RecordedEvents;

    #[test]
    fn an_answer_that_ends_without_a_word_is_told_by_what_came() {
        let mut progress =
            Progress::new(ReaderContext { endpoint: "lab".into(), ..ReaderContext::default() });
        let mut record = RecordedEvents::default();
        let empty = progress.interrupted("a Chat stream");
        assert_eq!(
            (empty.kind, empty.message.as_str()),
            (FailureKind::Interrupted, "lab: the provider sent an empty answer")
        );
        progress.unreadable_line("{", &mut record);
        let foreign = progress.interrupted("a Chat stream");
        assert_eq!(foreign.message, "lab: the answer is not a Chat stream; check base_url");
        progress.stray("no balance");
        let told = progress.interrupted("a Chat stream");
        assert_eq!((told.kind, told.message.as_str()), (FailureKind::QuotaExhausted, "lab: no balance"));
        let mut progress = Progress::new(ReaderContext::default());
        progress.begin(&mut record);
        progress.begin(&mut record);
        assert_eq!(record.lines.iter().filter(|line| *line == "started").count(), 1);
        assert_eq!(progress.interrupted("a Chat stream").kind, FailureKind::Interrupted);
    }

    #[test]
    fn finish_reasons_in_any_case() {
        let table = [("stop", StopClass::Normal), ("length", StopClass::Length)];
        assert_eq!(StopClass::find(&table, "LENGTH"), Some(StopClass::Length));
        assert_eq!(StopClass::find(&table, "tired"), None);
    }
}
