//! One schema where JSON Schema offers several: Gemini's subset has no alternatives.

use serde_json::Value;

use crate::schema::{is_null, values};

/// The values of alternatives that are nothing but values: `anyOf: [{const: a}, {const: b}]`. `None` where one is more.
pub(super) fn one_of(options: &[Value]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for option in options.iter().filter(|option| !is_null(option)) {
        let fields = option.as_object()?;
        all.extend(texts(&values(fields)?));
    }
    (!all.is_empty()).then_some(all)
}

/// Of several alternatives the one that says most; the first of those that say as much.
pub(super) fn strongest(options: &[Value]) -> Option<&Value> {
    options.iter().rev().filter(|option| !is_null(option)).max_by_key(|option| strength(option))
}

/// Values as the strings that may be listed, each once.
pub(super) fn texts(values: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for value in values {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn strength(schema: &Value) -> usize {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => 3,
        Some("array") => 2,
        Some(_) => 1,
        None if schema.get("properties").is_some() || schema.get("$ref").is_some() => 3,
        None => 0,
    }
}
