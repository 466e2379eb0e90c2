//! Clients that a person starts: by hand with `latimer env`, without the proxy, and the desktop app.

use std::path::Path;
use std::process::Command;

use latimer_adapters::scripted::ScriptedAnswer;

use super::support::{Harness, latimer_in, output, status, wait_until};
use super::{FILE, config_text, home, newcomer, run, said, script};

#[test]
fn a_shell_takes_what_a_client_needs_and_the_token_is_in_no_line() {
    let harness = Harness::new("env", [ScriptedAnswer::text("")]);
    let printed = output(&mut latimer_in(&harness.dir, &["env", "claude", "--shell", "bash"]));
    let (code, lines) = said(&printed);
    assert_eq!(code, 0, "{lines}");
    assert!(!lines.contains(&harness.token()) && lines.contains("token --state-dir"), "{lines}");
    let script = format!(
        "{lines}\nprintf '%s %s %s' \"$ANTHROPIC_BASE_URL\" \"$ANTHROPIC_AUTH_TOKEN\" \"$ANTHROPIC_MODEL\""
    );
    let shell = output(Command::new("sh").arg("-c").arg(script).env("ANTHROPIC_API_KEY", "x"));
    assert_eq!(said(&shell).1, format!("{} {} glm-5", harness.url, harness.token()));
    let (code, lines) = said(&output(&mut latimer_in(&harness.dir, &["env", "codex", "--shell", "zsh"])));
    assert!(code == 0 && lines.contains("codex() { command codex '-c' 'model=\"glm-5\"'"), "{lines}");
    for (shell, words) in [("fish", "set -gx LATIMER_TOKEN ("), ("powershell", "$env:LATIMER_TOKEN = (")] {
        let (code, lines) =
            said(&output(&mut latimer_in(&harness.dir, &["env", "opencode", "--shell", shell])));
        assert!(code == 0 && lines.contains(words) && !lines.contains(&harness.token()), "{lines}");
    }
    let (code, text) = said(&output(&mut latimer_in(&harness.dir, &["env", "gemini", "--json"])));
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, 0, "{text}");
    assert_eq!(document["variables"]["GEMINI_API_KEY"]["command"], "latimer token");
}

#[test]
fn a_token_is_printed_and_exchanged_and_the_old_one_opens_nothing() {
    let harness = Harness::new("token", [ScriptedAnswer::text("")]);
    let old = harness.token();
    let (code, text) = said(&output(&mut latimer_in(&harness.dir, &["token"])));
    assert_eq!((code, text), (0, format!("{old}\n")));
    let models = |token: &str| {
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        status(&harness.http(&head, b""))
    };
    assert_eq!(models(&old), 200);
    let (code, text) = said(&output(&mut latimer_in(&harness.dir, &["token", "--rotate"])));
    assert!(
        code == 0 && text.contains("the running proxy has it") && !text.contains(&harness.token()),
        "{text}"
    );
    assert_ne!(harness.token(), old);
    assert_eq!((models(&old), models(&harness.token())), (401, 200));
    let (_, text) = said(&output(&mut latimer_in(&harness.dir, &["token", "--json"])));
    assert!(text.contains("fingerprint") && !text.contains(&harness.token()), "{text}");
}

#[test]
fn without_the_proxy_a_client_runs_as_it_is_or_at_a_provider_of_its_own_protocol() {
    let text = FILE.replace("preset = \"deepseek\"", "preset = \"openai\"\nmodels = [\"gpt-x\"]");
    let home = home("direct", &text);
    let program = script(
        &home,
        "client.sh",
        "echo \"args: $@; key: $LATIMER_DIRECT_KEY; other: $OPENAI_API_KEY $ANTHROPIC_MODEL\"; exit 5",
    );
    let program = program.to_str().expect("text");
    let direct = |client: &str, args: &[&str], key: &str| {
        let mut command = newcomer(&home, &["launch", client, "--direct", "--program", program]);
        command.args(args);
        if !key.is_empty() {
            command.env("OPENAI_API_KEY", key);
        }
        said(&output(&mut command))
    };
    let (code, text) = direct("codex", &["exec", "hi"], "sk-numbat-5");
    assert!(code == 5 && text.contains("args: exec hi; key: ; other: sk-numbat-5"), "{text}");
    let (code, text) = direct("codex", &["--endpoint", "b", "exec", "hi"], "sk-numbat-5");
    assert_eq!(code, 5, "{text}");
    let args = text.split("; key").next().expect("arguments");
    assert!(
        args.contains("model=\"gpt-x\"")
            && args.contains("base_url=\"https://api.openai.com/v1\"")
            && args.ends_with("exec hi"),
        "{text}"
    );
    assert!(
        !args.contains("numbat") && text.contains("key: sk-numbat-5; other:  "),
        "the key is a variable, and only one: {text}"
    );
    let (code, text) = direct("codex", &["--endpoint", "a"], "");
    assert!(code == 1 && text.contains("speaks chat") && text.contains("latimer translates"), "{text}");
    let (code, text) = direct("codex", &["--endpoint", "b"], "");
    assert!(code == 5 && text.contains("OPENAI_API_KEY"), "{text}");
    let (code, text) = direct("gemini", &["--endpoint", "b"], "x");
    assert!(code == 1 && text.contains("cannot be told a provider"), "{text}");
    assert!(!home.join(".local/state/latimer/proxy.json").exists(), "no proxy was started");
    assert_eq!(
        config_text(&home),
        super::FILE.replace("preset = \"deepseek\"", "preset = \"openai\"\nmodels = [\"gpt-x\"]")
    );
}

