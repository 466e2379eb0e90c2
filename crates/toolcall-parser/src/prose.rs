//! Text that is no call: where something may begin in it.

/// The bytes at which something may begin: tags, lists, objects, fences, inline code, `to=`.
const TRIGGERS: [u8; 7] = *b"<[{]`~=";
/// Bytes looked at together; the compiler makes vector instructions of it.
const BLOCK: usize = 64;

/// The first byte from `from` on at which something may begin. `extra` is one more such byte.
pub(crate) fn next_trigger(text: &str, from: usize, extra: Option<u8>) -> Option<usize> {
    let bytes = &text.as_bytes()[from..];
    let extra = extra.unwrap_or(b'<');
    let is_trigger = |byte: u8| TRIGGERS.contains(&byte) || byte == extra;
    let mut blocks = bytes.chunks_exact(BLOCK);
    let mut at = from;
    for block in &mut blocks {
        let mut any = 0u8;
        for byte in block {
            let mut hit = u8::from(*byte == extra);
            for trigger in TRIGGERS {
                hit |= u8::from(*byte == trigger);
            }
            any |= hit;
        }
        if any != 0 {
            break;
        }
        at += BLOCK;
    }
    text.as_bytes()[at..].iter().position(|byte| is_trigger(*byte)).map(|found| at + found)
}

/// What is known of the line that the scan stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Line {
    /// It has a character that is no blank.
    has_words: bool,
    /// The last character, if it is on this line.
    last: Option<char>,
}

impl Line {
    /// Nothing but blanks so far.
    pub(crate) fn is_blank(self) -> bool {
        !self.has_words
    }

    /// Nothing at all so far.
    pub(crate) fn is_empty(self) -> bool {
        self.last.is_none()
    }

    /// The last character belongs to a word.
    pub(crate) fn in_word(self) -> bool {
        self.last.is_some_and(|c| c.is_alphanumeric() || c == '_')
    }

    /// Takes in text that has passed.
    pub(crate) fn pass(&mut self, text: &str) {
        let line = match memchr::memrchr(b'\n', text.as_bytes()) {
            Some(end) => {
                *self = Self::default();
                &text[end + 1..]
            }
            None => text,
        };
        self.has_words |= line.bytes().any(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
        self.last = line.chars().next_back().or(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_found_wherever_they_stand() {
        let prose = "x".repeat(200);
        assert_eq!(next_trigger(&prose, 0, None), None);
        for at in [0, 1, 63, 64, 65, 199] {
            let mut text = prose.clone();
            text.replace_range(at..=at, "<");
            assert_eq!(next_trigger(&text, 0, None), Some(at));
            assert_eq!(next_trigger(&text, at + 1, None), None);
        }
        assert_eq!(next_trigger("Action", 0, Some(b'A')), Some(0));
    }
}
