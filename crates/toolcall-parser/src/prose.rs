//! Text that is no call: where a marker may begin in it, and where it must not because the text is code or a quotation.

use crate::lex::Lookahead;

/// The bytes at which something may begin: tags, lists, objects, fences, inline code, `to=`.
const TRIGGERS: [u8; 7] = *b"<[{]`~=";
/// Bytes looked at together; the compiler makes vector instructions of it.
const BLOCK: usize = 64;
/// The longest run of fence characters that is told from a longer one.
pub(crate) const MAX_FENCE: usize = 64;

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
    /// Its first character that is no blank.
    first: Option<char>,
    /// Blanks before it.
    indent: usize,
    /// The last character, if it is on this line.
    last: Option<char>,
}

impl Line {
    /// Nothing but blanks so far.
    pub(crate) fn is_blank(self) -> bool {
        self.first.is_none()
    }

    /// Where a fence may begin.
    pub(crate) fn takes_fence(self) -> bool {
        self.first.is_none() && self.indent <= 3
    }

    /// The line quotes somebody.
    pub(crate) fn is_quotation(self) -> bool {
        self.first == Some('>')
    }

    /// The last character opens a quotation.
    pub(crate) fn after_quote(self) -> bool {
        matches!(self.last, Some('"' | '\'' | '“' | '‘' | '«' | '„'))
    }

    /// The last character belongs to a word.
    pub(crate) fn in_word(self) -> bool {
        self.last.is_some_and(|c| c.is_alphanumeric() || c == '_')
    }

    /// The same line, had the last character been another.
    pub(crate) fn unquoted(self) -> Self {
        Self { last: None, ..self }
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
        if self.first.is_none() {
            let rest = line.trim_start_matches([' ', '\t', '\r']);
            self.indent = (self.indent + line.len() - rest.len()).min(MAX_FENCE);
            self.first = rest.chars().next();
        }
        self.last = line.chars().next_back().or(self.last);
    }
}

/// How many times the first character is repeated at the start, and whether that could be more.
pub(crate) fn run(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return (0, true) };
    let length = bytes.iter().take(MAX_FENCE).take_while(|byte| *byte == first).count();
    (length, length == bytes.len() && length < MAX_FENCE)
}

/// Text inside a fence or inline code, which hides everything until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeSpan {
    /// A fence of this character and length.
    Fence(u8, usize),
    /// Inline code between runs of this many backticks; it ends with the line at the latest.
    Inline(usize),
}

impl CodeSpan {
    /// How much of the text is hidden for certain, and whether that is where it ends.
    pub(crate) fn pass(self, text: &str, line: Line, end: bool) -> (usize, bool) {
        match self {
            Self::Inline(length) => inline(text, length, end),
            Self::Fence(mark, length) => fence(text, mark, length, line, end),
        }
    }
}

fn inline(text: &str, length: usize, end: bool) -> (usize, bool) {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'`', b'\n', &text.as_bytes()[at..]) {
        at += found;
        if text.as_bytes()[at] == b'\n' {
            return (at, true);
        }
        let (run, open) = run(&text[at..]);
        if open && !end {
            return (at, false);
        }
        at += run;
        if run == length {
            return (at, true);
        }
    }
    (text.len(), false)
}

fn fence(text: &str, mark: u8, length: usize, line: Line, end: bool) -> (usize, bool) {
    let mut at = 0;
    let mut at_start = line.is_blank() && line.indent <= 3;
    loop {
        if at_start {
            match closes(&text[at..], mark, length, end) {
                Lookahead::Yes((), close) => return (at + close, true),
                Lookahead::More => return (at, false),
                Lookahead::No => {}
            }
        }
        match memchr::memchr(b'\n', &text.as_bytes()[at..]) {
            Some(found) => at += found + 1,
            None => return (text.len(), false),
        }
        at_start = true;
    }
}

/// Whether a line closes the fence.
fn closes(line: &str, mark: u8, length: usize, end: bool) -> Lookahead<()> {
    let bytes = line.as_bytes();
    let indent = bytes.iter().take(4).take_while(|byte| **byte == b' ').count();
    let marks = bytes[indent..].iter().take(1024).take_while(|byte| **byte == mark).count();
    let tail = bytes[indent + marks..]
        .iter()
        .take(256)
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .count();
    let whole = indent + marks + tail;
    if indent > 3 || (marks < length && whole < bytes.len()) {
        return Lookahead::No;
    }
    match bytes.get(whole) {
        Some(b'\n') => Lookahead::Yes((), whole),
        Some(_) => Lookahead::No,
        None if end && marks >= length => Lookahead::Yes((), whole),
        None if end || whole > 1024 => Lookahead::No,
        None => Lookahead::More,
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

    #[test]
    fn fences_end_where_they_should() {
        let fence = CodeSpan::Fence(b'`', 3);
        let start = Line { first: Some('x'), ..Line::default() };
        assert_eq!(fence.pass("xml\n<a>\n```\nrest", start, false), (11, true));
        assert_eq!(fence.pass("\n```` \nrest", start, false), (6, true));
        assert_eq!(fence.pass("\n``` x\n", start, false), (7, false));
        assert_eq!(fence.pass("\n  ``", start, false), (1, false));
        assert_eq!(fence.pass("\n```", start, true), (4, true));
        assert_eq!(CodeSpan::Inline(1).pass("a``b`c", start, false), (5, true));
        assert_eq!(CodeSpan::Inline(1).pass("a\nb`c", start, false), (1, true));
    }
}
