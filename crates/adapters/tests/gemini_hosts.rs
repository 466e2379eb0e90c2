//! Gemini over sockets: where requests go, what is around them, and what happens when a host does not answer.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::credential::Credential;
use latimer_adapters::gemini::{Flavour, Gemini, Options};
use latimer_adapters::learn::Lessons;
use latimer_adapters::link::Refused;
use latimer_adapters::scripted::Service;
use latimer_adapters::scripted::{Answer, Provider, Scenario, Step};
use latimer_protocol::failure::Kind;
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::{Content, Item, Message, Record, Role, TurnRequest};
use serde_json::json;
use support::link;

fn turn(model: &str) -> TurnRequest {
    let said = Message { role: Role::User, content: vec![Content::Text("hello".into())] };
    TurnRequest { model: model.into(), items: vec![Item::Message(said)], ..TurnRequest::default() }
}

fn says(text: &str) -> Answer {
    let event = json!({ "response": { "candidates": [{ "content": { "parts": [{ "text": text }] }, "finishReason": "STOP" }] } });
    Answer::steps([Step::Raw { text: format!("data: {event}\n\n") }])
}

fn account(project: Option<&str>) -> Credential {
    Credential {
        project: project.map(str::to_owned),
        ..Credential::access_token("me@test", Secret::new("ya29-test"))
    }
}

async fn provider(answers: Vec<Answer>) -> Provider {
    Provider::start(Scenario::new(answers)).await.expect("a provider")
}

fn host(provider: &Provider) -> String {
    format!("http://{}", provider.address())
}

async fn answer(gemini: &Gemini, model: &str, credential: &Credential) -> Result<Vec<String>, Refused> {
    let prepared = gemini.prepare(&turn(model), &Lessons::default());
    let mut stream = gemini.open(&prepared, Some(credential)).await?;
    let mut record = Record::default();
    while !std::future::poll_fn(|cx| stream.poll_events(cx, &mut record)).await {}
    Ok(record.lines)
}

#[tokio::test]
async fn native_requests_carry_the_key_in_a_header() {
    let provider = provider(vec![says("hi")]).await;
    let gemini =
        Gemini::new(link(&format!("{}/v1beta", host(&provider))), Flavour::Native, Options::default());
    let credential = Credential::api_key("key-1", Secret::new("test-key"));
    let lines = answer(&gemini, "gemini-3-flash", &credential).await.expect("answered");
    assert_eq!(lines, ["started", "text \"hi\"", "finished stop"]);
    let request = &provider.requests()[0];
    assert_eq!(request.path, "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse");
    assert_eq!((request.header("x-goog-api-key"), request.header("authorization")), (Some("test-key"), None));
    assert_eq!(request.body["contents"][0]["parts"][0]["text"], "hello");
    let prepared = gemini.prepare(&turn("gemini-3-flash"), &Lessons::default());
    let refused = gemini.open(&prepared, None).await.expect_err("no key");
    assert_eq!(refused.failure.kind, Kind::Unauthorized);
    assert!(refused.failure.message.contains("api_key_env"));
}

#[tokio::test]
async fn code_assist_requests_stand_in_an_envelope() {
    let provider = provider(vec![says("hi")]).await;
    let gemini = Gemini::new(link(&host(&provider)), Flavour::CodeAssist, Options::default());
    answer(&gemini, "gemini-2.5-pro", &account(Some("my-project"))).await.expect("answered");
    let request = &provider.requests()[0];
    assert_eq!(request.path, "/v1internal:streamGenerateContent?alt=sse");
    assert_eq!(request.header("authorization"), Some("Bearer ya29-test"));
    let body = &request.body;
    assert_eq!((&body["model"], &body["project"]), (&json!("gemini-2.5-pro"), &json!("my-project")));
    assert_eq!(body["user_prompt_id"].as_str().map(str::len), Some(36));
    assert!(body["request"]["session_id"].is_string() && body["request"]["contents"].is_array());
}

