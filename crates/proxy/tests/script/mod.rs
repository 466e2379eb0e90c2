//! Answers as scripts: turn events, one a line.

mod play;

use proptest::prelude::*;

pub(crate) use self::play::play;

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
