//! Codebuff over sockets: the calls around a turn, whatever becomes of it.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::task::Poll;

use latimer_adapters::chat::Chat;
use latimer_adapters::chat::quirks::{Echo, Quirks};
use latimer_adapters::codebuff::{Codebuff, LEAST_TOKENS};
use latimer_adapters::credential::Credential;
use latimer_adapters::drive::TurnStream;
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::limitation::Limitations;
use latimer_adapters::prepared_request::TurnInput;
use latimer_adapters::scripted::Service;
use latimer_protocol::failure::FailureKind;
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::{Content, Item, Message, RecordedEvents, Role, TurnRequest};
use serde_json::{Value, json};
use support::client;

const FLASH: &str = "deepseek/deepseek-v4-flash";

fn codebuff(base: &str) -> Codebuff {
    let client = client(base);
    let quirks = Quirks { echo: Echo::WithCalls, least_tokens: Some(LEAST_TOKENS), ..Quirks::DEFAULT };
    let chat = Chat { client: Arc::clone(&client), path: "/api/v1", quirks };
    Codebuff::new(client, chat)
}

async fn open(codebuff: &Codebuff, model: &str, account: &str) -> Result<TurnStream, OpenError> {
    let said = Message { role: Role::User, content: vec![Content::Text("hello".into())] };
    let turn =
        TurnRequest { model: model.into(), items: vec![Item::Message(said)], ..TurnRequest::default() };
    let prepared = codebuff.prepare(&TurnInput::new(&turn, &Limitations::default()));
    let credential = Credential::access_token(account, Secret::new("test-token"));
    codebuff.open(&prepared, Some(&credential)).await
}

async fn read(mut stream: TurnStream) -> Vec<String> {
    let mut record = RecordedEvents::default();
    while !std::future::poll_fn(|cx| stream.poll_events(cx, &mut record)).await {}
    record.lines
}

fn run(id: &str) -> (&'static str, u16, Value) {
    ("START", 200, json!({ "runId": id }))
}

fn session() -> (&'static str, u16, Value) {
    (
        "POST /api/v1/freebuff/session",
        200,
        json!({ "status": "active", "instanceId": "inst-1", "remainingMs": 600_000 }),
    )
}

fn says(text: &str) -> (&'static str, u16, Value) {
    let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": "stop" }] });
    ("chat/completions", 200, json!(format!("data: {chunk}\n\ndata: [DONE]\n\n")))
}

fn finish() -> (&'static str, u16, Value) {
    ("FINISH", 200, json!({}))
}

#[tokio::test]
async fn a_turn_stands_in_a_run_and_a_session() {
    let service = Service::start(vec![
        run("run-1"),
        session(),
        says("hi"),
        finish(),
        run("run-2"),
        says("again"),
        finish(),
    ])
    .await
    .expect("a service");
    let codebuff = codebuff(&service.base);
    let lines = read(open(&codebuff, FLASH, "me").await.expect("taken")).await;
    assert_eq!(lines, ["started", "text \"hi\"", "finished stop"]);
    let finished = service.wait_for("FINISH").await.expect("sent");
    assert_eq!((&finished.body["runId"], &finished.body["status"]), (&json!("run-1"), &json!("completed")));
    let requests = service.requests();
    let chat = requests.iter().find(|requests| requests.line.contains("chat/completions")).expect("asked");
    assert!(chat.line.starts_with("POST /api/v1/chat/completions"), "{}", chat.line);
    let metadata = &chat.body["codebuff_metadata"];
    assert_eq!((&metadata["run_id"], &metadata["freebuff_instance_id"]), (&json!("run-1"), &json!("inst-1")));
    assert_eq!(metadata["client_id"].as_str().map(str::len), Some(13));
    assert_eq!((&chat.body["max_tokens"], &chat.body["model"]), (&json!(64_000), &json!(FLASH)));
    assert!(
        chat.head.contains("x-codebuff-instance-id: inst-1")
            && chat.head.contains("authorization: bearer test-token")
    );
    let start = requests.iter().find(|requests| requests.body["action"] == "START").expect("begun");
    assert_eq!(start.body["agentId"], "base2-free-deepseek-flash");

    read(open(&codebuff, FLASH, "me").await.expect("taken")).await;
    let sessions =
        service.requests().iter().filter(|requests| requests.line.contains("freebuff/session")).count();
    assert_eq!(sessions, 1, "the session is kept");
}

