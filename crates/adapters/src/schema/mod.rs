//! The one lowering of tools' schemas, for every provider: at the root an object and nothing else, and no reference that has something
//! beside it or leads nowhere. Pure.
//!
//! Providers refuse a whole request for one schema that is a union, a reference or no object at its root
//! (`schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level`, OpenAI;
//! `input_schema does not support oneOf, allOf, or anyOf at the top level`, Anthropic; `when using $ref, type should be defined in the
//! referenced schema instead of the parent schema`, Moonshot). MCP servers write such schemas all the time.
//!
//! The branches of a union are merged: every call that can be written from the old schema is allowed by the new one, and the model sees
//! every name and value. A name means what the branches that speak of it say; a branch that does not speak of it says nothing about it.
//! What is right already goes out byte for byte.

mod alternatives;
mod check;
mod document;
mod object_shape;
mod tools;
mod unions;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod validator;

use std::borrow::Cow;

use latimer_protocol::turn::{Note, Tool};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub(crate) use self::alternatives::{is_null, values};
use self::document::Document;
use self::object_shape::ObjectShape;
pub(crate) use self::tools::lower_declarations;
use crate::wording;

/// The schema of a tool's arguments, as every provider takes it.
pub(crate) fn parameters<'t>(tool: &'t Tool, notes: &mut Vec<Note>) -> Cow<'t, RawValue> {
    let Some(raw) = tool.parameters.as_deref() else { return Cow::Borrowed(wording::empty_schema()) };
    let Some(lowered) = lowered(raw) else { return Cow::Borrowed(raw) };
    notes.push(Note::request(format!("the schema of the tool {} was made one object", tool.name)));
    Cow::Owned(lowered)
}

/// The schema for a provider that has no alternatives: what every provider takes, and those that are objects merged.
pub(crate) fn without_unions(raw: &RawValue) -> Option<Value> {
    let schema: Value = serde_json::from_str(raw.get()).ok()?;
    let has_unions = memchr::memmem::find(raw.get().as_bytes(), b"Of\"").is_some();
    Some(if has_unions || !check::is_right(raw) { unions::merged(&lower(&schema)) } else { schema })
}

/// The schema in the form that every provider takes; `None` where it has that form.
pub(crate) fn lowered(raw: &RawValue) -> Option<Box<RawValue>> {
    if check::is_right(raw) {
        return None;
    }
    let schema = serde_json::from_str(raw.get()).unwrap_or_default();
    RawValue::from_string(lower(&schema).to_string()).ok()
}

/// The schema in the form that every provider takes.
fn lower(schema: &Value) -> Value {
    let mut document = Document::new(schema);
    let shape = ObjectShape::read(&mut document, schema, 0).unwrap_or_default();
    let mut out = Map::new();
    for key in ["$schema", "$id"] {
        if let Some(value) = schema.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    shape.write(&mut out);
    for (key, definitions) in document.definitions() {
        out.insert(key.to_owned(), Value::Object(definitions));
    }
    Value::Object(out)
}

/// A schema that is not gone into: its type alone.
fn type_alone(schema: &Value) -> Value {
    match schema.get("type") {
        Some(kind @ (Value::String(_) | Value::Array(_))) => json!({ "type": kind }),
        _ if schema.get("properties").is_some() => json!({ "type": "object" }),
        _ => json!({}),
    }
}

/// The fields of a schema under `key` that are a list of schemas.
fn list<'s>(fields: &'s Map<String, Value>, key: &str) -> &'s [Value] {
    fields.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
