//! Schemas and calls at random: what was allowed is allowed.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use super::tests::{fault, lowered_value};
use super::validator::allows;
use super::{document, list};

/// Choices, one after the other.
struct Choices(Vec<u8>, usize);

impl Choices {
    fn of(&mut self, count: usize) -> usize {
        let choice = self.0.get(self.1).copied().unwrap_or_default();
        self.1 += 1;
        usize::from(choice) % count.max(1)
    }
}

const CASES: u32 = 2000;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_value(choices: &mut Choices) -> Value {
    match choices.of(6) {
        0 => json!("x"),
        1 => json!("y"),
        2 => json!(1),
        3 => json!(null),
        4 => json!({ "a": "x" }),
        _ => json!(["x"]),
    }
}

/// A schema of a property.
fn any_property(choices: &mut Choices, depth: usize, is_closed: bool) -> Value {
    match choices.of(if depth > 2 { 6 } else { 10 }) {
        0 => json!({ "type": "string" }),
        1 => json!({ "type": "integer", "description": "how many" }),
        2 => json!({ "const": "x" }),
        3 => json!({ "type": "string", "enum": ["x", "y"] }),
        4 => json!({ "type": ["string", "null"], "minLength": 1 }),
        5 => json!({}),
        6 => json!({ "$ref": format!("#/$defs/{}", NAMES[choices.of(4)]), "description": "here" }),
        7 => json!({ "$ref": format!("#/$defs/{}", NAMES[choices.of(4)]) }),
        8 => json!({ "type": "array", "items": any_property(choices, depth + 1, is_closed) }),
        _ => any_object(choices, depth + 1, is_closed),
    }
}

/// A schema of objects, of any form. In a closed one no branch leaves a name open.
fn any_object(choices: &mut Choices, depth: usize, is_closed: bool) -> Value {
    let mut fields = Map::new();
    if choices.of(3) > 0 {
        fields.insert("type".into(), json!("object"));
    }
    match choices.of(if depth > 2 { 2 } else { 8 }) {
        2 | 3 => {
            let branches: Vec<Value> =
                (0..=choices.of(3)).map(|_| any_object(choices, depth + 1, is_closed)).collect();
            let null = json!({ "type": "null" });
            let null = (choices.of(4) == 0).then_some(null);
            let key = ["anyOf", "oneOf"][choices.of(2)];
            fields.insert(key.into(), branches.into_iter().chain(null).collect());
        }
        4 => {
            let parts: Vec<Value> =
                (0..=choices.of(2)).map(|_| any_object(choices, depth + 1, is_closed)).collect();
            fields.insert("allOf".into(), json!(parts));
        }
        5 => {
            fields.insert("$ref".into(), json!(format!("#/$defs/{}", NAMES[choices.of(4)])));
        }
        _ => {}
    }
    if choices.of(4) > 0 {
        let mut properties = Map::new();
        for _ in 0..=choices.of(3) {
            let name = NAMES[choices.of(4)];
            properties.insert(name.into(), any_property(choices, depth, is_closed));
        }
        if choices.of(2) == 0 {
            let required: Vec<&String> = properties.keys().take(1 + choices.of(2)).collect();
            fields.insert("required".into(), json!(required));
        }
        fields.insert("properties".into(), Value::Object(properties));
    }
    if is_closed {
        fields.insert("additionalProperties".into(), json!(choices.of(2) == 0));
    }
    Value::Object(fields)
}

fn any_root(choices: &mut Choices, is_closed: bool) -> Value {
    let mut definitions = Map::new();
    for name in NAMES {
        let definition = match choices.of(3) {
            0 => any_property(choices, 3, is_closed),
            _ => any_object(choices, 1, is_closed),
        };
        definitions.insert(name.into(), definition);
    }
    let mut root = any_object(choices, 0, is_closed);
    root["$defs"] = Value::Object(definitions);
    root
}

/// A call as somebody writes it who reads the schema: of each union one branch, names with what is said of them there. `None` where
/// the parts that were chosen contradict each other.
fn written(root: &Value, schema: &Value, choices: &mut Choices, depth: usize) -> Option<Value> {
    let mut chosen = Vec::new();
    let value = write_into(root, schema, choices, &mut chosen, depth)?;
    chosen.iter().all(|part| allows(root, part, &value)).then_some(value)
}

