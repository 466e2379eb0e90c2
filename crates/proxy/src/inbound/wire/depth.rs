//! How deep JSON may be. Fields that nobody reads are kept as raw text, so no parser would notice; the next one that reads them would.

/// Objects and lists inside of each other that a request may have.
pub const MAX_DEPTH: usize = 128;
/// What a client is told.
pub const TOO_DEEP: &str =
    "the JSON has more than 128 objects and lists inside of each other; send it flatter";

/// Whether objects and lists stand deeper in each other than this. One look at each byte, no memory; what is no JSON is for the parser to
/// refuse.
pub fn exceeds(json: &[u8], max: usize) -> bool {
    let (mut at, mut depth) = (0, 0usize);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The place behind the quote that ends the string around this place. Only quotes are looked for: in a text of code there are far more
/// backslashes, and whether one of them escapes the quote is seen from there.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = json.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        at += found;
        let before = json.get(start..at).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        at += 1;
        if backslashes % 2 == 0 {
            return at;
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (text, deep) in [
            (nested(128), false),
            (nested(129), true),
            (nested(200_000), true),
            ("[".repeat(129), true),
            (format!("[\"{}\"]", "[".repeat(500)), false),
            (format!("[\"\\\"{}\"]", "[".repeat(500)), false),
            (format!("[\"\\\\\",{}]", nested(128)), true),
            ("[],".repeat(500), false),
            ("{\"a\":".repeat(64) + &nested(64), false),
            ("\"never ended".to_owned(), false),
            ("\"ends with \\".to_owned(), false),
        ] {
            assert_eq!(exceeds(text.as_bytes(), MAX_DEPTH), deep, "{text:.80}");
        }
    }
}
