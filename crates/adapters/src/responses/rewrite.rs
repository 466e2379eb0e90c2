//! A client's own Responses request, rewritten to what a server takes: everything latimer has no reason to touch goes out byte
//! for byte. Pure.

use std::borrow::Cow;

use latimer_protocol::turn::{Note, OpaqueState, SealKey, StateOwner};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::profile::Profile;
use crate::fields::Fields;
use crate::limitation::{Features, Limitation};
use crate::prepared_request::EncodedRequest;

/// What state is asked for where the server keeps none.
const ENCRYPTED: &str = "reasoning.encrypted_content";
/// Items whose id may be left out.
const NEEDLESS_IDS: [&str; 5] =
    ["message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"];

#[derive(Deserialize)]
struct FailureKind<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
}

/// The request for the upstream. `None` when its tools or its pictures have to be changed in a way that the answer must undo: then the
/// turn has to be translated.
pub fn rewrite(
    body: &[u8],
    model: &str,
    profile: &Profile,
    owner: &StateOwner,
    seal: &SealKey,
) -> Option<EncodedRequest> {
    let Fields(fields) = serde_json::from_slice(body).ok()?;
    let mut rewriter = Rewriter { profile, owner, seal, features: Features::default(), notes: Vec::new() };
    let mut out = b"{".to_vec();
    let mut put = |name: &str, value: &str| {
        out.extend_from_slice(if out.len() > 1 { b"," } else { b"" });
        out.extend_from_slice(Value::from(name).to_string().as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    };
    put("model", &Value::from(model).to_string());
    put("stream", "true");
    if profile.stateless {
        put("store", "false");
    }
    let mut seen = (false, false);
    for (name, value) in &fields {
        match name.as_ref() {
            // The input is whole: there is nothing to go on with.
            "model" | "stream" | "previous_response_id" => {}
            "store" if profile.stateless => {}
            "input" => put(name, &rewriter.input(value)?),
            "tools" => put(name, &rewriter.tools(value)?),
            "include" => {
                seen.0 = true;
                put(name, &rewriter.include(value));
            }
            "instructions" => {
                seen.1 = value.get() != "null";
                put(name, value.get());
            }
            "tool_choice" if !profile.forced_calls && !matches!(value.get(), "\"auto\"" | "\"none\"") => {
                rewriter.notes.push(Note::request("tool_choice was left out: this server refuses it"));
            }
            "service_tier" if profile.developer_role && value.get() != "\"priority\"" => {}
            field if profile.drops(field) => {
                rewriter.notes.push(Note::request(format!("`{field}` was left out: this server refuses it")));
            }
            _ => {
                rewriter.uses(name, value);
                put(name, value.get());
            }
        }
    }
    if profile.stateless && profile.reasoning && !seen.0 {
        put("include", &json!([ENCRYPTED]).to_string());
    }
    if profile.developer_role && !seen.1 {
        put("instructions", "\"\"");
    }
    out.push(b'}');
    let Rewriter { features, notes, .. } = rewriter;
    Some(EncodedRequest { body: out, features, notes, ..EncodedRequest::default() })
}

struct Rewriter<'l> {
    profile: &'l Profile,
    owner: &'l StateOwner,
    seal: &'l SealKey,
    features: Features,
    notes: Vec<Note>,
}

