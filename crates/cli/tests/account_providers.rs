//! The real Codex on providers that are logged in to: the calls around a turn, from an account's file to the last word.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{ScriptedAnswer, Service, ServiceRequest};
use latimer_protocol::secret::Secret;
use latimer_proxy::accounts;
use latimer_proxy::config::Login;
use serde_json::{Value, json};
use support::{Harness, program, status};

const CODEX: &str = "LATIMER_CODEX";

/// A proxy with one more endpoint, at this service, whose login has one account.
fn harness(name: &str, service: &Service, login: Login, endpoint: &str) -> Harness {
    let more = format!(
        "[[endpoint]]\nname = \"account\"\nbase_url = \"{}\"\nlogin = \"{}\"\n{endpoint}",
        service.base,
        login.name()
    );
    let mut harness = Harness::configured(name, [ScriptedAnswer::close()], "", &more);
    let tokens = accounts::file::Tokens {
        id: "me@test".into(),
        access: Secret::new("account-token"),
        refresh: None,
        expires_at: None,
        project: None,
    };
    let path = accounts::file::path(&harness.dir.join("state"), login, "me@test");
    accounts::file::write(&path, login, &tokens).expect("written");
    harness.restart();
    harness
}

fn start(lines: Vec<(&'static str, u16, Value)>) -> (tokio::runtime::Runtime, Service) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let service = runtime.block_on(Service::start(lines)).expect("a service");
    (runtime, service)
}

fn stream(events: &[Value]) -> Value {
    let frames: Vec<String> = events.iter().map(|event| format!("data: {event}\r\n\r\n")).collect();
    Value::String(frames.concat())
}

/// Runs Codex to its end: a file is made by a call, and the answer to its result is shown.
fn makes_a_file(harness: &Harness, codex: &str, model: &str) {
    let run = harness.codex(codex, &["-m", model, "Make a file."]);
    assert_eq!((run.code, run.messages()), (Some(0), vec!["Made it.".to_owned()]), "{}", run.all());
    assert_eq!(std::fs::read_to_string(harness.dir.join("project/made.txt")).expect("made"), "hello\n");
}

fn asked<'s>(requests: &'s [ServiceRequest], what: &str) -> Vec<&'s ServiceRequest> {
    requests.iter().filter(|requests| requests.line.contains(what)).collect()
}

const COMMAND: &str = "echo hello > made.txt";

#[test]
fn codex_on_codebuff() {
    let Some(codex) = program(CODEX) else { return };
    let chunk = |delta: Value, end: &str| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": end }] });
    let call = json!({ "tool_calls": [{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "exec_command", "arguments": json!({ "cmd": COMMAND }).to_string() } }] });
    let session = json!({ "status": "active", "instanceId": "inst-1", "remainingMs": 600_000 });
    let (runtime, service) = start(vec![
        ("\"START\"", 200, json!({ "runId": "run-1" })),
        ("\"START\"", 200, json!({ "runId": "run-2" })),
        ("POST /api/v1/freebuff/session", 200, session),
        ("POST /api/v1/chat/completions", 200, stream(&[chunk(call, "tool_calls")])),
        ("POST /api/v1/chat/completions", 200, stream(&[chunk(json!({ "content": "Made it." }), "stop")])),
        ("\"FINISH\"", 200, json!({})),
        ("\"FINISH\"", 200, json!({})),
    ]);
    let model = "deepseek/deepseek-v4-flash";
    let harness = harness(
        "codebuff",
        &service,
        Login::Codebuff,
        &format!("protocol = \"codebuff\"\nmodels = [\"{model}\"]"),
    );
    makes_a_file(&harness, &codex, model);
    runtime
        .block_on(service.wait_for("run-2\",\"status\":\"completed"))
        .expect("the last run is finished too");
    let requests = service.requests();
    assert!(requests.iter().all(|requests| requests.head.contains("authorization: bearer account-token")));
    let runs: Vec<&Value> = asked(&requests, "chat/completions")
        .iter()
        .map(|requests| &requests.body["codebuff_metadata"]["run_id"])
        .collect();
    assert_eq!(runs.len(), 2, "one run for each request: {runs:?}");
    assert_ne!(runs[0], runs[1]);
    assert_eq!(asked(&requests, "freebuff/session").len(), 1, "one session for both");
}

