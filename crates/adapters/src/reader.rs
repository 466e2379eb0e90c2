//! What turns the payloads of one answer into turn events.

use latimer_protocol::{failure::Failure, turn::Sink};

/// The state of one answer while it arrives. Pure: no clock, no IO.
///
/// Invariant: over its life a reader emits exactly one `Finished`, as its last event, whatever the bytes.
pub trait Reader: Send {
    /// Takes the payload of one frame.
    fn push(&mut self, data: &[u8], sink: &mut dyn Sink);
    /// True once the upstream said that nothing more will come.
    fn done(&self) -> bool;
    /// Takes the end of the body, and emits `Finished`.
    fn finish(self: Box<Self>, end: End, sink: &mut dyn Sink);
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As the framing says it should.
    Clean,
    /// It did not end, it broke.
    Broken(Failure),
}
