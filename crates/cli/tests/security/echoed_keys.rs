//! An upstream that says the key it was sent, in every way that providers and gateways do. Nothing of it may reach anybody.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::field_report::{FieldHarness, ProviderAnswer, RuleProvider};
use crate::support::{folder, latimer_in, output};

/// Keys in the shapes of the providers, and a password with everything that some encoding changes. None was ever valid.
pub(super) const KEYS: [&str; 26] = [
    "sk-Zq3nV8xK2mP7wL5tR9yB4cD6fG1hJ0aS",
    concat!("sk-", "proj-Ab3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA-bC3dE6gH"),
    "sk-ant-api03-kLm8nOp2qRs5tUv9wXy3zAb6cDe0fGh4-iJkL7mNoAA",
    "sk-or-v1-9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a3928",
    "xai-Tg7hYj4kUi1oPl8mNb5vCx2zAs9dFq6wErTy3uIo",
    "gsk_Rt5yUi8oPa2sDf6gHj9kLz3xCv7bNm1qWe4rTy0u",
    "nvapi-Qw1eRt4yUi7oPa0sDf3gHj6kLz9xCv2bNm5q_We8r",
    "csk-p2q5r8s1t4u7v0w3x6y9z2a5b8c1d4e7f0g3h6j9",
    "pplx-Mn4bVc7xZa0sDf3gHj6kLq9wEr2tYu5iOp8",
    "fw_3ZkXv6BnMq9WtYu2IpAs5DfGh",
    "hf_LkJhGf4DsAq7WeRt0YuIo3PzXc6VbNm",
    "user_2nB5vC8xZ1lK4jH7gF0dS3aQ6wE9rT",
    "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789",
    "ghp_Wq8eRt1yUi4oPa7sDf0gHj3kLz6xCv9bNm2Q",
    "AKIAZ7X3QK9B2M5N8P4T",
    "nahcrof_8hG5fD2sA9qW6eR3tY0uI7oP4lK1jH",
    "AIzaSyC4vB7nM0qW3eR6tY9uI2oP5aS8dF1gH4j",
    "ya29.a0AfH6SMBx3K9-qZ7wR2tY5uI8oP1aS4dF",
    "7c9e6679f2b14d0a8e3b5c1d9f7a2e4b",
    "b94f6f125c79e3a5ffaa826f584c10d52ada669e6762051b826b55776d05aed2",
    "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
    "Xy7Lp2Qw9Er4Ty6Ui1Oz8As3Df5Gh0Jk",
    "kT3vB8nM1qZ6wX4eC9rV2tY7uI5oP0aS3dF8gH1j",
    "a3f8c1e6b9d2470582fe61c4d7b0a935.Kq8Wv3Zx6Nt1Rp4L",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
    "Pa/ss\"w%rd+27\\x&<9>='Tq",
];
/// In how many ways it is said; see [`wording`].
pub(super) const WORDINGS: usize = 17;
const CLIENTS: [&str; 4] = ["responses", "chat", "messages", "gemini"];
/// So many characters of a key in a row are a leak.
const PART: usize = 10;

