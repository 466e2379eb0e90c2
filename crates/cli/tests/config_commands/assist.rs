//! A model proposes; what it may not propose is left out, and nothing is done without a yes.

use std::io::Write as _;
use std::process::Stdio;

use latimer_adapters::scripted::{Scenario, ScriptedAnswer};
use serde_json::{Value, json};

use super::said;
use super::support::{Harness, RunningProvider, folder, latimer_in, output};

/// Runs `latimer assist` with these answers on stdin.
fn assist(dir: &std::path::Path, flags: &[&str], answers: &str) -> (i32, String) {
    let mut command = latimer_in(dir, &["assist"]);
    command.args(flags).args(["why", "does", "it stop?"]).env("HOME", dir.join("home"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("latimer runs");
    let _ = child.stdin.take().expect("piped").write_all(answers.as_bytes());
    said(&child.wait_with_output().expect("ended"))
}

fn answer(steps: &Value) -> ScriptedAnswer {
    ScriptedAnswer::text(json!({ "answer": "It waits too briefly.", "steps": steps }).to_string())
}

fn config(dir: &std::path::Path) -> String {
    std::fs::read_to_string(dir.join("latimer.toml")).expect("a configuration")
}

#[test]
fn steps_are_shown_and_done_after_a_yes_and_the_model_sees_no_secret() {
    let steps = json!([
        { "step": "change_setting", "key": "endpoint.lab.timeouts.idle", "value": "600s" },
        { "step": "change_setting", "key": "endpoint.lab.retries", "value": 1 },
        { "step": "add_endpoint", "name": "deep", "preset": "deepseek" },
        { "step": "set_key", "endpoint": "deep" },
    ]);
    let answers = [
        ScriptedAnswer::error(500, json!({ "error": { "message": "boom sk-numbat0123456789abcdef" } })),
        answer(&steps),
    ];
    let harness = Harness::configured(
        "assist",
        answers,
        "",
        "retries = 0\nheaders = { x-api-key = \"numbat-header-4711\" }",
    );
    harness.post(r#"{"model":"glm-5","input":"the secret conversation"}"#, "");
    let before = config(&harness.dir);
    let (code, text) = assist(&harness.dir, &[], "y\nn\ny\ny\nsk-mine-0123456789\n");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("It waits too briefly.")
            && text.contains("idle = \"600s\"")
            && text.contains("nothing was written"),
        "{text}"
    );
    let after = config(&harness.dir);
    assert!(after.contains("idle = \"600s\"") && !after.contains("retries = 1"), "{after}");
    assert!(
        after.contains("preset = \"deepseek\"")
            && after.contains("api_key_file")
            && !after.contains("sk-mine"),
        "{after}"
    );
    assert_eq!(std::fs::read_to_string(harness.dir.join("keys/deep")).expect("a key"), "sk-mine-0123456789");
    assert!(
        !text.contains("sk-mine") && !text.contains("upstream-key") && !text.contains("numbat"),
        "{text}"
    );
    assert_ne!(before, after);

    let asked = harness.requests().last().expect("a request").body.to_string();
    assert!(asked.contains("why does it stop?") && asked.contains("api_key = \\\\\\\"***"), "{asked}");
    for hidden in ["upstream-key", "numbat", "secret conversation", &harness.token()] {
        assert!(!asked.contains(hidden), "{hidden} in {asked}");
    }
    assert!(
        asked.contains("upstream_error") && asked.contains("boom ***"),
        "the last failure is told: {asked}"
    );
    assert!(!asked.contains(&*harness.dir.join("home").to_string_lossy()), "{asked}");
}

#[test]
fn what_a_hostile_answer_proposes_is_left_out() {
    let steps = json!([
        { "step": "run_command", "command": "touch /tmp/x" },
        { "step": "set_key", "endpoint": "lab", "key": "sk-numbat0123456789abcdef" },
        { "step": "add_endpoint", "name": "../../x", "preset": "deepseek" },
        { "step": "add_endpoint", "name": "t", "base_url": "https://thief.test", "key_env": "OPENAI_API_KEY" },
        { "step": "change_setting", "key": "server.auth", "value": "none" },
        { "step": "change_setting", "key": "launch.model", "value": "\u{1b}[2J\u{202e}" },
        { "step": "change_setting", "key": "endpoint.lab.retries", "value": 99 },
    ]);
    let hostile = json!({ "answer": "\u{1b}[2Jforged\u{202e}\nsk-numbat0123456789abcdef", "steps": steps });
    let harness = Harness::new("assist-hostile", [ScriptedAnswer::text(hostile.to_string())]);
    let before = config(&harness.dir);
    let (code, text) = assist(&harness.dir, &[], &"y\n".repeat(9));
    assert_eq!(code, 1, "the last one makes no valid configuration: {text}");
    assert_eq!(config(&harness.dir), before);
    assert_eq!(text.matches("left out: step").count(), 6, "{text}");
    assert!(text.contains("endpoint[0].retries"), "{text}");
    let is_harmful = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(is_harmful) && !text.contains("numbat"), "{text:?}");
}

#[test]
fn nothing_is_done_without_a_yes() {
    let steps = json!([
        { "step": "change_setting", "key": "endpoint.lab.retries", "value": 1 },
        { "step": "log_in", "login": "google" },
        { "step": "run_doctor" },
    ]);
    let harness = Harness::new("assist-no", [answer(&steps)]);
    let before = config(&harness.dir);
    for (flags, answers) in
        [(&[][..], ""), (&[], "n\nn\nn\n"), (&["--dry-run"], "y\ny\ny\n"), (&["--json"], "y\ny\ny\n")]
    {
        let (code, text) = assist(&harness.dir, flags, answers);
        assert_eq!(code, 0, "{text}");
        assert_eq!(config(&harness.dir), before, "{flags:?}");
        assert!(
            text.contains("log_in")
                || text.contains("  latimer login google") && text.contains("nothing was run"),
            "{text}"
        );
    }
    let (_, text) =
        said(&output(latimer_in(&harness.dir, &["--quiet", "assist", "--json", "x"]).stdin(Stdio::null())));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["steps"][0]["key"], "endpoint.lab.retries");
}

