//! Frames on their way to a reader: their surrogates whole, and their names heeded.

use latimer_protocol::sse::SseFrame;
use latimer_protocol::surrogates::{self, StreamHalves};
use latimer_protocol::turn::EventSink;

use crate::reader::Reader;

/// What a frame is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Plain,
    /// An event that is called an error is one, whatever it holds.
    Error,
}

impl FrameKind {
    /// Gives a payload to the reader.
    pub(super) fn give(self, reader: &mut dyn Reader, data: &[u8], sink: &mut dyn EventSink) {
        match self {
            Self::Plain => reader.push(data, sink),
            Self::Error => reader.error(data, sink),
        }
    }
}

/// Hands out the payload of a frame, and what was held back before it.
pub(super) fn take_frame(
    halves: &mut StreamHalves,
    frame: SseFrame<'_>,
    each: &mut impl FnMut(&[u8], FrameKind),
) {
    if frame.event == Some(b"error") {
        halves.finish(&mut |data| each(data, FrameKind::Plain));
        return each(surrogates::mend(frame.data).as_deref().unwrap_or(frame.data), FrameKind::Error);
    }
    halves.push(frame.data, &mut |data| each(data, FrameKind::Plain));
}
