//! What a client, a model or an upstream calls things moves no cursor and forges no line, in the log or in what a command prints.

use latimer_protocol::secret::Secret;
use latimer_proxy::accounts::file::{self, Tokens};
use latimer_proxy::config::Login;
use serde_json::{Value, json};

use crate::support::field_report::{FieldHarness, ProviderAnswer, RuleProvider};
use crate::support::watchdog::on;
use crate::support::{folder, latimer, latimer_in, output};

/// Clears a screen, sets a title, turns the reading direction, and begins a line.
const ATTACK: &str = "m\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{200b}\r\nlatimer: forged";

fn is_harmful(c: char) -> bool {
    let is_unseen =
        matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    c != '\n' && (c.is_control() || is_unseen)
}

fn assert_harmless(what: &str, text: &str) {
    assert!(!text.contains(is_harmful), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("latimer: forged")), "{what}: {text:?}");
}

/// A proxy that logs for people, before a provider that calls everything by that name.
fn harness() -> FieldHarness {
    let call = json!({ "tool_calls": [{ "index": 0, "id": "c1", "type": "function", "function": { "name": ATTACK, "arguments": "{}," } }] });
    let chunk = |delta: &Value, reason: Option<&str>| json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": ATTACK, "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let answer = ProviderAnswer::stream(&[
        chunk(&call, None),
        chunk(&json!({}), Some(ATTACK)),
        json!("data: [DONE]\n\n"),
    ]);
    let refusal =
        ProviderAnswer::json(400, &json!({ "error": { "message": ATTACK, "code": ATTACK, "type": ATTACK } }));
    let mut asked = 0;
    let provider = RuleProvider::start(move |_| {
        asked += 1;
        if asked % 2 == 1 { answer.clone() } else { refusal.clone() }
    });
    let dir = folder("terminals");
    let config = format!(
        "default_endpoint = \"lab\"\n[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"{}\"\napi_key = \"upstream-key\"\nretries = 0\nmodels = [\"m1\", {}]\n",
        provider.base_url,
        json!(ATTACK)
    );
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    let log = std::fs::File::create(dir.join("proxy.log")).expect("a log");
    let mut command = latimer_in(&dir, &["serve", "--log", "human"]);
    command.stdin(std::process::Stdio::null()).stderr(log);
    FieldHarness::of(dir, provider, &mut command)
}

#[test]
fn what_is_printed_and_logged_for_people_moves_no_cursor() {
    let harness = harness();
    let tool = json!({ "type": "function", "name": ATTACK, "parameters": { "type": "object" } });
    let odd = json!({ "type": ATTACK, "role": "user", "content": [{ "type": ATTACK, "text": "x" }] });
    for _ in 0..2 {
        let body = json!({ "model": ATTACK, "stream": true, "store": false, "input": [odd, { "role": "user", "content": "go" }], "tools": [tool] });
        harness.ask("/v1/responses", "user-agent: cli\u{9b}2J/1.0\r\n", &body.to_string());
        let body =
            json!({ "model": ATTACK, "stream": true, "messages": [{ "role": "user", "content": "go" }] });
        harness.ask("/v1/chat/completions", "user-agent: cli\u{9b}2J/1.0\r\n", &body.to_string());
    }
    let log = std::fs::read_to_string(harness.dir.join("proxy.log")).expect("a log");
    assert!(log.contains("turn.done") && log.contains("owned"), "the name is there: {log}");
    assert_harmless("the log", &log);
    let dir = &harness.dir;
    let tokens = Tokens {
        id: ATTACK.to_owned(),
        access: Secret::new("a"),
        refresh: None,
        expires_at: None,
        project: None,
    };
    let account = file::path(&dir.join("state"), Login::CommandCode, ATTACK);
    file::write(&account, Login::CommandCode, &tokens).expect("written");
    let broken = dir.join("broken.toml");
    std::fs::write(&broken, format!("{} = 1\n[server]\n{} = 2\n", json!(ATTACK), json!(ATTACK)))
        .expect("written");
    let broken = broken.to_str().expect("UTF-8");
    let commands: [&[&str]; 19] = [
        &["accounts"],
        &["accounts", "--json"],
        &["logout", "command-code"],
        &["--broken"],
        &["explain"],
        &["explain", "t1"],
        &["explain", "t2"],
        &["explain", "t3"],
        &["explain", ATTACK],
        &["usage", "--by", "model"],
        &["usage", "--by", "client"],
        &["usage", "--by", "turn"],
        &["usage", "--by", "model", "--json"],
        &["endpoints"],
        &["endpoints", "show", "lab"],
        &["endpoints", "show", ATTACK],
        &["endpoints", "--json"],
        &["models"],
        &["check"],
    ];
    let mut printed = 0;
    for command in commands {
        let output = match command {
            ["--broken"] => output(latimer().args(["check", "--config", broken])),
            command => output(&mut latimer_in(dir, command)),
        };
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.is_empty(), "{command:?}");
        assert_harmless(&format!("{command:?}"), &text);
        printed += usize::from(text.contains("owned"));
    }
    assert!(printed >= 12, "the name is shown by {printed} commands");
    std::fs::write(dir.join("watchdog-rules.toml"), format!("{} = 1\n", json!(ATTACK))).expect("written");
    for command in ["rules", "incidents", "export"] {
        let output = output(&mut on(dir, command));
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(text.contains("owned"), "{command}: {text}");
        assert_harmless(command, &text);
    }
}
