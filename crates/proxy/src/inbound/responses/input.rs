//! Input items to items of the turn. Nothing a newer client sends ends a turn: it is lowered or left out with a note. Pure.

use std::cell::LazyCell;

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, OpaqueState, ReasoningItem, Role, SealKey,
};
use latimer_protocol::words;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::compact;
use super::content::{self, ContentPartFields};
use super::limits;
use super::tools::{declare, flat_names};
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, objects, optional, raw_fields, required};
use crate::inbound::wire::path::Path;
use crate::inbound::wire::tool_map::ToolTable;
use crate::text::{MAX_WORD, shown};

/// Reads `input` item by item.
pub(super) struct InputReader<'t> {
    table: ToolTable<'t>,
    /// Opens the carriers that latimer made.
    seal: &'t SealKey,
    items: Vec<Item>,
    /// A summary of the history is asked for.
    compacts: bool,
}

raw_fields! {
    /// An input item of any type. Flat, because a tagged enum would copy every text twice.
    struct ItemFields {
        type,
        role,
        content,
        id,
        call_id,
        name,
        namespace,
        arguments,
        input,
        output,
        action,
        summary,
        encrypted_content,
        tools,
    }
}

impl<'t> InputReader<'t> {
    pub(super) fn new(table: ToolTable<'t>, seal: &'t SealKey) -> Self {
        Self { table, seal, items: Vec::new(), compacts: false }
    }

    /// `instructions`: the base prompt, before everything else.
    pub(super) fn instructions(&mut self, text: String) {
        self.items.push(text_message(Role::System, text));
    }

    /// Reads `input`, which stands at `at`.
    ///
    /// # Errors
    /// When it is neither a string nor a list of objects, or a field of an item is missing or of the wrong type.
    pub(super) fn read(&mut self, input: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
        const WANTED: &str = "a string or a list of items";
        if input.get().starts_with('"') {
            let text = required(Some(input), at, WANTED)?;
            self.items.push(text_message(Role::User, text));
            return Ok(());
        }
        let list: Vec<ItemFields<'_>> = objects(input, at, WANTED)?;
        // Tools of the lite form are declared inside of the input: they must be known before the calls are read.
        for item in &list {
            if matches!(item.kind.as_deref(), Some("additional_tools" | "tool_search_output"))
                && let Some(tools) = item.tools
            {
                declare(tools, &mut self.table);
            }
        }
        self.items.reserve(list.len());
        // Only an item of a foreign type is read as a whole.
        let whole = LazyCell::new(|| serde_json::from_str::<Vec<&RawValue>>(input.get()).unwrap_or_default());
        for (place, item) in list.iter().enumerate() {
            let raw = if is_known(item) { None } else { whole.get(place).copied() };
            self.item(item, raw, &at.index(place))?;
        }
        Ok(())
    }

    /// The items, and whether a summary of them is asked for.
    pub(super) fn finish(self) -> (Vec<Item>, bool) {
        (self.items, self.compacts)
    }

    /// `raw` is the whole of an item whose type is foreign.
    fn item(&mut self, item: &ItemFields<'_>, raw: Option<&RawValue>, at: &Path<'_>) -> Result<(), BadField> {
        match item.kind.as_deref() {
            Some("message") => self.message(item, at),
            None if item.role.is_some() => self.message(item, at),
            Some("reasoning") => self.reasoning(item, at),
            Some("function_call") => self.function_call(item, at),
            Some("custom_tool_call") => self.custom_call(item, at),
            Some("tool_search_call") => self.object_call(item, at, "tool_search", item.arguments),
            Some("local_shell_call") => self.object_call(item, at, "local_shell", item.action),
            Some("function_call_output" | "custom_tool_call_output" | "local_shell_call_output") => {
                self.output(item, at)
            }
            Some("tool_search_output") => self.search_output(item, at),
            Some("additional_tools") => Ok(()),
            Some("compaction" | "compaction_summary") => self.compaction(item, at),
            Some("compaction_trigger") => {
                self.compacts = true;
                Ok(())
            }
            kind => {
                self.foreign(kind.unwrap_or("unknown"), raw);
                Ok(())
            }
        }
    }

