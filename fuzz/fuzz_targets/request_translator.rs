//! Whatever a client sends is refused with words, or becomes a request with every call answered once.
#![no_main]

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle};
use latimer_adapters::chat::request::write;
use latimer_protocol::turn::{StateOwner, SealKey};
use latimer_proxy::inbound::responses::request::read;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let parsed = match read(body, &SealKey::default()) {
        Ok(parsed) => parsed,
        Err(error) => return assert!(!error.message.is_empty()),
    };
    let quirks = Quirks {
        echo: if first & 1 == 0 { Echo::Details } else { Echo::Always },
        reasoning: ReasoningStyle::OpenRouter,
        single_system: first & 2 == 0,
        alternate_roles: first & 4 == 0,
        nine_character_call_ids: first & 8 == 0,
        tool_images: first & 16 == 0,
        ..Quirks::DEFAULT
    };
    let written = write(&parsed.turn, &quirks, &StateOwner::new("o", "m"));
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
            let arguments = call["function"]["arguments"].as_str().expect("text");
            assert!(serde_json::from_str::<Value>(arguments).expect("JSON").is_object());
        }
    }
    assert!(open.is_empty(), "a call without an output");
});