fn url_encoded(key: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    key.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

/// The body of a refusal that says the key.
pub(super) fn wording(number: usize, key: &str) -> String {
    let error = |message: String| json!({ "error": { "message": message, "type": "invalid_request_error", "code": "bad" } });
    let value: Value = match number {
        0 => error(format!("Incorrect API key provided: {key}. You can find your API key in the dashboard.")),
        1 => json!({ "detail": format!("Invalid credentials {key}") }),
        2 => {
            json!({ "detail": [{ "loc": ["header", "authorization"], "msg": format!("{key} is malformed"), "type": "value_error" }] })
        }
        3 => return format!("upstream said no to {key}"),
        4 => {
            return format!(
                "<html><body><h1>Forbidden</h1><p>The key {} is wrong</p></body></html>",
                key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
            );
        }
        5 => {
            json!({ "error": { "message": "Provider returned error", "code": 400, "metadata": { "raw": error(format!("no such key: {key}")).to_string() } } })
        }
        6 => error(format!("GET https://api.test/v1/models?key={}&alt=sse failed", url_encoded(key))),
        7 => error(format!("cannot reach https://user:{}@api.test/v1", url_encoded(key))),
        8 => json!({ "error": format!("the credential '{key}' was refused") }),
        9 => json!({ "error": { "code": key, "type": "x" } }),
        10 => error(format!("headers were authorization=Basic {}", STANDARD.encode(format!("user:{key}")))),
        11 => error(format!("the token is {} in base64", STANDARD.encode(key))),
        12 => error(format!(
            "request was {}",
            json!({ "headers": { "Authorization": format!("Bearer {key}") } })
        )),
        // The message is cut in the middle of the key.
        13 => error(format!("{} {key}", "word ".repeat(197).trim_end())),
        14 => {
            json!([{ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": format!("API key not valid: {key}"), "details": [{ "reason": "API_KEY_INVALID", "metadata": { "key": key } }] } }])
        }
        15 => json!({ "message": format!("{{\"inner\":\"{}\"}}", url_encoded(key)), "success": false }),
        _ => error(format!("disk-{key} is not a disk-sk-")),
    };
    value.to_string()
}

/// The same as an error in a stream of this protocol, at its beginning or behind a word of the answer.
fn in_stream(protocol: &str, body: &str, behind_text: bool) -> ProviderAnswer {
    let value: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({ "error": { "message": body } }));
    let value = value.get(0).unwrap_or(&value).clone();
    let error = match &value["error"] {
        Value::Null => value.clone(),
        error => error.clone(),
    };
    let text = |events: Vec<Value>| if behind_text { events } else { Vec::new() };
    let mut events = match protocol {
        "chat" => text(vec![
            json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "content": "Well" } }] }),
        ]),
        "anthropic" => text(vec![
            json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": { "input_tokens": 1, "output_tokens": 1 } } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Well" } }),
        ]),
        "responses" => text(vec![
            json!({ "type": "response.created", "sequence_number": 0, "response": { "id": "resp_1", "object": "response", "status": "in_progress", "model": "m", "output": [] } }),
            json!({ "type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": { "type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": [] } }),
            json!({ "type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Well" }),
        ]),
        "gemini" => text(vec![
            json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": [{ "text": "Well" }] } }] }),
        ]),
        _ => text(vec![json!({ "type": "text-delta", "id": "0", "text": "Well" })]),
    };
    events.push(match protocol {
        "anthropic" | "command_code" => json!({ "type": "error", "error": error }),
        "responses" if behind_text => json!({ "type": "response.failed", "sequence_number": 9, "response": { "id": "resp_1", "object": "response", "status": "failed", "model": "m", "output": [], "error": error } }),
        "responses" => json!({ "type": "error", "sequence_number": 0, "code": error["code"], "message": error["message"], "error": error }),
        _ => json!({ "error": error }),
    });
    if protocol == "command_code" {
        let lines: String =
            events.iter().fold(String::new(), |lines, event| lines + &event.to_string() + "\n");
        return ProviderAnswer::raw_stream(lines);
    }
    ProviderAnswer::stream(&events)
}

/// Path and body of a request of this client.
fn request(client: &str, model: &str, stream: bool, says: &str) -> (String, String) {
    let message = json!([{ "role": "user", "content": says }]);
    let (path, body) = match client {
        "responses" => (
            "/v1/responses".to_owned(),
            json!({ "model": model, "stream": stream, "store": false, "input": says }),
        ),
        "chat" => (
            "/v1/chat/completions".to_owned(),
            json!({ "model": model, "stream": stream, "messages": message }),
        ),
        "messages" => (
            "/v1/messages".to_owned(),
            json!({ "model": model, "stream": stream, "max_tokens": 99, "messages": message }),
        ),
        _ => {
            let call = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            (
                format!("/v1beta/models/{model}:{call}"),
                json!({ "contents": [{ "role": "user", "parts": [{ "text": says }] }] }),
            )
        }
    };
    (path, body.to_string())
}

/// Every run of [`PART`] bytes of a key, as it is and as encodings write it.
pub(super) fn parts() -> HashSet<Vec<u8>> {
    let forms = KEYS.iter().flat_map(|key| {
        let json = json!(key).to_string();
        let basic = STANDARD.encode(format!("user:{key}"));
        [(*key).to_owned(), url_encoded(key), json.trim_matches('"').to_owned(), STANDARD.encode(key), basic]
    });
    let parts = forms.flat_map(|form| form.as_bytes().windows(PART).map(<[u8]>::to_vec).collect::<Vec<_>>());
    // What every JSON web token begins with is nobody's secret.
    parts.filter(|part| !"eyJhbGciOiJIUzI1NiJ9".contains(&*String::from_utf8_lossy(part))).collect()
}

pub(super) fn assert_silent(what: &str, text: &[u8], parts: &HashSet<Vec<u8>>) {
    if let Some(at) = text.windows(PART).position(|part| parts.contains(part)) {
        let near = &text[at.saturating_sub(200)..at + PART];
        panic!("{what} tells the end of {:?}", String::from_utf8_lossy(near));
    }
}

