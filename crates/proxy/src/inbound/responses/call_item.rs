//! One call in a Responses stream: functions, freeform tools, tool search and the local shell, each in its own item.

use serde_json::{Value, json};

use super::frame::{EventBuffer, push_item_place};
use crate::inbound::wire::freeform::{FreeformDecoder, freeform_input};
use crate::inbound::wire::json::{push_escaped, push_escaped_pieces, push_string};
use crate::inbound::wire::rope::Rope;
use crate::inbound::wire::tool_map::{ToolEntry, ToolKind};
use crate::inbound::writer::sequencer::PendingCall;

/// From this many bytes on a piece of arguments is shared and not copied.
const LONG: usize = 64 << 10;

/// The item of the call that is open.
#[derive(Debug)]
pub(super) struct CallItem {
    pub(super) index: u32,
    pub(super) kind: ToolKind,
    id: String,
    call_id: String,
    name: String,
    namespace: Option<String>,
    /// The arguments so far, escaped, for [`ToolKind::Function`]: they go out three more times, and are kept once.
    arguments: Rope,
    decoder: FreeformDecoder,
    /// The decoded free text, for [`ToolKind::Custom`].
    input: String,
}

/// What the ids of items of this kind begin with.
pub(super) fn id_prefix(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Function => "fc",
        ToolKind::Custom => "ctc",
        ToolKind::ToolSearch => "ts",
        ToolKind::LocalShell => "lsh",
    }
}

impl CallItem {
    /// Writes `added`. `entry` is the client's tool, if it declared one.
    pub(super) fn open(
        call: &PendingCall,
        entry: Option<&ToolEntry>,
        id: String,
        index: u32,
        events: &mut EventBuffer,
    ) -> Self {
        let item = Self {
            index,
            kind: entry.map_or(ToolKind::Function, |entry| entry.kind),
            id,
            call_id: call.id.clone(),
            name: entry.map_or(&call.name, |entry| &entry.name).clone(),
            namespace: entry.and_then(|entry| entry.namespace.clone()),
            arguments: Rope::default(),
            decoder: FreeformDecoder::default(),
            input: String::new(),
        };
        events.item(
            "response.output_item.added",
            index,
            &item.json("in_progress", &Rope::default(), &json!({})),
        );
        item
    }

