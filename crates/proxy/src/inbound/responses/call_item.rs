//! One call in a Responses stream: functions, freeform tools, tool search and the local shell, each in its own item.

use serde_json::{Value, json};

use super::frame::{EventBuffer, push_item_place};
use crate::inbound::wire::freeform::{FreeformDecoder, freeform_input};
use crate::inbound::wire::json::{push_escaped, push_string};
use crate::inbound::wire::tool_map::{ToolEntry, ToolKind};
use crate::inbound::writer::sequencer::PendingCall;

/// The item of the call that is open.
#[derive(Debug)]
pub(super) struct CallItem {
    pub(super) index: u32,
    pub(super) kind: ToolKind,
    id: String,
    call_id: String,
    name: String,
    namespace: Option<String>,
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
            decoder: FreeformDecoder::default(),
            input: String::new(),
        };
        events.item("response.output_item.added", index, &item.json("in_progress", "", &json!({})));
        item
    }

    /// Writes a piece of the arguments.
    pub(super) fn arguments(&mut self, json: &str, events: &mut EventBuffer) {
        match self.kind {
            ToolKind::Function => self.delta("response.function_call_arguments.delta", json, events),
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
            self.delta("response.custom_tool_call_input.delta", fresh, events);
        }
    }

    fn delta(&self, name: &str, text: &str, events: &mut EventBuffer) {
        events.begin(name);
        let out = &mut events.bytes;
        push_item_place(out, &self.id, self.index);
        out.extend_from_slice(b",\"delta\":\"");
        push_escaped(out, text);
        out.extend_from_slice(b"\"}\n\n");
    }

    /// Writes the closing events and gives the item; `None` for arguments that cannot be given out as done.
    pub(super) fn close(&mut self, call: &PendingCall, events: &mut EventBuffer) -> Option<Vec<u8>> {
        let arguments = call.arguments();
        match self.kind {
            ToolKind::Custom => {
                // Nothing that was sent is taken back.
                let input = freeform_input(arguments).filter(|input| input.starts_with(&self.input))?;
                let sent = std::mem::replace(&mut self.input, input).len();
                self.input_delta(sent, events);
                self.done("response.custom_tool_call_input.done", "input", &self.input, events);
                return Some(self.json("completed", &self.input, &Value::Null));
            }
            _ if !call.is_complete() => return None,
            ToolKind::Function => {
                self.done("response.function_call_arguments.done", "arguments", arguments, events);
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {}
        }
        let object = serde_json::from_str(arguments).unwrap_or_default();
        Some(self.json("completed", arguments, &object))
    }

    fn done(&self, name: &str, field: &str, text: &str, events: &mut EventBuffer) {
        events.event(name, |out| {
            push_item_place(out, &self.id, self.index);
            if self.kind == ToolKind::Function {
                out.extend_from_slice(b",\"name\":");
                push_string(out, &self.name);
            }
            out.extend_from_slice(b",\"");
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"\":");
            push_string(out, text);
        });
    }

    /// The item of a call that was cut.
    pub(super) fn incomplete(&self, call: &PendingCall) -> Vec<u8> {
        let text = if self.kind == ToolKind::Custom { &self.input } else { call.arguments() };
        self.json("incomplete", text, &json!({}))
    }

    /// The item; `text` are the arguments or the input, `object` the arguments of tools that have them as an object.
    fn json(&self, status: &str, text: &str, object: &Value) -> Vec<u8> {
        let (kind, field) = match self.kind {
            ToolKind::Function => ("function_call", Some("arguments")),
            ToolKind::Custom => ("custom_tool_call", Some("input")),
            ToolKind::ToolSearch => ("tool_search_call", None),
            ToolKind::LocalShell => ("local_shell_call", None),
        };
        let mut item = b"{\"type\":".to_vec();
        push_string(&mut item, kind);
        item.extend_from_slice(b",\"id\":");
        push_string(&mut item, &self.id);
        item.extend_from_slice(b",\"call_id\":");
        push_string(&mut item, &self.call_id);
        if let Some(field) = field {
            item.extend_from_slice(b",\"name\":");
            push_string(&mut item, &self.name);
            if let Some(namespace) = &self.namespace {
                item.extend_from_slice(b",\"namespace\":");
                push_string(&mut item, namespace);
            }
            item.extend_from_slice(b",\"");
            item.extend_from_slice(field.as_bytes());
            item.extend_from_slice(b"\":");
            push_string(&mut item, text);
        } else if self.kind == ToolKind::ToolSearch {
            item.extend_from_slice(b",\"execution\":\"client\",\"arguments\":");
            item.extend_from_slice(object.to_string().as_bytes());
        } else {
            item.extend_from_slice(b",\"action\":");
            item.extend_from_slice(shell_action(object).to_string().as_bytes());
        }
        item.extend_from_slice(b",\"status\":");
        push_string(&mut item, status);
        item.push(b'}');
        item
    }
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
        let text = String::from_utf8(events.bytes).expect("text");
        assert!(text.contains("\"delta\":\"a\"") && text.contains("\"delta\":\"\\nb\""), "{text}");
        let item: Value = serde_json::from_slice(&item.incomplete(&call)).expect("JSON");
        assert_eq!((&item["input"], &item["status"]), (&json!("a\nb"), &json!("incomplete")));
    }
}
