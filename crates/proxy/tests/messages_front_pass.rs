//! The same protocol on both sides: an upstream's own events go through a tap to the client, and its state is sealed.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod messages_support;

use latimer_adapters::messages::passthrough_reader::MessagesPassthroughReader;
use latimer_adapters::messages::rewrite::{ToolReferences, rewrite};
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::messages::legality;
use latimer_protocol::turn::{EventSink as _, OpaqueState, SealKey, StateOwner, TurnEvent};
use latimer_proxy::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use latimer_proxy::inbound::writer::WriterSeed;
use latimer_proxy::inbound::writer::answer::Answer;
use messages_support::Events as _;
use serde_json::{Value, json};

fn owner() -> StateOwner {
    StateOwner::new("lab", "claude-sonnet-4-5")
}

fn answer() -> Answer {
    let (model, stream) = ("asked".to_owned(), true);
    let options = MessagesWriterOptions { model, stream, ..MessagesWriterOptions::default() };
    MessagesWriter::new(WriterSeed::default(), options).into_answer()
}

fn fixture(name: &str) -> String {
    let path = format!("{}/../../fixtures/anthropic/{name}.sse", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("readable")
}

/// The upstream's payloads through tap and answer.
fn passed(stream: &str, end: BodyEnd) -> String {
    let mut answer = answer();
    let mut tap = Box::new(MessagesPassthroughReader::new(ReaderContext {
        owner: owner(),
        endpoint: "lab".into(),
        ..ReaderContext::default()
    }));
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        tap.push(data.as_bytes(), &mut answer);
    }
    tap.finish(end, &mut answer);
    assert!(answer.is_finished());
    String::from_utf8(answer.take()).expect("UTF-8")
}

#[test]
fn sound_streams_go_through_as_they_are() {
    for name in
        ["text", "two-calls-interleaved", "max-tokens-in-a-call", "cached-usage", "pause-turn", "refusal"]
    {
        let stream = fixture(name);
        let passed = passed(&stream, BodyEnd::Clean);
        let sent: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let got: Vec<&str> = passed.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(got, sent[..got.len()], "{name}");
        assert_eq!(got.last(), Some(&"{\"type\":\"message_stop\"}"), "{name}");
    }
}

#[test]
fn whatever_comes_there_is_one_end() {
    insta::glob!("../../../fixtures/anthropic", "*.sse", |path| {
        let stream = std::fs::read_to_string(path).expect("readable");
        for end in [BodyEnd::Clean, BodyEnd::Broken(Failure::new(FailureKind::Interrupted, "cut"))] {
            let passed = passed(&stream, end);
            let terminal =
                passed.lines().filter(|line| matches!(*line, "event: message_stop" | "event: error"));
            assert_eq!(terminal.count(), 1, "{}\n{passed}", path.display());
            assert!(passed.ends_with("\n\n"), "{}", path.display());
        }
    });
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]
    #[test]
    fn however_an_upstream_mixes_its_events_there_is_one_end(
        places in proptest::collection::vec(0usize..60, 0..30),
        cut in proptest::bool::ANY,
    ) {
        let all: String = ["thinking-then-call", "redacted-thinking", "two-calls-interleaved", "overloaded-in-mid-stream", "wrong-types"]
            .map(fixture)
            .concat();
        let all: Vec<&str> = all.lines().filter(|line| line.starts_with("data: ")).collect();
        let stream: Vec<&str> = places.into_iter().filter_map(|place| all.get(place).copied()).collect();
        let end = if cut { BodyEnd::Broken(Failure::new(FailureKind::Interrupted, "cut")) } else { BodyEnd::Clean };
        let passed = passed(&stream.join("\n"), end);
        let ends = passed.lines().filter(|line| matches!(*line, "event: message_stop" | "event: error")).count();
        proptest::prop_assert_eq!(ends, 1, "{}", passed);
    }
}

#[test]
fn thoughts_are_sealed_on_their_way_out_and_opened_on_their_way_back() {
    for name in ["thinking-then-call", "redacted-thinking"] {
        let stream = fixture(name);
        let passed = passed(&stream, BodyEnd::Clean);
        let others = |stream: &str| -> Vec<Value> {
            let holds_state = |event: &Value| {
                event["delta"]["type"] == "signature_delta"
                    || event["content_block"]["type"] == "redacted_thinking"
            };
            stream.as_bytes().events().into_iter().filter(|event| !holds_state(event)).collect()
        };
        assert_eq!(others(&passed), others(&stream), "{name}: only state is touched");
        let block = block_of(&passed.as_bytes().events());
        let carrier = block["signature"].as_str().or(block["data"].as_str()).expect("a carrier");
        let opaque = OpaqueState::decode(carrier, &SealKey::default()).expect("ours");
        assert_eq!(opaque.owner, owner());
        let body =
            json!({ "stream": true, "messages": [{ "role": "assistant", "content": [block] }] }).to_string();
        let rewritten = rewrite(body.as_bytes(), "m", &owner(), &SealKey::default(), ToolReferences::Known)
            .expect("passes");
        let rewritten: Value = serde_json::from_slice(&rewritten).expect("JSON");
        // What the upstream gets back is what it said.
        assert_eq!(rewritten["messages"][0]["content"][0], block_of(&stream.as_bytes().events()), "{name}");
    }
}

/// The first block of thoughts, as a client puts it together.
fn block_of(events: &[Value]) -> Value {
    let mut block = Value::Null;
    for event in events {
        match event["type"].as_str() {
            Some("content_block_start") => block = event["content_block"].clone(),
            Some("content_block_delta") => {
                for field in ["thinking", "signature"] {
                    if let Some(piece) = event["delta"][field].as_str() {
                        let before = block[field].as_str().unwrap_or_default();
                        block[field] = Value::from(format!("{before}{piece}"));
                    }
                }
            }
            Some("content_block_stop") => break,
            _ => {}
        }
    }
    block
}

#[test]
fn an_attempt_that_showed_nothing_leaves_no_trace() {
    let mut answer = answer();
    let start = r#"{"type":"message_start","message":{"id":"msg_up","usage":{"input_tokens":3}}}"#;
    let mut tap = Box::new(MessagesPassthroughReader::new(ReaderContext::default()));
    tap.push(start.as_bytes(), &mut answer);
    assert!(answer.take().is_empty(), "nothing is shown before something is said");
    answer.keep_alive(true);
    assert_eq!(answer.take(), b": keep-alive\n\n");
    // Another attempt, this one translated.
    answer.event(TurnEvent::Started);
    answer.event(TurnEvent::Text("hi"));
    answer.event(TurnEvent::Finished(latimer_protocol::turn::FinishReason::Stop));
    let out = String::from_utf8(answer.take()).expect("text");
    assert!(out.contains("\"hi\"") && !out.contains("msg_up"), "{out}");
    assert_eq!(legality::check(out.as_bytes()), Vec::<String>::new());
}

#[test]
fn a_failure_in_mid_answer_closes_words() {
    let stream = fixture("cut-after-text");
    let out = passed(&stream, BodyEnd::Broken(Failure::new(FailureKind::Interrupted, "lab: cut")));
    let events = out.as_bytes().events();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["content_block_stop", "error"], "{out}");
}
