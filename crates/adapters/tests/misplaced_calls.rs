//! What stands where no call should: in thoughts that no answer follows, and marks beside a call of the provider's own.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/repair_turn.rs"]
mod repair_turn;

use latimer_adapters::repair::{Repair, RepairLevel, RepairPlan};
use latimer_protocol::turn::{FinishReason, RecordedEvents, Tool, TurnEvent, TurnRequest};
use repair_turn::{run_twice, turn};

const CALL: &str = "<tool_call>{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}</tool_call>";

/// What comes out, notes aside; the model is not asked again.
fn run(events: Vec<TurnEvent<'_>>) -> Vec<String> {
    lines(&turn(), events, &["text", "reasoning", "call", "args", "end", "finished"])
}

fn stop() -> TurnEvent<'static> {
    TurnEvent::Finished(FinishReason::Stop)
}

/// Every well-formed text of the parser's fixtures, and the events of its calls: dialects that need no hint.
fn written_calls() -> Vec<(String, String)> {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/toolcalls");
    let mut texts = Vec::new();
    for folder in std::fs::read_dir(root).expect("readable").filter_map(Result::ok) {
        let Ok(files) = std::fs::read_dir(folder.path()) else { continue };
        for file in files.filter_map(Result::ok) {
            let name = file.file_name().to_string_lossy().into_owned();
            if ["two_files.txt", "nested.txt", "heredoc.txt"].iter().any(|end| name.ends_with(end)) {
                let text = std::fs::read_to_string(file.path()).expect("UTF-8");
                texts.push((format!("{}/{name}", folder.file_name().to_string_lossy()), text));
            }
        }
    }
    texts.sort();
    texts
}

fn fixture_tools() -> TurnRequest {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/toolcalls/tools.json");
    let text = std::fs::read_to_string(path).expect("readable");
    let tools: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let tool = |tool: &serde_json::Value| Tool {
        name: tool["name"].as_str().expect("a name").to_owned(),
        description: None,
        parameters: Some(
            serde_json::value::RawValue::from_string(tool["parameters"].to_string()).expect("JSON"),
        ),
        strict: None,
    };
    TurnRequest { model: "m".to_owned(), tools: tools.iter().map(tool).collect(), ..TurnRequest::default() }
}

/// What comes out for these events, calls and the end of it, or what else is named.
fn lines(turn: &TurnRequest, events: Vec<TurnEvent<'_>>, kinds: &[&str]) -> Vec<String> {
    let mut record = RecordedEvents::default();
    let mut repair = Repair::new(RepairPlan::new(RepairLevel::Parse, 0, turn).expect("tools are declared"));
    for event in events {
        repair.event(event, &mut record);
    }
    repair.give_up(&mut record);
    record.lines.into_iter().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).collect()
}

