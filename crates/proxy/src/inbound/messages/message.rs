//! The message around the blocks: its first and last events, an error, and the message as one object.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::Usage;

use super::error::{message, stream_type};
use crate::inbound::wire::json::push_string;
use crate::inbound::writer::WriterSeed;

/// What never changes while a message is written.
#[derive(Debug, Clone)]
pub(super) struct MessageEnvelope {
    /// All ids end with this.
    hex: String,
    model: String,
}

/// How a message ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageEnd<'e> {
    /// `stop_reason`.
    pub(super) reason: &'e str,
    /// The word that ended it.
    pub(super) stop: Option<&'e str>,
    /// From [`usage_json`].
    pub(super) usage: &'e str,
}

impl MessageEnd<'_> {
    fn reason(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"stop_reason\":");
        push_string(out, self.reason);
        out.extend_from_slice(b",\"stop_sequence\":");
        match self.stop {
            Some(stop) => push_string(out, stop),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl MessageEnvelope {
    pub(super) fn new(seed: &WriterSeed, model: String) -> Self {
        Self { hex: seed.hex(), model }
    }

    /// `message_start`.
    pub(super) fn start(&self, usage: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
        self.head(out);
        out.extend_from_slice(b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
        out.extend_from_slice(usage.as_bytes());
        out.extend_from_slice(b"}}\n\n");
    }

    /// `message_delta` and `message_stop`.
    pub(super) fn end(end: MessageEnd<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
        end.reason(out);
        out.extend_from_slice(b"},\"usage\":");
        out.extend_from_slice(end.usage.as_bytes());
        out.extend_from_slice(b"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }

    /// The whole message; `content` are its blocks, joined by commas.
    pub(super) fn whole(&self, content: &[u8], end: MessageEnd<'_>) -> Vec<u8> {
        let mut whole = Vec::with_capacity(content.len() + 512);
        self.head(&mut whole);
        whole.extend_from_slice(b",\"content\":[");
        whole.extend_from_slice(content);
        whole.extend_from_slice(b"],");
        end.reason(&mut whole);
        whole.extend_from_slice(b",\"usage\":");
        whole.extend_from_slice(end.usage.as_bytes());
        whole.push(b'}');
        whole
    }

    /// `error`. Gives the error alone too.
    pub(super) fn error(&self, failure: &Failure, out: &mut Vec<u8>) -> Vec<u8> {
        let mut error = b"{\"type\":\"error\",\"error\":{\"type\":".to_vec();
        push_string(&mut error, stream_type(failure.kind));
        error.extend_from_slice(b",\"message\":");
        push_string(&mut error, &message(failure));
        error.extend_from_slice(b"},\"request_id\":\"req_");
        error.extend_from_slice(self.hex.as_bytes());
        error.extend_from_slice(b"\"}");
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&error);
        out.extend_from_slice(b"\n\n");
        error
    }

    /// From the opening brace to the model.
    fn head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"msg_");
        out.extend_from_slice(self.hex.as_bytes());
        out.extend_from_slice(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
        push_string(out, &self.model);
    }
}

/// Usage is never absent, and cached input is counted apart, as this protocol does. `estimate` stands for input that nobody
/// counted.
pub(super) fn usage_json(usage: Usage, estimate: u64, output: u64) -> String {
    let (read, written) = (usage.cached.unwrap_or(0), usage.cache_write.unwrap_or(0));
    let fresh = usage.input.map_or(estimate, |input| input.saturating_sub(read).saturating_sub(written));
    format!(
        "{{\"input_tokens\":{fresh},\"cache_creation_input_tokens\":{written},\"cache_read_input_tokens\":{read},\"output_tokens\":{output}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn cached_input_is_counted_apart() {
        let counted = Usage { input: Some(10), cached: Some(3), cache_write: Some(2), ..Usage::default() };
        let usage: Value = serde_json::from_str(&usage_json(counted, 50, 7)).expect("JSON");
        assert_eq!(
            (&usage["input_tokens"], &usage["cache_read_input_tokens"]),
            (&Value::from(5), &Value::from(3))
        );
        let usage: Value = serde_json::from_str(&usage_json(Usage::default(), 50, 7)).expect("JSON");
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&Value::from(50), &Value::from(7)));
    }

    #[test]
    fn the_message_is_one_object() {
        let envelope = MessageEnvelope::new(&WriterSeed::default(), "m".to_owned());
        let end = MessageEnd { reason: "stop_sequence", stop: Some("END"), usage: "{}" };
        let message: Value = serde_json::from_slice(&envelope.whole(b"{},{}", end)).expect("JSON");
        assert_eq!(
            (&message["stop_sequence"], &message["content"]),
            (&Value::from("END"), &serde_json::json!([{}, {}]))
        );
    }
}
