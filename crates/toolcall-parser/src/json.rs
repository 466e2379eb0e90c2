//! JSON as models write it: a value model that keeps key order and digits, a tolerant reader, and a writer.
//!
//! The reader is tolerant by stated rules only, and says which it used: a comma before a closing bracket, raw control characters
//! in a string, Python's quotes and words, an arrow for a colon, a backslash before a character that needs none. Whatever else is wrong is an error.

mod reader;
mod span;

pub(crate) use reader::{Leniencies, SEPARATORS, is_number, object_at_start, read, stops_at};
pub(crate) use span::{Span, SpanEnd};

use std::borrow::Cow;
use std::fmt::Write as _;

/// The deepest nesting that is read, in objects and arrays.
pub(crate) const MAX_DEPTH: usize = 128;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_digits_stay_and_control_characters_are_escaped() {
        let entry = |key: &'static str, value| (Cow::Borrowed(key), value);
        let list = Value::Array(vec![Value::Null, Value::Bool(true), Value::text("\u{1}\"\\\n")]);
        let value = Value::Object(vec![entry("b", Value::Number("1.50".into())), entry("a", list)]);
        assert_eq!(value.to_json(), "{\"b\":1.50,\"a\":[null,true,\"\\u0001\\\"\\\\\\n\"]}");
        assert_eq!(value.get("b"), Some(&Value::Number("1.50".into())));
        assert_eq!((value.get("c"), Value::Null.entries()), (None, None));
        assert_eq!(value.clone().into_owned(), value);
    }
}