#[test]
fn without_a_running_proxy_one_answers_inside_and_a_broken_file_is_asked_about_with_the_one_before() {
    let steps = json!([{ "step": "change_setting", "key": "server.grace", "value": "9s" }]);
    let provider = RunningProvider::start(Scenario::new([answer(&steps)]));
    let dir = folder("assist-inside");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"{}\"\nmodels = [\"m\"]\n",
        provider.provider.base_url()
    );
    std::fs::write(dir.join("latimer.toml"), &text).expect("written");
    let (code, said) = assist(&dir, &[], "y\n");
    assert!(code == 0 && config(&dir).contains("grace = \"9s\""), "{said}");
    assert!(!dir.join("state/proxy.json").exists(), "it served nobody else");
    let broken = format!("{text}retires = 1\n");
    std::fs::write(dir.join("latimer.toml"), &broken).expect("written");
    let (code, said) = assist(&dir, &[], "n\n");
    assert!(said.contains("the one before the last change") && code == 1, "the edit is refused: {said}");
    let requests = provider.provider.requests();
    let asked = requests.last().expect("a request").body.to_string();
    assert!(asked.contains("retires") && asked.contains("unknown key"), "the problem is told: {asked}");
    assert_eq!(config(&dir), broken);
}

#[test]
fn a_refusal_says_what_looks_without_a_model() {
    let answers = [ScriptedAnswer::error(401, json!({ "error": { "message": "bad key\u{1b}[2J" } }))];
    let harness = Harness::new("assist-refused", answers);
    let (code, text) = assist(&harness.dir, &[], "");
    assert!(code == 5 && text.contains("latimer check") && !text.contains('\u{1b}'), "{code} {text:?}");
}
