//! A provider's own chunks on their way to a client of the same protocol. They are not touched; what is missing at their end is
//! added, in their own envelope. Pure.

use latimer_adapters::chat::passthrough_reader::{REASON, USAGE};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{FinishReason, OpaqueState, PassthroughFrame, SealKey, TurnEvent, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::stream_error;
use super::object::push_usage;
use super::reasoning_details::{DetailPlace, detail};
use super::request::ResponseOptions;
use crate::inbound::wire::json::push_string;
use crate::inbound::writer::passthrough::{FrameBuffer, KEEP_ALIVE_COMMENT, Passthrough};

/// Hands chunks on. The answer ends with a reason or an error, with usage when it was asked for, and with `[DONE]`.
#[derive(Debug)]
pub(super) struct ChatPassthrough {
    frames: FrameBuffer,
    seal: SealKey,
    /// Usage was asked for.
    wants_usage: bool,
    /// A rough count of the input's tokens, for a provider that does not count.
    input_tokens: u64,
    /// What all chunks begin with, from the first one: for chunks of our own.
    head: Vec<u8>,
    end: ProviderEnd,
    usage: Usage,
    /// Chunks that showed something: about a token each.
    pieces: u64,
    details: u32,
}

/// What the provider itself said at its end.
#[derive(Debug, Default)]
struct ProviderEnd {
    reason: bool,
    usage: bool,
}

/// What stands around the choices of a chunk, as far as chunks of our own repeat it.
#[derive(Default, Deserialize)]
struct ChunkEnvelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

impl ChatPassthrough {
    pub(super) fn new(seal: SealKey, options: &ResponseOptions) -> Self {
        Self {
            frames: FrameBuffer::default(),
            seal,
            wants_usage: options.usage,
            input_tokens: options.input_tokens,
            head: Vec::new(),
            end: ProviderEnd::default(),
            usage: Usage::default(),
            pieces: 0,
            details: 0,
        }
    }

    /// State of the provider, sealed. It goes back in one piece, in front of everything.
    fn state(&mut self, opaque: &OpaqueState) {
        let detail = detail(opaque, &self.seal, DetailPlace::default(), self.details);
        self.details += 1;
        let fields = [b"{\"reasoning_details\":[", detail.as_bytes(), b"]}"].concat();
        let chunk = self.chunk(&fields, None);
        self.frames.target().extend_from_slice(&chunk);
    }

    /// A chunk of our own; `delta` is its JSON text.
    fn chunk(&self, delta: &[u8], reason: Option<&str>) -> Vec<u8> {
        let mut out = b"data: ".to_vec();
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":");
        out.extend_from_slice(delta);
        out.extend_from_slice(b",\"finish_reason\":");
        match reason {
            Some(reason) => push_string(&mut out, reason),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]}\n\n");
        out
    }
}

impl Passthrough for ChatPassthrough {
    fn frames(&self) -> &FrameBuffer {
        &self.frames
    }

    fn frames_mut(&mut self) -> &mut FrameBuffer {
        &mut self.frames
    }

    /// The hot path: a chunk is copied once.
    fn frame(&mut self, frame: &PassthroughFrame<'_>) {
        // A client that did not ask for usage may stumble over a chunk without choices.
        if !self.frames.takes_more() || (frame.kind == USAGE && !self.wants_usage) {
            return;
        }
        if self.head.is_empty() {
            self.head = head(frame.data);
        }
        self.end.reason |= frame.kind == REASON;
        self.end.usage |= frame.kind == USAGE;
        self.pieces += u64::from(frame.semantic);
        if frame.semantic {
            self.frames.show();
        }
        self.frames.push_data(frame.data);
    }

    /// At the beginning it is not known yet whether chunks will pass: the writer begins by itself with the first thing it has to say.
    fn absorb(&mut self, event: &TurnEvent<'_>) -> bool {
        match event {
            TurnEvent::Started => true,
            TurnEvent::ReasoningState(opaque) if !self.head.is_empty() => {
                self.state(opaque);
                true
            }
            TurnEvent::Usage(usage) => {
                self.usage = *usage;
                false
            }
            _ => false,
        }
    }

    fn forget(&mut self) {
        if !self.frames.is_shown() {
            self.frames.forget();
            self.head.clear();
            self.details = 0;
            self.end.reason = false;
        }
    }

    fn finish(&mut self, reason: &FinishReason) {
        if let FinishReason::Failed(failure) = reason {
            return self.fail(failure);
        }
        if !self.frames.finish() {
            return;
        }
        if !self.end.reason {
            let reason = match reason {
                FinishReason::ToolCalls => "tool_calls",
                FinishReason::Length => "length",
                FinishReason::ContentFilter => "content_filter",
                _ => "stop",
            };
            let chunk = self.chunk(b"{}", Some(reason));
            self.frames.out.extend_from_slice(&chunk);
        }
        let out = &mut self.frames.out;
        if self.wants_usage && !self.end.usage {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            let input = self.usage.input.unwrap_or(self.input_tokens);
            let output = self.usage.output.unwrap_or(self.pieces);
            push_usage(out, self.usage, input, output);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, failure: &Failure) {
        if self.frames.finish() {
            self.frames.push_data(&stream_error(failure));
            self.frames.push_data("[DONE]");
        }
    }

    fn keep_alive(&mut self) {
        if !self.frames.is_finished() {
            self.frames.out.extend_from_slice(KEEP_ALIVE_COMMENT);
        }
    }
}

/// The envelope of a chunk, up to its choices.
fn head(data: &str) -> Vec<u8> {
    let envelope = serde_json::from_str::<ChunkEnvelope<'_>>(data).unwrap_or_default();
    // Words and numbers alone: a line break cannot be in them.
    let text = |raw: Option<&RawValue>, default: &'static str| {
        let raw = raw.map(RawValue::get).filter(|raw| !raw.starts_with(['{', '[']));
        raw.unwrap_or(default).to_owned()
    };
    format!(
        "{{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{}",
        text(envelope.id, "\"chatcmpl\""),
        text(envelope.created, "0"),
        text(envelope.model, "\"\""),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_our_own_have_the_envelope_of_the_providers() {
        let first = r#"{"id":"u1","created":7,"model":"up","choices":[]}"#;
        assert_eq!(head(first), br#"{"id":"u1","object":"chat.completion.chunk","created":7,"model":"up""#);
        assert_eq!(
            head(r#"{"id":{"a":1}}"#),
            br#"{"id":"chatcmpl","object":"chat.completion.chunk","created":0,"model":"""#
        );
    }

    #[test]
    fn state_of_an_attempt_that_was_forgotten_is_gone() {
        let mut passthrough = ChatPassthrough::new(SealKey::default(), &ResponseOptions::default());
        passthrough.frame(&PassthroughFrame { kind: "", data: "{}", semantic: false, state_of: None });
        let owner = latimer_protocol::turn::StateOwner::new("lab", "m");
        let state = TurnEvent::ReasoningState(OpaqueState { owner, data: "s".into() });
        assert!(passthrough.absorb(&state));
        passthrough.forget();
        assert!(!passthrough.absorb(&state) && !passthrough.frames.is_active());
    }
}