impl Rewriter<'_> {
    fn learnable(&mut self, limitation: Limitation) {
        self.features = self.features.and(limitation);
    }

    fn uses(&mut self, name: &str, value: &RawValue) {
        if value.get() == "null" {
            return;
        }
        let limitation = match name {
            "reasoning" => Limitation::NoReasoning,
            "temperature" | "top_p" => Limitation::NoSampling,
            "max_output_tokens" => Limitation::NoTokenLimit,
            "parallel_tool_calls" => Limitation::NoParallelCalls,
            "prompt_cache_key" => Limitation::NoCacheKey,
            "tool_choice" if value.get() != "\"auto\"" => Limitation::AutoToolChoice,
            _ => return,
        };
        self.learnable(limitation);
    }

    fn tools<'v>(&mut self, raw: &'v RawValue) -> Option<Cow<'v, str>> {
        let Ok(tools) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            return Some(Cow::Borrowed(raw.get()));
        };
        let mut remaining = Vec::with_capacity(tools.len());
        for tool in &tools {
            let kind = kind(tool);
            match kind.as_deref() {
                Some("function") => {
                    if !self.profile.strict {
                        return None;
                    }
                    self.learnable(Limitation::NoStrict);
                    remaining.push(tool.get());
                }
                Some("custom") => {
                    if !self.profile.custom_tools {
                        return None;
                    }
                    self.learnable(Limitation::NoCustomTools);
                    remaining.push(tool.get());
                }
                Some("namespace") => {
                    if !self.profile.namespaces {
                        return None;
                    }
                    self.learnable(Limitation::NoNamespaces);
                    remaining.push(tool.get());
                }
                _ if self.profile.hosted_tools => {
                    self.learnable(Limitation::NoHostedTools);
                    remaining.push(tool.get());
                }
                other => {
                    let name = other.unwrap_or("unknown");
                    self.notes.push(Note::request(format!(
                        "a tool of type `{name}` has no equal upstream and was left out"
                    )));
                }
            }
        }
        if remaining.len() == tools.len() {
            return Some(Cow::Borrowed(raw.get()));
        }
        Some(Cow::Owned(format!("[{}]", remaining.join(","))))
    }

    fn include<'v>(&mut self, raw: &'v RawValue) -> Cow<'v, str> {
        let list = serde_json::from_str::<Vec<String>>(raw.get()).unwrap_or_default();
        let has = list.iter().any(|word| word == ENCRYPTED);
        if !self.profile.stateless || has || !self.profile.reasoning {
            return Cow::Borrowed(raw.get());
        }
        Cow::Owned(json!(list.into_iter().chain([ENCRYPTED.to_owned()]).collect::<Vec<_>>()).to_string())
    }

    fn input<'v>(&mut self, raw: &'v RawValue) -> Option<Cow<'v, str>> {
        if memchr::memmem::find(raw.get().as_bytes(), b"\"input_image\"").is_some() {
            if !self.profile.images {
                return None;
            }
            self.learnable(Limitation::NoImages);
        }
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            if !self.profile.stateless {
                return Some(Cow::Borrowed(raw.get()));
            }
            let text: String = serde_json::from_str(raw.get()).ok()?;
            let content = json!([{ "type": "input_text", "text": text }]);
            return Some(Cow::Owned(
                json!([{ "type": "message", "role": "user", "content": content }]).to_string(),
            ));
        };
        let mut remaining: Vec<Cow<'v, str>> = Vec::with_capacity(items.len());
        let mut dropped = 0;
        for item in items {
            match self.item(item.get()) {
                Some(item) => remaining.push(item),
                None => dropped += 1,
            }
        }
        if dropped > 0 {
            self.notes.push(Note::request("thoughts of another model, provider or account were left out"));
        }
        // With the thoughts gone, the ids of what followed them would ask for them.
        if dropped > 0 || self.profile.stateless {
            for item in &mut remaining {
                if let Some(without) = without_id(item) {
                    *item = Cow::Owned(without);
                }
            }
        }
        if dropped == 0 && remaining.iter().all(|item| matches!(item, Cow::Borrowed(_))) {
            return Some(Cow::Borrowed(raw.get()));
        }
        Some(Cow::Owned(format!("[{}]", remaining.join(","))))
    }

    /// One item; `None` when it holds state of somebody else.
    fn item<'v>(&mut self, item: &'v str) -> Option<Cow<'v, str>> {
        if memchr::memmem::find(item.as_bytes(), b"\"encrypted_content\"").is_some() {
            let mut fields: Map<String, Value> = serde_json::from_str(item).ok()?;
            let Some(carrier) = fields.get("encrypted_content").and_then(Value::as_str) else {
                return Some(Cow::Borrowed(item));
            };
            let opaque = OpaqueState::decode(carrier, self.seal)?;
            if opaque.owner != *self.owner || !self.profile.thoughts {
                return None;
            }
            self.learnable(Limitation::NoThoughts);
            fields.insert("encrypted_content".to_owned(), Value::from(opaque.data));
            return Some(Cow::Owned(Value::Object(fields).to_string()));
        }
        if self.profile.developer_role && memchr::memmem::find(item.as_bytes(), b"\"system\"").is_some() {
            let mut fields: Map<String, Value> = serde_json::from_str(item).ok()?;
            if fields.get("role").and_then(Value::as_str) == Some("system") {
                fields.insert("role".to_owned(), Value::from("developer"));
                return Some(Cow::Owned(Value::Object(fields).to_string()));
            }
        }
        Some(Cow::Borrowed(item))
    }
}

fn kind(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<FailureKind<'_>>(raw.get()).ok()?.kind
}

