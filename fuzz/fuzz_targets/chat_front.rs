//! Whatever a Chat Completions client sends is refused with words, or becomes a request with every call answered once.
#![no_main]

use std::collections::BTreeMap;

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle};
use latimer_adapters::chat::request::write;
use latimer_protocol::turn::{StateOwner, SealKey};
use latimer_proxy::inbound::chat::request::read;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|body: &[u8]| {
    let (turn, wants) = match read(body, &SealKey::default()) {
        Ok(parsed) => parsed,
        Err(error) => return assert!(!error.message.is_empty()),
    };
    assert_eq!(turn.model, wants.model);
    let quirks = Quirks { echo: Echo::Details, reasoning: ReasoningStyle::OpenRouter, ..Quirks::DEFAULT };
    let written = write(&turn, &quirks, &StateOwner::new("o", "m"));
    // Schemas go through untouched and may hold numbers that no `Value` does.
    let request: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&written.body).expect("the request is JSON");
    let messages: Vec<Value> = serde_json::from_str(request["messages"].get()).expect("messages");
    let mut open: Vec<&str> = Vec::new();
    for message in &messages {
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
