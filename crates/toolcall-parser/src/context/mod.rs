//! Where a place of a text stands: bare, or in something that quotes it.
//!
//! Regions with marks of their own (fences, inline code, tags, comments) are modes of the scan: see [`code`] and [`tags`]. What is left
//! is known line by line: lists and blockquotes ([`block`]), literals of other languages ([`literal`]), quotation marks ([`quotes`]),
//! and what the sentence before says ([`sentence`]). Text that passes is only stored; it is read when something that may be a call
//! begins, or when there is much of it.

mod block;
pub(crate) mod code;
mod literal;
mod quotes;
mod sentence;
pub(crate) mod tags;

use block::Blocks;
use code::Fence;

/// The most text that is stored before it is read, in bytes. Most answers have no more.
const MAX_PENDING: usize = 32 << 10;
/// How much of it is kept when there is more; what is older opened nothing that is still open, or is forgotten.
const MAX_KEPT: usize = 16 << 10;

/// Stands for text that was hidden.
const PLACEHOLDER: &str = "\u{fffc}";

/// What may begin a call, by how much prose has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// Special tokens: no prose has them.
    Token,
    /// A tag: prose has it.
    Tag,
    /// No marker at all, or one for the start of a line.
    Own,
}

/// How a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// At the start of a line, and in nothing that quotes it.
    Bare,
    /// Behind a whole sentence: bare if the line has nothing but calls from there on.
    Behind,
    /// In something that quotes, or in the middle of a sentence.
    Quoted,
}

/// What hides text from the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// A part of a paragraph: inline code, data, markup that is quoted.
    Inline,
    /// A block of its own.
    Block,
    /// A block in a blockquote, which goes on in lines without its mark.
    Quotation,
}

/// What is known of the text up to a place.
#[derive(Debug, Default)]
pub(crate) struct TextContext {
    blocks: Blocks,
    /// From the start of a line on: what is not read yet.
    pending: String,
}

impl TextContext {
    /// Takes in text that has passed.
    pub(crate) fn pass(&mut self, mut text: &str) {
        if self.pending.len() + text.len() <= MAX_PENDING {
            return self.pending.push_str(text);
        }
        // Prose of this length without anything that may begin: only its end is kept, and none of it is read.
        while self.pending.len() + text.len() > MAX_PENDING {
            let end = (0..=MAX_PENDING - self.pending.len())
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0);
            let kept_from = (self.pending.len() + end).saturating_sub(MAX_KEPT);
            let Some(from) = kept_from.checked_sub(self.pending.len()) else {
                // Only as long as the stored text is more than what is kept.
                self.pending.push_str(&text[..end]);
                text = &text[end..];
                let from = line_start(&self.pending, kept_from);
                self.forget(from);
                continue;
            };
            let from = line_start(&text[..end], from);
            let before = if from == 0 { self.pending.as_str() } else { &text[..from] };
            let starts_line = before.ends_with('\n');
            self.pending.clear();
            if !starts_line {
                self.pending.push_str(PLACEHOLDER);
            }
            text = &text[from..];
        }
        self.pending.push_str(text);
    }

    /// Forgets the stored text up to a place.
    fn forget(&mut self, from: usize) {
        let starts_line = self.pending[..from].ends_with('\n');
        self.pending.drain(..from);
        if !starts_line {
            self.pending.insert_str(0, PLACEHOLDER);
        }
    }

    /// Takes in text that was hidden: one character stands for all of it, however it is cut.
    pub(crate) fn hide(&mut self, text: &str, hidden: Hidden) {
        let tail = match memchr::memrchr(b'\n', text.as_bytes()) {
            Some(end) => {
                self.hide_lines(hidden);
                &text[end + 1..]
            }
            None => text,
        };
        let blanks = tail.len() - tail.trim_start().len();
        if self.pending.ends_with(PLACEHOLDER) {
            return;
        }
        if self.line("").trim().is_empty() {
            self.pass(&tail[..blanks]);
        }
        if blanks < tail.len() {
            self.pass(PLACEHOLDER);
        }
    }

    /// The current line ends in hidden text. What it has before that counts; a line that is hidden whole does not.
    fn hide_lines(&mut self, hidden: Hidden) {
        self.read();
        match hidden {
            Hidden::Block | Hidden::Quotation => self.blocks.end(hidden == Hidden::Quotation),
            Hidden::Inline if self.pending.trim().trim_end_matches(PLACEHOLDER).is_empty() => {}
            Hidden::Inline => {
                if !self.pending.ends_with(PLACEHOLDER) {
                    self.pending.push_str(PLACEHOLDER);
                }
                self.pending.push('\n');
                self.blocks.read(&self.pending);
            }
        }
        self.pending.clear();
    }

    /// Nothing before this place counts: a call, or thoughts, stood there.
    pub(crate) fn start(&mut self) {
        self.pending.clear();
        self.blocks = Blocks::default();
    }

    /// Reads the lines that are whole.
    fn read(&mut self) {
        if let Some(end) = memchr::memrchr(b'\n', self.pending.as_bytes()) {
            self.blocks.read(&self.pending[..=end]);
            self.pending.drain(..=end);
        }
    }

    /// What of the current line stands before this place, behind the text that has passed.
    fn line<'a>(&'a self, text: &'a str) -> std::borrow::Cow<'a, str> {
        if let Some(end) = memchr::memrchr(b'\n', text.as_bytes()) {
            return text[end + 1..].into();
        }
        let start = memchr::memrchr(b'\n', self.pending.as_bytes()).map_or(0, |end| end + 1);
        let line = &self.pending[start..];
        if text.is_empty() { line.into() } else { [line, text].concat().into() }
    }

    /// Whether a fence may begin here, behind the text that has passed and this one: nothing stands before it on its line but blanks
    /// and the marks of lists and quotations.
    pub(crate) fn takes_fence(&self, text: &str) -> bool {
        block::Leaders::of(&self.line(text)).is_some()
    }

    /// The fence of this character and length that begins here.
    pub(crate) fn fence(&mut self, mark: u8, length: usize) -> Fence {
        self.read();
        let leaders = block::Leaders::of(&self.pending).unwrap_or_default();
        self.blocks.begin_item(leaders);
        let offset = leaders.offset.unwrap_or_else(|| self.blocks.list_at(leaders.column));
        Fence::new(mark, length, leaders.column, offset, leaders.quotes)
    }

    /// How the place behind the text that has passed stands.
    pub(crate) fn stand(&mut self, marker: Marker) -> Stand {
        self.read();
        let line = sentence::behind_thoughts(&self.pending);
        let blank = line.trim().is_empty();
        let indent = literal::width(line);
        if self.blocks.quotes(line, blank.then_some(indent)) || self.blocks.says_no(line) {
            return Stand::Quoted;
        }
        match marker {
            _ if blank => Stand::Bare,
            Marker::Own => Stand::Quoted,
            Marker::Token | Marker::Tag if sentence::ends(line, marker == Marker::Token) => Stand::Behind,
            Marker::Token | Marker::Tag => Stand::Quoted,
        }
    }
}

