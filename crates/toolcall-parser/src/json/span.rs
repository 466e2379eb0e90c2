//! Where a value ends in text that still arrives.

use super::MAX_DEPTH;

/// Finds the end of an object or array in text that still arrives: brackets are counted, strings are passed over. Each byte is
/// looked at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Span {
    at: usize,
    /// The closing brackets that are due.
    due: Vec<u8>,
    /// The quote that ends the string we are in; 0 outside.
    quote: u8,
    escaped: bool,
    /// Whether single quotes make strings too.
    python: bool,
    /// Where it ended.
    end: Option<usize>,
}

/// Where a value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanEnd {
    /// Behind this byte.
    At(usize),
    /// Not in this text.
    NotYet,
    /// Nested too deep, or brackets that do not match: no value.
    Never(usize),
}

impl Span {
    /// For a value that starts at this offset of the text.
    pub(crate) fn new(at: usize) -> Self {
        Self { at, ..Self::default() }
    }

    /// The same, where `'` begins a string outside of strings.
    pub(crate) fn python(self) -> Self {
        Self { python: true, ..self }
    }

    /// How far it has looked.
    pub(crate) fn position(&self) -> usize {
        self.end.unwrap_or(self.at)
    }

    /// Goes on in `text`, which begins with what was there before.
    pub(crate) fn feed(&mut self, text: &str) -> SpanEnd {
        if let Some(end) = self.end {
            return SpanEnd::At(end);
        }
        let bytes = text.as_bytes();
        while self.at < bytes.len() {
            if self.escaped {
                self.escaped = false;
                self.at += 1;
                continue;
            }
            if self.quote != 0 {
                match memchr::memchr2(self.quote, b'\\', &bytes[self.at..]) {
                    None => self.at = bytes.len(),
                    Some(found) => {
                        self.at += found;
                        if bytes[self.at] == b'\\' {
                            self.escaped = true;
                        } else {
                            self.quote = 0;
                        }
                        self.at += 1;
                    }
                }
                continue;
            }
            let byte = bytes[self.at];
            self.at += 1;
            match byte {
                b'"' => self.quote = byte,
                b'\'' if self.python => self.quote = byte,
                b'{' | b'[' | b'(' if byte != b'(' || self.python => {
                    if self.due.len() == MAX_DEPTH {
                        return SpanEnd::Never(self.at);
                    }
                    self.due.push(match byte {
                        b'{' => b'}',
                        b'[' => b']',
                        _ => b')',
                    });
                }
                b'}' | b']' | b')' if byte != b')' || self.python => {
                    if self.due.pop() != Some(byte) {
                        return SpanEnd::Never(self.at);
                    }
                    if self.due.is_empty() {
                        self.end = Some(self.at);
                        return SpanEnd::At(self.at);
                    }
                }
                _ => {}
            }
        }
        SpanEnd::NotYet
    }

    /// What is missing at the end when only outer brackets are: at most one object around a closed value, in at most one list.
    pub(crate) fn missing(&self, text: &str) -> Option<String> {
        if self.quote != 0 || !matches!(text.trim_end().as_bytes().last(), Some(b'}' | b']')) {
            return None;
        }
        match self.due.as_slice() {
            [b'}' | b']'] | [b']', b'}'] => {
                Some(self.due.iter().rev().map(|byte| char::from(*byte)).collect())
            }
            _ => None,
        }
    }

    /// Moves the place along when the text's first bytes leave.
    pub(crate) fn shift(&mut self, by: usize) {
        self.at = self.at.saturating_sub(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ends_piece_by_piece() {
        let text = r#"{"a":"}\"]","b":[1,{"c":2}]} tail"#;
        let mut span = Span::new(0);
        let mut found = SpanEnd::NotYet;
        for end in 0..=text.len() {
            found = span.feed(&text[..end]);
            if found != SpanEnd::NotYet {
                break;
            }
        }
        assert_eq!(found, SpanEnd::At(text.len() - 5));
        assert!(matches!(Span::new(0).feed("{]"), SpanEnd::Never(_)));
        assert_eq!(Span::new(0).feed("{\"a\":'"), SpanEnd::NotYet);
    }
}
