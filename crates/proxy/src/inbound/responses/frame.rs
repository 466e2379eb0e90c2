//! Frames of a Responses stream: the lines and fields all events share.

use crate::inbound::wire::json::{push_number, push_string};
use crate::inbound::wire::rope::Rope;

/// Room for an event without a long text, in bytes, so that its fields do not make the buffer grow step by step.
const EVENT_ROOM: usize = 512;

/// The events of one stream, numbered without gaps.
#[derive(Debug, Default)]
pub(super) struct EventBuffer {
    /// Bytes that are ready for the client. Only inside of a payload do they go from one piece to the next.
    pub(super) out: Rope,
    /// The number of the next event.
    sequence: u64,
}

impl EventBuffer {
    /// `event:` line and the beginning of the object, up to the sequence number.
    pub(super) fn begin(&mut self, name: &str) {
        let out = self.out.tail_mut();
        out.reserve(EVENT_ROOM);
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"sequence_number\":");
        push_number(out, self.sequence);
        self.sequence += 1;
    }

    /// One whole event; `fill` writes its fields, each with a comma before it.
    pub(super) fn event(&mut self, name: &str, fill: impl FnOnce(&mut Rope)) {
        self.begin(name);
        fill(&mut self.out);
        self.out.tail_mut().extend_from_slice(b"}\n\n");
    }

    /// `response.output_item.added` or `.done`, with the JSON text of the item.
    pub(super) fn item(&mut self, name: &str, index: u32, item: &Rope) {
        self.event(name, |out| {
            push_output_index(out.tail_mut(), index);
            out.tail_mut().extend_from_slice(b",\"item\":");
            out.share(item);
        });
    }

    /// The last line of a stream.
    pub(super) fn done(&mut self) {
        self.out.tail_mut().extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// `item_id`, `output_index` and the index inside of the item, which is always the first.
pub(super) fn push_part_place(out: &mut Vec<u8>, id: &str, index: u32, inner: &str) {
    push_item_place(out, id, index);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(inner.as_bytes());
    out.extend_from_slice(b"\":0");
}

/// `item_id` and `output_index`.
pub(super) fn push_item_place(out: &mut Vec<u8>, id: &str, index: u32) {
    out.extend_from_slice(b",\"item_id\":");
    push_string(out, id);
    push_output_index(out, index);
}

/// The place of an item among all items of the response, counted from 0.
fn push_output_index(out: &mut Vec<u8>, index: u32) {
    out.extend_from_slice(b",\"output_index\":");
    push_number(out, u64::from(index));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_and_framed() {
        let mut events = EventBuffer::default();
        events.event("a", |out| push_part_place(out.tail_mut(), "i", 2, "content_index"));
        events.item("b", 3, &b"{}".to_vec().into());
        events.done();
        assert_eq!(
            String::from_utf8(events.out.into_vec()).expect("text"),
            "event: a\ndata: {\"type\":\"a\",\"sequence_number\":0,\"item_id\":\"i\",\"output_index\":2,\"content_index\":0}\n\n\
             event: b\ndata: {\"type\":\"b\",\"sequence_number\":1,\"output_index\":3,\"item\":{}}\n\ndata: [DONE]\n\n"
        );
    }
}
