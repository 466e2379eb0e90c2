//! Chat streams to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod streams;

use latimer_adapters::chat::stream::ChatReader;
use latimer_adapters::reader::ReaderContext;
use latimer_protocol::turn::{EventSink, StateOwner, TurnEvent};
use proptest::prelude::*;

fn options() -> ReaderContext {
    ReaderContext {
        owner: StateOwner::new("lab", "m"),
        endpoint: "lab".into(),
        model: "m".into(),
        ..ReaderContext::default()
    }
}

fn read(bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    streams::read_frames(Box::new(ChatReader::new(options())), bytes, size, sink);
}

#[test]
fn fixtures_are_read_the_same_whatever_the_cuts() {
    insta::glob!("../../../fixtures/chat", "*.sse", |path| streams::check_fixture(path, read));
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
        if self.finished > 0 {
            self.faults.push(format!("{event} follows the end"));
        }
        match event {
            TurnEvent::Text("") | TurnEvent::Reasoning("") | TurnEvent::Refusal("") => {
                self.faults.push("an empty piece".into());
            }
            TurnEvent::CallStarted { slot, name, .. } => {
                if self.begun.contains(&slot) || name.is_empty() {
                    self.faults.push(format!("slot {slot} begins twice, or without a name"));
                }
                self.begun.push(slot);
            }
            TurnEvent::CallArguments { slot, json } => {
                let in_place = self.begun.contains(&slot) && !self.ended.contains(&slot) && !json.is_empty();
                self.faults.extend((!in_place).then(|| format!("a piece out of place in slot {slot}")));
            }
            TurnEvent::CallEnded { slot } => {
                if !self.begun.contains(&slot) || self.ended.contains(&slot) {
                    self.faults.push(format!("slot {slot} ends out of place"));
                }
                self.ended.push(slot);
            }
            TurnEvent::Finished(_) => self.finished += 1,
            _ => {}
        }
    }
}

fn any_frame() -> impl Strategy<Value = String> {
    let json = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("\"x\"".to_owned()),
        Just("7".to_owned()),
        Just("[[]]".to_owned()),
        Just("{\"content\":\"<think>a\"}".to_owned()),
        Just("{\"content\":\"</think>b\"}".to_owned()),
        Just(
            "{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}"
                .to_owned()
        ),
        Just("{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"arguments\":\"```\"}}]}".to_owned()),
        Just("{\"tool_calls\":[{\"function\":{\"name\":\"g\",\"arguments\":{}}}]}".to_owned()),
        Just("{\"reasoning_details\":[{\"index\":0,\"text\":\"a\"},7]}".to_owned()),
    ];
    let finish = prop_oneof![
        Just("null"),
        Just("\"stop\""),
        Just("\"length\""),
        Just("\"error\""),
        Just("\"new\""),
        Just("7")
    ];
    prop_oneof![
        8 => (json, finish).prop_map(|(delta, finish)| format!("data: {{\"choices\":[{{\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n")),
        1 => Just("data: [DONE]\n\n".to_owned()),
        1 => Just("data: {\"error\":{\"code\":429}}\n\n".to_owned()),
        1 => "[\\PC\r\n]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_obeys_the_rules(frames in proptest::collection::vec(any_frame(), 0..12), size in 1usize..40) {
        let bytes = frames.concat().into_bytes();
        let mut rules = Rules::default();
        read(&bytes, size, &mut rules);
        prop_assert_eq!((rules.finished, rules.faults), (1, Vec::<String>::new()));
        prop_assert_eq!(
            streams::event_lines(read, &bytes, size),
            streams::event_lines(read, &bytes, bytes.len())
        );
    }

    #[test]
    fn any_bytes_end_once(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut rules = Rules::default();
        read(&bytes, 16, &mut rules);
        prop_assert_eq!((rules.finished, rules.faults), (1, Vec::<String>::new()));
    }
}
