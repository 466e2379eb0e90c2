//! Messages to items of the turn. A history is rarely clean: what is missing is filled in, what nobody knows is left out with a
//! note. Pure.

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, OpaqueState, ReasoningItem, Role, SealKey,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::parts::{self, Parts};
use super::reasoning_details::{self, DetailPlace, ReasoningDetail};
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, elements, given, object, objects, optional, raw_fields};
use crate::inbound::wire::path::Path;
use crate::inbound::wire::tool_map::ToolMap;

/// Reads `messages` one by one.
pub(super) struct MessageReader<'t> {
    tools: &'t ToolMap,
    notes: &'t mut Notes,
    /// Opens the carriers that latimer made.
    seal: &'t SealKey,
    items: Vec<Item>,
    /// Calls that have no output yet: id and name. Outputs that do not say what they answer, answer these in order.
    open: Vec<(CallId, String)>,
    /// Calls so far, for those that came without an id.
    count: usize,
}

raw_fields! {
    /// A message of any role.
    struct MessageFields {
        role,
        content,
        name,
        refusal,
        tool_calls,
        function_call,
        tool_call_id,
        reasoning_content,
        reasoning,
        reasoning_details,
    }
}

raw_fields! {
    /// A call of an assistant message.
    struct ToolCallFields { id, function, custom }
}

raw_fields! {
    /// What is called.
    struct CallFields { name, arguments, input }
}

impl<'t> MessageReader<'t> {
    pub(super) fn new(tools: &'t ToolMap, notes: &'t mut Notes, seal: &'t SealKey) -> Self {
        Self { tools, notes, seal, items: Vec::new(), open: Vec::new(), count: 0 }
    }

    /// A base prompt beside the messages.
    pub(super) fn system(&mut self, raw: Option<&RawValue>) -> Result<(), BadField> {
        let parts = parts::read(raw, &Path::bracketed("system"), self.notes)?;
        self.message_of(Role::System, parts.content);
        Ok(())
    }

    /// Reads `messages`, which stands at `at`.
    ///
    /// # Errors
    /// When it is no list of objects, is empty, or a field of a message is missing or of the wrong type.
    pub(super) fn read(&mut self, raw: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
        let messages: Vec<MessageFields<'_>> = objects(raw, at, "a list of messages")?;
        if messages.is_empty() {
            return Err(BadField::invalid(at, "is empty; send at least one message"));
        }
        for (place, message) in messages.iter().enumerate() {
            self.message(message, &at.index(place))?;
        }
        Ok(())
    }

    /// The items, in order.
    pub(super) fn finish(self) -> Vec<Item> {
        self.items
    }

