//! Python as data: literals, and calls with keyword arguments. Nothing is evaluated; what is no literal is refused.

use std::borrow::Cow;

use crate::json::{self, MAX_DEPTH, Value};
use crate::lex::is_space;

/// A call written in Python.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PythonCall<'a> {
    pub(crate) name: &'a str,
    pub(crate) arguments: Value<'static>,
}

/// The value of a literal that is all of the text.
pub(crate) fn literal(text: &str) -> Option<Value<'static>> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// One call at the start of the text, and its length.
pub(crate) fn call(text: &str) -> Option<(PythonCall<'_>, usize)> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let call = reader.call()?;
    Some((call, reader.at))
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| is_space(char::from(byte))) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Another sign between a key and its value.
    fn separator(&mut self) -> bool {
        self.space();
        let sign = json::SEPARATORS.iter().find(|sign| self.text[self.at..].starts_with(**sign));
        self.at += sign.map_or(0, |sign| sign.len());
        sign.is_some()
    }

    fn name(&mut self) -> Option<&'a str> {
        self.space();
        let rest = &self.text[self.at..];
        let length =
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(rest.len());
        let name = &rest[..length];
        self.at += length;
        name.starts_with(|c: char| c.is_alphabetic() || c == '_').then_some(name)
    }

    fn call(&mut self) -> Option<PythonCall<'a>> {
        let name = self.name()?;
        if self.peek() != Some(b'(') {
            return None;
        }
        self.at += 1;
        let mut entries: Vec<(Cow<'static, str>, Value<'static>)> = Vec::new();
        while !self.eat(b')') {
            let key = self.name()?;
            if !self.separator() && !self.eat(b':') {
                return None;
            }
            let value = self.value(0)?;
            if entries.iter().any(|(known, _)| known == key) {
                return None;
            }
            entries.push((Cow::Owned(key.to_owned()), value));
            if !self.eat(b',') && {
                self.space();
                self.peek() != Some(b')')
            } {
                return None;
            }
        }
        Some(PythonCall { name, arguments: Value::Object(entries) })
    }

    fn value(&mut self, depth: usize) -> Option<Value<'static>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.dict(depth),
            b'[' => self.list(b']', depth),
            b'(' => self.list(b')', depth),
            b'"' | b'\'' => self.strings(),
            b'-' | b'+' | b'0'..=b'9' | b'.' => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<Value<'static>> {
        if let Some(b'r' | b'R' | b'b' | b'u') = self.peek()
            && matches!(self.bytes.get(self.at + 1), Some(b'"' | b'\''))
        {
            return self.strings();
        }
        Some(match self.name()? {
            "True" | "true" => Value::Bool(true),
            "False" | "false" => Value::Bool(false),
            "None" | "null" | "none" | "nil" => Value::Null,
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Value<'static>> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' | b'_')) {
            self.at += 1;
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let mut digits = self.text[start..self.at].trim_start_matches('+').replace('_', "");
        // Python writes what JSON does not: `.5` and `5.`
        if digits.starts_with('.') {
            digits.insert(0, '0');
        }
        if digits.ends_with('.') {
            digits.push('0');
        }
        json::is_number(&digits).then_some(Value::Number(Cow::Owned(digits)))
    }

    fn list(&mut self, close: u8, depth: usize) -> Option<Value<'static>> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.value(depth + 1)?);
            if !self.eat(b',') && self.peek() != Some(close) {
                return None;
            }
        }
        Some(Value::Array(items))
    }

    fn dict(&mut self, depth: usize) -> Option<Value<'static>> {
        self.at += 1;
        let mut entries: Vec<(Cow<'static, str>, Value<'static>)> = Vec::new();
        while !self.eat(b'}') {
            let Value::String(key) = self.value(depth + 1)? else { return None };
            if !self.eat(b':') && !self.separator() {
                return None;
            }
            let value = self.value(depth + 1)?;
            entries.retain(|(known, _)| *known != key);
            entries.push((key, value));
            if !self.eat(b',') && self.peek() != Some(b'}') {
                return None;
            }
        }
        Some(Value::Object(entries))
    }

    /// One string, or several that stand side by side.
    fn strings(&mut self) -> Option<Value<'static>> {
        let mut out = self.string()?;
        loop {
            let back = self.at;
            self.space();
            if !matches!(self.peek(), Some(b'"' | b'\'')) {
                self.at = back;
                return Some(Value::String(Cow::Owned(out)));
            }
            out.push_str(&self.string()?);
        }
    }

    fn string(&mut self) -> Option<String> {
        let raw = matches!(self.peek(), Some(b'r' | b'R'));
        if matches!(self.peek(), Some(b'r' | b'R' | b'b' | b'u')) {
            self.at += 1;
        }
        let quote = self.peek()?;
        let triple = self.bytes[self.at..].starts_with(&[quote; 3]);
        self.at += if triple { 3 } else { 1 };
        let mut out = String::new();
        loop {
            let plain = self.at;
            let found = plain + memchr::memchr2(quote, b'\\', &self.bytes[plain..])?;
            out.push_str(&self.text[plain..found]);
            self.at = found + 1;
            if self.bytes[found] == b'\\' {
                self.escape(raw, &mut out)?;
            } else if !triple {
                return Some(out);
            } else if self.bytes[found..].starts_with(&[quote; 3]) {
                self.at = found + 3;
                return Some(out);
            } else {
                out.push(char::from(quote));
            }
        }
    }

    fn escape(&mut self, raw: bool, out: &mut String) -> Option<()> {
        let next = self.text[self.at..].chars().next()?;
        self.at += next.len_utf8();
        let hex = |digits: usize, at: usize| {
            let text = self.text.get(at..at + digits)?;
            u32::from_str_radix(text, 16).ok().and_then(char::from_u32)
        };
        match next {
            _ if raw => {
                out.push('\\');
                out.push(next);
            }
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'v' => out.push('\u{b}'),
            '0' => out.push('\0'),
            '\\' | '\'' | '"' => out.push(next),
            '\n' => {}
            'x' | 'u' | 'U' => {
                let digits = match next {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                out.push(hex(digits, self.at)?);
                self.at += digits;
            }
            // As Python does.
            _ => {
                out.push('\\');
                out.push(next);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_expressions_are_not() {
        for (text, want) in [
            ("'it\\'s'", r#""it's""#),
            (
                r#""""a "b"
c""""#,
                r#""a \"b\"\nc""#,
            ),
            ("('a' 'b', .5, 1_000)", r#"["ab",0.5,1000]"#),
            ("{'a': [True, None], 'b': (1,)}", r#"{"a":[true,null],"b":[1]}"#),
            (r"r'\d+'", r#""\\d+""#),
        ] {
            assert_eq!(literal(text).map(|value| value.to_json()).as_deref(), Some(want), "{text}");
        }
        for bad in ["os.getcwd()", "1 + 1", "f'{x}'", "[x for x in y]", "a", "{1: 2}", "'open"] {
            assert_eq!(literal(bad), None, "{bad}");
        }
    }

    #[test]
    fn calls_have_keyword_arguments_only() {
        let (found, length) = call("get_weather(city='Oslo, (N)', days=3), x").expect("a call");
        assert_eq!((found.name, length), ("get_weather", 37));
        assert_eq!(found.arguments.to_json(), r#"{"city":"Oslo, (N)","days":3}"#);
        for bad in ["f('x')", "f(a=g())", "f(a=b)", "f(a=1 b=2)", "f(a=1, a=2)", "f(a=1", "f (a=1)"] {
            assert_eq!(call(bad), None, "{bad}");
        }
    }
}
