//! A turn with two tools, and what becomes of an answer to it.
#![allow(dead_code, reason = "each test file uses its part")]

use latimer_adapters::repair::{Repair, RepairLevel, RepairPlan};
use latimer_protocol::turn::{RecordedEvents, Tool, TurnEvent, TurnRequest};

/// A turn that may run a command and read a file.
pub(crate) fn turn() -> TurnRequest {
    let tool = |name: &str, schema: &str| Tool {
        name: name.to_owned(),
        description: None,
        parameters: Some(serde_json::value::RawValue::from_string(schema.to_owned()).expect("JSON")),
        strict: None,
    };
    let tools = vec![
        tool(
            "shell",
            r#"{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}"#,
        ),
        tool("read_file", r#"{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}"#),
    ];
    TurnRequest { model: "m".to_owned(), tools, ..TurnRequest::default() }
}

pub(crate) fn repair(level: RepairLevel, resumes: u32) -> Repair {
    Repair::new(RepairPlan::new(level, resumes, &turn()).expect("tools are declared"))
}

/// What comes out, notes aside; the model is not asked again.
pub(crate) fn run(level: RepairLevel, events: Vec<TurnEvent<'_>>) -> Vec<String> {
    let mut record = RecordedEvents::default();
    let mut repair = repair(level, 0);
    for event in events {
        repair.event(event, &mut record);
    }
    repair.give_up(&mut record);
    record.lines.into_iter().filter(|line| !line.starts_with("note ")).collect()
}

/// What the client gets of an answer and of the answer to its hidden question, notes aside.
pub(crate) fn run_twice(resumes: u32, first: Vec<TurnEvent<'_>>, second: Vec<TurnEvent<'_>>) -> Vec<String> {
    let mut record = RecordedEvents::default();
    let mut repair = repair(RepairLevel::Parse, resumes);
    for event in first {
        repair.event(event, &mut record);
    }
    assert!(repair.question().is_some(), "the model is asked again");
    let mut next = repair.follow_up();
    for event in second {
        next.event(event, &mut record);
    }
    next.give_up(&mut record);
    record.lines.into_iter().filter(|line| !line.starts_with("note ")).collect()
}
