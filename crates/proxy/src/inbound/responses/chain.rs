//! A request that goes on with an earlier answer becomes one that says everything itself. Pure.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::inbound::wire::openai_error::RequestError;
use crate::text::{MAX_NAME, shown};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    previous_response_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(default)]
    store: Option<bool>,
}

/// The answer a request goes on with, if it names one.
pub fn previous(body: &[u8]) -> Option<String> {
    // A cheap look first: most requests name none.
    memchr::memmem::find(body, b"\"previous_response_id\"")?;
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    serde_json::from_str::<Option<String>>(body.previous_response_id?.get()).ok().flatten()
}

/// The request with everything before it as its input.
pub fn joined(body: &[u8], items: &[u8]) -> Option<Vec<u8>> {
    let body = std::str::from_utf8(body).ok()?;
    let wire: Body<'_> = serde_json::from_str(body).ok()?;
    let new = as_items(wire.input.map_or("[]", RawValue::get))?;
    let before = std::str::from_utf8(items).ok()?.trim().strip_suffix(']')?;
    let comma = if before.trim_end().ends_with('[') || new.trim() == "[]" { "" } else { "," };
    let whole = format!("{before}{comma}{}", new.trim().strip_prefix('[')?);
    let Some(input) = wire.input.map(RawValue::get) else {
        let head = body.trim_end().strip_suffix('}')?;
        return Some(format!("{head},\"input\":{whole}}}").into_bytes());
    };
    // The value is a slice of the body: its place is where it lies.
    let start = (input.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let (head, tail) = (body.get(..start)?, body.get(start + input.len()..)?);
    Some(format!("{head}{whole}{tail}").into_bytes())
}

/// Whether the client lets the answer be stored.
pub fn is_stored(body: &[u8]) -> bool {
    serde_json::from_slice::<Body<'_>>(body).is_ok_and(|wire| wire.store != Some(false))
}

/// The items to be kept with an answer: the request's input, to which the output will be added.
pub fn input(body: &[u8]) -> Option<Vec<u8>> {
    let wire: Body<'_> = serde_json::from_slice(body).ok()?;
    as_items(wire.input?.get()).map(String::into_bytes)
}

/// Items and more items.
pub fn with_output(mut items: Vec<u8>, output: &[u8]) -> Vec<u8> {
    let end = items.trim_ascii_end().len();
    items.truncate(end);
    items.pop();
    if !items.trim_ascii_end().ends_with(b"[") && !output.is_empty() {
        items.push(b',');
    }
    items.extend_from_slice(output);
    items.push(b']');
    items
}

/// The error for an answer that is not kept.
pub fn not_found(id: &str) -> RequestError {
    let shown = shown(id, MAX_NAME);
    RequestError {
        code: "previous_response_not_found",
        param: Some("previous_response_id".to_owned()),
        message: format!(
            "no answer `{shown}` is kept; answers are kept for ten minutes: send the whole conversation as `input`"
        ),
    }
}

/// An input as a JSON array of items; a string is what the person said.
fn as_items(input: &str) -> Option<String> {
    match input.trim_start().as_bytes().first()? {
        b'[' => Some(input.to_owned()),
        b'"' => {
            let text: Value = serde_json::from_str(input).ok()?;
            Some(json!([{ "type": "message", "role": "user", "content": text }]).to_string())
        }
        b'n' => Some("[]".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_go_on() {
        let body = br#"{"model":"m","previous_response_id":"resp_1","input":"and now?"}"#;
        assert_eq!(previous(body).as_deref(), Some("resp_1"));
        assert_eq!(previous(br#"{"previous_response_id":null}"#), None);
        assert_eq!(previous(br#"{"input":"\"previous_response_id\""}"#), None);
        let joined = joined(body, br#"[{"a":1}]"#).expect("joined");
        let value: Value = serde_json::from_slice(&joined).expect("JSON");
        assert_eq!(
            value["input"],
            json!([{ "a": 1 }, { "type": "message", "role": "user", "content": "and now?" }])
        );
        let empty = super::joined(br#"{"model":"m","previous_response_id":"resp_1"}"#, b"[{\"a\":1}]")
            .expect("joined");
        assert_eq!(serde_json::from_slice::<Value>(&empty).expect("JSON")["input"], json!([{ "a": 1 }]));
    }

    #[test]
    fn what_is_kept() {
        let items = input(br#"{"input":[{"a":1}]}"#).expect("items");
        assert_eq!(with_output(items, br#"{"b":2},{"c":3}"#), br#"[{"a":1},{"b":2},{"c":3}]"#);
        assert_eq!(with_output(b"[]".to_vec(), b"{}"), b"[{}]");
        assert_eq!(with_output(b"[{}]".to_vec(), b""), b"[{}]");
        assert!(!is_stored(br#"{"input":"x","store":false}"#));
        assert!(is_stored(br#"{"input":"x"}"#) && input(br#"{"input":"x"}"#).is_some());
    }
}
