//! Google's form of a schema to JSON Schema: types in capitals, `nullable`, numbers in strings. Pure.
//!
//! Only schema positions are changed: a property may be called `type`, and an enum may hold the word `STRING`.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// The types as Google writes them.
const TYPES: [&str; 7] = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];
/// Limits that travel as strings, because they are 64 bits wide.
const WIDE: [&str; 6] = ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
/// Spellings that are accepted beside the documented ones.
const SPELLINGS: [(&str, &str); 9] = [
    ("any_of", "anyOf"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
    ("property_ordering", "propertyOrdering"),
    ("additional_properties", "additionalProperties"),
];
/// Fields whose values are schemas by name.
const BY_NAME: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// Fields that hold one schema, or a list of them.
const INSIDE: [&str; 9] = [
    "anyOf",
    "oneOf",
    "allOf",
    "prefixItems",
    "items",
    "additionalProperties",
    "not",
    "contains",
    "propertyNames",
];

/// A schema in Google's form, as JSON Schema. `None` when it cannot be read.
pub(super) fn raise(raw: &RawValue) -> Option<Box<RawValue>> {
    let mut schema: Value = serde_json::from_str(raw.get()).ok()?;
    schema.as_object()?;
    raise_one(&mut schema);
    to_raw_value(&schema).ok()
}

/// A schema that is meant to be JSON Schema. Clients put Google's form there as well; anything else passes untouched.
pub(super) fn pass(raw: &RawValue) -> Option<Box<RawValue>> {
    let text = raw.get();
    let has_capitals = TYPES.iter().any(|kind| text.contains(&format!("\"{kind}\"")));
    if has_capitals { raise(raw) } else { text.starts_with('{').then(|| raw.to_owned()) }
}

fn raise_one(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for (other, name) in SPELLINGS {
        if let Some(value) = fields.shift_remove(other) {
            fields.entry(name).or_insert(value);
        }
    }
    for key in BY_NAME {
        if let Some(Value::Object(schemas)) = fields.get_mut(key) {
            schemas.values_mut().for_each(raise_one);
        }
    }
    for key in INSIDE {
        match fields.get_mut(key) {
            Some(Value::Array(schemas)) => schemas.iter_mut().for_each(raise_one),
            Some(inner) => raise_one(inner),
            None => {}
        }
    }
    types(fields);
    for key in WIDE {
        if let Some(number) = fields.get(key).and_then(Value::as_str).map(str::parse::<u64>) {
            match number {
                Ok(number) => fields.insert(key.to_owned(), json!(number)),
                Err(_) => fields.shift_remove(key),
            };
        }
    }
    fields.shift_remove("propertyOrdering");
    if fields.get("format") == Some(&json!("enum")) {
        fields.shift_remove("format");
    }
    if let Some(example) = fields.shift_remove("example") {
        fields.entry("examples").or_insert_with(|| json!([example]));
    }
}

/// The type in small letters; `nullable` becomes one more type.
fn types(fields: &mut Map<String, Value>) {
    let nullable = fields.shift_remove("nullable") == Some(json!(true));
    match fields.get_mut("type") {
        Some(Value::String(kind)) if kind == "TYPE_UNSPECIFIED" => {
            fields.shift_remove("type");
        }
        Some(kind) => lower(kind),
        None => {}
    }
    if !nullable {
        return;
    }
    match fields.get("type").cloned() {
        Some(Value::String(kind)) if kind != "null" => {
            fields.insert("type".to_owned(), json!([kind, "null"]));
            // A list of values holds for every type.
            if let Some(Value::Array(values)) = fields.get_mut("enum")
                && !values.contains(&Value::Null)
            {
                values.push(Value::Null);
            }
        }
        None if fields.contains_key("anyOf") => {
            if let Some(Value::Array(options)) = fields.get_mut("anyOf") {
                options.push(json!({ "type": "null" }));
            }
        }
        _ => {}
    }
}

fn lower(kind: &mut Value) {
    match kind {
        Value::String(name) if TYPES.contains(&name.as_str()) => name.make_ascii_lowercase(),
        Value::Array(names) => names.iter_mut().for_each(lower),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(text: &str) -> String {
        let raw = RawValue::from_string(text.to_owned()).expect("JSON");
        raise(&raw).expect("a schema").get().to_owned()
    }

    #[test]
    fn the_form_of_google_becomes_json_schema() {
        let cases = [
            (r#"{"type":"STRING"}"#, r#"{"type":"string"}"#),
            (r#"{"type":"TYPE_UNSPECIFIED","title":"t"}"#, r#"{"title":"t"}"#),
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","enum":["STRING"],"format":"enum"}},"required":["type"],"propertyOrdering":["type"]}"#,
                r#"{"type":"object","properties":{"type":{"type":"string","enum":["STRING"]}},"required":["type"]}"#,
            ),
            (
                r#"{"type":"ARRAY","items":{"type":"INTEGER","format":"int64"},"minItems":"1","max_items":9,"maxLength":"x"}"#,
                r#"{"type":"array","items":{"type":"integer","format":"int64"},"minItems":1,"maxItems":9}"#,
            ),
            (r#"{"type":"NUMBER","nullable":true}"#, r#"{"type":["number","null"]}"#),
            (
                r#"{"type":"STRING","nullable":true,"enum":["a"],"example":"a"}"#,
                r#"{"type":["string","null"],"enum":["a",null],"examples":["a"]}"#,
            ),
            (
                r#"{"any_of":[{"type":"STRING"},{"type":"BOOLEAN"}],"nullable":true}"#,
                r#"{"anyOf":[{"type":"string"},{"type":"boolean"},{"type":"null"}]}"#,
            ),
            (r#"{"type":["STRING","NULL"],"nullable":false}"#, r#"{"type":["string","null"]}"#),
            (r#"{"properties":7,"items":true}"#, r#"{"properties":7,"items":true}"#),
            (r#"{"items":[{"type":"STRING"},7]}"#, r#"{"items":[{"type":"string"},7]}"#),
        ];
        for (google, json) in cases {
            let (got, want): (Value, Value) = (
                serde_json::from_str(&raised(google)).expect("JSON"),
                serde_json::from_str(json).expect("JSON"),
            );
            assert_eq!(got, want, "{google}");
        }
    }

    #[test]
    fn json_schema_passes_untouched() {
        let text = r#"{ "type": "object", "nullable": true, "minItems": "1" }"#;
        let raw = RawValue::from_string(text.to_owned()).expect("JSON");
        assert_eq!(pass(&raw).expect("a schema").get(), text);
        let raw = RawValue::from_string("[1]".to_owned()).expect("JSON");
        assert!(pass(&raw).is_none() && raise(&raw).is_none());
    }
}
