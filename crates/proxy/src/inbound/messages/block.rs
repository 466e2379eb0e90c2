//! Blocks of a Messages stream: words, thoughts and calls, each with its events.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::wire::json::{push_escaped, push_number, push_string};

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
}

impl Kind {
    /// The block's type and its field, which the deltas use too.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Thinking => "thinking",
        }
    }
}

/// Words or thoughts that are being written.
#[derive(Debug)]
pub(super) struct TextBlock {
    pub(super) kind: Kind,
    index: u32,
    /// A delta up to its text.
    head: Vec<u8>,
    /// The text so far, escaped; for a client that wants one object.
    kept: Option<Vec<u8>>,
}

impl TextBlock {
    pub(super) fn open(kind: Kind, index: u32, keep: bool, out: &mut Vec<u8>) -> Self {
        start(out, index, |out| match kind {
            Kind::Text => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}"),
            Kind::Thinking => {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
            }
        });
        let head = delta_head(u64::from(index), &format!("{}_delta", kind.name()), kind.name());
        Self { kind, index, head, kept: keep.then(Vec::new) }
    }

    /// The hot path: nothing is allocated but room for the bytes themselves.
    pub(super) fn delta(&mut self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        let from = out.len();
        push_escaped(out, text);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(out.get(from..).unwrap_or_default());
        }
        out.extend_from_slice(DELTA_END);
    }

    /// Writes the closing events; gives the whole block where it is wanted.
    pub(super) fn close(self, signature: Option<&str>, out: &mut Vec<u8>) -> Option<Vec<u8>> {
        if let Some(signature) = signature {
            signature_delta(out, u64::from(self.index), signature);
        }
        stop(out, u64::from(self.index));
        let kept = self.kept?;
        let name = self.kind.name().as_bytes();
        let mut block = [b"{\"type\":\"", name, b"\",\"", name, b"\":\"", &kept, b"\""].concat();
        if self.kind == Kind::Thinking {
            block.extend_from_slice(b",\"signature\":");
            push_string(&mut block, signature.unwrap_or_default());
        }
        block.push(b'}');
        Some(block)
    }
}

/// Thoughts that nobody may read: one block without deltas.
pub(super) fn redacted(data: &str, index: u32, out: &mut Vec<u8>) -> Vec<u8> {
    let mut block = b"{\"type\":\"redacted_thinking\",\"data\":".to_vec();
    push_string(&mut block, data);
    block.push(b'}');
    start(out, index, |out| out.extend_from_slice(&block));
    stop(out, u64::from(index));
    block
}

/// A call that is open or waits to be.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: u32,
    pub(super) name: String,
    /// No more arguments will come.
    pub(super) ended: bool,
    id: String,
    index: u32,
    head: Vec<u8>,
    arguments: String,
}

impl Call {
    pub(super) fn new(slot: u32, id: String, name: &str) -> Self {
        Self {
            slot,
            name: name.to_owned(),
            ended: false,
            id,
            index: 0,
            head: Vec::new(),
            arguments: String::new(),
        }
    }

    /// Writes the beginning, and what came while the call waited.
    pub(super) fn open(&mut self, index: u32, out: &mut Vec<u8>) {
        self.index = index;
        self.head = delta_head(u64::from(index), "input_json_delta", "partial_json");
        start(out, index, |out| {
            self.named(out);
            // Claude Code ignores what stands here; arguments only ever come in deltas.
            out.extend_from_slice(b",\"input\":{}}");
        });
        let held = std::mem::take(&mut self.arguments);
        if !held.is_empty() {
            self.delta(&held, out);
        }
    }

    /// Keeps a piece for later.
    pub(super) fn later(&mut self, json: &str) {
        self.arguments.push_str(json);
    }

    /// Writes a piece.
    pub(super) fn delta(&mut self, json: &str, out: &mut Vec<u8>) {
        self.arguments.push_str(json);
        out.extend_from_slice(&self.head);
        push_escaped(out, json);
        out.extend_from_slice(DELTA_END);
    }

    /// The arguments are one whole JSON object.
    pub(super) fn is_whole(&self) -> bool {
        let text = self.arguments.trim();
        // A string with half a character in it is passed over when it is skipped, and refused by those who read it.
        let reads = || {
            if text.contains("\\u") {
                serde_json::from_str::<Value>(text).is_ok()
            } else {
                serde_json::from_str::<&RawValue>(text).is_ok()
            }
        };
        text.starts_with('{') && text.ends_with('}') && reads()
    }

    /// Arguments that never came are an empty object.
    pub(super) fn settle(&mut self, out: &mut Vec<u8>) {
        if self.arguments.trim().is_empty() {
            self.delta("{}", out);
        }
    }

    /// Writes the end of a whole call and gives its block.
    pub(super) fn close(&self, out: &mut Vec<u8>) -> Vec<u8> {
        stop(out, u64::from(self.index));
        let mut block = Vec::with_capacity(self.arguments.len() + 96);
        self.named(&mut block);
        block.extend_from_slice(b",\"input\":");
        block.extend_from_slice(self.arguments.trim().as_bytes());
        block.push(b'}');
        block
    }

    fn named(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
        push_string(out, &self.id);
        out.extend_from_slice(b",\"name\":");
        push_string(out, &self.name);
    }
}

const DELTA_END: &[u8] = b"\"}}\n\n";

fn start(out: &mut Vec<u8>, index: u32, block: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
    push_number(out, u64::from(index));
    out.extend_from_slice(b",\"content_block\":");
    block(out);
    out.extend_from_slice(b"}\n\n");
}

/// The end of a block.
pub(super) fn stop(out: &mut Vec<u8>, index: u64) {
    out.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    push_number(out, index);
    out.extend_from_slice(b"}\n\n");
}

/// What proves thoughts; the last delta of their block.
pub(super) fn signature_delta(out: &mut Vec<u8>, index: u64, signature: &str) {
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
