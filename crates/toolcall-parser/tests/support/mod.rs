//! What the tests of the crate share: the declared tools, and pieces from events.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

pub(crate) mod planted;
pub(crate) mod slips;

use std::path::PathBuf;

use toolcall_parser::{Event, Options, Piece, PieceKind, Scanner, Tool};

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/toolcalls")
}

/// The tools of `tools.json`.
pub(crate) fn tools() -> Vec<Tool> {
    let text = std::fs::read_to_string(fixtures().join("tools.json")).expect("readable");
    let tools: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let tool = |tool: &serde_json::Value| {
        Tool::new(tool["name"].as_str().expect("a name"), &tool["parameters"].to_string())
    };
    tools.as_array().expect("a list").iter().map(tool).collect()
}

/// The pieces of a text that arrives in chunks, made from the events alone.
pub(crate) fn stream<'a>(chunks: impl IntoIterator<Item = &'a str>, options: &Options) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    let mut begun: Vec<(String, String)> = Vec::new();
    let mut sink = |event: Event<'_>| {
        let (text, kind) = match event {
            Event::Text(text) | Event::Stray(text) => (text, PieceKind::Text),
            Event::Reasoning(text) => (text, PieceKind::Reasoning),
            Event::Markup(text) => (text, PieceKind::Markup),
            Event::CallStarted { index, name, .. } => {
                assert_eq!(index, begun.len(), "calls are numbered in order");
                assert!(
                    options.tools.iter().any(|tool| tool.name() == name),
                    "{name} is announced and not declared"
                );
                begun.push((name.to_owned(), String::new()));
                return;
            }
            Event::CallArguments { index, json } => {
                begun[index].1.push_str(json);
                return;
            }
            Event::CallEnded { index, call, text } => {
                assert_eq!(
                    begun[index],
                    (call.name.clone(), call.arguments.clone()),
                    "the pieces are the call"
                );
                (text, PieceKind::Call(call.clone()))
            }
            Event::Request { request, text } => (text, PieceKind::Request(request.clone())),
            Event::Cut { problem, text } => (text, PieceKind::Cut(problem.clone())),
            Event::CallRefused { .. } | Event::Problem(_) => return,
        };
        let span = at..at + text.len();
        at = span.end;
        let joins = matches!(kind, PieceKind::Text | PieceKind::Reasoning | PieceKind::Markup);
        match pieces.last_mut() {
            Some(last) if joins && last.kind == kind => last.span.end = span.end,
            _ => pieces.push(Piece { span, kind }),
        }
    };
    let mut scanner = Scanner::new(options.clone());
    for chunk in chunks {
        scanner.push(chunk, &mut sink);
    }
    scanner.finish(&mut sink);
    pieces
}

/// A text as its characters.
pub(crate) fn characters(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()])
}

/// What holds for every text: the spans join, and every call is a declared tool with an object.
pub(crate) fn check(text: &str, pieces: &[Piece], options: &Options) {
    let mut at = 0;
    for piece in pieces {
        assert_eq!(piece.span.start, at, "a gap before {piece:?} in {text:?}");
        at = piece.span.end;
        if let PieceKind::Call(call) = &piece.kind {
            assert!(options.tools.iter().any(|tool| tool.name() == call.name), "{call:?} is not declared");
            let arguments: serde_json::Value = serde_json::from_str(&call.arguments).expect("JSON");
            assert!(arguments.is_object(), "{call:?}");
        }
    }
    assert_eq!(at, text.len(), "the end of {text:?} is lost");
}