#[test]
fn a_call_in_thoughts_is_made_in_every_dialect_when_no_answer_follows() {
    let turn = fixture_tools();
    let kinds = ["call ", "args ", "end ", "finished "];
    let pieces = |text: &str| -> Vec<String> {
        text.chars().collect::<Vec<_>>().chunks(7).map(|piece| piece.iter().collect()).collect()
    };
    let mut folders = std::collections::BTreeSet::new();
    for (name, text) in written_calls() {
        let want = lines(&turn, vec![TurnEvent::Text(&text), stop()], &kinds);
        assert!(want.len() >= 4, "{name}: {want:?}");
        let thought = format!("I look.\n\n{text}");
        for pieces in [vec![thought.clone()], pieces(&thought)] {
            let mut events: Vec<_> = pieces.iter().map(|piece| TurnEvent::Reasoning(piece)).collect();
            events.push(stop());
            assert_eq!(lines(&turn, events.clone(), &kinds), want, "{name}");
            assert_eq!(
                lines(&turn, events.clone(), &["reasoning"]).concat().matches("I look").count(),
                1,
                "{name}"
            );
            // A blank answer is none.
            events.insert(events.len() - 1, TurnEvent::Text("\n"));
            assert_eq!(lines(&turn, events.clone(), &kinds), want, "{name}");
            // An answer is one, and then the thoughts are the model's own.
            events.insert(events.len() - 1, TurnEvent::Text("Done."));
            assert_eq!(lines(&turn, events.clone(), &kinds), ["finished stop"], "{name}");
            let mut shown = String::new();
            let mut sink = |event: TurnEvent<'_>| {
                if let TurnEvent::Reasoning(text) = event {
                    shown.push_str(text);
                }
            };
            let mut repair =
                Repair::new(RepairPlan::new(RepairLevel::Parse, 0, &turn).expect("tools are declared"));
            for event in events {
                repair.event(event, &mut sink);
            }
            assert_eq!(shown.trim_end(), thought.trim_end(), "{name}");
        }
        for think in [format!("<think>\nI look.\n{text}"), format!("<think>I look.\n{text}\n</think>\n")] {
            for pieces in [vec![think.clone()], pieces(&think)] {
                let mut events: Vec<_> = pieces.iter().map(|piece| TurnEvent::Text(piece)).collect();
                events.push(stop());
                assert_eq!(lines(&turn, events.clone(), &kinds), want, "{name}: {think}");
                if think.ends_with('\n') {
                    events.insert(events.len() - 1, TurnEvent::Text("Done."));
                    assert_eq!(lines(&turn, events, &kinds), ["finished stop"], "{name}: {think}");
                }
            }
        }
        folders.insert(name.split('/').next().expect("a folder").to_owned());
    }
    assert!(folders.len() >= 36, "{} dialects", folders.len());
}

#[test]
fn thoughts_alone_are_no_answer() {
    let thoughts = |text: &'static str| vec![TurnEvent::Reasoning(text), stop()];
    let in_text = |text: &'static str| vec![TurnEvent::Text(text), stop()];
    let broken = "<tool_call>{\"name\": oops}</tool_call>";
    let fenced = "It would be\n```\n<tool_call>{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}</tool_call>\n```";
    for events in [
        thoughts("I should look at it."),
        thoughts(broken),
        thoughts(fenced),
        thoughts("<|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>{\"pa"),
        thoughts("<tool_call>{\"name\":\"nobody\",\"arguments\":{}}</tool_call>"),
        in_text("<think>I should look at it."),
        in_text("<think>I should look at it.</think>\n"),
        in_text("<think><tool_call>{\"name\": oops}</tool_call></think>"),
    ] {
        // The model is asked again, and what it says then is the answer.
        let answer = run_twice(0, events.clone(), vec![TurnEvent::Text("Done."), stop()]);
        assert_eq!(answer[answer.len() - 2..], ["text \"Done.\"", "finished stop"], "{events:?}");
        let call = run_twice(0, events.clone(), vec![TurnEvent::Text(CALL), stop()]);
        assert_eq!(call.last().map(String::as_str), Some("finished tool_calls"), "{events:?}");
        // Where nobody asks, or nothing comes of it, that is said.
        for silent in [run(events.clone()), run_twice(0, events.clone(), vec![stop()])] {
            let said = silent.iter().rev().find(|line| line.starts_with("text ")).expect("a text");
            assert!(said.contains("inside its thoughts") || said.contains("oops"), "{silent:?}");
        }
    }
    // A limit or a failure is told as what it is.
    let cut = vec![TurnEvent::Reasoning("I should"), TurnEvent::Finished(FinishReason::Length)];
    assert_eq!(run(cut), ["reasoning \"I should\"", "finished length"]);
}

