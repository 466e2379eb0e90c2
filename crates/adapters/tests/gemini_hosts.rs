//! Gemini over sockets: where requests go, what is around them, and what happens when a host does not answer.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::credential::Credential;
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::gemini::{Flavour, Gemini, Options};
use latimer_adapters::limitation::{Limitation, Limitations};
use latimer_adapters::prepared_request::TurnInput;
use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Service, Step};
use latimer_adapters::teaching::Teaching;
use latimer_protocol::failure::FailureKind;
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::{Call, Content, Item, Message, RecordedEvents, Role, TurnRequest};
use serde_json::{Value, json};
use support::client;

fn turn(model: &str) -> TurnRequest {
    let said = Message { role: Role::User, content: vec![Content::Text("hello".into())] };
    TurnRequest { model: model.into(), items: vec![Item::Message(said)], ..TurnRequest::default() }
}

fn says(text: &str) -> ScriptedAnswer {
    let event = json!({ "response": { "candidates": [{ "content": { "parts": [{ "text": text }] }, "finishReason": "STOP" }] } });
    ScriptedAnswer::steps([Step::Raw { text: format!("data: {event}\n\n") }])
}

fn account(project: Option<&str>) -> Credential {
    Credential {
        project: project.map(str::to_owned),
        ..Credential::access_token("me@test", Secret::new("ya29-test"))
    }
}

async fn provider(answers: Vec<ScriptedAnswer>) -> Provider {
    Provider::start(Scenario::new(answers)).await.expect("a provider")
}

fn host(provider: &Provider) -> String {
    format!("http://{}", provider.address())
}

async fn answer(gemini: &Gemini, model: &str, credential: &Credential) -> Result<Vec<String>, OpenError> {
    let prepared = gemini.prepare(&TurnInput::new(&turn(model), &Limitations::default()));
    let mut stream = gemini.open(&prepared, Some(credential)).await?;
    let mut record = RecordedEvents::default();
    while !std::future::poll_fn(|cx| stream.poll_events(cx, &mut record)).await {}
    Ok(record.lines)
}

#[tokio::test]
async fn native_requests_carry_the_key_in_a_header() {
    let provider = provider(vec![says("hi")]).await;
    let gemini =
        Gemini::new(client(&format!("{}/v1beta", host(&provider))), Flavour::Native, Options::default());
    let credential = Credential::api_key("key-1", Secret::new("test-key"));
    let lines = answer(&gemini, "gemini-3-flash", &credential).await.expect("answered");
    assert_eq!(lines, ["started", "text \"hi\"", "finished stop"]);
    let request = &provider.requests()[0];
    assert_eq!(request.path, "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse");
    assert_eq!((request.header("x-goog-api-key"), request.header("authorization")), (Some("test-key"), None));
    assert_eq!(request.body["contents"][0]["parts"][0]["text"], "hello");
    let prepared = gemini.prepare(&TurnInput::new(&turn("gemini-3-flash"), &Limitations::default()));
    let refused = gemini.open(&prepared, None).await.expect_err("no key");
    assert_eq!(refused.failure.kind, FailureKind::Unauthorized);
    assert!(refused.failure.message.contains("api_key_env"));
}

#[tokio::test]
async fn code_assist_requests_stand_in_an_envelope() {
    let provider = provider(vec![says("hi")]).await;
    let gemini = Gemini::new(client(&host(&provider)), Flavour::CodeAssist, Options::default());
    answer(&gemini, "gemini-2.5-pro", &account(Some("my-project"))).await.expect("answered");
    let request = &provider.requests()[0];
    assert_eq!(request.path, "/v1internal:streamGenerateContent?alt=sse");
    assert_eq!(request.header("authorization"), Some("Bearer ya29-test"));
    let body = &request.body;
    assert_eq!((&body["model"], &body["project"]), (&json!("gemini-2.5-pro"), &json!("my-project")));
    assert_eq!(body["user_prompt_id"].as_str().map(str::len), Some(36));
    assert!(body["request"]["session_id"].is_string() && body["request"]["contents"].is_array());
}

