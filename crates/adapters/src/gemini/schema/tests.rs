use proptest::prelude::*;

use super::*;

#[test]
fn schemas_in_the_subset() {
    let cases = [
        (
            json!({ "type": "string", "minLength": 2, "title": "x" }),
            json!({ "type": "string", "description": "(minLength: 2)" }),
        ),
        (
            json!({ "type": "integer", "description": "How many.", "exclusiveMinimum": 0, "default": 3 }),
            json!({ "type": "integer", "description": "How many. (default: 3) (exclusiveMinimum: 0)" }),
        ),
        (json!({ "type": ["string", "null"] }), json!({ "type": "string", "nullable": true })),
        (json!({ "const": 7 }), json!({ "type": "string", "enum": ["7"] })),
        (json!({ "type": "integer", "enum": [1, 2] }), json!({ "type": "string", "enum": ["1", "2"] })),
        (json!({ "enum": ["a", null, "a"] }), json!({ "type": "string", "enum": ["a"], "nullable": true })),
        (
            json!({ "anyOf": [{ "type": "null" }, { "type": "number" }] }),
            json!({ "type": "number", "nullable": true }),
        ),
        (
            json!({ "anyOf": [{ "const": "a" }, { "const": "b" }, { "type": "null" }] }),
            json!({ "type": "string", "enum": ["a", "b"], "nullable": true }),
        ),
        (
            json!({ "anyOf": [{ "type": "string" }, { "type": "number" }], "description": "either" }),
            json!({ "type": "string", "description": "either (or: {\"type\":\"number\"})" }),
        ),
        (
            json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
            json!({ "type": "array", "items": { "type": "string" }, "description": "(or: {\"type\":\"string\"})" }),
        ),
        (json!({ "type": "array" }), json!({ "type": "array", "items": { "type": "string" } })),
        (
            json!({ "type": "array", "items": { "description": "any" } }),
            json!({ "type": "array", "items": { "type": "string", "description": "any" } }),
        ),
        (
            json!({ "prefixItems": [{ "type": "number" }] }),
            json!({ "type": "array", "items": { "type": "number" } }),
        ),
        (json!({ "type": "string", "format": "uri" }), json!({ "type": "string" })),
        (
            json!({ "type": "string", "format": "date-time" }),
            json!({ "type": "string", "format": "date-time" }),
        ),
        (
            json!({ "allOf": [{ "type": "object", "properties": { "x": { "type": "string" } } }, { "required": ["x", "x", "gone"] }, { "description": "both" }], "properties": { "y": true } }),
            json!({ "type": "object", "description": "both", "properties": { "x": { "type": "string" }, "y": { "type": "string" } } }),
        ),
        (
            json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            json!({ "type": "object", "properties": {} }),
        ),
        (json!({ "$ref": "#/$defs/thing" }), json!({ "type": "string" })),
        (json!({ "$ref": "https://elsewhere.test/s.json" }), json!({ "type": "string" })),
        (json!({ "allOf": [{ "items": null }, { "type": "string" }] }), json!({ "type": "string" })),
        (json!({ "const": null }), json!({ "type": "string", "nullable": true })),
        (json!({ "type": "string", "nullable": true }), json!({ "type": "string", "nullable": true })),
        (json!({}), json!({ "type": "string" })),
        (json!(true), json!({ "type": "string" })),
        (json!({ "type": "null" }), json!({ "type": "string" })),
    ];
    for (schema, want) in cases {
        let rewritten = rewrite(&json!({ "type": "object", "properties": { "a": schema } }));
        assert_eq!(rewritten["properties"]["a"], want, "{schema}");
    }
}

#[test]
fn requirements_of_parts_are_joined() {
    let rewritten = rewrite(&json!({
        "type": "object", "required": ["a", "b", "a", "gone"],
        "allOf": [{ "required": ["b"], "properties": { "b": {} } }],
        "properties": { "a": { "type": "string" } },
    }));
    assert_eq!(rewritten["required"], json!(["b", "a"]));
}

