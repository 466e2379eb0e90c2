use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};

use super::validator::allows;
use super::*;

fn raw(schema: &Value) -> Box<RawValue> {
    RawValue::from_string(schema.to_string()).expect("JSON")
}

fn lowered_value(schema: &Value) -> Value {
    lowered(&raw(schema)).map_or_else(|| schema.clone(), |raw| serde_json::from_str(raw.get()).expect("JSON"))
}

/// What a provider refuses.
fn fault(root: &Value, schema: &Value, depth: usize) -> Option<String> {
    if depth == 0 {
        let keys = ["oneOf", "anyOf", "allOf", "not", "enum", "const", "$ref"];
        if schema["type"] != "object" || keys.iter().any(|key| schema.get(*key).is_some()) {
            return Some(format!("the root: {schema}"));
        }
    }
    let fields = schema.as_object()?;
    if let Some(reference) = document::reference(fields) {
        if fields.len() > 1 {
            return Some(format!("something beside a reference: {schema}"));
        }
        return document::pointed_at(root, reference).is_none().then(|| format!("{reference} leads nowhere"));
    }
    fields.iter().find_map(|(key, value)| match (document::children_of(key), value) {
        (Some(document::Children::Named), Value::Object(named)) => {
            named.values().find_map(|child| fault(root, child, depth + 1))
        }
        (Some(document::Children::Schemas), Value::Array(children)) => {
            children.iter().find_map(|child| fault(root, child, depth + 1))
        }
        (Some(document::Children::Schemas), child) => fault(root, child, depth + 1),
        _ => None,
    })
}

#[test]
fn what_is_right_goes_out_byte_for_byte() {
    let right = [
        r#"{"type":"object","properties":{}}"#,
        r#"{ "properties": {"a": {"anyOf": [{"type":"string"},{"type":"null"}], "x": 1.0e3}}, "type" : "object" }"#,
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/a"},"b":{"$ref":"#"}},"$defs":{"a":{"type":"string"}}}"##,
        r#"{"type":"object","properties":{"$ref":{"type":"string"},"oneOf":{"const":"$ref\""}},"required":["$ref"]}"#,
        r#"{"type":"object","properties":{"a":{"default":{"$ref":"x","y":1}}},"additionalProperties":false}"#,
    ];
    for schema in right {
        let schema = RawValue::from_string(schema.to_owned()).expect("JSON");
        assert!(lowered(&schema).is_none(), "{schema}");
    }
    let mut notes = Vec::new();
    let mut tool = Tool { name: "a".into(), description: None, parameters: None, strict: None };
    assert_eq!(parameters(&tool, &mut notes).get(), wording::EMPTY_SCHEMA);
    tool.parameters = RawValue::from_string(right[1].to_owned()).ok();
    assert_eq!(parameters(&tool, &mut notes).get(), right[1]);
}

#[test]
fn roots_of_every_kind_become_objects() {
    let name = json!({ "type": "string", "description": "who" });
    let object = json!({ "type": "object", "properties": { "name": name }, "required": ["name"] });
    let same = [
        json!({ "$ref": "#/$defs/a", "$defs": { "a": object } }),
        json!({ "$ref": "#/definitions/a", "type": "object", "definitions": { "a": { "$ref": "#/definitions/b" }, "b": object } }),
        json!({ "anyOf": [{ "type": "null" }, object] }),
        json!({ "oneOf": [{ "oneOf": [{ "anyOf": [object] }, { "enum": [null] }] }, { "const": null }] }),
        json!({ "allOf": [{ "properties": { "name": { "type": "string" } } }, { "required": ["name"], "properties": { "name": { "description": "who" } } }] }),
        json!({ "type": ["object", "null"], "properties": { "name": name }, "required": ["name"] }),
        json!({ "properties": { "name": name }, "required": ["name"] }),
        json!({ "type": "object", "not": { "required": ["b"] }, "properties": { "name": name }, "required": ["name"] }),
    ];
    for schema in same {
        assert_eq!(lowered_value(&schema), object, "{schema}");
    }
    for schema in [
        json!({}),
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!("x"),
        json!({ "type": null }),
        json!({ "$ref": "#" }),
        json!({ "$ref": "https://elsewhere.test/s.json" }),
        json!({ "type": "string" }),
    ] {
        assert_eq!(lowered_value(&schema), json!({ "type": "object", "properties": {} }), "{schema}");
    }
}

