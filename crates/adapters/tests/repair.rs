//! The repair layer alone: turn events in, turn events out.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/repair_turn.rs"]
mod repair_turn;

use latimer_adapters::repair::{RepairLevel, RepairPlan};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{FinishReason, RecordedEvents, TurnEvent, TurnRequest};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use repair_turn::{repair, run, run_twice, turn};

const CALL: &str = "<tool_call>{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}</tool_call>";

fn stop() -> TurnEvent<'static> {
    TurnEvent::Finished(FinishReason::Stop)
}

#[test]
fn a_call_in_text_is_a_call() {
    let lines = run(RepairLevel::Parse, vec![TurnEvent::Text("I look.\n"), TurnEvent::Text(CALL), stop()]);
    let want = [
        "text \"I look.\"",
        "call 0 - read_file",
        "args 0 \"{\\\"path\\\":\\\"a\\\"}\"",
        "end 0",
        "finished tool_calls",
    ];
    assert_eq!(lines, want);
}

#[test]
fn native_calls_keep_their_order_and_get_numbers_of_their_own() {
    let lines = run(
        RepairLevel::Parse,
        vec![
            TurnEvent::Text(CALL),
            TurnEvent::CallStarted { slot: 0, id: Some("x"), name: "read_file" },
            TurnEvent::CallArguments { slot: 0, json: "{\"pa" },
            TurnEvent::CallArguments { slot: 0, json: "th\":\"b\"}" },
            TurnEvent::CallEnded { slot: 0 },
            TurnEvent::Finished(FinishReason::ToolCalls),
        ],
    );
    let native =
        ["call 1 x read_file", "args 1 \"{\\\"path\\\":\\\"b\\\"}\"", "end 1", "finished tool_calls"];
    assert_eq!(lines[3..], native);
}

#[test]
fn a_call_in_thoughts_counts_only_when_there_is_nothing_else() {
    let thought = "<｜DSML｜tool_calls><｜DSML｜invoke name=\"read_file\"><｜DSML｜parameter name=\"path\" string=\"true\">a</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜tool_calls>";
    let alone = run(RepairLevel::Parse, vec![TurnEvent::Reasoning(thought), stop()]);
    assert_eq!(alone[0], "call 0 - read_file");
    let beside =
        run(RepairLevel::Parse, vec![TurnEvent::Reasoning(thought), TurnEvent::Text("Done."), stop()]);
    // Beside an answer they are shown as the thoughts they are.
    assert_eq!(beside, [format!("reasoning {thought:?}").as_str(), "text \"Done.\"", "finished stop"]);
}

#[test]
fn there_is_a_question_only_for_what_was_meant_as_a_call() {
    for (text, asks) in [
        ("Done.", false),
        (CALL, false),
        ("<tool_call>{\"name\": oops}</tool_call>", true),
        ("<tool_call>{\"name\":\"unknown\",\"arguments\":{}}</tool_call>", true),
        ("<explore_agent>look</explore_agent>", true),
        ("```\n<tool_call>{\"name\": oops}</tool_call>\n```", false),
    ] {
        let mut repair = repair(RepairLevel::Parse, 0);
        let mut record = RecordedEvents::default();
        repair.event(TurnEvent::Text(text), &mut record);
        repair.event(stop(), &mut record);
        assert_eq!(repair.question().is_some(), asks, "{text}");
        assert_eq!(record.lines.iter().any(|line| line.starts_with("finished")), !asks, "{text}");
    }
}

const BROKEN: &str = "<tool_call>{\"name\": oops}</tool_call>";

#[test]
fn what_was_withheld_is_given_up_for_a_call_and_shown_without_one() {
    let first = || vec![TurnEvent::Text("I look.\n"), TurnEvent::Text(BROKEN), stop()];
    let call = run_twice(0, first(), vec![TurnEvent::Text("Sorry. "), TurnEvent::Text(CALL), stop()]);
    assert_eq!(call[..2], ["text \"I look.\"", "call 0 - read_file"], "{call:?}");
    assert_eq!(call.last().map(String::as_str), Some("finished tool_calls"));
    assert!(!call.concat().contains("Sorry"), "the hidden reply is not for the client: {call:?}");
    let none = run_twice(0, first(), vec![TurnEvent::Text("I cannot."), stop()]);
    assert!(none.concat().contains("oops") && !none.concat().contains("I cannot"), "{none:?}");
    assert_eq!(none.last().map(String::as_str), Some("finished stop"));
}

#[test]
fn a_failed_follow_up_leaves_the_answer_as_it_was() {
    let broke = FinishReason::Failed(Failure::new(FailureKind::Interrupted, "cut"));
    let lines = run_twice(0, vec![TurnEvent::Text(BROKEN), stop()], vec![TurnEvent::Finished(broke)]);
    assert!(lines[0].contains("oops"), "{lines:?}");
    assert_eq!(lines[1..], ["finished stop"]);
}

