//! What turns the payloads of one answer into turn events.

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, Owner};

use crate::prepared_request::PreparedRequest;
use crate::tool_names::ToolNames;

/// The state of one answer while it arrives. Pure: no clock, no IO.
///
/// Invariant: over its life a reader emits exactly one `Finished`, as its last event, whatever the bytes.
pub trait Reader: Send {
    /// Takes the payload of one frame.
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink);
    /// True once the upstream said that nothing more will come.
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
    pub owner: Owner,
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
