//! The file, looked at and changed.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::support::output;
use super::{FILE, config_path, config_text, home, newcomer, run, run_with, said, script};

#[test]
fn a_setting_is_changed_with_its_diff_and_everything_else_stays() {
    let home = home("set", FILE);
    let (code, text) = run(&home, &["config", "set", "server.grace", "9s"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("- grace = \"5s\"") && text.contains("+ grace = \"9s\""), "{text}");
    assert_eq!(config_text(&home), FILE.replace("5s", "9s"));
    let backup = config_path(&home).with_extension("toml.bak");
    assert_eq!(std::fs::read_to_string(backup).expect("a copy"), FILE);
    let (code, text) = run(&home, &["config", "set", "endpoint.a.models.one.context_window", "32000"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        !text.contains("numbat") && text.contains("api_key = \"***\""),
        "the lines around hold no key: {text}"
    );
    let want = FILE
        .replace("5s", "9s")
        .replace("\"one\", # small", "{ id = \"one\", context_window = 32000 }, # small");
    assert_eq!(config_text(&home), want);
    let (code, text) = run(&home, &["config", "unset", "server.grace"]);
    assert!(code == 0 && !config_text(&home).contains("grace"), "{text}");
    let (code, text) = run(&home, &["config", "set", "server.grace", "1s", "--dry-run"]);
    assert!(
        code == 0 && text.contains("nothing was written") && !config_text(&home).contains("grace"),
        "{text}"
    );
}

#[test]
fn what_would_not_be_valid_is_refused_with_line_and_reason() {
    let home = home("refused", FILE);
    for (args, code, words) in [
        (&["config", "set", "server.grace", "soon"][..], 4, "config.toml:5:9: server.grace"),
        (&["config", "set", "server.gracee", "1s"], 1, "did you mean `grace`?"),
        (&["config", "set", "endpoint.c.retries", "1"], 1, "no endpoint is called `c`; there are: a, b"),
        (&["config", "set", "endpoint.a.retries", "many"], 1, "should be a number"),
        (&["config", "set", "default_endpoint", "zzz"], 4, "there are: a, b"),
        (&["config", "set", "endpoint.a", "x"], 1, "name one of its keys"),
        (&["config", "set", "../../x", "x"], 1, "no name of a key"),
        (&["config", "unset", "endpoint.a.retries"], 1, "is not in the file"),
        (&["config", "unset", "endpoint.a.base_url"], 4, "base_url"),
        (&["config", "get", "server.nope"], 1, "no key `nope`"),
        (&["config", "set", "server.auth"], 2, "required"),
    ] {
        let (exit, text) = run(&home, args);
        assert!(exit == code && text.contains(words), "{args:?}: {exit} {text}");
        assert_eq!(config_text(&home), FILE, "{args:?}");
    }
}

#[test]
fn a_key_is_no_argument_and_goes_into_a_private_file() {
    let home = home("key", FILE);
    for (key, value) in [
        ("endpoint.b.api_key", "sk-numbat-99"),
        ("endpoint.b.headers.x-api-key", "sk-numbat-99"),
        ("proxy", "http://me:numbat-99@proxy.test:1"),
    ] {
        let (code, text) = run(&home, &["config", "set", key, value]);
        assert!(code == 1 && text.contains("--stdin"), "{text}");
        assert!(!text.contains("numbat-99"), "{text}");
    }
    let (code, text) = run_with(&home, &["config", "set", "endpoint.a.api_key", "--stdin"], "sk-numbat-77\n");
    assert!(code == 0 && !text.contains("numbat"), "{text}");
    let key = home.join(".config/latimer/keys/a");
    assert_eq!(std::fs::read_to_string(&key).expect("a key"), "sk-numbat-77");
    assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(config_text(&home).contains("api_key_file") && !config_text(&home).contains("numbat-01"));
    let (code, text) = run_with(&home, &["config", "set", "endpoint.a.api_key", "--stdin"], "two words\n");
    assert!(code == 1 && text.contains("that is no key"), "{text}");
    assert_eq!(std::fs::read_to_string(&key).expect("the old key"), "sk-numbat-77");
}

#[test]
fn every_setting_says_its_value_and_its_origin_and_none_a_secret() {
    let home = home("origin", FILE);
    let (code, text) = run(&home, &["config", "show"]);
    assert!(
        code == 0
            && text.contains("# mine")
            && text.contains("api_key = \"***\"")
            && !text.contains("numbat"),
        "{text}"
    );
    let origin = |extra: &[&str], env: &[(&str, &str)], key: &str| {
        let args = [&["--json"][..], extra, &["config", "get", key]].concat();
        let (code, text) = said(&output(newcomer(&home, &args[1..]).arg("--json").envs(env.iter().copied())));
        assert_eq!(code, 0, "{key}: {text}");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        (document["data"][0]["value"].clone(), document["data"][0]["origin"].clone())
    };
    let path = config_path(&home);
    let path = path.to_str().expect("text");
    let named = |kind: &str, name: &str| serde_json::json!({ "kind": kind, "name": name });
    // A flag goes before the environment, that before the usual place.
    assert_eq!(
        origin(&["--config", path], &[("LATIMER_CONFIG", "/nowhere")], "config").1,
        named("flag", "--config")
    );
    assert_eq!(origin(&[], &[("LATIMER_CONFIG", path)], "config").1, named("environment", "LATIMER_CONFIG"));
    assert_eq!(origin(&[], &[], "config").1["kind"], "default");
    assert_eq!(
        origin(&[], &[], "server.grace"),
        ("5s".into(), serde_json::json!({ "kind": "file", "line": 5 }))
    );
    assert_eq!(
        origin(&[], &[], "server.listen"),
        ("127.0.0.1:4180".into(), serde_json::json!({ "kind": "default" }))
    );
    assert_eq!(origin(&[], &[], "endpoint.b.base_url").1, named("preset", "deepseek"));
    let key = origin(&[], &[("DEEPSEEK_API_KEY", "sk-numbat-55")], "endpoint[1].api_key");
    assert_eq!(key, ("***".into(), named("environment", "DEEPSEEK_API_KEY")));
    let proxy = origin(&[], &[("https_proxy", "http://127.0.0.1:9")], "proxy");
    assert_eq!(proxy, ("http://127.0.0.1:9".into(), named("environment", "https_proxy")));
    let (code, text) = run(&home, &["config", "show", "--origin"]);
    assert!(
        code == 0 && text.contains("endpoint.a.retries = 3\n    default") && !text.contains("numbat"),
        "{text}"
    );
    assert_eq!(run(&home, &["config", "get", "server.grace"]), (0, "5s\n".to_owned()));
    let (code, text) = run(&home, &["config", "get", "endpoint.a.max_parallel"]);
    assert!(code == 1 && text.contains("has no value"), "{text}");
    assert_eq!(run(&home, &["config", "path"]), (0, format!("{path}\n")));
}

#[test]
fn a_broken_file_is_never_overwritten_and_a_copy_brings_it_back() {
    let home = home("broken", FILE);
    assert_eq!(run(&home, &["config", "set", "server.grace", "9s"]).0, 0);
    let broken = "[server\napi_key = \"sk-numbat-31\"\n";
    std::fs::write(config_path(&home), broken).expect("written");
    for args in [
        &["config", "set", "server.grace", "1s"][..],
        &["config", "unset", "server.grace"],
        &["endpoints", "disable", "a"],
        &["use", "a"],
        &["config", "check"],
        &["config", "export"],
        &["config", "show", "--origin"],
    ] {
        let (code, text) = run(&home, args);
        assert!(code == 4 && text.contains("TOML") && !text.contains("numbat"), "{args:?}: {code} {text}");
        assert_eq!(config_text(&home), broken, "{args:?}");
    }
    let (code, text) = run(&home, &["config", "restore"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(config_text(&home), FILE);
    let backup = config_path(&home).with_extension("toml.bak");
    assert_eq!(std::fs::read_to_string(backup).expect("kept"), broken, "what was replaced is kept");
}

#[test]
fn copies_are_made_listed_and_brought_back_and_a_broken_one_is_refused() {
    let home = home("copies", FILE);
    let (code, text) = run(&home, &["config", "backup"]);
    assert!(code == 0 && text.contains("/backups/"), "{text}");
    let (_, listed) = run(&home, &["config", "restore", "--list"]);
    let copy = listed.lines().next().expect("a copy").to_owned();
    assert_eq!(std::fs::metadata(&copy).expect("there").permissions().mode() & 0o777, 0o600);
    for grace in ["6s", "7s"] {
        assert_eq!(run(&home, &["config", "set", "server.grace", grace]).0, 0);
    }
    let name = copy.rsplit('/').next().expect("a name");
    assert_eq!(run(&home, &["config", "restore", name]).0, 0);
    assert_eq!(config_text(&home), FILE);
    // Once more undoes it.
    assert_eq!(run(&home, &["config", "restore"]).0, 0);
    assert!(config_text(&home).contains("7s"));
    std::fs::write(&copy, "[server]\ngrace = 5\n").expect("written");
    let (code, text) = run(&home, &["config", "restore", name]);
    assert!(code == 4 && text.contains("server.grace") && config_text(&home).contains("7s"), "{text}");
    let (code, text) = run(&home, &["config", "restore", "none.toml"]);
    assert!(code == 1 && text.contains("--list"), "{text}");
}

#[test]
fn an_editor_changes_the_file_and_a_broken_text_is_kept_but_not_taken() {
    let home = home("editor", FILE);
    let edit = |text: &str, answers: &str| {
        let editor = script(&home, "editor with space", text);
        let mut child = newcomer(&home, &["config", "edit"])
            .env("EDITOR", format!("'{}' --wait", editor.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("latimer runs");
        let _ = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), answers.as_bytes());
        said(&child.wait_with_output().expect("ended"))
    };
    let (code, text) = edit("sed -i 's/5s/8s/' \"$2\"", "");
    assert!(code == 0 && text.contains("+ grace = \"8s\"") && !text.contains("numbat"), "{text}");
    assert_eq!(config_text(&home), FILE.replace("5s", "8s"));
    let (code, text) = edit("exit 0", "");
    assert!(code == 0 && text.contains("nothing changes"), "{text}");
    let (code, text) = edit("echo 'retires = 1' >> \"$2\"", "n\n");
    assert!(code == 4 && text.contains("endpoint[1].retires") && text.contains("is kept as"), "{text}");
    let kept = text.split('`').find(|part| part.contains("draft")).expect("a path");
    assert!(std::fs::read_to_string(kept).expect("kept").contains("retires"));
    assert_eq!(config_text(&home), FILE.replace("5s", "8s"));
    // The second time it is mended.
    let (code, text) = edit(
        "if [ -e \"$HOME/again\" ]; then sed -i 's/retires/retries/' \"$2\"; else touch \"$HOME/again\"; echo 'retires = 1' >> \"$2\"; fi",
        "y\n",
    );
    assert!(code == 0 && config_text(&home).contains("retries = 1"), "{text}");
    // Somebody else was faster.
    let other =
        format!("printf '%s' '# theirs' > '{}'; echo 'resume = 1' >> \"$2\"", config_path(&home).display());
    let (code, text) = edit(&other, "");
    assert!(
        code == 1 && text.contains("changed by somebody else") && config_text(&home) == "# theirs",
        "{text}"
    );
    let (code, text) = edit("exit 3", "");
    assert!(code == 1 && text.contains("ended with"), "{text}");
    let left = std::fs::read_dir(home.join(".config/latimer")).expect("a folder").flatten();
    let drafts = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".config.draft"));
    assert_eq!(drafts.count(), 0, "no draft is left behind");
}

#[test]
fn writers_at_once_lose_nothing() {
    let home = home("writers", FILE);
    let keys = [
        "server.grace",
        "server.keep_alive",
        "endpoint.a.retries",
        "endpoint.a.resume",
        "endpoint.b.retries",
        "launch.model",
    ];
    let values = ["7s", "7s", "7", "7", "7", "seven"];
    let children: Vec<_> = keys
        .iter()
        .zip(values)
        .map(|(key, value)| {
            newcomer(&home, &["config", "set", key, value])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("latimer runs")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("ended").success());
    }
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(run(&home, &["config", "get", key]), (0, format!("{value}\n")), "{key}");
    }
}

#[test]
fn hostile_names_and_texts_do_no_harm_in_a_terminal() {
    let hostile = "default_endpoint = \"a\"\n[launch]\nmodel = \"\\u001b[2Jforged\\u202e\"\n[[endpoint]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1\"\nmodels = [\"x\\u001b]0;title\\u0007\"]\n# \u{202e}turned\n";
    let home = home("hostile", hostile);
    for args in [
        &["config", "show"][..],
        &["config", "show", "--origin"],
        &["config", "show", "--json"],
        &["config", "get", "launch.model"],
        &["config", "set", "server.grace", "1s"],
        &["config", "export"],
        &["config", "set", "launch.\u{1b}[2J", "x"],
        &["config", "set", "launch.model", "\u{1b}[2J\u{202e}"],
        &["config", "get", "launch.\u{202e}"],
        &["env", "claude"],
        &["env", "codex", "--model", "a/\u{1b}[2J"],
    ] {
        let (_, text) = run(&home, args);
        let is_harmful = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(is_harmful), "{args:?}: {text:?}");
        assert!(!text.is_empty(), "{args:?}");
    }
}
