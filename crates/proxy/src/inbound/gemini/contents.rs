//! Contents to items of the turn.
//!
//! Invariant: every call has an id, and a response without one answers the oldest call that waits for it.

use std::borrow::Cow;
use std::collections::VecDeque;

use latimer_protocol::gemini::signature;
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{Call, CallOutput, Content, Item, Message, ReasoningItem, Role, Seal};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::names::Names;
use super::parts::{self, FunctionCall, FunctionResponse, Part};
use super::read::{At, field, given, list, object, required, wrong_type};
use crate::text::{MAX_WORD, shown};

/// Stands on calls whose signature a client does not know.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Reads content by content.
pub(super) struct Items<'n> {
    names: &'n Names,
    notes: &'n mut Vec<String>,
    /// Opens the carriers that latimer made.
    seal: &'n Seal,
    items: Vec<Item>,
    /// Calls that were not answered yet, oldest first.
    open: VecDeque<Open>,
    /// Ids that were made up.
    made: u32,
    /// Where the items of the content that is read begin.
    from: usize,
    foreign_signatures: bool,
}

/// A call that waits for its response.
struct Open {
    id: CallId,
    /// As the client writes it.
    name: String,
    /// The client gave the id itself.
    own: bool,
}

/// One turn of a speaker.
#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
}

impl<'n> Items<'n> {
    pub(super) fn new(names: &'n Names, notes: &'n mut Vec<String>, seal: &'n Seal) -> Self {
        Self {
            names,
            notes,
            seal,
            items: Vec::new(),
            open: VecDeque::new(),
            made: 0,
            from: 0,
            foreign_signatures: false,
        }
    }

    /// The items, in order.
    pub(super) fn finish(self) -> Vec<Item> {
        self.items
    }

