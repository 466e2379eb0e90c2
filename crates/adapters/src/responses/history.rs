//! The items of a client's own Responses request, mended as a translated history is: every call has a name, arguments that are an object,
//! and its one output. Pure.
//!
//! What needs no mending stays byte for byte. What a server does not take can be lowered to the fields and types that every one takes.

use std::borrow::Cow;

use latimer_protocol::turn::Note;
use latimer_protocol::words;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::arguments;
use crate::pairing::{Entry, NO_OUTPUT, PairingStep, arrange, orphan_words};

/// What a server of functions and words takes, and with which fields.
const PLAIN: [(&str, &[&str]); 6] = [
    ("message", &["type", "role", "content"]),
    ("reasoning", &["type", "id", "summary", "encrypted_content"]),
    ("function_call", &["type", "call_id", "name", "namespace", "arguments"]),
    ("function_call_output", &["type", "call_id", "output"]),
    ("custom_tool_call", &["type", "call_id", "name", "namespace", "input"]),
    ("custom_tool_call_output", &["type", "call_id", "output"]),
];

/// What an item is to the others.
#[derive(Debug, Default, Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    fn of(item: &'a str) -> Self {
        serde_json::from_str(item).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("message")
    }

    /// A call of a function or of a freeform tool, which has a name.
    fn is_named_call(&self) -> bool {
        matches!(self.kind(), "function_call" | "custom_tool_call")
    }

    fn entry(&self) -> Entry<'_> {
        let (kind, id) = (self.kind(), self.call_id.as_deref());
        match id {
            Some(id) if self.is_named_call() => Entry::call(id, self.name.as_deref().unwrap_or_default()),
            Some(id) if kind.ends_with("_call") => Entry::Call(id),
            Some(id) if kind.ends_with("_output") => Entry::Output(id),
            _ if kind == "reasoning" => Entry::Thoughts,
            _ => Entry::Other,
        }
    }

    /// The arguments as they have to be, where they are not.
    fn mended_arguments(&self) -> Option<String> {
        if self.kind() != "function_call" {
            return None;
        }
        let text = match self.arguments.map(RawValue::get) {
            None | Some("null") => return Some("{}".to_owned()),
            // Other proxies write the object itself.
            Some(raw) if !raw.starts_with('"') => return Some(arguments::object_text(raw).into_owned()),
            Some(raw) => serde_json::from_str::<Cow<'_, str>>(raw).ok()?,
        };
        let object = arguments::object_text(&text);
        (object != text.trim()).then(|| object.into_owned())
    }
}

/// Whether an item is one that a server of functions and words takes.
pub(super) fn is_plain(item: &str) -> bool {
    let head = Head::of(item);
    matches!(head.kind(), "message" | "reasoning" | "function_call" | "function_call_output")
}

/// The items as they have to be; `None` where nothing has to be changed.
pub(super) fn mend<'v>(items: &[&'v str], notes: &mut Vec<Note>) -> Option<Vec<Cow<'v, str>>> {
    let heads: Vec<Head<'v>> = items.iter().map(|item| Head::of(item)).collect();
    let entries: Vec<Entry<'_>> = heads.iter().map(Head::entry).collect();
    let mut found = Vec::new();
    let mut steps = arrange(&entries, &mut found);
    if found.is_empty() {
        // Nothing is missing: the order is the client's.
        let arguments: Vec<Option<String>> = heads.iter().map(Head::mended_arguments).collect();
        if arguments.iter().all(Option::is_none) {
            return None;
        }
        notes.push(Note::request("the arguments of an earlier call were no object, and were made one"));
        let mended = items.iter().zip(arguments).map(|(item, arguments)| with_fields(item, None, arguments));
        return Some(mended.collect());
    }
    notes.append(&mut found);
    drop_unanswerable(&mut steps, &heads);
    let item = |place: usize| items.get(place).copied().unwrap_or("{}");
    let step = |step: PairingStep| match step {
        PairingStep::Entry(place) => Cow::Borrowed(item(place)),
        PairingStep::Call(place, id) => {
            with_fields(item(place), Some(&id), heads.get(place).and_then(Head::mended_arguments))
        }
        PairingStep::Output(_, Some(place), id) => with_fields(item(place), Some(&id), None),
        PairingStep::Output(call, None, id) => {
            let kind = heads.get(call).map_or("function_call", Head::kind);
            let kind = format!("{kind}_output");
            Cow::Owned(json!({ "type": kind, "call_id": id, "output": NO_OUTPUT }).to_string())
        }
        PairingStep::Orphan(place) => Cow::Owned(said_by_user(&[orphan_words(&output_text(item(place)))])),
    };
    Some(steps.into_iter().map(step).collect())
}