#[tokio::test(start_paused = true)]
async fn antigravity_falls_back_to_the_next_host_and_stays_there() {
    let begun = tokio::time::Instant::now();
    let down = provider(vec![ScriptedAnswer::error(
        503,
        json!({ "error": { "message": "no capacity available" } }),
    )])
    .await;
    let up = provider(vec![says("hi")]).await;
    let options =
        Options { hosts: vec![host(&down), host(&up)], version: Some("9.9.9".into()), ..Options::default() };
    let gemini = Gemini::new(client(&host(&up)), Flavour::Antigravity, options);
    for _ in 0..2 {
        answer(&gemini, "gemini-3.1-pro", &account(Some("p"))).await.expect("answered");
    }
    assert_eq!((down.requests().len(), up.requests().len()), (1, 2), "the one that answered comes first");
    assert_eq!(begun.elapsed().as_millis() / 250, 1, "where one is full, the next one is left a moment");
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
    let first =
        provider(vec![ScriptedAnswer::error(400, json!({ "error": { "message": "Unknown name" } }))]).await;
    let second = provider(vec![says("hi")]).await;
    let options = Options {
        hosts: vec![host(&first), host(&second)],
        version: Some("9.9.9".into()),
        ..Options::default()
    };
    let gemini = Gemini::new(client(&host(&first)), Flavour::Antigravity, options);
    let refused = answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect_err("refused");
    assert_eq!((refused.failure.kind, second.requests().len()), (FailureKind::BadRequest, 0));
}