/// The item without its id, where it has one that may be left out.
fn without_id(item: &str) -> Option<String> {
    memchr::memmem::find(item.as_bytes(), b"\"id\"")?;
    let mut fields: Map<String, Value> = serde_json::from_str(item).ok()?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message");
    if !NEEDLESS_IDS.contains(&kind) {
        return None;
    }
    fields.shift_remove("id")?;
    Some(Value::Object(fields).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(body: &Value, profile: &Profile) -> Option<(Value, Vec<Note>)> {
        let owner = StateOwner::new("openai", "gpt-5.5").of_account("a");
        let rewritten =
            rewrite(body.to_string().as_bytes(), "gpt-5.5", profile, &owner, &SealKey::default())?;
        Some((serde_json::from_slice(&rewritten.body).expect("JSON"), rewritten.notes))
    }

    #[test]
    fn what_needs_no_change_goes_out_as_it_came() {
        let body = r#"{"input" : [ {"type":"message","role":"user","content":"żółw"} ], "tools":[{"type":"custom","name":"x"}],"novel":{"a":1.0e3},"model":"alias","stream":false}"#;
        let owner = StateOwner::new("openai", "gpt-5.5");
        let rewritten = rewrite(body.as_bytes(), "gpt-5.5", &Profile::OPENAI, &owner, &SealKey::default())
            .expect("passes");
        assert_eq!(
            String::from_utf8_lossy(&rewritten.body),
            r#"{"model":"gpt-5.5","stream":true,"input":[ {"type":"message","role":"user","content":"żółw"} ],"tools":[{"type":"custom","name":"x"}],"novel":{"a":1.0e3}}"#
        );
        assert_eq!(rewritten.notes, []);
        assert!(
            rewritten.features.has(Limitation::NoCustomTools)
                && !rewritten.features.has(Limitation::NoNamespaces)
        );
    }

    #[test]
    fn state_goes_back_to_its_owner_only() {
        let state = |owner: StateOwner| {
            let text = OpaqueState { owner, data: "gAAAA".into() }.encode(&SealKey::default());
            json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text })
        };
        let own = state(StateOwner::new("openai", "gpt-5.5").of_account("a"));
        let call =
            json!({ "type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}" });
        let (body, notes) = rewritten(&json!({ "input": [own, call] }), &Profile::OPENAI).expect("passes");
        assert_eq!(body["input"][0]["encrypted_content"], "gAAAA");
        assert_eq!(body["input"][1]["id"], "fc_1");
        assert!(notes.is_empty());
        let foreign = [
            state(StateOwner::new("openai", "gpt-5.5").of_account("b")),
            state(StateOwner::new("openai", "gpt-6").of_account("a")),
            state(StateOwner::new("xai", "gpt-5.5").of_account("a")),
            json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAAA from nowhere" }),
        ];
        for item in foreign {
            let (body, notes) =
                rewritten(&json!({ "input": [item, call] }), &Profile::OPENAI).expect("passes");
            assert_eq!(
                body["input"],
                json!([{ "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" }])
            );
            assert_eq!(notes.len(), 1);
        }
    }

    #[test]
    fn the_chatgpt_backend_gets_what_it_insists_on() {
        let body = json!({
            "model": "x", "input": "hello", "store": true, "temperature": 1, "user": "u", "service_tier": "auto",
            "include": ["web_search_call.action.sources"],
        });
        let (body, notes) = rewritten(&body, &Profile::CHATGPT).expect("passes");
        assert_eq!(
            body,
            json!({
                "model": "gpt-5.5", "stream": true, "store": false,
                "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "hello" }] }],
                "include": ["web_search_call.action.sources", "reasoning.encrypted_content"],
                "instructions": "",
            })
        );
        assert_eq!(notes.len(), 2);
        let (body, _) =
            rewritten(&json!({ "input": [{ "role": "system", "content": "s" }] }), &Profile::CHATGPT)
                .expect("passes");
        assert_eq!(body["input"][0]["role"], "developer");
    }

    #[test]
    fn tools_that_the_answer_must_undo_are_translated() {
        for tool in [
            json!({ "type": "custom", "name": "x" }),
            json!({ "type": "namespace", "name": "n", "tools": [] }),
        ] {
            assert!(rewritten(&json!({ "input": "x", "tools": [tool] }), &Profile::PLAIN).is_none());
        }
        let tools = json!([{ "type": "web_search" }, { "type": "function", "name": "f" }]);
        let (body, notes) =
            rewritten(&json!({ "input": "x", "tools": tools }), &Profile::PLAIN).expect("passes");
        assert_eq!(body["tools"], json!([{ "type": "function", "name": "f" }]));
        assert_eq!(notes.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_rewritten_or_left(text in "[\\[\\]{}:,\"a1 ]{0,60}", input in "[\\[\\]{}:,\"a1 ]{0,30}") {
            for body in [text.clone(), format!("{{\"input\":{input}}}")] {
                let owner = StateOwner::new("o", "m");
                if let Some(rewritten) = rewrite(body.as_bytes(), "m", &Profile::CHATGPT, &owner, &SealKey::default()) {
                    proptest::prop_assert!(serde_json::from_slice::<Value>(&rewritten.body).is_ok());
                }
            }
        }
    }
}
