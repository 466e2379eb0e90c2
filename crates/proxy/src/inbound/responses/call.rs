//! One call in a Responses stream: functions, freeform tools, tool search and the local shell, each in its own item.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::frame::{event, head, item_place, output_index};
use crate::inbound::wire::json::{push_escaped, push_string};

use crate::inbound::wire::freeform::{FreeformDecoder, freeform_input};
use crate::inbound::wire::tool_map::{ToolEntry, ToolKind};

/// A call that is open or waits to be.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: u32,
    /// No more arguments will come.
    pub(super) ended: bool,
    kind: ToolKind,
    name: String,
    namespace: Option<String>,
    call_id: String,
    id: String,
    index: u32,
    /// Arguments as they came.
    arguments: String,
    decoder: FreeformDecoder,
    /// The decoded free text, for [`ToolKind::Custom`].
    input: String,
    /// How much of the input, or of the arguments of a function, was sent.
    sent: usize,
}

/// May a call be given out as done?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Whole,
    Broken,
}

impl Call {
    pub(super) fn new(slot: u32, call_id: String, flat: &str, entry: Option<&ToolEntry>) -> Self {
        Self {
            slot,
            ended: false,
            kind: entry.map_or(ToolKind::Function, |entry| entry.kind),
            name: entry.map_or_else(|| flat.to_owned(), |entry| entry.name.clone()),
            namespace: entry.and_then(|entry| entry.namespace.clone()),
            call_id,
            id: String::new(),
            index: 0,
            arguments: String::new(),
            decoder: FreeformDecoder::default(),
            input: String::new(),
            sent: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn id_prefix(&self) -> &'static str {
        match self.kind {
            ToolKind::Function => "fc",
            ToolKind::Custom => "ctc",
            ToolKind::ToolSearch => "ts",
            ToolKind::LocalShell => "lsh",
        }
    }

    /// Something came that could be arguments.
    pub(super) fn has_arguments(&self) -> bool {
        !self.arguments.trim_start().is_empty()
    }

    /// The arguments are one whole JSON object.
    pub(super) fn is_whole(&self) -> bool {
        let text = self.arguments.trim();
        // A string with half a character in it is passed over when it is skipped, and refused by those who read it.
        let reads = || {
            if text.contains("\\u") {
                serde_json::from_str::<Value>(text).is_ok()
            } else {
                serde_json::from_str::<&RawValue>(text).is_ok()
            }
        };
        text.starts_with('{') && text.ends_with('}') && reads()
    }

    /// Writes `added`, and what came while the call waited.
    pub(super) fn open(&mut self, id: String, index: u32, out: &mut Vec<u8>, sequence: &mut u64) {
        self.id = id;
        self.index = index;
        let item = self.item("in_progress", "", &json!({}));
        event(out, sequence, "response.output_item.added", |out| {
            output_index(out, index);
            out.extend_from_slice(b",\"item\":");
            out.extend_from_slice(&item);
        });
        let held = std::mem::take(&mut self.arguments);
        self.arguments(&held, out, sequence);
    }

    /// Keeps a piece for later.
    pub(super) fn arguments_later(&mut self, json: &str) {
        self.arguments.push_str(json);
    }

    /// Writes a piece.
    pub(super) fn arguments(&mut self, json: &str, out: &mut Vec<u8>, sequence: &mut u64) {
        if json.is_empty() {
            return;
        }
        self.arguments.push_str(json);
        match self.kind {
            ToolKind::Function => {
                self.delta("response.function_call_arguments.delta", json, out, sequence);
                self.sent = self.arguments.len();
            }
            ToolKind::Custom => {
                self.decoder.push(json, &mut self.input);
                self.input_delta(out, sequence);
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {}
        }
    }

    fn input_delta(&mut self, out: &mut Vec<u8>, sequence: &mut u64) {
        if let Some(fresh) = self.input.get(self.sent..).filter(|fresh| !fresh.is_empty()) {
            self.delta("response.custom_tool_call_input.delta", fresh, out, sequence);
            self.sent = self.input.len();
        }
    }

    fn delta(&self, name: &str, text: &str, out: &mut Vec<u8>, sequence: &mut u64) {
        head(out, sequence, name);
        item_place(out, &self.id, self.index);
        out.extend_from_slice(b",\"delta\":\"");
        push_escaped(out, text);
        out.extend_from_slice(b"\"}\n\n");
    }

    /// Decides whether the call can be done; takes the final input of a freeform call from the whole arguments.
    pub(super) fn verdict(&mut self, whole: bool) -> Verdict {
        if whole && self.arguments.trim().is_empty() && self.kind != ToolKind::Custom {
            // Added, not replaced: white space may have been sent.
            self.arguments.push_str("{}");
        }
        let is_object = self.is_whole();
        if !whole {
            return Verdict::Broken;
        }
        if self.kind != ToolKind::Custom {
            return if is_object { Verdict::Whole } else { Verdict::Broken };
        }
        let Some(input) = freeform_input(&self.arguments) else { return Verdict::Broken };
        // Nothing that was sent is taken back.
        if !input.starts_with(&self.input) {
            return Verdict::Broken;
        }
        self.input = input;
        Verdict::Whole
    }

    /// Writes the closing events of a whole call and gives its item.
    pub(super) fn close(&mut self, out: &mut Vec<u8>, sequence: &mut u64) -> Vec<u8> {
        match self.kind {
            ToolKind::Function => {
                // Arguments that were made up for an empty list: deltas must add up to what is done.
                if let Some(rest) = self.arguments.get(self.sent..).filter(|rest| !rest.is_empty()) {
                    self.delta("response.function_call_arguments.delta", rest, out, sequence);
                }
                event(out, sequence, "response.function_call_arguments.done", |out| {
                    item_place(out, &self.id, self.index);
                    out.extend_from_slice(b",\"name\":");
                    push_string(out, &self.name);
                    out.extend_from_slice(b",\"arguments\":");
                    push_string(out, &self.arguments);
                });
            }
            ToolKind::Custom => {
                self.input_delta(out, sequence);
                event(out, sequence, "response.custom_tool_call_input.done", |out| {
                    item_place(out, &self.id, self.index);
                    out.extend_from_slice(b",\"input\":");
                    push_string(out, &self.input);
                });
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {}
        }
        let object = serde_json::from_str(&self.arguments).unwrap_or_default();
        let text = if self.kind == ToolKind::Custom { &self.input } else { &self.arguments };
        self.item("completed", text, &object)
    }

    /// The item of a call that was cut.
    pub(super) fn incomplete_item(&self) -> Vec<u8> {
        let text = if self.kind == ToolKind::Custom { &self.input } else { &self.arguments };
        self.item("incomplete", text, &json!({}))
    }

    fn item(&self, status: &str, text: &str, object: &Value) -> Vec<u8> {
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
