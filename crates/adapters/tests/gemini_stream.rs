//! Gemini streams to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_adapters::gemini::stream::GeminiReader;
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::turn::{EventSink, FinishReason, Owner, RecordedEvents, TurnEvent};
use proptest::prelude::*;

fn reader() -> Box<GeminiReader> {
    let context = ReaderContext {
        owner: Owner::new("lab", "gemini-3-flash"),
        endpoint: "lab".into(),
        model: "gemini-3-flash".into(),
        ..ReaderContext::default()
    };
    Box::new(GeminiReader::new(context, false))
}

/// What the reader makes of a body that arrives in pieces of this size.
fn read(bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    let mut reader = reader();
    if bytes.starts_with(b"{") || bytes.starts_with(b"[") {
        reader.push(bytes, sink);
        return reader.finish(BodyEnd::Clean, sink);
    }
    let mut frames = SseDecoder::default();
    for piece in bytes.chunks(size.max(1)) {
        frames.push(piece, &mut |frame| reader.push(frame.data, sink)).expect("short lines");
    }
    frames.finish(&mut |frame| reader.push(frame.data, sink));
    reader.finish(BodyEnd::Clean, sink);
}

fn lines(bytes: &[u8], size: usize) -> Vec<String> {
    let mut record = RecordedEvents::default();
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

#[test]
fn the_placeholder_of_a_claude_is_taken_out_again() {
    let answer = |args: &str| {
        let body = format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"id":"toolu_1","name":"f","args":{args}}}}}]}},"finishReason":"STOP"}}]}}"#
        );
        let mut record = RecordedEvents::default();
        let context = ReaderContext { endpoint: "lab".into(), ..ReaderContext::default() };
        let mut reader = Box::new(GeminiReader::new(context, true));
        reader.push(body.as_bytes(), &mut record);
        reader.finish(BodyEnd::Clean, &mut record);
        assert_eq!(record.lines[1], "call 0 toolu_1 f", "the id stays");
        record.lines.swap_remove(2)
    };
    for (args, want) in [
        (r#"{"_":""}"#, "{}"),
        (r#"{"a":1,"_":"x"}"#, r#"{"a":1}"#),
        (r#"{"a":"_"}"#, r#"{"a":"_"}"#),
        ("[\"_\"]", "[\"_\"]"),
    ] {
        assert_eq!(answer(args), format!("args 0 {want:?}"), "{args}");
    }
}

/// The rules every answer obeys, whatever the bytes.
#[derive(Default)]
struct Rules {
    begun: Vec<u32>,
    ended: Vec<u32>,
    finished: usize,
    faults: Vec<String>,
}

impl EventSink for Rules {
    fn event(&mut self, event: TurnEvent<'_>) {
        let mut fault =
            |is_one: bool, what: &str| self.faults.extend(is_one.then(|| format!("{event}: {what}")));
        fault(self.finished > 0, "follows the end");
        let is_open = |slot| self.begun.contains(&slot) && !self.ended.contains(&slot);
        match event {
            TurnEvent::Text(text) | TurnEvent::Reasoning(text) => fault(text.is_empty(), "an empty piece"),
            TurnEvent::CallStarted { slot, name, .. } => {
                fault(self.begun.contains(&slot) || name.is_empty(), "begins twice, or without a name");
                self.begun.push(slot);
            }
            TurnEvent::CallArguments { slot, json } => {
                fault(!is_open(slot) || json.is_empty(), "out of place");
            }
            TurnEvent::CallEnded { slot } => {
                fault(!is_open(slot), "ends out of place");
                self.ended.push(slot);
            }
            // The state of a call belongs to the one that follows: no other may be open.
            TurnEvent::ReasoningState(_) => fault(self.begun.len() != self.ended.len(), "a call is open"),
            TurnEvent::Finished(ref reason) => {
                let open = self.begun.len() - self.ended.len();
                let broke = matches!(reason, FinishReason::Failed(_));
                fault(open > usize::from(broke), "more than the last call of a broken answer is open");
                self.finished += 1;
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_arrives_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\n"),
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":\"\",\"thoughtSignature\":\"s\"}]}}]}\n\n"),
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"s\"}]}}]}\n\n"),
            Just("data: {\"response\":{\"candidates\":[{\"finishReason\":\"STOP\"}]}}\n\n"),
            Just("data: {\"candidates\":[{\"finishReason\":\"MALFORMED_FUNCTION_CALL\"}]}\n\n"),
            Just("data: {\"promptFeedback\":{\"blockReason\":\"X\"}}\n\n"),
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\"}},{\"functionCall\":{\"name\":\"g\",\"args\":[]}}]}}]}\n\n"),
            Just("data: {\"candidates\":[{\"content\":{\"parts\":[{\"inlineData\":{},\"thoughtSignature\":\"s\"}]}}]}\n\n"),
            Just("data: {\"error\":{\"code\":500}}\n\n"),
            Just("data: [{\"candidates\":[]},7]\n\n"),
            Just("data: [1,2\n\n"),
            Just("\u{0}\n"),
        ], 0..20),
        size in 1usize..50,
    ) {
        let bytes = pieces.concat().into_bytes();
        let mut rules = Rules::default();
        read(&bytes, size, &mut rules);
        prop_assert_eq!((rules.finished, rules.faults), (1, Vec::<String>::new()));
        prop_assert_eq!(lines(&bytes, size), lines(&bytes, bytes.len()));
    }

    #[test]
    fn any_bytes_end_once(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut rules = Rules::default();
        read(&bytes, 16, &mut rules);
        prop_assert_eq!((rules.finished, rules.faults), (1, Vec::<String>::new()));
    }
}
