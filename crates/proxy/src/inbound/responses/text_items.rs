//! Text, refusals and reasoning as items of a Responses stream.

use super::frame::{EventBuffer, push_part_place};
use crate::inbound::wire::json::{push_escaped, push_string};
use crate::inbound::wire::rope::Rope;

/// What the one part of a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessagePart {
    Text,
    Refusal,
}

/// A message that is being written. It has one part.
#[derive(Debug)]
pub(super) struct MessageItem {
    pub(super) index: u32,
    pub(super) part: MessagePart,
    id: String,
    /// What stands between the sequence number and the delta.
    place: Vec<u8>,
    /// The text so far, escaped: it goes out four more times, and is kept once.
    text: Rope,
}

/// Reasoning that is being written, as a summary: what clients show.
#[derive(Debug)]
pub(super) struct ReasoningItem {
    pub(super) index: u32,
    id: String,
    place: Vec<u8>,
    text: Rope,
    /// The part was begun. State without readable reasoning has none.
    has_part: bool,
}

impl MessagePart {
    fn delta_event(self) -> &'static str {
        match self {
            Self::Text => "response.output_text.delta",
            Self::Refusal => "response.refusal.delta",
        }
    }

    /// The part as JSON; `text` is escaped already.
    fn push(self, out: &mut Rope, text: &Rope) {
        let (head, tail): (&[u8], &[u8]) = match self {
            Self::Text => {
                (b"{\"type\":\"output_text\",\"text\":\"", b"\",\"annotations\":[],\"logprobs\":[]}")
            }
            Self::Refusal => (b"{\"type\":\"refusal\",\"refusal\":\"", b"\"}"),
        };
        out.push(head);
        out.share(text);
        out.push(tail);
    }
}

impl MessageItem {
    pub(super) fn open(id: String, index: u32, part: MessagePart, events: &mut EventBuffer) -> Self {
        let mut item = b"{\"type\":\"message\",\"id\":".to_vec();
        push_string(&mut item, &id);
        item.extend_from_slice(b",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}");
        events.item("response.output_item.added", index, &item.into());
        events.event("response.content_part.added", |out| {
            push_part_place(out.tail_mut(), &id, index, "content_index");
            out.push(b",\"part\":");
            part.push(out, &Rope::default());
        });
        let mut place = Vec::new();
        push_part_place(&mut place, &id, index, "content_index");
        place.extend_from_slice(b",\"delta\":\"");
        Self { index, part, id, place, text: Rope::default() }
    }

    /// The hot path: nothing is allocated but room for the bytes themselves.
    pub(super) fn delta(&mut self, text: &str, events: &mut EventBuffer) {
        events.begin(self.part.delta_event());
        push_delta(&self.place, text, &mut self.text, events.out.tail_mut());
        events.out.tail_mut().extend_from_slice(match self.part {
            MessagePart::Text => b"\",\"logprobs\":[]}\n\n",
            MessagePart::Refusal => b"\"}\n\n",
        });
    }

    /// Writes the closing events and gives the item with this status.
    pub(super) fn close(&self, status: &str, events: &mut EventBuffer) -> Rope {
        let (done, field, tail): (_, &[u8], &[u8]) = match self.part {
            MessagePart::Text => ("response.output_text.done", b",\"text\":\"", b"\",\"logprobs\":[]"),
            MessagePart::Refusal => ("response.refusal.done", b",\"refusal\":\"", b"\""),
        };
        events.event(done, |out| {
            push_part_place(out.tail_mut(), &self.id, self.index, "content_index");
            out.push(field);
            out.share(&self.text);
            out.push(tail);
        });
        events.event("response.content_part.done", |out| {
            push_part_place(out.tail_mut(), &self.id, self.index, "content_index");
            out.push(b",\"part\":");
            self.part.push(out, &self.text);
        });
        let mut head = b"{\"type\":\"message\",\"id\":".to_vec();
        push_string(&mut head, &self.id);
        head.extend_from_slice(b",\"status\":");
        push_string(&mut head, status);
        head.extend_from_slice(b",\"role\":\"assistant\",\"content\":[");
        let mut item = Rope::from(head);
        self.part.push(&mut item, &self.text);
        item.push(b"]}");
        item
    }
}