/// A service that answers by a word of the path; each answer once, in order.
async fn service(script: Vec<(&'static str, Value)>) -> Service {
    Service::start(script.into_iter().map(|(word, answer)| (word, 200, answer)).collect())
        .await
        .expect("a service")
}

/// Methods and paths.
fn lines(service: &Service) -> Vec<String> {
    service.requests().iter().map(|requests| requests.line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
}

/// What was sent.
fn bodies(service: &Service) -> Vec<Value> {
    service.requests().into_iter().map(|requests| requests.body).collect()
}

fn new_account() -> Value {
    json!({ "allowedTiers": [{ "id": "standard-tier" }, { "id": "free-tier", "isDefault": true }] })
}

#[tokio::test(start_paused = true)]
async fn a_new_account_is_taken_on() {
    let made = json!({ "name": "operations/1", "done": true, "response": { "cloudaicompanionProject": { "id": "made-1" } } });
    let service = service(vec![
        ("loadCodeAssist", new_account()),
        ("onboardUser", json!({ "name": "operations/1", "done": false })),
        ("operations/1", json!({ "name": "operations/1" })),
        ("operations/1", made),
    ])
    .await;
    let gemini = Gemini::new(client(&service.base), Flavour::CodeAssist, Options::default());
    let begun = tokio::time::Instant::now();
    assert_eq!(gemini.discover_project(&account(Some("mine"))).await.expect("found"), "made-1");
    assert_eq!(begun.elapsed().as_secs(), 10, "asked every five seconds");
    assert_eq!(
        lines(&service),
        [
            "POST /v1internal:loadCodeAssist",
            "POST /v1internal:onboardUser",
            "GET /v1internal/operations/1",
            "GET /v1internal/operations/1",
        ]
    );
    let metadata = json!({
        "ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI", "duetProject": "mine",
    });
    assert_eq!(bodies(&service)[0], json!({ "metadata": metadata, "cloudaicompanionProject": "mine" }));
    assert_eq!(
        bodies(&service)[1],
        json!({ "tierId": "free-tier", "metadata": metadata }),
        "it would fail with a project"
    );
    let head = service.requests()[0].head.clone();
    assert!(
        head.contains("authorization: bearer ya29-test") && head.contains("accept: application/json"),
        "{head}"
    );
}

#[tokio::test(start_paused = true)]
async fn antigravity_keeps_its_accounts_where_they_are_whoever_answers() {
    let answer = || json!({ "response": { "candidates": [{ "content": { "parts": [{ "text": "hi" }] }, "finishReason": "STOP" }] } });
    let made = json!({ "done": true, "response": { "cloudaicompanionProject": "made-2" } });
    let daily = service(vec![("onboardUser", json!({ "done": false })), ("onboardUser", made)]).await;
    let last =
        service(vec![("stream", answer()), ("loadCodeAssist", new_account()), ("stream", answer())]).await;
    let options = Options {
        hosts: vec![daily.base.clone(), last.base.clone()],
        version: Some("9.9.9".into()),
        ..Options::default()
    };
    let gemini = Gemini::new(client(&daily.base), Flavour::Antigravity, options);
    // The last host answers a turn and comes first from then on.
    self::answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect("answered");
    self::answer(&gemini, "gemini-3-flash", &account(None)).await.expect("answered");
    let stream = "POST /v1internal:streamGenerateContent?alt=sse";
    assert_eq!(lines(&last), [stream, "POST /v1internal:loadCodeAssist", stream]);
    assert_eq!(lines(&daily), [stream, "POST /v1internal:onboardUser", "POST /v1internal:onboardUser"]);
    assert_eq!(bodies(&last)[1], json!({ "metadata": { "ideType": "ANTIGRAVITY" } }));
    assert_eq!(bodies(&last)[2]["project"], "made-2");
    let metadata = json!({ "ide_type": "ANTIGRAVITY", "ide_version": "9.9.9", "ide_name": "antigravity" });
    assert_eq!(bodies(&daily)[1], json!({ "tier_id": "free-tier", "metadata": metadata }));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_never_ready_is_given_up() {
    let waiting = |_| ("onboardUser", json!({ "done": false }));
    let mut script = vec![("loadCodeAssist", new_account())];
    script.extend((0..9).map(waiting));
    let service = service(script).await;
    let gemini = Gemini::new(client(&service.base), Flavour::Antigravity, Options::default());
    let failure = gemini.discover_project(&account(None)).await.expect_err("not ready");
    assert_eq!((failure.kind, lines(&service).len()), (FailureKind::Timeout, 1 + 5), "{failure}");
}

#[tokio::test]
async fn an_account_that_may_not_is_told_why() {
    let refused = json!({ "currentTier": { "id": "x" }, "ineligibleTiers": [{ "reasonMessage": "not in your country", "validationUrl": "https://accounts.test/v" }] });
    let broken = json!({ "done": true, "error": { "code": 403, "message": "the terms are not accepted" } });
    let cases = [
        (
            vec![("loadCodeAssist", refused)],
            FailureKind::Forbidden,
            "not in your country https://accounts.test/v",
        ),
        (
            vec![("loadCodeAssist", new_account()), ("onboardUser", broken)],
            FailureKind::Forbidden,
            "the terms are not accepted",
        ),
        (vec![], FailureKind::BadRequest, "check the endpoint's base_url"),
    ];
    for (script, kind, words) in cases {
        let service = service(script).await;
        let gemini = Gemini::new(client(&service.base), Flavour::CodeAssist, Options::default());
        let failure = gemini.discover_project(&account(None)).await.expect_err("no project");
        assert!(failure.kind == kind && failure.message.contains(words), "{failure:?}");
    }
}

#[tokio::test]
async fn turns_of_one_account_look_for_its_project_once() {
    let answer = || ("stream", json!({ "response": { "candidates": [{ "finishReason": "STOP" }] } }));
    let known = json!({ "currentTier": { "id": "x" }, "cloudaicompanionProject": "p" });
    let service = service(vec![("loadCodeAssist", known), answer(), answer()]).await;
    let gemini = Gemini::new(client(&service.base), Flavour::CodeAssist, Options::default());
    let one = account(None);
    let ask = || self::answer(&gemini, "gemini-2.5-pro", &one);
    let (first, second) = tokio::join!(ask(), ask());
    assert!(first.is_ok() && second.is_ok());
    let asked = lines(&service).into_iter().filter(|line| line.contains("loadCodeAssist")).count();
    assert_eq!(asked, 1, "also when both turns begin at the same time");
}

fn error(status: u16, message: &str) -> ScriptedAnswer {
    ScriptedAnswer::error(status, json!({ "error": { "code": status, "status": "X", "message": message } }))
}

/// Antigravity on these hosts, with a version that is given.
fn antigravity(hosts: &[&Provider]) -> Gemini {
    let hosts: Vec<String> = hosts.iter().map(|provider| host(provider)).collect();
    let options = Options { hosts: hosts.clone(), version: Some("9.9.9".into()), ..Options::default() };
    Gemini::new(client(&hosts[0]), Flavour::Antigravity, options)
}

#[tokio::test]
async fn each_host_is_left_for_what_another_may_do_better() {
    let disabled = json!({ "error": { "message": "m", "details": [{ "reason": "SERVICE_DISABLED" }] } });
    let cases = [
        error(404, "not found"),
        error(500, "oops"),
        error(429, "slow down"),
        ScriptedAnswer::error(403, disabled),
        ScriptedAnswer::close(),
    ];
    for first in cases {
        let shown = format!("{first:?}");
        let (left, right) = (provider(vec![first]).await, provider(vec![says("hi")]).await);
        let gemini = antigravity(&[&left, &right]);
        answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect(&shown);
    }
    let nobody = Options {
        hosts: vec!["http://127.0.0.1:1".into()],
        version: Some("9.9.9".into()),
        ..Options::default()
    };
    let right = provider(vec![says("hi")]).await;
    let options = Options { hosts: [nobody.hosts, vec![host(&right)]].concat(), ..nobody };
    let gemini = Gemini::new(client(&host(&right)), Flavour::Antigravity, options);
    answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect("the other host answers");
}

#[tokio::test]
async fn a_host_that_limits_is_not_asked_first_any_more() {
    let left = provider(vec![error(500, "oops"), error(500, "oops"), says("left")]).await;
    let right = provider(vec![says("right"), error(429, "slow down"), says("never")]).await;
    let gemini = antigravity(&[&left, &right]);
    let account = account(Some("p"));
    answer(&gemini, "gemini-3-flash", &account).await.expect("the right one answers");
    answer(&gemini, "gemini-3-flash", &account).await.expect_err("neither answers");
    let lines = answer(&gemini, "gemini-3-flash", &account).await.expect("the left one answers");
    assert_eq!(lines[1], "text \"left\"");
    assert_eq!((left.request_count(), right.request_count()), (3, 2));
}

#[tokio::test]
async fn a_refused_login_says_how_to_log_in() {
    let refusing = || error(401, "Request had invalid authentication credentials.");
    let cases = [
        (Flavour::Native, "(check the endpoint's api_key)"),
        (Flavour::CodeAssist, "(log in again: `latimer login google`)"),
        (Flavour::Antigravity, "(log in again: `latimer login antigravity`)"),
    ];
    for (flavour, words) in cases {
        let (left, right) = (provider(vec![refusing()]).await, provider(vec![says("hi")]).await);
        let options = Options {
            hosts: vec![host(&left), host(&right)],
            version: Some("9.9.9".into()),
            ..Options::default()
        };
        let gemini = Gemini::new(client(&host(&left)), flavour, options);
        let refused = answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect_err("refused");
        assert!(refused.failure.message.ends_with(words), "{}", refused.failure);
        assert_eq!((refused.failure.kind, right.request_count()), (FailureKind::Unauthorized, 0));
        let prepared = gemini.prepare(&TurnInput::new(&turn("gemini-3-flash"), &Limitations::default()));
        let nobody = gemini.open(&prepared, None).await.expect_err("nobody");
        assert_eq!(
            (nobody.failure.kind, left.request_count()),
            (FailureKind::Unauthorized, 1),
            "nothing is sent"
        );
    }
}

#[tokio::test]
async fn a_refusal_of_signatures_teaches() {
    let provider =
        provider(vec![error(400, "Function call is missing a thought_signature in functionCall parts.")])
            .await;
    let gemini = Gemini::new(client(&host(&provider)), Flavour::Native, Options::default());
    let call = Item::Call(Call { id: "c".into(), name: "f".into(), arguments: "{}".into() });
    let mut turn = turn("gemini-2.5-flash");
    turn.items.push(call);
    let prepared = gemini.prepare(&TurnInput::new(&turn, &Limitations::default()));
    let credential = Credential::api_key("key-1", Secret::new("test-key"));
    let refused = gemini.open(&prepared, Some(&credential)).await.expect_err("refused");
    assert_eq!(refused.teaching.as_deref(), Some(&Teaching::Whole(Limitation::NoSignatures)));
    let again = gemini.prepare(&TurnInput::new(&turn, &Limitations::new([Limitation::NoSignatures])));
    assert!(String::from_utf8_lossy(&again.body).contains("skip_thought_signature_validator"));
}

#[tokio::test]
async fn an_old_version_is_looked_up_once() {
    let missing = || error(404, "not found");
    let (left, right) =
        (provider(vec![missing(), missing()]).await, provider(vec![missing(), says("hi")]).await);
    let versions =
        service(vec![("GET", json!({ "version": "7.8.9" })), ("GET", json!({ "version": "7.8.9" }))]).await;
    let options = Options {
        hosts: vec![host(&left), host(&right)],
        version_urls: vec![versions.base.clone()],
        ..Options::default()
    };
    let gemini = Gemini::new(client(&host(&left)), Flavour::Antigravity, options);
    answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect("answered at the second try");
    assert_eq!((left.request_count(), right.request_count()), (2, 2));
    let requests = right.requests();
    let agent = requests[1].header("user-agent").expect("an agent");
    assert!(agent.starts_with("antigravity/7.8.9 "), "{agent}");
    assert_ne!(requests[0].body["requestId"], requests[1].body["requestId"]);
}

#[tokio::test]
async fn a_version_is_not_too_old_where_one_host_says_something_else() {
    let (left, right) =
        (provider(vec![error(500, "oops")]).await, provider(vec![error(404, "not found")]).await);
    let versions = service(vec![("GET", json!("7.8.9")), ("GET", json!("7.8.9"))]).await;
    let options = Options {
        hosts: vec![host(&left), host(&right)],
        version_urls: vec![versions.base.clone()],
        ..Options::default()
    };
    let gemini = Gemini::new(client(&host(&left)), Flavour::Antigravity, options);
    let refused = answer(&gemini, "gemini-3-flash", &account(Some("p"))).await.expect_err("nobody answers");
    assert_eq!(
        (refused.failure.kind, left.request_count(), right.request_count()),
        (FailureKind::ModelNotFound, 1, 1)
    );
}