#[test]
fn branches_are_merged() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": { "day": { "type": "string", "enum": ["mon", "tue"] } },
        "oneOf": [
            { "type": "object", "properties": { "mode": { "const": "create" }, "day": { "$ref": "#/$defs/day", "type": "string", "description": "which day" } }, "required": ["mode", "day"] },
            { "oneOf": [{ "type": "object", "properties": { "mode": { "const": "drop" }, "id": { "type": "string" } }, "required": ["mode", "id"] }] },
        ],
    });
    let want = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "Give one of these sets of arguments: `mode` = \"create\", `day`; or `mode` = \"drop\", `id`.",
        "properties": {
            "mode": { "type": "string", "enum": ["create", "drop"] },
            "day": { "type": "string", "description": "which day", "enum": ["mon", "tue"] },
            "id": { "type": "string" },
        },
        "required": ["mode"],
    });
    let lowered = lowered_value(&schema);
    assert_eq!(lowered.to_string(), want.to_string(), "in this order");
    for call in [json!({ "mode": "create", "day": "mon" }), json!({ "mode": "drop", "id": "7" })] {
        assert!(allows(&schema, &schema, &call) && allows(&lowered, &lowered, &call), "{call}");
    }
}

#[test]
fn a_name_with_several_meanings_has_all_of_them() {
    let property = |options: [Value; 2]| {
        let branch = |schema: &Value| json!({ "type": "object", "properties": { "a": schema } });
        lowered_value(&json!({ "anyOf": [branch(&options[0]), branch(&options[1])] }))["properties"]["a"]
            .clone()
    };
    let (text, number) =
        (json!({ "type": "string" }), json!({ "type": "number", "description": "how many" }));
    assert_eq!(property([text.clone(), number.clone()]), json!({ "anyOf": [text, number] }));
    assert_eq!(
        property([
            json!({ "type": "string", "description": "one" }),
            json!({ "type": "string", "description": "two" })
        ]),
        json!({ "type": "string", "description": "one / two" })
    );
    assert_eq!(
        property([json!({ "enum": [1, 2] }), json!({ "const": "x" })]),
        json!({ "enum": [1, 2, "x"] })
    );
    assert_eq!(
        property([json!({ "const": "x" }), number.clone()]),
        json!({ "anyOf": [{ "type": "string", "enum": ["x"] }, number] })
    );
    assert_eq!(
        property([text.clone(), json!({ "anyOf": [text, { "type": "null" }] })]),
        json!({ "anyOf": [text, { "type": "null" }] })
    );
}

#[test]
fn what_only_one_branch_says_of_a_name_narrows_nothing() {
    let schema = json!({
        "type": "object",
        "properties": { "kind": { "type": "string" }, "level": { "type": "integer" } },
        "required": ["kind"],
        "oneOf": [
            { "properties": { "kind": { "const": "short" }, "level": { "enum": [1, 2] } }, "required": ["level"] },
            { "properties": { "kind": { "const": "long" } } },
        ],
        "if": { "properties": { "kind": { "const": "long" } } },
        "then": { "properties": { "note": { "type": "string" } }, "required": ["note"] },
    });
    let lowered = lowered_value(&schema);
    assert_eq!(fault(&lowered, &lowered, 0), None);
    assert_eq!(lowered["required"], json!(["kind"]));
    for call in [json!({ "kind": "short", "level": 1 }), json!({ "kind": "long", "level": 5, "note": "x" })] {
        assert!(allows(&schema, &schema, &call) && allows(&lowered, &lowered, &call), "{call}");
    }
    for word in ["short", "long", "level", "note", "1,2"] {
        assert!(lowered.to_string().contains(word), "{word} in {lowered}");
    }
}

