//! K16: thoughts without an answer are read for calls.

use serde_json::json;

use super::any_protocol::{CLIENTS, Conversation, PROVIDERS, harness, request, says};
use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

#[test]
fn a_call_in_the_thoughts_is_made() {
    let report = FieldReport::load("K16-call-in-the-thoughts");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    assert_eq!(answer.calls(), [("shell".to_owned(), json!({ "command": "ls" }))], "{answer:?}");
}

/// Thoughts between tags, from every provider to every client.
#[test]
fn a_call_in_tagged_thoughts_is_made_for_every_client() {
    let call = r#"<think>List them.\n[TOOL_CALLS]shell[ARGS]{\"command\": \"ls\"}\n"#;
    for (end, made) in [("", true), ("</think>", true), ("</think>\\n\\nIt is done.", false)] {
        for provider in PROVIDERS {
            let harness = harness(provider, "repair = \"parse\"", says(provider, &[call, end]));
            for client in CLIENTS {
                let (path, body) = request(client, &Conversation::default());
                let answer = harness.ask(path, "", &body);
                answer.assert_completed();
                let want: Vec<_> =
                    made.then(|| ("shell".to_owned(), json!({ "command": "ls" }))).into_iter().collect();
                assert_eq!(answer.calls(), want, "{end:?} from {provider} to {client}: {answer:?}");
            }
        }
    }
}

/// Thoughts of a chat provider, as events; then `(asked again)`.
fn thinks(thoughts: &str) -> RuleProvider {
    let chunk = |delta: serde_json::Value, reason: Option<&str>| {
        json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] })
    };
    let stream = |field: &str, text: &str| {
        let events =
            [chunk(json!({ field: text }), None), chunk(json!({}), Some("stop")), json!("data: [DONE]\n\n")];
        ProviderAnswer::stream(&events)
    };
    let mut answers = vec![stream("content", "Now I answer."), stream("reasoning_content", thoughts)];
    RuleProvider::start(move |_| {
        if answers.len() > 1 { answers.pop() } else { answers.first().cloned() }.expect("an answer")
    })
}

#[test]
fn thoughts_that_hold_nothing_are_asked_about_and_never_an_empty_success() {
    for client in CLIENTS {
        for thoughts in
            ["I should look.", "<|tool_call_begin|>functions.shell:0<|tool_call_argument_begin|>{\"comm"]
        {
            let harness = FieldHarness::start(thinks(thoughts), "chat", "m1", "");
            let (path, body) = request(client, &Conversation::default());
            let answer = harness.ask(path, "", &body);
            answer.assert_completed();
            assert_eq!(
                answer.transcript.text.trim(),
                "Now I answer.",
                "{thoughts:?} to {client}: {answer:?}"
            );
            assert_eq!(harness.requests().len(), 2, "{thoughts:?} to {client}");
        }
    }
}
