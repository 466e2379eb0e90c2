//! K17: an Anthropic provider gets the tools that a history names.

use serde_json::{Value, json};

use super::any_protocol::{CLIENTS, Conversation, ask, headers, request, says};
use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

/// What Anthropic refuses.
fn lacks_tools(body: &Value) -> bool {
    let has_tools = body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let text = body["messages"].to_string();
    !has_tools && (text.contains("\"tool_use\"") || text.contains("\"tool_result\""))
}

fn refusal() -> ProviderAnswer {
    let message = "Requests with tool_use or tool_result blocks must define tools";
    ProviderAnswer::json(
        400,
        &json!({ "type": "error", "error": { "type": "invalid_request_error", "message": message } }),
    )
}

#[test]
fn a_history_with_calls_and_no_tools() {
    let report = FieldReport::load("K17-history-with-calls-no-tools");
    let harness = report.start("", lacks_tools);
    report.ask(&harness, &report.request()).assert_completed();
    let requests = harness.requests();
    let sent = &requests[0].body;
    assert_eq!((requests.len(), &sent["tool_choice"]["type"]), (1, &json!("none")));
    assert_eq!(
        (&sent["tools"][0]["name"], sent["tools"].as_array().map(Vec::len)),
        (&json!("shell"), Some(1))
    );
    assert!(sent.to_string().contains("one") && sent.to_string().contains("ls a"));
}

#[test]
fn every_client() {
    for repair in ["off", "parse"] {
        let provider = RuleProvider::start(|request| {
            if lacks_tools(&request.body) { refusal() } else { says("anthropic", &["fine"]) }
        });
        let endpoint = format!("retries = 0\nrepair = \"{repair}\"");
        let harness = FieldHarness::start(provider, "anthropic", "m1", &endpoint);
        for client in CLIENTS {
            let conversation = Conversation {
                arguments: r#"{"command":"ls SAID"}"#,
                printed: "PRINTED",
                has_tools: false,
                ..Conversation::default()
            };
            let (path, body) = request(client, &conversation);
            let (answer, sent) = ask(&harness, client, path, &body);
            answer.assert_completed();
            assert_eq!(sent["tool_choice"]["type"], "none", "{client}: {sent}");
            let text = sent.to_string();
            assert!(text.contains("ls SAID") && text.contains("PRINTED"), "{client}: {text}");
        }
    }
}

/// Freeform tools, names that the provider does not allow, and a choice that makes no sense without tools.
#[test]
fn tools_of_every_kind() {
    let items = json!([
        { "role": "user", "content": "go" },
        { "type": "custom_tool_call", "call_id": "p", "name": "apply_patch", "input": "*** Begin Patch" },
        { "type": "custom_tool_call_output", "call_id": "p", "output": "ok" },
        { "type": "function_call", "call_id": "a", "name": "odd name!", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "a", "output": "ok" },
        { "role": "user", "content": "sum up" },
    ]);
    let provider = RuleProvider::start(|request| {
        if lacks_tools(&request.body) { refusal() } else { says("anthropic", &["fine"]) }
    });
    let harness = FieldHarness::start(provider, "anthropic", "m1", "retries = 0");
    for choice in [json!("auto"), json!("none"), json!({})] {
        let body =
            json!({ "model": "lab/m1", "stream": true, "input": items, "tools": [], "tool_choice": choice });
        let answer = harness.ask("/v1/responses", headers("responses"), &body.to_string());
        answer.assert_completed();
        let requests = harness.requests();
        let sent = &requests.last().expect("sent").body;
        let names: Vec<&str> =
            sent["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str()).collect();
        assert_eq!((names, &sent["tool_choice"]["type"]), (vec!["apply_patch", "odd_name_"], &json!("none")));
        assert!(sent["messages"].to_string().contains("\"name\":\"odd_name_\""));
    }
}
