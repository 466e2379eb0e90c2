//! A provider's own chunks on their way to a client of the same protocol. They are not touched; what is missing at their end is
//! added, in their own envelope. Pure.

use latimer_adapters::chat::passthrough_reader::{REASON, USAGE};
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{FinishReason, OpaqueState, PassthroughFrame, Seal, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::stream_error;
use super::object::push_usage;
use super::thoughts::{Place, detail};
use crate::inbound::wire::json::push_string;

/// Hands chunks on.
///
/// Invariant: nothing is written before the first chunk that shows something; the answer ends with a reason or an error, with usage
/// when it was asked for, and with `[DONE]`.
#[derive(Debug)]
pub(super) struct PassthroughWriter {
    seal: Seal,
    wants_usage: bool,
    /// A rough count of the input's tokens, for a provider that does not count.
    input_tokens: u64,
    /// Chunks that came before the first one that shows something.
    held: Vec<u8>,
    out: Vec<u8>,
    /// What all chunks begin with, from the first one: for chunks of our own.
    head: Vec<u8>,
    shown: bool,
    finished: bool,
    /// The provider said why it ended, and what it used.
    reason: bool,
    counted: bool,
    usage: Usage,
    /// Chunks that showed something: about a token each.
    pieces: u64,
    details: u32,
}

/// The envelope of a chunk.
#[derive(Default, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

impl PassthroughWriter {
    pub(super) fn new(seal: Seal, wants_usage: bool, input_tokens: u64) -> Self {
        Self {
            seal,
            wants_usage,
            input_tokens,
            held: Vec::new(),
            out: Vec::new(),
            head: Vec::new(),
            shown: false,
            finished: false,
            reason: false,
            counted: false,
            usage: Usage::default(),
            pieces: 0,
            details: 0,
        }
    }

    /// The client has seen something of a provider's own answer.
    pub(super) fn has_shown(&self) -> bool {
        self.shown
    }

    /// Chunks came, shown or not.
    pub(super) fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn out(&self) -> &[u8] {
        &self.out
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Another attempt: what the last one began was never shown.
    pub(super) fn again(&mut self) {
        if !self.shown {
            self.held.clear();
            self.head.clear();
            self.details = 0;
            self.reason = false;
        }
    }

    pub(super) fn keep_alive(&mut self) {
        if !self.finished {
            self.out.extend_from_slice(b": keep-alive\n\n");
        }
    }

    /// The hot path: a chunk is copied once.
    pub(super) fn frame(&mut self, frame: &PassthroughFrame<'_>) {
        // A client that did not ask for usage may stumble over a chunk without choices.
        if self.finished || (frame.kind == USAGE && !self.wants_usage) {
            return;
        }
        if self.head.is_empty() {
            self.head = head(frame.data);
        }
        self.reason |= frame.kind == REASON;
        self.counted |= frame.kind == USAGE;
        self.pieces += u64::from(frame.semantic);
        if frame.semantic && !self.shown {
            self.shown = true;
            self.out.append(&mut self.held);
        }
        let out = if self.shown { &mut self.out } else { &mut self.held };
        out.extend_from_slice(b"data: ");
        if memchr::memchr2(b'\n', b'\r', frame.data.as_bytes()).is_some() {
            // Between the tokens of JSON a line break is only blank; in a frame it would end the line.
            out.extend(
                frame.data.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
            );
        } else {
            out.extend_from_slice(frame.data.as_bytes());
        }
        out.extend_from_slice(b"\n\n");
    }

    /// State of the provider, sealed. It goes back in one piece, in front of everything.
    pub(super) fn state(&mut self, opaque: &OpaqueState) {
        let detail = detail(opaque, &self.seal, Place::default(), self.details);
        self.details += 1;
        let fields = [b"{\"reasoning_details\":[", detail.as_bytes(), b"]}"].concat();
        let chunk = self.chunk(&fields, None);
        let out = if self.shown { &mut self.out } else { &mut self.held };
        out.extend_from_slice(&chunk);
    }

    pub(super) fn usage(&mut self, usage: Usage) {
        self.usage = usage;
    }

    /// The provider said that it is done.
    pub(super) fn finish(&mut self, reason: &FinishReason) {
        if let FinishReason::Failed(failure) = reason {
            return self.fail(failure);
        }
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if !self.reason {
            let reason = match reason {
                FinishReason::ToolCalls => "tool_calls",
                FinishReason::Length => "length",
                FinishReason::ContentFilter => "content_filter",
                _ => "stop",
            };
            let chunk = self.chunk(b"{}", Some(reason));
            self.out.extend_from_slice(&chunk);
        }
        if self.wants_usage && !self.counted {
            self.out.extend_from_slice(b"data: ");
            self.out.extend_from_slice(&self.head);
            self.out.extend_from_slice(b",\"choices\":[],\"usage\":");
            let input = self.usage.input.unwrap_or(self.input_tokens);
            let output = self.usage.output.unwrap_or(self.pieces);
            push_usage(&mut self.out, self.usage, input, output);
            self.out.extend_from_slice(b"}\n\n");
        }
        self.out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// An end of our own, where the provider gave none.
    pub(super) fn fail(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.finished, true) {
            self.out.extend_from_slice(b"data: ");
            self.out.extend_from_slice(stream_error(failure).as_bytes());
            self.out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        }
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

/// The envelope of a chunk, up to its choices.
fn head(data: &str) -> Vec<u8> {
    let envelope = serde_json::from_str::<Envelope<'_>>(data).unwrap_or_default();
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
