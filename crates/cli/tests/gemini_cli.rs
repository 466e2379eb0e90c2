//! The real Gemini CLI, end to end: `latimer launch gemini` against a provider that speaks only Chat Completions.
//!
//! `cargo xtask e2e` installs the client; without it each test says that it was skipped.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::json;
use support::{Harness, Run, program};

const GEMINI: &str = "LATIMER_GEMINI";

/// A proxy whose state is nowhere below a folder that others can write to: the CLI passes over settings there.
struct Private {
    harness: Harness,
    dir: PathBuf,
}

impl Private {
    fn new(name: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let bases = [
            Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))),
            home,
            Some("/var/cache".into()),
            Some("/opt".into()),
        ];
        let is_private = |base: &PathBuf| {
            let mode = |path: &Path| std::fs::metadata(path).map_or(0o777, |data| data.permissions().mode());
            base.ancestors().all(|path| mode(path) & 0o022 == 0)
        };
        let base = bases.into_iter().flatten().find(is_private).expect("some folder is nobody else's");
        let dir = base.join(format!("latimer-{name}-{}", std::process::id()));
        for inside in ["home/.codex", "project"] {
            std::fs::create_dir_all(dir.join(inside)).expect("made");
        }
        Self { harness: Harness::inside(dir.clone(), answers, "", ""), dir }
    }
}

impl std::ops::Deref for Private {
    type Target = Harness;

    fn deref(&self) -> &Harness {
        &self.harness
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Left for a look only below `target`.
        if !self.dir.starts_with(env!("CARGO_TARGET_TMPDIR")) {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn ask(harness: &Harness, gemini: &str, question: &str) -> Run {
    harness.client(
        "gemini",
        gemini,
        &["--skip-trust", "--yolo", "-p", question],
        &[("GEMINI_TELEMETRY_ENABLED", "false")],
    )
}

#[test]
fn plain_answer() {
    let Some(gemini) = program(GEMINI) else { return };
    let harness =
        Private::new("gemini-plain", [ScriptedAnswer::turn([Step::reasoning("Easy."), Step::text("Four.")])]);
    let run = ask(&harness, &gemini, "What is two and two?");
    assert_eq!((run.code, run.stdout.trim()), (Some(0), "Four."), "{}", run.all());
    let request = &harness.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer upstream-key"));
    assert!(!request.body.to_string().contains(&harness.token()));
}

#[test]
fn a_command_creates_a_file() {
    let Some(gemini) = program(GEMINI) else { return };
    let call = ScriptedAnswer::call(
        "call_1",
        "run_shell_command",
        json!({ "command": "echo hello > made.txt", "description": "Makes it" }),
    );
    let harness = Private::new("gemini-shell", [call, ScriptedAnswer::text("Made it.")]);
    let run = ask(&harness, &gemini, "Make a file.");
    assert_eq!(run.code, Some(0), "{}", run.all());
    assert!(run.stdout.contains("Made it."), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    let second = harness.requests()[1].body["messages"].as_array().expect("messages").clone();
    let output = second.last().expect("a message");
    assert_eq!((&output["role"], &output["tool_call_id"]), (&json!("tool"), &json!("call_1")));
}

#[test]
fn what_the_client_asks_for_by_itself_goes_to_the_launchs_model() {
    let Some(gemini) = program(GEMINI) else { return };
    let search =
        ScriptedAnswer::call("call_1", "google_web_search", json!({ "query": "the capital of France" }));
    let answers = [search, ScriptedAnswer::text("Paris."), ScriptedAnswer::text("It is Paris.")];
    let harness = Private::new("gemini-own-models", answers);
    let run = ask(&harness, &gemini, "What is the capital of France?");
    assert_eq!(run.code, Some(0), "{}", run.all());
    let asked: Vec<String> =
        harness.requests().iter().map(|request| request.body["model"].to_string()).collect();
    assert!(asked.len() >= 3, "the search is a question of its own: {asked:?}");
    assert!(asked.iter().all(|model| model == "\"glm-5\""), "no name of Google's: {asked:?}");
}

#[test]
fn a_wrong_key_is_told_at_once() {
    let Some(gemini) = program(GEMINI) else { return };
    let wrong =
        || ScriptedAnswer::error(401, json!({ "error": { "message": "the key of the provider is wrong" } }));
    let harness = Private::new("gemini-error", [wrong(), wrong()]);
    let run = ask(&harness, &gemini, "Hello");
    assert_ne!(run.code, Some(0), "{}", run.all());
    assert!(run.all().contains("the key of the provider is wrong"), "{}", run.all());
    assert!(harness.requests().len() <= 2, "{} requests", harness.requests().len());
}

#[test]
fn what_was_tried_in_vain_is_not_repeated() {
    let Some(gemini) = program(GEMINI) else { return };
    let busy = ScriptedAnswer::error(503, json!({ "error": { "message": "the engine fell over" } }));
    let harness = Private::new("gemini-spent", [busy]);
    let run = ask(&harness, &gemini, "Hello");
    assert!(run.code.is_some_and(|code| code != 0), "{}", run.all());
    assert!(run.all().contains("the engine fell over"), "{}", run.all());
    assert!(harness.requests().len() <= 4, "our own attempts alone: {} requests", harness.requests().len());
}
