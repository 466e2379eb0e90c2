//! Turn events to Gemini answers: fixtures in, snapshots out, and every answer is legal in each of the three forms.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod gemini_scripts;

use gemini_scripts::{drive, opened, pieces, played, shown, snapshot, writer};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::gemini::legality;
use latimer_proxy::inbound::gemini::names::Names;
use latimer_proxy::inbound::gemini::stream::{Form, GeminiWriter, GeminiWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use proptest::prelude::*;
use serde_json::Value;

const FORMS: [Form; 3] = [Form::Events, Form::Array, Form::Object];

fn faults(form: Form, bytes: &[u8]) -> Vec<String> {
    match form {
        Form::Events => legality::check(bytes),
        Form::Array => legality::check_array(bytes),
        Form::Object => legality::check_object(bytes),
    }
}

/// Every form of the answer; checked, and compared with each other.
fn checked(lines: &[&str]) -> [Vec<Value>; 3] {
    let answers = FORMS.map(|form| {
        let bytes = played(form, lines.iter().copied());
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(faults(form, &bytes), Vec::<String>::new(), "{form:?} {lines:?}\n{text}");
        pieces(form, &bytes)
    });
    let [events, array, object] = &answers;
    if object[0].get("error").is_none() {
        assert_eq!(joined(events), joined(object), "{lines:?}");
    }
    assert_eq!(joined(events), joined(array), "{lines:?}");
    answers
}

/// What a client makes of pieces: texts of a kind joined, everything else as it is.
fn joined(pieces: &[Value]) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    for piece in pieces {
        for part in piece["candidates"][0]["content"]["parts"].as_array().into_iter().flatten() {
            let is_text = |part: &Value| part["text"].is_string();
            if part["text"] == "" && part.get("thoughtSignature").is_none() {
                continue;
            }
            match parts.last_mut() {
                Some(last)
                    if is_text(last)
                        && is_text(part)
                        && last["thought"] == part["thought"]
                        && part.get("thoughtSignature").is_none() =>
                {
                    last["text"] = format!(
                        "{}{}",
                        last["text"].as_str().expect("text"),
                        part["text"].as_str().expect("text")
                    )
                    .into();
                }
                _ => parts.push(part.clone()),
            }
        }
        for key in ["finishReason", "finishMessage"] {
            parts.extend(piece["candidates"][0].get(key).cloned());
        }
        parts.extend(piece.get("usageMetadata").cloned());
        parts.extend(piece.get("error").cloned());
    }
    parts
}

#[test]
fn scripts_give_legal_answers() {
    insta::glob!("../../../fixtures/gemini_front", "*.events", |path| {
        let script = std::fs::read_to_string(path).expect("readable");
        let lines: Vec<&str> = script.lines().collect();
        let [events, _, object] = checked(&lines);
        let lines = |pieces: &[Value]| pieces.iter().map(shown).collect::<Vec<_>>().join("\n");
        snapshot(path, "", &format!("{}\n---\n{}", lines(&events), lines(&object)));
    });
}

#[test]
fn a_stopped_turn_ends_legally_wherever_it_is() {
    let script = [
        "reasoning \"hm\"",
        "state \"s\"",
        "text \"a\"",
        "call 0 c1 read",
        "args 0 \"{\\\"path\\\"\"",
        "alive",
    ];
    for length in 0..=script.len() {
        for form in FORMS {
            let mut writer = writer(form);
            script[..length].iter().for_each(|line| drive(&mut writer, line));
            writer.fail(&Failure::new(FailureKind::ShuttingDown, "stopped"));
            writer.fail(&Failure::new(FailureKind::Internal, "twice"));
            drive(&mut writer, "text \"late\"");
            writer.keep_alive();
            assert!(writer.is_finished());
            let bytes = if form == Form::Object { writer.take_object() } else { writer.take() };
            assert_eq!(faults(form, &bytes), Vec::<String>::new(), "{}", String::from_utf8_lossy(&bytes));
            assert_eq!(pieces(form, &bytes).last().expect("an error")["error"]["status"], "UNAVAILABLE");
        }
    }
}

