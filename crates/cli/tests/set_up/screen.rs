//! What stands on a screen: a person who types, lines that fit, and the same as JSON.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};

use super::asking::{provider, well};
use super::support::newcomer::Terminal;
use super::support::{Harness, latimer_in, output, status};
use super::{config_text, home, run, said};

/// A key as a person pastes it.
const KEY: &str = "sk-numbat-0123456789";

#[test]
fn a_person_is_led_to_a_working_configuration_and_a_pasted_key_is_not_shown() {
    let home = home("typed");
    let provider = provider(well(), &["m"]);
    let url = provider.provider.base_url();
    // The address of the preset is known to the file already; the person brings the key.
    let (code, text) =
        run(&home, &["endpoints", "add", "deepseek", "--preset", "deepseek", "--base-url", &url]);
    assert_eq!(code, 0, "{text}");
    let Some(mut terminal) = Terminal::run(&home, &["init"]) else { return };
    let place = {
        super::support::wait_until("it asks", || terminal.screen().contains("which one?"));
        let screen = terminal.screen();
        let line =
            screen.lines().find(|line| line.contains("another provider: paste a key")).expect("offered");
        line.split_whitespace().next().expect("a number").to_owned()
    };
    terminal.answer("which one?", &place);
    terminal.answer("its preset", "deepseek");
    terminal.answer("the key (it is not shown)", KEY);
    terminal.answer("write this?", "y");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("numbat"), "{screen}");
    assert!(screen.contains("next: ") && screen.contains("latimer launch codex"), "{screen}");
    let text = config_text(&home);
    assert!(text.contains("api_key_file = ") && !text.contains("numbat"), "{text}");
    let key = home.join(".config/latimer/keys/deepseek");
    assert_eq!(std::fs::read_to_string(&key).expect("kept"), KEY);
    assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_person_who_says_no_leaves_everything_as_it_was() {
    let home = home("no");
    run(&home, &["endpoints", "add", "lab", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"]);
    let before = config_text(&home);
    let Some(mut terminal) = Terminal::run(&home, &["endpoints", "edit", "lab", "--key-stdin"]) else {
        return;
    };
    terminal.answer("the key (it is not shown)", "two words");
    let (code, screen) = terminal.end();
    assert!(code == 1 && screen.contains("that is no key") && !screen.contains("two words"), "{screen}");
    assert_eq!(config_text(&home), before);
    assert!(!home.join(".config/latimer/keys/lab").exists());
}

/// A proxy with long names, a turn that worked and one that did not.
fn busy() -> Harness {
    let refused =
        ScriptedAnswer::error(429, json!({"error": {"message": "Your account has used all of its requests for this day; come back tomorrow or buy more of them"}}))
            .header("retry-after", "3000");
    let endpoint = "models = [{ id = \"vendor-with-a-long-name/a-model-with-quite-a-long-name-2026-11-29\", context_window = 131072, images = true, price = { input = 0.5, output = 2 } }, \"glm-5\"]";
    let harness = Harness::configured("screen", [ScriptedAnswer::text("Hi."), refused], "", endpoint);
    let ask = r#"{"model":"vendor-with-a-long-name/a-model-with-quite-a-long-name-2026-11-29","input":"x"}"#;
    assert_eq!(status(&harness.post(ask, "user-agent: a-client-with-a-long-name/1.0\r\n")), 200);
    let _ = harness.post(ask, "session-id: 0123456789abcdef-0123456789abcdef\r\n");
    let mut key = latimer_in(
        &harness.dir,
        &[
            "keys",
            "create",
            "--name",
            "somebody-with-a-long-name",
            "--requests",
            "60/min",
            "--budget",
            "5/month",
        ],
    );
    assert!(output(&mut key).status.success());
    harness
}

/// Commands that only look, and print for people.
const LOOKS: [&[&str]; 21] = [
    &[],
    &["status"],
    &["usage"],
    &["usage", "--by", "model"],
    &["usage", "--by", "day"],
    &["usage", "--by", "client"],
    &["quota"],
    &["endpoints"],
    &["endpoints", "list"],
    &["endpoints", "show", "lab"],
    &["accounts"],
    &["logs"],
    &["logs", "--errors"],
    &["explain"],
    &["explain", "t1"],
    &["explain", "t2"],
    &["keys", "list"],
    &["keys", "show", "somebody-with-a-long-name"],
    &["models"],
    &["presets"],
    &["doctor", "--offline"],
];

#[test]
fn every_table_fits_sixty_columns_and_says_until_when_an_endpoint_rests() {
    let harness = busy();
    for args in LOOKS {
        let printed = output(latimer_in(&harness.dir, args).env("COLUMNS", "60"));
        let text = String::from_utf8_lossy(&printed.stdout).into_owned();
        assert!(!text.trim().is_empty(), "{args:?}: {}", said(&printed).1);
        for line in text.lines() {
            assert!(line.chars().count() <= 60, "{args:?}: {} columns: {line}", line.chars().count());
        }
    }
    for args in [&["endpoints"][..], &["endpoints", "show", "lab"]] {
        let (_, text) = said(&output(&mut latimer_in(&harness.dir, args)));
        assert!(text.contains("Your account has used all of its requests"), "{text}");
        assert!(
            text.contains("rests for ") && (text.contains("49 min more") || text.contains("50 min more")),
            "{text}"
        );
    }
    let narrow = Command::new("sh")
        .args(["-c", "\"$0\" presets | head -1"])
        .arg(env!("CARGO_BIN_EXE_latimer"))
        .output()
        .expect("runs");
    assert!(narrow.status.success() && narrow.stderr.is_empty(), "a closed pipe is a quiet end");
}

#[test]
fn every_command_that_looks_has_its_json_with_a_version() {
    let harness = busy();
    let mut looks: Vec<Vec<&str>> =
        LOOKS.iter().filter(|args| !args.is_empty()).map(|args| args.to_vec()).collect();
    for more in [
        &["check"][..],
        &["models", "--all"],
        &["env", "claude"],
        &["config", "show"],
        &["token"],
        &["accounts"],
    ] {
        looks.push(more.to_vec());
    }
    for mut args in looks {
        args.push("--json");
        let printed = output(&mut latimer_in(&harness.dir, &args));
        let text = String::from_utf8_lossy(&printed.stdout);
        let is_lines = args[0] == "logs";
        let documents: Vec<Value> = if is_lines {
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
        } else {
            let document = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", said(&printed).1));
            match document {
                Value::Array(documents) => documents,
                document => vec![document],
            }
        };
        assert!(!documents.is_empty(), "{args:?}");
        for document in documents {
            assert_eq!(document["schema_version"], 1, "{args:?}: {document}");
        }
    }
}

#[test]
fn the_log_says_more_where_it_is_asked_to() {
    let home = home("verbose");
    for args in [&["-v", "check"][..], &["check", "--verbose"], &["-vv", "check"]] {
        let (code, text) = run(&home, args);
        assert_eq!(code, 4, "{args:?}: {text}");
    }
    let (code, text) = run(&home, &["-q", "-v", "check"]);
    assert!(code == 2 && text.contains("cannot be used with"), "{text}");
    assert!(run(&home, &["--help"]).1.contains("-v, --verbose"));
}