    fn message(&mut self, message: &MessageFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let role: Word<'_> = optional(message.role, &at.field("role"), "a string")?.ok_or_else(|| {
            BadField::not_sent(&at.field("role"), "system, developer, user, assistant or tool")
        })?;
        let role = match &*role {
            "assistant" | "model" => return self.assistant(message, at),
            "tool" | "function" => return self.output(message, at),
            "system" | "developer" => Role::System,
            "user" => Role::User,
            _ => {
                self.notes.add_once("a message of an unknown role was read as the person's");
                Role::User
            }
        };
        if message.name.is_some() {
            self.notes.add_once("names of speakers were left out");
        }
        let parts = parts::read(message.content, &at.field("content"), self.notes)?;
        let Parts { content, outputs, .. } = parts;
        for (id, content) in outputs {
            self.close(&id);
            self.items.push(Item::Output(CallOutput { id, content }));
        }
        self.message_of(role, content);
        Ok(())
    }

    fn message_of(&mut self, role: Role, content: Vec<Content>) {
        if !content.is_empty() {
            self.items.push(Item::Message(Message { role, content }));
        }
    }

    /// Thoughts, words and calls, each where it stood.
    fn assistant(&mut self, message: &MessageFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let mut parts = parts::read(message.content, &at.field("content"), self.notes)?;
        if let Some(refusal) = optional::<String>(message.refusal, &at.field("refusal"), "a string")? {
            parts.content.push(Content::Refusal(refusal));
        }
        parts
            .content
            .retain(|part| !matches!(part, Content::Text(text) | Content::Refusal(text) if text.is_empty()));
        let calls = self.calls(message, parts.calls, at)?;
        let (text, states) = self.thoughts(message, parts.thoughts);
        let mut states = states.into_iter().peekable();
        let words = !parts.content.is_empty();
        let mut text = text;
        // State that stood in front of everything belongs to the thoughts that a client keeps apart.
        let first = states.next_if(|(place, _)| place.calls == 0 && (!place.has_text || !words));
        if first.is_some() || !text.is_empty() {
            let opaque = first.map(|(_, opaque)| opaque);
            self.items.push(Item::Reasoning(ReasoningItem { text: std::mem::take(&mut text), opaque }));
        }
        let mut before = |items: &mut Vec<Item>, place: DetailPlace| {
            while let Some((_, opaque)) = states.next_if(|(stood, _)| *stood <= place) {
                items.push(Item::Reasoning(ReasoningItem { text: String::new(), opaque: Some(opaque) }));
            }
        };
        before(&mut self.items, DetailPlace { calls: 0, has_text: false });
        self.items.extend(
            words.then_some(Item::Message(Message { role: Role::Assistant, content: parts.content })),
        );
        for (place, call) in calls.into_iter().enumerate() {
            before(&mut self.items, DetailPlace { calls: place, has_text: true });
            self.items.push(Item::Call(call));
        }
        before(&mut self.items, DetailPlace { calls: usize::MAX, has_text: true });
        Ok(())
    }

    /// Readable thoughts in the first spelling that has any, and the state among them, in order.
    fn thoughts(
        &mut self,
        message: &MessageFields<'_>,
        in_parts: String,
    ) -> (String, Vec<(DetailPlace, OpaqueState)>) {
        // Extensions, all of them: what cannot be read was never promised.
        let word = |raw: Option<&RawValue>| {
            raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()).filter(|text| !text.is_empty())
        };
        let details =
            message.reasoning_details.and_then(|raw| serde_json::from_str::<Vec<Value>>(raw.get()).ok());
        let mut states = Vec::new();
        let mut in_details = String::new();
        for detail in details.unwrap_or_default() {
            match reasoning_details::read(&detail, self.seal) {
                ReasoningDetail::State(opaque, place) => states.push((place, opaque)),
                ReasoningDetail::Text(text) => in_details.push_str(&text),
                ReasoningDetail::Foreign => {
                    self.notes.add_once("reasoning state of another provider was left out");
                }
            }
        }
        states.sort_by_key(|(place, _)| *place);
        let text = word(message.reasoning_content).or_else(|| word(message.reasoning));
        let text = text.unwrap_or(if in_parts.is_empty() { in_details } else { in_parts });
        (text, states)
    }

    fn calls(
        &mut self,
        message: &MessageFields<'_>,
        in_parts: Vec<(CallId, String, String)>,
        at: &Path<'_>,
    ) -> Result<Vec<Call>, BadField> {
        let at_calls = at.field("tool_calls");
        let list = given(message.tool_calls)
            .map_or_else(|| Ok(Vec::new()), |raw| elements(raw, &at_calls, "a list"));
        let mut calls = Vec::new();
        for (place, raw) in list?.into_iter().enumerate() {
            let at = at_calls.index(place);
            let fields: ToolCallFields<'_> = object(raw, &at)?;
            let id: Option<String> = optional(fields.id, &at.field("id"), "a string")?;
            let (name, arguments) = match (fields.function, fields.custom) {
                (None, Some(custom)) => name_and_arguments(custom, &at.field("custom"))?,
                (function, _) => {
                    let function = function.ok_or_else(|| {
                        let wanted = "an object with `name` and `arguments`";
                        BadField::not_sent(&at.field("function"), wanted)
                    })?;
                    name_and_arguments(function, &at.field("function"))?
                }
            };
            calls.push(self.call(id, &name, arguments));
        }
        for (id, name, arguments) in in_parts {
            calls.push(self.call(Some(id.to_string()), &name, arguments));
        }
        if let Some(raw) = given(message.function_call)
            && calls.is_empty()
        {
            let (name, arguments) = name_and_arguments(raw, &at.field("function_call"))?;
            calls.push(self.call(None, &name, arguments));
        }
        Ok(calls)
    }

    fn call(&mut self, id: Option<String>, name: &str, arguments: String) -> Call {
        self.count += 1;
        // The same history gives the same ids, so that a provider's cache still fits.
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.count));
        let id = CallId::from(id);
        let name = self.tools.flat(None, name);
        self.open.push((id.clone(), name.clone()));
        Call { id, name, arguments }
    }

    /// What a tool answered. The API's first form names the function, not the call.
    fn output(&mut self, message: &MessageFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id: Option<String> = optional(message.tool_call_id, &at.field("tool_call_id"), "a string")?;
        let name: Option<String> = optional(message.name, &at.field("name"), "a string")?;
        let name = name.map(|name| self.tools.flat(None, &name));
        let id = match id.filter(|id| !id.is_empty()) {
            Some(id) => CallId::from(id),
            None => self
                .open
                .iter()
                .find(|(_, called)| name.as_ref().is_none_or(|name| name == called))
                .map(|(id, _)| id.clone())
                .ok_or_else(|| {
                    BadField::not_sent(&at.field("tool_call_id"), "the id of the call that is answered")
                })?,
        };
        self.close(&id);
        let content = match message.content {
            // An object that is no part is what the tool answered, as JSON.
            Some(raw) if raw.get().starts_with('{') && !parts::is_part(raw) => {
                vec![Content::Text(raw.get().to_owned())]
            }
            raw => parts::read(raw, &at.field("content"), self.notes)?.content,
        };
        self.items.push(Item::Output(CallOutput { id, content }));
        Ok(())
    }

    /// The call of this id has its output.
    fn close(&mut self, id: &CallId) {
        if let Some(place) = self.open.iter().position(|(open, _)| open == id) {
            self.open.remove(place);
        }
    }
}