#[test]
fn thoughts_are_for_those_who_asked_and_their_state_is_for_everybody() {
    let options = GeminiWriterOptions { model: "m".to_owned(), ..GeminiWriterOptions::default() };
    let mut quiet = GeminiWriter::new(WriterSeed::default(), options, Names::default());
    for line in ["reasoning \"secret\"", "state \"kept\"", "text \"a\"", "finished stop"] {
        drive(&mut quiet, line);
    }
    let bytes = quiet.take();
    assert_eq!(legality::check(&bytes), Vec::<String>::new());
    let all = pieces(Form::Events, &bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    assert_eq!(opened(&all[0]["candidates"][0]["content"]["parts"][0]["thoughtSignature"])[0].data, "kept");
}

fn any_event() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("read"), Just("mcp_lab_add"), Just("unknown")];
    let piece = prop_oneof![
        Just("{\"path\":\"a\\n\\ud83d"),
        Just("\\ude00\"}"),
        Just("{}"),
        Just("{\"path\":\n"),
        Just("\"ls\"}"),
        Just("[1]"),
        Just("\"x\""),
        Just(" "),
    ];
    let quoted = |text: String| Value::from(text).to_string();
    prop_oneof![
        Just("started".to_owned()),
        Just("usage".to_owned()),
        Just("alive".to_owned()),
        "[a-c\"\\\\\n\r😀\u{2028}]{1,3}".prop_map(move |text| format!("text {}", quoted(text))),
        "[a-c]{1,3}".prop_map(move |text| format!("reasoning {}", quoted(text))),
        Just("refusal \"no\"".to_owned()),
        "[a-c]{0,3}".prop_map(move |text| format!("state {}", quoted(text))),
        (0u32..3, name)
            .prop_map(|(slot, name)| format!("call {slot} {} {name}", ["-", "c", "c"][slot as usize])),
        (0u32..3, piece).prop_map(move |(slot, piece)| format!("args {slot} {}", quoted(piece.to_owned()))),
        (0u32..3).prop_map(|slot| format!("end {slot}")),
    ]
}

/// Events in any order, also in one that no reader would give: pieces of calls that never began, two calls in one slot, and
/// words behind the end.
fn any_script() -> impl Strategy<Value = Vec<String>> {
    let finish =
        prop_oneof![Just("stop"), Just("tool_calls"), Just("length"), Just("content_filter"), Just("failed")];
    let events = || proptest::collection::vec(any_event(), 0..25);
    let late = prop_oneof![3 => Just(Vec::new()), 1 => events()];
    (events(), finish, late).prop_map(|(mut lines, finish, late)| {
        lines.push(format!("finished {finish}"));
        lines.extend(late);
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_gives_a_legal_answer(script in any_script()) {
        let lines: Vec<&str> = script.iter().map(String::as_str).collect();
        checked(&lines);
    }

    #[test]
    fn all_state_goes_out_in_order_unless_the_answer_breaks(script in any_script()) {
        let lines: Vec<&str> = script.iter().map(String::as_str).collect();
        let [events, ..] = checked(&lines);
        let last = events.last().expect("an end");
        let reason = last["candidates"][0]["finishReason"].as_str().unwrap_or("error");
        let sent: Vec<String> = joined(&events)
            .iter()
            .filter_map(|part| part.get("thoughtSignature"))
            .flat_map(opened)
            .map(|state| state.data)
            .collect();
        let given: Vec<String> = lines
            .iter()
            .take_while(|line| !line.starts_with("finished"))
            .filter_map(|line| line.strip_prefix("state "))
            .map(|text| serde_json::from_str(text).expect("a string"))
            .collect();
        if reason == "STOP" && !lines.iter().any(|line| line.starts_with("call")) {
            prop_assert_eq!(sent, given);
        } else {
            prop_assert!(sent.iter().all(|state| given.contains(state)));
        }
    }
}
