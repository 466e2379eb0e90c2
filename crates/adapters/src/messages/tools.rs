//! Tools and the choice among them. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use latimer_protocol::messages::request::{MessagesTool, MessagesToolChoice};
use latimer_protocol::turn::{Item, Note, ToolChoice, TurnRequest};

use crate::limitation::{Limitation, Limitations};
use crate::schema;
use crate::tool_names::ToolNames;
use crate::wording;

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
            input_schema: schema::parameters(tool, notes),
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
