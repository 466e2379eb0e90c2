//! More messages at the end of a written request, without writing it again. Pure.

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A body with two more elements at the end of its list `messages`: what the model wrote, and what it is told next. For the
/// protocols whose messages have a `role` and a `content`: Chat Completions, Messages, Command Code.
pub(crate) fn append_messages(body: &[u8], assistant: &str, user: &str) -> Option<Vec<u8>> {
    let message = |role: &str, text: &str| json!({ "role": role, "content": text });
    append_elements(body, "messages", &[message("assistant", assistant), message("user", user)])
}

/// The same for the items in the list `input` of Responses.
pub(crate) fn append_items(body: &[u8], assistant: &str, user: &str) -> Option<Vec<u8>> {
    let message = |role: &str, kind: &str, text: &str| json!({ "type": "message", "role": role, "content": [{ "type": kind, "text": text }] });
    let pair = [message("assistant", "output_text", assistant), message("user", "input_text", user)];
    append_elements(body, "input", &pair)
}

/// The same for the list `contents` of Gemini.
pub(crate) fn append_contents(body: &[u8], assistant: &str, user: &str) -> Option<Vec<u8>> {
    let content = |role: &str, text: &str| json!({ "role": role, "parts": [{ "text": text }] });
    append_elements(body, "contents", &[content("model", assistant), content("user", user)])
}

/// A body with more elements at the end of the list `key`. The list must stand before anything that may hold a key of the
/// same name outside of a string.
pub(crate) fn append_elements(body: &[u8], key: &str, elements: &[Value]) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_go_to_the_end_of_the_list() {
        let put = |body: &str| {
            append_messages(body.as_bytes(), "a\"b", "c").map(|body| String::from_utf8(body).expect("text"))
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
}
