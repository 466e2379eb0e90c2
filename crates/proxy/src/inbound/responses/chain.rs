//! A request that goes on with an earlier response becomes one that says everything itself. Pure.

use std::borrow::Cow;

use latimer_protocol::failure::Again;
use serde_json::{Value, json};

use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::openai_error::error_object;
use crate::inbound::wire::rope::Rope;
use crate::text::{MAX_NAME, shown};

/// The body with `items` before its own; `input` is the slice of the body where that field stands.
pub(super) fn joined(body: &str, input: Option<&str>, items: &[u8]) -> Option<Vec<u8>> {
    let new = items_of(input.unwrap_or("[]"))?;
    let before = std::str::from_utf8(items).ok()?.trim().strip_suffix(']')?;
    let comma = if before.trim_end().ends_with('[') || new.trim() == "[]" { "" } else { "," };
    let new = new.trim().strip_prefix('[')?;
    let Some(input) = input else {
        let head = body.trim_end().strip_suffix('}')?;
        return Some(format!("{head},\"input\":{before}{comma}{new}}}").into_bytes());
    };
    // The value is a slice of the body: its place is where it lies.
    let start = (input.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let (head, tail) = (body.get(..start)?, body.get(start + input.len()..)?);
    Some([head, before, comma, new, tail].concat().into_bytes())
}

/// The largest answer that is kept to be gone on with, in bytes of its items. A model's longest answers are a tenth of it.
pub const MAX_KEPT_ANSWER: usize = 8 << 20;

/// Whether an upstream's event of this kind ends a response well.
pub fn is_end(kind: &str) -> bool {
    matches!(kind, "response.completed" | "response.incomplete")
}

/// A JSON array of items with more of them at its end; `output` are items joined by commas.
pub fn with_output(items: &[u8], output: &Rope) -> Vec<u8> {
    let items = items.trim_ascii_end();
    let items = items.strip_suffix(b"]").unwrap_or(items);
    let comma: &[u8] = if items.trim_ascii_end().ends_with(b"[") || output.is_empty() { b"" } else { b"," };
    let mut joined = Vec::with_capacity(items.len() + output.len() + 2);
    joined.extend_from_slice(items);
    joined.extend_from_slice(comma);
    output.parts().for_each(|part| joined.extend_from_slice(part));
    joined.push(b']');
    joined
}

/// The refusal of a request that goes on with a response that is not stored.
pub fn not_found(id: &str) -> HttpError {
    let message = format!(
        "no answer `{}` is kept; answers of up to {} MB are kept for ten minutes: send the whole conversation as `input`",
        shown(id, MAX_NAME),
        MAX_KEPT_ANSWER >> 20
    );
    let (kind, param, code) =
        ("invalid_request_error", "previous_response_id", "previous_response_not_found");
    HttpError {
        status: 400,
        retry_after: None,
        again: Again::default(),
        body: error_object(&message, kind, Some(param), code),
    }
}

/// An `input` as a JSON array of items; a string is what the person wrote.
pub(super) fn items_of(input: &str) -> Option<Cow<'_, str>> {
    match input.trim_start().as_bytes().first()? {
        b'[' => Some(Cow::Borrowed(input)),
        b'"' => {
            let text: Value = serde_json::from_str(input).ok()?;
            Some(Cow::Owned(json!([{ "type": "message", "role": "user", "content": text }]).to_string()))
        }
        b'n' => Some(Cow::Borrowed("[]")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_joined_whatever_stands_on_either_side() {
        let join = |body: &str, input: Option<&str>, items: &str| {
            let input = input.map(|input| {
                body.find(input).and_then(|start| body.get(start..start + input.len())).expect("a slice")
            });
            joined(body, input, items.as_bytes()).map(|joined| String::from_utf8(joined).expect("UTF-8"))
        };
        assert_eq!(
            join(r#"{"input":[2],"b":3}"#, Some("[2]"), "[1]").as_deref(),
            Some(r#"{"input":[1,2],"b":3}"#)
        );
        assert_eq!(join(r#"{"input":[2]}"#, Some("[2]"), "[]").as_deref(), Some(r#"{"input":[2]}"#));
        assert_eq!(join(r#"{"input":[]}"#, Some("[]"), "[1] ").as_deref(), Some(r#"{"input":[1]}"#));
        assert_eq!(join(r#"{"a":0} "#, None, "[1]").as_deref(), Some(r#"{"a":0,"input":[1]}"#));
        assert_eq!(join(r#"{"input":7}"#, Some("7"), "[1]"), None);
    }

    #[test]
    fn an_output_goes_behind_the_items() {
        let join = |items: &[u8], output: &[u8]| with_output(items, &output.to_vec().into());
        assert_eq!(join(br#"[{"a":1}] "#, br#"{"b":2},{"c":3}"#), br#"[{"a":1},{"b":2},{"c":3}]"#);
        assert_eq!(join(b"[]", b"{}"), b"[{}]");
        assert_eq!(join(b"[{}]", b""), b"[{}]");
        assert_eq!(items_of("\"x\"").as_deref(), Some(r#"[{"type":"message","role":"user","content":"x"}]"#));
    }

    #[test]
    fn a_response_that_is_gone_is_named_without_control_characters() {
        let error = not_found("resp_\u{1b}1");
        assert_eq!(error.status, 400);
        assert!(
            error.body.contains("no answer `resp_1` is kept")
                && error.body.contains("previous_response_not_found")
        );
    }
}
