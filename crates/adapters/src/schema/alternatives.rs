//! Two schemas of one name as one: either of them, or both of them. What comes out allows at least what was allowed before.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// Fields that say nothing about what is allowed.
const NOTES: [&str; 5] = ["description", "title", "default", "examples", "$comment"];
/// Fields that count together with each other, and so come from one side.
const OF_LISTS: [&str; 7] =
    ["items", "prefixItems", "additionalItems", "contains", "minContains", "maxContains", "unevaluatedItems"];
/// The same.
const CONDITIONAL: [&str; 3] = ["if", "then", "else"];
/// Deeper parts are not put together.
const MAX_DEPTH: usize = 8;
/// A longer description is not joined with another, in bytes.
const MAX_DESCRIPTION: usize = 1000;

/// Whether a schema allows null and nothing else.
pub(crate) fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null") || schema.get("const") == Some(&Value::Null)
}

/// The one value that a schema allows.
pub(super) fn only_value(schema: &Value) -> Option<Value> {
    match values(schema.as_object()?)?.as_slice() {
        [value] if !value.is_object() && !value.is_array() => Some(value.clone()),
        _ => None,
    }
}

/// The values that a schema lists.
pub(crate) fn values(fields: &Map<String, Value>) -> Option<Vec<Value>> {
    let constant = fields.get("const").map(|value| vec![value.clone()]);
    constant.or_else(|| fields.get("enum").and_then(Value::as_array).cloned())
}

/// Either of several schemas: lists of values are united, the rest become alternatives.
pub(super) fn any(options: Vec<Value>) -> Value {
    let mut options = flattened(options);
    if options.len() < 2 {
        return options.pop().unwrap_or_else(|| json!({}));
    }
    let mut listed: Vec<Value> = Vec::new();
    let mut place = None;
    let mut others: Vec<Value> = Vec::new();
    let mut seen = HashSet::new();
    for option in &options {
        let bare = bare(option);
        if let Some(values) = bare.as_object().filter(|fields| is_list_of_values(fields)).and_then(values) {
            place.get_or_insert(others.len());
            listed.extend(values);
        } else if seen.insert(bare.to_string()) {
            others.push(option.clone());
        }
    }
    if let Some(place) = place {
        others.insert(place, of_values(&unique(listed)));
    }
    let [only] = others.as_mut_slice() else { return json!({ "anyOf": others }) };
    // All say the same: what they say besides is joined.
    let mut only = only.take();
    let description = joined(options.iter().filter_map(|option| option.get("description")?.as_str()));
    if let (Some(fields), Some(description)) = (only.as_object_mut(), description) {
        fields.insert("description".to_owned(), json!(description));
    }
    only
}

/// Each value once, in order.
fn unique(values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut seen = HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.to_string())).collect()
}

/// Alternatives that are nothing but alternatives themselves, as their branches.
fn flattened(options: Vec<Value>) -> Vec<Value> {
    let mut out = Vec::with_capacity(options.len());
    for option in options {
        match option {
            Value::Object(mut fields)
                if fields.len() == 1 && fields.get("anyOf").is_some_and(Value::is_array) =>
            {
                if let Some(Value::Array(inner)) = fields.get_mut("anyOf").map(Value::take) {
                    out.extend(inner);
                }
            }
            Value::Bool(true) => out.push(json!({})),
            option => out.push(option),
        }
    }
    out
}

/// A schema without what says nothing about what is allowed.
fn bare(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.retain(|key, _| !NOTES.contains(&key.as_str()));
    }
    schema
}

/// Nothing but values, and their type.
fn is_list_of_values(fields: &Map<String, Value>) -> bool {
    values(fields).is_some() && fields.keys().all(|key| matches!(key.as_str(), "const" | "enum" | "type"))
}

/// A list of values, with their type where they have one.
fn of_values(values: &[Value]) -> Value {
    let kind = |value: &Value| match value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Null => "null",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let first = values.first().map(kind).filter(|first| values.iter().all(|value| kind(value) == *first));
    match first {
        Some(kind) => json!({ "type": kind, "enum": values }),
        None => json!({ "enum": values }),
    }
}

/// Different descriptions one behind the other, as far as there is room.
fn joined<'d>(descriptions: impl Iterator<Item = &'d str>) -> Option<String> {
    let mut known: Vec<&str> = Vec::new();
    let mut len = 0;
    for description in descriptions.filter(|description| !description.is_empty()) {
        if !known.contains(&description) && (known.is_empty() || len + description.len() <= MAX_DESCRIPTION) {
            len += description.len();
            known.push(description);
        }
    }
    (!known.is_empty()).then(|| known.join(" / "))
}

/// Both of two schemas, field by field. Where they contradict each other one's word counts, for leaving the other out allows more
/// and never less. `open` makes a reference what it refers to: nothing may stand beside one.
pub(super) fn both(one: Value, other: Value, open: &mut dyn FnMut(Value) -> Value) -> Value {
    both_at(one, other, 0, open)
}

