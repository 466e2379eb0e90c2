//! Gemini streams to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_adapters::gemini::stream::Reader;
use latimer_adapters::reader::{Context, End, Reader as _};
use latimer_protocol::sse::Frames;
use latimer_protocol::turn::{Owner, Record, Sink, TurnEvent};
use proptest::prelude::*;

fn reader() -> Box<Reader> {
    let context = Context {
        owner: Owner::new("lab", "gemini-3-flash"),
        endpoint: "lab".into(),
        model: "gemini-3-flash".into(),
        ..Context::default()
    };
    Box::new(Reader::new(context, false))
}

/// What the reader makes of a body that arrives in pieces of this size.
fn read(bytes: &[u8], size: usize, sink: &mut dyn Sink) {
    let mut reader = reader();
    if bytes.starts_with(b"{") || bytes.starts_with(b"[") {
        reader.push(bytes, sink);
        return reader.finish(End::Clean, sink);
    }
    let mut frames = Frames::default();
    for piece in bytes.chunks(size.max(1)) {
        frames.push(piece, &mut |frame| reader.push(frame.data, sink)).expect("short lines");
    }
    frames.finish(&mut |frame| reader.push(frame.data, sink));
    reader.finish(End::Clean, sink);
}

fn lines(bytes: &[u8], size: usize) -> Vec<String> {
    let mut record = Record::default();
    read(bytes, size, &mut record);
    record.lines
}

#[test]
fn fixtures_are_read_the_same_whatever_the_cuts() {
    for extension in ["*.sse", "*.json"] {
        insta::glob!("../../../fixtures/gemini", extension, |path| {
            let bytes = std::fs::read(path).expect("readable");
            let whole = lines(&bytes, bytes.len());
            for size in [1, 2, 7, 64] {
                assert_eq!(whole, lines(&bytes, size), "chunks of {size} bytes");
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
}

proptest! {
    #[test]
    fn whatever_arrives_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\n"),
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":\"\",\"thoughtSignature\":\"s\"}]}}]}\n\n"),
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"s\"}]}}]}\n\n"),
            Just("data: {\"response\":{\"candidates\":[{\"finishReason\":\"STOP\"}]}}\n\n"),
            Just("data: {\"candidates\":[{\"finishReason\":\"MALFORMED_FUNCTION_CALL\"}]}\n\n"),
            Just("data: {\"promptFeedback\":{\"blockReason\":\"X\"}}\n\n"),
            Just("data: {\"error\":{\"code\":500}}\n\n"),
            Just("data: [{\"candidates\":[]},7]\n\n"),
            Just("data: [1,2\n\n"),
            Just("\u{0}\n"),
        ], 0..20),
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
                TurnEvent::Text(text) | TurnEvent::Reasoning(text) => assert!(!text.is_empty()),
                _ => {}
            }
        };
        read(&bytes, size, &mut sink);
        prop_assert_eq!(ends, 1);
    }
}
