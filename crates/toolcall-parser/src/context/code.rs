//! Fences and inline code: where they end.

use super::Hidden;
use crate::lex::Lookahead;

/// The longest run of fence characters that is told from a longer one.
pub(crate) const MAX_RUN: usize = 64;
/// The least that makes a fence.
pub(crate) const MIN_FENCE: usize = 3;
/// How far the beginning of a line is looked at, in bytes.
const MAX_LINE_START: usize = 1024;
/// How far the end of a fence may be indented.
const MAX_INDENT: usize = 3;

/// How many times the first character is repeated at the start, and whether that could be more.
pub(crate) fn run(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return (0, true) };
    let length = bytes.iter().take(MAX_RUN).take_while(|byte| *byte == first).count();
    (length, length == bytes.len() && length < MAX_RUN)
}

/// A fence that is open.
///
/// `CommonMark` ends a fence with the list item that it stands in. A line of text that begins before the item's content is read as part of
/// the fence nevertheless: models forget to indent. A run of fence characters there begins another fence, as `CommonMark` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    mark: u8,
    length: usize,
    /// Where the content of the list item begins that it stands in.
    offset: usize,
    /// The widest indent of its end.
    indent: usize,
    /// Whether it stands in a blockquote, which a line without the mark ends.
    quoted: bool,
}

impl Fence {
    pub(super) fn new(mark: u8, length: usize, column: usize, offset: usize, quotes: usize) -> Self {
        // Where nothing says why it is indented so far, its end may be as far.
        let base = if column > offset + MAX_INDENT { column } else { offset };
        Self { mark, length, offset, indent: base + MAX_INDENT, quoted: quotes > 0 }
    }

    /// What a line is to the fence: with the length of its end, if it is that.
    fn line(self, line: &str, end: bool) -> FenceLine {
        let bytes = line.as_bytes();
        let (mut at, mut column, mut quoted) = (0, 0, false);
        while at < MAX_LINE_START {
            match bytes.get(at) {
                Some(b' ') => column += 1,
                Some(b'\t') => column += 4 - column % 4,
                Some(b'>') if self.quoted && !quoted => {
                    quoted = true;
                    column = 0;
                    at += usize::from(bytes.get(at + 1) == Some(&b' '));
                }
                Some(_) => break,
                None if end => return FenceLine::Inside,
                None => return FenceLine::Open,
            }
            at += 1;
        }
        let blank = matches!(bytes.get(at), Some(b'\n' | b'\r'));
        if self.quoted && !quoted {
            return FenceLine::Outside;
        }
        let marks = bytes.get(at..).unwrap_or_default();
        let marks = marks.iter().take(MAX_LINE_START).take_while(|byte| **byte == self.mark).count();
        let behind = bytes.get(at + marks..).unwrap_or_default();
        let tail = behind.iter().take(256).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let whole = at + marks + tail;
        if column < self.offset && !blank {
            let open = whole == bytes.len() && !end && whole <= MAX_LINE_START;
            return if open { FenceLine::Open } else { FenceLine::Loose };
        }
        if column > self.indent || (marks < self.length && whole < bytes.len()) {
            return FenceLine::Inside;
        }
        match bytes.get(whole) {
            Some(b'\n') => FenceLine::End(whole),
            Some(_) => FenceLine::Inside,
            None if end && marks >= self.length => FenceLine::End(whole),
            None if end || whole > MAX_LINE_START => FenceLine::Inside,
            None => FenceLine::Open,
        }
    }
}

enum FenceLine {
    Inside,
    /// It ends the fence, with this many bytes.
    End(usize),
    /// It stands behind the fence, for the blockquote that held the fence is over.
    Outside,
    /// It is inside, and does not keep to the list item.
    Loose,
    /// More text will tell.
    Open,
}

/// Text inside a fence or inline code, which hides everything until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeSpan {
    Fence(Fence),
    /// Code between runs of this many backticks. A short run lasts as long as the paragraph, a long one is a fence behind text and
    /// lasts until it is closed.
    Inline(usize),
}

impl CodeSpan {
    /// What it hides.
    pub(crate) fn hidden(self) -> Hidden {
        match self {
            Self::Inline(_) => Hidden::Inline,
            Self::Fence(Fence { quoted: true, .. }) => Hidden::Quotation,
            Self::Fence(_) => Hidden::Block,
        }
    }

    /// How much of the text is hidden for certain, and whether that is where it ends. `at_start` says that the text begins a line.
    pub(crate) fn pass(&mut self, text: &str, at_start: bool, end: bool) -> (usize, bool) {
        match self {
            Self::Inline(length) => inline(text, *length, end),
            Self::Fence(shape) => fence(text, shape, at_start, end),
        }
    }
}

