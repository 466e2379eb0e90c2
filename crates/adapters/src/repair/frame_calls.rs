//! Calls in an upstream's own events: held like all others, and handed on as they came where they are right.

use std::fmt;
use std::ops::Range;

use latimer_protocol::turn::{EventSink, FinishReason, PassthroughFrame, StateOwner, TurnEvent};

/// The most bytes of frames that are held for one answer. A call in pieces of a few characters takes forty times its length.
const MAX_HELD: usize = 32 << 20;

/// Looks for calls in the frames of one protocol.
///
/// Invariant: a frame of a call goes on when the call is whole, in its place, as it came or as what was meant.
pub trait FrameCalls: fmt::Debug + Send {
    /// Takes a frame, and hands on what may go.
    fn frame(&mut self, frame: &PassthroughFrame<'_>, sink: &mut dyn EventSink);

    /// The answer ends for this reason: hands on what was held, and gives the tool of a call that nobody may run.
    fn finish(&mut self, reason: &FinishReason, sink: &mut dyn EventSink) -> Option<String>;
}

/// Frames in their order, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct HeldFrames {
    text: String,
    frames: Vec<HeldFrame>,
    owner: Option<StateOwner>,
}

#[derive(Debug)]
struct HeldFrame {
    kind: Range<usize>,
    data: Range<usize>,
    semantic: bool,
    holds_state: bool,
}

impl HeldFrames {
    /// Keeps a frame; false when there is no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, frame: &PassthroughFrame<'_>) -> bool {
        if self.text.len() + frame.kind.len() + frame.data.len() > MAX_HELD {
            return false;
        }
        if let (None, Some(owner)) = (&self.owner, frame.state_of) {
            self.owner = Some(owner.clone());
        }
        let start = self.text.len();
        self.text.push_str(frame.kind);
        let middle = self.text.len();
        self.text.push_str(frame.data);
        self.frames.push(HeldFrame {
            kind: start..middle,
            data: middle..self.text.len(),
            semantic: frame.semantic,
            holds_state: frame.state_of.is_some(),
        });
        true
    }

    /// The frames in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PassthroughFrame<'_>> {
        self.frames.iter().map(|frame| PassthroughFrame {
            kind: self.text.get(frame.kind.clone()).unwrap_or_default(),
            data: self.text.get(frame.data.clone()).unwrap_or_default(),
            semantic: frame.semantic,
            state_of: self.owner.as_ref().filter(|_| frame.holds_state),
        })
    }

    /// Hands on all of them as they came.
    pub(crate) fn release(&mut self, sink: &mut dyn EventSink) {
        for frame in self.iter() {
            sink.event(TurnEvent::Frame(frame));
        }
        self.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.text = String::new();
        self.frames.clear();
    }
}

/// Hands on a frame that was written here.
pub(crate) fn emit(kind: &str, data: &str, sink: &mut dyn EventSink) {
    sink.event(TurnEvent::Frame(PassthroughFrame { kind, data, semantic: true, state_of: None }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::RecordedEvents;

    #[test]
    fn frames_come_out_as_they_came() {
        let (mut held, mut record, owner) =
            (HeldFrames::default(), RecordedEvents::default(), StateOwner::new("a", "m"));
        for (kind, state_of) in [("x", None), ("y", Some(&owner))] {
            assert!(held.push(&PassthroughFrame { kind, data: "{}", semantic: true, state_of }));
        }
        assert_eq!(held.iter().filter(|frame| frame.state_of == Some(&owner)).count(), 1);
        held.release(&mut record);
        held.release(&mut record);
        assert_eq!(record.lines, ["frame x {}", "frame y {}"]);
        let data = " ".repeat(MAX_HELD);
        assert!(!held.push(&PassthroughFrame { kind: "z", data: &data, semantic: true, state_of: None }));
    }
}