/// Calls of tools without a name have outputs of forms of their own: where one is missing, the call goes away with it.
fn drop_unanswerable(steps: &mut Vec<PairingStep>, heads: &[Head<'_>]) {
    let is_lost = |call: usize| heads.get(call).is_some_and(|head| !head.is_named_call());
    let lost: Vec<usize> = steps
        .iter()
        .filter_map(|step| match step {
            PairingStep::Output(call, None, _) if is_lost(*call) => Some(*call),
            _ => None,
        })
        .collect();
    steps.retain(|step| match step {
        PairingStep::Call(call, _) | PairingStep::Output(call, None, _) => !lost.contains(call),
        _ => true,
    });
}

/// The item with another `call_id` or other arguments.
fn with_fields<'v>(item: &'v str, call_id: Option<&str>, arguments: Option<String>) -> Cow<'v, str> {
    let is_same = call_id.is_none_or(|id| Head::of(item).call_id.as_deref() == Some(id));
    if is_same && arguments.is_none() {
        return Cow::Borrowed(item);
    }
    let mut fields: Map<String, Value> = serde_json::from_str(item).unwrap_or_default();
    if let Some(id) = call_id {
        fields.insert("call_id".to_owned(), Value::from(id));
    }
    if let Some(arguments) = arguments {
        fields.insert("arguments".to_owned(), Value::from(arguments));
    }
    Cow::Owned(Value::Object(fields).to_string())
}

/// The text of an output, whatever its form.
fn output_text(item: &str) -> String {
    let fields: Map<String, Value> = serde_json::from_str(item).unwrap_or_default();
    match fields.get("output") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        Some(other) => other.to_string(),
        None => words::texts(&fields).join("\n"),
    }
}

/// The item without what only its maker knows: fields beside the documented ones, and types beside functions and words, whose text
/// becomes a message. `None` where nothing is left.
pub(super) fn lowered(item: &str) -> Option<String> {
    let mut fields: Map<String, Value> = serde_json::from_str(item).ok()?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message");
    match PLAIN.iter().find(|(known, _)| *known == kind) {
        Some((_, known)) => {
            fields.retain(|name, _| known.contains(&name.as_str()));
            Some(Value::Object(fields).to_string())
        }
        None => {
            Some(words::texts(&fields)).filter(|texts| !texts.is_empty()).map(|texts| said_by_user(&texts))
        }
    }
}

fn said_by_user(texts: &[String]) -> String {
    let content: Vec<Value> =
        texts.iter().map(|text| json!({ "type": "input_text", "text": text })).collect();
    json!({ "type": "message", "role": "user", "content": content }).to_string()
}

/// The place of an item that a refusal names, and what of it: `input[3].namespace`.
pub(super) fn refused_item(refusal: &str) -> Option<(usize, &str)> {
    let (_, rest) = refusal.split_once("input[")?;
    let (place, rest) = rest.split_once(']')?;
    let field = rest.strip_prefix('.').unwrap_or_default();
    let end = field.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(field.len());
    Some((place.parse().ok()?, field.get(..end).unwrap_or_default()))
}