#[test]
fn references_stand_alone_and_lead_somewhere() {
    let lowered = lowered_value(&json!({
        "type": "object",
        "properties": {
            "a": { "$ref": "#/$defs/node", "description": "the first" },
            "b": { "$ref": "#/$defs/gone" },
            "c": { "$ref": "#/$defs/gone", "type": "string" },
            "d": { "$ref": "#/properties/a", "nullable": true },
            "e": { "type": "object", "properties": { "f": { "$ref": "#/$defs/inner" } }, "$defs": { "inner": { "type": "integer" } } },
            "g": { "$ref": "#/definitions/a~1b%20c", "title": "x" },
            "h": { "$ref": "#here", "default": 1 },
            "i": { "$ref": "#/$defs/loop", "title": "x" },
        },
        "$defs": {
            "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node", "description": "the next" }, "last": { "$ref": "#/$defs/node" } } },
            "loop": { "$ref": "#/$defs/loop2", "title": "y" }, "loop2": { "$ref": "#/$defs/loop", "title": "z" },
            "unused": { "$ref": "#/$defs/gone" }, "anchored": { "$anchor": "here", "type": "number" },
        },
        "definitions": { "a/b c": { "type": "boolean" } },
    }));
    assert_eq!(fault(&lowered, &lowered, 0), None);
    let properties = &lowered["properties"];
    assert_eq!(properties["a"]["description"], "the first");
    assert_eq!(properties["a"]["properties"]["next"], json!({ "$ref": "#/$defs/node" }));
    assert_eq!((&properties["b"], &properties["c"]), (&json!({}), &json!({ "type": "string" })));
    assert_eq!(properties["e"]["properties"]["f"], json!({ "type": "integer" }));
    assert_eq!((&properties["g"]["type"], &properties["h"]["type"]), (&json!("boolean"), &json!("number")));
    assert_eq!(
        lowered["$defs"].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>()),
        Some(["node", "loop", "loop2"].map(str::to_owned).to_vec())
    );
}

#[test]
fn hostile_schemas_are_bounded_work() {
    let mut definitions = Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1), "description": "x" });
        let twice = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        definitions.insert(
            format!("d{level}"),
            json!({ "allOf": [twice, twice], "properties": { "left": next, "right": next } }),
        );
    }
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "anyOf": [deep, { "type": "null" }] });
    }
    let wide: Vec<Value> =
        (0..3000).map(|name| json!({ "properties": { format!("p{name}"): { "const": name }, "kind": { "const": name } }, "required": ["kind"] })).collect();
    for schema in [
        json!({ "$ref": "#/$defs/d0", "$defs": definitions }),
        json!({ "oneOf": [{ "properties": { "a": deep } }, deep] }),
        json!({ "oneOf": wide }),
    ] {
        for unions in [Unions::Kept, Unions::Merged] {
            let lowered = lower(&schema, unions);
            assert_eq!(fault(&lowered, &lowered, 0), None);
            assert!(lowered.to_string().len() < schema.to_string().len() * 2 + 4 * document::MAX_INLINED);
        }
    }
}

#[test]
fn declarations_are_lowered_where_they_stand() {
    let union = r#"{"oneOf":[{"properties":{"a":{"type":"string"}}}]}"#;
    let merged = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#;
    let list = |schema: &str| {
        RawValue::from_string(format!(
            r#"[{{"type":"function","function":{{"name":"chat" , "parameters":{schema}}}}},{{"name":"m","input_schema":{schema},"cache_control":{{"x":1.0e3}}}},{{"type":"namespace","name":"n","tools":[{{"type":"function","name":"f","parameters":{schema}}}]}},{{"type":"web_search","parameters":null}}]"#
        ))
        .expect("JSON")
    };
    let (before, after) = (list(union), list(merged));
    let changed = lower_declarations(&before);
    assert_eq!(
        serde_json::from_str::<Value>(&changed).expect("JSON"),
        serde_json::from_str::<Value>(after.get()).expect("JSON")
    );
    assert!(changed.contains(r#""cache_control":{"x":1.0e3}"#));
    assert_eq!(lower_declarations(&after), Cow::Borrowed(after.get()));
}

/// Choices, one after the other.
struct Choices(Vec<u8>, usize);

impl Choices {
    fn of(&mut self, count: usize) -> usize {
        let choice = self.0.get(self.1).copied().unwrap_or_default();
        self.1 += 1;
        usize::from(choice) % count.max(1)
    }
}

const CASES: u32 = 3000;
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
    let allowed = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(config);
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