impl ReasoningItem {
    pub(super) fn open(id: String, index: u32, events: &mut EventBuffer) -> Self {
        let mut item = b"{\"type\":\"reasoning\",\"id\":".to_vec();
        push_string(&mut item, &id);
        item.extend_from_slice(b",\"summary\":[]}");
        events.item("response.output_item.added", index, &item.into());
        let mut place = Vec::new();
        push_part_place(&mut place, &id, index, "summary_index");
        place.extend_from_slice(b",\"delta\":\"");
        Self { index, id, place, text: Rope::default(), has_part: false }
    }

    pub(super) fn delta(&mut self, text: &str, events: &mut EventBuffer) {
        if !self.has_part {
            self.has_part = true;
            events.event("response.reasoning_summary_part.added", |out| {
                push_part_place(out.tail_mut(), &self.id, self.index, "summary_index");
                out.push(b",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}");
            });
        }
        events.begin("response.reasoning_summary_text.delta");
        push_delta(&self.place, text, &mut self.text, events.out.tail_mut());
        events.out.tail_mut().extend_from_slice(b"\"}\n\n");
    }

    /// Writes the closing events and gives the item, with the sealed state that belongs to the reasoning.
    pub(super) fn close(&self, state: Option<&str>, events: &mut EventBuffer) -> Rope {
        let mut head = b"{\"type\":\"reasoning\",\"id\":".to_vec();
        push_string(&mut head, &self.id);
        head.extend_from_slice(b",\"summary\":[");
        let mut item = Rope::from(head);
        if self.has_part {
            let mut part = Rope::from(b"{\"type\":\"summary_text\",\"text\":\"".to_vec());
            part.share(&self.text);
            part.push(b"\"}");
            events.event("response.reasoning_summary_text.done", |out| {
                push_part_place(out.tail_mut(), &self.id, self.index, "summary_index");
                out.push(b",\"text\":\"");
                out.share(&self.text);
                out.push(b"\"");
            });
            events.event("response.reasoning_summary_part.done", |out| {
                push_part_place(out.tail_mut(), &self.id, self.index, "summary_index");
                out.push(b",\"part\":");
                out.share(&part);
            });
            item.share(&part);
        }
        item.push(b"]");
        if let Some(state) = state {
            item.push(b",\"encrypted_content\":");
            push_string(item.tail_mut(), state);
        }
        item.push(b"}");
        item
    }
}

/// Writes the place and the text, escaped, which is kept as well.
fn push_delta(place: &[u8], text: &str, collected: &mut Rope, out: &mut Vec<u8>) {
    out.extend_from_slice(place);
    let from = out.len();
    push_escaped(out, text);
    collected.push(out.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn item(bytes: &Rope) -> Value {
        serde_json::from_slice(&bytes.to_vec()).expect("JSON")
    }

    #[test]
    fn an_item_holds_its_deltas() {
        for (part, field) in [(MessagePart::Text, "text"), (MessagePart::Refusal, "refusal")] {
            let mut events = EventBuffer::default();
            let mut message = MessageItem::open("msg_1".to_owned(), 0, part, &mut events);
            message.delta("a\n", &mut events);
            message.delta("\"b", &mut events);
            let item = item(&message.close("incomplete", &mut events));
            assert_eq!(
                (&item["content"][0][field], &item["status"]),
                (&json!("a\n\"b"), &json!("incomplete"))
            );
        }
    }

    #[test]
    fn state_without_reasoning_has_no_summary() {
        let mut events = EventBuffer::default();
        let reasoning = ReasoningItem::open("rs_1".to_owned(), 0, &mut events);
        let item = item(&reasoning.close(Some("sealed"), &mut events));
        assert_eq!((&item["summary"], &item["encrypted_content"]), (&json!([]), &json!("sealed")));
    }
}