#[tokio::test]
async fn a_run_is_finished_when_the_client_leaves_and_when_it_fails() {
    let service =
        Service::start(vec![run("run-1"), session(), says("hi"), finish()]).await.expect("a service");
    let buff = codebuff(&service.base);
    drop(open(&buff, FLASH, "me").await.expect("taken"));
    assert_eq!(service.wait_for("FINISH").await.expect("sent").body["status"], "cancelled");

    let broken = ("chat/completions", 500, json!({ "error": { "message": "oops" } }));
    let service = Service::start(vec![run("run-2"), session(), broken, finish()]).await.expect("a service");
    let refused = open(&codebuff(&service.base), FLASH, "me").await.expect_err("refused");
    assert_eq!(refused.failure.kind, FailureKind::UpstreamError);
    assert_eq!(service.wait_for("FINISH").await.expect("sent").body["status"], "failed");
}

#[tokio::test]
async fn an_expired_session_is_begun_again_once() {
    let gone =
        |code: &str| ("chat/completions", 410, json!({ "error": { "code": code, "message": "gone" } }));
    let service = Service::start(vec![
        run("run-1"),
        session(),
        gone("session_expired"),
        finish(),
        run("run-2"),
        session(),
        says("hi"),
        finish(),
    ])
    .await
    .expect("a service");
    let lines = read(open(&codebuff(&service.base), FLASH, "me").await.expect("taken")).await;
    assert_eq!(lines[1], "text \"hi\"");
    let service = Service::start(vec![
        run("run-1"),
        session(),
        gone("session_expired"),
        finish(),
        run("run-2"),
        session(),
        gone("session_expired"),
        finish(),
    ])
    .await
    .expect("a service");
    let refused = open(&codebuff(&service.base), FLASH, "me").await.expect_err("not for ever");
    assert_eq!(refused.failure.message, "lab: gone");
}

#[tokio::test]
async fn a_session_that_another_client_took_is_not_taken_back_at_once() {
    let taken =
        ("chat/completions", 409, json!({ "error": "session_superseded", "message": "open elsewhere" }));
    let service = Service::start(vec![run("run-1"), session(), taken, finish()]).await.expect("a service");
    let failure = open(&codebuff(&service.base), FLASH, "me").await.expect_err("taken").failure;
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::ConcurrencyLimited, "lab: open elsewhere")
    );
    service.wait_for("FINISH").await.expect("sent");
    let sessions =
        service.requests().iter().filter(|requests| requests.line.contains("freebuff/session")).count();
    assert_eq!(sessions, 1);
}

#[tokio::test]
async fn turns_at_once_share_one_session() {
    let service = Service::start(vec![
        run("run-1"),
        run("run-2"),
        session(),
        says("hi"),
        says("hi"),
        finish(),
        finish(),
    ])
    .await
    .expect("a service");
    let codebuff = codebuff(&service.base);
    let (one, two) = tokio::join!(open(&codebuff, FLASH, "me"), open(&codebuff, FLASH, "me"));
    read(one.expect("taken")).await;
    read(two.expect("taken")).await;
    let sessions =
        service.requests().iter().filter(|requests| requests.line.contains("freebuff/session")).count();
    assert_eq!(sessions, 1, "a second one would end the first");
}

