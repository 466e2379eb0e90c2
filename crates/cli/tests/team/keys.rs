//! Keys for people, from `latimer keys create` to the 401 after their revocation.

use std::io::Read as _;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};

use super::{ask, keys_command, make};
use crate::support::{Harness, latimer_in, wait_until};

const TURN: &str = r#"{"model":"glm-5","input":"hi"}"#;
/// A dollar for each token.
const MODELS: &str = r#"models = [{ id = "glm-5", price = { input = 1000000, output = 1000000 } }, "other"]"#;

/// Answers that each use ten tokens of input and five of output: fifteen dollars.
fn answers(count: usize) -> Vec<ScriptedAnswer> {
    (0..count).map(|_| ScriptedAnswer::turn([Step::text("Hello."), Step::usage(10, 5)])).collect()
}

fn turn(harness: &Harness, key: &str, body: &str) -> (u16, String, String) {
    ask(harness, key, "POST", "/v1/responses", body)
}

fn text(made: &Value) -> String {
    made["key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_key_opens_turns_and_its_models_and_nothing_else() {
    let harness = Harness::configured("keys-open", answers(9), "", MODELS);
    let key = text(&make(&harness, &["anna", "--models", "glm-5"]));
    assert!(key.len() >= 24 && key.starts_with("sk-latimer-"), "{key}");
    // Made while the proxy runs, and used at once.
    let (status, _, body) = turn(&harness, &key, TURN);
    assert_eq!(status, 200, "{body}");
    let (status, _, body) = turn(&harness, &key, r#"{"model":"lab/glm-5","input":"hi"}"#);
    assert_eq!(status, 200, "the same model by its whole name: {body}");
    for model in ["other", "lab/other", "lab/anything"] {
        let asked = json!({ "model": model, "input": "hi" }).to_string();
        let (status, _, body) = turn(&harness, &key, &asked);
        assert!(status == 403 && body.contains(model), "{status} {body}");
    }
    let messages =
        json!({ "model": "other", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let (status, _, body) = ask(&harness, &key, "POST", "/v1/messages", &messages.to_string());
    assert!(status == 403 && body.contains("permission_error") && body.contains("other"), "{status} {body}");
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let (status, _, body) = ask(&harness, &key, "POST", "/v1beta/models/other:generateContent", gemini);
    assert!(status == 403 && body.contains("PERMISSION_DENIED"), "{status} {body}");
    assert_eq!(harness.requests().len(), 2, "none of the refused ones was sent");

    let (status, _, body) = ask(&harness, &key, "GET", "/v1/models", "");
    let list: Value = serde_json::from_str(&body).expect("JSON");
    let ids: Vec<&str> =
        list["data"].as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!((status, ids), (200, vec!["glm-5"]));
    for path in [
        "/v1/accounts",
        "/v1/admin/overrides",
        "/metrics",
        "/ui/",
        "/ui/session",
        "/api/v1/turns",
        "/watchdog",
    ] {
        let (status, _, body) = ask(&harness, &key, "GET", path, "");
        assert!(matches!(status, 403 | 405), "{path}: {status} {body}");
        assert!(!body.contains("glm-5"), "{path}: {body}");
    }
    let (_, _, health) = ask(&harness, &key, "GET", "/health", "");
    assert_eq!(health, "{\"status\":\"ok\"}");

    let log = std::fs::read_to_string(harness.dir.join("proxy.log")).expect("a log");
    let listed = keys_command(&harness, &["list", "--json"]).1;
    let shown = keys_command(&harness, &["show", "anna"]).1;
    let secret = &key[key.len() - 64..];
    for (what, text) in [("log", &log), ("list", &listed), ("show", &shown)] {
        assert!(!text.contains(secret), "{what}: {text}");
    }
    assert!(shown.contains("glm-5") && shown.contains("active"), "{shown}");
}

#[test]
fn each_limit_is_said_in_the_words_of_the_protocol_and_says_when_it_ends() {
    let harness = Harness::configured("keys-limits", answers(20), "", MODELS);
    let limited = text(&make(&harness, &["burst", "--requests", "3/min"]));
    let statuses: Vec<u16> = (0..4).map(|_| turn(&harness, &limited, TURN).0).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    let (_, head, body) = turn(&harness, &limited, TURN);
    assert!(body.contains("3 requests a minute") && body.contains("rate_limit_exceeded"), "{body}");
    let wait = head.split("retry-after: ").nth(1).and_then(|rest| rest.lines().next()).expect("a wait");
    assert!(wait.parse::<u64>().is_ok_and(|seconds| (1..=20).contains(&seconds)), "{head}");
    let messages =
        json!({ "model": "glm-5", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let (status, _, body) = ask(&harness, &limited, "POST", "/v1/messages", &messages.to_string());
    assert!(status == 429 && body.contains("rate_limit_error"), "{status} {body}");

    // Fifteen dollars a turn: the second one is over twenty.
    let poor = text(&make(&harness, &["poor", "--budget", "20.00/day"]));
    let statuses: Vec<u16> = (0..3).map(|_| turn(&harness, &poor, TURN).0).collect();
    assert_eq!(statuses, [200, 200, 402]);
    let (_, head, body) = turn(&harness, &poor, TURN);
    assert!(body.contains("budget") && body.contains("$20.00 a day"), "{body}");
    assert!(head.contains("x-should-retry: false"), "{head}");

    let brief = text(&make(&harness, &["brief", "--tokens", "2/day"]));
    assert_eq!(turn(&harness, &brief, TURN).0, 200);
    let (status, _, body) = turn(&harness, &brief, TURN);
    assert!(status == 429 && body.contains("2 tokens a day"), "{status} {body}");

    // The owner has no limit, and what was used stands beside the keys, through a restart.
    let mut harness = harness;
    harness.restart();
    let (status, _, body) = turn(&harness, &poor, TURN);
    assert_eq!(status, 402, "{body}");
    assert_eq!(turn(&harness, &harness.token(), TURN).0, 200);
    let shown = keys_command(&harness, &["show", "poor", "--json"]).1;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["used"]["day"]["requests"], 2, "{shown}");
    assert_eq!(shown["used"]["day"]["cost_usd"], 30.0, "{shown}");
    let usage = || {
        let output = latimer_in(&harness.dir, &["usage", "--by", "key", "--json"]).output().expect("runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    wait_until("every row is written", || usage()["total"]["turns"] == 7);
    let usage = usage();
    let turns = |name: &str| {
        let lines = usage["lines"].as_array().expect("lines");
        let line = lines.iter().find(|line| line["name"] == name).expect("a line");
        (line["turns"].clone(), line["failed"].clone())
    };
    assert_eq!(turns("burst"), (json!(3), json!(0)));
    assert_eq!(turns("poor"), (json!(2), json!(0)));
    assert_eq!(turns("none"), (json!(1), json!(0)));
}

#[test]
fn turns_at_once_are_limited_and_a_revocation_ends_no_stream() {
    let slow = ScriptedAnswer::turn([Step::text("One."), Step::sleep(4000), Step::text("Two.")]);
    let harness = Harness::configured("keys-revoke", [slow, ScriptedAnswer::text("x")], "", MODELS);
    let key = text(&make(&harness, &["anna", "--parallel", "1"]));
    let mut stream =
        std::net::TcpStream::connect(harness.url.trim_start_matches("http://")).expect("connected");
    let body = r#"{"model":"glm-5","stream":true,"input":"go"}"#;
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
    wait_until("the stream is open", || !harness.requests().is_empty());
    let (status, _, body) = turn(&harness, &key, TURN);
    assert!(status == 429 && body.contains("1 turns open at once"), "{status} {body}");
    let (worked, said) = keys_command(&harness, &["revoke", "anna"]);
    assert!(worked && said.contains("revoked"), "{said}");
    wait_until("the key opens nothing", || turn(&harness, &key, TURN).0 == 401);
    let (_, _, body) = turn(&harness, &key, TURN);
    assert!(body.contains("was revoked"), "{body}");
    let mut whole = String::new();
    stream.read_to_string(&mut whole).expect("read");
    assert!(whole.contains("Two.") && whole.contains("response.completed"), "{whole}");
    let (worked, said) = keys_command(&harness, &["revoke", "anna"]);
    assert!(!worked && said.contains("is revoked"), "{said}");
}

#[test]
fn names_are_taken_once_and_a_rotation_changes_only_the_secret() {
    let harness = Harness::configured("keys-rotate", answers(4), "", MODELS);
    let first = make(&harness, &["anna", "--expires", "30d"]);
    let (worked, said) = keys_command(&harness, &["create", "--name", "anna"]);
    assert!(!worked && said.contains("already"), "{said}");
    for (args, words) in [
        (["create", "--name", "a b"], "cannot be the name"),
        (["show", "bert", "--json"], "no key named `bert`"),
        (["create", "--name=x", "--requests=60"], "60/min"),
    ] {
        let (worked, said) = keys_command(&harness, &args);
        assert!(!worked && said.contains(words), "{args:?}: {said}");
    }
    assert_eq!(turn(&harness, &text(&first), TURN).0, 200);
    let (worked, said) = keys_command(&harness, &["rotate", "anna"]);
    assert!(worked, "{said}");
    let second = said.lines().find(|line| line.starts_with("sk-latimer-")).expect("a key").to_owned();
    assert_ne!(second, text(&first));
    wait_until("the new secret opens", || turn(&harness, &second, TURN).0 == 200);
    let (status, _, body) = turn(&harness, &text(&first), TURN);
    assert!(status == 401 && body.contains("latimer keys create"), "{status} {body}");
    let (status, _, _) = turn(&harness, "sk-latimer-000000000000-nonsense", TURN);
    assert_eq!(status, 401);
    let shown = || {
        let text = keys_command(&harness, &["show", "anna", "--json"]).1;
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    wait_until("both turns are written down", || shown()["used"]["day"]["requests"] == 2);
    assert_eq!(shown()["id"], first["id"]);
}

#[test]
fn a_key_sees_its_own_answers_and_turns_only() {
    let harness = Harness::configured("keys-scope", answers(6), "", MODELS);
    let [anna, bert] = ["anna", "bert"].map(|name| text(&make(&harness, &[name])));
    let (status, _, body) = turn(&harness, &anna, TURN);
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let id = answer["id"].as_str().expect("an id");
    let path = format!("/v1/responses/{id}");
    let next = json!({ "model": "glm-5", "input": "and?", "previous_response_id": id }).to_string();
    assert_eq!(ask(&harness, &anna, "GET", &path, "").0, 200);
    let token = harness.token();
    for stranger in [&bert, &token] {
        assert_eq!(ask(&harness, stranger, "GET", &path, "").0, 404);
        assert_eq!(ask(&harness, stranger, "DELETE", &path, "").0, 404);
        let (status, _, body) = turn(&harness, stranger, &next);
        assert!(status == 400 && body.contains("previous_response_not_found"), "{status} {body}");
    }
    assert_eq!(turn(&harness, &anna, &next).0, 200);
    let turns = |key: &str| {
        let (status, _, body) = ask(&harness, key, "GET", "/v1/turns", "");
        assert_eq!(status, 200, "{body}");
        let list: Value = serde_json::from_str(&body).expect("JSON");
        list["data"].as_array().expect("a list").clone()
    };
    // Whoever was refused has a turn, too.
    assert_eq!((turns(&anna).len(), turns(&bert).len(), turns(&token).len()), (2, 1, 4));
    let name = turns(&anna)[0]["turn"].as_str().expect("a name").to_owned();
    assert_eq!(ask(&harness, &bert, "GET", &format!("/v1/turns/{name}"), "").0, 404);
    let explained = latimer_in(&harness.dir, &["explain", &name]).output().expect("runs").stdout;
    let explained = String::from_utf8_lossy(&explained);
    assert!(explained.contains("key      anna"), "{explained}");
    assert_eq!(ask(&harness, &anna, "DELETE", &path, "").0, 200);
    assert_eq!(ask(&harness, &anna, "GET", &path, "").0, 404);
}
