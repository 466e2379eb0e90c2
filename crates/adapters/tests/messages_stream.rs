//! Messages streams to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod streams;

use latimer_adapters::messages::stream::MessagesReader;
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::turn::{EventSink, RecordedEvents, StateOwner};
use proptest::prelude::*;

fn reader() -> Box<MessagesReader> {
    let context = ReaderContext {
        owner: StateOwner::new("lab", "claude-sonnet-4-5"),
        endpoint: "lab".into(),
        model: "claude-sonnet-4-5".into(),
        ..ReaderContext::default()
    };
    Box::new(MessagesReader::new(context, Some(r#"{"messages":[]}"#.into())))
}

fn read(bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    streams::read_frames(reader(), bytes, size, sink);
}

#[test]
fn fixtures_are_read_the_same_whatever_the_cuts() {
    for extension in ["*.sse", "*.json"] {
        insta::glob!("../../../fixtures/anthropic", extension, |path| streams::check_fixture(path, read));
    }
}

#[test]
fn a_paused_answer_is_asked_to_go_on_with_what_was_said() {
    let paused = std::fs::read("../../fixtures/anthropic/pause-turn.sse").expect("readable");
    let rest = std::fs::read("../../fixtures/anthropic/text.sse").expect("readable");
    let mut reader = reader();
    let mut record = RecordedEvents::default();
    let mut frames = SseDecoder::default();
    frames.push(&paused, &mut |frame| reader.push(frame.data, &mut record)).expect("short lines");
    let body = reader.continuation().expect("it was paused");
    assert_eq!(
        String::from_utf8_lossy(&body),
        r#"{"messages":[{"role":"assistant","content":[{"type":"text","text":"Searching"},{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}]}]}"#
    );
    frames.push(&rest, &mut |frame| reader.push(frame.data, &mut record)).expect("short lines");
    assert_eq!(reader.continuation(), None, "it is over");
    reader.finish(BodyEnd::Clean, &mut record);
    assert_eq!(record.lines.last().map(String::as_str), Some("finished stop"));
    assert!(record.lines.contains(&"usage in=50 out=30".to_owned()), "both are counted: {:#?}", record.lines);
}

proptest! {
    #[test]
    fn whatever_arrives_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n"),
            Just("data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\"}}\n\n"),
            Just("data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\"}}\n\n"),
            Just("data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\"}}\n\n"),
            Just("data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"novel\",\"x\":1}}\n\n"),
            Just("data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"a\",\"thinking\":\"b\",\"signature\":\"c\"}}\n\n"),
            Just("data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"partial_json\":\"{\"}}\n\n"),
            Just("data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"),
            Just("data: {\"type\":\"content_block_stop\",\"index\":1}\n\n"),
            Just("data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":3}}\n\n"),
            Just("data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"pause_turn\"}}\n\n"),
            Just("data: {\"type\":\"message_stop\"}\n\n"),
            Just("data: {\"type\":\"error\",\"error\":{}}\n\n"),
            Just("data: {\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"w\"}],\"stop_reason\":\"end_turn\"}\n\n"),
            Just("data: [1,2\n\n"),
            Just("\u{0}\n"),
        ], 0..20),
        size in 1usize..50,
    ) {
        let bytes = pieces.concat().into_bytes();
        prop_assert_eq!(streams::count_ends(|sink| read(&bytes, size, sink)), 1);
    }
}
