//! Whatever a Messages client sends is refused with words that name the field, or becomes a request with every call answered
//! once.
#![no_main]

use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::chat::request::write;
use latimer_protocol::turn::{StateOwner, SealKey};
use latimer_proxy::inbound::messages::request::read;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let parsed = match read(data, &SealKey::default()) {
        Ok(parsed) => parsed,
        Err(error) => {
            let param = error.path.unwrap_or_default();
            assert!(error.message.starts_with(&param) && error.message.len() > param.len());
            return;
        }
    };
    assert!(!parsed.stops.iter().any(String::is_empty));
    let _ = parsed.kind.local_answer(&parsed.turn);
    let written = write(&parsed.turn, &Quirks::DEFAULT, &StateOwner::new("o", "m"));
    let request: Value = serde_json::from_slice(&written.body).expect("the request is JSON");
    let mut open: Vec<&str> = Vec::new();
    for message in request["messages"].as_array().expect("messages") {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().expect("an id");
            let at = open.iter().position(|known| *known == id).expect("an output of an open call");
            open.remove(at);
            continue;
        }
        assert!(open.is_empty(), "a message stands between a call and its output");
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            open.push(call["id"].as_str().expect("an id"));
        }
    }
    assert!(open.is_empty(), "a call without an output");
});
