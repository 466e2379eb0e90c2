//! K15: slips of known dialects are read as the calls they are.

use serde_json::{Value, json};

use super::any_protocol::{CLIENTS, Conversation, PROVIDERS, harness, request, says};
use crate::support::field_report::FieldReport;

fn replay(name: &str, calls: &[(&str, Value)], text: &str) {
    let report = FieldReport::load(name);
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    let want: Vec<_> =
        calls.iter().map(|(name, arguments)| ((*name).to_owned(), arguments.clone())).collect();
    assert_eq!((answer.calls(), answer.transcript.text.trim()), (want.as_slice(), text), "{answer:?}");
    assert_eq!(harness.requests().len(), 1, "the provider is asked once");
}

#[test]
fn a_value_that_is_closed_twice() {
    replay("K15-value-closed-twice", &[("read", json!({ "filePath": "/tmp/a.clj" }))], "");
}

#[test]
fn ids_with_underscores() {
    let calls =
        [("shell", json!({ "command": "gh pr view 2" })), ("shell", json!({ "command": "git diff --stat" }))];
    replay("K15-ids-with-underscores", &calls, "Two looks.");
}

#[test]
fn marks_with_blanks() {
    replay("K15-spaced-marks", &[("read", json!({ "filePath": "/tmp/x" }))], "");
}

#[test]
fn harmony_without_its_tokens() {
    replay("K15-harmony-without-tokens", &[("weather", json!({ "city": "Paris" }))], "");
}

/// Slips of several dialects, from every provider to every client, in pieces.
#[test]
fn the_call_of_every_slip_reaches_every_client() {
    let slips = [
        "<tool_call>\n<function=shell>\n<parameter=command>\nls\n</parameter>\n</parameter>\n</function>\n</function>\n</tool_call>",
        "<tool_call>{\"name\": \"shell\", \"arguments\": {\"command\": \"ls\"}}}</tool_call></tool_call>",
        "<tool_call>{\"name\" => \"shell\", \"arguments\" => {\"command\" => \"ls\"}}</tool_call>",
        "<function_calls>\n<invoke id=\"1\" name=\"shell\">\n<parameter type=\"string\" name=\"command\">ls</parameter>\n</invoke>\n</function_calls>",
        "functions.shell:0<|tool_call_argument_begin|>{\"command\": \"ls\"}<|tool_call_end|>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>shell{\"command\": \"ls\"}",
    ];
    for slip in slips {
        let inside = serde_json::to_string(slip).expect("text");
        let inside = &inside[1..inside.len() - 1];
        let middle = (inside.len() / 2..inside.len())
            .find(|at| inside.is_char_boundary(*at) && !inside[..*at].ends_with('\\'));
        let (first, second) = inside.split_at(middle.expect("a place"));
        for provider in PROVIDERS {
            let harness = harness(provider, "repair = \"parse\"", says(provider, &[first, second]));
            for client in CLIENTS {
                let (path, body) = request(client, &Conversation::default());
                let answer = harness.ask(path, "", &body);
                answer.assert_completed();
                let want = [("shell".to_owned(), json!({ "command": "ls" }))];
                assert_eq!(answer.calls(), want, "{slip} from {provider} to {client}: {answer:?}");
                assert_eq!(answer.transcript.text.trim(), "", "{slip} from {provider} to {client}");
            }
        }
    }
}