/// The first start of a line from a place on; without one, the next character.
fn line_start(text: &str, from: usize) -> usize {
    match memchr::memchr(b'\n', &text.as_bytes()[from..]) {
        Some(found) => from + found + 1,
        None => (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(before: &str, marker: Marker) -> Stand {
        let whole = {
            let mut context = TextContext::default();
            context.pass(before);
            context.stand(marker)
        };
        let mut context = TextContext::default();
        for (at, c) in before.char_indices() {
            context.pass(&before[at..at + c.len_utf8()]);
            if at % 7 == 0 {
                context.read();
            }
        }
        assert_eq!(context.stand(marker), whole, "{before:?} by characters");
        whole
    }

    #[test]
    fn a_place_stands_bare_at_the_start_of_its_line() {
        for before in [
            "",
            " ",
            "\n",
            "I will look.\n",
            "I will look:\n\n",
            "- one\n- two\n",
            "1. one\n\n",
            "He said \"yes\".\n",
            "> quoted\n\n",
            "It's five o'clock.\n",
            "</think>",
            "I think.</think>\n",
        ] {
            assert_eq!(stand(before, Marker::Own), Stand::Bare, "{before:?}");
        }
    }

    #[test]
    fn a_place_in_something_that_quotes_is_quoted() {
        for before in [
            "    ",
            "Text\n\t",
            "> ",
            "> words\n",
            "> words\nmore words\n",
            "- > words\n",
            "- item\n\n  ",
            "| ",
            "The file says \"",
            "The file says \"a\nb\n",
            "Die Datei sagt: «\n\n",
            "file.md:12:",
            "    12\t",
            "+",
            "key: |\n  ",
            "Like so::\n\n  ",
            "cat > x <<'EOF'\n",
            "cat > x <<EOF\nline\n\n",
            "text = \"\"\"\n",
            "x = '''\n\n",
            "Use it like this: ",
            "The file contains ",
            "1. ",
        ] {
            assert_eq!(stand(before, Marker::Token), Stand::Quoted, "{before:?}");
        }
    }

    #[test]
    fn a_place_behind_a_sentence_may_be_bare() {
        for (before, marker) in [
            ("Two looks.", Marker::Token),
            ("Let me look. ", Marker::Tag),
            ("Let me check the file:", Marker::Token),
            ("我来看看。", Marker::Tag),
        ] {
            assert_eq!(stand(before, marker), Stand::Behind, "{before:?}");
            assert_eq!(stand(before, Marker::Own), Stand::Quoted, "{before:?}");
        }
        assert_eq!(stand("Let me check the file:", Marker::Tag), Stand::Quoted);
        assert_eq!(stand("A call looks so, e.g. ", Marker::Tag), Stand::Quoted);
    }

    #[test]
    fn long_lines_and_long_texts_are_bounded_however_they_are_cut() {
        let texts = [
            "é".repeat(3 * MAX_PENDING),
            "A line of words.\n".repeat(MAX_PENDING),
            format!("{}\n{}", "x".repeat(MAX_PENDING + 3), "- a\n".repeat(MAX_PENDING)),
        ];
        for text in texts {
            let mut whole = TextContext::default();
            whole.pass(&text);
            assert!(whole.pending.len() <= MAX_PENDING);
            for size in [1, 7, 4096, MAX_PENDING, MAX_PENDING + 1] {
                let mut context = TextContext::default();
                let mut rest = text.as_str();
                while !rest.is_empty() {
                    let at = (size.min(rest.len())..=rest.len()).find(|at| rest.is_char_boundary(*at));
                    let (piece, after) = rest.split_at(at.unwrap_or(rest.len()));
                    context.pass(piece);
                    assert!(context.pending.len() <= MAX_PENDING);
                    rest = after;
                }
                assert_eq!(context.pending, whole.pending, "{size}: {}", &text[..20]);
            }
        }
    }
}