/// Every file below a folder with its content.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), std::fs::read(entry.path()).expect("read")));
        }
    }
    found.sort();
    found
}

#[test]
fn the_desktop_app_gets_a_folder_of_its_own_and_nothing_of_the_persons_is_touched() {
    let harness = Harness::new("desktop", [ScriptedAnswer::text("Hello.")]);
    let home = harness.dir.join("home");
    std::fs::write(home.join(".codex/config.toml"), "model = \"mine\"\n").expect("written");
    std::fs::write(home.join(".codex/auth.json"), "{}").expect("written");
    let before = files(&home);
    let absent = output(
        latimer_in(&harness.dir, &["launch", "codex-desktop"]).env("HOME", &home).env("PATH", "/nowhere"),
    );
    let (code, text) = said(&absent);
    assert!(
        code == 1
            && text.contains("the Codex desktop app is not found")
            && text.contains("latimer launch codex"),
        "{text}"
    );
    let bin = harness.dir.join("bin");
    std::fs::create_dir_all(&bin).expect("made");
    let seen = harness.dir.join("seen");
    script(
        &bin,
        "codex-desktop",
        &format!(
            "echo \"$CODEX_HOME $*\" > {0}; cat \"$CODEX_HOME/config.toml\" >> {0}; touch \"$CODEX_HOME/auth.json\"; test -n \"$LATIMER_TOKEN\"",
            seen.display()
        ),
    );
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let run =
        output(latimer_in(&harness.dir, &["launch", "codex-desktop"]).env("HOME", &home).env("PATH", path));
    assert_eq!(said(&run).0, 0, "{}", said(&run).1);
    let seen = std::fs::read_to_string(seen).expect("it ran");
    let state = harness.dir.join("state/codex-desktop");
    assert!(
        seen.starts_with(&format!(
            "{} --user-data-dir={}",
            state.join("codex").display(),
            state.join("data").display()
        )),
        "{seen}"
    );
    assert!(
        seen.contains(&format!("base_url = \"{}/v1\"", harness.url)) && !seen.contains(&harness.token()),
        "{seen}"
    );
    assert_eq!(files(&home), before);
}

#[test]
fn global_flags_stand_before_the_command_or_behind_it() {
    let home = home("flags", FILE);
    let other = home.join("other.toml");
    std::fs::write(&other, "[server]\ngrace = \"3s\"\n").expect("written");
    let other = other.to_str().expect("text");
    for args in [
        &["--config", other, "config", "get", "server.grace"][..],
        &["config", "--config", other, "get", "server.grace"],
        &["config", "get", "server.grace", "--config", other],
        &["config", "get", "--color", "never", "server.grace", "--config", other],
    ] {
        assert_eq!(run(&home, args), (0, "3s\n".to_owned()), "{args:?}");
    }
    let (code, text) = run(&home, &["--json", "config", "get", "server.grace"]);
    assert!(code == 0 && text.contains("\"key\": \"server.grace\""), "{text}");
    let (code, text) = run(&home, &["--json", "launch", "codex"]);
    assert!(code == 2 && text.contains("--json"), "{text}");
}

#[test]
fn a_change_is_taken_up_by_the_running_proxy() {
    let harness = Harness::new("taken-up", [ScriptedAnswer::text("")]);
    let set = output(&mut latimer_in(&harness.dir, &["config", "set", "endpoint.lab.models", "glm-5,glm-6"]));
    assert_eq!(said(&set).0, 0, "{}", said(&set).1);
    wait_until("the new model is listed", || harness.http(&harness.get("/v1/models"), b"").contains("glm-6"));
}
