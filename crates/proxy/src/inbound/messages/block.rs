//! Content blocks of a Messages stream: text, thinking and calls, each with its events.

use crate::inbound::wire::json::{push_escaped, push_number, push_string};
use crate::inbound::writer::sequencer::PendingCall;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Text,
    Thinking,
}

impl BlockKind {
    /// The block's type and its field, which the deltas use too.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Thinking => "thinking",
        }
    }
}

/// Text or thinking that is being written.
#[derive(Debug)]
pub(super) struct TextBlock {
    pub(super) kind: BlockKind,
    index: u32,
    /// A delta up to its text.
    head: Vec<u8>,
    /// The text so far, escaped; for a client that wants one object.
    collected: Option<Vec<u8>>,
}

impl TextBlock {
    pub(super) fn open(kind: BlockKind, index: u32, collects: bool, out: &mut Vec<u8>) -> Self {
        push_start(out, index, |out| match kind {
            BlockKind::Text => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}"),
            BlockKind::Thinking => {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
            }
        });
        let head = delta_head(u64::from(index), &format!("{}_delta", kind.name()), kind.name());
        Self { kind, index, head, collected: collects.then(Vec::new) }
    }

    /// The hot path: nothing is allocated but room for the bytes themselves.
    pub(super) fn delta(&mut self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        let from = out.len();
        push_escaped(out, text);
        if let Some(collected) = &mut self.collected {
            collected.extend_from_slice(out.get(from..).unwrap_or_default());
        }
        out.extend_from_slice(DELTA_END);
    }

    /// Writes the closing events; gives the whole block where it is wanted.
    pub(super) fn close(self, signature: Option<&str>, out: &mut Vec<u8>) -> Option<Vec<u8>> {
        if let Some(signature) = signature {
            push_signature(out, u64::from(self.index), signature);
        }
        push_stop(out, u64::from(self.index));
        let text = self.collected?;
        let name = self.kind.name().as_bytes();
        let mut block = [b"{\"type\":\"", name, b"\",\"", name, b"\":\"", &text, b"\""].concat();
        if self.kind == BlockKind::Thinking {
            block.extend_from_slice(b",\"signature\":");
            push_string(&mut block, signature.unwrap_or_default());
        }
        block.push(b'}');
        Some(block)
    }
}

/// Thinking that nobody may read: one block without deltas.
pub(super) fn redacted_block(data: &str, index: u32, out: &mut Vec<u8>) -> Vec<u8> {
    let mut block = b"{\"type\":\"redacted_thinking\",\"data\":".to_vec();
    push_string(&mut block, data);
    block.push(b'}');
    push_start(out, index, |out| out.extend_from_slice(&block));
    push_stop(out, u64::from(index));
    block
}

/// A call that is being written.
#[derive(Debug)]
pub(super) struct CallBlock {
    index: u32,
    /// A delta up to its piece of the arguments.
    head: Vec<u8>,
}

impl CallBlock {
    /// Writes the beginning.
    pub(super) fn open(call: &PendingCall, index: u32, out: &mut Vec<u8>) -> Self {
        push_start(out, index, |out| {
            push_call(out, call);
            // Claude Code ignores what stands here; arguments only ever come in deltas.
            out.extend_from_slice(b",\"input\":{}}");
        });
        Self { index, head: delta_head(u64::from(index), "input_json_delta", "partial_json") }
    }

    /// Writes a piece of the arguments.
    pub(super) fn delta(&self, json: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        push_escaped(out, json);
        out.extend_from_slice(DELTA_END);
    }

    /// Writes the end of a complete call and gives its block.
    pub(super) fn close(&self, call: &PendingCall, out: &mut Vec<u8>) -> Vec<u8> {
        push_stop(out, u64::from(self.index));
        let mut block = Vec::with_capacity(call.arguments().len() + 96);
        push_call(&mut block, call);
        block.extend_from_slice(b",\"input\":");
        block.extend_from_slice(call.arguments().trim().as_bytes());
        block.push(b'}');
        block
    }
}

/// The block of a call up to its input.
fn push_call(out: &mut Vec<u8>, call: &PendingCall) {
    out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
    push_string(out, &call.id);
    out.extend_from_slice(b",\"name\":");
    push_string(out, &call.name);
}

const DELTA_END: &[u8] = b"\"}}\n\n";

fn push_start(out: &mut Vec<u8>, index: u32, block: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
    push_number(out, u64::from(index));
    out.extend_from_slice(b",\"content_block\":");
    block(out);
    out.extend_from_slice(b"}\n\n");
}

/// The end of a block.
pub(super) fn push_stop(out: &mut Vec<u8>, index: u64) {
    out.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    push_number(out, index);
    out.extend_from_slice(b"}\n\n");
}

/// The signature of thinking; the last delta of its block.
pub(super) fn push_signature(out: &mut Vec<u8>, index: u64, signature: &str) {
    out.extend_from_slice(&delta_head(index, "signature_delta", "signature"));
    push_escaped(out, signature);
    out.extend_from_slice(DELTA_END);
}

/// A delta up to the first character of its text.
fn delta_head(index: u64, kind: &str, field: &str) -> Vec<u8> {
    let mut head = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":".to_vec();
    push_number(&mut head, index);
    head.extend_from_slice(b",\"delta\":{\"type\":\"");
    head.extend_from_slice(kind.as_bytes());
    head.extend_from_slice(b"\",\"");
    head.extend_from_slice(field.as_bytes());
    head.extend_from_slice(b"\":\"");
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn value(block: &[u8]) -> Value {
        serde_json::from_slice(block).expect("JSON")
    }

    #[test]
    fn a_block_holds_its_deltas_and_its_signature() {
        let mut out = Vec::new();
        let mut block = TextBlock::open(BlockKind::Thinking, 1, true, &mut out);
        block.delta("a\n", &mut out);
        block.delta("b", &mut out);
        let block = block.close(Some("s"), &mut out).expect("collected");
        assert_eq!(value(&block), json!({ "type": "thinking", "thinking": "a\nb", "signature": "s" }));
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("event: content_block_delta").count(), 3, "{text}");
        assert!(text.ends_with("{\"type\":\"content_block_stop\",\"index\":1}\n\n"), "{text}");
    }

    #[test]
    fn the_input_of_a_call_begins_empty() {
        let mut out = Vec::new();
        let call = PendingCall::new(0, "toolu_1".to_owned(), "Bash");
        let block = CallBlock::open(&call, 0, &mut out);
        block.delta("{}", &mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.contains("\"id\":\"toolu_1\",\"name\":\"Bash\",\"input\":{}}")
                && text.contains("\"partial_json\":\"{}\""),
            "{text}"
        );
    }
}