#[test]
fn signed_thoughts_are_shown_as_they_came() {
    let thought = format!("I look.\n{CALL}");
    let state = latimer_protocol::turn::OpaqueState {
        owner: latimer_protocol::turn::StateOwner {
            provider: "p".to_owned(),
            family: "m".to_owned(),
            account: None,
        },
        data: "signed".to_owned(),
    };
    let lines = run(vec![TurnEvent::Reasoning(&thought), TurnEvent::ReasoningState(state), stop()]);
    let shown: Vec<_> = lines.iter().take_while(|line| line.starts_with("reasoning \"")).collect();
    assert!(shown.iter().any(|line| line.contains("</tool_call>")), "{lines:?}");
    assert!(lines.iter().any(|line| line == "call 0 - read_file"), "{lines:?}");
}

/// An answer with a call of the provider's own, and these texts around it.
fn beside_a_call<'a>(before: &[&'a str], behind: &[&'a str]) -> Vec<TurnEvent<'a>> {
    let mut events: Vec<_> = before.iter().map(|text| TurnEvent::Text(text)).collect();
    events.push(TurnEvent::CallStarted { slot: 0, id: Some("x"), name: "read_file" });
    events.push(TurnEvent::CallArguments { slot: 0, json: "{\"path\":\"b\"}" });
    events.push(TurnEvent::CallEnded { slot: 0 });
    events.extend(behind.iter().map(|text| TurnEvent::Text(text)));
    events.push(TurnEvent::Finished(FinishReason::ToolCalls));
    events
}

#[test]
fn a_mark_beside_a_call_of_the_providers_own_is_not_shown() {
    let marks = [
        "<tool_call>",
        "</tool_call>",
        "<tool_call>\n</tool_call>",
        "</function>\n</tool_call>",
        "<tool_calls>",
        "</tool_calls>",
        "</parameter>",
        "</invoke>\n</function_calls>",
        "<function_calls>",
        "</minimax:tool_call>",
        "]<]minimax[>[</tool_call>",
        "</｜DSML｜tool_calls>",
        "< | DSML | tool_calls >",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        "<|tool_calls_section_begin|>",
        "<|tool_call_end|><|tool_calls_section_end|>",
        "<|open|>tools<|sep|>",
        "<|close|>message<|sep|><|end_of_msg|>",
        "[TOOL_CALLS]",
        "[/TOOL_CALLS]",
        "<|python_tag|>",
        "<|call|>",
        "<|END_ACTION|>",
        "<tool_call|>",
        "</TOOLCALL>",
        "<|im_end|>",
        "</seed:tool_call>",
        "<|plamo:end_tool_requests:plamo|>",
        "<|action_end|>",
    ];
    let text = |lines: &[String]| -> String {
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("text "))
            .map(|text| text.trim_matches('"'))
            .collect()
    };
    for mark in marks {
        let pieces: Vec<String> = mark.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        for mark in [&[mark][..], &pieces] {
            for (before, behind) in [(mark, &[][..]), (&[], mark), (mark, mark)] {
                let lines = run(beside_a_call(before, behind));
                assert_eq!(text(&lines).trim(), "", "{mark:?}: {lines:?}");
                assert!(lines.iter().any(|line| line == "call 0 x read_file"), "{mark:?}: {lines:?}");
                assert_eq!(lines.last().map(String::as_str), Some("finished tool_calls"));
            }
            let said = [&["I look.\n"][..], mark, &["\n"]].concat();
            assert_eq!(text(&run(beside_a_call(&said, &[]))), "I look.");
            let behind = [mark, &["\nDone."]].concat();
            assert!(!text(&run(beside_a_call(&[], &behind))).contains(['<', '[']), "{mark:?}");
            // Without a call it is what the model said.
            let alone: Vec<_> = mark.iter().map(|text| TurnEvent::Text(text)).chain([stop()]).collect();
            assert_ne!(text(&run(alone)), "", "{mark:?}");
        }
    }
    for talk in ["The `</tool_call>` tag ends it.", "The </tool_call> tag ends it."] {
        assert_eq!(text(&run(beside_a_call(&[talk], &[]))), talk);
    }
}
