//! The tolerant reader.

use std::borrow::Cow;

use super::{MAX_DEPTH, Value};

/// Which of the stated rules were needed to read a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leniencies {
    /// A comma before a closing bracket.
    pub(crate) comma: bool,
    /// A raw control character in a string.
    pub(crate) control: bool,
    /// Python's quotes or words.
    pub(crate) python: bool,
    /// Another sign for a colon.
    pub(crate) separator: bool,
    /// A backslash before a character that needs none.
    pub(crate) backslash: bool,
}

/// What models write for a colon.
pub(crate) const SEPARATORS: [&str; 5] = ["=>", "->", "→", "：", "="];

/// Reads one value that is all of the text, white space aside. `None` when a rule is broken that is not one of the stated ones.
pub(crate) fn read(text: &str) -> Option<(Value<'_>, Leniencies)> {
    let mut reader = JsonReader { text, bytes: text.as_bytes(), at: 0, leniencies: Leniencies::default() };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some((value, reader.leniencies))
}

/// Reads the object that a text begins with, and says where it ends; white space before it is passed over.
pub(crate) fn object_at_start(text: &str) -> Option<(Value<'_>, Leniencies, usize)> {
    let mut reader = JsonReader { text, bytes: text.as_bytes(), at: 0, leniencies: Leniencies::default() };
    reader.space();
    if reader.peek() != Some(b'{') {
        return None;
    }
    let value = reader.object(0)?;
    Some((value, reader.leniencies, reader.at))
}

/// Where the reading of a broken text stops.
pub(crate) fn stops_at(text: &str) -> usize {
    let mut reader = JsonReader { text, bytes: text.as_bytes(), at: 0, leniencies: Leniencies::default() };
    let _ = reader.value(0);
    reader.at
}

struct JsonReader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    leniencies: Leniencies,
}

impl<'a> JsonReader<'a> {
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
        if depth > MAX_DEPTH {
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
                self.leniencies.python |= python;
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
                self.leniencies.comma |= !entries.is_empty();
                break;
            }
            let quote = self.peek()?;
            let key = if matches!(quote, b'"' | b'\'') { self.string(quote)? } else { return None };
            self.space();
            if !self.eat(b':') {
                let sign = SEPARATORS.iter().find(|sign| self.text[self.at..].starts_with(**sign))?;
                self.at += sign.len();
                self.leniencies.separator = true;
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
                self.leniencies.comma |= !items.is_empty();
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
        self.leniencies.python |= quote == b'\'';
        self.at += 1;
        let start = self.at;
        let end = start + memchr::memchr2(quote, b'\\', &self.bytes[start..])?;
        self.leniencies.control |= has_control(&self.bytes[start..end]);
        self.at = end;
        if self.eat(quote) {
            return Some(Cow::Borrowed(&self.text[start..end]));
        }
        let mut out = self.text[start..end].to_owned();
        loop {
            let plain = self.at;
            let end = plain + memchr::memchr2(quote, b'\\', &self.bytes[plain..])?;
            self.leniencies.control |= has_control(&self.bytes[plain..end]);
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
                self.leniencies.backslash = true;
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
}
