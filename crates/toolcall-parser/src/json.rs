//! JSON as models write it: a value model that keeps key order and digits, a tolerant reader, and a writer.
//!
//! The reader is tolerant by stated rules only, and says which it used: a comma before a closing bracket, raw control characters
//! in a string, Python's quotes and words, a backslash before a character that needs none. Whatever else is wrong is an error.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Deepest nesting.
pub(crate) const MOST_DEPTH: usize = 128;

/// A JSON value. Objects keep the order of their keys, numbers their digits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// What a tolerant reader overlooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Overlooked {
    pub(crate) comma: bool,
    pub(crate) control: bool,
    pub(crate) python: bool,
    pub(crate) backslash: bool,
}

impl<'a> Value<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn entries(&self) -> Option<&[(Cow<'a, str>, Self)]> {
        if let Self::Object(entries) = self { Some(entries) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::String(text.into())
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(digits) => Value::Number(Cow::Owned(digits.into_owned())),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(entries) => Value::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// Writes compact JSON.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// Writes a JSON string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    escape(text, out);
    out.push('"');
}

/// Writes the inside of a JSON string.
pub(crate) fn escape(text: &str, out: &mut String) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        if short.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(short);
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
}

/// Reads one value that is all of the text, white space aside. `None` when a rule is broken that is not one of the stated ones.
pub(crate) fn read(text: &str) -> Option<(Value<'_>, Overlooked)> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, overlooked: Overlooked::default() };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some((value, reader.overlooked))
}

/// Where the reading of a broken text stops.
pub(crate) fn stops_at(text: &str) -> usize {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, overlooked: Overlooked::default() };
    let _ = reader.value(0);
    reader.at
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    overlooked: Overlooked,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = &self.bytes[self.at..];
        let ends = !rest.get(word.len()).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let found = ends && rest.starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > MOST_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            quote @ (b'"' | b'\'') => self.string(quote).map(Value::String),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Option<Value<'a>> {
        for (word, value, python) in [
            ("null", Value::Null, false),
            ("true", Value::Bool(true), false),
            ("false", Value::Bool(false), false),
            ("None", Value::Null, true),
            ("True", Value::Bool(true), true),
            ("False", Value::Bool(false), true),
        ] {
            if self.word(word) {
                self.overlooked.python |= python;
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let digits = &self.text[start..self.at];
        is_number(digits).then_some(Value::Number(Cow::Borrowed(digits)))
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut entries: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        loop {
            self.space();
            if self.eat(b'}') {
                self.overlooked.comma |= !entries.is_empty();
                break;
            }
            let quote = self.peek()?;
            let key = if matches!(quote, b'"' | b'\'') { self.string(quote)? } else { return None };
            self.space();
            if !self.eat(b':') {
                return None;
            }
            let value = self.value(depth + 1)?;
            match entries.iter_mut().find(|(known, _)| *known == key) {
                // As every JSON reader does: the last one counts.
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
            self.space();
            if self.eat(b'}') {
                break;
            }
            if !self.eat(b',') {
                return None;
            }
        }
        Some(Value::Object(entries))
    }

    fn array(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.eat(b']') {
                self.overlooked.comma |= !items.is_empty();
                break;
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b']') {
                break;
            }
            if !self.eat(b',') {
                return None;
            }
        }
        Some(Value::Array(items))
    }

    fn string(&mut self, quote: u8) -> Option<Cow<'a, str>> {
        self.overlooked.python |= quote == b'\'';
        self.at += 1;
        let start = self.at;
        let end = start + memchr::memchr2(quote, b'\\', &self.bytes[start..])?;
        self.overlooked.control |= has_control(&self.bytes[start..end]);
        self.at = end;
        if self.eat(quote) {
            return Some(Cow::Borrowed(&self.text[start..end]));
        }
        let mut out = self.text[start..end].to_owned();
        loop {
            let plain = self.at;
            let end = plain + memchr::memchr2(quote, b'\\', &self.bytes[plain..])?;
            self.overlooked.control |= has_control(&self.bytes[plain..end]);
            out.push_str(&self.text[plain..end]);
            self.at = end;
            if self.eat(quote) {
                return Some(Cow::Owned(out));
            }
            self.at += 1;
            self.escape(quote, &mut out)?;
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, quote: u8, out: &mut String) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => self.unicode()?,
            b'\'' if quote == b'\'' => '\'',
            // Shell and regular expressions are full of `\$` and `\d`, and models forget to double the backslash.
            _ => {
                self.at -= 1;
                self.overlooked.backslash = true;
                '\\'
            }
        });
        Some(())
    }

    fn unicode(&mut self) -> Option<char> {
        let unit = self.hex()?;
        if (0xd800..0xdc00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            if let Some(low @ 0xdc00..0xe000) = self.hex() {
                return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            }
            self.at = back;
        }
        // Half a pair stands for no character.
        Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte < 0x20)
}

/// True for what JSON calls a number.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|text| all_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

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
pub(crate) enum Ends {
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
    pub(crate) fn feed(&mut self, text: &str) -> Ends {
        if let Some(end) = self.end {
            return Ends::At(end);
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
                    if self.due.len() == MOST_DEPTH {
                        return Ends::Never(self.at);
                    }
                    self.due.push(match byte {
                        b'{' => b'}',
                        b'[' => b']',
                        _ => b')',
                    });
                }
                b'}' | b']' | b')' if byte != b')' || self.python => {
                    if self.due.pop() != Some(byte) {
                        return Ends::Never(self.at);
                    }
                    if self.due.is_empty() {
                        self.end = Some(self.at);
                        return Ends::At(self.at);
                    }
                }
                _ => {}
            }
        }
        Ends::NotYet
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

    fn json(text: &str) -> Option<String> {
        read(text).map(|(value, _)| value.to_json())
    }

    #[test]
    fn reads_what_json_allows_and_the_stated_rest() {
        assert_eq!(
            json(r#" {"b":1.50,"a":[true,null,"x\n\u00e9\ud834\udd1e"]} "#).as_deref(),
            Some("{\"b\":1.50,\"a\":[true,null,\"x\\né𝄞\"]}")
        );
        assert_eq!(json("{'a': True, 'b': None,}").as_deref(), Some(r#"{"a":true,"b":null}"#));
        assert_eq!(json("{\"a\":\"two\nlines\"}").as_deref(), Some(r#"{"a":"two\nlines"}"#));
        for bad in ["", "{", "{a:1}", "{\"a\" 1}", "01", "1.", "-", "tru", "[1 2]", "{}x", "nullx"] {
            assert_eq!(json(bad), None, "{bad}");
        }
        assert_eq!(json(&"[".repeat(100_000)), None);
    }

    #[test]
    fn finds_ends_piece_by_piece() {
        let text = r#"{"a":"}\"]","b":[1,{"c":2}]} tail"#;
        let mut span = Span::new(0);
        let mut found = Ends::NotYet;
        for end in 0..=text.len() {
            found = span.feed(&text[..end]);
            if found != Ends::NotYet {
                break;
            }
        }
        assert_eq!(found, Ends::At(text.len() - 5));
        assert!(matches!(Span::new(0).feed("{]"), Ends::Never(_)));
        assert_eq!(Span::new(0).feed("{\"a\":'"), Ends::NotYet);
    }
}
