//! Quotation marks of any language, over the lines of a paragraph.

/// An opening mark, and those that close it.
const PAIRS: [(char, &str); 13] = [
    ('"', "\""),
    ('“', "”“"),
    ('„', "“”\""),
    ('‟', "”"),
    ('«', "»"),
    ('»', "«»"),
    ('‹', "›"),
    ('›', "‹›"),
    ('「', "」"),
    ('『', "』"),
    ('〝', "〞〟"),
    ('‘', "’‘"),
    ('‚', "‘’"),
];

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Quotes {
    #[default]
    Closed,
    /// A quotation, until one of these marks.
    Open(&'static str),
    /// The same, and nothing stands behind the mark on its line so far.
    Begun(&'static str),
    /// One whose first line had only the mark: it goes on over empty lines.
    Block(&'static str),
}

impl Quotes {
    /// Whether there is any mark in the text.
    pub(super) fn may_open(text: &str) -> bool {
        let bytes = text.as_bytes();
        memchr::memchr3(b'"', 0xe2, 0xc2, bytes).is_some() || memchr::memchr2(0xe3, b'\'', bytes).is_some()
    }

    /// The same for one line, of which an apostrophe opens something only at the end.
    pub(super) fn may_open_in(line: &str) -> bool {
        let bytes = line.as_bytes();
        memchr::memchr3(b'"', 0xe2, 0xc2, bytes).is_some()
            || memchr::memchr(0xe3, bytes).is_some()
            || line.trim_end().ends_with('\'')
    }

    pub(super) fn is_open(self) -> bool {
        self != Self::Closed
    }

    /// Whether one is open behind this beginning of a line.
    pub(super) fn is_open_behind(self, line: &str) -> bool {
        let mut quotes = self;
        quotes.read(line);
        quotes.is_open()
    }

    /// An empty line.
    pub(super) fn paragraph_ends(&mut self) {
        if !matches!(self, Self::Block(_)) {
            *self = Self::Closed;
        }
    }

    /// Behind the mark there was nothing on its line.
    pub(super) fn line_ends(&mut self) {
        if let Self::Begun(closers) = *self {
            *self = Self::Block(closers);
        }
    }

    /// Takes in a line, or its beginning.
    pub(super) fn read(&mut self, line: &str) {
        let mut before: Option<char> = None;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match *self {
                Self::Closed => {
                    if let Some(closers) = opens(before, c, chars.peek().copied()) {
                        *self = Self::Begun(closers);
                    }
                }
                Self::Open(closers) | Self::Begun(closers) | Self::Block(closers) => {
                    let apostrophe = c == '’' && chars.peek().is_some_and(|next| next.is_alphanumeric());
                    if closers.contains(c) && before != Some('\\') && !apostrophe {
                        *self = Self::Closed;
                    } else if matches!(self, Self::Begun(_)) && !c.is_whitespace() {
                        *self = Self::Open(closers);
                    }
                }
            }
            before = Some(c);
        }
    }
}

/// The marks that close a quotation which this character opens.
fn opens(before: Option<char>, c: char, next: Option<char>) -> Option<&'static str> {
    let in_word = before.is_some_and(|before| before.is_alphanumeric() || before == '\\');
    let in_space = next.is_some_and(char::is_whitespace);
    match c {
        // An apostrophe opens nothing, unless nothing follows it.
        '\'' => (!in_word
            && next.is_none()
            && before
                .is_none_or(|before| !before.is_ascii_punctuation() || matches!(before, ':' | '=' | '(')))
        .then_some("'"),
        '"' if in_word => None,
        // Also a closing mark, and an arrow.
        '»' | '›' if in_word || in_space => None,
        _ => PAIRS.iter().find(|(open, _)| *open == c).map(|(_, closers)| *closers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> bool {
        let mut quotes = Quotes::default();
        for line in text.split_inclusive('\n') {
            let whole = line.strip_suffix('\n');
            if whole.is_some_and(|line| line.trim().is_empty()) {
                quotes.paragraph_ends();
                continue;
            }
            quotes.read(whole.unwrap_or(line));
            if whole.is_some() {
                quotes.line_ends();
            }
        }
        quotes.is_open()
    }

    #[test]
    fn a_quotation_lasts_until_its_mark_or_the_end_of_the_paragraph() {
        for text in ["a \"", "a “b", "„a", "« a\nb", "「", "x = '", "say: \"\n\n", "»a", "a \"b \\\" c"]
        {
            assert!(open(text), "{text:?}");
        }
        for text in [
            "a \"b\"",
            "a “b” c",
            "„a“ b",
            "«a»",
            "「『』」",
            "it's",
            "5\" wide",
            "\"a\n\nb",
            "a » b",
            "don’t",
            "‘it’s’ x",
            "say: \"\n\n\" said",
            "»a« b",
        ] {
            assert!(!open(text), "{text:?}");
        }
    }
}
