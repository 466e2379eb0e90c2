//! Turns that wait for a time that a provider named to another one, over real sockets.

use std::time::Duration;

use latimer_adapters::scripted::ScriptedAnswer;
use latimer_protocol::responses::legality;
use serde_json::json;

use crate::documents::document;
use crate::support::upstream_scripts::{Ending, Output, script};
use crate::support::{Harness, body, dechunk, status, wait_until};

/// A turn of Codex.
const CODEX: &str = "originator: codex_cli_rs\r\n";
const ASK: &str = r#"{"model":"gpt-5.5","stream":true,"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Go."}]}]}"#;

fn limited(seconds: u64) -> ScriptedAnswer {
    ScriptedAnswer::error(429, json!({ "error": { "message": "slow down", "type": "rate_limit_error" } }))
        .header("retry-after", &seconds.to_string())
}

fn speaking_responses(name: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Harness {
    Harness::configured(name, answers, "", "protocol = \"responses\"\nmodels = [\"gpt-5.5\"]")
}

fn answer(words: &'static str) -> ScriptedAnswer {
    script("responses", &[Output::Text(words)], Ending::Complete)
}

#[test]
fn a_wait_before_an_upstream_that_speaks_responses_is_said_and_the_answer_follows_it() {
    let harness = speaking_responses("wait-passed", [limited(4), answer("At last."), answer("Once more.")]);
    let stream = dechunk(&harness.post(ASK, CODEX));
    assert_eq!(legality::check(stream.as_bytes()), Vec::<String>::new(), "{stream}");
    let (wait, text) =
        (stream.find("latimer waits for 4 s: lab asked for it: slow down"), stream.find("At last."));
    assert!(wait.is_some() && wait < text, "{stream}");
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<serde_json::Value> = events.filter_map(|data| serde_json::from_str(data).ok()).collect();
    let done = events.iter().find(|event| event["type"] == "response.completed").expect("its end");
    let output = done["response"]["output"].as_array().expect("items").clone();
    assert!(output.iter().any(|item| item["type"] == "reasoning"), "{done}");
    let mut history = vec![json!({ "type": "message", "role": "user", "content": "Go." })];
    history.extend(output);
    history.push(json!({ "type": "message", "role": "user", "content": "Go on." }));
    let next = json!({ "model": "gpt-5.5", "stream": true, "store": false, "input": history }).to_string();
    assert!(harness.post(&next, CODEX).contains("Once more."));
    let requests = harness.requests();
    assert_eq!(requests.len(), 3, "one refusal, two answers");
    let sent = requests[2].body.to_string();
    assert!(sent.contains("At last.") && !sent.contains("latimer"), "no part of the history: {sent}");
}

#[test]
fn a_turn_that_begins_while_the_only_key_rests_is_sent_when_the_time_is_over() {
    let harness = speaking_responses("wait-shared", [limited(5), answer("one"), answer("two")]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| harness.post(ASK, CODEX));
        wait_until("the first turn was refused", || harness.requests().len() == 1);
        wait_until("the first turn waits", || {
            document(&harness, "/api/v1/turns").to_string().contains("\"state\":\"waiting\"")
        });
        let second = scope.spawn(|| harness.post(ASK, CODEX));
        wait_until("both wait and say why", || {
            let page = document(&harness, "/api/v1/turns");
            let waiting = |turn: &&serde_json::Value| {
                turn["state"] == "waiting" && turn["wait"]["why"] == "lab asked for it: slow down"
            };
            page["running"].as_array().is_some_and(|turns| turns.iter().filter(waiting).count() == 2)
        });
        assert_eq!(harness.requests().len(), 1, "nothing was sent meanwhile");
        for turn in [first, second] {
            let stream = turn.join().expect("answered");
            assert!(stream.contains("response.completed"), "{stream}");
        }
    });
    let times: Vec<Duration> = harness.requests().iter().map(|request| request.received_at).collect();
    assert_eq!(times.len(), 3);
    for later in &times[1..] {
        assert!(later.saturating_sub(times[0]) >= Duration::from_millis(4900), "{times:?}");
    }
}

#[test]
fn what_is_longer_than_the_client_is_held_for_ends_at_once_with_the_providers_time_in_its_protocol() {
    let endpoint = "models = [\"glm-5\"]";
    let harness =
        Harness::configured("wait-long", [limited(200), ScriptedAnswer::text("late")], "", endpoint);
    let messages = r#"{"model":"glm-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#;
    let first = harness.post_to("/v1/messages", messages, "user-agent: claude-cli/2.1.197\r\n");
    assert_eq!(status(&first), 429, "{first}");
    let rests = |answer: &str| {
        let head = answer.to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("retry-after: ").map(str::to_owned));
        line.and_then(|seconds| seconds.trim().parse::<u64>().ok()).expect("a time")
    };
    for (path, asked, client) in [
        ("/v1/messages", messages, "user-agent: claude-cli/2.1.197\r\n"),
        ("/v1/chat/completions", r#"{"model":"glm-5","messages":[{"role":"user","content":"x"}]}"#, ""),
        ("/v1/responses", r#"{"model":"glm-5","input":"x"}"#, ""),
    ] {
        let answer = harness.post_to(path, asked, client);
        assert_eq!(status(&answer), 429, "{path}: {answer}");
        assert!((100..=200).contains(&rests(&answer)), "{path}: {answer}");
        assert!(body(&answer).contains("lab asked for it: slow down"), "{path}: {answer}");
    }
    assert_eq!(harness.requests().len(), 1, "only the first was sent");
    let turns = document(&harness, "/api/v1/turns/t2");
    assert_eq!(turns["attempts"][0]["then"], "hand_over", "{turns}");
    let retried = harness.http(
        &harness
            .get("/v1/admin/retry/lab")
            .replacen("GET", "POST", 1)
            .replace("connection", "x-latimer-admin: 1\r\ncontent-length: 0\r\nconnection"),
        b"",
    );
    assert_eq!(status(&retried), 200, "{retried}");
    let answer = harness.post_to(
        "/v1/chat/completions",
        r#"{"model":"glm-5","messages":[{"role":"user","content":"x"}]}"#,
        "",
    );
    assert!(status(&answer) == 200 && answer.contains("late"), "a person ended the rest: {answer}");
}
