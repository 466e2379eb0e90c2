//! `latimer init`: from a key, an account or a local server to a configuration that works.

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};

use super::asking::{provider, well};
use super::{config_text, home, newcomer, run};

/// Where Ollama would be asked; nothing else listens there in a test.
fn ollama(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches("/v1").to_owned()
}

#[test]
fn a_local_server_is_found_tried_and_written() {
    let home = home("local");
    let provider = provider(well(), &["qwen3-coder", "gemma"]);
    let host = ollama(&provider.provider.base_url());
    let mut init = newcomer(&home, &["init", "--yes"]);
    let (code, text) = super::said(&init.env("OLLAMA_HOST", &host).output().expect("runs"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 models") && text.contains("tools ok") && text.contains("streams"), "{text}");
    assert!(text.contains("+ preset = \"ollama\"") && text.contains("next: "), "{text}");
    let written = config_text(&home);
    assert!(written.contains(&host) && written.contains("\"qwen3-coder\", \"gemma\""), "{written}");
    // Once more changes nothing, and is no error.
    let mut init = newcomer(&home, &["init", "--yes"]);
    let (code, text) = super::said(&init.env("OLLAMA_HOST", &host).output().expect("runs"));
    assert_eq!((code, config_text(&home)), (0, written), "{text}");
}

#[test]
fn a_preset_is_set_up_with_a_key_of_another_variable_and_what_is_there_stays() {
    let home = home("preset");
    let dir = home.join(".config/latimer");
    std::fs::create_dir_all(&dir).expect("made");
    std::fs::write(dir.join("config.toml"), "# mine\n[server]\ngrace = \"7s\"\n").expect("written");
    let args = [
        "init",
        "--yes",
        "--preset",
        "deepseek",
        "--key-env",
        "MY_KEY",
        "--model",
        "m-1",
        "--no-probe",
        "--json",
    ];
    let output = newcomer(&home, &args).env("MY_KEY", "numbat-key-1").output().expect("runs");
    let (code, text) = super::said(&output);
    assert_eq!(code, 0, "{text}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&document["written"], &document["model"]), (&json!(true), &json!("m-1")), "{text}");
    let written = config_text(&home);
    assert!(written.starts_with("# mine\n[server]\ngrace = \"7s\"\n"), "{written}");
    assert!(
        written.contains("api_key_env = \"MY_KEY\"") && written.contains("models = [\"m-1\""),
        "{written}"
    );
    assert!(!written.contains("numbat") && !text.contains("numbat"), "{written}");
    assert!(dir.join("config.toml.bak").exists());
}

#[test]
fn what_is_missing_is_said_and_nothing_is_written() {
    let home = home("missing-key");
    let cases = [
        (&["init", "--yes", "--preset", "deepseek"][..], 5, "export DEEPSEEK_API_KEY=…"),
        (&["init", "--yes", "--preset", "chatgpt"], 5, "latimer login chatgpt"),
        (&["init", "--yes", "--preset", "depseek"], 1, "there is no preset"),
        (&["init"], 1, "latimer init --yes"),
    ];
    for (args, want, words) in cases {
        let (code, text) = run(&home, args);
        assert!(code == want && text.contains(words), "{args:?}: {code} {text}");
    }
    let mut init = newcomer(&home, &["init", "--yes"]);
    let (code, text) = super::said(&init.env("OLLAMA_HOST", "127.0.0.1:1").output().expect("runs"));
    assert!(code == 5 && text.contains("latimer demo"), "{text}");
    assert!(!home.join(".config/latimer/config.toml").exists());
}

#[test]
fn a_provider_that_refuses_is_not_written() {
    let home = home("refuses");
    let refusal = ScriptedAnswer::error(401, json!({"error": {"message": "bad key"}}));
    let provider = provider([refusal], &["m"]);
    let host = ollama(&provider.provider.base_url());
    let mut init = newcomer(&home, &["init", "--yes"]);
    let (code, text) = super::said(&init.env("OLLAMA_HOST", &host).output().expect("runs"));
    assert!(code == 6 && text.contains("nothing was written") && text.contains("401"), "{text}");
    assert!(!home.join(".config/latimer/config.toml").exists());
}
