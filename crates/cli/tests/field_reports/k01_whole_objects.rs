//! K1: a text that begins with a whole object is no question of quotes.

use serde_json::{Value, json};

use crate::support::calls::{
    CLIENTS, PROVIDERS, ScriptedCall, added_up, answer, ask, calls_of_object, start,
};
use crate::support::field_report::{FieldReport, ProviderAnswer};

#[test]
fn the_reports() {
    let shell = |command: &str| ("shell".to_owned(), json!({ "command": command }));
    for level in ["", "repair = \"off\""] {
        for (name, want) in [
            ("K01-arguments-sent-twice", vec![shell("ls")]),
            ("K01-two-objects-one-call", vec![shell("ls a"), shell("ls b")]),
            ("K01-stray-closers", vec![shell("ls")]),
        ] {
            let report = FieldReport::load(name);
            let harness = report.start(level, |_| false);
            let answer = report.ask(&harness, &report.request());
            answer.assert_completed();
            assert_eq!(answer.calls(), want, "{name} {level}");
            assert_eq!(harness.requests().len(), 1, "{name} {level}");
        }
    }
}

/// A name, the arguments of a call in pieces, and the calls that are made.
type Case = (&'static str, Vec<String>, Vec<Value>);

fn cases() -> Vec<Case> {
    let (a, b) = (json!({ "command": "ls a" }), json!({ "command": "ls b" }));
    let (one, two) = (a.to_string(), b.to_string());
    let tricky = json!({ "command": "echo '{\"command\":\"ls\"}{\"command\":\"ls\"}' \"}\" \\\n" });
    let spaced = "{ \"command\" :\n \"ls a\" }";
    let case = |pieces: &[&str], want: &[&Value]| -> Case {
        let pieces = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        ("shell", pieces, want.iter().map(|value| (*value).clone()).collect())
    };
    vec![
        case(&[&one], &[&a]),
        case(&[&tricky.to_string()], &[&tricky]),
        case(&[&one, &one], &[&a]),
        case(&[&one, "\n\n", spaced, " ", &one], &[&a]),
        case(&[&one, &two], &[&a, &b]),
        case(&[&one, " , ", &two, "}"], &[&a, &b]),
        case(&[&one, "}"], &[&a]),
        case(&[&one, "\"}"], &[&a]),
        case(&[&one, "</tool_call>"], &[&a]),
        case(&[&one, "\nI list the files."], &[&a]),
        case(&["[", &one, ",", &one, "]"], &[&a]),
        case(&["{}", &one], &[&a]),
    ]
}

/// Freeform tools, which two protocols know: the text is wrapped on its way to the provider.
fn freeform_cases() -> Vec<Case> {
    let wrapped = |text: &str| json!({ "input": text }).to_string();
    vec![
        ("exec", vec![wrapped("a {\"x\":1}{\"x\":1}")], vec![json!("a {\"x\":1}{\"x\":1}")]),
        ("exec", vec![wrapped("a"), wrapped("a")], vec![json!("a")]),
        ("exec", vec![wrapped("a"), wrapped("b")], vec![json!("a"), json!("b")]),
        ("exec", vec![wrapped("a"), "}".to_owned()], vec![json!("a")]),
    ]
}

fn check(provider: &'static str, level: &'static str) {
    let all: Vec<Case> = cases().into_iter().chain(freeform_cases()).collect();
    let answers =
        all.iter().map(|(name, pieces, _)| vec![answer(provider, &ScriptedCall::new(name, pieces.clone()))]);
    let harness = start(provider, answers.collect(), level);
    for (place, (name, pieces, want)) in all.iter().enumerate() {
        for client in
            CLIENTS.into_iter().filter(|client| *name == "shell" || matches!(*client, "responses" | "chat"))
        {
            let what = format!("{client} on {provider} {level}: {pieces:?}");
            let want: Vec<(String, Value)> =
                want.iter().map(|value| ((*name).to_owned(), value.clone())).collect();
            let streamed = ask(&harness, client, place, true);
            streamed.assert_completed();
            assert_eq!(streamed.calls(), want, "{what}");
            let sums: Vec<Value> = added_up(&streamed)
                .iter()
                .map(
                    |sum| if *name == "exec" { json!(sum) } else { serde_json::from_str(sum).expect("JSON") },
                )
                .collect();
            if client != "gemini" {
                assert_eq!(sums, want.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>(), "{what}");
            }
            let object = ask(&harness, client, place, false);
            assert_eq!(calls_of_object(client, &object.body), want, "{what}: {}", object.body);
        }
    }
}

#[test]
fn every_client_on_every_provider() {
    for provider in PROVIDERS {
        check(provider, "repair = \"parse\"");
    }
}

#[test]
fn with_mending_switched_off_too() {
    for provider in PROVIDERS {
        check(provider, "repair = \"off\"");
    }
}

#[test]
fn right_arguments_are_the_providers_own_bytes() {
    let text = " { \"command\" : \"\\u0041\\/ {\\\"a\\\":1}{\\\"a\\\":1}\" }";
    for level in ["repair = \"off\"", "repair = \"parse\""] {
        for (provider, client) in
            [("chat", "chat"), ("responses", "responses"), ("anthropic", "messages"), ("chat", "responses")]
        {
            if level.contains("parse") && client != "chat" {
                // A shell's arguments are written anew only where something is mended.
                continue;
            }
            let call = ScriptedCall::new("shell", text.split_inclusive(' '));
            let harness = start(provider, vec![vec![answer(provider, &call)]], level);
            assert_eq!(added_up(&ask(&harness, client, 0, true)), [text], "{client} on {provider} {level}");
        }
    }
}

#[test]
fn an_answer_that_is_one_document_is_no_exception() {
    let (one, want) = ("{\"command\":\"ls\"}", json!({ "command": "ls" }));
    let twice = format!("{one}{one}");
    let function = json!({ "name": "shell", "arguments": twice });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "c", "type": "function", "function": function }] });
    let item = json!({ "type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": twice, "status": "completed" });
    for (provider, document) in [
        (
            "chat",
            json!({ "id": "c", "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }] }),
        ),
        ("responses", json!({ "id": "r", "object": "response", "status": "completed", "output": [item] })),
        (
            "gemini",
            json!({ "candidates": [{ "content": { "parts": [{ "functionCall": { "name": "shell", "args": twice } }] }, "finishReason": "STOP" }] }),
        ),
    ] {
        for level in ["repair = \"parse\"", "repair = \"off\""] {
            let harness = start(provider, vec![vec![ProviderAnswer::json(200, &document)]], level);
            for client in CLIENTS {
                let answer = ask(&harness, client, 0, true);
                assert_eq!(
                    answer.calls(),
                    [("shell".to_owned(), want.clone())],
                    "{client} on {provider} {level}"
                );
                assert!(!answer.body.contains("}{"), "{client} on {provider} {level}: {}", answer.body);
            }
        }
    }
}

#[test]
fn pieces_that_say_the_same_twice_do_not_contradict_the_call_behind_them() {
    let piece = "{\"type\":\"tool-input-delta\",\"id\":\"c\",\"delta\":\"{\\\"command\\\":\\\"ls\\\"}\"}\n";
    let lines = format!(
        "{{\"type\":\"tool-input-start\",\"id\":\"c\",\"toolName\":\"shell\"}}\n{piece}{piece}{{\"type\":\"tool-call\",\"toolCallId\":\"c\",\"toolName\":\"shell\",\"input\":{{\"command\":\"ls\"}}}}\n{{\"type\":\"finish\",\"finishReason\":\"tool-calls\"}}\n"
    );
    let answer = ProviderAnswer { content_type: "application/x-ndjson", ..ProviderAnswer::raw_stream(lines) };
    let harness = start("command_code", vec![vec![answer]], "");
    for client in CLIENTS {
        let answer = ask(&harness, client, 0, true);
        answer.assert_completed();
        assert_eq!(answer.calls(), [("shell".to_owned(), json!({ "command": "ls" }))], "{client}");
    }
}