    /// An item of a type that only its maker knows, such as a message between agents or what a hosted tool did: its text, as the person's.
    fn foreign(&mut self, kind: &str, raw: Option<&RawValue>) {
        let item = raw.and_then(|raw| serde_json::from_str::<Map<String, Value>>(raw.get()).ok());
        let texts = item.map_or_else(Vec::new, |item| words::texts(&item));
        let kind = shown(kind, MAX_WORD);
        if texts.is_empty() {
            let what = "means nothing to this upstream and was left out";
            return self.table.notes.add(format!("an input item of type `{kind}` {what}"));
        }
        if kind != "agent_message" {
            self.table.notes.add(format!("an input item of type `{kind}` was put into words"));
        }
        let content = texts.into_iter().map(Content::Text).collect();
        self.items.push(Item::Message(Message { role: Role::User, content }));
    }

    fn message(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let role: Word<'_> = required(item.role, &at.field("role"), "a string")?;
        let role = match &*role {
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            "user" => Role::User,
            other => return Err(limits::unknown_role(other, &at.field("role"))),
        };
        let content = content::read(item.content, &at.field("content"), self.table.notes)?;
        self.items.push(Item::Message(Message { role, content }));
        Ok(())
    }

    fn reasoning(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let mut text = String::new();
        // The raw thoughts where there are any, else their summary.
        for raw in [item.content, item.summary].into_iter().flatten() {
            let parts = serde_json::from_str::<Option<Vec<ContentPartFields<'_>>>>(raw.get())
                .ok()
                .flatten()
                .unwrap_or_default();
            for part in parts {
                if let Some(piece) = optional::<String>(part.text, at, "a string")? {
                    text.push_str(if text.is_empty() { "" } else { "\n\n" });
                    text.push_str(&piece);
                }
            }
            if !text.is_empty() {
                break;
            }
        }
        let carrier: Option<Word<'_>> =
            optional(item.encrypted_content, &at.field("encrypted_content"), "a string")?;
        let opaque = carrier.as_deref().and_then(|carrier| OpaqueState::decode(carrier, self.seal));
        if carrier.is_some() && opaque.is_none() {
            self.table.notes.add("encrypted reasoning of another provider was left out");
        }
        if !text.is_empty() || opaque.is_some() {
            self.items.push(Item::Reasoning(ReasoningItem { text, opaque }));
        }
        Ok(())
    }

    /// A summary that stands for a part of the history. One that somebody else made cannot be read, and is no reason to fail
    /// for ever.
    fn compaction(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let carrier: Option<Word<'_>> =
            optional(item.encrypted_content, &at.field("encrypted_content"), "a string")?;
        match carrier.as_deref().and_then(|carrier| compact::unpack(carrier, self.seal)) {
            Some(item) => self.items.push(item),
            None => self.table.notes.add("a compaction of another provider was left out"),
        }
        Ok(())
    }

    fn function_call(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id = call_id(item, at)?;
        let name = self.called_name(item, at)?;
        // Other proxies write the object itself; it is the same call.
        let arguments = match item.arguments {
            Some(raw) if raw.get().starts_with('{') => raw.get().to_owned(),
            raw => optional(raw, &at.field("arguments"), "a string")?.unwrap_or_default(),
        };
        self.items.push(Item::Call(Call { id, name, arguments }));
        Ok(())
    }

    fn custom_call(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id = call_id(item, at)?;
        let name = self.called_name(item, at)?;
        let input: Word<'_> = optional(item.input, &at.field("input"), "a string")?.unwrap_or_default();
        let arguments = json!({ "input": &*input }).to_string();
        self.items.push(Item::Call(Call { id, name, arguments }));
        Ok(())
    }