#[test]
fn an_answer_goes_on_where_a_limit_cut_it_or_ends_there() {
    let first = || vec![TurnEvent::Text("One two three four"), TurnEvent::Finished(FinishReason::Length)];
    let joined = run_twice(1, first(), vec![TurnEvent::Text("One two three four five"), stop()]);
    assert_eq!(
        joined,
        ["text \"One two three four\"", "text \" \"", "text \"five\"", "finished stop"],
        "what was repeated is not shown twice"
    );
    let other = run_twice(1, first(), vec![TurnEvent::Text("Something else."), stop()]);
    assert_eq!(other, ["text \"One two three four\"", "finished length"]);
}

#[test]
fn without_tools_there_is_nothing_to_repair() {
    assert!(RepairPlan::new(RepairLevel::Parse, 2, &TurnRequest::default()).is_none());
    assert!(RepairPlan::new(RepairLevel::Off, 2, &turn()).is_none());
}

const WORDS: &[&str] = &[
    "a word ",
    "\n",
    "\n\n",
    " ",
    "`",
    "```\n",
    "<tool_call>",
    "</tool_call>",
    "{\"name\":\"read_file\",\"arguments\":{\"path\":\"a\"}}",
    "{\"name\":\"nope\"}",
    "<bash>\n",
    "ls",
    "\n</bash>",
    "<explore_agent>",
    "</explore_agent>",
    "<function=shell>",
    "</function>",
    "<parameter=command>",
    "</parameter>",
    "[read_file(path='a')]",
    "<think>",
    "</think>",
    "{",
    "}",
    "\"",
    "é",
];

#[derive(Debug, Clone)]
enum In {
    Text(&'static str),
    Thought(&'static str),
    Start(u32, &'static str),
    Arguments(u32, &'static str),
    End(u32),
}

fn inputs() -> impl Strategy<Value = Vec<In>> {
    let word = || select(WORDS);
    let names = select(&["shell", "bash", "read_file", "nope"][..]);
    let pieces = select(&["{\"command\":", "\"ls\"}", "{\"path\":\"a\"}", "{}", "{", " ", "oops"][..]);
    vec(
        prop_oneof![
            6 => word().prop_map(In::Text),
            1 => word().prop_map(In::Thought),
            1 => (0u32..3, names).prop_map(|(slot, name)| In::Start(slot, name)),
            2 => (0u32..3, pieces).prop_map(|(slot, json)| In::Arguments(slot, json)),
            1 => (0u32..3).prop_map(In::End),
        ],
        0..20,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in: one end, calls that begin before they go on and end at most once, and never an empty answer for a full one.
    #[test]
    fn the_grammar_of_events_holds(
        inputs in inputs(),
        level in select(&[RepairLevel::Parse, RepairLevel::Assist][..]),
        reason in select(&[FinishReason::Stop, FinishReason::ToolCalls, FinishReason::Length][..]),
        resumes in 0u32..2,
    ) {
        let mut events: Vec<(String, u32)> = Vec::new();
        let mut sink = |event: TurnEvent<'_>| events.push(match event {
            TurnEvent::CallStarted { slot, .. } => ("start".to_owned(), slot),
            TurnEvent::CallArguments { slot, .. } => ("arguments".to_owned(), slot),
            TurnEvent::CallEnded { slot } => ("end".to_owned(), slot),
            TurnEvent::Finished(_) => ("finished".to_owned(), 0),
            TurnEvent::Text(_) => ("text".to_owned(), 0),
            _ => return,
        });
        let mut repair = repair(level, resumes);
        let mut begun = Vec::new();
        for input in inputs {
            match input {
                In::Text(text) => repair.event(TurnEvent::Text(text), &mut sink),
                In::Thought(text) => repair.event(TurnEvent::Reasoning(text), &mut sink),
                In::Start(slot, name) if !begun.contains(&slot) => {
                    begun.push(slot);
                    repair.event(TurnEvent::CallStarted { slot, id: None, name }, &mut sink);
                }
                In::Arguments(slot, json) if begun.contains(&slot) => {
                    repair.event(TurnEvent::CallArguments { slot, json }, &mut sink);
                }
                In::End(slot) => repair.event(TurnEvent::CallEnded { slot }, &mut sink),
                _ => {}
            }
        }
        repair.event(TurnEvent::Finished(reason), &mut sink);
        let asked = repair.question().is_some();
        if asked {
            let mut next = repair.follow_up();
            next.event(TurnEvent::Text("I cannot."), &mut sink);
            next.event(stop(), &mut sink);
            if let Some(question) = next.question() {
                prop_assert!(!question.user.is_empty());
            }
            next.give_up(&mut sink);
        }
        repair.give_up(&mut sink);
        let ends = events.iter().filter(|(what, _)| what == "finished").count();
        prop_assert_eq!((ends, events.last().map(|(what, _)| what.as_str())), (1, Some("finished")));
        let mut open: Vec<u32> = Vec::new();
        let mut seen: Vec<u32> = Vec::new();
        for (what, slot) in &events {
            match what.as_str() {
                "start" => {
                    prop_assert!(!seen.contains(slot), "slot {} twice", slot);
                    seen.push(*slot);
                    open.push(*slot);
                }
                "arguments" => prop_assert!(open.contains(slot)),
                "end" => {
                    prop_assert!(open.contains(slot));
                    open.retain(|known| known != slot);
                }
                _ => {}
            }
        }
    }
}
