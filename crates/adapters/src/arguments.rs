//! The arguments of an earlier call, as a provider takes them back. Pure.

use std::borrow::Cow;

use latimer_protocol::surrogates;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The text of a JSON object for the text that a model wrote: nothing becomes `{}`, other JSON is wrapped as `{"value": …}`, and
/// what is no JSON as `{"invalid_arguments": "…"}`. A lone half of a UTF-16 pair becomes U+FFFD.
pub(crate) fn object_text(text: &str) -> Cow<'_, str> {
    match surrogates::mend_text(text) {
        Cow::Borrowed(text) => as_object(text),
        Cow::Owned(text) => Cow::Owned(as_object(&text).into_owned()),
    }
}

fn as_object(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Cow::Borrowed("{}");
    }
    match is_valid_json(trimmed) {
        true if trimmed.starts_with('{') => Cow::Borrowed(trimmed),
        true => Cow::Owned(format!("{{\"value\":{trimmed}}}")),
        false => Cow::Owned(json!({ "invalid_arguments": text }).to_string()),
    }
}

/// The same as JSON, for protocols whose calls hold an object and not its text.
pub(crate) fn object(text: &str) -> Cow<'_, RawValue> {
    let value = match object_text(text) {
        Cow::Borrowed(text) => serde_json::from_str::<&RawValue>(text).map(Cow::Borrowed).ok(),
        Cow::Owned(text) => RawValue::from_string(text).map(Cow::Owned).ok(),
    };
    value.unwrap_or(Cow::Borrowed(RawValue::NULL))
}

/// Whether a text is JSON that every parser takes. Half of a surrogate pair is well-formed, and refused by most.
fn is_valid_json(text: &str) -> bool {
    if memchr::memmem::find(text.as_bytes(), b"\\u").is_some() {
        serde_json::from_str::<Value>(text).is_ok()
    } else {
        serde_json::from_str::<&RawValue>(text).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object() {
        for (text, want) in [
            ("", "{}"),
            (" {\"a\":1} ", "{\"a\":1}"),
            ("[1]", "{\"value\":[1]}"),
            ("{\"a\":", "{\"invalid_arguments\":\"{\\\"a\\\":\"}"),
            (r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
        ] {
            assert_eq!(object_text(text), want);
            assert_eq!(object(text).get(), want);
        }
    }
}
