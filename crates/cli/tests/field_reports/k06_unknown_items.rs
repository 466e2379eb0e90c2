//! K6: no item with text in it vanishes.

use serde_json::{Value, json};

use super::any_protocol::{PROVIDERS, ask, harness, says};
use crate::support::field_report::FieldReport;

/// All that a provider reads as the person's, joined.
fn said_by_person(sent: &Value) -> String {
    fn texts(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Value::Array(all) => all.iter().for_each(|value| texts(value, out)),
            Value::Object(fields) => {
                for name in ["content", "text", "parts"] {
                    fields.get(name).into_iter().for_each(|value| texts(value, out));
                }
            }
            _ => {}
        }
    }
    let lists = ["messages", "input", "contents"].iter().filter_map(|list| sent[*list].as_array());
    let mut out = String::new();
    for message in lists.flatten().filter(|message| message["role"] == "user") {
        texts(message, &mut out);
    }
    out
}

#[test]
fn the_task_of_a_child_agent() {
    let report = FieldReport::load("K06-task-of-a-child-agent");
    let harness = report.start("", |_| false);
    report.ask(&harness, &report.request()).assert_completed();
    let said = said_by_person(&harness.requests()[0].body);
    let (words, task) = (said.find("Payload:"), said.find("Reply with HERON_77 and nothing else."));
    assert!(words.is_some() && words < task, "{said}");
}

#[test]
fn the_answer_of_a_child_agent() {
    let report = FieldReport::load("K06-answer-of-a-child-agent");
    let harness = report.start("", |_| false);
    report.ask(&harness, &report.request()).assert_completed();
    assert!(said_by_person(&harness.requests()[0].body).contains("HERON_77"));
}

/// Every provider, passed through and translated: messages of agents in each form, and items of hosted tools and of tomorrow.
#[test]
fn every_item_with_text_is_read() {
    let secret = format!("gAAAA{}", "Ab1_".repeat(40));
    let items = json!([
        { "type": "message", "role": "user", "content": "begin" },
        { "type": "agent_message", "author": "/lead", "recipient": "/lead/a", "content": "PLAIN_1" },
        { "type": "agent_message", "author": "/lead", "content": [
            { "type": "input_text", "text": "PART_2" },
            { "type": "encrypted_content", "encrypted_content": "PART_3 in the open" },
            { "type": "encrypted_content", "encrypted_content": secret },
            { "type": "input_text", "text": "PART_4" },
        ] },
        { "type": "shell_call", "id": "sh_1", "call_id": "s1", "action": { "commands": ["ls SHELL_5"] }, "status": "completed" },
        { "type": "shell_call_output", "call_id": "s1", "output": [{ "stdout": "SHELL_6\n", "stderr": "", "outcome": { "type": "exit", "exit_code": 0 } }] },
        { "type": "apply_patch_call", "call_id": "p1", "operation": { "type": "update_file", "path": "a", "diff": "PATCH_7" } },
        { "type": "apply_patch_call_output", "call_id": "p1", "status": "failed", "output": "PATCH_8" },
        { "type": "mcp_call", "id": "m1", "server_label": "depot", "name": "find", "arguments": "{}", "output": "MCP_9" },
        { "type": "local_shell_call_output", "id": "l1", "output": "LOCAL_10" },
        { "type": "of_tomorrow", "content": [{ "type": "novel", "text": "NOVEL_11" }] },
    ]);
    let wanted = [
        "PLAIN_1", "PART_2", "PART_3", "PART_4", "SHELL_5", "SHELL_6", "PATCH_7", "PATCH_8", "MCP_9",
        "LOCAL_10", "NOVEL_11",
    ];
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let harness = harness(provider, &format!("repair = \"{repair}\""), says(provider, &["ok"]));
            let body = json!({ "model": "lab/m1", "stream": true, "input": items });
            let (answer, sent) = ask(&harness, "responses", "/v1/responses", &body.to_string());
            answer.assert_completed();
            let said = said_by_person(&sent);
            let places: Vec<Option<usize>> = wanted.iter().map(|word| said.find(word)).collect();
            assert!(
                places.iter().all(Option::is_some) && places.is_sorted(),
                "{provider}, {repair}: {places:?} {said}"
            );
            assert!(!sent.to_string().contains("gAAAA"), "{provider}: what nobody can read stays here");
        }
    }
}

/// OpenAI's own server knows its items.
#[test]
fn openai_gets_its_items_as_they_are() {
    let items = json!([{ "type": "agent_message", "author": "/lead", "content": [{ "type": "encrypted_content", "encrypted_content": "x" }] }]);
    let harness = harness("responses", "preset = \"openai\"", says("responses", &["ok"]));
    let body = json!({ "model": "lab/m1", "stream": true, "input": items });
    let (answer, sent) = ask(&harness, "responses", "/v1/responses", &body.to_string());
    answer.assert_completed();
    assert_eq!(sent["input"], items);
}

/// Blocks and parts of other clients that only their maker knows.
#[test]
fn foreign_blocks_of_other_clients_are_read() {
    let blocks = json!([
        { "type": "mcp_tool_use", "id": "m", "name": "find", "server_name": "depot", "input": { "q": "ASKED_1" } },
        { "type": "mcp_tool_result", "tool_use_id": "m", "is_error": false, "content": [{ "type": "text", "text": "FOUND_2" }] },
        { "type": "bash_code_execution_tool_result", "tool_use_id": "b", "content": { "type": "bash_code_execution_result", "stdout": "PRINTED_3", "stderr": "", "return_code": 0 } },
        { "type": "novel", "text": "NOVEL_4" },
    ]);
    let messages = json!([{ "role": "user", "content": "go" }, { "role": "assistant", "content": blocks }, { "role": "user", "content": "on" }]);
    let bodies = [
        (
            "messages",
            "/v1/messages",
            json!({ "model": "lab/m1", "stream": true, "max_tokens": 9, "messages": messages }),
        ),
        ("chat", "/v1/chat/completions", json!({ "model": "lab/m1", "stream": true, "messages": messages })),
    ];
    for provider in PROVIDERS {
        let harness = harness(provider, "repair = \"parse\"", says(provider, &["ok"]));
        for (client, path, body) in &bodies {
            let (answer, sent) = ask(&harness, client, path, &body.to_string());
            answer.assert_completed();
            for word in ["ASKED_1", "FOUND_2", "PRINTED_3", "NOVEL_4"] {
                assert!(sent.to_string().contains(word), "{client} on {provider}: {word} in {sent}");
            }
        }
    }
}