    /// Writes a piece of the arguments.
    pub(super) fn arguments(&mut self, json: &str, events: &mut EventBuffer) {
        match self.kind {
            ToolKind::Function => {
                self.begin_delta("response.function_call_arguments.delta", events);
                push_shared(json, &mut self.arguments, &mut events.out);
                events.out.tail_mut().extend_from_slice(b"\"}\n\n");
            }
            ToolKind::Custom => {
                let sent = self.input.len();
                self.decoder.push(json, &mut self.input);
                self.input_delta(sent, events);
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {}
        }
    }

    fn input_delta(&self, sent: usize, events: &mut EventBuffer) {
        if let Some(fresh) = self.input.get(sent..).filter(|fresh| !fresh.is_empty()) {
            self.begin_delta("response.custom_tool_call_input.delta", events);
            if fresh.len() > LONG {
                push_escaped_pieces(&mut events.out, fresh);
            } else {
                push_escaped(events.out.tail_mut(), fresh);
            }
            events.out.tail_mut().extend_from_slice(b"\"}\n\n");
        }
    }

    /// Begins a delta, up to its text.
    fn begin_delta(&self, name: &str, events: &mut EventBuffer) {
        events.begin(name);
        let out = events.out.tail_mut();
        push_item_place(out, &self.id, self.index);
        out.extend_from_slice(b",\"delta\":\"");
    }

    /// Writes the closing events and gives the item; `None` for arguments that cannot be given out as done.
    pub(super) fn close(&mut self, call: &PendingCall, events: &mut EventBuffer) -> Option<Rope> {
        let arguments = call.arguments();
        match self.kind {
            ToolKind::Custom => {
                // Nothing that was sent is taken back.
                let input = freeform_input(arguments).filter(|input| input.starts_with(&self.input))?;
                let sent = std::mem::replace(&mut self.input, input).len();
                self.input_delta(sent, events);
                let input = escaped(&self.input);
                self.input = String::new();
                self.done("response.custom_tool_call_input.done", "input", &input, events);
                Some(self.json("completed", &input, &Value::Null))
            }
            _ if !call.is_complete() => None,
            ToolKind::Function => {
                let arguments = std::mem::take(&mut self.arguments);
                self.done("response.function_call_arguments.done", "arguments", &arguments, events);
                Some(self.json("completed", &arguments, &Value::Null))
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {
                let object = serde_json::from_str(arguments).unwrap_or_default();
                Some(self.json("completed", &Rope::default(), &object))
            }
        }
    }

    fn done(&self, name: &str, field: &str, text: &Rope, events: &mut EventBuffer) {
        events.event(name, |rope| {
            let out = rope.tail_mut();
            push_item_place(out, &self.id, self.index);
            if self.kind == ToolKind::Function {
                out.extend_from_slice(b",\"name\":");
                push_string(out, &self.name);
            }
            out.extend_from_slice(b",\"");
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"\":\"");
            rope.share(text);
            rope.push(b"\"");
        });
    }

    /// The item of a call that was cut.
    pub(super) fn incomplete(&self, call: &PendingCall) -> Rope {
        let text = if self.kind == ToolKind::Custom { &self.input } else { call.arguments() };
        self.json("incomplete", &escaped(text), &json!({}))
    }

    /// The item; `text` are the arguments or the input, escaped, `object` the arguments of tools that have them as an object.
    fn json(&self, status: &str, text: &Rope, object: &Value) -> Rope {
        let (kind, field) = match self.kind {
            ToolKind::Function => ("function_call", Some("arguments")),
            ToolKind::Custom => ("custom_tool_call", Some("input")),
            ToolKind::ToolSearch => ("tool_search_call", None),
            ToolKind::LocalShell => ("local_shell_call", None),
        };
        let mut rope = Rope::from(b"{\"type\":".to_vec());
        let item = rope.tail_mut();
        push_string(item, kind);
        item.extend_from_slice(b",\"id\":");
        push_string(item, &self.id);
        item.extend_from_slice(b",\"call_id\":");
        push_string(item, &self.call_id);
        if let Some(field) = field {
            item.extend_from_slice(b",\"name\":");
            push_string(item, &self.name);
            if let Some(namespace) = &self.namespace {
                item.extend_from_slice(b",\"namespace\":");
                push_string(item, namespace);
            }
            item.extend_from_slice(b",\"");
            item.extend_from_slice(field.as_bytes());
            item.extend_from_slice(b"\":\"");
            rope.share(text);
            rope.push(b"\"");
        } else if self.kind == ToolKind::ToolSearch {
            item.extend_from_slice(b",\"execution\":\"client\",\"arguments\":");
            item.extend_from_slice(object.to_string().as_bytes());
        } else {
            item.extend_from_slice(b",\"action\":");
            item.extend_from_slice(shell_action(object).to_string().as_bytes());
        }
        let item = rope.tail_mut();
        item.extend_from_slice(b",\"status\":");
        push_string(item, status);
        item.push(b'}');
        rope
    }
}

/// A text that is short goes out as it is written and is kept beside it; one that is long is written once, for both.
fn push_shared(text: &str, kept: &mut Rope, out: &mut Rope) {
    if text.len() > LONG {
        let text = escaped(text);
        kept.share(&text);
        return out.share(&text);
    }
    let out = out.tail_mut();
    let from = out.len();
    push_escaped(out, text);
    kept.push(out.get(from..).unwrap_or_default());
}

/// A text as the inside of a JSON string.
fn escaped(text: &str) -> Rope {
    let mut rope = Rope::default();
    push_escaped_pieces(&mut rope, text);
    rope
}

/// The action of a local shell call, with every key the API documents.
fn shell_action(arguments: &Value) -> Value {
    let command = match arguments.get("command") {
        Some(Value::String(line)) => json!(["bash", "-lc", line]),
        Some(list @ Value::Array(_)) => list.clone(),
        _ => json!([]),
    };
    json!({
        "type": "exec",
        "command": command,
        "env": {},
        "working_directory": arguments.get("working_directory"),
        "timeout_ms": arguments.get("timeout_ms"),
        "user": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_of_a_shell_call_has_every_documented_key() {
        for (arguments, command) in [
            (json!({ "command": "ls" }), json!(["bash", "-lc", "ls"])),
            (json!({ "command": ["ls", "-l"] }), json!(["ls", "-l"])),
            (json!({}), json!([])),
        ] {
            let action = shell_action(&arguments);
            assert_eq!(action["command"], command);
            assert_eq!(action.as_object().map(serde_json::Map::len), Some(6));
        }
    }

    #[test]
    fn free_text_comes_out_of_its_wrapper_as_it_arrives() {
        let mut events = EventBuffer::default();
        let name = || "apply_patch".to_owned();
        let entry = ToolEntry { flat: name(), name: name(), namespace: None, kind: ToolKind::Custom };
        let call = PendingCall::new(0, "c".to_owned(), "apply_patch");
        let mut item = CallItem::open(&call, Some(&entry), "ctc_0".to_owned(), 0, &mut events);
        for piece in ["{\"input\":\"a\\", "nb\"}"] {
            item.arguments(piece, &mut events);
        }
        let text = String::from_utf8(events.out.into_vec()).expect("text");
        assert!(text.contains("\"delta\":\"a\"") && text.contains("\"delta\":\"\\nb\""), "{text}");
        let item: Value = serde_json::from_slice(&item.incomplete(&call).into_vec()).expect("JSON");
        assert_eq!((&item["input"], &item["status"]), (&json!("a\nb"), &json!("incomplete")));
    }
}
