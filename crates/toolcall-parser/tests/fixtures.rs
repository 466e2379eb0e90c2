//! Every fixture: whole against its snapshot, then byte by byte and cut at every place, always with the same pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use support::{characters, check, fixtures, stream, tools};
use toolcall_parser::{Dialect, Event, Options, Piece, PieceKind, Scanner, parse};

struct Case {
    name: String,
    text: String,
    options: Options,
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn cases(folder: &Path) -> Vec<Case> {
    let dialect = Dialect::from_name(&folder.file_name().expect("named").to_string_lossy());
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    let case = |path: PathBuf| {
        let name = path.file_stem().expect("named").to_string_lossy().into_owned();
        let hint = dialect.filter(|_| name.ends_with(".hinted"));
        Case {
            text: std::fs::read_to_string(path).expect("UTF-8"),
            options: Options::new(tools()).hint(hint),
            name,
        }
    };
    paths.into_iter().map(case).collect()
}

fn shown(text: &str, piece: &Piece) -> String {
    let source = &text[piece.span.clone()];
    match &piece.kind {
        PieceKind::Text => format!("text {source:?}"),
        PieceKind::Reasoning => format!("reasoning {source:?}"),
        PieceKind::Markup => format!("markup {source:?}"),
        PieceKind::Request(request) => format!("request {} {:?}", request.kind, request.body),
        PieceKind::Cut(problem) => format!("cut {problem}"),
        PieceKind::Call(call) => {
            let mut line = format!("call {} {} {}", call.dialect, call.name, call.arguments);
            if let Some(id) = &call.id {
                let _ = write!(line, " id {id}");
            }
            for repair in &call.repairs {
                let _ = write!(line, " [{repair}]");
            }
            line
        }
    }
}

#[test]
fn every_text_means_what_its_snapshot_says() {
    for folder in folders() {
        let mut snapshot = String::new();
        for Case { name, text, options } in cases(&folder) {
            let _ = writeln!(snapshot, "== {name}");
            for piece in parse(&text, &options) {
                let _ = writeln!(snapshot, "{}", shown(&text, &piece));
            }
        }
        let name = folder.file_name().expect("named").to_string_lossy().into_owned();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(fixtures());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, snapshot));
    }
}

#[test]
fn it_does_not_matter_how_a_text_is_cut() {
    for folder in folders() {
        for Case { name, text, options } in cases(&folder) {
            let whole = parse(&text, &options);
            check(&text, &whole, &options);
            assert_eq!(stream(characters(&text), &options), whole, "{name}, by characters");
            for (at, _) in text.char_indices() {
                assert_eq!(stream([&text[..at], &text[at..]], &options), whole, "{name}, cut at {at}");
            }
        }
    }
}

#[test]
fn there_are_enough_of_them() {
    let all: Vec<Case> = folders().iter().flat_map(|folder| cases(folder)).collect();
    let calls = |case: &&Case| {
        parse(&case.text, &case.options).iter().any(|piece| matches!(piece.kind, PieceKind::Call(_)))
    };
    let (with, without): (Vec<_>, Vec<_>) = all.iter().partition(calls);
    // 320 were read before a quotation was told from a call by where it stands, and 318 of those still are.
    assert!(with.len() >= 320 && without.len() >= 60, "{} with calls, {} without", with.len(), without.len());
}

#[test]
fn without_declared_tools_everything_is_text() {
    for folder in folders() {
        for Case { text, .. } in cases(&folder) {
            let pieces = parse(&text, &Options::new([]));
            assert!(pieces.iter().all(|piece| piece.kind == PieceKind::Text), "{text:?}");
        }
    }
}

/// The events of a text that arrives in pieces of five bytes, a line each.
fn events(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut sink = |event: Event<'_>| {
        lines.push(match event {
            Event::CallStarted { name, .. } => format!("started {name}"),
            Event::CallArguments { json, .. } => json.to_owned(),
            Event::CallEnded { .. } => "ended".to_owned(),
            Event::CallRefused { .. } => "refused".to_owned(),
            Event::Text(text) => format!("text {text}"),
            _ => return,
        });
    };
    let mut scanner = Scanner::new(Options::new(tools()));
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(5));
        scanner.push(piece, &mut sink);
        rest = after;
    }
    scanner.finish(&mut sink);
    lines
}

#[test]
fn a_call_streams_out_as_it_becomes_certain() {
    let tags = "<tool_call>\n<function=write_file>\n<parameter=path>\na.txt\n</parameter>\n<parameter=content>\none\ntwo three\n</parameter>\n</function>\n</tool_call>";
    let written = events(tags);
    assert_eq!(written[0], "started write_file");
    assert!(written.len() > 6, "in pieces: {written:?}");
    assert_eq!(written[1..written.len() - 1].concat(), r#"{"path":"a.txt","content":"one\ntwo three"}"#);
    let json = "<|tool_call_begin|>functions.write_file:0<|tool_call_argument_begin|>{\"path\": \"a.txt\", \"content\": \"one\"}<|tool_call_end|>";
    let written = events(json);
    assert!(written.len() > 6, "in pieces: {written:?}");
    assert_eq!(written[1..written.len() - 1].concat(), r#"{"path": "a.txt", "content": "one"}"#);
    // What turns out to need mending, or to be no call, is taken back.
    let mended = events(&json.replace("\"one\"}", "\"one\",}"));
    let refused = mended.iter().position(|line| line == "refused").expect("taken back");
    assert_eq!(mended[refused + 1..], ["started write_file", r#"{"path":"a.txt","content":"one"}"#, "ended"]);
    let broken = events(&json.replace("\"one\"}", "one}"));
    assert_eq!(
        broken[broken.iter().position(|line| line == "refused").expect("taken back") + 1..].concat(),
        format!("text {}", json.replace("\"one\"}", "one}"))
    );
}
