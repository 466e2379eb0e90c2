//! Command Code answers to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_adapters::command_code::stream::CommandCodeReader;
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::jsonl::LineDecoder;
use latimer_protocol::turn::{EventSink, RecordedEvents, TurnEvent};
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
    insta::glob!("../../../fixtures/command_code", "*.jsonl", |path| {
        let bytes = std::fs::read(path).expect("readable");
        let lines = |size: usize| {
            let mut record = RecordedEvents::default();
            read(&bytes, size, &mut record);
            record.lines
        };
        let whole = lines(bytes.len());
        for size in [1, 2, 7, 64] {
            assert_eq!(whole, lines(size), "chunks of {size} bytes");
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().expect("a folder"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_snapshot_suffix();
        let name = path.file_stem().expect("named").to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, whole.join("\n")));
    });
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
        let mut ends = 0;
        let mut open: Vec<u32> = Vec::new();
        let mut sink = |event: TurnEvent<'_>| {
            assert_eq!(ends, 0, "nothing follows the end");
            match event {
                TurnEvent::Finished(_) => ends += 1,
                TurnEvent::CallStarted { slot, .. } => open.push(slot),
                TurnEvent::CallArguments { slot, .. } => assert!(open.contains(&slot)),
                TurnEvent::CallEnded { slot } => {
                    assert!(open.contains(&slot), "ended once");
                    open.retain(|known| *known != slot);
                }
                _ => {}
            }
        };
        read(&bytes, size, &mut sink);
        prop_assert_eq!(ends, 1);
    }
}
