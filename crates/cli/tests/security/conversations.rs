//! What was said stands in no log, no trace and no file but the answers that are kept; and a flood of nonsense does not fill the log.

use serde_json::{Value, json};

use crate::support::field_report::{FieldHarness, ProviderAnswer, RuleProvider};
use crate::support::{latimer_in, output, wait_until};

/// A word that stands in everything a person, a model or a tool says here.
const CANARY: &str = "Xanthippe7Quill";

fn explain(harness: &FieldHarness, args: &[&str]) -> String {
    let output = output(latimer_in(&harness.dir, &["explain"]).args(args));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn log(harness: &FieldHarness) -> String {
    std::fs::read_to_string(harness.dir.join("proxy.log")).expect("a log")
}

fn chunk(delta: &Value, reason: Option<&str>) -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m1", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] })
}

fn text(text: &str) -> ProviderAnswer {
    ProviderAnswer::stream(&[
        chunk(&json!({ "content": text }), None),
        chunk(&json!({}), Some("stop")),
        json!("data: [DONE]\n\n"),
    ])
}

fn call(name: &str, arguments: &str) -> ProviderAnswer {
    let call = json!({ "tool_calls": [{ "index": 0, "id": "c1", "type": "function", "function": { "name": name, "arguments": arguments } }] });
    ProviderAnswer::stream(&[
        chunk(&call, None),
        chunk(&json!({}), Some("tool_calls")),
        json!("data: [DONE]\n\n"),
    ])
}

/// Answers in which something is found, mended, refused or passed over: all that makes a note.
fn noted_answers() -> Vec<(ProviderAnswer, &'static str)> {
    let in_text = |name: &str| {
        format!(
            "<tool_call>\n{{\"name\":\"{name}\",\"arguments\":{{\"command\":\"curl -H 'Authorization: Bearer {CANARY}' x.test\"}}}}\n</tool_call>"
        )
    };
    let cut =
        |name: &str| format!("<tool_call>\n{{\"name\":\"{name}\",\"arguments\":{{\"command\":\"{CANARY}");
    vec![
        (text(&in_text("shell")), "call_in_text"),
        (text(&in_text(CANARY)), "a call in text of a tool that nobody declared"),
        (text(&cut("shell")), "a call in text that is cut"),
        (text(&cut(CANARY)), "the same of a tool that nobody declared"),
        (call(CANARY, &format!("{{\"x\":\"{CANARY}\"}}")), "a call of a tool that nobody declared"),
        (call(CANARY, &format!("{{\"x\":\"{CANARY}\",}}")), "the same with a comma too many"),
        (call("shell", &format!("{{\"command\":\"{CANARY}\",}}")), "a comma too many"),
        (call("shell", "{\"command\":\" \"}"), "a call without a command"),
        (call("shell", &format!("{{\"command\":\"{CANARY}\"}} {{")), "a call with a rest"),
        (
            ProviderAnswer::raw_stream(format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{CANARY}\"\n\ndata: {}\n\n",
                chunk(&json!({ "content": "a" }), Some(CANARY))
            )),
            "a line that is cut, and a reason of its own",
        ),
        (text(&format!("```bash\n```\n{CANARY}")), "an empty block"),
    ]
}

#[test]
fn nothing_that_was_said_stands_in_log_trace_or_file() {
    let answers = noted_answers();
    let count = answers.len();
    let broken = [5, 8];
    let rule = move |request: &crate::support::field_report::ProviderRequest| {
        let number = request
            .text
            .split("case:")
            .nth(1)
            .and_then(|rest| rest.split(';').next())
            .and_then(|number| number.parse::<usize>().ok());
        answers[number.expect("a case")].0.clone()
    };
    let harness =
        FieldHarness::start(RuleProvider::start(rule), "chat", "m1", "retries = 0\nrepair = \"assist\"");
    for number in 0..count {
        let said = |text: &str| json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] });
        let old_call = json!({ "type": "function_call", "call_id": "c0", "name": CANARY, "arguments": format!("{{\"x\":\"{CANARY}\"}}") });
        let old_output = json!({ "type": "function_call_output", "call_id": "c0", "output": CANARY });
        let mut input = vec![said(CANARY)];
        // The model went round in circles.
        input.extend((0..6).flat_map(|_| [old_call.clone(), old_output.clone()]));
        input.push(said(&format!("{CANARY} case:{number};")));
        let tool = json!({ "type": "function", "name": "shell", "parameters": { "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] } });
        let body = json!({ "model": "lab/m1", "stream": true, "store": false, "instructions": CANARY, "input": input, "tools": [tool] });
        let answer = harness.ask("/v1/responses", "", &body.to_string());
        assert_eq!(answer.status == 200, !broken.contains(&number), "{number}: {}", answer.body);
    }
    let traces = harness.get("/v1/turns");
    for note in [
        "a hermes call was found in the text: shell",
        "trailing comma",
        "goes round in circles",
        "was passed over",
    ] {
        assert!(traces.contains(note), "the notes are there, {note:?} too: {traces}");
    }
    let mut places = vec![("/v1/turns".to_owned(), traces), ("proxy.log".to_owned(), log(&harness))];
    for number in 1..=count {
        places.push((format!("explain t{number}"), explain(&harness, &[&format!("t{number}")])));
    }
    let files = super::state_files(&harness.dir).into_iter();
    places.extend(files.map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned())));
    for (place, text) in places {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(CANARY)).collect();
        assert!(lines.is_empty(), "{place}: {lines:#?}");
    }
}

