//! Turn events to Responses streams: fixtures in, snapshots out, and every stream is legal.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::responses::legality;
use latimer_protocol::turn::{FinishReason, Opaque, Owner, Seal, Sink as _, TurnEvent, Usage};
use latimer_proxy::inbound::responses::request;
use latimer_proxy::inbound::responses::stream::{Begin, Writer};
use proptest::prelude::*;

const REQUEST: &str = r#"{"model":"glm-5","stream":true,"input":"go","tools":[
    {"type":"function","name":"exec_command"},{"type":"custom","name":"apply_patch"},{"type":"tool_search"},{"type":"local_shell"},
    {"type":"namespace","name":"mcp__lab","tools":[{"type":"function","name":"add"}]}]}"#;

fn writer(codex: bool) -> Writer {
    let parsed = request::read(REQUEST.as_bytes(), &Seal::default()).expect("a request");
    let begin = Begin {
        seed: [7; 16],
        created_at: 1_700_000_000,
        codex,
        stream: true,
        input_tokens: 50,
        ..Begin::default()
    };
    Writer::new(begin, &parsed.echo, parsed.tools)
}

/// Reads one line of a script: the words of `TurnEvent`'s `Display`.
fn play(writer: &mut Writer, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || {
        serde_json::from_str::<String>(
            rest.split_once(' ').map_or(rest, |(_, text)| if rest.starts_with('"') { rest } else { text }),
        )
        .expect(line)
    };
    let slot = || rest.split(' ').next().and_then(|slot| slot.parse().ok()).expect(line);
    match word {
        "started" => writer.event(TurnEvent::Started),
        "text" => writer.event(TurnEvent::Text(&text())),
        "refusal" => writer.event(TurnEvent::Refusal(&text())),
        "reasoning" => writer.event(TurnEvent::Reasoning(&text())),
        "state" => {
            writer.event(TurnEvent::ReasoningState(Opaque { owner: Owner::new("lab", "m"), data: text() }));
        }
        "call" => {
            let words: Vec<&str> = rest.split(' ').collect();
            let id = Some(words[1]).filter(|id| *id != "-");
            writer.event(TurnEvent::CallStarted { slot: slot(), id, name: words[2] });
        }
        "args" => writer.event(TurnEvent::CallArguments { slot: slot(), json: &text() }),
        "end" => writer.event(TurnEvent::CallEnded { slot: slot() }),
        "usage" => writer.event(TurnEvent::Usage(Usage {
            input: Some(12),
            output: Some(7),
            cached: Some(3),
            ..Usage::default()
        })),
        "alive" => writer.keep_alive(),
        "finished" => writer.event(TurnEvent::Finished(match rest {
            "stop" => FinishReason::Stop,
            "tool_calls" => FinishReason::ToolCalls,
            "length" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Failed(Failure::new(Kind::Interrupted, "lab: cut")),
        })),
        other => panic!("unknown word {other}"),
    }
}

/// The stream with the bulky snapshots shortened, one event a line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| {
        let Ok(mut value) = serde_json::from_str::<serde_json::Value>(data) else { return data.to_owned() };
        let kind = value["type"].as_str().unwrap_or_default().trim_start_matches("response.").to_owned();
        if let Some(response) = value.get_mut("response").filter(|response| response.is_object()) {
            let short: serde_json::Map<String, serde_json::Value> =
                ["status", "error", "incomplete_details", "usage"]
                    .iter()
                    .filter_map(|key| {
                        Some(((*key).to_owned(), response.get(key).filter(|value| !value.is_null())?.clone()))
                    })
                    .collect();
            *response = short.into();
        }
        let object = value.as_object_mut().expect("an object");
        for key in ["type", "sequence_number", "item_id", "content_index", "summary_index", "logprobs"] {
            object.shift_remove(key);
        }
        format!("{kind} {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn scripts_give_legal_streams() {
    insta::glob!("../../../fixtures/responses", "*.events", |path| {
        let script = std::fs::read_to_string(path).expect("readable");
        for codex in [true, false] {
            let mut writer = writer(codex);
            script
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .for_each(|line| play(&mut writer, line));
            let bytes = writer.take();
            assert_eq!(
                legality::check(&bytes),
                Vec::<String>::new(),
                "{} codex={codex}\n{}",
                path.display(),
                shown(&bytes)
            );
            let name = format!(
                "{}.{}",
                path.file_stem().expect("named").to_string_lossy(),
                if codex { "codex" } else { "other" }
            );
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(path.parent().expect("a folder"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.remove_snapshot_suffix();
            settings.bind(|| insta::assert_snapshot!(name, shown(&bytes)));
        }
    });
}

#[test]
fn a_stopped_turn_ends_legally_wherever_it_is() {
    let script = [
        "started",
        "reasoning \"hm\"",
        "text \"a\"",
        "call 0 c1 exec_command",
        "args 0 \"{\\\"cmd\\\"\"",
        "call 1 c2 mcp__lab__add",
    ];
    for length in 0..=script.len() {
        for codex in [true, false] {
            let mut writer = writer(codex);
            script[..length].iter().for_each(|line| play(&mut writer, line));
            writer.fail(&Failure::new(Kind::ShuttingDown, "stopped"));
            writer.fail(&Failure::new(Kind::Internal, "twice"));
            let bytes = writer.take();
            assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{length} {}", shown(&bytes));
        }
    }
}

fn any_event() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("exec_command"),
        Just("apply_patch"),
        Just("mcp__lab__add"),
        Just("tool_search"),
        Just("local_shell"),
        Just("unknown")
    ];
    let piece = prop_oneof![
        Just("{\"input\":\"a\\n\\ud83d"),
        Just("\\ude00\"}"),
        Just("{}"),
        Just("{\"cmd\":"),
        Just("\"ls\"}"),
        Just("*** Begin"),
        Just("\"x\""),
        Just(" "),
    ];
    prop_oneof![
        Just("started".to_owned()),
        Just("usage".to_owned()),
        Just("alive".to_owned()),
        "[a-c\"\\\\\n😀]{1,3}".prop_map(|text| format!("text {}", serde_json::Value::from(text))),
        "[a-c]{1,3}".prop_map(|text| format!("reasoning {}", serde_json::Value::from(text))),
        Just("refusal \"no\"".to_owned()),
        Just("state \"s\"".to_owned()),
        (0u32..3, name).prop_map(|(slot, name)| format!("call {slot} c{slot} {name}")),
        (0u32..3, piece).prop_map(|(slot, piece)| format!("args {slot} {}", serde_json::Value::from(piece))),
        (0u32..3).prop_map(|slot| format!("end {slot}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_gives_a_legal_stream(
        events in proptest::collection::vec(any_event(), 0..25),
        finish in prop_oneof![Just("stop"), Just("tool_calls"), Just("length"), Just("content_filter"), Just("failed")],
        codex in any::<bool>(),
    ) {
        let mut writer = writer(codex);
        let mut started = std::collections::HashSet::new();
        for line in events {
            // A reader starts each slot once and before its pieces.
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some("call"), Some(slot)) if !started.insert(slot.to_owned()) => {}
                (Some("args" | "end"), Some(slot)) if !started.contains(slot) => {}
                _ => play(&mut writer, &line),
            }
        }
        play(&mut writer, &format!("finished {finish}"));
        let bytes = writer.take();
        prop_assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{}", shown(&bytes));
    }
}