fn write_into<'s>(
    root: &'s Value,
    schema: &'s Value,
    choices: &mut Choices,
    chosen: &mut Vec<&'s Value>,
    depth: usize,
) -> Option<Value> {
    let Some(fields) = schema.as_object().filter(|_| depth < 12) else { return Some(any_value(choices)) };
    let mut parts: Vec<&Value> = list(fields, "allOf").iter().collect();
    for key in ["anyOf", "oneOf"] {
        let options = list(fields, key);
        parts.extend(options.get(choices.of(options.len())));
    }
    parts.extend(document::reference(fields).and_then(|reference| document::pointed_at(root, reference)));
    let mut value = match fields.get("type").and_then(Value::as_str) {
        Some("object") => json!({}),
        Some("integer") => json!(1),
        Some("array") => json!([written(root, &schema["items"], choices, depth + 1)?]),
        Some("string") | None if fields.contains_key("enum") => schema["enum"][choices.of(2)].clone(),
        Some("string") => json!("y"),
        None if fields.contains_key("const") => schema["const"].clone(),
        None if fields.contains_key("properties") || !parts.is_empty() => json!({}),
        _ => any_value(choices),
    };
    for part in parts {
        // Names of which no part speaks are nobody's to write.
        if part.as_object().is_some_and(Map::is_empty) {
            continue;
        }
        let more = write_into(root, part, choices, chosen, depth + 1)?;
        chosen.push(part);
        match (value.as_object_mut(), more) {
            (Some(known), Value::Object(more)) => known.extend(more),
            (_, more) => value = more,
        }
    }
    if let Some(members) = value.as_object_mut() {
        for (name, schema) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if list(fields, "required").iter().any(|required| required == name) || choices.of(2) == 0 {
                members.insert(name.clone(), written(root, schema, choices, depth + 1)?);
            }
        }
    }
    Some(value)
}

/// An object of the known names with any values.
fn any_call(choices: &mut Choices) -> Value {
    let names: Vec<&str> = NAMES.into_iter().filter(|_| choices.of(2) == 0).collect();
    Value::Object(names.into_iter().map(|name| (name.to_owned(), any_value(choices))).collect())
}

/// Makes schemas and calls, and holds that what the old schema allows the new one allows. At least a share of `least` in a hundred
/// calls must be allowed by the old one: else nothing is shown.
fn hold(least: usize, is_closed: bool, call: impl Fn(&Value, &mut Choices) -> Option<Value>) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let allowed = Cell::new(0);
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let choices = prop::collection::vec(any::<u8>(), 400);
    let result = runner.run(&choices, |bytes| {
        let mut choices = Choices(bytes, 0);
        let schema = any_root(&mut choices, is_closed);
        let lowered = lowered_value(&schema);
        prop_assert_eq!(fault(&lowered, &lowered, 0), None, "{} from {}", &lowered, &schema);
        prop_assert_eq!(&lowered_value(&lowered), &lowered);
        for _ in 0..4 {
            if circles(&schema) {
                break;
            }
            let Some(call) = call(&schema, &mut choices) else { continue };
            if !call.is_object() || !allows(&schema, &schema, &call) {
                continue;
            }
            allowed.set(allowed.get() + 1);
            if !allows(&lowered, &lowered, &call) {
                return Err(TestCaseError::fail(format!(
                    "{call}\nis allowed by {schema}\nand not by {lowered}"
                )));
            }
        }
        Ok(())
    });
    if let Err(TestError::Fail(why, _)) = result {
        panic!("{why}");
    }
    assert!(allowed.get() * 100 >= least * 4 * CASES as usize, "only {} calls were allowed", allowed.get());
}

/// Whether a reference leads to itself without an object between: what such a schema allows is not defined.
fn circles(root: &Value) -> bool {
    fn follow(root: &Value, schema: &Value, hops: usize) -> bool {
        let Some(fields) = schema.as_object() else { return false };
        if hops > 20 {
            return true;
        }
        let target = document::reference(fields).and_then(|reference| document::pointed_at(root, reference));
        let parts = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|key| list(fields, key)).chain(target);
        parts.into_iter().any(|part| follow(root, part, hops + 1))
    }
    let definitions = root["$defs"].as_object().into_iter().flat_map(Map::values);
    definitions.chain([root]).any(|schema| follow(root, schema, 0))
}

#[test]
fn every_call_that_can_be_written_from_the_old_schema_is_allowed_by_the_new_one() {
    hold(20, false, |schema, choices| written(schema, schema, choices, 0));
}

#[test]
fn every_call_that_a_schema_without_open_branches_allows_is_allowed_by_the_new_one() {
    hold(10, true, |_, choices| Some(any_call(choices)));
}
