//! What is kept, through the real binary: answers that are gone on with, and what was used.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, body, dechunk, status};

fn response(answer: &str) -> Value {
    assert_eq!(status(answer), 200, "{answer}");
    serde_json::from_str(body(answer)).expect("JSON")
}

#[test]
fn an_answer_is_gone_on_with_after_a_restart_too() {
    let answers = ["one", "two", "three"].map(ScriptedAnswer::text);
    let mut harness = Harness::new("chain", answers);
    let first = response(&harness.post(r#"{"model":"glm-5","input":"hello"}"#, ""));
    let ask = |harness: &Harness, id: &Value, stream: bool| {
        let request =
            json!({ "model": "glm-5", "previous_response_id": id, "input": "go on", "stream": stream });
        harness.post(&request.to_string(), "")
    };
    let streamed = dechunk(&ask(&harness, &first["id"], true));
    let last =
        streamed.lines().filter_map(|line| line.strip_prefix("data: {")).next_back().expect("a last event");
    let second: Value = serde_json::from_str(&format!("{{{last}")).expect("JSON");
    assert_eq!(second["response"]["previous_response_id"], first["id"], "echoed");
    harness.restart();
    let third = response(&ask(&harness, &second["response"]["id"], false));
    assert_eq!(third["output"][0]["content"][0]["text"], "three");
    let messages = harness.requests()[2].body["messages"].clone();
    let said: Vec<&str> = messages
        .as_array()
        .expect("messages")
        .iter()
        .filter_map(|message| message["content"].as_str())
        .collect();
    assert_eq!(said, ["hello", "one", "go on", "two", "go on"]);

    let unknown = ask(&harness, &json!("resp_gone"), false);
    assert_eq!(status(&unknown), 400);
    assert!(
        unknown.contains("previous_response_not_found") && unknown.contains("previous_response_id"),
        "{unknown}"
    );
}

#[test]
fn what_the_client_wants_forgotten_is_not_kept() {
    let harness = Harness::new("forgotten", [ScriptedAnswer::text("one")]);
    let first = response(&harness.post(r#"{"model":"glm-5","input":"hello","store":false}"#, ""));
    let request = json!({ "model": "glm-5", "previous_response_id": first["id"], "input": "go on" });
    assert_eq!(status(&harness.post(&request.to_string(), "")), 400);
}

#[test]
fn usage_is_written_down_with_its_cost() {
    let text =
        || ScriptedAnswer::steps([Step::text("x"), Step::finish("stop"), Step::usage(2000, 100), Step::Done]);
    let failure = ScriptedAnswer::error(401, json!({ "error": { "message": "bad key" } }));
    let endpoint = "models = [{ id = \"glm-5\", price = { input = 1, output = 2.5 } }]";
    let mut harness = Harness::configured("usage", [text(), text(), failure], "", endpoint);
    for _ in 0..3 {
        let headers = "user-agent: my-client/1.0\r\nx-latimer-project: %3Dmy%20app\r\n";
        harness.post(r#"{"model":"glm-5","input":"hello"}"#, headers);
    }
    assert!(
        harness.requests().iter().all(|sent| sent.header("x-latimer-project").is_none()),
        "it stays here"
    );
    harness.restart();
    let usage = |args: &[&str]| {
        let mut command = support::latimer();
        command
            .env("COLUMNS", "60")
            .arg("usage")
            .args(args)
            .arg("--state-dir")
            .arg(harness.dir.join("state"));
        let output = support::output(&mut command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let report: Value = serde_json::from_str(&usage(&["--by", "model", "--json"])).expect("JSON");
    let line = &report["lines"][0];
    assert_eq!((&line["name"], &line["turns"], &line["failed"]), (&json!("lab/glm-5"), &json!(3), &json!(1)));
    assert_eq!((&line["input"], &line["output"]), (&json!(4000), &json!(200)));
    assert!((line["cost_usd"].as_f64().expect("a cost") - 0.0045).abs() < 1e-9, "{line}");
    for (by, name) in [
        ("client", "my-client"),
        ("project", "=my app"),
        ("week", "20"),
        ("month", "20"),
        ("account", "lab key-1"),
        ("failure", "unauthorized"),
        ("endpoint", "lab"),
    ] {
        let table = usage(&["--by", by]);
        assert!(table.contains(name) && table.contains("total"), "{by}: {table}");
        assert!(table.lines().all(|line| line.chars().count() <= 60), "{by}: {table}");
    }
    let csv = usage(&["--by", "project", "--csv", "--breakdown", "--since", "today"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 3, "{csv}");
    assert!(
        rows[1].starts_with("'=my app,,3,1,4000,") && rows[2].starts_with("'=my app,lab/glm-5,3,"),
        "{csv}"
    );
    assert!(usage(&["--by", "day", "--since", "yesterday"]).contains("times are local (UTC"));
    assert!(usage(&["--since", "yesterday", "--until", "yesterday"]).contains("no turn yet"));
    assert!(usage(&["--since", "2999-01-01"]).contains("no turn yet"));
}

#[test]
fn a_request_that_gets_no_turn_leaves_a_row() {
    let other = "models = [\"glm-5\"]\n[[endpoint]]\nname = \"other\"\nbase_url = \"http://127.0.0.1:1\"\nmodels = [\"n\"]";
    let harness = Harness::configured("refused", [ScriptedAnswer::text("x")], "", other);
    assert_eq!(
        status(&harness.post(r#"{"model":"nobody","input":"hello"}"#, "user-agent: my-client/1.0\r\n")),
        404
    );
    assert_eq!(status(&harness.post("{", "user-agent: my-client/1.0\r\n")), 400);
    let page = harness.http(&harness.get("/api/v1/turns?errors=1"), b"");
    assert_eq!(page.matches("\"finish\":\"refused\"").count(), 2, "{page}");
    assert!(page.contains("model_not_found") && page.contains("\"client\":\"my-client\""), "{page}");
    assert!(harness.requests().is_empty());
}

#[test]
fn circles_and_cold_caches_are_warned_of() {
    let used = |input: u64, cached: u64| {
        let usage = json!({ "prompt_tokens": input, "completion_tokens": 1, "prompt_tokens_details": { "cached_tokens": cached } });
        ScriptedAnswer::steps([
            Step::text("x"),
            Step::finish("stop"),
            Step::Chunk { json: json!({ "choices": [], "usage": usage }) },
            Step::Done,
        ])
    };
    let harness = Harness::new("warnings", [used(9000, 8000), used(9000, 0)]);
    let mut input = vec![json!({ "role": "user", "content": "go" })];
    for call in 0..5 {
        let id = format!("c{call}");
        input.push(json!({ "type": "function_call", "call_id": id, "name": "exec", "arguments": "{}" }));
        input.push(json!({ "type": "function_call_output", "call_id": id, "output": "no" }));
    }
    harness.post(&json!({ "model": "glm-5", "input": "hello", "prompt_cache_key": "c" }).to_string(), "");
    harness.post(&json!({ "model": "glm-5", "input": input, "prompt_cache_key": "c" }).to_string(), "");
    let health = harness.http(&harness.get("/health"), b"");
    for words in ["t2: the model goes round in circles", "t2: the provider's cache went cold"] {
        assert!(health.contains(words), "{words}: {health}");
    }
}
