//! Provider state on its way through a Chat Completions client: `reasoning_details`, the field that clients which keep such
//! things send back unchanged.
//!
//! A message of this protocol has one place for reasoning, one for text and one for calls, and the order among them is lost. Some
//! providers want it back, so the `id` of each detail holds where it stood: `rs-<text before it: 0 or 1>-<calls before it>-<n>`.

use latimer_protocol::turn::{OpaqueState, SealKey};
use serde_json::Value;
use serde_json::json;

/// Where state stood in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct DetailPlace {
    /// Calls stood before it.
    pub(super) calls: usize,
    /// Text stood before it.
    pub(super) has_text: bool,
}

/// State as one detail; `index` tells the details of a message apart.
pub(super) fn detail(opaque: &OpaqueState, seal: &SealKey, place: DetailPlace, index: u32) -> String {
    // `unknown` is the word for a format that clients must not look into; those with a closed list know it.
    json!({
        "type": "reasoning.encrypted",
        "data": opaque.encode(seal),
        "id": format!("rs-{}-{}-{index}", u8::from(place.has_text), place.calls),
        "format": "unknown",
        "index": index,
    })
    .to_string()
}

/// What a detail that comes back holds.
#[derive(Debug, PartialEq)]
pub(super) enum ReasoningDetail {
    /// State of ours, and where it stood.
    State(OpaqueState, DetailPlace),
    /// Readable reasoning.
    Text(String),
    /// State that somebody else made, or nothing.
    Foreign,
}

/// Reads one detail.
pub(super) fn read(detail: &Value, seal: &SealKey) -> ReasoningDetail {
    let text = |key: &str| detail.get(key).and_then(Value::as_str);
    if let Some(opaque) = text("data").and_then(|data| OpaqueState::decode(data, seal)) {
        return ReasoningDetail::State(opaque, place(text("id").unwrap_or_default()).unwrap_or_default());
    }
    match text("text").or_else(|| text("summary")) {
        Some(text) if !text.is_empty() => ReasoningDetail::Text(text.to_owned()),
        _ => ReasoningDetail::Foreign,
    }
}

fn place(id: &str) -> Option<DetailPlace> {
    let mut parts = id.strip_prefix("rs-")?.split('-');
    let has_text = parts.next()? == "1";
    Some(DetailPlace { has_text, calls: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::StateOwner;

    #[test]
    fn state_comes_back_to_its_place_and_to_nobody_else() {
        let (ours, other) = (SealKey::from_secret(b"ours"), SealKey::from_secret(b"other"));
        let opaque = OpaqueState { owner: StateOwner::new("lab", "m"), data: "{\"signature\":\"s\"}".into() };
        let place = DetailPlace { has_text: true, calls: 12 };
        let text = detail(&opaque, &ours, place, 3);
        assert!(!text.contains("signature\\\""), "sealed: {text}");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read(&value, &ours), ReasoningDetail::State(opaque, place));
        assert_eq!(read(&value, &other), ReasoningDetail::Foreign);
    }

    #[test]
    fn details_of_others() {
        let cases = [
            (
                json!({"type": "reasoning.text", "text": "hm", "signature": "s"}),
                ReasoningDetail::Text("hm".into()),
            ),
            (json!({"type": "reasoning.summary", "summary": "so"}), ReasoningDetail::Text("so".into())),
            (json!({"type": "reasoning.encrypted", "data": "gAAAA"}), ReasoningDetail::Foreign),
            (json!(7), ReasoningDetail::Foreign),
            (json!({"text": "", "data": null}), ReasoningDetail::Foreign),
        ];
        for (value, want) in cases {
            assert_eq!(read(&value, &SealKey::default()), want, "{value}");
        }
        for id in ["", "rs-", "rs-1", "rs-1-x-0", "abc", "rs-1-99999999999999999999999-0"] {
            assert_eq!(super::place(id), None, "{id}");
        }
    }
}
