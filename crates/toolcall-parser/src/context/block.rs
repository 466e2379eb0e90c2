//! Lists, blockquotes and what else is known line by line.

use super::literal::{Inside, Literal, width};
use super::quotes::Quotes;
use super::sentence;

/// How deep lists are followed.
const MAX_LISTS: usize = 16;
/// The longest last line that is kept to see what it says, in bytes.
const MAX_LAST_LINE: usize = 512;
/// The widest indent of what is no code.
const MAX_INDENT: usize = 3;

/// What the last line leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    /// Nothing: there is no line, or an empty one.
    #[default]
    Nothing,
    /// A paragraph.
    Paragraph,
    /// A blockquote, which goes on in lines without its mark.
    Quote,
}

/// What is known of the lines that are whole.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    last: Last,
    /// Where the content of each open list item begins, the outermost first.
    lists: Vec<usize>,
    literal: Option<Literal>,
    quotes: Quotes,
    /// The last line with words.
    last_line: String,
}

/// What stands before the content of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Leaders {
    /// How many blockquotes.
    pub(super) quotes: usize,
    /// Where the content of the innermost list item of this line begins.
    pub(super) offset: Option<usize>,
    /// Where the content begins; behind the marks of quotations it is counted from there.
    pub(super) column: usize,
    /// How many bytes they are.
    length: usize,
}

impl Leaders {
    /// Of a line that has nothing else.
    pub(super) fn of(line: &str) -> Option<Self> {
        let leaders = Self::before(line);
        (leaders.length == line.len()).then_some(leaders)
    }

    fn before(line: &str) -> Self {
        let bytes = line.as_bytes();
        let mut found = Self::default();
        loop {
            match bytes.get(found.length) {
                Some(b' ' | b'\r') => found.column += 1,
                Some(b'\t') => found.column += 4 - found.column % 4,
                Some(b'>') => {
                    let blank = usize::from(bytes.get(found.length + 1) == Some(&b' '));
                    let (quotes, length) = (found.quotes + 1, found.length + blank);
                    found = Self { quotes, length, ..Self::default() };
                }
                Some(_) => {
                    let marker = list_marker(&bytes[found.length..]);
                    if marker == 0 {
                        return found;
                    }
                    found.column += marker;
                    found.length += marker - 1;
                    found.offset = Some(found.column);
                }
                None => return found,
            }
            found.length += 1;
        }
    }
}

/// How long a list's marker is, with the blank behind it; 0 when there is none.
fn list_marker(bytes: &[u8]) -> usize {
    let digits = bytes.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let mark = match bytes.get(digits) {
        Some(b'.' | b')') if digits > 0 => digits + 1,
        Some(b'-' | b'*' | b'+') if digits == 0 => 1,
        _ => return 0,
    };
    match bytes.get(mark) {
        Some(b' ' | b'\t') => mark + 1,
        // At the end of what is known, a fence may follow at once.
        _ => 0,
    }
}

