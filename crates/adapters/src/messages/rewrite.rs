//! A client's own Messages request for a server of the same protocol: everything latimer has no reason to touch goes out byte
//! for byte. Pure.

use std::borrow::Cow;

use latimer_protocol::turn::{OpaqueState, SealKey, StateOwner};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::{Fields, is_no_choice};
use crate::schema::lower_declarations;

/// How Claude Code's first system block begins; it changes from session to session, and is not for the model.
const BILLING: &str = "x-anthropic-billing-header:";
/// Fields that latimer writes itself.
const OURS: [&str; 2] = ["model", "stream"];

/// Whether a server knows results that refer to tools, and tools that are loaded when they are referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolReferences {
    /// Anthropic's own does.
    Known,
    /// Others refuse the fields, or read a result that says nothing.
    Unknown,
}

/// The request for the upstream. `None` where it has to be translated: the client wants no stream, the history holds calls and the
/// request no tools, it refers to tools in a way that the server does not know, or the history holds thoughts of somebody else, which
/// cannot simply be left out of it.
pub fn rewrite(
    body: &[u8],
    model: &str,
    owner: &StateOwner,
    seal: &SealKey,
    references: ToolReferences,
) -> Option<Vec<u8>> {
    let Fields(fields) = serde_json::from_slice(body).ok()?;
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
    let holds = |name: &str, words: &[&str]| {
        let text = value(name).unwrap_or_default().as_bytes();
        words.iter().any(|word| memchr::memmem::find(text, word.as_bytes()).is_some())
    };
    let has_tools = value("tools").is_some_and(|tools| tools.contains('{'));
    let lacks_tools = !has_tools && holds("messages", &["\"tool_use\"", "\"tool_result\""]);
    let refers = holds("tools", &["\"defer_loading\"", "\"tool_search_tool_"])
        || holds("messages", &["\"tool_reference\"", "\"tool_search_tool_"]);
    if value("stream") != Some("true") || lacks_tools || (refers && references == ToolReferences::Unknown) {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() + 64);
    out.extend_from_slice(b"{\"model\":");
    out.extend_from_slice(Value::from(model).to_string().as_bytes());
    out.extend_from_slice(b",\"stream\":true");
    for (name, value) in &fields {
        let value = match name.as_ref() {
            name if OURS.contains(&name) => continue,
            "tool_choice" if is_no_choice(value) => continue,
            "messages" => messages(value, owner, seal)?,
            "system" => system(value),
            "tools" => lower_declarations(value),
            _ => Cow::Borrowed(value.get()),
        };
        out.push(b',');
        out.extend_from_slice(Value::from(name.as_ref()).to_string().as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    Some(out)
}

/// The base prompt without the billing block.
fn system(raw: &RawValue) -> Cow<'_, str> {
    let billed = |block: &&RawValue| {
        let text = serde_json::from_str::<Block<'_>>(block.get()).ok().and_then(|block| block.text);
        text.is_some_and(|text| text.starts_with(BILLING))
    };
    if memchr::memmem::find(raw.get().as_bytes(), BILLING.as_bytes()).is_none() {
        return Cow::Borrowed(raw.get());
    }
    let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        return Cow::Borrowed(raw.get());
    };
    let remaining: Vec<&str> =
        blocks.iter().filter(|block| !billed(block)).map(|block| block.get()).collect();
    Cow::Owned(format!("[{}]", remaining.join(",")))
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
}

/// The messages with every carrier opened. A message without thoughts stays as it is.
fn messages<'m>(raw: &'m RawValue, owner: &StateOwner, seal: &SealKey) -> Option<Cow<'m, str>> {
    let thinks = |text: &str| memchr::memmem::find(text.as_bytes(), b"thinking\"").is_some();
    if !thinks(raw.get()) {
        return Some(Cow::Borrowed(raw.get()));
    }
    let messages: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    let mut out = Vec::with_capacity(messages.len());
    for message in messages {
        let opened =
            if thinks(message.get()) { opened(message, owner, seal)? } else { Cow::Borrowed(message.get()) };
        out.push(opened);
    }
    Some(Cow::Owned(format!("[{}]", out.join(","))))
}

fn opened<'m>(raw: &'m RawValue, owner: &StateOwner, seal: &SealKey) -> Option<Cow<'m, str>> {
    let Fields(fields) = serde_json::from_str(raw.get()).ok()?;
    let mut out = Vec::with_capacity(fields.len());
    for (name, value) in &fields {
        let blocks = serde_json::from_str::<Vec<&RawValue>>(value.get()).ok().filter(|_| name == "content");
        let value = match blocks {
            None => Cow::Borrowed(value.get()),
            Some(blocks) => {
                let blocks: Option<Vec<Cow<'_, str>>> =
                    blocks.into_iter().map(|block| thought(block, owner, seal)).collect();
                Cow::Owned(format!("[{}]", blocks?.join(",")))
            }
        };
        out.push(format!("{}:{value}", Value::from(name.as_ref())));
    }
    Some(Cow::Owned(format!("{{{}}}", out.join(","))))
}

