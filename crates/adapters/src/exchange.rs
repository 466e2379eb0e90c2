//! More messages at the end of a written request, without writing it again. Pure.

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A body with a list `messages`, and two more messages at its end: what the model said, and an answer to it.
pub(crate) fn with_exchange(body: &[u8], said: &str, answer: &str) -> Option<Vec<u8>> {
    let said = json!({ "role": "assistant", "content": said });
    let answer = json!({ "role": "user", "content": answer });
    with_elements(body, "messages", &[said, answer])
}

/// A body with a list `input` of Responses items, and two more messages at its end.
pub(crate) fn with_items(body: &[u8], said: &str, answer: &str) -> Option<Vec<u8>> {
    let message = |role: &str, kind: &str, text: &str| json!({ "type": "message", "role": role, "content": [{ "type": kind, "text": text }] });
    let pair = [message("assistant", "output_text", said), message("user", "input_text", answer)];
    with_elements(body, "input", &pair)
}

/// A body with more elements at the end of the list `key`. The list must stand before anything that may hold a key of the
/// same name outside of a string.
pub(crate) fn with_elements(body: &[u8], key: &str, elements: &[Value]) -> Option<Vec<u8>> {
    let key = format!("\"{key}\":");
    // Inside strings every quote is escaped: the first such word is the field.
    let start = memchr::memmem::find(body, key.as_bytes())? + key.len();
    let mut values = serde_json::Deserializer::from_slice(body.get(start..)?).into_iter::<&RawValue>();
    if !values.next()?.ok()?.get().ends_with(']') {
        return None;
    }
    let bracket = start + values.byte_offset() - 1;
    let mut out = Vec::with_capacity(body.len() + 1024);
    out.extend_from_slice(body.get(..bracket)?);
    for element in elements {
        if out.last() != Some(&b'[') {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, element).ok()?;
    }
    out.extend_from_slice(body.get(bracket..)?);
    Some(out)
}

/// Arguments must be the text of a JSON object: nothing becomes `{}`, anything else is wrapped.
pub(crate) fn arguments(text: &str) -> std::borrow::Cow<'_, str> {
    use std::borrow::Cow;
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Cow::Borrowed("{}");
    }
    match is_sound(trimmed) {
        true if trimmed.starts_with('{') => Cow::Borrowed(trimmed),
        true => Cow::Owned(format!("{{\"value\":{trimmed}}}")),
        false => Cow::Owned(json!({ "invalid_arguments": text }).to_string()),
    }
}

/// Whether a text is JSON that every parser takes. Half of a surrogate pair is well-formed, and refused by most.
pub(crate) fn is_sound(text: &str) -> bool {
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
    fn elements_go_to_the_end_of_the_list() {
        let put = |body: &str| {
            with_exchange(body.as_bytes(), "a\"b", "c").map(|body| String::from_utf8(body).expect("text"))
        };
        let pair = r#"{"role":"assistant","content":"a\"b"},{"role":"user","content":"c"}"#;
        assert_eq!(
            put(r#"{"m":1,"messages":[],"z":2}"#),
            Some(format!(r#"{{"m":1,"messages":[{pair}],"z":2}}"#))
        );
        assert_eq!(
            put(r#"{"s":"\"messages\":[","messages":[{"x":[1]}]}"#),
            Some(format!(r#"{{"s":"\"messages\":[","messages":[{{"x":[1]}},{pair}]}}"#))
        );
        for body in ["", "{}", r#"{"messages":7}"#, r#"{"messages":[1"#] {
            assert_eq!(put(body), None, "{body}");
        }
    }

    #[test]
    fn arguments_are_an_object() {
        for (text, want) in [
            ("", "{}"),
            (" {\"a\":1} ", "{\"a\":1}"),
            ("[1]", "{\"value\":[1]}"),
            ("{\"a\":", "{\"invalid_arguments\":\"{\\\"a\\\":\"}"),
            (r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
            (r#"{"a":"\ud83d"}"#, r#"{"invalid_arguments":"{\"a\":\"\\ud83d\"}"}"#),
        ] {
            assert_eq!(arguments(text), want);
        }
    }
}