/// Events of Gemini in the envelope of Google's private API.
fn wrapped(parts: &Value) -> Value {
    let candidate = json!({ "content": { "role": "model", "parts": parts }, "finishReason": "STOP" });
    stream(&[
        json!({ "response": { "candidates": [candidate], "usageMetadata": { "promptTokenCount": 9 } } }),
    ])
}

fn gemini_script() -> Vec<(&'static str, u16, Value)> {
    let call = json!([{ "functionCall": { "name": "exec_command", "args": { "cmd": COMMAND } }, "thoughtSignature": "c2lnbmVk" }]);
    vec![
        (
            "loadCodeAssist",
            200,
            json!({ "currentTier": { "id": "free-tier" }, "cloudaicompanionProject": "proj-1" }),
        ),
        ("streamGenerateContent", 200, wrapped(&call)),
        ("streamGenerateContent", 200, wrapped(&json!([{ "text": "Made it." }]))),
    ]
}

fn check_gemini(harness: &Harness, service: &Service) {
    let requests = service.requests();
    assert_eq!(asked(&requests, "loadCodeAssist").len(), 1, "the project is found once");
    let turns = asked(&requests, "streamGenerateContent");
    assert!(turns.iter().all(|turn| turn.body["project"] == "proj-1"), "{turns:?}");
    assert!(turns.iter().all(|turn| turn.head.contains("authorization: bearer account-token")));
    let contents = turns[1].body["request"]["contents"].as_array().expect("contents");
    let call = &contents[contents.len() - 2]["parts"][0];
    assert_eq!(call["thoughtSignature"], "c2lnbmVk", "{call}");
    let folder = accounts::file::folder(&harness.dir.join("state"), login_of(harness));
    let kept = std::fs::read_dir(folder).expect("a folder").flatten().next().expect("an account");
    let kept = std::fs::read_to_string(kept.path()).expect("read");
    assert!(kept.contains("proj-1"), "the project is kept with the account: {kept}");
}

fn login_of(harness: &Harness) -> Login {
    let config = std::fs::read_to_string(harness.dir.join("latimer.toml")).expect("read");
    if config.contains("login = \"antigravity\"") { Login::Antigravity } else { Login::Google }
}

#[test]
fn codex_on_code_assist() {
    let Some(codex) = program(CODEX) else { return };
    let (_runtime, service) = start(gemini_script());
    let endpoint = "protocol = \"code_assist\"\nmodels = [\"gemini-2.5-pro\"]";
    let harness = harness("code-assist", &service, Login::Google, endpoint);
    makes_a_file(&harness, &codex, "gemini-2.5-pro");
    check_gemini(&harness, &service);
}

#[test]
fn codex_on_antigravity() {
    let Some(codex) = program(CODEX) else { return };
    let (_runtime, service) = start(gemini_script());
    // The first host is down: the second one answers, and goes on answering.
    let endpoint = format!(
        "protocol = \"antigravity\"\nmodels = [\"gemini-3.1-pro\"]\noptions = {{ antigravity_version = \"1.15.8\", hosts = [\"http://127.0.0.1:9\", \"{}\"] }}",
        service.base
    );
    let harness = harness("antigravity", &service, Login::Antigravity, &endpoint);
    makes_a_file(&harness, &codex, "gemini-3.1-pro");
    check_gemini(&harness, &service);
    let requests = service.requests();
    let turn = asked(&requests, "streamGenerateContent")[0];
    assert!(turn.head.contains("1.15.8"), "the version stands in the user agent: {}", turn.head);
    assert!(turn.body["requestId"].is_string() && turn.body["userAgent"] == "antigravity", "{}", turn.body);
}

#[test]
fn a_gateway_is_asked_in_each_models_own_protocol() {
    let refusal = || ScriptedAnswer::error(400, json!({ "error": { "message": "no" } }));
    let endpoint = "protocol = \"by_model\"\nmodels = [\"claude-sonnet-4-5\", \"gpt-5.5\", \"glm-5\"]";
    let harness = Harness::configured("by-model", [refusal(), refusal(), refusal()], "", endpoint);
    for model in ["claude-sonnet-4-5", "gpt-5.5", "glm-5"] {
        let answer = harness.post(&json!({ "model": model, "input": "hello" }).to_string(), "");
        assert_eq!(status(&answer), 400, "{answer}");
    }
    let paths: Vec<String> = harness.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/v1/messages", "/v1/responses", "/v1/chat/completions"]);
}