#[test]
fn a_flood_of_unreadable_lines_is_a_few_lines_of_the_log() {
    const LINES: usize = 200_000;
    let answer = || {
        let garbage = "data: {garbage\n\n".repeat(LINES);
        let body = format!(
            "{garbage}data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
            chunk(&json!({ "content": "Whole." }), None),
            chunk(&json!({}), Some("stop"))
        );
        ProviderAnswer::raw_stream(body)
    };
    let flood = answer();
    let harness =
        FieldHarness::start(RuleProvider::start(move |_| flood.clone()), "chat", "m1", "retries = 0");
    let request = json!({ "model": "lab/m1", "stream": true, "store": false, "input": "go" });
    let answer = harness.ask("/v1/responses", "", &request.to_string());
    answer.assert_completed();
    assert_eq!(answer.transcript.text, "Whole.");
    let told = explain(&harness, &["t1"]);
    let log = log(&harness);
    let notes: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["event"] == "turn.note")
        .collect();
    assert_eq!(notes.len(), 4, "three lines, and a count: {notes:#?}");
    assert_eq!(notes[3]["count"], LINES - 3);
    assert!(log.len() < 10_000, "{} bytes", log.len());
    assert!(told.contains(&format!("{} more of the same kind", LINES - 3)), "{told}");
}

#[test]
fn a_client_that_calls_itself_or_a_model_by_the_token_does_not_have_it_written_down() {
    let rule = |_: &crate::support::field_report::ProviderRequest| text("Hi.");
    let harness = FieldHarness::start(
        RuleProvider::start(rule),
        "chat",
        "m1",
        "[[endpoint]]\nname = \"spare\"\nbase_url = \"http://127.0.0.1:9\"\nretries = 0",
    );
    let token = std::fs::read_to_string(harness.dir.join("state/token")).expect("a token");
    let agent = format!("user-agent: {token}/1.0\r\n");
    for model in ["lab/m1".to_owned(), format!("spare/{token}"), token.clone()] {
        let body = json!({ "model": model, "stream": true, "store": false, "input": "go" }).to_string();
        let answer = harness.ask("/v1/responses", &agent, &body);
        assert!(answer.status == 200 || !answer.body.contains(&token), "{}", answer.body);
    }
    let usage = || {
        let usage = output(&mut latimer_in(&harness.dir, &["usage", "--by", "client"]));
        String::from_utf8_lossy(&usage.stdout).into_owned()
    };
    wait_until("the turns are written down", || usage().contains("***"));
    let mut places = vec![
        ("/v1/turns".to_owned(), harness.get("/v1/turns")),
        ("log".to_owned(), log(&harness)),
        ("usage".to_owned(), usage()),
    ];
    let files = super::state_files(&harness.dir).into_iter().filter(|(path, _)| !path.ends_with("/token"));
    places.extend(files.map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned())));
    for (place, text) in places {
        assert!(!text.contains(&token[..16]), "{place}: {text:.300}");
    }
}

#[test]
fn headers_and_links_of_an_upstream_tell_no_key() {
    // Its header is 40 characters raw, its link and its code are Google's.
    let key = "sk-lab-Zk4Vb7Nm2Qx9Wr5Ty8Ui3";
    let refusal = |status: u16, code: &str| {
        let details = json!([{ "reason": "VALIDATION_REQUIRED", "metadata": { "validation_link": format!("https://accounts.test/v?key={key}&x=1") } }]);
        json!({ "error": { "code": status, "status": code, "message": "Not found.", "details": details } })
    };
    let encoded = format!("application/json\r\ncontent-encoding: {key}");
    let encoded: &'static str = Box::leak(encoded.into_boxed_str());
    let refusals = [
        ProviderAnswer { content_type: encoded, ..ProviderAnswer::json(200, &json!({})) },
        ProviderAnswer { content_type: encoded, ..ProviderAnswer::json(400, &json!({})) },
        ProviderAnswer::json(404, &refusal(404, key)),
        ProviderAnswer::json(403, &refusal(403, "PERMISSION_DENIED")),
    ];
    let count = refusals.len();
    for protocol in ["chat", "anthropic", "responses", "gemini", "command_code"] {
        let refusals = refusals.clone();
        let mut asked = 0;
        let provider = RuleProvider::start(move |_| {
            asked += 1;
            refusals[(asked - 1) % refusals.len()].clone()
        });
        let harness = FieldHarness::start(provider, protocol, "m1", "retries = 0");
        for number in 0..count {
            let request = json!({ "model": "lab/m1", "stream": true, "store": false, "input": "go" });
            let answer = harness.ask("/v1/responses", "", &request.to_string());
            assert!(
                answer.failure.is_some() && !answer.body.contains(&key[..12]),
                "{protocol} {number}: {}",
                answer.body
            );
            harness.ask("/v1/admin/retry", "", "{}");
        }
        for (place, text) in [("log", log(&harness)), ("traces", harness.get("/v1/turns"))] {
            assert!(!text.contains(&key[..12]), "{protocol}: {place}: {text}");
        }
    }
}
