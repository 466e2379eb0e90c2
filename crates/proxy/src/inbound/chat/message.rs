//! Messages to items of the turn. A history is rarely clean: what is missing is filled in, what nobody knows is left out with a
//! note.

use std::borrow::Cow;

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, OpaqueState, ReasoningItem, Role, Seal,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::parts::{self, Parts};
use super::reasoning_details::{self, DetailPlace, ReasoningDetail};
use crate::inbound::responses::request::{field, missing, wrong_type};
use crate::inbound::wire::openai_error::RequestError;
use crate::inbound::wire::tool_map::ToolMap;

/// Reads `messages` one by one.
pub(super) struct Items<'t> {
    tools: &'t ToolMap,
    notes: &'t mut Vec<String>,
    /// Opens the carriers that latimer made.
    seal: &'t Seal,
    items: Vec<Item>,
    /// Calls that have no output yet: id and name. Outputs that do not say what they answer, answer these in order.
    open: Vec<(CallId, String)>,
    /// Calls so far, for those that came without an id.
    count: usize,
}

/// A message of any role.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
}

/// A call of an assistant message.
#[derive(Deserialize)]
struct WireCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    custom: Option<&'a RawValue>,
}

/// What is called.
#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl<'t> Items<'t> {
    pub(super) fn new(tools: &'t ToolMap, notes: &'t mut Vec<String>, seal: &'t Seal) -> Self {
        Self { tools, notes, seal, items: Vec::new(), open: Vec::new(), count: 0 }
    }

    /// A base prompt beside the messages.
    pub(super) fn system(&mut self, raw: Option<&RawValue>) -> Result<(), RequestError> {
        let parts = parts::read(raw, "system", self.notes)?;
        self.say(Role::System, parts.content);
        Ok(())
    }

    pub(super) fn read(&mut self, raw: &RawValue) -> Result<(), RequestError> {
        let list: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, "messages", "a list of messages"))?;
        if list.is_empty() {
            return Err(RequestError {
                code: "invalid_value",
                param: Some("messages".to_owned()),
                message: "`messages` is empty; send at least one message".to_owned(),
            });
        }
        for (place, raw) in list.into_iter().enumerate() {
            let at = format!("messages[{place}]");
            let wire: Wire<'_> =
                serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, &at, "an object"))?;
            self.message(&wire, &at)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Item> {
        self.items
    }

    fn message(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let role: Cow<'_, str> = field(wire.role, &format!("{at}.role"), "a string")?
            .ok_or_else(|| missing(&format!("{at}.role"), "system, developer, user, assistant or tool"))?;
        let role = match role.as_ref() {
            "assistant" | "model" => return self.assistant(wire, at),
            "tool" | "function" => return self.output(wire, at),
            "system" | "developer" => Role::System,
            "user" => Role::User,
            _ => {
                note(self.notes, "a message of an unknown role was read as the person's");
                Role::User
            }
        };
        if wire.name.is_some_and(|name| name.get() != "null") {
            note(self.notes, "names of speakers were left out");
        }
        let parts = parts::read(wire.content, &format!("{at}.content"), self.notes)?;
        let Parts { content, outputs, .. } = parts;
        for (id, content) in outputs {
            self.answered(&id);
            self.items.push(Item::Output(CallOutput { id, content }));
        }
        self.say(role, content);
        Ok(())
    }

    fn say(&mut self, role: Role, content: Vec<Content>) {
        if !content.is_empty() {
            self.items.push(Item::Message(Message { role, content }));
        }
    }

    /// Thoughts, words and calls, each where it stood.
    fn assistant(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let mut parts = parts::read(wire.content, &format!("{at}.content"), self.notes)?;
        if let Some(refusal) = field::<String>(wire.refusal, &format!("{at}.refusal"), "a string")? {
            parts.content.push(Content::Refusal(refusal));
        }
        parts
            .content
            .retain(|part| !matches!(part, Content::Text(text) | Content::Refusal(text) if text.is_empty()));
        let calls = self.calls(wire, parts.calls, at)?;
        let (text, states) = self.thoughts(wire, parts.thoughts);
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
    fn thoughts(&mut self, wire: &Wire<'_>, in_parts: String) -> (String, Vec<(DetailPlace, OpaqueState)>) {
        // Extensions, all of them: what cannot be read was never promised.
        let word = |raw: Option<&RawValue>| {
            raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()).filter(|text| !text.is_empty())
        };
        let details =
            wire.reasoning_details.and_then(|raw| serde_json::from_str::<Vec<Value>>(raw.get()).ok());
        let mut states = Vec::new();
        let mut in_details = String::new();
        for detail in details.unwrap_or_default() {
            match reasoning_details::read(&detail, self.seal) {
                ReasoningDetail::State(opaque, place) => states.push((place, opaque)),
                ReasoningDetail::Text(text) => in_details.push_str(&text),
                ReasoningDetail::Foreign => {
                    note(self.notes, "reasoning state of another provider was left out");
                }
            }
        }
        states.sort_by_key(|(place, _)| *place);
        let text = word(wire.reasoning_content).or_else(|| word(wire.reasoning));
        let text = text.unwrap_or(if in_parts.is_empty() { in_details } else { in_parts });
        (text, states)
    }

    fn calls(
        &mut self,
        wire: &Wire<'_>,
        in_parts: Vec<(CallId, String, String)>,
        at: &str,
    ) -> Result<Vec<Call>, RequestError> {
        let list: Option<Vec<&RawValue>> = field(wire.tool_calls, &format!("{at}.tool_calls"), "a list")?;
        let mut calls = Vec::new();
        for (place, raw) in list.unwrap_or_default().into_iter().enumerate() {
            let at = format!("{at}.tool_calls[{place}]");
            let wire: WireCall<'_> =
                serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, &at, "an object"))?;
            let id: Option<String> = field(wire.id, &format!("{at}.id"), "a string")?;
            let (name, arguments) = match (wire.function, wire.custom) {
                (None, Some(custom)) => called(custom, &format!("{at}.custom"))?,
                (function, _) => {
                    let function = function.ok_or_else(|| {
                        missing(&format!("{at}.function"), "an object with `name` and `arguments`")
                    })?;
                    called(function, &format!("{at}.function"))?
                }
            };
            calls.push(self.call(id, &name, arguments));
        }
        for (id, name, arguments) in in_parts {
            calls.push(self.call(Some(id.to_string()), &name, arguments));
        }
        if let Some(raw) = wire.function_call.filter(|raw| raw.get() != "null")
            && calls.is_empty()
        {
            let (name, arguments) = called(raw, &format!("{at}.function_call"))?;
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
    fn output(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let id: Option<String> = field(wire.tool_call_id, &format!("{at}.tool_call_id"), "a string")?;
        let name: Option<String> = field(wire.name, &format!("{at}.name"), "a string")?;
        let name = name.map(|name| self.tools.flat(None, &name));
        let id = match id.filter(|id| !id.is_empty()) {
            Some(id) => CallId::from(id),
            None => self
                .open
                .iter()
                .find(|(_, called)| name.as_ref().is_none_or(|name| name == called))
                .map(|(id, _)| id.clone())
                .ok_or_else(|| {
                    missing(&format!("{at}.tool_call_id"), "the id of the call that is answered")
                })?,
        };
        self.answered(&id);
        let content = match wire.content {
            // An object that is no part is what the tool answered, as JSON.
            Some(raw) if raw.get().starts_with('{') && !parts::is_part(raw) => {
                vec![Content::Text(raw.get().to_owned())]
            }
            raw => parts::read(raw, &format!("{at}.content"), self.notes)?.content,
        };
        self.items.push(Item::Output(CallOutput { id, content }));
        Ok(())
    }

    fn answered(&mut self, id: &CallId) {
        if let Some(place) = self.open.iter().position(|(open, _)| open == id) {
            self.open.remove(place);
        }
    }
}

/// Says a thing once, however long the history.
pub(super) fn note(notes: &mut Vec<String>, text: &str) {
    if !notes.iter().any(|note| note == text) {
        notes.push(text.to_owned());
    }
}

/// The name and the arguments of a call. Free text is wrapped, as its tool is.
fn called(raw: &RawValue, at: &str) -> Result<(String, String), RequestError> {
    let wire: Called<'_> = serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, at, "an object"))?;
    let name: String = field(wire.name, &format!("{at}.name"), "a string")?
        .ok_or_else(|| missing(&format!("{at}.name"), "the name of a tool"))?;
    if let Some(input) = wire.input {
        let input: Cow<'_, str> = field(Some(input), &format!("{at}.input"), "a string")?.unwrap_or_default();
        return Ok((name, json!({ "input": input }).to_string()));
    }
    let arguments = match wire.arguments {
        // The object itself instead of its text: it is the same call.
        Some(raw) if raw.get().starts_with('{') => raw.get().to_owned(),
        raw => field(raw, &format!("{at}.arguments"), "a string")?.unwrap_or_default(),
    };
    Ok((name, arguments))
}
