//! K11: a call with broken arguments is mended, asked for again, or told; nothing of the first attempt is shown.

use serde_json::json;

use crate::support::calls::{CLIENTS, PROVIDERS, ScriptedCall, added_up, answer, ask, start};
use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer};

#[test]
fn the_reports() {
    let report = FieldReport::load("K11-arguments-cut-by-markup");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    assert_eq!(answer.calls(), [("shell".to_owned(), json!({ "command": "ls -la 2>&1" }))]);
    assert!(!answer.body.contains("DSML") && harness.requests().len() == 2, "{}", answer.body);
    let asked = harness.requests()[1].body["messages"]
        .as_array()
        .and_then(|list| list.last().cloned())
        .expect("a message");
    assert!(
        asked["content"].as_str().is_some_and(|text| text.contains("not one valid JSON object")),
        "{asked}"
    );

    let report = FieldReport::load("K11-one-brace-too-many");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    assert_eq!(answer.calls(), [("shell".to_owned(), json!({ "command": "ls" }))]);
}

const BROKEN: [&str; 4] = [
    "{\"command\": \"ls -la 2>&1</｜DSML｜parameter",
    "{\"command\":\"rm -rf ",
    "{\"command\":\"ls\"}{\"comm",
    "{\"command\":\"echo \"}\" done\"}",
];

/// The calls of a provider that are broken once, and those that always are; a proxy for each client, for an endpoint's retries are
/// counted.
fn check(provider: &'static str, level: &str, broken: &[&str]) {
    let call = |text: &str| {
        let cut = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
        answer(provider, &ScriptedCall::new("shell", [&text[..cut], &text[cut..]]))
    };
    let answers: Vec<Vec<ProviderAnswer>> =
        broken.iter().flat_map(|broken| [vec![call(broken), call(RIGHT)], vec![call(broken)]]).collect();
    std::thread::scope(|scope| {
        for client in CLIENTS {
            let harness = start(provider, answers.clone(), &format!("{level}\nretries = 1"));
            scope.spawn(move || {
                check_client(&harness, client, &format!("{client} on {provider} {level}"), broken);
            });
        }
    });
}

const RIGHT: &str = "{\"command\":\"ls\"}";

fn check_client(harness: &FieldHarness, client: &str, what: &str, broken: &[&str]) {
    for (place, broken) in broken.iter().enumerate() {
        let again = ask(harness, client, 2 * place, true);
        again.assert_completed();
        assert_eq!(again.calls(), [("shell".to_owned(), json!({ "command": "ls" }))], "{what}: {broken}");
        assert!(added_up(&again).iter().all(|sum| sum == RIGHT), "{what}: {}", again.body);
        let told = ask(harness, client, 2 * place + 1, true);
        assert!(told.calls().is_empty() && added_up(&told).is_empty(), "{what}: {}", told.body);
        let says = told.failure.as_ref().is_some_and(|(_, message)| message.contains("`shell`"));
        assert!(
            says && !told.body.contains("rm -rf") && !told.body.contains("DSML"),
            "{what}: {}",
            told.body
        );
    }
}

#[test]
fn every_client_on_every_provider() {
    for provider in PROVIDERS {
        check(provider, "repair = \"parse\"", &BROKEN);
    }
}

#[test]
fn with_mending_switched_off_it_is_an_attempt_that_failed() {
    for provider in PROVIDERS {
        check(provider, "repair = \"off\"", &BROKEN[..2]);
    }
}

#[test]
fn behind_text_that_was_shown_it_is_asked_for_again_too() {
    let chunk = |delta: serde_json::Value, reason: Option<&str>| json!({ "id": "c", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let call = |arguments: &str| json!({ "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "shell", "arguments": arguments } }] });
    let first = ProviderAnswer::stream(&[
        chunk(json!({ "content": "I look." }), None),
        chunk(call("{\"command\":\"rm -rf "), None),
        chunk(json!({}), Some("tool_calls")),
    ]);
    let second = ProviderAnswer::stream(&[
        chunk(call("{\"command\":\"ls\"}"), None),
        chunk(json!({}), Some("tool_calls")),
    ]);
    let harness = start("chat", vec![vec![first.clone(), second], vec![first]], "");
    for client in CLIENTS {
        let answer = ask(&harness, client, 0, true);
        answer.assert_completed();
        assert_eq!(answer.transcript.text, "I look.", "{client}");
        assert_eq!(answer.calls(), [("shell".to_owned(), json!({ "command": "ls" }))], "{client}");
        assert!(!answer.body.contains("rm -rf"), "{client}: {}", answer.body);
        let told = ask(&harness, client, 1, true);
        told.assert_failed("`shell`");
        assert!(added_up(&told).is_empty() && !told.body.contains("rm -rf"), "{client}: {}", told.body);
    }
}

#[test]
fn of_a_call_that_a_limit_cut_nothing_is_shown() {
    for (provider, level) in [("chat", "off"), ("chat", "parse"), ("anthropic", "off"), ("responses", "off")]
    {
        let cut = match provider {
            "chat" => ProviderAnswer::stream(&[
                json!({ "id": "c", "choices": [{ "index": 0, "delta": { "content": "I look." } }] }),
                json!({ "id": "c", "choices": [{ "index": 0, "delta": { "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "shell", "arguments": "{\"command\":\"rm -rf " } }] } }] }),
                json!({ "id": "c", "choices": [{ "index": 0, "delta": {}, "finish_reason": "length" }] }),
            ]),
            "anthropic" => ProviderAnswer::stream(&[
                json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "content": [], "usage": { "input_tokens": 4, "output_tokens": 1 } } }),
                json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "t", "name": "shell", "input": {} } }),
                json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": "{\"command\":\"rm -rf " } }),
                json!({ "type": "message_delta", "delta": { "stop_reason": "max_tokens" }, "usage": { "output_tokens": 2 } }),
                json!({ "type": "message_stop" }),
            ]),
            _ => ProviderAnswer::stream(&[
                json!({ "type": "response.output_item.added", "output_index": 0, "item": { "type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": "" } }),
                json!({ "type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 0, "delta": "{\"command\":\"rm -rf " }),
                json!({ "type": "response.incomplete", "response": { "id": "r", "status": "incomplete", "incomplete_details": { "reason": "max_output_tokens" }, "output": [{ "type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": "{\"command\":\"rm -rf ", "status": "incomplete" }] } }),
            ]),
        };
        let harness = start(provider, vec![vec![cut]], &format!("repair = \"{level}\"\nresume = 0"));
        for client in CLIENTS {
            let answer = ask(&harness, client, 0, true);
            assert!(answer.calls().is_empty() && added_up(&answer).is_empty(), "{client}: {}", answer.body);
            assert!(!answer.body.contains("rm -rf"), "{client} on {provider} {level}: {}", answer.body);
        }
    }
}
