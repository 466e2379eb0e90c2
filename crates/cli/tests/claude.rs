//! The real Claude Code, end to end: `latimer launch claude` against a provider that speaks only Chat Completions.
//!
//! `cargo xtask e2e` installs the client; without it each test says that it was skipped.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, Run, program};

const CLAUDE: &str = "LATIMER_CLAUDE";
const TOOLS: &str = "Bash,Read,Edit,Write,Task,Agent";

/// One question in print mode. Nothing but the proxy is asked.
fn ask(harness: &Harness, claude: &str, question: &str, more: &[(&str, &str)]) -> (Run, Value) {
    let args = ["-p", question, "--output-format", "json", "--allowedTools", TOOLS];
    let mut env = vec![("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"), ("CLAUDE_CODE_MAX_RETRIES", "0")];
    env.extend_from_slice(more);
    let run = harness.client("claude", claude, &args, &env);
    let result = serde_json::from_str(run.stdout.trim()).unwrap_or_default();
    (run, result)
}

/// What the upstream got as results of its calls, in its n-th request.
fn results(harness: &Harness, number: usize) -> Vec<String> {
    let requests = harness.requests();
    let messages = requests[number].body["messages"].as_array().expect("messages").clone();
    let tools = messages.iter().filter(|message| message["role"] == "tool");
    tools.map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn plain_answer() {
    let Some(claude) = program(CLAUDE) else { return };
    let harness =
        Harness::new("claude-plain", [ScriptedAnswer::turn([Step::reasoning("Easy."), Step::text("Four.")])]);
    let (run, result) = ask(&harness, &claude, "What is two and two?", &[]);
    assert_eq!((run.code, &result["result"]), (Some(0), &json!("Four.")), "{}", run.all());
    let request = &harness.requests()[0];
    let sent = request.body.to_string();
    assert_eq!(request.header("authorization"), Some("Bearer upstream-key"));
    assert!(!sent.contains("x-anthropic-billing-header"), "the billing block is not for the model");
    assert!(!sent.contains(&harness.token()), "the token stays here");
    let roles: Vec<&str> = request.body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter_map(|message| message["role"].as_str())
        .collect();
    assert!(roles.contains(&"system") && roles.contains(&"user"), "{roles:?}");
}

#[test]
fn a_command_creates_a_file() {
    let Some(claude) = program(CLAUDE) else { return };
    let call = ScriptedAnswer::call(
        "call_1",
        "Bash",
        json!({ "command": "echo hello > made.txt", "description": "Makes it" }),
    );
    let harness = Harness::new("claude-bash", [call, ScriptedAnswer::text("Made it.")]);
    let (run, result) = ask(&harness, &claude, "Make a file.", &[]);
    assert_eq!((run.code, &result["result"]), (Some(0), &json!("Made it.")), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
}

#[test]
fn a_file_is_read_and_edited_by_parallel_calls() {
    let Some(claude) = program(CLAUDE) else { return };
    let call = |index: u32, name: &str, arguments: Value| Step::Call {
        id: format!("call_{index}"),
        name: name.into(),
        arguments: arguments.to_string(),
        pieces: 2,
        gap_us: 0,
        index,
    };
    let both = ScriptedAnswer::turn([
        call(0, "Read", json!({ "file_path": "a.txt" })),
        call(1, "Bash", json!({ "command": "pwd", "description": "Where" })),
    ]);
    let harness = Harness::new(
        "claude-edit",
        [
            both,
            ScriptedAnswer::call(
                "call_3",
                "Edit",
                json!({ "file_path": "a.txt", "old_string": "one", "new_string": "two" }),
            ),
            ScriptedAnswer::text("Changed."),
        ],
    );
    std::fs::write(harness.dir.join("project/a.txt"), "one\n").expect("written");
    let (run, result) = ask(&harness, &claude, "Change one to two in a.txt.", &[]);
    assert_eq!((run.code, &result["result"]), (Some(0), &json!("Changed.")), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/a.txt")).expect("read"), "two\n");
    let both = results(&harness, 1);
    assert_eq!(both.len(), 2, "both calls were answered: {both:?}");
    assert!(both[0].contains("one") && both[1].contains("project"), "each by its own result: {both:?}");
}

#[test]
fn errors_are_shown() {
    let Some(claude) = program(CLAUDE) else { return };
    let limits = "retries = 0\nmodels = [\"glm-5\"]";
    for (status, words) in [
        (429, "slow down please"),
        (529, "too many people"),
        (401, "the key is wrong"),
        (400, "no such thing"),
    ] {
        let error = ScriptedAnswer::error(status, json!({ "error": { "message": words } }));
        let harness = Harness::configured("claude-errors", [error], "", limits);
        let (run, result) = ask(&harness, &claude, "Hello", &[]);
        let said = result["result"].as_str().unwrap_or_default();
        assert_eq!((run.code, &result["is_error"]), (Some(1), &json!(true)), "{status}: {}", run.all());
        assert!(said.contains(words), "{status}: {said}");
        let asked = harness.requests().len();
        assert!(asked <= 2, "{status} cost {asked} requests");
    }
}

#[test]
fn what_was_tried_in_vain_is_not_repeated() {
    let Some(claude) = program(CLAUDE) else { return };
    let limits = "retries = 1\nmodels = [\"glm-5\"]";
    for (status, words) in [(500, "the engine fell over"), (529, "too many people"), (429, "too fast")] {
        let error = ScriptedAnswer::error(status, json!({ "error": { "message": words } }));
        let harness = Harness::configured("claude-spent", [error], "", limits);
        let (run, result) = ask(&harness, &claude, "Hello", &[("CLAUDE_CODE_MAX_RETRIES", "10")]);
        let said = result["result"].as_str().unwrap_or_default();
        assert_eq!((run.code, &result["is_error"]), (Some(1), &json!(true)), "{status}: {}", run.all());
        assert!(said.contains(words), "{status}: {said}");
        assert_eq!(harness.requests().len(), 2, "{status}: the first and one retry of ours");
    }
}

#[test]
fn a_long_wait_is_handed_over_at_once_and_a_short_one_is_held() {
    let Some(claude) = program(CLAUDE) else { return };
    let limited = |seconds: &str| {
        ScriptedAnswer::error(429, json!({ "error": { "message": "slow down" } }))
            .header("retry-after", seconds)
    };
    let harness = Harness::new("claude-long-wait", [limited("40")]);
    let (run, result) = ask(&harness, &claude, "Hello", &[]);
    let said = result["result"].as_str().unwrap_or_default();
    assert!(said.contains("429") && said.contains("slow down"), "{said} {}", run.all());
    assert_eq!(harness.requests().len(), 1, "it waits itself");
    let harness = Harness::new("claude-short-wait", [limited("4"), ScriptedAnswer::text("At last.")]);
    let (run, result) = ask(&harness, &claude, "Hello", &[]);
    assert_eq!((run.code, &result["result"]), (Some(0), &json!("At last.")), "{}", run.all());
}

#[test]
fn a_long_stream_arrives_whole() {
    let Some(claude) = program(CLAUDE) else { return };
    let text = "All work and no play makes a dull test. ".repeat(2000);
    let answer = ScriptedAnswer::turn([Step::Text { text: text.clone(), pieces: 4000, gap_us: 200 }]);
    let harness = Harness::new("claude-long", [answer]);
    let (run, result) = ask(&harness, &claude, "Write a lot.", &[]);
    assert_eq!(run.code, Some(0), "{}", run.all());
    assert_eq!(result["result"].as_str().map(str::trim), Some(text.trim()));
}

#[test]
fn a_subtask_has_a_conversation_of_its_own() {
    let Some(claude) = program(CLAUDE) else { return };
    let task =
        json!({ "description": "Look", "prompt": "Count the files.", "subagent_type": "general-purpose" });
    let harness = Harness::new(
        "claude-task",
        [
            ScriptedAnswer::call("call_1", "Agent", task),
            ScriptedAnswer::text("There are none."),
            ScriptedAnswer::text("The helper counted none."),
        ],
    );
    let (run, result) = ask(&harness, &claude, "Delegate the counting.", &[]);
    assert_eq!((run.code, &result["result"]), (Some(0), &json!("The helper counted none.")), "{}", run.all());
    assert_eq!(harness.requests().len(), 3);
}
