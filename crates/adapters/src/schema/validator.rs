//! Enough of JSON Schema to say whether a call is allowed, for the property tests.

use serde_json::Value;

use super::document::pointed_at;

/// Whether the schema allows the value. References begin at `root`.
pub(super) fn allows(root: &Value, schema: &Value, value: &Value) -> bool {
    check(root, schema, value, 0)
}

fn check(root: &Value, schema: &Value, value: &Value, depth: usize) -> bool {
    let Some(fields) = schema.as_object() else { return schema != &Value::Bool(false) };
    assert!(depth < 200, "a schema in a circle: {schema}");
    let inner = |schema: &Value, value: &Value| check(root, schema, value, depth + 1);
    let every = |schemas: &Value, wanted: &dyn Fn(usize, usize) -> bool| {
        let schemas = schemas.as_array().expect("a list of schemas");
        wanted(schemas.iter().filter(|schema| inner(schema, value)).count(), schemas.len())
    };
    fields.iter().all(|(key, rule)| match key.as_str() {
        "$ref" => {
            let path = rule.as_str().expect("a reference is text");
            inner(pointed_at(root, path).unwrap_or_else(|| panic!("{path} leads nowhere")), value)
        }
        "type" => match rule {
            Value::Array(names) => names.iter().any(|name| is_of(name, value)),
            name => is_of(name, value),
        },
        "const" => rule == value,
        "enum" => rule.as_array().expect("values").contains(value),
        "anyOf" => every(rule, &|fit, _| fit > 0),
        "oneOf" => every(rule, &|fit, _| fit == 1),
        "allOf" => every(rule, &|fit, all| fit == all),
        "not" => !inner(rule, value),
        "if" => {
            let branch = if inner(rule, value) { "then" } else { "else" };
            fields.get(branch).is_none_or(|branch| inner(branch, value))
        }
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().expect("a number"))
        }
        "items" => value.as_array().is_none_or(|values| values.iter().all(|value| inner(rule, value))),
        "required" => value.as_object().is_none_or(|members| {
            rule.as_array()
                .expect("names")
                .iter()
                .all(|name| members.contains_key(name.as_str().expect("a name")))
        }),
        "properties" => value.as_object().is_none_or(|members| {
            let rules = rule.as_object().expect("schemas");
            members.iter().all(|(name, member)| rules.get(name).is_none_or(|rule| inner(rule, member)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|members| {
            let known = fields.get("properties").and_then(Value::as_object);
            let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
            members.iter().all(|(name, member)| is_known(name) || inner(rule, member))
        }),
        _ => true,
    })
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a type is text") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("no type: {other}"),
    }
}
