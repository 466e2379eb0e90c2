//! Compaction on a provider that knows nothing of it: a whole summary, or a failure.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use latimer_protocol::responses::legality;
use serde_json::{Value, json};
use support::{Harness, body, dechunk, status};

fn message(role: &str, text: &str) -> Value {
    json!({ "type": "message", "role": role, "content": [{ "type": "input_text", "text": text }] })
}

fn history(output: &str) -> Vec<Value> {
    vec![
        message("developer", "rules"),
        message("user", "make a file"),
        json!({ "type": "function_call", "call_id": "c1", "name": "exec", "arguments": "{\"cmd\":\"ls\"}" }),
        json!({ "type": "function_call_output", "call_id": "c1", "output": output }),
    ]
}

fn asked(harness: &Harness, number: usize) -> String {
    harness.requests()[number].body["messages"].to_string()
}

#[test]
fn a_trigger_gets_one_item_that_stands_for_the_history() {
    let harness =
        Harness::new("trigger", [ScriptedAnswer::text("We made a file."), ScriptedAnswer::text("Going on.")]);
    let mut input = history("a.txt");
    input.push(json!({ "type": "compaction_trigger" }));
    let tools = json!([{ "type": "function", "name": "exec" }]);
    let request = json!({ "model": "glm-5", "stream": true, "input": input, "tools": tools });
    let answer = dechunk(&harness.post(&request.to_string(), ""));
    assert_eq!(legality::check(answer.as_bytes()), Vec::<String>::new(), "{answer}");
    let done = answer.lines().filter_map(|line| line.strip_prefix("data: ")).filter_map(|data| {
        let value: Value = serde_json::from_str(data).ok()?;
        (value["type"] == "response.output_item.done").then(|| value["item"].clone())
    });
    let items: Vec<Value> = done.collect();
    assert_eq!(items.len(), 1, "exactly one item");
    assert_eq!(items[0]["type"], "compaction");
    assert!(!answer.contains("We made a file"), "the summary travels sealed");
    let question = asked(&harness, 0);
    assert!(
        question.contains("Person: make a file") && question.contains("Tool answered: a.txt"),
        "{question}"
    );
    assert!(harness.requests()[0].body.get("tools").is_none(), "notes are words");

    let next = json!({ "model": "glm-5", "input": [message("developer", "rules"), items[0], message("user", "go on")] });
    assert_eq!(status(&harness.post(&next.to_string(), "")), 200);
    assert!(asked(&harness, 1).contains("We made a file."), "the summary came back: {}", asked(&harness, 1));
}

#[test]
fn a_history_that_is_too_long_is_summarised_in_parts() {
    let too_long = ScriptedAnswer::error(
        400,
        json!({ "error": { "message": "maximum context length is 8192 tokens" } }),
    );
    let parts = (1..=40).map(|part| ScriptedAnswer::text(format!("notes {part}")));
    let harness = Harness::new("parts", [too_long].into_iter().chain(parts));
    let input: Vec<Value> =
        (0..20).map(|turn| message("user", &format!("request {turn} {}", "x".repeat(400)))).collect();
    let answer = harness.post_to(
        "/v1/responses/compact",
        &json!({ "model": "glm-5", "input": input }).to_string(),
        "",
    );
    assert_eq!(status(&answer), 200, "{answer}");
    let compaction: Value = serde_json::from_str(body(&answer)).expect("JSON");
    assert_eq!(compaction["object"], "response.compaction");
    let output = compaction["output"].as_array().expect("items");
    assert_eq!((output.len(), &output[20]["type"]), (21, &json!("compaction")), "the person's words stay");
    let count = harness.requests().len();
    assert!(count > 2, "{count}");
    let last = asked(&harness, count - 1);
    assert!(last.contains(&format!("notes {}", count - 2)) && last.contains("request 19"), "{last}");
    assert!(compaction["usage"]["input_tokens"].as_u64() >= Some(20), "all questions are counted");
}

#[test]
fn half_a_summary_is_none() {
    for (name, half) in [
        ("length", ScriptedAnswer::steps([Step::text("We ma"), Step::finish("length"), Step::Done])),
        ("cut", ScriptedAnswer::steps([Step::text("We ma"), Step::Cut])),
        ("empty", ScriptedAnswer::text(" ")),
    ] {
        let harness = Harness::configured(name, [half], "", "retries = 0");
        let request = json!({ "model": "glm-5", "input": history("a.txt") });
        let answer = harness.post_to("/v1/responses/compact", &request.to_string(), "");
        assert!(status(&answer) >= 400 && !answer.contains("compaction\""), "{name}: {answer}");
    }
}

#[test]
fn a_compaction_of_somebody_else_is_no_reason_to_fail_for_ever() {
    let harness = Harness::new("foreign", [ScriptedAnswer::text("fine")]);
    let foreign = json!({ "type": "compaction", "encrypted_content": "gAAAAA" });
    let answer = harness
        .post(&json!({ "model": "glm-5", "input": [foreign, message("user", "go on")] }).to_string(), "");
    assert_eq!(status(&answer), 200, "{answer}");
    let trace = harness.http(&harness.get("/v1/turns"), b"");
    assert!(trace.contains("a compaction of another provider was left out"), "{trace}");
}
