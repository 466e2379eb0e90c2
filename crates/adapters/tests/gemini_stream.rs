//! Gemini streams to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod streams;

use latimer_adapters::gemini::stream::{ArgumentRule, GeminiReader};
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::turn::{EventSink, FinishReason, RecordedEvents, StateOwner, TurnEvent};
use proptest::prelude::*;

fn reader() -> Box<GeminiReader> {
    let context = ReaderContext {
        owner: StateOwner::new("lab", "gemini-3-flash"),
        endpoint: "lab".into(),
        model: "gemini-3-flash".into(),
        ..ReaderContext::default()
    };
    Box::new(GeminiReader::new(context, ArgumentRule::AsWritten))
}

fn read(bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    streams::read_frames(reader(), bytes, size, sink);
}

#[test]
fn fixtures_are_read_the_same_whatever_the_cuts() {
    for extension in ["*.sse", "*.json"] {
        insta::glob!("../../../fixtures/gemini", extension, |path| streams::check_fixture(path, read));
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
        let mut reader = Box::new(GeminiReader::new(context, ArgumentRule::WithoutPlaceholder));
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
        prop_assert_eq!(
            streams::event_lines(read, &bytes, size),
            streams::event_lines(read, &bytes, bytes.len())
        );
    }

    #[test]
    fn any_bytes_end_once(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut rules = Rules::default();
        read(&bytes, 16, &mut rules);
        prop_assert_eq!((rules.finished, rules.faults), (1, Vec::<String>::new()));
    }
}