/// The type of the item at this place of a request's input.
pub(super) fn kind_at(body: &[u8], place: usize) -> Option<String> {
    #[derive(Deserialize)]
    struct Input<'a> {
        #[serde(borrow)]
        input: Vec<&'a RawValue>,
    }
    let Input { input } = serde_json::from_slice(body).ok()?;
    Some(Head::of(input.get(place)?.get()).kind().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(items: &Value) -> Option<Value> {
        let items: Vec<String> =
            items.as_array().map(|items| items.iter().map(Value::to_string).collect()).unwrap_or_default();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let mended = mend(&items, &mut Vec::new())?;
        let mended: Vec<Value> =
            mended.iter().map(|item| serde_json::from_str(item).expect("JSON")).collect();
        Some(Value::Array(mended))
    }

    fn call(id: &str, name: &str, arguments: &str) -> Value {
        json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments })
    }

    fn output(id: &str, text: &str) -> Value {
        json!({ "type": "function_call_output", "call_id": id, "output": text })
    }

    #[test]
    fn a_sound_history_is_not_touched() {
        let search = json!({ "type": "web_search_call", "id": "ws_1", "status": "completed", "action": { "query": "x" } });
        let found = json!({ "type": "tool_search_call", "call_id": "s", "arguments": {} });
        let tools = json!({ "type": "tool_search_output", "call_id": "s", "tools": [] });
        assert_eq!(
            mended(&json!([call("a", "f", " {\"x\": 1}"), search, output("a", "1"), found, tools])),
            None
        );
    }

    #[test]
    fn what_is_broken_is_mended_and_what_was_said_is_kept() {
        let nameless = mended(&json!([call("a", "", "{}"), output("a", "unknown tool")])).expect("mended");
        let text = nameless[0]["content"][0]["text"].as_str().expect("a text");
        assert!(text.ends_with("unknown tool") && nameless[0]["role"] == "user", "{nameless}");
        assert_eq!(nameless.as_array().map(Vec::len), Some(1));
        for (arguments, want) in
            [("[1]", "{\"value\":[1]}"), ("", "{}"), ("{", "{\"invalid_arguments\":\"{\"}")]
        {
            let items = mended(&json!([call("a", "f", arguments), output("a", "1")])).expect("mended");
            assert_eq!(items, json!([call("a", "f", want), output("a", "1")]));
        }
        let lonely = json!({ "type": "custom_tool_call", "call_id": "p", "name": "patch", "input": "x" });
        let items = mended(&json!([
            lonely,
            call("a", "f", "{}"),
            output("a", "1"),
            call("a", "f", "{}"),
            output("a", "2")
        ]));
        assert_eq!(
            items.expect("mended"),
            json!([
                lonely,
                call("a", "f", "{}"),
                call("a_2", "f", "{}"),
                { "type": "custom_tool_call_output", "call_id": "p", "output": NO_OUTPUT },
                output("a", "1"),
                output("a_2", "2"),
            ])
        );
        let search = json!({ "type": "tool_search_call", "call_id": "s", "arguments": {} });
        assert_eq!(
            mended(&json!([search, output("b", "x")])).expect("mended").as_array().map(Vec::len),
            Some(1)
        );
    }

    #[test]
    fn an_item_is_lowered_to_what_every_server_takes() {
        let lowered = |item: Value| {
            lowered(&item.to_string()).map(|item| serde_json::from_str::<Value>(&item).expect("JSON"))
        };
        assert_eq!(
            lowered(json!({ "type": "message", "role": "user", "content": "x", "phase": "final" })),
            Some(json!({ "type": "message", "role": "user", "content": "x" }))
        );
        let agent =
            lowered(json!({ "type": "agent_message", "content": [{ "type": "input_text", "text": "do" }] }));
        assert_eq!(
            agent,
            Some(
                json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "do" }] })
            )
        );
        assert_eq!(lowered(json!({ "type": "item_reference", "id": "x" })), None);
    }

    #[test]
    fn a_refusal_names_an_item() {
        assert_eq!(refused_item("Unknown parameter: 'input[12].namespace'."), Some((12, "namespace")));
        assert_eq!(refused_item(r#"{"param":"input[3]"}"#), Some((3, "")));
        assert_eq!(refused_item("the input is wrong"), None);
        assert_eq!(
            kind_at(br#"{"input":[{"role":"user"},{"type":"mcp_call"}]}"#, 1).as_deref(),
            Some("mcp_call")
        );
        assert_eq!(kind_at(br#"{"input":"x"}"#, 0), None);
    }
}
