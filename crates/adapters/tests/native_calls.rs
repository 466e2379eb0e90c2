//! Calls of the upstream's own through the repair layer: whole, mended where it is certain, or asked for again.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/repair_turn.rs"]
mod repair_turn;

use latimer_adapters::repair::RepairLevel;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{FinishReason, TurnEvent};
use repair_turn::{run, run_twice};

fn stop() -> TurnEvent<'static> {
    TurnEvent::Finished(FinishReason::Stop)
}

/// A native call of `shell` with these arguments, ended, and how the answer ended.
fn native(arguments: &'static str, reason: FinishReason) -> Vec<TurnEvent<'static>> {
    let mut events = vec![TurnEvent::CallStarted { slot: 0, id: Some("x"), name: "shell" }];
    let cuts: Vec<usize> = (0..=arguments.len())
        .step_by(3)
        .filter(|at| arguments.is_char_boundary(*at))
        .chain([arguments.len()])
        .collect();
    let pieces = cuts.windows(2).map(|cut| &arguments[cut[0]..cut[1]]).filter(|piece| !piece.is_empty());
    events.extend(pieces.map(|json| TurnEvent::CallArguments { slot: 0, json }));
    events.extend([TurnEvent::CallEnded { slot: 0 }, TurnEvent::Finished(reason)]);
    events
}

const WHOLE: &str = "{\"command\":\"ls\"}";
const HALF: &str = "{\"command\":\"rm -rf ";

#[test]
fn nothing_is_handed_out_of_a_native_call_that_was_cut() {
    let broke = || FinishReason::Failed(Failure::new(FailureKind::Interrupted, "cut"));
    for arguments in [HALF, WHOLE] {
        let mut events = native(arguments, broke());
        events.remove(events.len() - 2);
        let lines = run(RepairLevel::Parse, events);
        assert!(
            matches!(lines.as_slice(), [one] if one.starts_with("finished failed interrupted")),
            "{lines:?}"
        );
    }
    assert_eq!(run(RepairLevel::Parse, native(HALF, FinishReason::Length)), ["finished length"]);
    assert_eq!(run(RepairLevel::Parse, native(WHOLE, FinishReason::Length))[0], "call 0 x shell");
}

#[test]
fn a_whole_object_is_a_call_whatever_follows_it() {
    let one = ["call 0 x shell", "args 0 \"{\\\"command\\\":\\\"ls\\\"}\"", "end 0", "finished tool_calls"];
    for arguments in [
        WHOLE,
        "{\"command\":\"ls\"}{\"command\":\"ls\"}",
        "{\"command\":\"ls\"}\n{ \"command\" : \"ls\" }",
        "{\"command\":\"ls\"}}",
        "{\"command\":\"ls\"}\"}",
        "[{\"command\":\"ls\"}]",
        "{\"command\":\"ls\"}</tool_call>",
        "{\"command\":\"ls\"}\n\nI list the files.",
    ] {
        assert_eq!(run(RepairLevel::Parse, native(arguments, FinishReason::ToolCalls)), one, "{arguments}");
    }
    let two = native("{\"command\":\"ls a\"}{\"command\":\"ls b\"}", FinishReason::ToolCalls);
    let lines = run(RepairLevel::Parse, two);
    assert_eq!((lines[0].as_str(), lines[3].as_str()), ("call 0 x shell", "call 1 - shell"), "{lines:?}");
    assert!(lines[1].contains("ls a") && lines[4].contains("ls b") && lines.len() == 7, "{lines:?}");
}

#[test]
fn a_broken_native_call_is_asked_for_again_and_nothing_of_it_is_shown() {
    let broken = "{\"command\": \"ls -la 2>&1</｜DSML｜parameter";
    for broken in [broken, HALF, "{\"command\":\"a\"}{\"command\":1}", "{\"command\":\"a\"},\"b\":1}"] {
        for reason in [FinishReason::Stop, FinishReason::ToolCalls] {
            let lines = run_twice(0, native(broken, reason), native(WHOLE, FinishReason::ToolCalls));
            assert_eq!(lines[0], "call 0 x shell", "{lines:?}");
            assert_eq!(lines.len(), 4, "{lines:?}");
            for second in
                [vec![TurnEvent::Text("I cannot."), stop()], native(broken, FinishReason::ToolCalls)]
            {
                let lines = run_twice(0, native(broken, FinishReason::ToolCalls), second);
                let [failed] = lines.as_slice() else { panic!("{lines:?}") };
                assert!(
                    failed.starts_with("finished failed broken_call") && failed.contains("`shell`"),
                    "{failed}"
                );
            }
        }
    }
    let lines = run_twice(1, native(HALF, FinishReason::Length), native(WHOLE, FinishReason::ToolCalls));
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn behind_text_and_before_other_calls_a_broken_call_is_the_last() {
    let mut first = vec![TurnEvent::Text("I look.")];
    first.extend(native(HALF, FinishReason::ToolCalls));
    first.insert(first.len() - 1, TurnEvent::CallStarted { slot: 1, id: None, name: "read_file" });
    first.insert(first.len() - 1, TurnEvent::CallArguments { slot: 1, json: "{\"path\":\"a\"}" });
    first.insert(first.len() - 1, TurnEvent::CallEnded { slot: 1 });
    let lines = run_twice(0, first, native(WHOLE, FinishReason::ToolCalls));
    assert_eq!((lines[0].as_str(), lines[1].as_str()), ("text \"I look.\"", "call 0 x shell"), "{lines:?}");
    assert!(!lines.concat().contains("read_file"), "{lines:?}");

    let mut after = native(WHOLE, FinishReason::ToolCalls);
    after.insert(after.len() - 1, TurnEvent::CallStarted { slot: 1, id: None, name: "shell" });
    after.insert(after.len() - 1, TurnEvent::CallArguments { slot: 1, json: HALF });
    after.insert(after.len() - 1, TurnEvent::CallEnded { slot: 1 });
    let lines = run(RepairLevel::Parse, after);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines[3].starts_with("finished failed broken_call"),
        "what was handed out cannot be asked for again"
    );
}
