//! The real opencode, end to end: over Chat Completions by `latimer launch opencode`, and over Messages and Responses with
//! configurations of its own.
//!
//! `cargo xtask e2e` installs the client; without it each test says that it was skipped.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::json;
use support::{Harness, Run, finish, program};

const OPENCODE: &str = "LATIMER_OPENCODE";

fn answers() -> Vec<ScriptedAnswer> {
    let call = json!({ "command": "echo hello > made.txt", "description": "Makes it" });
    vec![ScriptedAnswer::call("call_1", "bash", call), ScriptedAnswer::text("Made it.")]
}

/// Requests with tools; opencode may ask for a title beside them.
fn turns(harness: &Harness) -> usize {
    harness
        .requests()
        .iter()
        .filter(|request| request.body["tools"].as_array().is_some_and(|tools| !tools.is_empty()))
        .count()
}

fn check(harness: &Harness, run: &Run) {
    assert_eq!(run.code, Some(0), "{}", run.all());
    assert!(run.all().contains("Made it."), "{}", run.all());
    let made = std::fs::read_to_string(harness.dir.join("project/made.txt")).unwrap_or_default();
    assert_eq!(made, "hello\n", "{}", run.all());
    assert_eq!(turns(harness), 2, "{}", run.all());
    let key = |request: &latimer_adapters::scripted::RecordedRequest| {
        request.header("authorization").map(str::to_owned)
    };
    assert!(harness.requests().iter().all(|request| key(request).as_deref() == Some("Bearer upstream-key")));
}

#[test]
fn over_chat_completions_as_it_is_launched() {
    let Some(opencode) = program(OPENCODE) else { return };
    let harness = Harness::new("opencode-chat", answers());
    let run = harness.client("opencode", &opencode, &["run", "--title", "t", "Make a file."], &[]);
    check(&harness, &run);
}

/// opencode with a provider of its own, and one of the packages it comes with.
fn with_package(harness: &Harness, opencode: &str, package: &str) -> Run {
    let config = json!({
        "model": "lab/glm-5", "small_model": "lab/glm-5",
        "provider": { "lab": {
            "npm": package,
            "options": { "baseURL": format!("{}/v1", harness.url), "apiKey": harness.token() },
            "models": { "glm-5": { "name": "glm-5", "limit": { "context": 128_000, "output": 32_000 } } },
        } },
    });
    let mut command = Command::new(opencode);
    command
        .args(["run", "--title", "t", "Make a file."])
        .current_dir(harness.dir.join("project"))
        .env("PWD", harness.dir.join("project"));
    command.env("HOME", harness.dir.join("home")).env("OPENCODE_CONFIG_CONTENT", config.to_string());
    command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME").env_remove("XDG_DATA_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().expect("opencode runs"))
}

#[test]
fn over_messages() {
    let Some(opencode) = program(OPENCODE) else { return };
    let harness = Harness::new("opencode-messages", answers());
    let run = with_package(&harness, &opencode, "@ai-sdk/anthropic");
    check(&harness, &run);
}

#[test]
fn over_responses() {
    let Some(opencode) = program(OPENCODE) else { return };
    let harness = Harness::new("opencode-responses", answers());
    let run = with_package(&harness, &opencode, "@ai-sdk/openai");
    check(&harness, &run);
}

#[test]
fn what_lasts_ends_the_run_at_once() {
    let Some(opencode) = program(OPENCODE) else { return };
    let wrong =
        || ScriptedAnswer::error(401, json!({ "error": { "message": "the key of the provider is wrong" } }));
    let harness = Harness::new("opencode-error", [wrong(), wrong()]);
    let run = harness.client("opencode", &opencode, &["run", "Hello"], &[]);
    assert!(run.all().contains("the key of the provider is wrong"), "{}", run.all());
    assert!(harness.requests().len() <= 4, "{} requests", harness.requests().len());
}

#[test]
fn what_was_tried_in_vain_is_not_repeated() {
    let Some(opencode) = program(OPENCODE) else { return };
    let busy = ScriptedAnswer::error(503, json!({ "error": { "message": "the engine fell over" } }));
    let harness = Harness::configured("opencode-spent", [busy], "", "retries = 1");
    let run = harness.client("opencode", &opencode, &["run", "Hello"], &[]);
    assert!(run.code.is_some_and(|code| code != 0), "it ends by itself: {}", run.all());
    assert!(run.all().contains("the engine fell over"), "{}", run.all());
    // A title is asked for beside the turn.
    assert!(harness.requests().len() <= 4, "{} requests", harness.requests().len());
}
