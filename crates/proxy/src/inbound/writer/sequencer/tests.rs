//! Overlapping events through the sequencer: order, broken calls, and that nothing is lost.

use super::*;
use proptest::prelude::*;

const RULE: CallIdRule = CallIdRule { prefix: "c", max_bytes: 8, visible_ascii: true };

/// What a client would see, one line for each thing, and what must hold while it is written.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    /// The id of the call that is open, and its arguments.
    open: Option<(String, String)>,
    broken: bool,
}

impl Seen {
    fn item(&mut self, kind: &str, text: &str) {
        assert!(self.open.is_none() && !self.broken, "{kind} {text} behind {:?}", self.lines);
        // Pieces of one kind are one item.
        match self.lines.last_mut().filter(|last| last.starts_with(kind)) {
            Some(last) => last.push_str(text),
            None => self.lines.push(format!("{kind} {text}")),
        }
    }

    fn close(&mut self, call: &PendingCall, how: &str) {
        let (id, arguments) = self.open.take().expect("a call is open");
        assert_eq!((id.as_str(), arguments.as_str()), (call.id.as_str(), call.arguments()));
        self.lines.push(format!("{how} {} {arguments}", call.name));
    }
}

impl ItemSink for Seen {
    fn text(&mut self, text: &str) {
        self.item("text", text);
    }

    fn reasoning(&mut self, text: &str) {
        self.item("reasoning", text);
    }

    fn reasoning_state(&mut self, opaque: OpaqueState) {
        self.item("state", &opaque.data);
    }

    fn call_started(&mut self, call: &PendingCall) {
        assert!(self.open.is_none() && !self.broken);
        self.open = Some((call.id.clone(), String::new()));
    }

    fn call_arguments(&mut self, json: &str) {
        assert!(!json.is_empty());
        self.open.as_mut().expect("a call is open").1.push_str(json);
    }

    fn call_ended(&mut self, call: &PendingCall) -> bool {
        if call.is_complete() {
            self.close(call, "call");
        }
        call.is_complete()
    }

    fn call_broken(&mut self, call: &PendingCall) {
        self.close(call, "broken");
        self.broken = true;
    }
}

fn start(slot: u32, name: &str) -> TurnEvent<'_> {
    TurnEvent::CallStarted { slot, id: None, name }
}

fn piece(slot: u32, json: &str) -> TurnEvent<'_> {
    TurnEvent::CallArguments { slot, json }
}

fn end(slot: u32) -> TurnEvent<'static> {
    TurnEvent::CallEnded { slot }
}

