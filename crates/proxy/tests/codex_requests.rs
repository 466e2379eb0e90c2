//! Recorded requests of the real Codex, all the way to what a Chat Completions provider gets.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle};
use latimer_adapters::chat::request::write;
use latimer_adapters::gemini::request::FlavourLimits;
use latimer_adapters::limitation::Limitations;
use latimer_protocol::turn::{SealKey, StateOwner};
use latimer_proxy::inbound::responses::request::read;
use serde_json::Value;

const QUIRKS: Quirks = Quirks { reasoning: ReasoningStyle::Effort, echo: Echo::Always, ..Quirks::DEFAULT };

/// Every message and tool on a line, then every other field.
fn shown(body: &[u8], notes: &[String]) -> String {
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    let fields = body.as_object_mut().expect("an object");
    let mut lines = Vec::new();
    for key in ["messages", "contents", "tools"] {
        for value in fields.shift_remove(key).as_ref().and_then(Value::as_array).into_iter().flatten() {
            let mut line: String = value.to_string().chars().take(400).collect();
            if line.len() < value.to_string().len() {
                line.push('…');
            }
            lines.push(format!("{key} {line}"));
        }
    }
    lines.extend(fields.iter().map(|(key, value)| format!("{key} = {value}")));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// The snapshot beside a recorded request, for one protocol.
fn snapshot(path: &std::path::Path, protocol: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().expect("a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    let name = path.file_name().expect("named").to_string_lossy().replace(".request.json", protocol);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn recorded_requests_reach_a_messages_provider() {
    insta::glob!("../../../fixtures/codex", "*.request.json", |path| {
        let parsed = read(&std::fs::read(path).expect("readable"), &SealKey::default()).expect("understood");
        let owner = StateOwner::new("lab", "claude-sonnet-4-5");
        let mut turn = parsed.turn;
        turn.model = "claude-sonnet-4-5".to_owned();
        let written = latimer_adapters::messages::request::write(&turn, &owner, &Limitations::default());
        let notes: Vec<String> =
            parsed.notes.into_iter().chain(written.notes.iter().map(ToString::to_string)).collect();
        turns_are_whole(&serde_json::from_slice(&written.body).expect("JSON"));
        snapshot(path, ".anthropic", &shown(&written.body, &notes));
    });
}

/// What the Messages API checks: roles alternate, and every call is answered in the next turn, results first.
fn turns_are_whole(body: &Value) {
    let mut open: Vec<String> = Vec::new();
    let mut role = "assistant";
    for message in body["messages"].as_array().expect("messages") {
        assert_ne!(message["role"], role, "roles alternate");
        role = message["role"].as_str().expect("a role");
        let blocks = message["content"].as_array().expect("blocks");
        assert!(!blocks.is_empty());
        let (results, others): (Vec<&Value>, Vec<&Value>) =
            blocks.iter().partition(|block| block["type"] == "tool_result");
        assert!(
            blocks.iter().take(results.len()).all(|block| block["type"] == "tool_result"),
            "results first"
        );
        let mut answered: Vec<String> =
            results.iter().map(|block| block["tool_use_id"].as_str().expect("an id").to_owned()).collect();
        answered.sort();
        open.sort();
        assert_eq!(answered, open, "every call is answered in the next turn");
        open = others
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|block| block["id"].as_str().expect("an id").to_owned())
            .collect();
        assert!(others.iter().all(|block| block["type"] != "tool_use" || block["input"].is_object()));
    }
    assert_eq!(role, "user", "the person speaks last");
    assert!(open.is_empty());
}

#[test]
fn recorded_requests_reach_a_gemini_provider() {
    insta::glob!("../../../fixtures/codex", "*.request.json", |path| {
        let parsed = read(&std::fs::read(path).expect("readable"), &SealKey::default()).expect("understood");
        let owner = StateOwner::new("lab", "gemini-3-flash");
        let takes = FlavourLimits { urls: true, token_limit: true, edit_nudge: false };
        let limitations = Limitations::default();
        let written = latimer_adapters::gemini::request::write(
            &parsed.turn,
            "gemini-3-flash",
            takes,
            &owner,
            &limitations,
        );
        let notes: Vec<String> =
            parsed.notes.into_iter().chain(written.notes.iter().map(ToString::to_string)).collect();
        contents_are_whole(&serde_json::from_slice(&written.body).expect("JSON"));
        snapshot(path, ".gemini", &shown(&written.body, &notes));
    });
}

/// What Gemini checks: roles alternate, calls are answered in order in the next content, and carry a signature.
fn contents_are_whole(body: &Value) {
    let mut open: Vec<Value> = Vec::new();
    let mut role = "model";
    for content in body["contents"].as_array().expect("contents") {
        assert_ne!(content["role"], role, "roles alternate");
        role = content["role"].as_str().expect("a role");
        let parts = content["parts"].as_array().expect("parts");
        let answered: Vec<Value> = parts
            .iter()
            .filter_map(|part| part.get("functionResponse"))
            .map(|response| serde_json::json!([response["id"], response["name"]]))
            .collect();
        assert_eq!(answered, open, "each call is answered in order in the next content");
        assert!(
            parts.iter().take(answered.len()).all(|part| part.get("functionResponse").is_some()),
            "first"
        );
        let calls = parts.iter().filter(|part| part.get("functionCall").is_some());
        open = calls
            .clone()
            .map(|part| serde_json::json!([part["functionCall"]["id"], part["functionCall"]["name"]]))
            .collect();
        if let Some(first) = calls.clone().next() {
            assert!(first["thoughtSignature"].is_string(), "the first call of a turn is signed");
        }
    }
    assert!(role == "user" && open.is_empty(), "the person speaks last");
}

#[test]
fn recorded_requests_reach_the_provider() {
    insta::glob!("../../../fixtures/codex", "*.request.json", |path| {
        let parsed = read(&std::fs::read(path).expect("readable"), &SealKey::default())
            .expect("a request of Codex is understood");
        let written = write(&parsed.turn, &QUIRKS, &StateOwner::new("lab", "m"));
        let notes: Vec<String> =
            parsed.notes.into_iter().chain(written.notes.iter().map(ToString::to_string)).collect();
        let text = shown(&written.body, &notes);
        pairs_are_whole(&serde_json::from_slice(&written.body).expect("JSON"));
        snapshot(path, "", &text);
    });
}

/// What every strict provider checks: each call is answered right behind it, and nothing else is.
fn pairs_are_whole(body: &Value) {
    let mut open: Vec<String> = Vec::new();
    for message in body["messages"].as_array().expect("messages") {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().expect("an id");
            let at = open.iter().position(|known| known == id).expect("an output of an open call");
            open.remove(at);
            continue;
        }
        assert!(open.is_empty(), "a message stands between a call and its output");
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            open.push(call["id"].as_str().expect("an id").to_owned());
            let arguments = call["function"]["arguments"].as_str().expect("text");
            assert!(
                serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object()),
                "{arguments}"
            );
        }
    }
    assert!(open.is_empty(), "a call without an output");
}
