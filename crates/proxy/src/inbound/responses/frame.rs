//! Frames of a Responses stream: the lines and fields all events share.

use crate::inbound::wire::json::{push_number, push_string};

/// `event:` line and the beginning of the object, up to the sequence number.
pub(super) fn head(out: &mut Vec<u8>, sequence: &mut u64, name: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"sequence_number\":");
    push_number(out, *sequence);
    *sequence += 1;
}

/// One whole event; `fill` writes its fields, each with a comma before it.
pub(super) fn event(out: &mut Vec<u8>, sequence: &mut u64, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    head(out, sequence, name);
    fill(out);
    out.extend_from_slice(b"}\n\n");
}

/// `item_id`, `output_index` and the index inside of the item, which is always the first.
pub(super) fn place(out: &mut Vec<u8>, id: &str, index: u32, inner: &str) {
    item_place(out, id, index);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(inner.as_bytes());
    out.extend_from_slice(b"\":0");
}

/// `item_id` and `output_index`.
pub(super) fn item_place(out: &mut Vec<u8>, id: &str, index: u32) {
    out.extend_from_slice(b",\"item_id\":");
    push_string(out, id);
    output_index(out, index);
}

/// `output_index`.
pub(super) fn output_index(out: &mut Vec<u8>, index: u32) {
    out.extend_from_slice(b",\"output_index\":");
    push_number(out, u64::from(index));
}
