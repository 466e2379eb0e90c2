//! Strings of JSON.

/// Bytes that are looked at together: what the compiler turns into a few instructions.
const BLOCK: usize = 16;

/// Appends a JSON string, quotes included. `"`, `\` and control characters are escaped, all else is UTF-8 as it is.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends the inside of a JSON string.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, others) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((byte, behind)) = others.split_first() else { return };
        push_escape(out, *byte);
        rest = behind;
    }
}

/// How many bytes from the start need no escape.
fn plain_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    for block in bytes.chunks_exact(BLOCK) {
        if block.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
            break;
        }
        at += BLOCK;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| needs_escape(*byte)).unwrap_or(rest.len())
}

#[expect(clippy::needless_bitwise_bool, reason = "without a branch, a block of bytes is looked at together")]
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |half: u8| DIGITS[usize::from(half & 15)];
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_below_a_space_has_its_escape() {
        for byte in 0..0x80u8 {
            let text = format!("{}{}", "a".repeat(20), char::from(byte));
            let mut out = Vec::new();
            push_string(&mut out, &text);
            assert_eq!(out, serde_json::to_vec(&text).expect("JSON"), "{byte:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_bytes_are_those_of_serde(text in "(\\PC|[\\x00-\\x1f\"\\\\]|[a-z]{15}){0,40}") {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            proptest::prop_assert_eq!(out, serde_json::to_vec(&text).expect("JSON"));
        }
    }
}
