//! `system` and `messages` to items of the turn. Nothing a newer client sends ends a turn: it is lowered or left out with a
//! note. Pure.
//!
//! The order of blocks is kept. Calls and results are not brought into pairs here: every upstream adapter does that.

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, OpaqueState, ReasoningItem, Role, SealKey,
};
use latimer_protocol::words;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::hosted_blocks;
use super::source::{self, DocumentContent};
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{
    TextOr, Word, given, objects, optional, raw_fields, required, text_or_objects,
};
use crate::inbound::wire::path::Path;
use crate::text::{MAX_WORD, shown};

/// How Claude Code's first system block begins. It changes from session to session, so it would spoil every cache behind it.
const BILLING: &str = "x-anthropic-billing-header:";
/// What that block says in a conversation that another conversation began.
const SUBTASK: &str = "cc_is_subagent=true";
/// How the content of a message is called in an error.
const BLOCKS: &str = "a string or a list of blocks";
/// Where Claude Code keeps arguments that were not JSON.
const UNPARSED: &str = "__unparsedToolInput";

/// Reads the conversation.
pub(super) struct ConversationReader<'t> {
    notes: &'t mut Notes,
    /// Opens the carriers that latimer made.
    seal: &'t SealKey,
    items: Vec<Item>,
    /// Parts of the message that is being read.
    parts: Vec<Content>,
    subtask: bool,
}

raw_fields! {
    /// A message.
    struct MessageFields { role, content }
}

raw_fields! {
    /// A block of any type. Flat, because a tagged enum would copy every text twice.
    struct BlockFields {
        type,
        text,
        source,
        title,
        thinking,
        signature,
        data,
        id,
        name,
        input,
        tool_use_id,
        tool_name,
        content,
        is_error,
    }
}

impl<'t> ConversationReader<'t> {
    pub(super) fn new(seal: &'t SealKey, notes: &'t mut Notes) -> Self {
        Self { notes, seal, items: Vec::new(), parts: Vec::new(), subtask: false }
    }

    /// The items, and whether another conversation began this one.
    pub(super) fn finish(self) -> (Vec<Item>, bool) {
        (self.items, self.subtask)
    }

