//! JSON Schema to the subset that Gemini knows. What is dropped and limits a value goes into the description. Pure.
//!
//! Only schema positions are cleaned: a property may be called `default` or `title`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Deeper schemas are cut; references may go round in circles.
const DEEPEST: usize = 24;
/// Schemas in one, references inlined; more are left out.
const MOST_NODES: usize = 4000;
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

/// Lowers a schema. The result is always an object schema.
pub fn lower(schema: &Value) -> Value {
    let mut lowering = Lowering { root: schema, nodes: 0 };
    let mut lowered = lowering.schema(schema, 0);
    if lowered.get("type").and_then(Value::as_str) != Some("object") {
        lowered = json!({ "type": "object", "properties": {} });
    }
    lowered
}

struct Lowering<'s> {
    root: &'s Value,
    nodes: usize,
}

impl<'s> Lowering<'s> {
    fn schema(&mut self, schema: &'s Value, depth: usize) -> Value {
        self.nodes += 1;
        let Some(fields) = self.resolved(schema) else { return json!({}) };
        if depth > DEEPEST || self.nodes > MOST_NODES {
            return json!({});
        }
        let mut nullable = false;
        let mut merged: Option<Map<String, Value>> = None;
        if let Some(all) = fields.get("allOf").and_then(Value::as_array) {
            let mut out = Map::new();
            for part in all {
                merge(&mut out, self.schema(part, depth + 1));
            }
            merged = Some(out);
        }
        for key in ["anyOf", "oneOf"] {
            let Some(options) = fields.get(key).and_then(Value::as_array) else { continue };
            nullable |= options.iter().any(is_null);
            let strongest =
                options.iter().filter(|option| !is_null(option)).max_by_key(|option| strength(option));
            if let Some(option) = strongest {
                let mut out = merged.take().unwrap_or_default();
                let lowered = self.schema(option, depth + 1);
                merge(&mut out, lowered);
                merged = Some(out);
            }
        }
        let mut out = merged.unwrap_or_default();
        let kind = kind(fields, &mut nullable)
            .or_else(|| out.get("type").and_then(Value::as_str).map(str::to_owned));
        let kind = kind.or_else(|| guessed(fields));
        let mut description =
            fields.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(kind) = &kind {
            out.insert("type".into(), json!(kind));
            self.by_kind(kind, fields, &mut out, depth);
        }
        values(fields, &mut out);
        for limit in LIMITS {
            if let Some(value) = fields.get(limit).filter(|value| !value.is_object()) {
                let space = if description.is_empty() { "" } else { " " };
                let _ = write!(description, "{space}({limit}: {value})");
            }
        }
        if !description.is_empty() {
            out.insert("description".into(), json!(description));
        }
        if nullable || out.get("nullable") == Some(&json!(true)) {
            out.insert("nullable".into(), json!(true));
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
            "object" => {
                let mut properties = match out.remove("properties") {
                    Some(Value::Object(known)) => known,
                    _ => Map::new(),
                };
                for (name, property) in
                    fields.get("properties").and_then(Value::as_object).into_iter().flatten()
                {
                    let lowered = self.schema(property, depth + 1);
                    properties.insert(name.clone(), lowered);
                }
                let required = |from: &Value| from.as_array().cloned().unwrap_or_default();
                let mut names = out.remove("required").map(|known| required(&known)).unwrap_or_default();
                names.extend(fields.get("required").map(required).unwrap_or_default());
                names.retain(|name| name.as_str().is_some_and(|name| properties.contains_key(name)));
                names.dedup();
                if !names.is_empty() {
                    out.insert("required".into(), Value::Array(names));
                }
                out.insert("properties".into(), Value::Object(properties));
            }
            "array" => {
                let items = fields.get("items").filter(|items| items.is_object());
                let items = match items {
                    Some(items) => self.schema(items, depth + 1),
                    None => out.remove("items").unwrap_or_else(|| json!({ "type": "string" })),
                };
                // Items without a type are refused.
                let is_typed = items.get("type").is_some();
                out.insert("items".into(), if is_typed { items } else { json!({ "type": "string" }) });
            }
            _ => {}
        }
    }

