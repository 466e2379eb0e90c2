//! K12: one picture never ends a session.

use serde_json::{Value, json};

use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[test]
fn a_picture_goes_out_under_the_type_of_its_bytes() {
    let report = FieldReport::load("K12-png-called-jpeg");
    let harness = report.start("", |body| body.to_string().contains("image/jpeg"));
    report.ask(&harness, &report.request()).assert_completed();
    let requests = harness.requests();
    assert_eq!(requests.len(), 1);
    let source = &requests[0].body["messages"][0]["content"][0]["source"];
    assert_eq!(source, &json!({ "type": "base64", "media_type": "image/png", "data": PNG }));
}

/// A message and a tool's result with the same picture, in each client protocol that has both.
fn requests(url: &str) -> [(&'static str, Value); 3] {
    let (kind, data) = url.trim_start_matches("data:").split_once(";base64,").expect("a data URL");
    let source = json!({ "type": "image", "source": { "type": "base64", "media_type": kind, "data": data } });
    let part = json!({ "type": "input_image", "image_url": url });
    [
        (
            "/v1/responses",
            json!({ "model": "lab/m1", "stream": true, "input": [
                { "role": "user", "content": [{ "type": "input_text", "text": "see" }, part] },
                { "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "c1", "output": [part] },
            ], "tools": [{ "type": "function", "name": "look", "parameters": { "type": "object", "properties": {} } }] }),
        ),
        (
            "/v1/chat/completions",
            json!({ "model": "lab/m1", "stream": true, "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "see" }, { "type": "image_url", "image_url": { "url": url } }, { "type": "image_url", "image_url": { "url": url } }] },
            ] }),
        ),
        (
            "/v1/messages",
            json!({ "model": "lab/m1", "stream": true, "max_tokens": 100, "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "see" }, source] },
                { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": "look", "input": {} }] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": [source] }] },
            ], "tools": [{ "name": "look", "input_schema": { "type": "object", "properties": {} } }] }),
        ),
    ]
}

#[test]
fn pictures_of_messages_and_of_results_are_corrected_for_every_provider() {
    for protocol in ["chat", "anthropic", "responses", "gemini"] {
        let harness = FieldHarness::start(
            RuleProvider::start(move |_| ProviderAnswer::ok(protocol)),
            protocol,
            "m1",
            "",
        );
        for (path, body) in requests(&format!("data:image/jpeg;base64,{PNG}")) {
            harness.ask(path, "", &body.to_string()).assert_completed();
            let sent = harness.requests().pop().expect("asked").text;
            assert_eq!(sent.matches(PNG).count(), 2, "{path} to {protocol}: {sent}");
            assert_eq!(sent.matches("image/png").count(), 2, "{path} to {protocol}: {sent}");
            assert!(!sent.contains("image/jpeg"), "{path} to {protocol}: {sent}");
        }
        for (path, body) in requests("data:image/png;base64,this is no {base64}") {
            harness.ask(path, "", &body.to_string()).assert_completed();
            let sent = harness.requests().pop().expect("asked").text;
            assert_eq!(
                sent.matches("a picture stood here that cannot be read").count(),
                2,
                "{path} to {protocol}: {sent}"
            );
            assert!(!sent.contains("no {base64}"), "{path} to {protocol}: {sent}");
        }
    }
}
