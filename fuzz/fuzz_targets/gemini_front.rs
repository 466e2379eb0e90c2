//! Whatever a Gemini client sends is refused with words, or becomes a request with every call answered once.
#![no_main]

use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::chat::request::write;
use latimer_protocol::gemini::legality;
use latimer_protocol::turn::{Item, StateOwner, SealKey};
use latimer_proxy::inbound::gemini::error::bad_request;
use latimer_proxy::inbound::gemini::request::{read, read_count};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let seal = SealKey::default();
    let parsed = match if first & 1 == 0 { read("m", body, &seal) } else { read_count("m", body, &seal) } {
        Ok(parsed) => parsed,
        Err(error) => {
            let error = bad_request(&error);
            return assert_eq!(legality::check_object(error.body.as_bytes()), Vec::<String>::new());
        }
    };
    for tool in &parsed.turn.tools {
        let name = &tool.name;
        assert!(!name.is_empty() && name.len() <= 64, "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{name}");
        assert_eq!(parsed.names.hub(parsed.names.client(name)), name.as_str(), "a name does not come back");
    }
    for item in &parsed.turn.items {
        match item {
            Item::Message(message) => assert!(!message.content.is_empty()),
            Item::Call(call) => assert!(!call.id.as_str().is_empty()),
            Item::Output(output) => assert!(!output.id.as_str().is_empty()),
            Item::Reasoning(thoughts) => assert!(!thoughts.text.is_empty() || thoughts.opaque.is_some()),
        }
    }
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
        open.extend(
            message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|call| call["id"].as_str().expect("an id")),
        );
    }
    assert!(open.is_empty(), "a call without an output");
});