    /// The flat name of the tool that is called.
    fn called_name(&self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<String, BadField> {
        let name: Word<'_> = required(item.name, &at.field("name"), "a string")?;
        let namespace: Option<Word<'_>> = optional(item.namespace, &at.field("namespace"), "a string")?;
        Ok(self.table.map.flat(namespace.as_deref(), &name))
    }

    /// A call whose arguments are an object and no string.
    fn object_call(
        &mut self,
        item: &ItemFields<'_>,
        at: &Path<'_>,
        name: &str,
        object: Option<&RawValue>,
    ) -> Result<(), BadField> {
        let id = call_id(item, at)?;
        let arguments = match object {
            Some(raw) if raw.get().starts_with('"') => {
                optional::<String>(Some(raw), at, "an object")?.unwrap_or_default()
            }
            raw => raw.map_or_else(|| "{}".to_owned(), |raw| raw.get().to_owned()),
        };
        let name = self.table.map.flat(None, name);
        self.items.push(Item::Call(Call { id, name, arguments }));
        Ok(())
    }

    fn output(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id = call_id(item, at)?;
        let content = match item.output {
            // An object as the output of a tool is its JSON text.
            Some(raw) if raw.get().starts_with('{') => vec![Content::Text(raw.get().to_owned())],
            raw => content::read(raw, &at.field("output"), self.table.notes)?,
        };
        self.items.push(Item::Output(CallOutput { id, content }));
        Ok(())
    }

    /// The tools that were found are declared by now; the model is told their names.
    fn search_output(&mut self, item: &ItemFields<'_>, at: &Path<'_>) -> Result<(), BadField> {
        let id = call_id(item, at)?;
        let found = item.tools.map_or_else(Vec::new, |tools| flat_names(tools, self.table.map));
        let text = match found.as_slice() {
            [] => "No tools were found.".to_owned(),
            found => format!("Tools that can be called now: {}", found.join(", ")),
        };
        self.items.push(Item::Output(CallOutput { id, content: vec![Content::Text(text)] }));
        Ok(())
    }
}

/// Items of these types are read field by field.
const KNOWN: [&str; 14] = [
    "message",
    "reasoning",
    "function_call",
    "custom_tool_call",
    "tool_search_call",
    "local_shell_call",
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "tool_search_output",
    "additional_tools",
    "compaction",
    "compaction_summary",
    "compaction_trigger",
];

fn is_known(item: &ItemFields<'_>) -> bool {
    item.kind.as_deref().map_or(item.role.is_some(), |kind| KNOWN.contains(&kind))
}

fn text_message(role: Role, text: String) -> Item {
    Item::Message(Message { role, content: vec![Content::Text(text)] })
}

fn call_id(item: &ItemFields<'_>, at: &Path<'_>) -> Result<CallId, BadField> {
    // An older form of the local shell's items has only an id of its own.
    let is_shell = item.kind.as_deref().is_some_and(|kind| kind.starts_with("local_shell_call"));
    let id = item.call_id.or(item.id.filter(|_| is_shell));
    required::<String>(id, &at.field("call_id"), "a string").map(CallId::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::notes::Notes;
    use crate::inbound::wire::tool_map::ToolMap;

    fn items(input: &str) -> (Vec<Item>, bool, Notes) {
        let (mut map, mut declared, mut notes) = (ToolMap::default(), Vec::new(), Notes::default());
        let table = ToolTable { map: &mut map, declared: &mut declared, notes: &mut notes };
        let seal = SealKey::default();
        let mut reader = InputReader::new(table, &seal);
        let raw = RawValue::from_string(input.to_owned()).expect("JSON");
        reader.read(&raw, &Path::bracketed("input")).expect("items");
        let (items, compacts) = reader.finish();
        (items, compacts, notes)
    }

    #[test]
    fn calls_come_in_every_spelling() {
        let (items, compacts, notes) = items(
            r#"[
                {"type":"function_call","call_id":"1","name":"f","namespace":"n","arguments":{"a":1}},
                {"type":"custom_tool_call","call_id":"2","name":"patch","input":"x\"y"},
                {"type":"local_shell_call","call_id":"3","action":{"command":["ls"]}},
                {"type":"function_call_output","call_id":"1","output":{"ok":true}},
                {"type":"tool_search_output","call_id":"4","tools":[{"type":"function","name":"found"}]},
                {"type":"novel"},{},{"type":"compaction_trigger"}
            ]"#,
        );
        let calls: Vec<(&str, &str)> = items
            .iter()
            .filter_map(|item| {
                if let Item::Call(call) = item {
                    Some((call.name.as_str(), call.arguments.as_str()))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(
            calls,
            [
                ("n__f", "{\"a\":1}"),
                ("patch", r#"{"input":"x\"y"}"#),
                ("local_shell", r#"{"command":["ls"]}"#)
            ]
        );
        let outputs: Vec<&Content> = items
            .iter()
            .filter_map(|item| if let Item::Output(output) = item { output.content.first() } else { None })
            .collect();
        let text = |text: &str| Content::Text(text.to_owned());
        assert_eq!(outputs, [&text("{\"ok\":true}"), &text("Tools that can be called now: found")]);
        assert!(compacts);
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn a_string_is_what_the_person_wrote() {
        let (items, compacts, _) = items("\"hi\"");
        assert_eq!(items, [text_message(Role::User, "hi".to_owned())]);
        assert!(!compacts);
    }
}
