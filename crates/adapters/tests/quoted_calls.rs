//! Call markup that a model only shows, through the repair of a whole request: what the tools, the person and the client said is known.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../../toolcall-parser/tests/support/planted.rs"]
mod planted;

use latimer_adapters::repair::{Repair, RepairLevel, RepairPlan};
use latimer_protocol::turn::{
    Call, CallOutput, Content, FinishReason, Item, Message, RecordedEvents, Role, Tool, TurnEvent,
    TurnRequest,
};
use planted::{CONTEXTS, Stands, planted};

fn says(role: Role, text: String) -> Item {
    Item::Message(Message { role, content: vec![Content::Text(text)] })
}

fn called(id: &str, arguments: &str) -> Item {
    Item::Call(Call { id: id.into(), name: "read".into(), arguments: arguments.into() })
}

fn output(id: &str, text: String) -> Item {
    Item::Output(CallOutput { id: id.into(), content: vec![Content::Text(text)] })
}

fn turn(items: Vec<Item>) -> TurnRequest {
    let schema = r#"{"type":"object","properties":{"cmd":{"type":"string"}},"required":["cmd"]}"#;
    let tool = Tool {
        name: "exec_command".to_owned(),
        description: None,
        parameters: serde_json::value::RawValue::from_string(schema.to_owned()).ok(),
        strict: None,
    };
    let items = [vec![says(Role::User, "What do the notes say?".to_owned())], items].concat();
    TurnRequest { model: "m".to_owned(), tools: vec![tool], items, ..TurnRequest::default() }
}

/// The calls that come out of an answer, which arrives in pieces of this many characters. `native` stands before it.
fn calls_behind(native: &[TurnEvent<'_>], turn: &TurnRequest, text: &str, size: usize) -> usize {
    let level = if size == 1 { RepairLevel::Assist } else { RepairLevel::Parse };
    let mut repair = Repair::new(RepairPlan::new(level, 0, turn).expect("a tool is declared"));
    let mut record = RecordedEvents::default();
    for event in native {
        repair.event(event.clone(), &mut record);
    }
    let characters: Vec<char> = text.chars().collect();
    for piece in characters.chunks(size) {
        repair.event(TurnEvent::Text(&String::from_iter(piece)), &mut record);
    }
    repair.event(TurnEvent::Finished(FinishReason::Stop), &mut record);
    repair.give_up(&mut record);
    record.lines.iter().filter(|line| line.starts_with("call ")).count()
}

fn calls(turn: &TurnRequest, text: &str, size: usize) -> usize {
    calls_behind(&[], turn, text, size)
}

#[test]
fn what_stands_in_the_request_is_no_call() {
    let (mut tried, mut known, mut unknown, mut bare) = (0, 0, 0, 0);
    for (dialect, markup) in planted() {
        let notes = || format!("# Notes\n\n{markup}\n\nThe end.\n");
        let listed = markup
            .lines()
            .enumerate()
            .fold(String::new(), |listed, (at, line)| listed + &format!("{:6}\t{line}\n", at + 1));
        // The ids are those that latimer gives: the model has no other way to call.
        let id = format!("call_{}", "0a".repeat(17));
        let requests = [
            vec![called(&id, "{\"path\":\"notes.md\"}"), output(&id, notes())],
            vec![called(&id, "{\"path\":\"notes.md\"}"), output(&id, listed)],
            vec![
                called(&id, "{\"path\":\"notes.md\"}"),
                output(&id, serde_json::json!({ "text": notes() }).to_string()),
            ],
            vec![says(Role::User, notes())],
            vec![says(Role::System, notes())],
        ];
        for (at, (context, stands, way)) in CONTEXTS.iter().enumerate() {
            let text = way.text(&markup);
            let size = [1, 3, 7, usize::MAX][at % 4];
            let own = calls(&turn(vec![]), &text, size);
            if *stands == Stands::Bare {
                bare += own;
            } else {
                unknown += own;
                assert_eq!(own, 0, "{context}, {dialect}: {text:?}");
            }
            for items in &requests {
                tried += 1;
                let found = calls(&turn(items.clone()), &text, size);
                known += found;
                assert_eq!(found, 0, "{context}, {dialect}: {text:?} after {items:?}");
            }
        }
    }
    println!(
        "{known} of {tried} that stand in the request; {unknown} quoted and {bare} bare ones that do not"
    );
    assert_eq!((tried, known, unknown, bare), (21600, 0, 0, 428));
}

#[test]
fn the_models_own_call_is_a_call_whatever_was_said() {
    let call = |path: &str, content: &str| {
        format!(
            "I write it.\n\n<tool_call>\n{}\n</tool_call>",
            serde_json::json!({ "name": "exec_command", "arguments": { "cmd": format!("cat > {path} <<'EOF'\n{content}\nEOF") } })
        )
    };
    let id = format!("call_{}", "0a".repeat(17));
    let content = "fn main() {\n    println!(\"a long line that is copied as it is\");\n}";
    let text = call("src/main.rs", content);
    for items in [
        // A file that was read is written again.
        vec![called(&id, "{\"path\":\"src/main.rs\"}"), output(&id, content.to_owned())],
        // The same call was made before, and said before.
        vec![called(&id, &serde_json::json!({ "cmd": content }).to_string()), output(&id, "done".to_owned())],
        vec![says(Role::Assistant, text.clone())],
        // Somebody shows how calls are written.
        vec![says(
            Role::System,
            "Write <tool_call>\n{\"name\": \"TOOL\", \"arguments\": {\"cmd\": \"COMMAND\"}}\n</tool_call>."
                .to_owned(),
        )],
        vec![says(Role::User, format!("Write src/main.rs with\n{content}"))],
    ] {
        assert_eq!(calls(&turn(items.clone()), &text, 7), 1, "{items:?}");
    }
}

#[test]
fn who_calls_natively_is_believed_only_at_the_end() {
    let call = "<tool_call>\n{\"name\": \"exec_command\", \"arguments\": {\"cmd\": \"make\"}}\n</tool_call>";
    let natively = || turn(vec![called("call_Xk29dq", "{}"), output("call_Xk29dq", "done".to_owned())]);
    let begun = [
        TurnEvent::CallStarted { slot: 0, id: Some("x"), name: "exec_command" },
        TurnEvent::CallArguments { slot: 0, json: "{\"cmd\":\"ls\"}" },
        TurnEvent::CallEnded { slot: 0 },
    ];
    for (text, believed) in [
        (format!("I look.\n\n{call}"), 1),
        (format!("I look.\n\n{call}\n{call}\n"), 2),
        (format!("The notes have this line:\n\n{call}\n\nIt would build the whole thing."), 0),
        (format!("{call}\nThen I wait."), 0),
    ] {
        for size in [1, 7, usize::MAX] {
            assert_eq!(calls(&natively(), &text, size), believed, "{text}");
            assert_eq!(calls_behind(&begun, &turn(vec![]), &text, size), believed + 1, "{text}");
            assert!(calls(&turn(vec![]), &text, size) > 0, "{text}");
        }
    }
}
