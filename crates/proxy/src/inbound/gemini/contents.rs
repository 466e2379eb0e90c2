//! Contents to items of the turn. Pure.
//!
//! Invariant: every call has an id, and a response without one answers the oldest call that waits for it.

use std::collections::VecDeque;

use latimer_protocol::gemini::signature;
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{Call, CallOutput, Content, Item, Message, ReasoningItem, Role, SealKey};
use serde_json::value::RawValue;

use super::names::Names;
use super::parts::{self, FunctionCallFields, FunctionResponseFields, PartFields};
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, given, object, one_or_more, optional, raw_fields, required};
use crate::inbound::wire::path::Path;
use crate::text::{MAX_WORD, shown};

/// Stands on calls whose signature a client does not know.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Reads content by content.
pub(super) struct ContentReader<'n> {
    names: &'n Names,
    notes: &'n mut Notes,
    /// Opens the carriers that latimer made.
    seal: &'n SealKey,
    items: Vec<Item>,
    /// Calls that were not answered yet, oldest first.
    open: VecDeque<OpenCall>,
    /// How many ids were made up.
    unnamed: u32,
    /// Where the items of the content that is read begin.
    from: usize,
    foreign_signatures: bool,
}

/// A call that waits for its response.
struct OpenCall {
    id: CallId,
    /// As the client writes it.
    name: String,
    /// The client gave the id itself.
    own: bool,
}

raw_fields! {
    /// One turn of a speaker.
    pub(super) struct ContentFields { role, parts }
}

impl<'n> ContentReader<'n> {
    pub(super) fn new(names: &'n Names, notes: &'n mut Notes, seal: &'n SealKey) -> Self {
        Self {
            names,
            notes,
            seal,
            items: Vec::new(),
            open: VecDeque::new(),
            unnamed: 0,
            from: 0,
            foreign_signatures: false,
        }
    }

    /// The items, in order.
    pub(super) fn finish(self) -> Vec<Item> {
        self.items
    }

    /// `systemInstruction`: a content, or its text alone.
    pub(super) fn system(&mut self, raw: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
        if raw.get().starts_with('"') {
            let text = optional(Some(raw), at, "a string")?.unwrap_or_default();
            self.push(Role::System, Content::Text(text));
            return Ok(());
        }
        let content: ContentFields<'_> =
            object(raw, at).map_err(|_| BadField::wrong_type(raw, at, "a content with parts"))?;
        self.parts(&content, Role::System, at)
    }

    /// Words of the person, and nothing else.
    pub(super) fn user_text(&mut self, text: String) {
        self.push(Role::User, Content::Text(text));
    }

    /// One content of the conversation, which stands at `at`.
    ///
    /// # Errors
    /// When a part lacks what makes it one, or a field is of the wrong type.
    pub(super) fn content(&mut self, content: &ContentFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let role: Option<Word<'_>> = optional(content.role, &at.field("role"), "a string")?;
        let role = match role.as_deref().unwrap_or("user") {
            "model" | "assistant" => Role::Assistant,
            "system" => Role::System,
            "user" | "function" | "tool" | "" => Role::User,
            other => {
                self.notes.add(format!(
                    "the role `{}` is unknown and was read as the person's",
                    shown(other, MAX_WORD)
                ));
                Role::User
            }
        };
        self.parts(content, role, at)
    }

    fn parts(&mut self, content: &ContentFields<'_>, role: Role, at: &Path<'_>) -> Result<(), BadField> {
        self.from = self.items.len();
        let at = at.field("parts");
        let parts: Vec<PartFields<'_>> = one_or_more(content.parts, &at, "a list of parts")?;
        for (place, part) in parts.iter().enumerate() {
            self.part(part, role, &at.index(place))?;
        }
        Ok(())
    }

