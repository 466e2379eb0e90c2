//! K20: a tool's output that is JSON goes to Gemini as text.

use serde_json::Value;

use super::any_protocol::{CLIENTS, Conversation, ask, harness, request, says};
use crate::support::field_report::FieldReport;

/// Whether a key begins with a dollar sign, at any depth.
fn has_dollar_key(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.starts_with('$') || has_dollar_key(value))
        }
        Value::Array(all) => all.iter().any(has_dollar_key),
        _ => false,
    }
}

#[test]
fn a_schema_that_a_tool_printed() {
    let report = FieldReport::load("K20-json-output-to-gemini");
    let harness = report.start("", has_dollar_key);
    report.ask(&harness, &report.request()).assert_completed();
    let requests = harness.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].text.contains("$ref") && requests[0].text.contains("#/defs/x"));
}

#[test]
fn every_client_and_every_json() {
    let harness = harness("gemini", "", says("gemini", &["ok"]));
    let printed = [
        r##"{"$ref":"#/a"}"##,
        r#"{"a":[{"b":{"$schema":"x"}}]}"#,
        r#"  {"plain": true}"#,
        r#"[{"$id":1}]"#,
        r#"{"a":1} and {"$b":2}"#,
    ];
    for client in CLIENTS {
        for printed in printed {
            let escaped = Value::from(printed).to_string();
            let conversation = Conversation { printed: escaped.trim_matches('"'), ..Conversation::default() };
            let (path, body) = request(client, &conversation);
            let (answer, sent) = ask(&harness, client, path, &body);
            answer.assert_completed();
            assert!(!has_dollar_key(&sent), "{client}: {sent}");
            let parts = sent["contents"]
                .as_array()
                .into_iter()
                .flatten()
                .flat_map(|content| content["parts"].as_array().cloned().unwrap_or_default());
            let results: Vec<Value> = parts
                .map(|part| part["functionResponse"]["response"].clone())
                .filter(Value::is_object)
                .collect();
            assert_eq!(results, [serde_json::json!({ "result": printed })], "{client}");
        }
    }
}
