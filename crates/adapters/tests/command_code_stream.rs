//! Command Code answers to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod streams;

use latimer_adapters::command_code::stream::CommandCodeReader;
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::jsonl::LineDecoder;
use latimer_protocol::turn::{EventSink, RecordedEvents};
use proptest::prelude::*;

fn reader() -> Box<CommandCodeReader> {
    let context = ReaderContext { endpoint: "lab".into(), model: "m".into(), ..ReaderContext::default() };
    Box::new(CommandCodeReader::new(context, Some("the request".into())))
}

/// What the reader makes of a body that arrives in pieces of this size.
fn read(bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    let mut lines = LineDecoder::new(1 << 20);
    let mut reader = reader();
    for piece in bytes.chunks(size.max(1)) {
        lines.push(piece, &mut |line| reader.push(line, sink)).expect("short lines");
    }
    lines.finish(&mut |line| reader.push(line, sink));
    reader.finish(BodyEnd::Clean, sink);
}

#[test]
fn fixtures_are_read_the_same_whatever_the_cuts() {
    insta::glob!("../../../fixtures/command_code", "*.jsonl", |path| streams::check_fixture(path, read));
}

#[test]
fn a_paused_answer_is_asked_for_again() {
    let mut reader = reader();
    let mut record = RecordedEvents::default();
    reader.push(br#"{"type":"text-delta","text":"a"}"#, &mut record);
    reader.push(br#"{"type":"finish","finishReason":"pause_turn","usage":{"inputTokens":3}}"#, &mut record);
    assert_eq!(reader.continuation().as_deref(), Some(&b"the request"[..]));
    reader.push(br#"{"type":"text-delta","text":"b"}"#, &mut record);
    reader.push(br#"{"type":"finish-step","usage":{"inputTokens":4}}"#, &mut record);
    reader.push(br#"{"type":"finish","finishReason":"stop"}"#, &mut record);
    assert_eq!(reader.continuation(), None);
    reader.finish(BodyEnd::Clean, &mut record);
    assert_eq!(
        record.lines,
        ["started", "text \"a\"", "usage in=3", "text \"b\"", "usage in=7", "finished stop"]
    );
}

proptest! {
    #[test]
    fn whatever_arrives_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("{\"type\":\"text-delta\",\"text\":\"a\"}\n"),
            Just("{\"type\":\"tool-input-start\",\"id\":\"c\",\"toolName\":\"f\"}\n"),
            Just("{\"type\":\"tool-input-delta\",\"id\":\"c\",\"delta\":\"{}\"}\n"),
            Just("{\"type\":\"tool-call\",\"toolCallId\":\"c\",\"toolName\":\"f\",\"input\":{}}\n"),
            Just("{\"type\":\"tool-call\",\"toolCallId\":\"c\",\"toolName\":\"f\",\"input\":{\"a\":1}}\n"),
            Just("{\"type\":\"finish\",\"finishReason\":\"pause_turn\"}\n"),
            Just("{\"type\":\"finish\",\"finishReason\":\"tool-calls\"}\n"),
            Just("{\"type\":\"error\"}\n"),
            Just("{\"type\":7}[{\n"),
            Just("\u{0}\n"),
        ], 0..16),
        size in 1usize..50,
    ) {
        let bytes = pieces.concat().into_bytes();
        prop_assert_eq!(streams::count_ends(|sink| read(&bytes, size, sink)), 1);
    }
}
