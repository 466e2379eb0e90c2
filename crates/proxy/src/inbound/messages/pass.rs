//! An upstream's own events on their way to a client of the same protocol. Payloads are not touched, with one exception: the
//! state of thoughts is sealed, so that it finds its way back to its owner and to nobody else. Pure.

use std::borrow::Cow;

use latimer_protocol::anthropic::event::{MessagesBlock, MessagesDelta, MessagesEvent};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{OpaqueState, Owner, PassthroughFrame, Seal};
use serde_json::{Value, json};

use super::block::{signature_delta, stop};
use super::message::Envelope;

/// Hands frames on.
///
/// Invariant: nothing is written before the first frame that shows something; there is one terminal event.
#[derive(Debug)]
pub(super) struct PassthroughWriter {
    seal: Seal,
    envelope: Envelope,
    /// Frames that came before the first one that shows something.
    held: Vec<u8>,
    out: Vec<u8>,
    shown: bool,
    /// A comment was written to keep the client waiting.
    kept_alive: bool,
    finished: bool,
    /// The block that is open, and whether it is a call.
    open: Option<(u64, bool)>,
    /// Thoughts of the open block, and their signature: together they are the state.
    thoughts: String,
    signature: String,
    owner: Option<Owner>,
}

impl PassthroughWriter {
    pub(super) fn new(envelope: Envelope, seal: Seal) -> Self {
        Self {
            seal,
            envelope,
            held: Vec::new(),
            out: Vec::new(),
            shown: false,
            kept_alive: false,
            finished: false,
            open: None,
            thoughts: String::new(),
            signature: String::new(),
            owner: None,
        }
    }

    /// Something was or will be written here and not by the writer.
    pub(super) fn begun(&self) -> bool {
        self.shown || self.kept_alive
    }

    /// Frames are on their way, shown or not: the writer has to be silent, for the client has to see one beginning only.
    pub(super) fn has_any(&self) -> bool {
        self.begun() || !self.held.is_empty()
    }

    /// The client has seen something of an upstream's own answer.
    pub(super) fn has_shown(&self) -> bool {
        self.shown
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn out(&self) -> &[u8] {
        &self.out
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.kept_alive = false;
        std::mem::take(&mut self.out)
    }

    pub(super) fn discard(&mut self) {
        self.out.clear();
    }

    /// Forgets frames that were not shown.
    pub(super) fn give_up(&mut self) {
        self.held.clear();
    }

    /// The hot path: a delta is copied once.
    pub(super) fn frame(&mut self, frame: &PassthroughFrame<'_>) {
        if self.finished {
            return;
        }
        if frame.kind == "message_start" && !self.shown {
            // Another attempt: what the last one began was never shown.
            self.held.clear();
        }
        if frame.semantic && !self.shown {
            self.shown = true;
            self.out.append(&mut self.held);
        }
        match frame.kind {
            "content_block_start" => self.begin_block(frame.data),
            "content_block_stop" => self.end_block(),
            "message_stop" => self.finished = true,
            _ => {}
        }
        let data = match frame.state_of {
            Some(owner) => self.sealed(frame.data, owner),
            None => Some(Cow::Borrowed(frame.data)),
        };
        let Some(data) = data else { return };
        let out = if self.shown { &mut self.out } else { &mut self.held };
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(frame.kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        if memchr::memchr2(b'\n', b'\r', data.as_bytes()).is_some() {
            // Between the tokens of JSON a line break is only blank; in a frame it would end the line.
            out.extend(data.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        } else {
            out.extend_from_slice(data.as_bytes());
        }
        out.extend_from_slice(b"\n\n");
    }

    fn begin_block(&mut self, data: &str) {
        let event: MessagesEvent<'_> = serde_json::from_str(data).unwrap_or_default();
        let is_call =
            event.content_block.0.as_ref().is_some_and(|block| block.kind.some() == Some("tool_use"));
        self.open = Some((event.index.0.unwrap_or(0), is_call));
        self.thoughts.clear();
        self.signature.clear();
    }

    /// The signature goes out with the end of its block, when nothing can be missing from it.
    fn end_block(&mut self) {
        let open = self.open.take();
        let (Some((index, _)), Some(owner), false) = (open, self.owner.take(), self.signature.is_empty())
        else {
            return;
        };
        let block = json!({ "type": "thinking", "thinking": self.thoughts, "signature": self.signature });
        let carrier = OpaqueState { owner, data: block.to_string() }.encode(&self.seal);
        signature_delta(&mut self.out, index, &carrier);
    }

    /// The payload with its state sealed; `None` for a signature, which waits for the end of its block.
    fn sealed<'d>(&mut self, data: &'d str, owner: &Owner) -> Option<Cow<'d, str>> {
        let event: MessagesEvent<'_> = serde_json::from_str(data).unwrap_or_default();
        match (event.content_block.0, event.delta.0) {
            (Some(block), _) => Some(self.sealed_block(data, &block, owner)),
            (None, Some(delta)) => self.sealed_delta(&delta, owner).then_some(Cow::Borrowed(data)),
            (None, None) => Some(Cow::Borrowed(data)),
        }
    }

    fn sealed_block<'d>(&mut self, data: &'d str, block: &MessagesBlock<'_>, owner: &Owner) -> Cow<'d, str> {
        let (field, state) = match block.kind.some() {
            Some("redacted_thinking") => {
                let state = json!({ "type": "redacted_thinking", "data": block.data.some() });
                ("data", OpaqueState { owner: owner.clone(), data: state.to_string() }.encode(&self.seal))
            }
            Some("thinking") => {
                self.thoughts.push_str(block.thinking.some().unwrap_or_default());
                self.sign(block.signature.some(), owner);
                // As the API itself begins such a block.
                ("signature", String::new())
            }
            _ => return Cow::Borrowed(data),
        };
        let mut value: Value = serde_json::from_str(data).unwrap_or_default();
        match value.get_mut("content_block").and_then(Value::as_object_mut) {
            Some(fields) => {
                fields.insert(field.to_owned(), Value::from(state));
                Cow::Owned(value.to_string())
            }
            None => Cow::Borrowed(data),
        }
    }

    /// Whether the piece goes out.
    fn sealed_delta(&mut self, delta: &MessagesDelta<'_>, owner: &Owner) -> bool {
        self.thoughts.push_str(delta.thinking.some().unwrap_or_default());
        self.sign(delta.signature.some(), owner);
        delta.signature.some().is_none()
    }

    fn sign(&mut self, signature: Option<&str>, owner: &Owner) {
        if let Some(signature) = signature {
            self.signature.push_str(signature);
            self.owner = Some(owner.clone());
        }
    }

    /// The upstream's answer is over, whether or not it said so.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.close();
            self.out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        }
    }

    /// An end of our own, where the upstream gave none.
    pub(super) fn fail(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.finished, true) {
            self.close();
            self.envelope.error(failure, &mut self.out);
        }
    }

    /// Words without an end are lost to a client; a call without one must be.
    fn close(&mut self) {
        if let Some((index, false)) = self.open.take() {
            stop(&mut self.out, index);
        }
    }

    /// Before the first event a comment has to do.
    pub(super) fn keep_alive(&mut self) {
        if self.finished {
            return;
        }
        if self.shown {
            self.out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
        } else {
            self.kept_alive = true;
            self.out.extend_from_slice(b": keep-alive\n\n");
        }
    }
}
