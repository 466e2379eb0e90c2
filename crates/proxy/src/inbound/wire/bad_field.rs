//! What is wrong with a request, before it is written in a protocol's own shape. Pure.

use std::fmt;

use serde_json::value::RawValue;

use super::path::Path;

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The body is not JSON, or not an object.
    NotJson,
    /// The value is of another JSON type.
    WrongType,
    /// It has to be there and is not.
    Missing,
    /// The value is of the right type, and none that can be used.
    Invalid,
    /// It asks for something that latimer cannot give.
    Unsupported,
    /// A text with more characters than the API takes.
    TooLong,
    /// An object with more members than the API takes.
    TooMany,
}

/// A request that cannot be read, and where. Each protocol's `error.rs` writes it in the shape that its clients know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadField {
    /// What is wrong with it.
    pub problem: Problem,
    /// The path of the field, such as `input[0].content`; `None` for the body as a whole.
    pub path: Option<String>,
    /// What is wrong and what would be right. Never holds a value that was sent, but for a word such as a role, shortened.
    pub message: String,
}

impl BadField {
    /// A problem of the field at a path; `rest` goes on the sentence that begins with the path.
    pub(in crate::inbound) fn at(path: &Path<'_>, problem: Problem, rest: impl fmt::Display) -> Self {
        Self { problem, path: Some(path.to_string()), message: path.sentence(&rest) }
    }

    /// A value of the right type that cannot be used.
    pub(in crate::inbound) fn invalid(path: &Path<'_>, rest: impl fmt::Display) -> Self {
        Self::at(path, Problem::Invalid, rest)
    }

    /// A field that asks for what latimer cannot give, in a sentence of its own.
    pub(in crate::inbound) fn unsupported(path: &Path<'_>, message: impl Into<String>) -> Self {
        Self { problem: Problem::Unsupported, path: Some(path.to_string()), message: message.into() }
    }

    /// A problem in the words of the protocol's own API.
    pub(in crate::inbound) fn in_words(
        path: &Path<'_>,
        problem: Problem,
        message: impl Into<String>,
    ) -> Self {
        Self { problem, path: Some(path.to_string()), message: message.into() }
    }

    /// A value that has to be there.
    pub(in crate::inbound) fn missing(path: &Path<'_>, wanted: &str) -> Self {
        Self::at(path, Problem::Missing, format_args!("is missing; it should be {wanted}"))
    }

    /// A field that the client has to send.
    pub(in crate::inbound) fn not_sent(path: &Path<'_>, wanted: &str) -> Self {
        Self::at(path, Problem::Missing, format_args!("is missing; send {wanted}"))
    }

    /// A value of the wrong type: says what was sent, but not its text.
    pub(in crate::inbound) fn wrong_type(raw: &RawValue, path: &Path<'_>, wanted: &str) -> Self {
        let sent = match raw.get().as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        };
        if sent == wanted {
            Self::at(path, Problem::WrongType, "has a value that cannot be used")
        } else {
            Self::at(path, Problem::WrongType, format_args!("should be {wanted}, and {sent} was sent"))
        }
    }

    /// A body that is no JSON object; `wanted` says what the object should hold.
    pub(in crate::inbound) fn not_json(body: &[u8], error: &serde_json::Error, wanted: &str) -> Self {
        let message = if body.trim_ascii().is_empty() {
            format!("the request body is empty; send a JSON object with {wanted}")
        } else if error.is_data() {
            format!("the request body should be a JSON object with {wanted}")
        } else {
            format!("the request body is not valid JSON at line {} column {}", error.line(), error.column())
        };
        Self { problem: Problem::NotJson, path: None, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_sent_and_never_its_text() {
        let at = Path::bracketed("stream");
        for (sent, words) in [
            ("\"secret\"", "a string was sent"),
            ("{\"secret\":1}", "an object was sent"),
            ("[\"secret\"]", "a list was sent"),
            ("12345", "a number was sent"),
        ] {
            let raw = RawValue::from_string(sent.to_owned()).expect("JSON");
            let error = BadField::wrong_type(&raw, &at, "true or false");
            assert_eq!((error.problem, error.path.as_deref()), (Problem::WrongType, Some("stream")));
            assert!(error.message.contains(words), "{}", error.message);
            assert!(
                !error.message.contains("secret") && !error.message.contains("12345"),
                "{}",
                error.message
            );
        }
        let raw = RawValue::from_string("true".to_owned()).expect("JSON");
        let error = BadField::wrong_type(&raw, &at, "true or false");
        assert_eq!(error.message, "`stream` has a value that cannot be used");
    }

    #[test]
    fn a_body_that_is_no_object_is_told_from_one_that_is_no_json() {
        for (body, words) in
            [("", "is empty; send"), ("7", "should be a JSON object with `a`"), ("{\n,", "line 2 column 1")]
        {
            let error = serde_json::from_str::<std::collections::BTreeMap<String, u8>>(body).expect_err(body);
            let error = BadField::not_json(body.as_bytes(), &error, "`a`");
            assert_eq!((error.problem, error.path), (Problem::NotJson, None));
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
}
