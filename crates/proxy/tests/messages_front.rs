//! The Messages protocol in front: scripts of turn events give legal streams, and requests are read as their snapshots say.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod messages_support;

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::messages::legality;
use latimer_proxy::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use messages_support::{Events as _, beside, play, shown_stream};
use proptest::prelude::*;
use serde_json::Value;

fn writer(stream: bool) -> MessagesWriter {
    let seed = WriterSeed { random: [7; 16], call_ids: ["used".to_owned()].into(), ..WriterSeed::default() };
    let (model, stops) = ("glm-5".to_owned(), vec!["END".to_owned()]);
    MessagesWriter::new(seed, MessagesWriterOptions { model, stream, input_tokens: 50, stops })
}

#[test]
fn scripts_give_legal_streams() {
    insta::glob!("../../../fixtures/messages_front/streams", "*.events", |path| {
        let script = std::fs::read_to_string(path).expect("readable");
        let (mut stream, mut object) = (writer(true), writer(false));
        for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            play(&mut stream, line);
            play(&mut object, line);
        }
        let bytes = stream.take();
        assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{}", path.display());
        let events = shown_stream(&bytes);
        assert_eq!(bytes, object.take(), "the object is made of the same events");
        let object: Value = serde_json::from_slice(&object.take_object()).expect("JSON");
        assert_eq!(collected(&bytes), object, "{}", path.display());
        let object = serde_json::to_string_pretty(&object).expect("JSON");
        beside(path, ".events", "", &format!("{events}\n\n{object}"));
    });
}

/// The message as a client puts it together from events: what the object has to be equal to. Blocks without an end are lost.
fn collected(bytes: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut block = Value::Null;
    let mut input = String::new();
    for event in bytes.events() {
        match event["type"].as_str().expect("a type") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                block = event["content_block"].clone();
                input.clear();
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                for field in ["text", "thinking", "signature"] {
                    if let Some(piece) = delta[field].as_str() {
                        block[field] =
                            Value::from(format!("{}{piece}", block[field].as_str().expect("text")));
                    }
                }
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                if block["type"] == "tool_use" {
                    block["input"] = serde_json::from_str(&input).expect("an object");
                }
                message["content"].as_array_mut().expect("a list").push(block.take());
            }
            "message_delta" => {
                for field in ["stop_reason", "stop_sequence"] {
                    message[field] = event["delta"][field].clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "error" => return event,
            _ => {}
        }
    }
    message
}

/// The checker knows every answer that the client was seen to lose something of; it is stricter than the client, not laxer.
#[test]
fn answers_that_a_client_was_seen_to_lose_are_illegal() {
    const SOUND: [&str; 11] = [
        "errmid",
        "errfirst",
        "nothing",
        "refusal",
        "maxtok",
        "ctxfull",
        "toolunknown",
        "toolwrongargs",
        "toolstrnum",
        "toollower",
        "callid",
    ];
    let path =
        format!("{}/../../fixtures/messages_front/answers/claude-code.json", env!("CARGO_MANIFEST_DIR"));
    let answers: Vec<Value> = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    for answer in answers {
        let name = answer["name"].as_str().expect("a name");
        let faults = legality::check(answer["body"].as_str().expect("a body").as_bytes());
        assert_eq!(faults.is_empty(), SOUND.contains(&name), "{name}: {} {faults:?}", answer["outcome"]);
    }
}

#[test]
fn a_stopped_turn_ends_legally_wherever_it_is() {
    let script = [
        "started",
        "reasoning \"hm\"",
        "text \"a E\"",
        "call 0 c1 Bash",
        "args 0 \"{\\\"cmd\\\"\"",
        "call 1 c2 Read",
        "text \"late\"",
    ];
    for length in 0..=script.len() {
        for stream in [true, false] {
            let mut writer = writer(stream);
            script[..length].iter().for_each(|line| play(&mut writer, line));
            writer.fail(&Failure::new(FailureKind::ShuttingDown, "stopped"));
            writer.fail(&Failure::new(FailureKind::Internal, "twice"));
            writer.keep_alive();
            let bytes = writer.take();
            assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{length} {}", shown_stream(&bytes));
            assert_eq!(writer.failure().map(|failure| failure.kind), Some(FailureKind::ShuttingDown));
        }
    }
}

fn any_event() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("Bash"), Just("Read"), Just("mcp__lab__add")];
    let id = prop_oneof![Just("-"), Just("used"), Just("c"), Just("d|e.f"), Just("functions.Bash:0")];
    let piece = prop_oneof![
        Just("{}"),
        Just("{\"cmd\":"),
        Just("\"ls\"}"),
        Just("\"x\""),
        Just(" "),
        Just("{\"a\":\"é\\n"),
        Just("\"}"),
        Just("{\"half\":\"\\ud83d\"}")
    ];
    prop_oneof![
        Just("started".to_owned()),
        Just("usage".to_owned()),
        Just("alive".to_owned()),
        "(E|N|D|EN|[a-c\"\\\\\n😀]){1,3}".prop_map(|text| format!("text {}", Value::from(text))),
        "[a-c]{1,3}".prop_map(|text| format!("reasoning {}", Value::from(text))),
        Just("refusal \"no\"".to_owned()),
        Just("state \"s\"".to_owned()),
        (0u32..4, id, name).prop_map(|(slot, id, name)| format!("call {slot} {id} {name}")),
        (0u32..4, piece).prop_map(|(slot, piece)| format!("args {slot} {}", Value::from(piece))),
        (0u32..4).prop_map(|slot| format!("end {slot}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_gives_a_legal_stream(
        events in proptest::collection::vec(any_event(), 0..25),
        finish in prop_oneof![Just("stop"), Just("tool_calls"), Just("length"), Just("content_filter"), Just("failed")],
    ) {
        let (mut stream, mut object) = (writer(true), writer(false));
        let mut started = std::collections::HashSet::new();
        let mut said = String::new();
        for line in events.iter().map(String::as_str).chain([format!("finished {finish}").as_str()]) {
            // A reader starts each slot once and before its pieces.
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some("call"), Some(slot)) if !started.insert(slot.to_owned()) => continue,
                (Some("args" | "end"), Some(slot)) if !started.contains(slot) => continue,
                (Some("text" | "refusal"), _) => {
                    said.push_str(&serde_json::from_str::<String>(line.split_once(' ').expect("words").1).expect("text"));
                }
                _ => {}
            }
            play(&mut stream, line);
            play(&mut object, line);
        }
        prop_assert!(stream.is_finished());
        let bytes = stream.take();
        prop_assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{}", shown_stream(&bytes));
        prop_assert_eq!(&object.take(), &bytes);
        let object: Value = serde_json::from_slice(&object.take_object()).expect("JSON");
        prop_assert_eq!(collected(&bytes), object.clone());
        let blocks = object["content"].as_array().into_iter().flatten();
        let texts: Vec<&str> = blocks.filter_map(|block| block["text"].as_str()).collect();
        // Words are never invented, repeated or reordered, and nothing of a stop word is said.
        prop_assert!(said.starts_with(&texts.concat()), "{:?} of {:?}", texts, said);
        prop_assert!(!texts.iter().any(|text| text.contains("END")), "{:?}", texts);
    }
}
