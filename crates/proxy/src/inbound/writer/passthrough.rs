//! An upstream's own events on their way to a client of the same protocol: what the pass-throughs of all protocols share.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{FinishReason, PassthroughFrame, TurnEvent};

use super::StoredResponse;

/// The comment that keeps a client waiting before the first event; every reader of server-sent events passes over it.
pub(in crate::inbound) const KEEP_ALIVE_COMMENT: &[u8] = b": keep-alive\n\n";

/// Hands an upstream's own events on.
///
/// Invariant: nothing is written before the first event that shows something of the answer; there is one terminal event.
pub trait Passthrough: Send {
    /// What came so far.
    fn frames(&self) -> &FrameBuffer;

    /// What came so far, to be changed.
    fn frames_mut(&mut self) -> &mut FrameBuffer;

    /// Takes one event of the upstream's.
    fn frame(&mut self, frame: &PassthroughFrame<'_>);

    /// Takes a turn event that belongs to the frames; true if the writer must not see it.
    fn absorb(&mut self, _event: &TurnEvent<'_>) -> bool {
        false
    }

    /// Another attempt begins, or the answer ends, before anything was shown: what was held back is nobody's any more.
    fn forget(&mut self) {
        self.frames_mut().forget();
    }

    /// The upstream's answer is over.
    fn finish(&mut self, reason: &FinishReason);

    /// An end of our own, where the upstream gave none.
    fn fail(&mut self, failure: &Failure);

    /// Keeps a client waiting that has seen some of the events.
    fn keep_alive(&mut self);

    /// What is stored of the answer, once it has ended well.
    fn stored(&self) -> Option<StoredResponse> {
        None
    }

    /// The answer as one JSON object; `None` in protocols where the writer makes it.
    fn object(&self) -> Option<Vec<u8>> {
        None
    }
}

/// How far a pass-through is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum FramePhase {
    /// Events are held back until one of them shows something.
    #[default]
    Held,
    /// They ended before one of them did: the writer answers.
    Unshown,
    /// The client sees them.
    Shown,
    /// The last of them was written.
    Finished,
}

/// Events that came: held back as long as another attempt is possible, then written.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    phase: FramePhase,
    held: Vec<u8>,
    /// Before the first event is shown this holds comments alone.
    pub(in crate::inbound) out: Vec<u8>,
}

impl FrameBuffer {
    /// The client has seen something of an upstream's own answer.
    pub(in crate::inbound) fn is_shown(&self) -> bool {
        matches!(self.phase, FramePhase::Shown | FramePhase::Finished)
    }

    /// The last event was written.
    pub(in crate::inbound) fn is_finished(&self) -> bool {
        self.phase == FramePhase::Finished
    }

    /// More events may come.
    pub(in crate::inbound) fn takes_more(&self) -> bool {
        matches!(self.phase, FramePhase::Held | FramePhase::Shown)
    }

    /// Events or comments were or will be written here and not by the writer.
    pub(super) fn has_begun(&self) -> bool {
        self.is_shown() || !self.out.is_empty()
    }

    /// Events are on their way, shown or not: the writer has to be silent, for the client has to see one beginning only.
    pub(in crate::inbound) fn is_active(&self) -> bool {
        self.has_begun() || !self.held.is_empty()
    }

    /// Where the next event is written.
    pub(in crate::inbound) fn target(&mut self) -> &mut Vec<u8> {
        if self.is_shown() { &mut self.out } else { &mut self.held }
    }

    /// The next event shows something: what was held back goes out with it.
    pub(in crate::inbound) fn show(&mut self) {
        if self.phase == FramePhase::Held {
            self.phase = FramePhase::Shown;
            self.out.append(&mut self.held);
        }
    }

    /// Throws away what was held back.
    pub(in crate::inbound) fn forget(&mut self) {
        if !self.is_shown() {
            self.phase = FramePhase::Held;
            self.held.clear();
        }
    }

    /// The last event was written; false if that was so before.
    pub(in crate::inbound) fn finish(&mut self) -> bool {
        let is_first = self.phase != FramePhase::Finished;
        self.phase = FramePhase::Finished;
        is_first
    }

    /// The upstream wrote its last event, which counts only if the client saw any.
    pub(in crate::inbound) fn finish_as_shown(&mut self) {
        self.phase = if self.is_shown() { FramePhase::Finished } else { FramePhase::Unshown };
    }

    /// Writes the data of an event. The hot path: it is copied once.
    pub(in crate::inbound) fn push_data(&mut self, data: &str) {
        let out = self.target();
        out.extend_from_slice(b"data: ");
        if memchr::memchr2(b'\n', b'\r', data.as_bytes()).is_some() {
            // Between the tokens of JSON a line break is only blank; in a frame it would end the line.
            out.extend(data.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        } else {
            out.extend_from_slice(data.as_bytes());
        }
        out.extend_from_slice(b"\n\n");
    }

    /// Writes a whole event with its name.
    pub(in crate::inbound) fn push_event(&mut self, kind: &str, data: &str) {
        let out = self.target();
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'\n');
        self.push_data(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_goes_out_with_the_first_event_that_shows_something() {
        let mut frames = FrameBuffer::default();
        frames.push_event("a", "1");
        assert!(frames.is_active() && !frames.has_begun() && frames.out.is_empty());
        frames.forget();
        assert!(!frames.is_active());
        frames.push_event("b", "{\n}");
        frames.show();
        frames.push_data("2");
        frames.forget();
        assert_eq!(frames.out, b"event: b\ndata: { }\n\ndata: 2\n\n");
        assert!(frames.finish() && !frames.finish() && !frames.takes_more());
    }

    #[test]
    fn an_end_that_nobody_saw_is_none() {
        let mut frames = FrameBuffer::default();
        frames.push_data("1");
        frames.finish_as_shown();
        assert!(!frames.is_finished() && !frames.takes_more());
        frames.forget();
        assert!(frames.takes_more());
    }
}