#[test]
fn references_are_inlined_with_what_is_said_beside_them() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "$schema": "x", "required": ["size", "gone"],
        "properties": {
            "size": { "$ref": "#/$defs/size", "description": "Of the picture." },
            "default": { "type": "boolean" },
        },
        "$defs": { "size": { "$ref": "#/$defs/number" }, "number": { "type": "number", "description": "A number." } },
    });
    let want = json!({
        "type": "object", "required": ["size"],
        "properties": {
            "size": { "type": "number", "description": "Of the picture." },
            "default": { "type": "boolean" },
        },
    });
    assert_eq!(rewrite(&schema), want);
    assert_eq!(rewrite(&json!(7)), json!({ "type": "object", "properties": {} }));
}

#[test]
fn circles_end_where_they_begin_again() {
    let schema = json!({
        "type": "object",
        "properties": { "left": { "$ref": "#" }, "node": { "$ref": "#/$defs/node" }, "last": { "type": "boolean" } },
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" }, "all": { "type": "array", "items": { "$ref": "#/$defs/node" } } } } },
    });
    let empty = json!({ "type": "object", "properties": {} });
    let want = json!({
        "type": "object",
        "properties": {
            "left": empty,
            "node": { "type": "object", "properties": { "next": empty, "all": { "type": "array", "items": empty } } },
            "last": { "type": "boolean" },
        },
    });
    assert_eq!(rewrite(&schema), want);
    let itself = json!({ "type": "object", "properties": { "a": { "$ref": "#/properties/a" } } });
    assert_eq!(rewrite(&itself)["properties"]["a"], json!({ "type": "string" }));
}

#[test]
fn references_that_double_do_not_explode() {
    let mut definitions = Map::new();
    for level in 0..14 {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        definitions.insert(
            format!("d{level}"),
            json!({ "type": "object", "properties": { "left": next, "right": next } }),
        );
    }
    let schema = json!({
        "type": "object", "$defs": definitions,
        "properties": { "bomb": { "$ref": "#/$defs/d0" }, "own": { "type": "number", "description": "kept" } },
    });
    let rewritten = rewrite(&schema);
    assert!(rewritten.to_string().len() < 2 * MAX_INLINED_BYTES, "{} bytes", rewritten.to_string().len());
    assert_eq!(rewritten["properties"]["own"], json!({ "type": "number", "description": "kept" }));
}

/// Any JSON made of the words of JSON Schema.
fn any_schema() -> impl Strategy<Value = Value> {
    const WORDS: &str = "type|enum|const|anyOf|oneOf|allOf|items|prefixItems|properties|required|format|pattern|\\$ref|\\$defs|title|not|if|default|minimum|description|nullable|additionalProperties|x";
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        (-3i64..3).prop_map(|value| json!(value)),
        "(object|array|string|integer|NUMBER|null|date-time|#|#/properties/x|#/\\$defs/x|x|)"
            .prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((WORDS, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What is wrong with a rewritten schema.
fn fault(schema: &Value) -> Option<String> {
    const KNOWN: [&str; 8] =
        ["type", "description", "nullable", "enum", "format", "items", "properties", "required"];
    let fields = schema.as_object()?;
    if let Some(key) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Some(format!("the key {key}"));
    }
    let properties = fields.get("properties").and_then(Value::as_object);
    let known =
        |name: &Value| name.as_str().is_some_and(|name| properties.is_some_and(|all| all.contains_key(name)));
    if !fields.get("required").and_then(Value::as_array).is_none_or(|names| names.iter().all(known)) {
        return Some("a required property that is none".to_owned());
    }
    let is_whole = match schema["type"].as_str() {
        Some("object") => properties.is_some(),
        Some("array") => fields.get("items").is_some_and(Value::is_object),
        Some("string" | "number" | "integer" | "boolean") => true,
        _ => false,
    };
    if !is_whole {
        return Some(format!("no whole type: {schema}"));
    }
    properties.into_iter().flat_map(Map::values).chain(fields.get("items")).find_map(fault)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_the_subset_comes_out(properties in any_schema(), x in any_schema()) {
        let rewritten = rewrite(&json!({ "type": "object", "properties": { "a": properties, "x": x }, "$defs": { "x": x } }));
        prop_assert_eq!(fault(&rewritten), None, "{}", rewritten);
        prop_assert_eq!(rewrite(&rewritten), rewritten);
    }

    #[test]
    fn a_root_of_any_kind_becomes_an_object(root in any_schema()) {
        let rewritten = rewrite(&root);
        prop_assert_eq!(&rewritten["type"], "object");
        prop_assert_eq!(fault(&rewritten), None, "{}", rewritten);
    }
}