/// One block; `None` for thoughts of somebody else.
fn thought<'b>(raw: &'b RawValue, owner: &StateOwner, seal: &SealKey) -> Option<Cow<'b, str>> {
    let Ok(block) = serde_json::from_str::<Block<'b>>(raw.get()) else {
        return Some(Cow::Borrowed(raw.get()));
    };
    let carrier = match block.kind.as_deref() {
        Some("thinking") => block.signature,
        Some("redacted_thinking") => block.data,
        _ => return Some(Cow::Borrowed(raw.get())),
    };
    let opaque = OpaqueState::decode(&carrier?, seal).filter(|opaque| opaque.owner == *owner)?;
    serde_json::from_str::<&RawValue>(&opaque.data).ok()?;
    Some(Cow::Owned(opaque.data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner() -> StateOwner {
        StateOwner::new("anthropic", "claude-sonnet-4-5")
    }

    fn rewritten(body: &str) -> Option<String> {
        rewritten_for(body, ToolReferences::Unknown)
    }

    fn rewritten_for(body: &str, references: ToolReferences) -> Option<String> {
        rewrite(body.as_bytes(), "claude-sonnet-4-5", &owner(), &SealKey::default(), references)
            .map(|body| String::from_utf8(body).expect("text"))
    }

    #[test]
    fn what_needs_no_change_goes_out_as_it_came() {
        let body = r#"{"max_tokens" : 9, "messages":[ {"role":"system","content":"żółw"} ],"novel":{"a":1.0e3},"model":"alias","stream":true}"#;
        assert_eq!(
            rewritten(body).as_deref(),
            Some(
                r#"{"model":"claude-sonnet-4-5","stream":true,"max_tokens":9,"messages":[ {"role":"system","content":"żółw"} ],"novel":{"a":1.0e3}}"#
            )
        );
        assert_eq!(rewritten(r#"{"messages":[]}"#), None, "no stream is wanted");
    }

    #[test]
    fn calls_without_tools_and_references_to_tools_are_translated() {
        let body = |tools: &str, block: &str| {
            format!(
                r#"{{"stream":true{tools},"messages":[{{"role":"user","content":[{{"type":"{block}"}}]}}],"tool_choice":{{ }}}}"#
            )
        };
        let tools = r#","tools":[{"name":"a"}]"#;
        assert_eq!(rewritten(&body("", "tool_result")), None);
        assert_eq!(rewritten(&body(r#","tools":[]"#, "tool_use")), None);
        let passed = rewritten(&body(tools, "tool_use")).expect("passes");
        assert!(!passed.contains("tool_choice"), "an empty choice is no choice: {passed}");
        for (tools, block) in
            [(tools, "tool_reference"), (r#","tools":[{"name":"a","defer_loading":true}]"#, "text")]
        {
            assert_eq!(rewritten(&body(tools, block)), None);
            assert!(rewritten_for(&body(tools, block), ToolReferences::Known).is_some());
        }
        assert!(
            rewritten(r#"{"stream":true,"messages":[{"role":"user","content":"a \"tool_use\" b"}]}"#)
                .is_some()
        );
    }

    #[test]
    fn the_billing_block_stays_here() {
        let body = r#"{"stream":true,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1;"},{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}]}"#;
        let out = rewritten(body).expect("passes");
        assert!(
            out.ends_with(
                r#""system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}]}"#
            ),
            "{out}"
        );
    }

    #[test]
    fn thoughts_go_back_to_their_owner_or_the_turn_is_translated() {
        let block = r#"{"type":"thinking","thinking":"hm","signature":"Eq\/B"}"#;
        let carrier =
            |owner: StateOwner| OpaqueState { owner, data: block.to_owned() }.encode(&SealKey::default());
        let body = |signature: &str| {
            let content = json!([{ "type": "thinking", "thinking": "hm", "signature": signature }, { "type": "text", "text": "thinking\"" }]);
            json!({ "stream": true, "messages": [{ "role": "user", "content": "x" }, { "role": "assistant", "content": content }] }).to_string()
        };
        let out = rewritten(&body(&carrier(owner()))).expect("passes");
        assert!(out.contains(block) && out.contains(r#"{"type":"text","text":"thinking\""}"#), "{out}");
        let nobody =
            OpaqueState { owner: StateOwner::default(), data: String::new() }.encode(&SealKey::default());
        for signature in [carrier(StateOwner::new("lab", "glm-5")), nobody, "EqQB".to_owned(), String::new()]
        {
            assert_eq!(rewritten(&body(&signature)), None, "{signature}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_rewritten_or_left(text in "[\\[\\]{}:,\"a1 ]{0,60}", messages in "[\\[\\]{}:,\"a1 ]{0,30}") {
            for body in [text.clone(), format!("{{\"stream\":true,\"messages\":{messages},\"system\":{messages}}}")] {
                if let Some(rewritten) = rewritten(&body) {
                    proptest::prop_assert!(serde_json::from_str::<Value>(&rewritten).is_ok(), "{}", rewritten);
                }
            }
        }
    }
}