fn both_at(one: Value, other: Value, depth: usize, open: &mut dyn FnMut(Value) -> Value) -> Value {
    // Two that refer to themselves have no end.
    if one == other || depth > MAX_DEPTH {
        return one;
    }
    let (mut one, other) = match (open(one), open(other)) {
        (Value::Object(one), Value::Object(other)) => (one, other),
        (Value::Bool(true), other) => return other,
        (one, _) => return one,
    };
    let has_any = |keys: &[&str]| keys.iter().any(|key| one.contains_key(*key));
    let (has_lists, has_conditions) = (has_any(&OF_LISTS), has_any(&CONDITIONAL));
    let has_simple_list = is_simple_list(&one);
    let lists_values = values(&one).is_some();
    for (key, value) in other {
        let is_whole =
            (has_lists && OF_LISTS.contains(&key.as_str()) && !(key == "items" && has_simple_list))
                || (has_conditions && CONDITIONAL.contains(&key.as_str()))
                || key == "unevaluatedProperties";
        if is_whole {
            continue;
        }
        match key.as_str() {
            "const" | "enum" if lists_values => unite_values(&mut one, &key, value),
            // Types that contradict each other: a reference's own word counts, for drafts before 2019 pass over what stands beside it.
            "type" => {
                let kind = one.get("type").map_or(Some(value.clone()), |known| common_type(known, &value));
                one.insert(key, kind.unwrap_or(value));
            }
            "properties" | "patternProperties" => both_named(&mut one, key, value, depth, open),
            "required" | "allOf" => append(&mut one, &[key.as_str()], key.clone(), value),
            "items" => {
                let items = match one.get_mut("items").map(Value::take) {
                    Some(known) => both_at(known, value, depth + 1, open),
                    None => value,
                };
                one.insert(key, items);
            }
            "anyOf" | "oneOf" if one.contains_key("anyOf") || one.contains_key("oneOf") => {
                append(&mut one, &["oneOf", "anyOf"], "anyOf".to_owned(), value);
            }
            "additionalProperties" if value == json!(false) => {
                one.insert(key, value);
            }
            _ => {
                one.entry(key).or_insert(value);
            }
        }
    }
    Value::Object(one)
}

/// Puts the lists of these keys and one more together under `key`.
fn append(one: &mut Map<String, Value>, keys: &[&str], key: String, more: Value) {
    let known: Vec<Value> =
        keys.iter().filter_map(|key| one.get_mut(*key).map(Value::take)).chain([more]).collect();
    let all =
        known.into_iter().filter_map(|list| if let Value::Array(list) = list { Some(list) } else { None });
    let all = unique(all.flatten());
    keys.iter().filter(|other| **other != key).for_each(|other| {
        one.shift_remove(*other);
    });
    one.insert(key, Value::Array(all));
}

/// `items` is one schema for all, and nothing else is said of a list's elements.
fn is_simple_list(fields: &Map<String, Value>) -> bool {
    OF_LISTS.iter().filter(|key| fields.contains_key(**key)).eq([&"items"])
        && fields.get("items").is_some_and(Value::is_object)
}

/// The values of both sides: also what is contradicted is seen.
fn unite_values(one: &mut Map<String, Value>, key: &str, value: Value) {
    let known = values(one).unwrap_or_default();
    let more = if key == "const" { vec![value] } else { value.as_array().cloned().unwrap_or_default() };
    one.shift_remove("const");
    one.insert("enum".to_owned(), Value::Array(unique(known.into_iter().chain(more))));
}

fn both_named(
    one: &mut Map<String, Value>,
    key: String,
    value: Value,
    depth: usize,
    open: &mut dyn FnMut(Value) -> Value,
) {
    let Value::Object(more) = value else { return };
    let known = one.entry(key).or_insert_with(|| json!({}));
    let Some(known) = known.as_object_mut() else { return };
    for (name, schema) in more {
        let schema = match known.get_mut(&name) {
            Some(known) => both_at(known.take(), schema, depth + 1, open),
            None => schema,
        };
        known.insert(name, schema);
    }
}

/// The types that two fields `type` share; `None` where there are none.
fn common_type(one: &Value, other: &Value) -> Option<Value> {
    let names = |value: &Value| match value {
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        value => value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
    };
    let (one, other) = (names(one), names(other));
    let fits = |name: &String| {
        let narrower = name == "integer" && other.iter().any(|other| other == "number");
        if other.contains(name) || narrower {
            Some(name.clone())
        } else {
            (name == "number" && other.iter().any(|other| other == "integer")).then(|| "integer".to_owned())
        }
    };
    let common: Vec<String> = one.iter().filter_map(fits).collect();
    match common.as_slice() {
        [] => None,
        [only] => Some(json!(only)),
        several => Some(json!(several)),
    }
}
