//! JSON Schema to the subset that Gemini knows. What is dropped and limits a value goes into the description. Pure.
//!
//! Only schema positions are cleaned: a property may be called `default` or `title`. Whatever comes in, every schema that goes
//! out has a type: the provider refuses the whole request for one that has none.

mod choice;

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use self::choice::one_of;
use crate::schema::{is_null, values as listed_values};

/// Deeper schemas are cut.
const MAX_DEPTH: usize = 16;
/// The most that references may add to a schema, in bytes.
const MAX_INLINED_BYTES: usize = 64 << 10;
/// The most values that are listed.
const MAX_VALUES: usize = 500;
/// The most alternatives that go into the description; the provider has no field for them.
const MAX_OTHERS: usize = 8;
/// A longer alternative does not go there, in bytes.
const MAX_OTHER: usize = 500;
/// What goes into the description before it is dropped.
const LIMITS: [&str; 11] = [
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
];
/// Formats that are known, by type.
const FORMATS: [(&str, &str); 6] = [
    ("string", "enum"),
    ("string", "date-time"),
    ("integer", "int32"),
    ("integer", "int64"),
    ("number", "float"),
    ("number", "double"),
];
/// The type of a schema that names none, by what it speaks of.
const GUESSES: [(&str, &str); 6] = [
    ("properties", "object"),
    ("additionalProperties", "object"),
    ("items", "array"),
    ("prefixItems", "array"),
    ("minimum", "number"),
    ("maximum", "number"),
];

/// Rewrites a schema to what Gemini takes. The result is always an object schema.
pub fn rewrite(schema: &Value) -> Value {
    let mut rewriter = SchemaRewriter { root: schema, inlined: Vec::new(), bytes: 0 };
    let rewritten = rewriter.schema(schema, 0);
    if rewritten.get("type").and_then(Value::as_str) == Some("object") {
        return rewritten;
    }
    json!({ "type": "object", "properties": {} })
}

/// Invariant: what is rewritten below a reference is counted, and a reference is never inlined inside of itself.
struct SchemaRewriter<'s> {
    root: &'s Value,
    /// The references that are being inlined.
    inlined: Vec<&'s str>,
    /// How much they added.
    bytes: usize,
}

impl<'s> SchemaRewriter<'s> {
    /// A schema of its own: it has a type. Text can hold anything.
    fn schema(&mut self, schema: &'s Value, depth: usize) -> Value {
        let mut rewritten = self.part(schema, depth);
        if rewritten.get("type").is_none() {
            rewritten["type"] = json!("string");
        }
        rewritten
    }

    /// A part of a schema: what it says.
    fn part(&mut self, schema: &'s Value, depth: usize) -> Value {
        let outer = self.inlined.len();
        let rewritten = match self.resolved(schema) {
            Some(fields) if depth <= MAX_DEPTH && !self.is_full() && self.is_new(outer) => {
                self.fields(fields, depth)
            }
            fields => type_alone(fields),
        };
        self.inlined.truncate(outer);
        described(rewritten, schema)
    }

    /// Whether references added too much. What stands outside of them is as long as the client wrote it.
    fn is_full(&self) -> bool {
        self.bytes > MAX_INLINED_BYTES && !self.inlined.is_empty()
    }

    /// Whether the references that were added are not being inlined already.
    fn is_new(&self, outer: usize) -> bool {
        let (known, added) = self.inlined.split_at(outer);
        added.iter().all(|reference| !known.contains(reference) && *reference != "#")
    }

    fn fields(&mut self, fields: &'s Map<String, Value>, depth: usize) -> Value {
        let mut nullable = fields.get("nullable") == Some(&json!(true));
        let mut out = Map::new();
        let mut alternatives = String::new();
        for part in list(fields, "allOf") {
            let rewritten = self.part(part, depth + 1);
            merge(&mut out, rewritten);
        }
        for key in ["anyOf", "oneOf"] {
            let options = list(fields, key);
            nullable |= options.iter().any(is_null);
            if let Some(values) = one_of(options) {
                merge(&mut out, json!({ "type": "string", "enum": values }));
            } else if let Some(option) = choice::strongest(options) {
                let rewritten = self.part(option, depth + 1);
                merge(&mut out, rewritten);
                let others = options.iter().filter(|other| !std::ptr::eq(*other, option) && !is_null(other));
                for other in others.take(MAX_OTHERS) {
                    let other = self.part(other, depth + 1).to_string();
                    if other.len() <= MAX_OTHER && other != "{}" {
                        let _ = write!(alternatives, " (or: {other})");
                    }
                }
            }
        }
        let named = kind(fields, &mut nullable)
            .or_else(|| out.get("type").and_then(Value::as_str).map(str::to_owned));
        if let Some(kind) = named.or_else(|| guessed(fields)) {
            out.insert("type".into(), json!(kind));
            self.by_kind(&kind, fields, &mut out, depth);
        }
        values(fields, &mut out, &mut nullable);
        settle(&mut out);
        let description = description(fields) + &alternatives;
        let description = description.trim_start();
        if !description.is_empty() {
            out.insert("description".into(), json!(description));
        }
        if nullable {
            out.insert("nullable".into(), json!(true));
        }
        if !self.inlined.is_empty() {
            let texts = out.values().filter(|value| !value.is_object()).map(|value| value.to_string().len());
            self.bytes += 16 * out.len() + texts.sum::<usize>();
        }
        Value::Object(out)
    }

