//! An upstream's own events on their way to a client of the same protocol. Payloads are not touched, with one exception: the
//! state of thinking is sealed, so that it finds its way back to its owner and to nobody else. Pure.

use std::borrow::Cow;

use latimer_protocol::failure::Failure;
use latimer_protocol::messages::event::{MessagesBlock, MessagesDelta, MessagesEvent};
use latimer_protocol::turn::{FinishReason, OpaqueState, PassthroughFrame, SealKey, StateOwner, TurnEvent};
use serde_json::{Value, json};

use super::block::{push_signature, push_stop};
use super::message::MessageEnvelope;
use crate::inbound::writer::passthrough::{FrameBuffer, Passthrough};

/// Hands frames on.
#[derive(Debug)]
pub(super) struct MessagesPassthrough {
    frames: FrameBuffer,
    seal: SealKey,
    envelope: MessageEnvelope,
    /// The block that is open, and whether it is a call.
    open: Option<(u64, bool)>,
    /// The thinking of the open block, and its signature: together they are the state.
    thinking: String,
    signature: String,
    owner: Option<StateOwner>,
}

impl MessagesPassthrough {
    pub(super) fn new(envelope: MessageEnvelope, seal: SealKey) -> Self {
        Self {
            frames: FrameBuffer::default(),
            seal,
            envelope,
            open: None,
            thinking: String::new(),
            signature: String::new(),
            owner: None,
        }
    }

    fn begin_block(&mut self, data: &str) {
        let event: MessagesEvent<'_> = serde_json::from_str(data).unwrap_or_default();
        let is_call =
            event.content_block.0.as_ref().is_some_and(|block| block.kind.some() == Some("tool_use"));
        self.open = Some((event.index.0.unwrap_or(0), is_call));
        self.thinking.clear();
        self.signature.clear();
    }

    /// The signature goes out with the end of its block, when nothing can be missing from it.
    fn end_block(&mut self) {
        let open = self.open.take();
        let (Some((index, _)), Some(owner), false) = (open, self.owner.take(), self.signature.is_empty())
        else {
            return;
        };
        let block = json!({ "type": "thinking", "thinking": self.thinking, "signature": self.signature });
        let carrier = OpaqueState { owner, data: block.to_string() }.encode(&self.seal);
        push_signature(self.frames.target(), index, &carrier);
    }