    fn part(&mut self, part: &PartFields<'_>, role: Role, at: &Path<'_>) -> Result<(), BadField> {
        // State stands before the part that carries it.
        if let Some(signature) =
            optional::<Word<'_>>(part.thought_signature, &at.field("thoughtSignature"), "a string")?
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
        if let Some(text) = optional::<String>(part.text, &at.field("text"), "a string")? {
            if is_thought {
                self.thought(&text);
            } else if !text.is_empty() {
                self.push(role, Content::Text(text));
            }
        } else if let Some(content) = parts::content(part, at, self.notes)? {
            self.push(role, content);
        } else if part.thought_signature.is_none() {
            self.notes.add("a part of a kind that nobody knows was left out");
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
                    (Some(Content::Text(text)), Content::Text(more)) if role == Role::Assistant => {
                        text.push_str(&more);
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
            self.notes.add("thought signatures of another provider were left out");
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

    fn call(&mut self, raw: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
        let fields: FunctionCallFields<'_> = object(raw, at)?;
        let name: String = required(fields.name, &at.field("name"), "a string")?;
        let id: Option<String> = optional(fields.id, &at.field("id"), "a string")?;
        let own = id.as_ref().is_some_and(|id| !id.is_empty());
        let id = id.filter(|_| own).unwrap_or_else(|| self.new_id());
        let arguments = given(fields.args).map_or("{}", RawValue::get).to_owned();
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
        self.open.push_back(OpenCall { id, name, own });
        Ok(())
    }

    fn response(&mut self, raw: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
        let fields: FunctionResponseFields<'_> = object(raw, at)?;
        let name: Option<Word<'_>> = optional(fields.name, &at.field("name"), "a string")?;
        let id: Option<String> = optional(fields.id, &at.field("id"), "a string")?;
        let id = self.answered_call(id.filter(|id| !id.is_empty()), name.as_deref().unwrap_or_default());
        let content = parts::output(&fields, at, self.notes)?;
        self.items.push(Item::Output(CallOutput { id, content }));
        Ok(())
    }

    /// The id of the call that a response answers.
    fn answered_call(&mut self, id: Option<String>, name: &str) -> CallId {
        let open = &self.open;
        let by_id = id.as_deref().and_then(|id| open.iter().position(|call| call.id.as_str() == id));
        // A client may give ids to its responses alone: then the order tells, and calls that have ids of their own are out.
        let may = |call: &OpenCall| id.is_none() || !call.own;
        let by_name = || open.iter().position(|call| call.name == name && may(call));
        let oldest = || if id.is_none() && !open.is_empty() { Some(0) } else { None };
        let place = by_id.or_else(by_name).or_else(oldest);
        match (place.and_then(|place| self.open.remove(place)), id) {
            (Some(call), _) => call.id,
            (None, Some(id)) => CallId::from(id),
            (None, None) => CallId::from(self.new_id()),
        }
    }

    fn new_id(&mut self) -> String {
        self.unnamed += 1;
        format!("call_unnamed_{}", self.unnamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_without_an_id_answers_the_oldest_call_of_its_name() {
        let (names, seal, mut notes) = (Names::default(), SealKey::default(), Notes::default());
        let mut reader = ContentReader::new(&names, &mut notes, &seal);
        let contents = [
            r#"{"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g","id":"own"}},{"functionCall":{"name":"f"}}]}"#,
            r#"{"role":"user","parts":[{"functionResponse":{"name":"g","id":"own"}},{"functionResponse":{"name":"f"}},{"functionResponse":{}}]}"#,
        ];
        for json in contents {
            let content: ContentFields<'_> = serde_json::from_str(json).expect("JSON");
            reader.content(&content, &Path::bracketed("contents")).expect("readable");
        }
        let ids: Vec<String> = reader
            .finish()
            .into_iter()
            .map(|item| match item {
                Item::Call(call) => call.id.to_string(),
                Item::Output(output) => format!("={}", output.id),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            ids,
            ["call_unnamed_1", "own", "call_unnamed_2", "=own", "=call_unnamed_1", "=call_unnamed_2"]
        );
    }
}
