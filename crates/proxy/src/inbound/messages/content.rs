//! `system` and `messages` to items of the turn. Nothing a newer client sends ends a turn: it is lowered or left out with a
//! note. Pure.
//!
//! The order of blocks is kept. Calls and results are not brought into pairs here: every upstream adapter does that.

use std::borrow::Cow;

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, OpaqueState, ReasoningItem, Role, Seal,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::field::{At, list, missing, object, optional, required};
use super::source::{self, Document};
use crate::text::{MAX_WORD, shown};

/// How Claude Code's first system block begins. It changes from session to session, so it would spoil every cache behind it.
const BILLING: &str = "x-anthropic-billing-header:";
/// What that block says in a conversation that another conversation began.
const SUBTASK: &str = "cc_is_subagent=true";
/// Where Claude Code keeps arguments that were not JSON.
const UNPARSED: &str = "__unparsedToolInput";

/// Reads the conversation.
pub(super) struct Reader<'t> {
    notes: &'t mut Vec<String>,
    /// Opens the carriers that latimer made.
    seal: &'t Seal,
    items: Vec<Item>,
    /// Parts of the message that is being read.
    parts: Vec<Content>,
    subtask: bool,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// A block of any type. Flat, because a tagged enum would copy every text twice.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    is_error: Option<&'a RawValue>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(seal: &'t Seal, notes: &'t mut Vec<String>) -> Self {
        Self { notes, seal, items: Vec::new(), parts: Vec::new(), subtask: false }
    }

    /// The items, and whether another conversation began this one.
    pub(super) fn finish(self) -> (Vec<Item>, bool) {
        (self.items, self.subtask)
    }

    /// Reads `system`: a string, or blocks of text.
    pub(super) fn system(&mut self, raw: Option<&RawValue>) -> Result<(), BadRequest> {
        let at = At::Field("system");
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(()) };
        if raw.get().starts_with('"') {
            let text: String = required(Some(raw), at, "a string")?;
            self.system_text(text);
            self.flush(Role::System);
            return Ok(());
        }
        self.each(raw, at, "a string or a list of blocks", |reader, block, at| {
            match block.kind.as_deref() {
                Some("text") | None => {
                    let text: String = required(block.text, at.field("text"), "a string")?;
                    reader.system_text(text);
                    Ok(())
                }
                Some(other) => {
                    reader.left_out("a system block", other);
                    Ok(())
                }
            }
        })?;
        self.flush(Role::System);
        Ok(())
    }

    fn system_text(&mut self, text: String) {
        if text.starts_with(BILLING) {
            self.subtask |= text.contains(SUBTASK);
        } else {
            self.text(text);
        }
    }

    /// Reads `messages`.
    pub(super) fn messages(&mut self, raw: &RawValue) -> Result<(), BadRequest> {
        let at = At::Field("messages");
        let messages = list(raw, at, "a list of messages")?;
        if messages.is_empty() {
            return Err(BadRequest::at(at, "should hold at least one message"));
        }
        for (place, raw) in messages.into_iter().enumerate() {
            let at = at.nth(place);
            let wire: WireMessage<'_> = object(raw, at)?;
            self.message(&wire, at)?;
        }
        Ok(())
    }

    fn message(&mut self, wire: &WireMessage<'_>, at: At<'_>) -> Result<(), BadRequest> {
        let role: Cow<'_, str> = required(wire.role, at.field("role"), "user, assistant or system")?;
        let role = match role.as_ref() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            _ => return Err(BadRequest::at(at.field("role"), "should be user, assistant or system")),
        };
        let at = at.field("content");
        let content = wire.content.ok_or_else(|| missing(at, "a string or a list of blocks"))?;
        self.each(content, at, "a string or a list of blocks", |reader, block, at| {
            reader.block(block, role, at)
        })?;
        self.flush(role);
        Ok(())
    }

    /// Hands every block of a string or a list to `take`; a string is one block of text.
    fn each<'a>(
        &mut self,
        raw: &'a RawValue,
        at: At<'_>,
        wanted: &str,
        mut take: impl FnMut(&mut Self, &Block<'a>, At<'_>) -> Result<(), BadRequest>,
    ) -> Result<(), BadRequest> {
        if raw.get().starts_with('"') {
            let text: String = required(Some(raw), at, wanted)?;
            self.text(text);
            return Ok(());
        }
        for (place, raw) in list(raw, at, wanted)?.into_iter().enumerate() {
            let at = at.nth(place);
            // Some clients write bare strings between the blocks.
            if raw.get().starts_with('"') {
                let text: String = required(Some(raw), at, "an object")?;
                self.text(text);
                continue;
            }
            let block: Block<'a> = object(raw, at)?;
            take(self, &block, at)?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>, role: Role, at: At<'_>) -> Result<(), BadRequest> {
        match block.kind.as_deref() {
            Some("tool_use") => {
                self.flush(role);
                self.call(block, at)
            }
            Some("tool_result") => {
                self.flush(role);
                self.result(block, at)
            }
            Some("thinking") => {
                self.flush(role);
                let text: Option<String> = optional(block.thinking, at.field("thinking"), "a string")?;
                self.thoughts(text.unwrap_or_default(), block.signature, at.field("signature"))
            }
            Some("redacted_thinking") => {
                self.flush(role);
                self.thoughts(String::new(), block.data, at.field("data"))
            }
            // A search that Anthropic ran in an earlier answer, told in words.
            Some("server_tool_use") if is_search(block) => {
                self.text(search_asked(block.input));
                Ok(())
            }
            Some("web_search_tool_result") => {
                self.text(search_found(block.content));
                Ok(())
            }
            // Stands for everything before it.
            Some("compaction") => self.seen(block, at),
            _ => self.part(block, at),
        }
    }

    /// A block that may stand in a message and in a tool's result.
    fn part(&mut self, block: &Block<'_>, at: At<'_>) -> Result<(), BadRequest> {
        match block.kind.as_deref() {
            None if block.text.is_none() => Err(missing(at.field("type"), "a string such as text")),
            Some("text") | None => {
                let text: String = required(block.text, at.field("text"), "a string")?;
                self.text(text);
                Ok(())
            }
            Some("image") => {
                let image = source::image(block.source, at.field("source"))?;
                self.parts.push(image);
                Ok(())
            }
            Some("document") => self.document(block, at),
            Some("search_result") => {
                let title = source::title(block.title, at.field("title"))?.unwrap_or_default();
                let from = block.source.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
                self.text(format!("{title} ({})", from.unwrap_or_default()));
                self.seen(block, at)
            }
            Some("tool_reference") => Ok(()),
            Some(other) => {
                self.left_out("a block", other);
                Ok(())
            }
        }
    }

    /// What stands inside of a block.
    fn seen(&mut self, block: &Block<'_>, at: At<'_>) -> Result<(), BadRequest> {
        let Some(content) = block.content.filter(|raw| raw.get() != "null") else { return Ok(()) };
        self.inner(content, at.field("content"))
    }

    fn inner(&mut self, content: &RawValue, at: At<'_>) -> Result<(), BadRequest> {
        self.each(content, at, "a string or a list of blocks", |reader, block, at| {
            // One level is all there is: a document in a document is no block of the protocol.
            match block.kind.as_deref() {
                Some("text" | "image") | None => reader.part(block, at),
                Some(other) => {
                    reader.left_out("a block inside of a block", other);
                    Ok(())
                }
            }
        })
    }

    fn document(&mut self, block: &Block<'_>, at: At<'_>) -> Result<(), BadRequest> {
        let title = source::title(block.title, at.field("title"))?;
        let at = at.field("source");
        match source::document(block.source, title, at, self.notes)? {
            Document::Part(part) => self.parts.push(part),
            Document::Blocks(blocks) => self.inner(blocks, at.field("content"))?,
        }
        Ok(())
    }

    fn call(&mut self, block: &Block<'_>, at: At<'_>) -> Result<(), BadRequest> {
        let id: String = required(block.id, at.field("id"), "a string")?;
        let name = required(block.name, at.field("name"), "a string")?;
        let arguments = block.input.map_or_else(|| "{}".to_owned(), arguments);
        self.items.push(Item::Call(Call { id: CallId::from(id), name, arguments }));
        Ok(())
    }

    fn result(&mut self, block: &Block<'_>, at: At<'_>) -> Result<(), BadRequest> {
        let id: String = required(block.tool_use_id, at.field("tool_use_id"), "a string")?;
        let failed = optional(block.is_error, at.field("is_error"), "true or false")?.unwrap_or(false);
        if let Some(content) = block.content.filter(|raw| raw.get() != "null") {
            let at = at.field("content");
            self.each(content, at, "a string or a list of blocks", Self::part)?;
        }
        let mut content = std::mem::take(&mut self.parts);
        if failed {
            say_so(&mut content);
        }
        self.items.push(Item::Output(CallOutput { id: CallId::from(id), content }));
        Ok(())
    }

    /// Thoughts with latimer's carrier go back to the one whose they are; the words of others are kept for providers that
    /// want to read them again, without the state that only a stranger understands.
    fn thoughts(&mut self, text: String, carrier: Option<&RawValue>, at: At<'_>) -> Result<(), BadRequest> {
        let carrier: Option<Cow<'_, str>> = optional(carrier, at, "a string")?;
        let opaque = carrier.as_deref().and_then(|carrier| OpaqueState::decode(carrier, self.seal));
        if opaque.is_none() {
            self.note(
                "thoughts without a signature of latimer's go to no provider that checks them".to_owned(),
            );
        }
        // A carrier that names nobody says only that the thoughts came through here.
        let opaque = opaque.filter(|opaque| !opaque.owner.provider.is_empty());
        if !text.is_empty() || opaque.is_some() {
            self.items.push(Item::Reasoning(ReasoningItem { text, opaque }));
        }
        Ok(())
    }

    fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.parts.push(Content::Text(text));
        }
    }

    fn flush(&mut self, role: Role) {
        if !self.parts.is_empty() {
            let content = std::mem::take(&mut self.parts);
            self.items.push(Item::Message(Message { role, content }));
        }
    }

    fn left_out(&mut self, what: &str, kind: &str) {
        self.note(format!(
            "{what} of type `{}` means nothing to this upstream and was left out",
            shown(kind, MAX_WORD)
        ));
    }

    /// Once for each request: a history repeats itself.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// The arguments as JSON text; those that were never JSON as the model wrote them.
