//! Providers, asked by command: one short turn, the list of models, the protocol of an address.

use std::io::Write as _;
use std::process::Stdio;

use latimer_adapters::scripted::{Scenario, ScriptedAnswer, Step};
use serde_json::{Value, json};

use super::support::RunningProvider;
use super::{config_text, home, newcomer, run};

/// What a provider answers to whoever offers the tool of a trial, and to all others.
pub(super) fn well() -> [ScriptedAnswer; 2] {
    let call = Step::Call {
        id: "c1".to_owned(),
        name: "report_word".to_owned(),
        arguments: "{\"word\":\"heron\"}".to_owned(),
        pieces: 2,
        gap_us: 0,
        index: 0,
    };
    let words = Step::Text { text: "one two three four five".to_owned(), pieces: 5, gap_us: 0 };
    let call = ScriptedAnswer::turn([call]);
    [ScriptedAnswer { when: Some("report_word".to_owned()), ..call }, ScriptedAnswer::turn([words])]
}

/// A provider that answers like this and lists these models.
pub(super) fn provider(
    answers: impl IntoIterator<Item = ScriptedAnswer>,
    models: &[&str],
) -> RunningProvider {
    let scenario = Scenario::new(answers);
    RunningProvider::start(Scenario {
        models: models.iter().map(|id| (*id).to_owned()).collect(),
        ..scenario
    })
}