    /// The payload with its state sealed; `None` for a signature, which waits for the end of its block.
    fn sealed<'d>(&mut self, data: &'d str, owner: &StateOwner) -> Option<Cow<'d, str>> {
        let event: MessagesEvent<'_> = serde_json::from_str(data).unwrap_or_default();
        match (event.content_block.0, event.delta.0) {
            (Some(block), _) => Some(self.sealed_block(data, &block, owner)),
            (None, Some(delta)) => self.sealed_delta(&delta, owner).then_some(Cow::Borrowed(data)),
            (None, None) => Some(Cow::Borrowed(data)),
        }
    }

    fn sealed_block<'d>(
        &mut self,
        data: &'d str,
        block: &MessagesBlock<'_>,
        owner: &StateOwner,
    ) -> Cow<'d, str> {
        let (field, state) = match block.kind.some() {
            Some("redacted_thinking") => {
                let state = json!({ "type": "redacted_thinking", "data": block.data.some() });
                ("data", OpaqueState { owner: owner.clone(), data: state.to_string() }.encode(&self.seal))
            }
            Some("thinking") => {
                self.thinking.push_str(block.thinking.some().unwrap_or_default());
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
    fn sealed_delta(&mut self, delta: &MessagesDelta<'_>, owner: &StateOwner) -> bool {
        self.thinking.push_str(delta.thinking.some().unwrap_or_default());
        self.sign(delta.signature.some(), owner);
        delta.signature.some().is_none()
    }

    fn sign(&mut self, signature: Option<&str>, owner: &StateOwner) {
        if let Some(signature) = signature {
            self.signature.push_str(signature);
            self.owner = Some(owner.clone());
        }
    }

    /// Text without an end is lost to a client; a call without one must be.
    fn close(&mut self) {
        if let Some((index, false)) = self.open.take() {
            push_stop(&mut self.frames.out, index);
        }
    }
}

impl Passthrough for MessagesPassthrough {
    fn frames(&self) -> &FrameBuffer {
        &self.frames
    }

    fn frames_mut(&mut self) -> &mut FrameBuffer {
        &mut self.frames
    }

    /// The hot path: a delta is copied once.
    fn frame(&mut self, frame: &PassthroughFrame<'_>) {
        if !self.frames.takes_more() {
            return;
        }
        if frame.kind == "message_start" {
            // Another attempt: what the last one began was never shown.
            self.frames.forget();
        }
        if frame.semantic {
            self.frames.show();
        }
        match frame.kind {
            "content_block_start" => self.begin_block(frame.data),
            "content_block_stop" => self.end_block(),
            _ => {}
        }
        let data = match frame.state_of {
            Some(owner) => self.sealed(frame.data, owner),
            None => Some(Cow::Borrowed(frame.data)),
        };
        if let Some(data) = data {
            self.frames.push_event(frame.kind, &data);
        }
        if frame.kind == "message_stop" {
            self.frames.finish_as_shown();
        }
    }

    /// The upstream's own events hold the usage already: the writer must not begin for it.
    fn absorb(&mut self, event: &TurnEvent<'_>) -> bool {
        matches!(event, TurnEvent::Usage(_)) && self.frames.is_active()
    }

    fn finish(&mut self, reason: &FinishReason) {
        if let FinishReason::Failed(failure) = reason {
            return self.fail(failure);
        }
        if self.frames.finish() {
            self.close();
            self.frames.out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        }
    }

    fn fail(&mut self, failure: &Failure) {
        if self.frames.finish() {
            self.close();
            self.envelope.error(failure, &mut self.frames.out);
        }
    }

    fn keep_alive(&mut self) {
        if !self.frames.is_finished() {
            self.frames.push_event("ping", "{\"type\":\"ping\"}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::writer::WriterSeed;
    use latimer_protocol::failure::FailureKind;

    fn frame(passthrough: &mut MessagesPassthrough, kind: &str, data: &str, semantic: bool) {
        passthrough.frame(&PassthroughFrame { kind, data, semantic, state_of: None });
    }

    fn passthrough() -> MessagesPassthrough {
        MessagesPassthrough::new(
            MessageEnvelope::new(&WriterSeed::default(), "m".to_owned()),
            SealKey::default(),
        )
    }

    #[test]
    fn text_that_is_open_gets_an_end_and_a_call_does_not() {
        for (block, ends) in [("text", 1), ("tool_use", 0)] {
            let mut passthrough = passthrough();
            let start = format!("{{\"index\":0,\"content_block\":{{\"type\":\"{block}\"}}}}");
            frame(&mut passthrough, "message_start", "{}", false);
            frame(&mut passthrough, "content_block_start", &start, true);
            passthrough.fail(&Failure::new(FailureKind::Interrupted, "cut"));
            passthrough.finish(&FinishReason::Stop);
            let text = String::from_utf8_lossy(&passthrough.frames.out);
            assert_eq!(text.matches("event: content_block_stop").count(), ends, "{block} {text}");
            assert_eq!(text.matches("event: error").count(), 1, "{text}");
        }
    }

    #[test]
    fn an_end_before_anything_was_shown_is_the_writers() {
        let mut passthrough = passthrough();
        frame(&mut passthrough, "message_start", "{}", false);
        assert!(passthrough.absorb(&TurnEvent::Usage(latimer_protocol::turn::Usage::default())));
        frame(&mut passthrough, "message_stop", "{}", false);
        frame(&mut passthrough, "content_block_start", "{}", true);
        assert!(!passthrough.frames.is_finished() && passthrough.frames.out.is_empty());
    }
}