    /// Reads `system`: a string, or blocks of text.
    pub(super) fn system(&mut self, raw: Option<&RawValue>) -> Result<(), BadField> {
        let at = Path::dotted("system");
        let Some(raw) = given(raw) else { return Ok(()) };
        if raw.get().starts_with('"') {
            let text: String = required(Some(raw), &at, "a string")?;
            self.system_text(text);
            self.flush(Role::System);
            return Ok(());
        }
        self.each(raw, &at, |reader, block, at| match block.kind.as_deref() {
            Some("text") | None => {
                let text: String = required(block.text, &at.field("text"), "a string")?;
                reader.system_text(text);
                Ok(())
            }
            Some(other) => {
                reader.left_out("a system block", other);
                Ok(())
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
    ///
    /// # Errors
    /// When it is no list of objects, is empty, or a field of a message is missing or of the wrong type.
    pub(super) fn messages(&mut self, raw: &RawValue) -> Result<(), BadField> {
        let at = Path::dotted("messages");
        let messages: Vec<MessageFields<'_>> = objects(raw, &at, "a list of messages")?;
        if messages.is_empty() {
            return Err(BadField::invalid(&at, "should hold at least one message"));
        }
        for (place, message) in messages.iter().enumerate() {
            self.message(message, &at.index(place))?;
        }
        Ok(())
    }

    fn message(&mut self, message: &MessageFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let at_role = at.field("role");
        let role: Word<'_> = required(message.role, &at_role, "user, assistant or system")?;
        let role = match &*role {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            _ => return Err(BadField::invalid(&at_role, "should be user, assistant or system")),
        };
        let at = at.field("content");
        let content = message.content.ok_or_else(|| BadField::missing(&at, BLOCKS))?;
        self.each(content, &at, |reader, block, at| reader.block(block, role, at))?;
        self.flush(role);
        Ok(())
    }

    /// Hands every block of a list to `take`; bare strings, alone or between blocks, are texts.
    fn each<'a>(
        &mut self,
        raw: &'a RawValue,
        at: &Path<'_>,
        mut take: impl FnMut(&mut Self, &BlockFields<'a>, &Path<'_>) -> Result<(), BadField>,
    ) -> Result<(), BadField> {
        let blocks: Vec<TextOr<BlockFields<'a>>> = text_or_objects(raw, at, BLOCKS)?;
        for (place, block) in blocks.into_iter().enumerate() {
            match block {
                TextOr::Text(text) => self.text(text),
                TextOr::Object(block) => take(self, &block, &at.index(place))?,
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &BlockFields<'_>, role: Role, at: &Path<'_>) -> Result<(), BadField> {
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
                let text: Option<String> = optional(block.thinking, &at.field("thinking"), "a string")?;
                self.thoughts(text.unwrap_or_default(), block.signature, &at.field("signature"))
            }
            Some("redacted_thinking") => {
                self.flush(role);
                self.thoughts(String::new(), block.data, &at.field("data"))
            }
            // A search that Anthropic ran in an earlier answer, told in words.
            Some("server_tool_use") if hosted_blocks::is_search(block.name) => {
                self.text(hosted_blocks::search_query(block.input));
                Ok(())
            }
            Some("web_search_tool_result") => {
                self.text(hosted_blocks::search_results(block.content));
                Ok(())
            }
            // A search for tools that Anthropic ran: what it found is declared.
            Some("tool_search_tool_result") => {
                self.text(hosted_blocks::found_tools(block.content));
                Ok(())
            }
            // Stands for everything before it.
            Some("compaction") => self.inside(block, at),
            _ => self.part(block, at),
        }
    }

    /// A block that may stand in a message and in a tool's result.
    fn part(&mut self, block: &BlockFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        match block.kind.as_deref() {
            None if block.text.is_none() => {
                Err(BadField::missing(&at.field("type"), "a string such as text"))
            }
            Some("text") | None => {
                let text: String = required(block.text, &at.field("text"), "a string")?;
                self.text(text);
                Ok(())
            }
            Some("image") => {
                let image = source::image(block.source, &at.field("source"))?;
                self.parts.push(image);
                Ok(())
            }
            Some("document") => self.document(block, at),
            Some("search_result") => {
                let title = source::title(block.title, &at.field("title"))?.unwrap_or_default();
                let from = block.source.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
                self.text(format!("{title} ({})", from.unwrap_or_default()));
                self.inside(block, at)
            }
            Some("tool_reference") => {
                let name: String = required(block.tool_name, &at.field("tool_name"), "a string")?;
                self.text(format!("Found the tool `{name}`. It can be called now."));
                Ok(())
            }
            Some(other) => {
                self.foreign(block, other);
                Ok(())
            }
        }
    }

    /// A block that only its maker knows, such as what a hosted tool did: what can be read of it is words.
    fn foreign(&mut self, block: &BlockFields<'_>, kind: &str) {
        let fields = [
            ("type", Some(Value::from(kind))),
            ("name", block.name.and_then(value)),
            ("title", block.title.and_then(value)),
            ("input", block.input.and_then(value)),
            ("text", block.text.and_then(value)),
            ("source", block.source.and_then(value)),
            ("content", block.content.and_then(value)),
        ];
        let fields: Map<String, Value> =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let texts = words::texts(&fields);
        if texts.is_empty() {
            return self.left_out("a block", kind);
        }
        for text in texts {
            self.text(text);
        }
    }

    /// What stands inside of a block.
    fn inside(&mut self, block: &BlockFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let Some(content) = given(block.content) else { return Ok(()) };
        self.inner(content, &at.field("content"))
    }

    fn inner(&mut self, content: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
        self.each(content, at, |reader, block, at| {
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

    fn document(&mut self, block: &BlockFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let title = source::title(block.title, &at.field("title"))?;
        let at = at.field("source");
        match source::document(block.source, title, &at, self.notes)? {
            DocumentContent::Part(part) => self.parts.push(part),
            DocumentContent::Blocks(blocks) => self.inner(blocks, &at.field("content"))?,
        }
        Ok(())
    }

    fn call(&mut self, block: &BlockFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id: String = required(block.id, &at.field("id"), "a string")?;
        let name = required(block.name, &at.field("name"), "a string")?;
        let arguments = block.input.map_or_else(|| "{}".to_owned(), arguments);
        self.items.push(Item::Call(Call { id: CallId::from(id), name, arguments }));
        Ok(())
    }

    fn result(&mut self, block: &BlockFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id: String = required(block.tool_use_id, &at.field("tool_use_id"), "a string")?;
        let failed = optional(block.is_error, &at.field("is_error"), "true or false")?.unwrap_or(false);
        if let Some(content) = given(block.content) {
            let at = at.field("content");
            self.each(content, &at, Self::part)?;
        }
        let mut content = std::mem::take(&mut self.parts);
        if failed {
            say_that_it_failed(&mut content);
        }
        self.items.push(Item::Output(CallOutput { id: CallId::from(id), content }));
        Ok(())
    }

    /// Thoughts with latimer's carrier go back to the one whose they are; the words of others are kept for providers that
    /// want to read them again, without the state that only a stranger understands.
    fn thoughts(&mut self, text: String, carrier: Option<&RawValue>, at: &Path<'_>) -> Result<(), BadField> {
        let carrier: Option<Word<'_>> = optional(carrier, at, "a string")?;
        let opaque = carrier.as_deref().and_then(|carrier| OpaqueState::decode(carrier, self.seal));
        if opaque.is_none() {
            self.notes
                .add_once("thoughts without a signature of latimer's go to no provider that checks them");
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
        self.notes.add_once(format!(
            "{what} of type `{}` means nothing to this upstream and was left out",
            shown(kind, MAX_WORD)
        ));
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
    if wrapped && let Some(text) = unparsed() {
        return text;
    }
    match text {
        "null" => "{}".to_owned(),
        text => text.to_owned(),
    }
}

/// Other protocols have no mark for a failed tool: the words must say it.
fn say_that_it_failed(content: &mut Vec<Content>) {
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

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(messages: &str) -> (Vec<Item>, Notes) {
        let (seal, mut notes) = (SealKey::default(), Notes::default());
        let raw = RawValue::from_string(messages.to_owned()).expect("JSON");
        let mut reader = ConversationReader::new(&seal, &mut notes);
        reader.messages(&raw).expect("messages");
        let (items, _) = reader.finish();
        (items, notes)
    }

    #[test]
    fn blocks_keep_their_order_and_bare_strings_are_texts() {
        let (items, notes) = items(
            r#"[{"role":"assistant","content":["a",{"type":"text","text":"b"},{"type":"tool_use","id":"1","name":"f","input":null},"c"]},
                {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","is_error":true,"content":"no"},{"type":"novel"},{"type":"novel"}]}]"#,
        );
        let text = |text: &str| Content::Text(text.to_owned());
        assert_eq!(items.len(), 4);
        assert!(matches!(&items[0], Item::Message(message) if message.content == [text("a"), text("b")]));
        assert!(matches!(&items[1], Item::Call(call) if call.arguments == "{}"));
        assert!(matches!(&items[2], Item::Message(message) if message.content == [text("c")]));
        assert!(
            matches!(&items[3], Item::Output(output) if output.content == [text("Error: the tool failed."), text("no")])
        );
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn arguments_that_were_never_json_come_back_as_the_model_wrote_them() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("JSON");
        assert_eq!(arguments(&raw(r#"{"__unparsedToolInput":{"raw":"{bro"}}"#)), "{bro");
        assert_eq!(arguments(&raw(r#"{"a":1}"#)), r#"{"a":1}"#);
    }
}
