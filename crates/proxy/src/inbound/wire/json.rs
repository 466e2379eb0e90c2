//! Writing JSON by hand, for the events that come hundreds a second. Everything rarer goes through serde.

use super::rope::Rope;

/// Appends a JSON string, quotes included. `"`, `\` and control characters are escaped, all else is UTF-8 as it is.
pub(in crate::inbound) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends the inside of a JSON string.
pub(in crate::inbound) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(&bytes[copied..at]);
                let [high, low] = [byte >> 4, byte & 15]
                    .map(|nibble| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                copied = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(escape);
        copied = at + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

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

/// Appends a whole number.
pub(in crate::inbound) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn serde_reads_what_we_write(text in "(\\PC|[\\x00-\\x1f\"\\\\]){0,40}") {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            proptest::prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid JSON"), text);
        }

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