    fn by_kind(
        &mut self,
        kind: &str,
        fields: &'s Map<String, Value>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) {
        if let Some(format) = fields.get("format").and_then(Value::as_str)
            && FORMATS.contains(&(kind, format))
        {
            out.insert("format".into(), json!(format));
        }
        match kind {
            "object" => self.object(fields, out, depth),
            "array" => {
                let items = fields.get("items").filter(|items| items.is_object());
                let items = items.or_else(|| list(fields, "prefixItems").first());
                let items = match items {
                    Some(items) => self.schema(items, depth + 1),
                    None => out.remove("items").unwrap_or_else(|| json!({ "type": "string" })),
                };
                out.insert("items".into(), items);
            }
            _ => {}
        }
    }

    fn object(&mut self, fields: &'s Map<String, Value>, out: &mut Map<String, Value>, depth: usize) {
        let mut properties = match out.remove("properties") {
            Some(Value::Object(known)) => known,
            _ => Map::new(),
        };
        for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !self.inlined.is_empty() {
                self.bytes += name.len() + 8;
            }
            let rewritten = self.schema(property, depth + 1);
            properties.insert(name.clone(), rewritten);
        }
        let mut names: Vec<Value> = Vec::new();
        let earlier = out.remove("required");
        for name in earlier.iter().chain(fields.get("required")).filter_map(Value::as_array).flatten() {
            let is_there = name.as_str().is_some_and(|name| properties.contains_key(name));
            if is_there && !names.contains(name) {
                names.push(name.clone());
            }
        }
        if !names.is_empty() {
            out.insert("required".into(), Value::Array(names));
        }
        out.insert("properties".into(), Value::Object(properties));
    }

    /// The schema, or what it refers to inside of the same document; the references are noted on the way.
    fn resolved(&mut self, schema: &'s Value) -> Option<&'s Map<String, Value>> {
        let mut schema = schema;
        for _ in 0..MAX_DEPTH {
            let fields = schema.as_object()?;
            let Some(reference) = fields.get("$ref").and_then(Value::as_str) else { return Some(fields) };
            self.inlined.push(reference);
            schema = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }
}

/// A schema that is not gone into: its type alone.
fn type_alone(fields: Option<&Map<String, Value>>) -> Value {
    let kind = fields.and_then(|fields| kind(fields, &mut false).or_else(|| guessed(fields)));
    match kind.as_deref().unwrap_or("string") {
        "array" => json!({ "type": "array", "items": { "type": "string" } }),
        "object" => json!({ "type": "object", "properties": {} }),
        kind => json!({ "type": kind }),
    }
}

/// What is said beside a reference is meant for this place.
fn described(mut rewritten: Value, schema: &Value) -> Value {
    if schema.get("$ref").is_some()
        && let Some(text) = schema.get("description").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        rewritten["description"] = json!(text);
    }
    rewritten
}

/// The description, and the limits that are dropped.
fn description(fields: &Map<String, Value>) -> String {
    let mut text = fields.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    for limit in LIMITS {
        if let Some(value) = fields.get(limit).filter(|value| !value.is_object()) {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}({limit}: {value})");
        }
    }
    text
}

/// `const` and `enum` as a list of strings.
fn values(fields: &Map<String, Value>, out: &mut Map<String, Value>, nullable: &mut bool) {
    let Some(values) = listed_values(fields) else { return };
    *nullable |= values.contains(&Value::Null);
    let texts = choice::texts(&values);
    if !texts.is_empty() && texts.len() <= MAX_VALUES {
        out.insert("enum".into(), json!(texts));
    }
}

/// Leaves only what belongs to the type: parts of a schema may contradict each other.
fn settle(out: &mut Map<String, Value>) {
    // Only strings may be listed.
    if out.contains_key("enum") {
        out.insert("type".into(), json!("string"));
    }
    let kind = out.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    out.retain(|key, value| match key.as_str() {
        "properties" | "required" => kind == "object",
        "items" => kind == "array",
        "format" => value.as_str().is_some_and(|format| FORMATS.contains(&(kind.as_str(), format))),
        _ => true,
    });
}

/// The type; a list of types is the first one that is not null.
fn kind(fields: &Map<String, Value>, nullable: &mut bool) -> Option<String> {
    const KINDS: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];
    let names: Vec<&str> = match fields.get("type")? {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    *nullable |= names.contains(&"null") && names.len() > 1;
    let name = names.into_iter().find(|name| *name != "null")?.to_ascii_lowercase();
    KINDS.contains(&name.as_str()).then_some(name)
}

fn guessed(fields: &Map<String, Value>) -> Option<String> {
    GUESSES.iter().find(|(word, _)| fields.contains_key(*word)).map(|(_, kind)| (*kind).to_owned())
}

fn list<'s>(fields: &'s Map<String, Value>, key: &str) -> &'s [Value] {
    fields.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Adds one schema to another: properties and requirements of both, else the newer word counts.
fn merge(out: &mut Map<String, Value>, more: Value) {
    let Value::Object(more) = more else { return };
    for (key, value) in more {
        match (out.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(value)) => known.extend(value),
            (Some(Value::Array(known)), Value::Array(value)) if key == "required" => known.extend(value),
            (_, value) => {
                out.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