impl Blocks {
    /// Takes in whole lines.
    pub(super) fn read(&mut self, lines: &str) {
        let literals = self.literal.is_some() || Literal::may_open(lines);
        let quotes = self.quotes.is_open() || Quotes::may_open(lines);
        let mut last: Option<&str> = None;
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', lines.as_bytes()) {
            let line = &lines[from..end];
            from = end + 1;
            if self.line(line, literals, quotes) {
                last = Some(line);
            }
        }
        if let Some(line) = last {
            let line = line.trim();
            let start =
                (line.len().saturating_sub(MAX_LAST_LINE)..=line.len()).find(|at| line.is_char_boundary(*at));
            self.last_line.clear();
            self.last_line.push_str(&line[start.unwrap_or(0)..]);
        }
    }

    /// One line. Whether it has words.
    fn line(&mut self, line: &str, literals: bool, quotes: bool) -> bool {
        if literals && let Some(literal) = &self.literal {
            match literal.passes(line) {
                Inside::Yes => return false,
                Inside::Ends => {
                    self.literal = None;
                    return false;
                }
                Inside::No => self.literal = None,
            }
        }
        let first = line.as_bytes().first().copied().unwrap_or(b' ');
        // Most lines of prose begin with a letter.
        if first.is_ascii_alphabetic() {
            self.plain();
        } else if line.trim().is_empty() {
            self.last = Last::Nothing;
            self.quotes.paragraph_ends();
            return false;
        } else {
            self.marked(line);
        }
        self.literal = Literal::opens(line, literals);
        let marks = quotes && (self.quotes.is_open() || Quotes::may_open_in(line));
        if marks && self.literal.is_none() && self.last != Last::Quote {
            self.quotes.read(line.trim_end());
            self.quotes.line_ends();
        }
        true
    }

    /// A line that begins with a letter: it goes on whatever paragraph is open.
    fn plain(&mut self) {
        if self.last == Last::Nothing {
            self.lists.clear();
            self.last = Last::Paragraph;
        }
    }

    fn marked(&mut self, line: &str) {
        let leaders = Leaders::before(line);
        if leaders.quotes > 0 {
            self.last = Last::Quote;
            return;
        }
        let begins_item = leaders.offset.is_some();
        if self.last == Last::Nothing || begins_item {
            let indent = width(line);
            self.lists.retain(|offset| *offset <= indent);
        }
        self.begin_item(leaders);
        let interrupts = begins_item || line.starts_with('#');
        if self.last != Last::Quote || interrupts {
            self.last = Last::Paragraph;
        }
    }

    /// The list item that begins on a line, if one does.
    pub(super) fn begin_item(&mut self, leaders: Leaders) {
        if let Some(offset) = leaders.offset
            && self.lists.len() < MAX_LISTS
        {
            self.lists.retain(|open| *open < offset);
            self.lists.push(offset);
        }
    }

    /// A block that was hidden is over; one in a blockquote leaves that open.
    pub(super) fn end(&mut self, quoted: bool) {
        self.last = if quoted { Last::Quote } else { Last::Nothing };
        self.last_line.clear();
        self.quotes = Quotes::default();
    }

    /// Where the content of the innermost open list item begins that has this column in it; 0 outside of lists.
    pub(super) fn list_at(&self, column: usize) -> usize {
        self.lists.iter().rev().find(|offset| **offset <= column).copied().unwrap_or(0)
    }

    /// Whether what stands behind this beginning of a line is quoted. `indent` is of a line that is blank so far.
    pub(super) fn quotes(&self, line: &str, indent: Option<usize>) -> bool {
        let literal = match &self.literal {
            Some(Literal::Indented(opener)) => indent.is_none_or(|indent| indent > *opener),
            Some(_) => true,
            None => false,
        };
        let code = indent.is_some_and(|indent| indent > MAX_INDENT || (indent > 0 && !self.lists.is_empty()));
        literal
            || code
            || self.last == Last::Quote
            || Leaders::before(line).quotes > 0
            || self.quotes.is_open_behind(line)
    }

    /// Whether the words before say that what follows is shown, or must not be done.
    pub(super) fn says_no(&self, line: &str) -> bool {
        sentence::says_no(if line.trim().is_empty() { &self.last_line } else { line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_are_the_marks_of_lists_and_quotations() {
        let of = |line| Leaders::of(line).map(|found| (found.quotes, found.offset, found.column));
        assert_eq!(of(""), Some((0, None, 0)));
        assert_eq!(of("   "), Some((0, None, 3)));
        assert_eq!(of("- "), Some((0, Some(2), 2)));
        assert_eq!(of("  10. "), Some((0, Some(6), 6)));
        assert_eq!(of("> - "), Some((1, Some(2), 2)));
        assert_eq!(of("- 1) "), Some((0, Some(5), 5)));
        assert_eq!(of("-x"), None);
        assert_eq!(of("text "), None);
    }

    #[test]
    fn lists_end_with_the_first_line_that_is_outside() {
        let mut blocks = Blocks::default();
        blocks.read("- one\n  - two\n");
        assert_eq!((blocks.list_at(4), blocks.list_at(2), blocks.list_at(0)), (4, 2, 0));
        blocks.read("\n  more of one\n");
        assert_eq!(blocks.list_at(9), 2);
        blocks.read("\nText.\n");
        assert_eq!(blocks.list_at(9), 0);
    }
}
