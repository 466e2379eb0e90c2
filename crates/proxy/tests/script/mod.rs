//! Turn events from scripts, one a line, in the words of `TurnEvent`'s `Display`.

use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::turn::{FinishReason, Opaque, Owner, Sink, TurnEvent, Usage};
use proptest::prelude::*;

/// Plays one line.
pub(crate) fn play(sink: &mut dyn Sink, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || {
        let quoted =
            rest.split_once(' ').map_or(rest, |(_, text)| if rest.starts_with('"') { rest } else { text });
        serde_json::from_str::<String>(quoted).expect(line)
    };
    let slot = || rest.split(' ').next().and_then(|slot| slot.parse().ok()).expect(line);
    match word {
        "started" => sink.event(TurnEvent::Started),
        "text" => sink.event(TurnEvent::Text(&text())),
        "refusal" => sink.event(TurnEvent::Refusal(&text())),
        "reasoning" => sink.event(TurnEvent::Reasoning(&text())),
        "state" => {
            sink.event(TurnEvent::ReasoningState(Opaque { owner: Owner::new("lab", "m"), data: text() }));
        }
        "call" => {
            let words: Vec<&str> = rest.split(' ').collect();
            let id = Some(words[1]).filter(|id| *id != "-");
            sink.event(TurnEvent::CallStarted { slot: slot(), id, name: words[2] });
        }
        "args" => sink.event(TurnEvent::CallArguments { slot: slot(), json: &text() }),
        "end" => sink.event(TurnEvent::CallEnded { slot: slot() }),
        "usage" => sink.event(TurnEvent::Usage(Usage {
            input: Some(12),
            output: Some(7),
            cached: Some(3),
            ..Usage::default()
        })),
        "finished" => sink.event(TurnEvent::Finished(match rest {
            "stop" => FinishReason::Stop,
            "tool_calls" => FinishReason::ToolCalls,
            "length" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Failed(Failure::new(Kind::Interrupted, "lab: cut")),
        })),
        other => panic!("unknown word {other}"),
    }
}

/// A whole answer as lines: events in any order, `alive` among them, except that a slot is started once and before its pieces, as readers do it.
pub(crate) fn any_answer(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let finish = prop::sample::select(vec!["stop", "tool_calls", "length", "content_filter", "failed"]);
    (prop::collection::vec(any_event(names), 0..25), finish).prop_map(|(events, finish)| {
        let mut started = std::collections::HashSet::new();
        let mut lines: Vec<String> = Vec::new();
        for line in events {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some("call"), Some(slot)) if !started.insert(slot.to_owned()) => {}
                (Some("args" | "end"), Some(slot)) if !started.contains(slot) => {}
                _ => lines.push(line),
            }
        }
        lines.push(format!("finished {finish}"));
        lines
    })
}

fn any_event(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let name = prop::sample::select(names);
    let piece = prop::sample::select(vec![
        "{\"input\":\"a\\n\\ud83d",
        "\\ude00\"}",
        "{}",
        "{\"cmd\":",
        "\"ls\"}",
        "*** Begin",
        "\"x\"",
        " ",
    ]);
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    prop_oneof![
        Just("started".to_owned()),
        Just("usage".to_owned()),
        Just("alive".to_owned()),
        "[a-c\"\\\\\n😀]{1,3}".prop_map(move |text| format!("text {}", quoted(text))),
        "[a-c]{1,3}".prop_map(move |text| format!("reasoning {}", quoted(text))),
        Just("refusal \"no\"".to_owned()),
        Just("state \"s\"".to_owned()),
        (0u32..3, name).prop_map(|(slot, name)| format!("call {slot} c{slot} {name}")),
        (0u32..3, piece).prop_map(move |(slot, piece)| format!("args {slot} {}", quoted(piece.to_owned()))),
        (0u32..3).prop_map(|slot| format!("end {slot}")),
    ]
}