/// The name and the arguments of a call. Free text is wrapped, as its tool is.
fn name_and_arguments(raw: &RawValue, at: &Path<'_>) -> Result<(String, String), BadField> {
    let fields: CallFields<'_> = object(raw, at)?;
    let name: String = optional(fields.name, &at.field("name"), "a string")?
        .ok_or_else(|| BadField::not_sent(&at.field("name"), "the name of a tool"))?;
    if let Some(input) = fields.input {
        let input: Word<'_> = optional(Some(input), &at.field("input"), "a string")?.unwrap_or_default();
        return Ok((name, json!({ "input": &*input }).to_string()));
    }
    let arguments = match fields.arguments {
        // The object itself instead of its text: it is the same call.
        Some(raw) if raw.get().starts_with('{') => raw.get().to_owned(),
        raw => optional(raw, &at.field("arguments"), "a string")?.unwrap_or_default(),
    };
    Ok((name, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(messages: &str) -> (Vec<Item>, Notes) {
        let (tools, seal, mut notes) = (ToolMap::default(), SealKey::default(), Notes::default());
        let raw = RawValue::from_string(messages.to_owned()).expect("JSON");
        let mut reader = MessageReader::new(&tools, &mut notes, &seal);
        reader.read(&raw, &Path::bracketed("messages")).expect("messages");
        (reader.finish(), notes)
    }

    #[test]
    fn outputs_without_an_id_answer_the_open_calls_in_order() {
        let (items, _) = items(
            r#"[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"id":"own","function":{"name":"g"}}]},
                {"role":"tool","content":{"ok":true}},{"role":"function","name":"g","content":"done"}]"#,
        );
        let ids: Vec<&str> = items
            .iter()
            .filter_map(|item| match item {
                Item::Call(call) => Some(call.id.as_str()),
                Item::Output(output) => Some(output.id.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(ids, ["call_1", "own", "call_1", "own"]);
    }

    #[test]
    fn what_nobody_knows_is_noted_once() {
        let (items, notes) = items(
            r#"[{"role":"novel","content":"a"},{"role":"novel","content":"b"},{"role":"user","name":"n","content":"c"}]"#,
        );
        assert_eq!((items.len(), notes.len()), (3, 2), "{notes:?}");
    }
}