fn seen(delivery: CallDelivery, events: &[TurnEvent<'_>], cut: bool) -> Vec<String> {
    let mut sequencer = Sequencer::new(delivery, RULE, &mut WriterSeed::default());
    let mut seen = Seen::default();
    for event in events {
        sequencer.event(event.clone(), &mut seen);
    }
    sequencer.finish(cut, &mut seen);
    assert!(seen.open.is_none());
    assert_eq!(sequencer.broken_call().is_some(), seen.broken);
    seen.lines
}

#[test]
fn calls_that_overlap_follow_each_other() {
    let events =
        [start(0, "a"), start(1, "b"), piece(1, "{\"b\":"), piece(0, "{}"), piece(1, "1}"), end(1), end(0)];
    assert_eq!(seen(CallDelivery::Streamed, &events, false), ["call a {}", "call b {\"b\":1}"]);
    assert_eq!(seen(CallDelivery::Complete, &events, false), ["call a {}", "call b {\"b\":1}"]);
}

#[test]
fn text_between_the_pieces_of_a_call_follows_behind_it() {
    let events = [
        start(0, "a"),
        piece(0, "{"),
        TurnEvent::Text("late"),
        TurnEvent::Reasoning("lost"),
        piece(0, "}"),
        end(0),
    ];
    assert_eq!(seen(CallDelivery::Streamed, &events, false), ["call a {}", "text late"]);
    assert_eq!(seen(CallDelivery::Complete, &events, false), ["text late", "reasoning lost", "call a {}"]);
}

#[test]
fn a_complete_call_ends_when_something_follows() {
    for next in [TurnEvent::Text("x"), TurnEvent::Refusal("x")] {
        let events = [start(0, "a"), piece(0, "{}"), next, TurnEvent::Reasoning("y")];
        assert_eq!(seen(CallDelivery::Streamed, &events, false), ["call a {}", "text x", "reasoning y"]);
    }
    let events = [start(0, "a"), piece(0, "{}"), start(1, "b"), piece(1, "{}")];
    assert_eq!(seen(CallDelivery::Streamed, &events, true), ["call a {}", "call b {}"]);
}

#[test]
fn a_call_that_needs_no_arguments_gets_an_empty_object_unless_it_was_cut() {
    for delivery in [CallDelivery::Streamed, CallDelivery::Complete] {
        assert_eq!(seen(delivery, &[start(0, "a")], false), ["call a {}"]);
        assert_eq!(seen(delivery, &[start(0, "a"), end(0)], true), ["call a {}"]);
        assert_eq!(seen(delivery, &[start(0, "a"), piece(0, " "), end(0)], false), ["call a  {}"]);
    }
    assert_eq!(seen(CallDelivery::Streamed, &[start(0, "a")], true), ["broken a "]);
    assert_eq!(seen(CallDelivery::Complete, &[start(0, "a")], true), [] as [&str; 0]);
}

#[test]
fn a_broken_call_is_the_last_item() {
    let events =
        [start(0, "a"), start(1, "b"), piece(1, "{}"), end(1), piece(0, "[1]"), TurnEvent::Text("x"), end(0)];
    assert_eq!(seen(CallDelivery::Streamed, &events, false), ["broken a [1]"]);
    assert_eq!(seen(CallDelivery::Complete, &events, false), ["text x", "broken a [1]"]);
}

#[test]
fn an_answer_that_breaks_off_breaks_its_open_call() {
    let mut sequencer = Sequencer::new(CallDelivery::Streamed, RULE, &mut WriterSeed::default());
    let mut seen = Seen::default();
    for event in [start(0, "a"), piece(0, "{}"), start(1, "b"), piece(1, "{")] {
        sequencer.event(event, &mut seen);
    }
    sequencer.abandon(&mut seen);
    assert_eq!(seen.lines, ["call a {}", "broken b {"]);
}

#[derive(Debug, Clone)]
enum Step {
    Text,
    Start,
    Piece(u32),
    End(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Text),
        Just(Step::Start),
        (0u32..4).prop_map(Step::Piece),
        (0u32..4).prop_map(Step::End)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// `Seen` checks that nothing overlaps; here every call and every letter must arrive.
    #[test]
    fn nothing_overlaps_and_nothing_is_lost(steps in proptest::collection::vec(any_step(), 0..30), whole in any::<bool>()) {
        let delivery = if whole { CallDelivery::Complete } else { CallDelivery::Streamed };
        let mut sequencer = Sequencer::new(delivery, RULE, &mut WriterSeed::default());
        let mut seen = Seen::default();
        // The pieces of each call's arguments that were not sent yet.
        let mut calls: Vec<Vec<&str>> = Vec::new();
        let mut written = String::new();
        let rest = |slot: usize, calls: &mut Vec<Vec<&str>>| calls.get_mut(slot).map(std::mem::take).unwrap_or_default().concat();
        for (step, letter) in steps.iter().zip(('a'..='z').cycle()) {
            let text = letter.to_string();
            match step {
                Step::Text => {
                    written.push(letter);
                    sequencer.event(TurnEvent::Text(&text), &mut seen);
                }
                Step::Start => {
                    let slot = u32::try_from(calls.len()).expect("few");
                    calls.push(vec!["{\"x\"", ":", "1}"]);
                    sequencer.event(start(slot, &slot.to_string()), &mut seen);
                }
                Step::Piece(slot) => {
                    if let Some(pieces) = calls.get_mut(*slot as usize).filter(|pieces| !pieces.is_empty()) {
                        let json = pieces.remove(0);
                        sequencer.event(piece(*slot, json), &mut seen);
                    }
                }
                Step::End(slot) => {
                    let json = rest(*slot as usize, &mut calls);
                    if !json.is_empty() {
                        sequencer.event(piece(*slot, &json), &mut seen);
                        sequencer.event(end(*slot), &mut seen);
                    }
                }
            }
        }
        for slot in 0..calls.len() {
            let json = rest(slot, &mut calls);
            sequencer.event(piece(u32::try_from(slot).expect("few"), &json), &mut seen);
        }
        sequencer.finish(false, &mut seen);
        let read: String = seen.lines.iter().filter_map(|line| line.strip_prefix("text ")).collect();
        prop_assert_eq!(read, written);
        let calls: Vec<&String> = seen.lines.iter().filter(|line| !line.starts_with("text ")).collect();
        let want: Vec<String> = (0..calls.len()).map(|slot| format!("call {slot} {{\"x\":1}}")).collect();
        prop_assert_eq!(calls, want.iter().collect::<Vec<_>>());
    }
}
