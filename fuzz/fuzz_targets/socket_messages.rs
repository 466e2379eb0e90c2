//! Whatever a WebSocket client sends, it is read or refused, and what is read is one JSON object. The payloads that go back
//! are parts of the frames they come from.
#![no_main]

use latimer_proxy::inbound::wire::openai_error::bad_request;
use latimer_proxy::inbound::responses::socket::message::{self, ClientMessage};
use latimer_proxy::inbound::responses::socket::payloads::PayloadSplitter;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let mut splitter = PayloadSplitter::default();
    let payloads: Vec<_> = splitter.split(bytes::Bytes::copy_from_slice(data)).collect();
    assert!(payloads.iter().map(|payload| payload.bytes.len()).sum::<usize>() <= data.len());
    assert!(payloads.iter().all(|payload| !payload.bytes.contains(&b'\n')));
    let Ok(text) = std::str::from_utf8(data) else { return };
    match message::read(text) {
        Ok(ClientMessage::Create(create)) => {
            let body: Value = serde_json::from_slice(&create.body).expect("JSON");
            assert_eq!(body["stream"], true);
            assert!(body.get("type").is_none());
        }
        Ok(ClientMessage::Processed) => {}
        Err(error) => {
            let event: Value = serde_json::from_str(&message::refusal(&bad_request(&error))).expect("JSON");
            assert!(event["type"] == "error" && event["error"]["message"].is_string());
        }
    }
});
