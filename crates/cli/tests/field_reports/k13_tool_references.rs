//! K13: what a search for tools found is read.

use serde_json::{Value, json};

use super::any_protocol::{PROVIDERS, ask, harness, says, tool};
use crate::support::field_report::FieldReport;

#[test]
fn a_reference_names_the_tool_and_its_call_arrives() {
    let report = FieldReport::load("K13-tool-reference");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    let sent = &harness.requests()[0].body;
    let messages = sent["messages"].as_array().expect("messages");
    let result = messages.iter().find(|message| message["role"] == "tool").expect("a result");
    assert!(result["content"].to_string().contains("mcp__depot__list_crates"), "{result}");
    assert!(sent["tools"].to_string().contains("mcp__depot__list_crates"));
    assert!(!sent.to_string().contains("defer_loading"));
    assert_eq!(answer.calls(), [("mcp__depot__list_crates".to_owned(), json!({ "shelf": "a" }))]);
}

fn request() -> Value {
    let mut deferred = tool("list_crates");
    deferred["defer_loading"] = json!(true);
    let result = json!([
        { "type": "text", "text": "two found" },
        { "type": "tool_reference", "tool_name": "list_crates" },
        { "type": "tool_reference", "tool_name": "drop_crate" },
    ]);
    let searched = json!([
        { "type": "server_tool_use", "id": "srvtoolu_1", "name": "tool_search_tool_regex", "input": { "query": "x" } },
        { "type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": { "type": "tool_search_tool_search_result", "tool_references": [{ "type": "tool_reference", "tool_name": "sort_crates" }] } },
        { "type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": { "q": "crates" } },
    ]);
    json!({
        "model": "lab/m1", "stream": true, "max_tokens": 900,
        "tools": [tool("ToolSearch"), deferred, tool("drop_crate")],
        "messages": [
            { "role": "user", "content": "go" },
            { "role": "assistant", "content": searched },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "toolu_1", "content": result }] },
        ],
    })
}

/// Every provider, passed through and translated: none of them is known to have this mechanism.
#[test]
fn references_become_words_for_every_provider() {
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let harness = harness(provider, &format!("repair = \"{repair}\""), says(provider, &["ok"]));
            let (answer, sent) = ask(&harness, "messages", "/v1/messages", &request().to_string());
            answer.assert_completed();
            let text = sent.to_string();
            for word in ["`list_crates`", "`drop_crate`", "two found", "sort_crates"] {
                assert!(text.contains(word), "{provider}, {repair}: {word} in {text}");
            }
            assert!(sent["tools"].to_string().contains("list_crates"), "{provider}: it is declared");
            for field in ["\"defer_loading\"", "\"tool_reference\"", "\"tool_search_tool"] {
                assert!(!text.contains(field), "{provider}, {repair}: {field} in {text}");
            }
        }
    }
}

/// The same mechanism of the Responses API, for a server that is not OpenAI's.
#[test]
fn a_search_of_codex_is_told_in_words() {
    let found = json!([{ "type": "function", "name": "list_crates", "parameters": { "type": "object", "properties": {} }, "defer_loading": true }]);
    let body = json!({
        "model": "lab/m1", "stream": true,
        "tools": [{ "type": "tool_search", "execution": "client", "description": "finds tools", "parameters": { "type": "object", "properties": {} } }],
        "input": [
            { "role": "user", "content": "go" },
            { "type": "tool_search_call", "call_id": "s1", "execution": "client", "arguments": { "query": "crates" }, "status": "completed" },
            { "type": "tool_search_output", "call_id": "s1", "execution": "client", "tools": found, "status": "completed" },
        ],
    });
    for provider in PROVIDERS {
        let harness = harness(provider, "repair = \"off\"", says(provider, &["ok"]));
        let (answer, sent) = ask(&harness, "responses", "/v1/responses", &body.to_string());
        answer.assert_completed();
        let tools = sent["tools"].to_string();
        assert!(tools.contains("list_crates") && tools.contains("tool_search"), "{provider}: {sent}");
        assert!(sent.to_string().contains("can be called now: list_crates"), "{provider}: {sent}");
        assert!(!sent.to_string().contains("defer_loading"), "{provider}: {sent}");
    }
}
