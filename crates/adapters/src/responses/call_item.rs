//! An item that is a call, and the events that tell of it from its beginning to its end. Pure.

use serde_json::{Value, json};

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallForm {
    /// `function_call`: its arguments are the text of a JSON object.
    Function,
    /// `custom_tool_call`: its input is any text.
    Custom,
}

impl CallForm {
    /// The form of an item; `None` for one that is no call, or one without a text.
    pub(super) fn of(item: &Value) -> Option<Self> {
        match item.get("type").and_then(Value::as_str) {
            Some("function_call") => Some(Self::Function),
            Some("custom_tool_call") => Some(Self::Custom),
            _ => None,
        }
    }

    /// The field that holds its text.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Function => "arguments",
            Self::Custom => "input",
        }
    }

    /// The event that brings a piece of it.
    pub(super) fn delta(self) -> &'static str {
        match self {
            Self::Function => "response.function_call_arguments.delta",
            Self::Custom => "response.custom_tool_call_input.delta",
        }
    }

    fn text_done(self) -> &'static str {
        match self {
            Self::Function => "response.function_call_arguments.done",
            Self::Custom => "response.custom_tool_call_input.done",
        }
    }
}

/// The item with this text; those behind the first have ids of their own.
pub(super) fn several(item: &Value, form: CallForm, text: &str, place: u32) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.insert(form.field().to_owned(), json!(text));
        for name in ["id", "call_id"] {
            if let Some(Value::String(id)) = fields.get_mut(name).filter(|_| place > 0) {
                *id = format!("{id}_{place}");
            }
        }
    }
    item
}

/// The events of an item that is done.
pub(super) fn item_events(item: &Value, form: CallForm, index: u64) -> [(&'static str, Value); 4] {
    let text = item.get(form.field()).cloned().unwrap_or_default();
    let id = item.get("id").cloned().unwrap_or_default();
    let mut added = several(item, form, "", 0);
    if let Some(status) = added.get_mut("status") {
        *status = json!("in_progress");
    }
    let event = |kind: &'static str, fields: Value| {
        let mut event = json!({ "type": kind, "output_index": index });
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        (kind, event)
    };
    [
        event("response.output_item.added", json!({ "item": added })),
        event(form.delta(), json!({ "item_id": id, "delta": text })),
        event(form.text_done(), json!({ "item_id": id, form.field(): text })),
        event("response.output_item.done", json!({ "item": item })),
    ]
}