#[test]
fn an_endpoint_is_asked_one_short_turn_and_what_came_is_told() {
    let home = home("test");
    let provider = provider(well(), &["m"]);
    let url = provider.provider.base_url();
    run(&home, &["endpoints", "add", "lab", "--base-url", &url, "--model", "m"]);
    let (code, text) = run(&home, &["endpoints", "test"]);
    assert!(code == 0 && text.contains("✓ lab  m: first word after"), "{text}");
    assert!(text.contains("tools ok") && text.contains("tokens reported (10 in, 5 out)"), "{text}");
    assert_eq!(provider.provider.request_count(), 1, "one turn, and not two");
    let (code, text) = run(&home, &["endpoints", "test", "lab", "--stream", "--images", "--tools", "--json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let trials = &document["endpoints"][0]["trials"];
    assert_eq!((code, &document["ok"], &document["schema_version"]), (0, &json!(true), &json!(1)), "{text}");
    let tasks: Vec<&Value> = trials.as_array().expect("trials").iter().map(|trial| &trial["task"]).collect();
    assert_eq!(tasks, ["tools", "stream", "images"]);
    assert!(trials[1]["pieces"].as_u64() > Some(1), "{text}");
}

#[test]
fn each_refusal_says_what_it_means_and_what_to_do() {
    let refusal = |status| ScriptedAnswer::error(status, json!({"error": {"message": "no"}}));
    for (status, words) in [(401, "endpoints edit lab --key-stdin"), (404, "endpoints"), (429, "try again")] {
        let home = home("refusal");
        let provider = provider([refusal(status)], &["m"]);
        let url = provider.provider.base_url();
        let mut add = newcomer(
            &home,
            &["endpoints", "add", "lab", "--base-url", &url, "--model", "m", "--key-env", "LAB"],
        );
        assert!(add.env("LAB", "numbat-key-1").output().expect("runs").status.success());
        let mut asking = newcomer(&home, &["endpoints", "test", "lab"]);
        let (code, text) = super::said(&asking.env("LAB", "numbat-key-1").output().expect("runs"));
        assert!(code == 6 && text.contains("✗ lab  m") && text.contains(words), "{status}: {text}");
        assert!(!text.contains("numbat"), "{text}");
        assert_eq!(provider.provider.request_count(), 1, "nothing is tried again");
    }
    let home = home("nobody");
    run(&home, &["endpoints", "add", "lab", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"]);
    let (code, text) = run(&home, &["endpoints", "test"]);
    assert!(code == 6 && text.contains("is it running?"), "{text}");
    let (code, text) = run(&home, &["endpoints", "models", "lab"]);
    assert!(code == 6 && text.contains("is it running?"), "{text}");
}

#[test]
fn the_models_of_a_provider_are_listed_filtered_and_taken_into_the_file() {
    let home = home("models");
    let provider = provider(well(), &["glm-5", "glm-5-air", "kimi"]);
    let url = provider.provider.base_url();
    run(&home, &["endpoints", "add", "lab", "--base-url", &url, "--model", "glm-5"]);
    let (code, text) = run(&home, &["endpoints", "models", "lab", "--filter", "GLM"]);
    assert!(code == 0 && text.contains("glm-5-air") && !text.contains("kimi"), "{text}");
    let (code, text) = run(&home, &["endpoints", "models", "lab", "--filter", "glm", "--write"]);
    assert!(code == 0 && text.contains("lab lists 1 more"), "{text}");
    assert!(config_text(&home).contains("models = [\"glm-5\", \"glm-5-air\"]"), "{}", config_text(&home));
    let mut child = newcomer(&home, &["endpoints", "models", "lab", "--from", "-", "--write"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("latimer runs");
    child.stdin.take().expect("piped").write_all(b"- glm-5\n- qwen/next, pasted\n").expect("sent");
    let (code, text) = super::said(&child.wait_with_output().expect("ended"));
    assert!(code == 0 && text.contains("2 more"), "{text}");
    assert!(config_text(&home).contains("\"qwen/next\", \"pasted\"]"), "{}", config_text(&home));
}

#[test]
fn an_address_is_asked_what_it_speaks_and_nothing_is_written_where_it_does_not_answer() {
    let home = home("auto");
    let message = json!({"id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "ready"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    let provider = provider([ScriptedAnswer::whole(message)], &["one", "two"]);
    let url = provider.provider.base_url();
    let (code, text) = run(&home, &["endpoints", "add", "lab", "--base-url", &url, "--protocol", "auto"]);
    assert!(code == 0 && text.contains("it speaks anthropic"), "{text}");
    let text = config_text(&home);
    assert!(
        text.contains("protocol = \"anthropic\"") && text.contains("models = [\"one\", \"two\"]"),
        "{text}"
    );
    let args = [
        "endpoints",
        "add",
        "gone",
        "--base-url",
        "http://127.0.0.1:1/v1",
        "--protocol",
        "auto",
        "--model",
        "m",
    ];
    let (code, said) = run(&home, &args);
    assert!(code == 6 && said.contains("nothing was written"), "{said}");
    assert_eq!(config_text(&home), text);
}

#[test]
fn an_endpoint_is_changed_and_moved_with_all_that_is_below_it() {
    let home = home("change");
    let dir = home.join(".config/latimer");
    std::fs::create_dir_all(&dir).expect("made");
    let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1/v1\" # first\n\n[endpoint.timeouts]\nidle = \"9s\"\n\n# the second\n[[endpoint]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:2/v1\"\n\n[server]\ngrace = \"5s\"\n";
    std::fs::write(dir.join("config.toml"), text).expect("written");
    let (code, said) = run(&home, &["endpoints", "order", "b"]);
    assert_eq!(code, 0, "{said}");
    let (a, b) = text.split_once("\n# the second\n").expect("two parts");
    let (b, server) = b.split_once("\n[server]").expect("a server");
    let written = config_text(&home);
    assert_eq!(
        written.trim_start(),
        format!("# the second\n{b}{a}\n[server]{server}").trim_start(),
        "{written}"
    );
    let (code, said) =
        run(&home, &["endpoints", "edit", "a", "--base-url", "http://127.0.0.1:3/v1", "--model", "m"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        config_text(&home).contains("base_url = \"http://127.0.0.1:3/v1\" # first\n"),
        "{}",
        config_text(&home)
    );
    let (code, said) = run(&home, &["endpoints", "edit", "a"]);
    assert!(code == 2, "{said}");
    let (code, said) = run(&home, &["endpoints", "order", "b", "z"]);
    assert!(code == 1 && said.contains("there are: b, a"), "{said}");
}
