//! A Messages client on a Messages upstream: when its own request goes out, and when it is translated.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use hyper::header::{HeaderName, HeaderValue};
use latimer_adapters::limitation::{Limitation, Limitations};
use latimer_adapters::messages::Messages;
use latimer_adapters::prepared_request::{ClientRequest, PreparedRequest, TurnInput, WireProtocol};
use latimer_adapters::teaching::learn;
use latimer_protocol::turn::{Content, Item, Message, Role, SealKey, TurnRequest};

const BODY: &str = r#"{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}],"context_management":{"edits":[]}}"#;

fn prepared(protocol: WireProtocol, limitations: &Limitations) -> PreparedRequest {
    let messages = Messages { client: support::client("http://127.0.0.1:1"), bearer_keys: false };
    let message = Message { role: Role::User, content: vec![Content::Text("hi".to_owned())] };
    let turn = TurnRequest {
        model: "claude-sonnet-4-5".to_owned(),
        items: vec![Item::Message(message)],
        ..TurnRequest::default()
    };
    let header = |name: &'static str, value: &'static str| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let headers = vec![header("anthropic-beta", "effort-2025-11-24"), header("x-app", "cli")];
    let raw = ClientRequest { protocol, body: BODY.into(), headers, seal: SealKey::default() };
    messages.prepare(&TurnInput { client_request: Some(&raw), ..TurnInput::new(&turn, limitations) })
}

#[test]
fn the_clients_own_request_goes_out_with_its_betas() {
    let prepared = prepared(WireProtocol::Messages, &Limitations::default());
    assert!(prepared.is_passthrough);
    let body = String::from_utf8(prepared.body.to_vec()).expect("text");
    assert!(body.contains(r#""model":"claude-sonnet-4-5""#) && body.contains("context_management"), "{body}");
    let headers: Vec<&str> = prepared.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["anthropic-beta"]);
}

#[test]
fn other_protocols_are_translated() {
    assert!(!prepared(WireProtocol::Responses, &Limitations::default()).is_passthrough);
}

#[test]
fn a_refusal_of_it_makes_the_next_one_a_translation() {
    let first = prepared(WireProtocol::Messages, &Limitations::default());
    let learned = learn(400, "context_management: Extra inputs are not permitted", first.features);
    assert_eq!(learned, Some(Limitation::NoOwnRequests));
    let second = prepared(WireProtocol::Messages, &Limitations::new(learned));
    assert!(!second.is_passthrough);
    let body = String::from_utf8(second.body.to_vec()).expect("text");
    assert!(!body.contains("context_management"), "{body}");
}