#[tokio::test]
async fn a_run_whose_client_left_while_it_was_begun_is_finished() {
    let service = Service::start(vec![run("run-1"), session(), finish()]).await.expect("a service");
    let codebuff = codebuff(&service.base);
    let mut leaving = Box::pin(open(&codebuff, FLASH, "me"));
    let begun = std::future::poll_fn(|cx| Poll::Ready(leaving.as_mut().poll(cx).is_pending()));
    assert!(begun.await, "it has to be waited for");
    drop(leaving);
    assert_eq!(service.wait_for("FINISH").await.expect("sent").body["status"], "cancelled");
}

#[tokio::test]
async fn a_newer_server_admits_elsewhere_and_may_refuse_with_a_200() {
    let blocked = json!({ "status": "country_blocked", "message": "Not available in your country." });
    let service = Service::start(vec![
        run("run-1"),
        ("POST /api/v1/freebuff/session/admission", 200, blocked),
        ("POST /api/v1/freebuff/session", 404, json!({})),
        finish(),
    ])
    .await
    .expect("a service");
    let failure = open(&codebuff(&service.base), FLASH, "me").await.expect_err("blocked").failure;
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Forbidden, "lab: Not available in your country.")
    );
}

#[tokio::test]
async fn limits_are_told_in_the_providers_words() {
    let limited =
        json!({ "error": "Daily session limit reached. Resets in 29m.", "retryAfterMs": 1_740_000 });
    let service =
        Service::start(vec![run("run-1"), ("POST /api/v1/freebuff/session", 429, limited), finish()])
            .await
            .expect("a service");
    let failure = open(&codebuff(&service.base), FLASH, "me").await.expect_err("limited").failure;
    assert_eq!(failure.message, "lab: Daily session limit reached. Resets in 29m.");
    assert_eq!(
        (failure.kind, failure.retry_after.map(|wait| wait.as_secs())),
        (FailureKind::WindowExhausted, Some(1740))
    );
    assert_eq!(service.wait_for("FINISH").await.expect("sent").body["status"], "failed");
}

#[tokio::test]
async fn a_queued_session_is_waited_for() {
    tokio::time::pause();
    let queued = json!({ "status": "queued" });
    let service = Service::start(vec![
        run("run-1"),
        ("POST /api/v1/freebuff/session", 200, queued.clone()),
        ("GET /api/v1/freebuff/session", 200, queued),
        ("GET /api/v1/freebuff/session", 200, json!({ "status": "active", "instanceId": "inst-2" })),
        says("hi"),
        finish(),
    ])
    .await
    .expect("a service");
    let lines = read(open(&codebuff(&service.base), FLASH, "me").await.expect("taken")).await;
    assert_eq!(lines[1], "text \"hi\"");
}

#[tokio::test]
async fn thoughts_that_are_asked_for_are_switched_off_once() {
    let wants = json!({ "error": { "message": "The `reasoning_content` in the thinking mode must be passed back to the API." } });
    let service = Service::start(vec![
        run("run-1"),
        session(),
        ("chat/completions", 400, wants),
        finish(),
        run("run-2"),
        says("hi"),
        finish(),
    ])
    .await
    .expect("a service");
    read(open(&codebuff(&service.base), FLASH, "me").await.expect("taken")).await;
    let requests = service.requests();
    let second = requests
        .iter()
        .filter(|requests| requests.line.contains("chat/completions"))
        .nth(1)
        .expect("asked twice");
    assert_eq!(second.body["thinking"], json!({ "type": "disabled" }));
    assert_eq!(second.body["codebuff_metadata"]["run_id"], "run-2");
}

#[tokio::test]
async fn an_unknown_model_is_refused_by_name() {
    let service = Service::start(Vec::new()).await.expect("a service");
    let failure = open(&codebuff(&service.base), "gpt-9", "me").await.expect_err("unknown").failure;
    assert_eq!(failure.kind, FailureKind::ModelNotFound);
    assert!(failure.message.contains("gpt-9") && failure.message.contains(FLASH), "{failure}");
    assert!(service.requests().is_empty(), "nothing was asked");
}
