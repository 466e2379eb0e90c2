//! What turns the payloads of one answer into turn events.

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, StateOwner, StreamNote, TurnEvent};

use crate::prepared_request::PreparedRequest;
use crate::tool_names::ToolNames;

/// The state of one answer while it arrives. Pure: no clock, no IO.
///
/// Invariant: over its life a reader emits exactly one `Finished`, as its last event, whatever the bytes.
pub trait Reader: Send {
    /// Takes the payload of one frame: the text behind `data:`, a line, or a whole document.
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink);
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

/// What every reader keeps of the answer it reads: whose it is, whether it began, how much of it could not be read.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) context: ReaderContext,
    started: bool,
    unreadable_lines: u32,
}

impl Progress {
    pub(crate) fn new(context: ReaderContext) -> Self {
        Self { context, started: false, unreadable_lines: 0 }
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

    /// A line that is not what the protocol has; it is passed over.
    pub(crate) fn unreadable_line(&mut self, sink: &mut dyn EventSink) {
        self.foreign_document();
        sink.event(TurnEvent::Note(StreamNote::UnreadableLine.into()));
    }

    /// JSON of another kind than the protocol has: it counts as unreadable, and is nothing that the log must hear of.
    pub(crate) fn foreign_document(&mut self) {
        self.unreadable_lines = self.unreadable_lines.saturating_add(1);
    }

    /// A failure of this endpoint, in these words.
    pub(crate) fn failure(&self, kind: FailureKind, what: &str) -> Failure {
        Failure::new(kind, format!("{}: {what}", self.context.endpoint))
    }

    /// The failure of an answer that ended without saying why. `expected` is what it should have been: `a Messages stream`.
    pub(crate) fn interrupted(&self, expected: &str) -> Failure {
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
        progress.unreadable_line(&mut record);
        let foreign = progress.interrupted("a Chat stream");
        assert_eq!(foreign.message, "lab: the answer is not a Chat stream; check base_url");
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
