//! Tools and the choice among them. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use latimer_protocol::messages::request::{MessagesTool, MessagesToolChoice};
use latimer_protocol::turn::{Item, Note, Tool, ToolChoice, TurnRequest};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::limitation::{Limitation, Limitations};
use crate::tool_names::ToolNames;
use crate::wording;

/// What the provider refuses at the top of a schema.
const REFUSED_ON_TOP: [&str; 3] = ["oneOf", "anyOf", "allOf"];

pub(super) fn write<'a>(
    turn: &'a TurnRequest,
    names: &ToolNames,
    limitations: &Limitations,
    notes: &mut Vec<Note>,
) -> Vec<MessagesTool<'a>> {
    if limitations.has(Limitation::NoTools) {
        if !turn.tools.is_empty() {
            notes.push(Note::request("this provider takes no tools; they were left out"));
        }
        return Vec::new();
    }
    if turn.tools.is_empty() {
        return called_earlier(turn, names);
    }
    turn.tools
        .iter()
        .map(|tool| MessagesTool {
            name: Cow::Owned(names.provider_name(&tool.name).to_owned()),
            description: tool.description.as_deref().filter(|description| !description.is_empty()),
            input_schema: schema(tool, notes),
            cache_control: None,
        })
        .collect()
}

/// The tools that the history names, for a turn that offers none: calls without tools are refused, and [`choice`] sees to it that none
/// is called (`K17-history-with-calls-no-tools.json`).
fn called_earlier<'a>(turn: &'a TurnRequest, names: &ToolNames) -> Vec<MessagesTool<'a>> {
    let mut seen = HashSet::new();
    let calls = turn.items.iter().filter_map(|item| match item {
        Item::Call(call) if !call.name.trim().is_empty() => Some(names.allowed_name(&call.name).into_owned()),
        _ => None,
    });
    calls
        .filter(|name| seen.insert(name.clone()))
        .map(|name| MessagesTool {
            name: Cow::Owned(name),
            description: Some("A tool of an earlier turn. It cannot be called now."),
            input_schema: Cow::Borrowed(wording::empty_schema()),
            cache_control: None,
        })
        .collect()
}

/// The schema as it is where the provider takes it so: an object, said to be one.
fn schema<'a>(tool: &'a Tool, notes: &mut Vec<Note>) -> Cow<'a, RawValue> {
    let empty = || Cow::Borrowed(wording::empty_schema());
    let Some(raw) = tool.parameters.as_deref() else { return empty() };
    let Ok(top) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get()) else {
        return empty();
    };
    let is_object = top.get("type").is_some_and(|kind| kind.get() == "\"object\"");
    if is_object && !REFUSED_ON_TOP.iter().any(|key| top.contains_key(*key)) {
        return Cow::Borrowed(raw);
    }
    let mut mended: Map<String, Value> = serde_json::from_str(raw.get()).unwrap_or_default();
    mended.insert("type".into(), json!("object"));
    for key in REFUSED_ON_TOP {
        if mended.remove(key).is_some() {
            notes
                .push(Note::request(format!("`{key}` was left out of the schema of the tool {}", tool.name)));
        }
    }
    mended.entry("properties").or_insert_with(|| json!({}));
    RawValue::from_string(Value::Object(mended).to_string()).map_or_else(|_| empty(), Cow::Owned)
}

/// With thinking on, the model cannot be made to call.
pub(super) fn choice<'a>(
    turn: &TurnRequest,
    names: &ToolNames,
    thinks: bool,
    limitations: &Limitations,
    notes: &mut Vec<Note>,
) -> Option<MessagesToolChoice<'a>> {
    if limitations.has(Limitation::NoTools) {
        return None;
    }
    if turn.tools.is_empty() {
        let is_named = turn.items.iter().any(|item| matches!(item, Item::Call(_)));
        return is_named.then_some(MessagesToolChoice::None);
    }
    let is_forced = matches!(turn.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
    let disable_parallel_tool_use = turn.parallel_tool_calls == Some(false);
    if is_forced && (thinks || limitations.has(Limitation::AutoToolChoice)) {
        notes.push(Note::request(
            "a call could not be demanded: the model thinks, or the provider refuses it",
        ));
        return Some(MessagesToolChoice::Auto { disable_parallel_tool_use });
    }
    match &turn.tool_choice {
        ToolChoice::None => Some(MessagesToolChoice::None),
        ToolChoice::Auto => {
            disable_parallel_tool_use.then_some(MessagesToolChoice::Auto { disable_parallel_tool_use })
        }
        ToolChoice::Required => Some(MessagesToolChoice::Any { disable_parallel_tool_use }),
        ToolChoice::Function(name) => {
            let name = Cow::Owned(names.provider_name(name).to_owned());
            Some(MessagesToolChoice::Tool { name, disable_parallel_tool_use })
        }
    }
}
