use super::validator::allows;
use super::*;

fn raw(schema: &Value) -> Box<RawValue> {
    RawValue::from_string(schema.to_string()).expect("JSON")
}

pub(super) fn lowered_value(schema: &Value) -> Value {
    lowered(&raw(schema)).map_or_else(|| schema.clone(), |raw| serde_json::from_str(raw.get()).expect("JSON"))
}

/// What a provider refuses.
pub(super) fn fault(root: &Value, schema: &Value, depth: usize) -> Option<String> {
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
fn what_forbids_inside_of_a_property_is_loosened_with_the_rest() {
    let union = json!({
        "not": { "$ref": "#/$defs/text", "description": "no text" },
        "if": { "type": "string" }, "then": { "minLength": 2 },
        "oneOf": [{ "$ref": "#/$defs/text", "type": "object" }, { "type": "string", "minLength": 1 }],
    });
    let schema =
        json!({ "type": "object", "properties": { "a": union }, "$defs": { "text": { "type": "string" } } });
    let lowered = lowered_value(&schema);
    assert_eq!(fault(&lowered, &lowered, 0), None);
    let want = json!({
        "anyOf": [{ "minLength": 2 }, {}],
        "allOf": [{ "anyOf": [{ "type": "string" }, { "type": "string", "minLength": 1 }] }],
    });
    assert_eq!(lowered["properties"]["a"], want);
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
        for lowered in [lower(&schema), unions::merged(&lower(&schema))] {
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

#[test]
fn alternatives_inside_of_a_property_are_merged_for_a_provider_that_has_none() {
    let one = json!({ "type": "object", "properties": { "kind": { "const": "a" }, "left": { "anyOf": [{ "$ref": "#/$defs/b" }, { "properties": { "deep": { "type": "string" } } }] } }, "required": ["kind"] });
    let schema = json!({
        "type": "object",
        "properties": { "x": { "oneOf": [{ "type": "null" }, one, { "$ref": "#/$defs/b" }, { "type": "string" }] } },
        "$defs": { "b": { "type": "object", "properties": { "kind": { "const": "b" }, "right": { "type": "integer" } }, "required": ["kind"] } },
    });
    let raw = raw(&schema);
    let merged = without_unions(&raw).expect("a schema");
    let options = merged["properties"]["x"]["anyOf"].as_array().expect("options");
    assert_eq!(
        (options.len(), &options[0]["type"], &options[2]["type"]),
        (3, &json!("null"), &json!("string"))
    );
    let properties = options[1]["properties"].as_object().expect("properties");
    assert_eq!(properties["kind"], json!({ "type": "string", "enum": ["a", "b"] }));
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["kind", "left", "right"]);
    let left = &properties["left"]["anyOf"];
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert!(left[0]["properties"]["deep"].is_object() && left[0]["properties"]["right"].is_object());
}
