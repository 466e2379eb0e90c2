//! The real Codex on a watched proxy that is killed in the middle of its turn.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::json;
use support::watchdog::{WatchdogHarness, kill, lives, logs};
use support::{finish, latimer_in, program};

#[test]
fn a_turn_outlives_the_proxy() {
    let Some(codex) = program("LATIMER_CODEX") else { return };
    let slow = Step::Text { text: "This is cut in the middle. ".repeat(20), pieces: 100, gap_us: 100_000 };
    let harness = WatchdogHarness::new(
        "codex-watched",
        [
            ScriptedAnswer::call("call_1", "exec_command", json!({ "cmd": "echo hello > made.txt" })),
            ScriptedAnswer::turn([slow]),
            ScriptedAnswer::text("Made it."),
        ],
    );
    let mut command = latimer_in(&harness.dir, &["launch", "codex", "--program", &codex]);
    command.arg("--");
    command.args(["exec", "--skip-git-repo-check", "--json", "-s", "danger-full-access", "Make a file."]);
    command.current_dir(harness.dir.join("project")).env("HOME", harness.dir.join("home"));
    command.env("CODEX_HOME", harness.dir.join("home/.codex"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let client = command.spawn().expect("latimer runs");
    harness.until("the call is made", |harness| harness.dir.join("project/made.txt").exists());
    // The answer to the call's result has begun, and goes on for ten seconds.
    std::thread::sleep(Duration::from_secs(2));
    let old = harness.proxy().expect("it serves");
    kill("KILL", old);
    let run = finish(client);
    assert_eq!(run.code, Some(0), "{}\n{}", run.all(), logs(&harness.dir));
    assert_eq!(run.messages().last().map(String::as_str), Some("Made it."), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
    assert!(!lives(old) && harness.proxy().is_some_and(|pid| pid != old), "another proxy finished the turn");
}
