//! Transport and drive over real sockets, against every way a connection can go wrong.

#![expect(clippy::expect_used, reason = "helpers of tests may stop the test")]

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use latimer_adapters::drive::{Limits, TurnStream};
use latimer_adapters::reader::{BodyEnd, Reader};
use latimer_adapters::scripted::{Encoding, Framing, Provider, Scenario, ScriptedAnswer, Step};
use latimer_adapters::transport::http::{self, Http, HttpOptions};
use latimer_adapters::transport::outbound::Outbound;
use latimer_adapters::transport::read_error_body;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, Note, RecordedEvents, TurnEvent};
use serde_json::json;

/// Text of well-formed chunks; anything else is a note.
#[derive(Default)]
struct Deltas {
    done: bool,
}

impl Reader for Deltas {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if data == b"[DONE]" {
            self.done = true;
            return;
        }
        let chunk: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
        match chunk["choices"][0]["delta"]["content"].as_str() {
            Some(text) => sink.event(TurnEvent::Text(text)),
            None if chunk.is_null() => sink.event(TurnEvent::Note(Note::turn("garbage"))),
            None => {}
        }
    }

    fn done(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = match end {
            BodyEnd::Broken(failure) => FinishReason::Failed(failure),
            BodyEnd::Clean if self.done => FinishReason::Stop,
            BodyEnd::Clean => FinishReason::Failed(Failure::new(FailureKind::Interrupted, "no end marker")),
        };
        sink.event(TurnEvent::Finished(reason));
    }
}

fn client() -> Http {
    Http::new(HttpOptions { outbound: Outbound::Direct, connect: Duration::from_secs(5), ca_file: None })
}