fn arguments(raw: &RawValue) -> String {
    let text = raw.get();
    let unparsed = || {
        let value: Value = serde_json::from_str(text).ok()?;
        value.get(UNPARSED)?.get("raw")?.as_str().map(str::to_owned)
    };
    let wrapped = text.get(..80).unwrap_or(text).contains(UNPARSED);
    if wrapped && let Some(said) = unparsed() {
        return said;
    }
    match text {
        "null" => "{}".to_owned(),
        text => text.to_owned(),
    }
}

/// Other protocols have no mark for a failed tool: the words must say it.
fn say_so(content: &mut Vec<Content>) {
    let says = |part: &Content| match part {
        Content::Text(text) => {
            let begin: String = text.chars().take(200).collect::<String>().to_ascii_lowercase();
            ["error", "fail", "exception", "denied", "not found", "rejected"]
                .iter()
                .any(|word| begin.contains(word))
        }
        _ => false,
    };
    if !content.iter().any(says) {
        content.insert(0, Content::Text("Error: the tool failed.".to_owned()));
    }
}

fn is_search(block: &Block<'_>) -> bool {
    block.name.is_some_and(|name| name.get() == "\"web_search\"")
}

fn search_asked(input: Option<&RawValue>) -> String {
    let value: Value = input.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    format!("(Searched the web for: {})", value.get("query").and_then(Value::as_str).unwrap_or_default())
}

fn search_found(content: Option<&RawValue>) -> String {
    let value: Value = content.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let field = |value: &Value, name| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(results) = value.as_array() else {
        return format!("(The search failed: {})", field(&value, "error_code"));
    };
    let lines =
        results.iter().map(|result| format!("- {}: {}", field(result, "title"), field(result, "url")));
    format!("(The search found:\n{})", lines.collect::<Vec<_>>().join("\n"))
}