    /// The schema, or what it refers to inside of the same document.
    fn resolved(&self, schema: &'s Value) -> Option<&'s Map<String, Value>> {
        let mut schema = schema;
        for _ in 0..DEEPEST {
            let fields = schema.as_object()?;
            let Some(reference) = fields.get("$ref").and_then(Value::as_str) else { return Some(fields) };
            schema = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }
}

/// `const` and `enum` as a list of strings.
fn values(fields: &Map<String, Value>, out: &mut Map<String, Value>) {
    let constant = fields.get("const").map(|value| vec![value.clone()]);
    let Some(values) = constant.or_else(|| fields.get("enum").and_then(Value::as_array).cloned()) else {
        return;
    };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let texts: Vec<String> = values.iter().filter_map(text).filter(|text| !text.is_empty()).collect();
    if !texts.is_empty() && texts.len() <= 500 {
        // Only strings may be listed.
        out.insert("type".into(), json!("string"));
        out.retain(|key, _| !matches!(key.as_str(), "format" | "items" | "properties" | "required"));
        out.insert("enum".into(), json!(texts));
    }
}

/// The type; a list of types is the first one that is not null.
fn kind(fields: &Map<String, Value>, nullable: &mut bool) -> Option<String> {
    const KINDS: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];
    let names: Vec<&str> = match fields.get("type")? {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    *nullable |= names.contains(&"null");
    let name = names.into_iter().find(|name| *name != "null")?.to_ascii_lowercase();
    KINDS.contains(&name.as_str()).then_some(name)
}

/// The type of a schema that names none.
fn guessed(fields: &Map<String, Value>) -> Option<String> {
    let kind = if fields.contains_key("properties") {
        "object"
    } else if fields.contains_key("items") {
        "array"
    } else if fields.contains_key("enum") || fields.contains_key("const") {
        "string"
    } else {
        return None;
    };
    Some(kind.to_owned())
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null") || schema.get("const") == Some(&Value::Null)
}

/// Of several options the one that says most counts.
fn strength(schema: &Value) -> usize {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => 3,
        Some("array") => 2,
        Some(_) => 1,
        None if schema.get("properties").is_some() || schema.get("$ref").is_some() => 3,
        None => 0,
    }
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
mod tests {
    use super::*;

    #[test]
    fn schemas_in_the_subset() {
        let wrap = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
        let cases = [
            (
                json!({ "type": "string", "minLength": 2, "title": "x" }),
                json!({ "type": "string", "description": "(minLength: 2)" }),
            ),
            (json!({ "type": ["string", "null"] }), json!({ "type": "string", "nullable": true })),
            (json!({ "const": 7 }), json!({ "type": "string", "enum": ["7"] })),
            (json!({ "type": "integer", "enum": [1, 2] }), json!({ "type": "string", "enum": ["1", "2"] })),
            (
                json!({ "anyOf": [{ "type": "null" }, { "type": "number" }] }),
                json!({ "type": "number", "nullable": true }),
            ),
            (
                json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
                json!({ "type": "array", "items": { "type": "string" } }),
            ),
            (json!({ "type": "array" }), json!({ "type": "array", "items": { "type": "string" } })),
            (json!({ "type": "string", "format": "uri" }), json!({ "type": "string" })),
            (
                json!({ "type": "string", "format": "date-time" }),
                json!({ "type": "string", "format": "date-time" }),
            ),
            (
                json!({ "allOf": [{ "type": "object", "properties": { "x": { "type": "string" } } }, { "required": ["x"], "properties": { "y": {} } }] }),
                json!({ "type": "object", "properties": { "x": { "type": "string" }, "y": {} } }),
            ),
            (json!({ "$ref": "#/$defs/thing" }), json!({})),
        ];
        for (schema, want) in cases {
            let lowered = lower(&wrap(schema.clone()));
            let mut got = lowered["properties"]["a"].clone();
            if let Some(fields) = got.as_object_mut() {
                fields.retain(|key, _| key != "required");
            }
            assert_eq!(got, want, "{schema}");
        }
    }

    #[test]
    fn references_are_inlined_and_circles_end() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "$schema": "x", "required": ["node", "gone"],
            "properties": { "node": { "$ref": "#/$defs/node" }, "default": { "type": "boolean" } },
            "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } } },
        });
        let lowered = lower(&schema);
        assert_eq!(lowered["required"], json!(["node"]));
        assert_eq!(lowered["properties"]["default"]["type"], "boolean", "a property may have any name");
        assert_eq!(lowered["properties"]["node"]["properties"]["next"]["type"], "object");
        assert!(lowered.to_string().len() < 20_000);
        let wide = json!({ "type": "object", "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } } });
        assert!(lower(&wide).to_string().len() < 1_000_000, "two circles do not explode");
        assert_eq!(lower(&json!(7)), json!({ "type": "object", "properties": {} }));
    }

    proptest::proptest! {
        #[test]
        fn only_known_keys_come_out(
            keys in proptest::collection::vec(("(type|enum|anyOf|items|format|pattern|\\$ref|const|title|not|if)", "[a-z\\[\\]{}\":,0-9]{0,12}"), 0..6),
        ) {
            let mut fields = Map::new();
            for (key, text) in keys {
                fields.insert(key, serde_json::from_str(&text).unwrap_or(json!(text)));
            }
            let lowered = lower(&json!({ "type": "object", "properties": { "a": fields } }));
            const KNOWN: [&str; 8] = ["type", "description", "nullable", "enum", "format", "items", "properties", "required"];
            let property = lowered["properties"]["a"].as_object().cloned().unwrap_or_default();
            proptest::prop_assert!(property.keys().all(|key| KNOWN.contains(&key.as_str())), "{:?}", property);
            proptest::prop_assert_eq!(lower(&lowered), lowered);
        }
    }
}
