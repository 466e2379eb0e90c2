//! K23: small ones.

use serde_json::{Value, json};

use super::any_protocol::{CLIENTS, Conversation, PROVIDERS, ask, harness, request, says};
use crate::support::field_report::FieldReport;

#[test]
fn a_window_behind_a_models_name_is_cut() {
    let report = FieldReport::load("K23-model-name-with-a-suffix");
    let harness = report.start("", |_| false);
    report.ask(&harness, &report.request()).assert_completed();
    assert_eq!(harness.requests()[0].body["model"], "m1");
    for client in CLIENTS {
        let (path, body) = request(client, &Conversation::default());
        for window in ["[1m]", "[1M]", "[200k]"] {
            let (path, body) = (
                path.replace("m1", &format!("m1{window}")),
                body.replace("lab/m1", &format!("lab/m1{window}")),
            );
            let (answer, sent) = ask(&harness, client, &path, &body);
            answer.assert_completed();
            assert_eq!(sent["model"], "m1", "{client} {window}");
        }
    }
    let (path, body) = request("chat", &Conversation::default());
    let (_, sent) = ask(&harness, "chat", path, &body.replace("lab/m1", "lab/m1[beta]"));
    assert_eq!(sent["model"], "m1[beta]", "not every bracket is a window");
}

#[test]
fn cache_writes_are_counted_apart() {
    let report = FieldReport::load("K23-cache-writes");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    let mut events = answer
        .body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let usage = events.rfind(|event| event["type"] == "message_delta").expect("an end")["usage"].clone();
    assert_eq!(
        (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["cache_creation_input_tokens"]),
        (&json!(200), &json!(3000), &json!(800))
    );
}

#[test]
fn an_empty_choice_is_no_choice() {
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let harness = harness(provider, &format!("repair = \"{repair}\""), says(provider, &["ok"]));
            for client in CLIENTS {
                for choice in ["{}", "{ }"] {
                    let name = if client == "gemini" { "toolConfig" } else { "tool_choice" };
                    let fields = format!("\"{name}\":{choice},");
                    let (path, body) =
                        request(client, &Conversation { fields: &fields, ..Conversation::default() });
                    let (answer, sent) = ask(&harness, client, path, &body);
                    answer.assert_completed();
                    assert_ne!(sent["tool_choice"], json!({}), "{client} on {provider}, {repair}");
                }
            }
        }
    }
}

#[test]
fn a_conversation_without_the_person_gets_a_turn_of_theirs() {
    let bodies = [
        (
            "chat",
            "/v1/chat/completions",
            json!({ "model": "lab/m1", "stream": true, "messages": [{ "role": "system", "content": "be brief" }] }),
        ),
        (
            "chat",
            "/v1/chat/completions",
            json!({ "model": "lab/m1", "stream": true, "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "c", "content": "x" },
        ] }),
        ),
        (
            "responses",
            "/v1/responses",
            json!({ "model": "lab/m1", "stream": true, "instructions": "be brief", "input": [] }),
        ),
        (
            "responses",
            "/v1/responses",
            json!({ "model": "lab/m1", "stream": true, "input": [{ "role": "developer", "content": "be brief" }] }),
        ),
        (
            "messages",
            "/v1/messages",
            json!({ "model": "lab/m1", "stream": true, "max_tokens": 9, "messages": [{ "role": "assistant", "content": "hello" }] }),
        ),
    ];
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let harness = harness(provider, &format!("repair = \"{repair}\""), says(provider, &["ok"]));
            for (client, path, body) in &bodies {
                let (answer, sent) = ask(&harness, client, path, &body.to_string());
                answer.assert_completed();
                let lists =
                    ["messages", "input", "contents"].iter().filter_map(|list| sent[*list].as_array());
                let speaks = lists.flatten().any(|message| message["role"] == "user");
                assert!(speaks, "{client} on {provider}, {repair}: {sent}");
            }
        }
    }
}

#[test]
fn there_are_no_pictures_here_and_that_is_said() {
    let harness = harness("chat", "", says("chat", &["ok"]));
    for path in ["/v1/images/generations", "/images/generations", "/v1/images/edits"] {
        let answer = harness.ask(path, "", r#"{"model":"gpt-image-1","prompt":"a heron"}"#);
        assert_eq!(answer.status, 400, "{answer:?}");
        let (code, message) = answer.failure.expect("an error in OpenAI's shape");
        assert_eq!(code, "images_not_supported");
        assert!(message.contains("pictures") && message.contains("provider"), "{message}");
    }
    assert!(harness.requests().is_empty());
}
