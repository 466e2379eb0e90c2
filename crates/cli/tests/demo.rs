//! The newcomer's first command.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn the_demo_shows_every_side_of_a_turn() {
    let output = Command::new(env!("CARGO_BIN_EXE_latimer"))
        .arg("demo")
        .env("HOME", "/nonexistent")
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let stages = [
        "The client asks, in the Responses protocol",
        "the provider received POST /v1/chat/completions",
        "the provider streamed",
        "\"reasoning_content\":\"The person wa\"",
        "the client got",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.done",
        "The client runs the call and sends its output",
        "exec_command {\"cmd\":\"ls\"}",
        "{\"role\":\"tool\"",
        "response.completed",
        "Timing",
    ];
    let mut rest = text.as_str();
    for stage in stages {
        let at =
            rest.find(stage).unwrap_or_else(|| panic!("`{stage}` is missing, or out of order, in\n{text}"));
        rest = &rest[at..];
    }
}
