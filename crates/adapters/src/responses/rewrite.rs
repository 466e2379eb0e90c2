//! A client's own Responses request, rewritten to what a server takes: everything latimer has no reason to touch goes out byte
//! for byte. Pure.

use std::borrow::Cow;

use latimer_protocol::turn::{Note, OpaqueState, SealKey, StateOwner};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::history;
use super::profile::Profile;
use crate::fields::{Fields, is_no_choice};
use crate::limitation::{Features, Limitation};
use crate::prepared_request::EncodedRequest;
use crate::schema::lower_declarations;

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

/// What the ids of items begin with where the server made them.
const ID_PREFIXES: [(&str, &str); 3] =
    [("message", "msg"), ("function_call", "fc"), ("custom_tool_call", "ctc")];
/// Tools that a client runs, whatever server asks for them: a translation offers them as functions.
const CLIENT_RUN: [&str; 2] = ["tool_search", "local_shell"];

/// The request for the upstream. `None` when its tools or its pictures have to be changed in a way that the answer must undo, or when its
/// items are of types that this server does not know: then the turn has to be translated.
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
            "tools" => match lower_declarations(value) {
                Cow::Borrowed(_) => put(name, &rewriter.tools(value)?),
                Cow::Owned(lowered) => put(name, &rewriter.tools(serde_json::from_str(&lowered).ok()?)?),
            },
            "include" => {
                seen.0 = true;
                put(name, &rewriter.include(value));
            }
            "instructions" => {
                seen.1 = value.get() != "null";
                put(name, value.get());
            }
            "tool_choice" if is_no_choice(value) => {}
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

/// What becomes of an item.
enum ItemFate<'v> {
    /// It goes out.
    Sent(Cow<'v, str>),
    /// It holds state of somebody else, and stays here.
    Foreign,
    /// Only a translation can read it.
    Translated,
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
        let defers = || memchr::memmem::find(raw.get().as_bytes(), b"\"defer_loading\"").is_some();
        if !self.profile.hosted_tools && defers() {
            return None;
        }
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
                Some(kind) if CLIENT_RUN.contains(&kind) => return None,
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
        let items: Vec<&str> = items.into_iter().map(RawValue::get).collect();
        // Items that only their maker knows are put into words by a translation.
        if !self.profile.hosted_tools && !items.iter().all(|item| history::is_plain(item)) {
            return None;
        }
        let mended = history::mend(&items, &mut self.notes);
        let is_mended = mended.is_some();
        let items = mended.unwrap_or_else(|| items.into_iter().map(Cow::Borrowed).collect());
        let mut remaining: Vec<Cow<'v, str>> = Vec::with_capacity(items.len());
        let mut dropped = 0;
        for item in items {
            match self.item(item) {
                ItemFate::Sent(item) => remaining.push(item),
                ItemFate::Foreign => dropped += 1,
                ItemFate::Translated => return None,
            }
        }
        self.lower(&mut remaining);
        if dropped > 0 {
            self.notes.push(Note::request("thoughts of another model, provider or account were left out"));
        }
        // With the thoughts gone, the ids of what followed them would ask for them.
        let asks_for_thoughts = dropped > 0 || self.profile.stateless;
        for item in &mut remaining {
            if let Some(without) = without_id(item, asks_for_thoughts) {
                *item = Cow::Owned(without);
            }
        }
        let is_same = dropped == 0 && !is_mended && !self.profile.plain_items;
        if is_same && remaining.iter().all(|item| matches!(item, Cow::Borrowed(_))) {
            return Some(Cow::Borrowed(raw.get()));
        }
        Some(Cow::Owned(format!("[{}]", remaining.join(","))))
    }

    /// Leaves nothing in the items but what every server takes, where this one refused more.
    fn lower(&mut self, items: &mut Vec<Cow<'_, str>>) {
        if !self.profile.plain_items {
            return self.learnable(Limitation::PlainItems);
        }
        let before = std::mem::take(items);
        items.extend(before.iter().filter_map(|item| history::lowered(item)).map(Cow::Owned));
    }

    fn item<'v>(&mut self, item: Cow<'v, str>) -> ItemFate<'v> {
        let holds = |word: &[u8]| memchr::memmem::find(item.as_bytes(), word).is_some();
        if holds(b"\"encrypted_content\"") {
            return self.stateful(item);
        }
        if self.profile.developer_role && holds(b"\"system\"") {
            let mut fields: Map<String, Value> = serde_json::from_str(&item).unwrap_or_default();
            if fields.get("role").and_then(Value::as_str) == Some("system") {
                fields.insert("role".to_owned(), Value::from("developer"));
                return ItemFate::Sent(Cow::Owned(Value::Object(fields).to_string()));
            }
        }
        ItemFate::Sent(item)
    }

    /// An item that may hold state of a provider's.
    fn stateful<'v>(&mut self, item: Cow<'v, str>) -> ItemFate<'v> {
        let mut fields: Map<String, Value> = serde_json::from_str(&item).unwrap_or_default();
        let Some(carrier) = fields.get("encrypted_content").and_then(Value::as_str) else {
            return ItemFate::Sent(item);
        };
        let own = OpaqueState::decode(carrier, self.seal)
            .filter(|opaque| opaque.owner == *self.owner && self.profile.thoughts);
        let Some(opaque) = own else {
            // A summary of the history that latimer made can be read; thoughts of somebody else cannot.
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
            return if kind.starts_with("compaction") { ItemFate::Translated } else { ItemFate::Foreign };
        };
        self.learnable(Limitation::NoThoughts);
        fields.insert("encrypted_content".to_owned(), Value::from(opaque.data));
        ItemFate::Sent(Cow::Owned(Value::Object(fields).to_string()))
    }
}

fn kind(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<FailureKind<'_>>(raw.get()).ok()?.kind
}

/// The item without its id, where it has one that may be left out: any, or one that this server cannot have made.
fn without_id(item: &str, any: bool) -> Option<String> {
    memchr::memmem::find(item.as_bytes(), b"\"id\"")?;
    let mut fields: Map<String, Value> = serde_json::from_str(item).ok()?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message");
    let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
    let is_foreign = ID_PREFIXES.iter().any(|(known, prefix)| *known == kind && !id.starts_with(prefix));
    if !NEEDLESS_IDS.contains(&kind) || !(any || is_foreign) {
        return None;
    }
    fields.shift_remove("id")?;
    Some(Value::Object(fields).to_string())
}

#[cfg(test)]
mod tests;