async fn provider(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Provider {
    Provider::start(Scenario::new(answers)).await.expect("a port")
}

async fn post(http: &Http, provider: &Provider, first_byte: Duration) -> Result<http::HttpResponse, Failure> {
    let url = format!("{}/chat/completions", provider.base_url());
    http.post(&url, &[], Bytes::from_static(b"{}"), first_byte).await
}

async fn failure(answer: ScriptedAnswer) -> Failure {
    let provider = provider([answer]).await;
    post(&client(), &provider, Duration::from_secs(5)).await.expect_err("a failure")
}

async fn ask(http: &Http, provider: &Provider) -> Vec<String> {
    let answer = post(http, provider, Duration::from_secs(5)).await.expect("headers");
    let limits = Limits { idle: Duration::from_millis(150), line: 64 * 1024, ..Limits::default() };
    let mut turn = TurnStream::new(answer.body, Box::<Deltas>::default(), limits);
    let mut record = RecordedEvents::default();
    while !poll_fn(|cx| turn.poll_events(cx, &mut record)).await {}
    record.lines
}

async fn lines(answer: ScriptedAnswer) -> Vec<String> {
    ask(&client(), &provider([answer]).await).await
}

/// Waits for something that another task is about to notice.
async fn soon(what: &str, happened: impl Fn() -> bool) {
    let wait = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_turn_arrives_whole() {
    let text = Step::Text { text: "grüß dich".to_owned(), pieces: 3, gap_us: 0 };
    assert_eq!(
        lines(ScriptedAnswer::turn([text])).await,
        ["text \"grü\"", "text \"ß d\"", "text \"ich\"", "finished stop"]
    );
}

#[tokio::test]
async fn a_refused_connection_says_what_to_check() {
    // Nothing listens on the first port of all.
    let url = "http://127.0.0.1:1/v1/chat/completions?key=sk-secret";
    let failure = client().post(url, &[], Bytes::new(), Duration::from_secs(5)).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("refused") && failure.message.contains("127.0.0.1:1"), "{failure}");
    assert!(!failure.message.contains("sk-secret"), "{failure}");
}

#[tokio::test]
async fn an_unknown_name_is_a_name_problem() {
    let url = "http://no-such-host.invalid/v1/chat/completions";
    let failure =
        client().post(url, &[], Bytes::new(), Duration::from_secs(20)).await.expect_err("no such host");
    assert!(matches!(failure.kind, FailureKind::Unreachable | FailureKind::Timeout), "{failure:?}");
    assert!(failure.message.contains("no-such-host.invalid"), "{failure}");
}

#[tokio::test]
async fn a_connection_lost_before_headers_is_interrupted() {
    for answer in [
        ScriptedAnswer::close(),
        ScriptedAnswer::reset(),
        ScriptedAnswer::raw_tcp("HTTP/1.1 200 OK\r\ncontent-ty"),
    ] {
        let failure = failure(answer.clone()).await;
        assert_eq!(failure.kind, FailureKind::Interrupted, "{answer:?}: {failure}");
        assert!(failure.message.contains("127.0.0.1"), "{failure}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_said_to_be_none() {
    let failure = failure(ScriptedAnswer::raw_tcp("SSH-2.0-OpenSSH_9.6\r\n")).await;
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("does not speak HTTP"), "{failure}");
}

#[tokio::test]
async fn slow_or_missing_headers_run_into_the_first_byte_limit() {
    for answer in [
        ScriptedAnswer::silence(),
        ScriptedAnswer::text("x").head_gap_ms(50),
        ScriptedAnswer::text("x").delay_ms(60_000),
    ] {
        let provider = provider([answer.clone()]).await;
        let failure = post(&client(), &provider, Duration::from_millis(150)).await.expect_err("too slow");
        assert_eq!(failure.kind, FailureKind::Timeout, "{answer:?}");
        assert!(failure.message.contains("timeouts.first_byte"), "{failure}");
        soon("the request is cancelled", || provider.disconnects() == 1).await;
    }
}

#[tokio::test]
async fn headers_have_a_limit() {
    let large = ScriptedAnswer::text("x").header("x-large", &"y".repeat(200 * 1024));
    let many =
        (0..300).fold(ScriptedAnswer::text("x"), |answer, nth| answer.header(&format!("x-{nth}"), "y"));
    for answer in [large, many] {
        assert_eq!(failure(answer).await.kind, FailureKind::TooLarge);
    }
    let fair =
        (0..150).fold(ScriptedAnswer::text("x"), |answer, nth| answer.header(&format!("x-{nth}"), "y"));
    assert_eq!(lines(fair).await, ["text \"x\"", "finished stop"]);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\ndata: [DONE]\n\n";
    assert_eq!(lines(ScriptedAnswer::raw_tcp([interim, answer].concat())).await, ["finished stop"]);
}

#[tokio::test]
async fn a_body_that_breaks_is_interrupted() {
    let said = || Step::text("half");
    let pause = || Step::sleep(30);
    let cases = [
        ("reset", ScriptedAnswer::steps([said(), pause(), Step::Reset])),
        ("cut", ScriptedAnswer::steps([said(), pause(), Step::Cut])),
        (
            "cut frame",
            ScriptedAnswer::steps([said(), Step::raw("data: {\"choices\":[{\"del"), pause(), Step::Cut]),
        ),
        ("broken chunk size", ScriptedAnswer::steps([said(), pause(), Step::wire("zz\r\nabc"), Step::Cut])),
        (
            "shorter than its length",
            ScriptedAnswer::steps([said()]).framing(Framing::Length(100_000)).header("connection", "close"),
        ),
        ("clean end", ScriptedAnswer::steps([said(), Step::End])),
        ("closed without length", ScriptedAnswer::steps([said()]).framing(Framing::Close)),
    ];
    for (name, mut answer) in cases {
        if name == "shorter than its length" {
            answer.steps.push(Step::Cut);
        }
        let lines = lines(answer).await;
        assert_eq!(lines[0], "text \"half\"", "{name}");
        assert!(lines[1].starts_with("finished failed interrupted"), "{name}: {lines:?}");
    }
}

#[tokio::test]
async fn silence_after_headers_or_text_runs_into_the_idle_limit() {
    for steps in
        [vec![Step::comment("hi"), Step::Stall], vec![Step::text("half"), Step::raw("data: {"), Step::Stall]]
    {
        let provider = provider([ScriptedAnswer::steps(steps)]).await;
        let lines = ask(&client(), &provider).await;
        let last = lines.last().expect("an end");
        assert!(last.starts_with("finished failed timeout"), "{last}");
        soon("the connection is closed", || provider.open_connections() == 0).await;
    }
}

#[tokio::test]
async fn a_connection_kept_open_after_the_end_marker_does_not_hold_the_turn() {
    let answer = ScriptedAnswer::steps([Step::text("all"), Step::Done, Step::Stall]);
    let provider = provider([answer]).await;
    assert_eq!(ask(&client(), &provider).await, ["text \"all\"", "finished stop"]);
    soon("the connection is given up", || provider.open_connections() == 0).await;
}

#[tokio::test]
async fn garbage_between_good_lines_reaches_the_reader() {
    let answer =
        ScriptedAnswer::turn([Step::text("a"), Step::raw("data: {{{\n\nnonsense\n\n"), Step::text("b")]);
    assert_eq!(lines(answer).await, ["text \"a\"", "note garbage", "text \"b\"", "finished stop"]);
}

#[tokio::test]
async fn an_endless_line_is_too_large() {
    let answer = ScriptedAnswer::steps([Step::repeat(2_000, [Step::raw("x".repeat(1_000))])]);
    let lines = lines(answer).await;
    assert!(lines[0].starts_with("finished failed too_large"), "{lines:?}");
}

#[tokio::test]
async fn compressed_bodies_are_read_without_delay() {
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let whole = ScriptedAnswer::turn([Step::text("a"), Step::text("b")]).encoding(encoding);
        assert_eq!(lines(whole).await, ["text \"a\"", "text \"b\"", "finished stop"]);
        let stalled = ScriptedAnswer::steps([Step::text("a"), Step::Stall]).encoding(encoding);
        assert_eq!(
            lines(stalled).await[0],
            "text \"a\"",
            "a compressed event is not held back until the next"
        );
    }
}

#[tokio::test]
async fn a_compressed_bomb_is_stopped() {
    let zeros = Step::raw("\0".repeat(1 << 20));
    let answer =
        ScriptedAnswer::steps([Step::repeat(8, [Step::raw("data: x\n\n"), zeros])]).encoding(Encoding::Gzip);
    let provider = provider([answer]).await;
    let answer = post(&client(), &provider, Duration::from_secs(5)).await.expect("headers");
    let mut body = answer.body;
    let failure = loop {
        match body.chunk().await {
            Some(Ok(_)) => {}
            Some(Err(failure)) => break failure,
            None => panic!("the bomb went through"),
        }
    };
    assert_eq!(failure.kind, FailureKind::TooLarge);
    assert!(body.chunk().await.is_none(), "nothing follows an error");
}

#[tokio::test]
async fn an_unknown_compression_is_a_failure() {
    let answer = ScriptedAnswer::text("x").header("content-encoding", "br");
    assert_eq!(failure(answer).await.kind, FailureKind::UpstreamError);
}

#[tokio::test]
async fn dropping_a_turn_is_seen_by_the_provider() {
    let provider = provider([ScriptedAnswer::steps([Step::text("half"), Step::Stall])]).await;
    let http = client();
    let answer = post(&http, &provider, Duration::from_secs(5)).await.expect("headers");
    let mut turn = TurnStream::new(answer.body, Box::<Deltas>::default(), Limits::default());
    let mut record = RecordedEvents::default();
    poll_fn(|cx| turn.poll_events(cx, &mut record)).await;
    assert_eq!(provider.disconnects(), 0);
    drop(turn);
    let left = std::time::Instant::now();
    soon("the provider sees it", || provider.disconnects() == 1).await;
    assert!(left.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn dropping_a_request_before_its_headers_is_seen_too() {
    let provider = provider([ScriptedAnswer::silence()]).await;
    let http = client();
    let waiting = post(&http, &provider, Duration::from_secs(60));
    tokio::select! {
        _ = waiting => panic!("the provider is silent"),
        () = soon("the provider is asked", || provider.request_count() == 1) => {}
    }
    soon("the provider sees it", || provider.disconnects() == 1).await;
}

#[tokio::test]
async fn turns_share_a_connection() {
    // Most servers send the end of the framing a moment after the end marker.
    let late_end = ScriptedAnswer::steps([Step::text("a"), Step::Done, Step::sleep(20), Step::End]);
    let provider = provider([ScriptedAnswer::text("b"), late_end, ScriptedAnswer::text("c")]).await;
    let http = client();
    for _ in 0..3 {
        assert_eq!(ask(&http, &provider).await.last().map(String::as_str), Some("finished stop"));
        // The connection goes back into the pool in a task of its own.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let connections: Vec<_> = provider.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 0]);
}

#[tokio::test]
async fn a_stale_connection_costs_nothing() {
    // The second answer dies on the connection that the first one left behind: asked again, on a new one.
    let provider =
        provider([ScriptedAnswer::text("a"), ScriptedAnswer::close(), ScriptedAnswer::text("b")]).await;
    let http = client();
    assert_eq!(ask(&http, &provider).await, ["text \"a\"", "finished stop"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ask(&http, &provider).await, ["text \"b\"", "finished stop"]);
    let connections: Vec<_> = provider.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_only() {
    let provider = provider([ScriptedAnswer::text("a"), ScriptedAnswer::close()]).await;
    let http = client();
    ask(&http, &provider).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let failure = post(&http, &provider, Duration::from_secs(5)).await.expect_err("closed twice");
    assert_eq!((failure.kind, provider.request_count()), (FailureKind::Interrupted, 3));
}

#[tokio::test]
async fn redirects_are_answers() {
    let elsewhere = provider([ScriptedAnswer::text("stolen")]).await;
    let redirect = ScriptedAnswer::error(307, json!({})).header("location", &elsewhere.base_url());
    let provider = provider([redirect]).await;
    let answer = post(&client(), &provider, Duration::from_secs(5)).await.expect("an answer");
    assert_eq!(answer.status, 307);
    assert_eq!((provider.request_count(), elsewhere.connections()), (1, 0));
}

#[tokio::test]
async fn an_error_answer_keeps_status_headers_and_body() {
    let error =
        ScriptedAnswer::error(429, json!({"error": {"message": "slow down"}})).header("retry-after", "7");
    let provider = provider([error]).await;
    let answer = post(&client(), &provider, Duration::from_secs(5)).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].as_bytes()), (429, &b"7"[..]));
    let body = read_error_body(answer.body, 64 * 1024, Duration::from_secs(1)).await;
    assert_eq!(body, br#"{"error":{"message":"slow down"}}"#);
}

#[tokio::test]
async fn headers_and_bodies_arrive_as_sent() {
    let provider = provider([ScriptedAnswer::text("x")]).await;
    let url = format!("{}/chat/completions?beta=1", provider.base_url());
    let headers = [
        (AUTHORIZATION, HeaderValue::from_static("Bearer k")),
        (HeaderName::from_static("user-agent"), HeaderValue::from_static("mine/1")),
    ];
    client()
        .post(&url, &headers, r#"{"model":"m"}"#.into(), Duration::from_secs(5))
        .await
        .expect("an answer");
    let request = provider.requests().remove(0);
    assert_eq!(request.path, "/v1/chat/completions?beta=1");
    assert_eq!(request.header("authorization"), Some("Bearer k"));
    assert_eq!(request.header("user-agent"), Some("mine/1"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("host"), Some(provider.address().to_string().as_str()));
    assert_eq!(request.body, json!({"model": "m"}));
}

#[tokio::test]
async fn model_lists_are_asked_for_with_get() {
    let provider = provider([ScriptedAnswer::text("x")]).await;
    let url = format!("{}/models", provider.base_url());
    let answer = client().get(&url, &[], Duration::from_secs(5)).await.expect("an answer");
    let body = read_error_body(answer.body, 64 * 1024, Duration::from_secs(1)).await;
    let list: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(list["data"][0]["id"], "scripted");
    assert_eq!(provider.request_count(), 0, "a model list is no turn");
}
