//! K19: what a Responses provider leaves out of its stream reaches the client.

use serde_json::{Value, json};

use super::any_protocol::{CLIENTS, Conversation, ask, harness, request};
use crate::support::field_report::{FieldReport, ProviderAnswer};

#[test]
fn only_the_closing_event() {
    let report = FieldReport::load("K19-only-the-closing-event");
    for endpoint in ["", "repair = \"parse\""] {
        let harness = report.start(endpoint, |_| false);
        let answer = report.ask(&harness, &report.request());
        answer.assert_completed();
        assert_eq!(answer.transcript.text, "kept");
        assert!(answer.body.contains("response.output_item.done"), "{}", answer.body);
    }
}

fn message(text: &str) -> Value {
    json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": text, "annotations": [] }] })
}

fn thoughts(text: &str) -> Value {
    json!({ "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": text }] })
}

fn call(id: &str, arguments: &str) -> Value {
    json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "shell", "arguments": arguments, "status": "completed" })
}

fn response(output: &Value) -> Value {
    json!({ "id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": output, "usage": { "input_tokens": 10, "output_tokens": 5, "total_tokens": 15 } })
}

fn completed(output: &Value) -> Value {
    json!({ "type": "response.completed", "sequence_number": 9, "response": response(output) })
}

fn created() -> Value {
    json!({ "type": "response.created", "sequence_number": 0, "response": { "id": "resp_1", "object": "response", "status": "in_progress", "model": "m", "output": [] } })
}

fn added(index: u64, mut item: Value) -> Value {
    for (field, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!(""))] {
        if let Some(value) = item.get_mut(field) {
            *value = empty;
        }
    }
    json!({ "type": "response.output_item.added", "output_index": index, "item": item })
}

fn delta(index: u64, text: &str) -> Value {
    json!({ "type": "response.output_text.delta", "output_index": index, "item_id": "msg_1", "content_index": 0, "delta": text })
}

fn done(index: u64, item: &Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": index, "item": item })
}

/// Streams with something missing. Each says `Hello`, and calls `shell` twice where it calls.
fn streams() -> Vec<(&'static str, ProviderAnswer, usize)> {
    let (hello, hm) = (message("Hello"), thoughts("Hm"));
    let (a, b) = (call("a", "{\"command\":\"a\"}"), call("b", "{\"command\":\"b\"}"));
    let all = json!([hm, hello, a, b]);
    let stream = |events: &[Value]| ProviderAnswer::stream(events);
    vec![
        ("closing alone", stream(&[completed(&all)]), 2),
        ("created and closing", stream(&[created(), completed(&all)]), 2),
        ("one object", ProviderAnswer::json(200, &response(&all)), 2),
        (
            "deltas, nothing closed",
            stream(&[
                created(),
                added(0, hello.clone()),
                delta(0, "Hel"),
                delta(0, "lo"),
                completed(&json!([hello])),
            ]),
            0,
        ),
        (
            "half in deltas",
            stream(&[created(), added(0, hello.clone()), delta(0, "Hel"), completed(&json!([hello]))]),
            0,
        ),
        (
            "deltas alone",
            stream(&[created(), added(0, hello.clone()), delta(0, "Hello"), completed(&json!([]))]),
            0,
        ),
        (
            "no numbers",
            stream(&[
                created(),
                json!({ "type": "response.output_text.delta", "delta": "Hello" }),
                json!({ "type": "response.output_item.done", "item": hello }),
                json!({ "type": "response.output_item.done", "item": a }),
                completed(&json!([hello, a, b])),
            ]),
            2,
        ),
        ("first call closed", stream(&[created(), done(1, &hello), done(2, &a), completed(&all)]), 2),
        (
            "everything closed, ids left out",
            stream(&[
                created(),
                done(
                    0,
                    &json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Hello" }] }),
                ),
                done(1, &a),
                done(2, &b),
                completed(&json!([hello, a, b])),
            ]),
            2,
        ),
        (
            "all there",
            stream(&[created(), done(0, &hm), done(1, &hello), done(2, &a), done(3, &b), completed(&all)]),
            2,
        ),
    ]
}

#[test]
fn each_thing_once_for_every_client() {
    for (name, answer, calls) in streams() {
        for repair in ["off", "parse"] {
            let harness = harness("responses", &format!("repair = \"{repair}\""), answer.clone());
            for client in CLIENTS {
                let (path, body) = request(client, &Conversation::default());
                let (answer, _) = ask(&harness, client, path, &body);
                answer.assert_completed();
                let text = match (client, answer.transcript.text.as_str()) {
                    // An item that is closed at once has no delta, and is read as it is.
                    ("responses", "") => closed_text(&answer.body),
                    (_, text) => text.to_owned(),
                };
                assert_eq!(text, "Hello", "{name}, {client}, {repair}: {}", answer.body);
                let mut commands: Vec<&str> = answer
                    .calls()
                    .iter()
                    .filter_map(|(_, arguments)| arguments["command"].as_str())
                    .collect();
                commands.sort_unstable();
                assert_eq!(commands, ["a", "b"][..calls], "{name}, {client}, {repair}: {}", answer.body);
            }
        }
    }
}

/// The text of the closed messages.
fn closed_text(stream: &str) -> String {
    let events =
        stream.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let done = events.filter(|event| event["type"] == "response.output_item.done");
    done.filter_map(|event| event["item"]["content"][0]["text"].as_str().map(str::to_owned)).collect()
}

/// A call of an answer that was cut may be half a call.
#[test]
fn half_a_call_is_not_made() {
    let mut cut = completed(&json!([call("a", "{\"command\":\"rm\"")]));
    let whole = cut.clone();
    cut["type"] = json!("response.incomplete");
    cut["response"]["status"] = json!("incomplete");
    cut["response"]["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    for event in [cut, whole] {
        for repair in ["off", "parse"] {
            let harness = harness(
                "responses",
                &format!("repair = \"{repair}\""),
                ProviderAnswer::stream(&[created(), event.clone()]),
            );
            for client in CLIENTS {
                let (path, body) = request(client, &Conversation::default());
                let (before, headers) = (harness.requests().len(), super::any_protocol::headers(client));
                let answer = harness.ask(path, headers, &body);
                assert!(harness.requests().len() > before);
                let runs = answer.calls().iter().any(|(_, arguments)| arguments.is_object());
                assert!(!runs, "{client}, {repair}: {answer:?}");
            }
        }
    }
}