/// A proxy with an endpoint for each key, before an upstream that says what it was sent.
fn harness(protocol: &'static str, asked: Arc<AtomicUsize>) -> FieldHarness {
    let provider = RuleProvider::start(move |request| {
        asked.fetch_add(1, Ordering::Relaxed);
        let case = request.text.split("case:").nth(1).expect("a case");
        let mut numbers =
            case.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<usize>().unwrap_or(0));
        let (key, wording_number, mode) =
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let body = wording(wording_number, KEYS[key]);
        match mode {
            0 => ProviderAnswer {
                status: if wording_number % 2 == 0 { 400 } else { 422 },
                content_type: if body.starts_with(['{', '[']) { "application/json" } else { "text/html" },
                body: body.into_bytes(),
            },
            1 => in_stream(protocol, &body, false),
            _ => in_stream(protocol, &body, true),
        }
    });
    let dir = folder("echoed-keys");
    let mut config = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for (number, key) in KEYS.iter().enumerate() {
        let base = &provider.base_url;
        let _ = write!(
            config,
            "[[endpoint]]\nname = \"lab{number}\"\nprotocol = \"{protocol}\"\nbase_url = \"{base}\"\nretries = 0\nresume = 0\napi_key = {}\nmodels = [\"m{number}\"]\n",
            json!(key)
        );
    }
    std::fs::write(dir.join("latimer.toml"), config).expect("written");
    let log = std::fs::File::create(dir.join("proxy.log")).expect("a log");
    let mut command = latimer_in(&dir, &["serve", "--log", "json"]);
    command.stdin(std::process::Stdio::null()).stderr(log);
    FieldHarness::of(dir, provider, &mut command)
}

fn nothing_of_a_key_passes(protocol: &'static str) {
    let asked = Arc::new(AtomicUsize::new(0));
    let harness = harness(protocol, Arc::clone(&asked));
    let parts = parts();
    let mut turns = 0;
    for number in 0..KEYS.len() {
        for wording_number in 0..WORDINGS {
            for mode in [0, 1 + wording_number % 2] {
                for client in CLIENTS {
                    let says = format!("case:{number},{wording_number},{mode};");
                    let (path, body) = request(client, &format!("m{number}"), mode > 0, &says);
                    let answer = harness.ask(&path, "", &body);
                    turns += 1;
                    let what = format!("{protocol} to {client}, {says}");
                    assert!(
                        asked.load(Ordering::Relaxed) >= turns,
                        "{what}: nobody was asked: {}",
                        answer.body
                    );
                    assert_silent(&what, answer.body.as_bytes(), &parts);
                    assert!(
                        answer.body.contains("***"),
                        "{what} is a failure in the provider's words: {}",
                        answer.body
                    );
                }
            }
        }
    }
    let explain = |args: &[&str]| {
        let output = output(latimer_in(&harness.dir, &["explain"]).args(args));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert_silent("explain", explain(&[]).as_bytes(), &parts);
    let last = explain(&[&format!("t{turns}")]);
    assert!(last.contains("failed: ") && last.contains("***"), "{last}");
    assert_silent("explain of a turn", last.as_bytes(), &parts);
    let traces = harness.get("/v1/turns");
    assert!(traces.contains("***"), "{traces:.300}");
    assert_silent("/v1/turns", traces.as_bytes(), &parts);
    let log = std::fs::read_to_string(harness.dir.join("proxy.log")).expect("a log");
    assert!(
        log.lines().filter(|line| line.contains("turn.done") && line.contains("***")).count() >= turns,
        "each turn has its line"
    );
    assert_silent("proxy.log", log.as_bytes(), &parts);
    for (path, bytes) in super::state_files(&harness.dir) {
        assert_silent(&path, &bytes, &parts);
    }
}

#[test]
fn a_chat_upstream_that_says_the_key() {
    nothing_of_a_key_passes("chat");
}

#[test]
fn a_messages_upstream_that_says_the_key() {
    nothing_of_a_key_passes("anthropic");
}

#[test]
fn a_responses_upstream_that_says_the_key() {
    nothing_of_a_key_passes("responses");
}

#[test]
fn a_gemini_upstream_that_says_the_key() {
    nothing_of_a_key_passes("gemini");
}

#[test]
fn a_command_code_upstream_that_says_the_key() {
    nothing_of_a_key_passes("command_code");
}
