//! K2: half a surrogate pair breaks nothing.

use serde_json::Value;

use super::any_protocol::{CLIENTS, Conversation, PROVIDERS, ask, calls, harness, request, says};
use crate::support::field_report::FieldReport;

/// What a half becomes.
const REPLACED: char = '\u{fffd}';

#[test]
fn half_a_pair_in_a_tool_result() {
    let report = FieldReport::load("K02-half-a-pair-in-a-tool-result");
    let harness = report.start("", |_| false);
    report.ask(&harness, &report.request()).assert_completed();
    let sent = &harness.requests()[0].body;
    assert!(sent.to_string().contains(&format!("cut here {REPLACED}")), "{sent}");
}

#[test]
fn half_a_pair_responses() {
    let report = FieldReport::load("K02-half-a-pair-responses");
    let harness = report.start("", |_| false);
    report.ask(&harness, &report.request()).assert_completed();
    let sent = &harness.requests()[0].body;
    assert_eq!(sent["input"][0]["content"][0]["text"], format!("odd {REPLACED} end"));
}

#[test]
fn a_pair_cut_by_the_provider() {
    let report = FieldReport::load("K02-pair-cut-by-the-provider");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    assert_eq!((answer.transcript.text.as_str(), harness.requests().len()), ("smile 😀 done", 1));
}

/// Every client, every provider, passed through and translated: in words, arguments, outputs, keys and metadata.
#[test]
fn halves_anywhere_in_a_request() {
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let harness = harness(provider, &format!("repair = \"{repair}\""), says(provider, &["ok"]));
            for client in CLIENTS {
                let conversation = Conversation {
                    asked: r"a\ud83d 🐢 \ud83d\ude00 b\\ud83d",
                    arguments: r#"{"command":"c\udc00","k\ud83d":"\ud83d\ude00 \\ud83d"}"#,
                    printed: r"\ude00d\udbff",
                    ..Conversation::default()
                };
                let (path, body) = request(client, &conversation);
                let (answer, sent) = ask(&harness, client, path, &body);
                answer.assert_completed();
                let sent = sent.to_string();
                let wanted = [format!("a{REPLACED} 🐢 😀 b\\\\ud83d"), format!("{REPLACED}d{REPLACED}")];
                for words in wanted {
                    assert!(sent.contains(&words), "{client} on {provider}, {repair}: {words} in {sent}");
                }
                assert!(arguments_sent(&sent), "{client} on {provider}, {repair}: {sent}");
            }
        }
    }
}

/// Whether the arguments of the call in this request are what was meant, as an object or as text that is JSON.
fn arguments_sent(sent: &str) -> bool {
    fn find(value: &Value) -> bool {
        match value {
            Value::String(text) if text.contains("command") => {
                serde_json::from_str::<Value>(text).is_ok_and(|inner| find(&inner))
            }
            Value::Object(fields) if fields.get("command").is_some_and(Value::is_string) => {
                fields["command"] == "c\u{fffd}" && fields["k\u{fffd}"] == "😀 \\ud83d"
            }
            Value::Object(fields) => fields.values().any(find),
            Value::Array(all) => all.iter().any(find),
            _ => false,
        }
    }
    serde_json::from_str(sent).is_ok_and(|sent| find(&sent))
}

#[test]
fn halves_in_an_answer_are_joined_or_replaced() {
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let answer = says(provider, &[r"a \ud83d", r"\ude00 b \ud83d", r"c", r"\ude00d"]);
            let harness = harness(provider, &format!("repair = \"{repair}\""), answer);
            for client in CLIENTS {
                let (path, body) = request(client, &Conversation::default());
                let (answer, _) = ask(&harness, client, path, &body);
                answer.assert_completed();
                assert_eq!(
                    answer.transcript.text,
                    format!("a 😀 b {REPLACED}c{REPLACED}d"),
                    "{client} on {provider}, {repair}"
                );
            }
        }
    }
}

#[test]
fn halves_in_the_arguments_of_a_call_do_not_lose_it() {
    for provider in PROVIDERS {
        for repair in ["off", "parse"] {
            let pieces = [r#"{\"command\":\"a\\ud83d"#, r"\\ude00 b\\ud8", r#"3dc \\\\ud83d\"}"#];
            let harness = harness(provider, &format!("repair = \"{repair}\""), calls(provider, &pieces));
            for client in CLIENTS {
                let (path, body) = request(client, &Conversation::default());
                let (answer, _) = ask(&harness, client, path, &body);
                answer.assert_completed();
                // Between two pieces that go through as they are, a half may be any sign but no half.
                let [(name, arguments)] = answer.calls() else {
                    panic!("{client} on {provider}: {answer:?}")
                };
                let command = arguments["command"].as_str().unwrap_or_default();
                assert_eq!(name, "shell");
                assert_eq!(command, format!("a😀 b{REPLACED}c \\ud83d"), "{client} on {provider}, {repair}");
            }
        }
    }
}

/// A call that the model writes as text holds JSON as well.
#[test]
fn halves_in_a_call_that_is_text() {
    let piece = r#"<tool_call>\n{\"name\": \"shell\", \"arguments\": {\"command\": \"a\\ud83d b\\ud83d\\ude00\"}}\n</tool_call>"#;
    for provider in PROVIDERS {
        let harness = harness(provider, "repair = \"parse\"", says(provider, &[piece]));
        for client in CLIENTS {
            let (path, body) = request(client, &Conversation::default());
            let (answer, _) = ask(&harness, client, path, &body);
            answer.assert_completed();
            let [(_, arguments)] = answer.calls() else { panic!("{client} on {provider}: {answer:?}") };
            assert_eq!(arguments["command"], format!("a{REPLACED} b😀"), "{client} on {provider}");
        }
    }
}

/// Tokens are counted, and histories compacted, whatever they hold.
#[test]
fn halves_at_the_other_doors() {
    let harness = harness("chat", "", says("chat", &["a summary"]));
    let doors = [
        (
            "messages",
            "/v1/messages/count_tokens",
            r#"{"model":"lab/m1","messages":[{"role":"user","content":"a\ud83d"}]}"#,
        ),
        ("responses", "/v1/responses/input_tokens", r#"{"model":"lab/m1","input":"a\ud83d"}"#),
        (
            "responses",
            "/v1/responses/compact",
            r#"{"model":"lab/m1","input":[{"role":"user","content":"a\ud83d"}]}"#,
        ),
        (
            "gemini",
            "/v1beta/models/lab%2Fm1:countTokens",
            r#"{"contents":[{"role":"user","parts":[{"text":"a\ud83d"}]}]}"#,
        ),
        (
            "chat",
            "/v1/chat/completions",
            r#"{"model":"lab/m1","messages":[{"role":"user","content":"a\ud83d"}],"metadata":{"k\udc00":"\ud83d"}}"#,
        ),
    ];
    for (client, path, body) in doors {
        let (answer, _) = ask(&harness, client, path, body);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}
