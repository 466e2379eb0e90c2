//! Writing JSON by hand, for the events that come hundreds a second. Everything rarer goes through serde.

pub(in crate::inbound) use latimer_protocol::json::{push_escaped, push_number, push_string};

use super::rope::Rope;

/// Appends the inside of a JSON string to a rope, so that a long text never needs one buffer.
pub(in crate::inbound) fn push_escaped_pieces(out: &mut Rope, text: &str) {
    const STEP: usize = 16 << 10;
    let mut escaped = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = (0..=rest.len().min(STEP)).rev().find(|at| rest.is_char_boundary(*at));
        let (head, tail) = rest.split_at(end.unwrap_or(rest.len()));
        escaped.clear();
        push_escaped(&mut escaped, head);
        out.push(&escaped);
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_long_text_is_escaped_in_pieces_as_it_is_in_one(text in "(\\PC|[\\x00-\\x1f\"\\\\]){1,40}") {
            let text = text.repeat(3000);
            let (mut out, mut rope) = (Vec::new(), Rope::default());
            push_escaped(&mut out, &text);
            push_escaped_pieces(&mut rope, &text);
            proptest::prop_assert!(rope.into_vec() == out);
        }
    }
}
