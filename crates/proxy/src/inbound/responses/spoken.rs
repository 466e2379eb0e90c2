//! What a model says and thinks, as items of a Responses stream.

use super::frame::{event, head, output_index, place};
use crate::inbound::wire::json::{push_escaped, push_string};

/// A message that is being written. One part at a time: words or a refusal.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) index: u32,
    pub(super) refusal: bool,
    id: String,
    /// What stands between the sequence number and the delta.
    middle: Vec<u8>,
    /// The text so far, escaped: it goes out three more times.
    text: Vec<u8>,
}

/// Thoughts that are being written, as a summary: what clients show.
#[derive(Debug)]
pub(super) struct ReasoningBlock {
    pub(super) index: u32,
    id: String,
    middle: Vec<u8>,
    text: Vec<u8>,
    /// A part was begun. State without readable thoughts has none.
    part: bool,
}

impl Message {
    pub(super) fn open(id: String, index: u32, refusal: bool, out: &mut Vec<u8>, sequence: &mut u64) -> Self {
        event(out, sequence, "response.output_item.added", |out| {
            output_index(out, index);
            out.extend_from_slice(b",\"item\":{\"type\":\"message\",\"id\":");
            push_string(out, &id);
            out.extend_from_slice(b",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}");
        });
        event(out, sequence, "response.content_part.added", |out| {
            place(out, &id, index, "content_index");
            out.extend_from_slice(b",\"part\":");
            part(out, refusal, b"");
        });
        let mut middle = Vec::new();
        place(&mut middle, &id, index, "content_index");
        middle.extend_from_slice(b",\"delta\":\"");
        Self { index, refusal, id, middle, text: Vec::new() }
    }

    /// The hot path: nothing is allocated but room for the bytes themselves.
    pub(super) fn delta(&mut self, text: &str, out: &mut Vec<u8>, sequence: &mut u64) {
        head(
            out,
            sequence,
            if self.refusal { "response.refusal.delta" } else { "response.output_text.delta" },
        );
        out.extend_from_slice(&self.middle);
        let from = out.len();
        push_escaped(out, text);
        self.text.extend_from_slice(&out[from..]);
        out.extend_from_slice(if self.refusal { b"\"}\n\n" } else { b"\",\"logprobs\":[]}\n\n" });
    }

    /// Writes the closing events and gives the item.
    pub(super) fn close(&self, whole: bool, out: &mut Vec<u8>, sequence: &mut u64) -> Vec<u8> {
        let (done, field) = if self.refusal {
            ("response.refusal.done", "refusal")
        } else {
            ("response.output_text.done", "text")
        };
        event(out, sequence, done, |out| {
            place(out, &self.id, self.index, "content_index");
            out.extend_from_slice(b",\"");
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(&self.text);
            out.extend_from_slice(if self.refusal { b"\"" } else { b"\",\"logprobs\":[]" });
        });
        event(out, sequence, "response.content_part.done", |out| {
            place(out, &self.id, self.index, "content_index");
            out.extend_from_slice(b",\"part\":");
            part(out, self.refusal, &self.text);
        });
        let mut item = b"{\"type\":\"message\",\"id\":".to_vec();
        push_string(&mut item, &self.id);
        item.extend_from_slice(b",\"status\":");
        push_string(&mut item, if whole { "completed" } else { "incomplete" });
        item.extend_from_slice(b",\"role\":\"assistant\",\"content\":[");
        part(&mut item, self.refusal, &self.text);
        item.extend_from_slice(b"]}");
        item
    }
}

impl ReasoningBlock {
    pub(super) fn open(id: String, index: u32, out: &mut Vec<u8>, sequence: &mut u64) -> Self {
        event(out, sequence, "response.output_item.added", |out| {
            output_index(out, index);
            out.extend_from_slice(b",\"item\":{\"type\":\"reasoning\",\"id\":");
            push_string(out, &id);
            out.extend_from_slice(b",\"summary\":[]}");
        });
        let mut middle = Vec::new();
        place(&mut middle, &id, index, "summary_index");
        middle.extend_from_slice(b",\"delta\":\"");
        Self { index, id, middle, text: Vec::new(), part: false }
    }

    pub(super) fn delta(&mut self, text: &str, out: &mut Vec<u8>, sequence: &mut u64) {
        if !self.part {
            self.part = true;
            event(out, sequence, "response.reasoning_summary_part.added", |out| {
                place(out, &self.id, self.index, "summary_index");
                out.extend_from_slice(b",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}");
            });
        }
        head(out, sequence, "response.reasoning_summary_text.delta");
        out.extend_from_slice(&self.middle);
        let from = out.len();
        push_escaped(out, text);
        self.text.extend_from_slice(&out[from..]);
        out.extend_from_slice(b"\"}\n\n");
    }

    /// Writes the closing events and gives the item, with the state that belongs to the thoughts.
    pub(super) fn close(&self, carrier: Option<String>, out: &mut Vec<u8>, sequence: &mut u64) -> Vec<u8> {
        let mut item = b"{\"type\":\"reasoning\",\"id\":".to_vec();
        push_string(&mut item, &self.id);
        item.extend_from_slice(b",\"summary\":[");
        if self.part {
            let part = [b"{\"type\":\"summary_text\",\"text\":\"", self.text.as_slice(), b"\"}"].concat();
            event(out, sequence, "response.reasoning_summary_text.done", |out| {
                place(out, &self.id, self.index, "summary_index");
                out.extend_from_slice(b",\"text\":\"");
                out.extend_from_slice(&self.text);
                out.push(b'"');
            });
            event(out, sequence, "response.reasoning_summary_part.done", |out| {
                place(out, &self.id, self.index, "summary_index");
                out.extend_from_slice(b",\"part\":");
                out.extend_from_slice(&part);
            });
            item.extend_from_slice(&part);
        }
        item.push(b']');
        if let Some(carrier) = carrier {
            item.extend_from_slice(b",\"encrypted_content\":");
            push_string(&mut item, &carrier);
        }
        item.push(b'}');
        item
    }
}

/// A part of a message; `text` is escaped already.
fn part(out: &mut Vec<u8>, refusal: bool, text: &[u8]) {
    if refusal {
        out.extend_from_slice(b"{\"type\":\"refusal\",\"refusal\":\"");
        out.extend_from_slice(text);
        out.extend_from_slice(b"\"}");
    } else {
        out.extend_from_slice(b"{\"type\":\"output_text\",\"text\":\"");
        out.extend_from_slice(text);
        out.extend_from_slice(b"\",\"annotations\":[],\"logprobs\":[]}");
    }
}