/// What the line behind a line break means for inline code.
fn next_line(line: &str, length: usize, end: bool) -> Lookahead<()> {
    let bytes = line.as_bytes();
    let at = bytes
        .iter()
        .take(MAX_LINE_START)
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'>'))
        .count();
    match bytes.get(at) {
        None if !end && at < MAX_LINE_START => Lookahead::More,
        // An empty line ends the paragraph.
        None | Some(b'\n') => {
            if length < MIN_FENCE {
                Lookahead::Yes((), 0)
            } else {
                Lookahead::No
            }
        }
        Some(b'`' | b'~') => {
            let (marks, open) = run(&line[at..]);
            if open && !end {
                return Lookahead::More;
            }
            // So does a fence; and it ends what is nearly one.
            match (length < MIN_FENCE, marks >= length.max(MIN_FENCE)) {
                (true, true) => Lookahead::Yes((), 0),
                (false, true) if bytes[at] == b'`' => Lookahead::Yes((), at + marks),
                _ => Lookahead::No,
            }
        }
        Some(_) => Lookahead::No,
    }
}

fn inline(text: &str, length: usize, end: bool) -> (usize, bool) {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'`', b'\n', &text.as_bytes()[at..]) {
        at += found;
        if text.as_bytes()[at] == b'\n' {
            match next_line(&text[at + 1..], length, end) {
                Lookahead::Yes((), 0) => return (at, true),
                Lookahead::Yes((), marks) => return (at + 1 + marks, true),
                Lookahead::More => return (at, false),
                Lookahead::No => at += 1,
            }
            continue;
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

fn fence(text: &str, fence: &mut Fence, mut at_start: bool, end: bool) -> (usize, bool) {
    let mut at = 0;
    loop {
        if at_start {
            match fence.line(&text[at..], end) {
                FenceLine::End(length) => return (at + length, true),
                FenceLine::Outside => return (at, true),
                FenceLine::Open => return (at, false),
                FenceLine::Loose => fence.offset = 0,
                FenceLine::Inside => {}
            }
        }
        match memchr::memchr(b'\n', &text.as_bytes()[at..]) {
            Some(found) => at += found + 1,
            None => return (text.len(), false),
        }
        at_start = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_end_where_they_should() {
        let mut fence = CodeSpan::Fence(Fence::new(b'`', 3, 0, 0, 0));
        assert_eq!(fence.pass("xml\n<a>\n```\nrest", false, false), (11, true));
        assert_eq!(fence.pass("\n```` \nrest", false, false), (6, true));
        assert_eq!(fence.pass("\n``` x\n", false, false), (7, false));
        assert_eq!(fence.pass("\n  ``", false, false), (1, false));
        assert_eq!(fence.pass("\n```", false, true), (4, true));
        assert_eq!(fence.pass("\n    ```\n", false, true), (9, false));
        let mut list = CodeSpan::Fence(Fence::new(b'`', 3, 4, 4, 0));
        assert_eq!(list.pass("\n    a\n    ```\n", false, false), (14, true));
        assert_eq!(
            list.pass("\n    a\n```\nb\n```\n", false, false),
            (16, true),
            "the item is over, another fence begins"
        );
        let mut list = CodeSpan::Fence(Fence::new(b'`', 3, 4, 4, 0));
        assert_eq!(list.pass("\na\n```\n", false, false), (6, true), "nobody indented it");
        let mut quoted = CodeSpan::Fence(Fence::new(b'`', 3, 0, 0, 1));
        assert_eq!(quoted.pass("\n> a\n> ```\n", false, false), (10, true));
        assert_eq!(quoted.pass("\n> a\nb", false, false), (5, true));
    }

    #[test]
    fn inline_code_ends_with_its_run_or_its_paragraph() {
        assert_eq!(CodeSpan::Inline(1).pass("a``b`c", false, false), (5, true));
        assert_eq!(CodeSpan::Inline(1).pass("a\nb`c", false, false), (4, true));
        assert_eq!(CodeSpan::Inline(1).pass("a\n\nb`c", false, false), (1, true));
        assert_eq!(CodeSpan::Inline(1).pass("a\n```\nb`c", false, false), (1, true));
        assert_eq!(CodeSpan::Inline(3).pass("a\n\nb\n```\n", false, false), (8, true));
        assert_eq!(CodeSpan::Inline(3).pass("a ```b", false, false), (5, true));
        assert_eq!(CodeSpan::Inline(1).pass("a\n", false, false), (1, false));
    }
}
