//! The same in a terminal: `status`, `logs`, `explain`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};

use crate::support::{Harness, latimer_in, output, wait_until};

const ASK: &str = r#"{"model":"glm-5","input":"hello"}"#;

fn run(harness: &Harness, args: &[&str]) -> (Option<i32>, String) {
    let output = output(&mut latimer_in(&harness.dir, args));
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn limited(seconds: &str) -> ScriptedAnswer {
    ScriptedAnswer::error(429, json!({ "error": { "message": "Slow down please" } }))
        .header("retry-after", seconds)
}

#[test]
fn a_turn_is_explained_while_a_proxy_runs_and_when_none_does() {
    let mut harness = Harness::new("terminal-explain", [limited("1"), ScriptedAnswer::text("one")]);
    harness.post(ASK, "user-agent: my-client/1.0\r\n");
    let check = |harness: &Harness| {
        let (code, text) = run(harness, &["explain", "t1"]);
        assert_eq!(code, Some(0), "{text}");
        for words in [
            "t1     lab/glm-5  stop after",
            "client   my-client",
            "asked    glm-5 by responses, answered by lab/glm-5",
            "attempt 1 at 0.0 s: lab/glm-5 with key-1, rate_limited (429)",
            "Slow down please; asked again after 1.0 s",
            "attempt 2 at 1.",
            "ago",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(run(harness, &["explain", "t9"]).1.contains("remembers no turn `t9`"));
        let (_, json) = run(harness, &["explain", "t1", "--json"]);
        let report: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(report["attempts"][0]["failure"]["status"], 429, "{report}");
        let (_, list) = run(harness, &["explain"]);
        assert!(list.starts_with("t1     lab/glm-5  stop"), "{list}");
    };
    check(&harness);
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    check(&harness);
}

#[test]
fn a_wait_and_what_is_not_well_are_said_until_they_are_over() {
    let harness = Harness::new("terminal-status", [limited("20")]);
    let (stream, _) = harness.open_stream("");
    wait_until("the wait is said", || {
        let (code, text) = run(&harness, &["status"]);
        assert_eq!(code, Some(0), "a proxy that nobody watches runs too: {text}");
        text.contains("nobody watches it")
            && text.contains("t1     lab/glm-5  waiting")
            && text.contains("more: lab asked for it: ")
            && text.contains("✗ lab: ")
            && text.contains("Slow down please")
    });
    let (_, json) = run(&harness, &["status", "--json"]);
    let status: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&status["problems"][0]["who"], &status["watched"]), (&json!("lab"), &json!(false)));
    assert_eq!(status["running"][0]["state"], "waiting");
    let (_, logs) = run(&harness, &["logs"]);
    assert!(logs.contains("waits") && logs.contains("asked for it"), "{logs}");
    drop(stream);
}

#[test]
fn turns_are_followed_and_filtered() {
    let refused = ScriptedAnswer::error(400, json!({ "error": { "message": "no \u{1b}[2J such thing" } }));
    let harness =
        Harness::new("terminal-logs", [ScriptedAnswer::text("one"), refused, ScriptedAnswer::text("two")]);
    harness.post(ASK, "user-agent: first/1\r\n");
    let mut command = latimer_in(&harness.dir, &["logs", "--follow", "--json"]);
    let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    assert_eq!(next()["id"], "t1");
    harness.post(ASK, "user-agent: second/1\r\n");
    harness.post(ASK, "user-agent: second/1\r\n");
    assert_eq!((next()["finish"].clone(), next()["id"].clone()), (json!("failed"), json!("t3")));
    follower.kill().expect("ended");
    follower.wait().expect("ended");
    let (_, errors) = run(&harness, &["logs", "--errors"]);
    assert!(
        errors.contains("bad_request: ") && errors.contains("such thing") && !errors.contains('\u{1b}'),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert_eq!(run(&harness, &["logs", "--client", "first"]).1.lines().count(), 1);
    assert_eq!(run(&harness, &["logs", "--endpoint", "none", "--json"]).1, "");
}