#[tokio::test]
async fn antigravity_falls_back_to_the_next_host_and_stays_there() {
    let down =
        provider(vec![Answer::error(503, json!({ "error": { "message": "no capacity available" } }))]).await;
    let up = provider(vec![says("hi")]).await;
    let options =
        Options { hosts: vec![host(&down), host(&up)], version: Some("9.9.9".into()), ..Options::default() };
    let gemini = Gemini::new(link(&host(&up)), Flavour::Antigravity, options);
    for _ in 0..2 {
        answer(&gemini, "gemini-3.1-pro", &account(Some("p"))).await.expect("answered");
    }
    assert_eq!((down.requests().len(), up.requests().len()), (1, 2), "the one that answered comes first");
    let request = &up.requests()[0];
    assert_eq!(request.body["model"], "gemini-3.1-pro-low", "by the name the provider knows");
    assert_eq!(
        (&request.body["requestType"], &request.body["userAgent"]),
        (&json!("agent"), &json!("antigravity"))
    );
    assert!(request.body["requestId"].as_str().is_some_and(|id| id.starts_with("agent-")));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("antigravity/9.9.9 ")));
}

#[tokio::test]
async fn a_wrong_request_goes_to_one_host_only() {
    let first = provider(vec![Answer::error(400, json!({ "error": { "message": "Unknown name" } }))]).await;
    let second = provider(vec![says("hi")]).await;
    let options = Options {
        hosts: vec![host(&first), host(&second)],
        version: Some("9.9.9".into()),
        ..Options::default()
    };
    let gemini = Gemini::new(link(&host(&first)), Flavour::Antigravity, options);
    let refused = answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect_err("refused");
    assert_eq!((refused.failure.kind, second.requests().len()), (Kind::BadRequest, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_account_is_taken_on() {
    let service = Service::start(vec![
        ("loadCodeAssist", 200, json!({ "allowedTiers": [{ "id": "free-tier", "isDefault": true }] })),
        ("onboardUser", 200, json!({ "name": "operations/1", "done": false })),
        ("operations/1", 200, json!({ "name": "operations/1", "done": true, "response": { "cloudaicompanionProject": { "id": "made-1" } } })),
    ]).await.expect("a service");
    let gemini = Gemini::new(link(&service.base), Flavour::CodeAssist, Options::default());
    assert_eq!(gemini.discover_project(&account(None)).await.expect("found"), "made-1");
    assert_eq!(service.seen().len(), 3, "{:?}", service.seen());
}

#[tokio::test]
async fn an_account_that_may_not_is_told_why() {
    let service = Service::start(vec![("loadCodeAssist", 200, json!({ "currentTier": { "id": "x" }, "ineligibleTiers": [{ "reasonMessage": "not in your country" }] }),
    )]).await.expect("a service");
    let gemini = Gemini::new(link(&service.base), Flavour::CodeAssist, Options::default());
    let failure = gemini.discover_project(&account(None)).await.expect_err("no project");
    assert!(failure.message.contains("not in your country"), "{failure}");
}

#[tokio::test]
async fn an_old_version_is_looked_up_once() {
    let gone =
        provider(vec![Answer::error(404, json!({ "error": { "message": "not found" } })), says("hi")]).await;
    let versions = Service::start(vec![
        ("GET", 200, json!({ "version": "7.8.9" })),
        ("GET", 200, json!({ "version": "7.8.9" })),
    ])
    .await
    .expect("a service");
    let options = Options { version_urls: vec![versions.base.clone()], ..Options::default() };
    let gemini = Gemini::new(link(&host(&gone)), Flavour::Antigravity, options);
    answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect("answered at the second try");
    let requests = gone.requests();
    let agent = requests[requests.len() - 1].header("user-agent").expect("an agent").to_owned();
    assert!(agent.starts_with("antigravity/7.8.9 "), "{agent}");
}