    /// `systemInstruction`: a content, or its text alone.
    pub(super) fn system(&mut self, raw: &RawValue, at: &At<'_>) -> Result<(), BadRequest> {
        if raw.get().starts_with('"') {
            let text = field(Some(raw), at, "a string")?.unwrap_or_default();
            self.push(Role::System, Content::Text(text));
            return Ok(());
        }
        let wire: Wire<'_> =
            serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, at, "a content with parts"))?;
        self.parts(&wire, Role::System, at)
    }

    /// Words of the person, and nothing else.
    pub(super) fn said(&mut self, text: String) {
        self.push(Role::User, Content::Text(text));
    }

    /// One content of the conversation.
    pub(super) fn content(&mut self, wire: &Wire<'_>, at: &At<'_>) -> Result<(), BadRequest> {
        let role: Option<Cow<'_, str>> = field(wire.role, &at.field("role"), "a string")?;
        let role = match role.as_deref().unwrap_or("user") {
            "model" | "assistant" => Role::Assistant,
            "system" => Role::System,
            "user" | "function" | "tool" | "" => Role::User,
            other => {
                self.notes.push(format!(
                    "the role `{}` is unknown and was read as the person's",
                    shown(other, MAX_WORD)
                ));
                Role::User
            }
        };
        self.parts(wire, role, at)
    }

    fn parts(&mut self, wire: &Wire<'_>, role: Role, at: &At<'_>) -> Result<(), BadRequest> {
        self.from = self.items.len();
        let at = at.field("parts");
        let parts: Vec<Part<'_>> = list(wire.parts, &at, "a list of parts")?;
        for (place, part) in parts.iter().enumerate() {
            self.part(part, role, &at.index(place))?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Part<'_>, role: Role, at: &At<'_>) -> Result<(), BadRequest> {
        // State stands before the part that carries it.
        if let Some(signature) =
            field::<Cow<'_, str>>(part.thought_signature, &at.field("thoughtSignature"), "a string")?
        {
            self.signature(&signature);
        }
        if let Some(call) = given(part.function_call) {
            return self.call(call, &at.field("functionCall"));
        }
        if let Some(response) = given(part.function_response) {
            return self.response(response, &at.field("functionResponse"));
        }
        let is_thought = part.thought.is_some_and(|thought| thought.get() == "true");
        if let Some(text) = field::<String>(part.text, &at.field("text"), "a string")? {
            if is_thought {
                self.thought(&text);
            } else if !text.is_empty() {
                self.push(role, Content::Text(text));
            }
        } else if let Some(content) = parts::content(part, at, self.notes)? {
            self.push(role, content);
        } else if part.thought_signature.is_none() {
            self.notes.push("a part of a kind that nobody knows was left out".to_owned());
        }
        Ok(())
    }

    /// Adds to what the same speaker said just before.
    fn push(&mut self, role: Role, content: Content) {
        // What a model said comes back in the pieces it was streamed in, each in a content of its own. The contents of others
        // are theirs.
        let from = if role == Role::Assistant { 0 } else { self.from };
        let is_open = self.items.len() > from;
        match self.items.last_mut().filter(|_| is_open) {
            Some(Item::Message(message)) if message.role == role => {
                match (message.content.last_mut(), content) {
                    (Some(Content::Text(said)), Content::Text(more)) if role == Role::Assistant => {
                        said.push_str(&more);
                    }
                    (_, content) => message.content.push(content),
                }
            }
            _ => self.items.push(Item::Message(Message { role, content: vec![content] })),
        }
    }

    fn thought(&mut self, text: &str) {
        match self.items.last_mut() {
            Some(Item::Reasoning(thoughts)) if thoughts.opaque.is_none() => thoughts.text.push_str(text),
            _ if text.is_empty() => {}
            _ => self.items.push(Item::Reasoning(ReasoningItem { text: text.to_owned(), opaque: None })),
        }
    }

    fn signature(&mut self, text: &str) {
        if text.is_empty() || text == NO_SIGNATURE {
            return;
        }
        let states = signature::open(text, self.seal);
        if states.is_empty() && !self.foreign_signatures {
            self.foreign_signatures = true;
            self.notes.push("thought signatures of another provider were left out".to_owned());
        }
        for state in states {
            match self.items.last_mut() {
                Some(Item::Reasoning(thoughts)) if thoughts.opaque.is_none() => thoughts.opaque = Some(state),
                _ => self
                    .items
                    .push(Item::Reasoning(ReasoningItem { text: String::new(), opaque: Some(state) })),
            }
        }
    }

    fn call(&mut self, raw: &RawValue, at: &At<'_>) -> Result<(), BadRequest> {
        let wire: FunctionCall<'_> = object(raw, at)?;
        let name: String = required(wire.name, &at.field("name"), "a string")?;
        let id: Option<String> = field(wire.id, &at.field("id"), "a string")?;
        let own = id.as_ref().is_some_and(|id| !id.is_empty());
        let id = id.filter(|_| own).unwrap_or_else(|| self.made_up());
        let arguments = given(wire.args).map_or("{}", RawValue::get).to_owned();
        let id = CallId::from(id);
        // A new answer of the model: who was not answered before will not be answered now.
        let goes_on = match self.items.last() {
            Some(Item::Call(_) | Item::Reasoning(_)) => true,
            Some(Item::Message(message)) => message.role == Role::Assistant,
            Some(Item::Output(_)) | None => false,
        };
        if !goes_on {
            self.open.clear();
        }
        self.items.push(Item::Call(Call {
            id: id.clone(),
            name: self.names.hub(&name).into_owned(),
            arguments,
        }));
        self.open.push_back(Open { id, name, own });
        Ok(())
    }

    fn response(&mut self, raw: &RawValue, at: &At<'_>) -> Result<(), BadRequest> {
        let wire: FunctionResponse<'_> = object(raw, at)?;
        let name: Option<Cow<'_, str>> = field(wire.name, &at.field("name"), "a string")?;
        let id: Option<String> = field(wire.id, &at.field("id"), "a string")?;
        let id = self.answered(id.filter(|id| !id.is_empty()), name.as_deref().unwrap_or_default());
        let content = parts::output(&wire, at, self.notes)?;
        self.items.push(Item::Output(CallOutput { id, content }));
        Ok(())
    }

    /// The id of the call that a response answers.
    fn answered(&mut self, id: Option<String>, name: &str) -> CallId {
        let open = &self.open;
        let by_id = id.as_deref().and_then(|id| open.iter().position(|call| call.id.as_str() == id));
        // A client may give ids to its responses alone: then the order tells, and calls that have ids of their own are out.
        let may = |call: &Open| id.is_none() || !call.own;
        let by_name = || open.iter().position(|call| call.name == name && may(call));
        let oldest = || if id.is_none() && !open.is_empty() { Some(0) } else { None };
        let place = by_id.or_else(by_name).or_else(oldest);
        match (place.and_then(|place| self.open.remove(place)), id) {
            (Some(call), _) => call.id,
            (None, Some(id)) => CallId::from(id),
            (None, None) => CallId::from(self.made_up()),
        }
    }

    fn made_up(&mut self) -> String {
        self.made += 1;
        format!("call_unnamed_{}", self.made)
    }
}
