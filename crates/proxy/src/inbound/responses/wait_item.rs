//! What latimer says of a wait to a client that shows reasoning: an item of its own, and how it leaves the history again. Pure.
//!
//! The item is reasoning with a summary, which Codex shows as it comes. Its `encrypted_content`, which clients hand back untouched, says
//! that it is latimer's: no provider sees it later, whichever latimer reads the history.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::RequestBody;
use crate::inbound::wire::field::Word;

/// The mark of an item of ours.
pub(super) const MARK: &str = "latimer.wait";

/// The request without what latimer said of waits; the same bytes where it said nothing.
pub(crate) fn without(body: Bytes) -> Bytes {
    if memchr::memmem::find(&body, MARK.as_bytes()).is_none() {
        return body;
    }
    match stripped(&body) {
        Some(stripped) => stripped.into(),
        None => body,
    }
}

/// The body with a list of items that are not ours; `None` where it has no such list.
fn stripped(body: &[u8]) -> Option<Vec<u8>> {
    let parsed = RequestBody::parse(body).ok()?;
    let input = parsed.fields().input?.get();
    let items: Vec<&RawValue> = serde_json::from_str(input).ok()?;
    // The list is a slice of the body.
    let start = (input.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let kept: Vec<&str> = items.into_iter().map(RawValue::get).filter(|item| !is_ours(item)).collect();
    let mut out = Vec::with_capacity(body.len());
    out.extend_from_slice(body.get(..start)?);
    out.push(b'[');
    out.extend_from_slice(kept.join(",").as_bytes());
    out.push(b']');
    out.extend_from_slice(body.get(start + input.len()..)?);
    Some(out)
}

fn is_ours(item: &str) -> bool {
    #[derive(Deserialize)]
    struct Marked<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        encrypted_content: Option<Word<'a>>,
    }
    serde_json::from_str::<Marked<'_>>(item).is_ok_and(|item| {
        item.kind.as_deref() == Some("reasoning") && item.encrypted_content.as_deref() == Some(MARK)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kept(body: &Value) -> Value {
        serde_json::from_slice(&without(body.to_string().into())).expect("JSON")
    }

    #[test]
    fn only_items_of_ours_leave_the_history() {
        let ours = json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": "waits" }], "encrypted_content": MARK });
        let theirs = json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAA" });
        let question = json!({ "type": "message", "role": "user", "content": format!("what is {MARK}?") });
        let body = json!({ "model": "m", "input": [ours, question, theirs, ours], "instructions": MARK, "store": false });
        assert_eq!(
            kept(&body),
            json!({ "model": "m", "input": [question, theirs], "instructions": MARK, "store": false })
        );
        for untouched in [json!({ "input": MARK }), json!({ "input": [question] }), json!([MARK])] {
            assert_eq!(kept(&untouched), untouched);
        }
    }

    #[test]
    fn a_body_without_a_mark_is_not_copied() {
        let body = Bytes::from_static(b"{\"input\":[{\"type\":\"reasoning\"}]}");
        assert_eq!(without(body.clone()).as_ptr(), body.as_ptr());
        assert_eq!(without(Bytes::from_static(b"latimer.wait {")), Bytes::from_static(b"latimer.wait {"));
    }
}
