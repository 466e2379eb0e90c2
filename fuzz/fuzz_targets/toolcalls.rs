//! A model's text gives the same pieces however it is cut, and nothing of it is lost. Where somebody else is known to have written it,
//! no call is in it. The first byte says into which pieces, its highest bit whether calls are believed only at the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolcall_parser::{Dialect, Event, Options, Provenance, Rules, Scanner, Tool, Trust, Writer, sanitize};

const SCHEMA: &str = r#"{"type":"object","properties":{"cmd":{"type":"string"},"n":{"type":"integer"},"o":{"type":"object"}},"required":["cmd"]}"#;

/// The source in order, the calls, and the visible text.
fn read<'a>(chunks: impl Iterator<Item = &'a str>, options: &Options) -> (String, Vec<String>, String) {
    let (mut source, mut calls, mut visible) = (String::new(), Vec::new(), String::new());
    let mut sink = |event: Event<'_>| match event {
        Event::Text(text) | Event::Stray(text) => {
            source.push_str(text);
            visible.push_str(text);
        }
        Event::Reasoning(text) | Event::Markup(text) | Event::Request { text, .. } | Event::Cut { text, .. } => source.push_str(text),
        Event::CallEnded { call, text, .. } => {
            source.push_str(text);
            assert!(options.tools.iter().any(|tool| tool.name() == call.name));
            let arguments: serde_json::Value = serde_json::from_str(&call.arguments).expect("JSON");
            assert!(arguments.is_object());
            calls.push(format!("{call:?}"));
        }
        _ => {}
    };
    let mut scanner = Scanner::new(options.clone());
    for chunk in chunks {
        scanner.push(chunk, &mut sink);
    }
    scanner.finish(&mut sink);
    (source, calls, visible)
}

/// The arguments of a native call: only objects come out, a right one comes out as it is, and its copy is no second call.
fn native(text: &str, options: &Options) {
    let object = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    for rules in [Rules::Objects, Rules::Contents, Rules::All] {
        let Ok(calls) = sanitize("f", text, options, rules) else { continue };
        assert!(!calls.is_empty());
        // Half a pair, or a number that no reader takes, is for whoever asks to refuse.
        let is_object = |text: &str| text.contains("\\u") || text.contains(['e', 'E']) || object(text).is_ok();
        assert!(calls.iter().all(|call| is_object(&call.arguments)), "{calls:?}");
    }
    if object(text).is_ok() && !text.contains("\\u") {
        let right = |text: &str| {
            let calls = sanitize("f", text, options, Rules::Objects)?;
            Ok::<Vec<String>, toolcall_parser::Problem>(calls.into_iter().map(|call| call.arguments).collect())
        };
        assert_eq!(right(text), Ok(vec![text.to_owned()]));
        assert_eq!(right(&format!("{text}{text}")).map(|calls| calls.len()), Ok(1));
        assert_eq!(right(&format!("{text}}}")).map(|calls| calls.len()), Ok(1));
    }
}

fuzz_target!(|data: &[u8]| {
    let [size, hint, bytes @ ..] = data else { return };
    let text = String::from_utf8_lossy(bytes);
    let options = Options::new([Tool::new("exec_command", SCHEMA), Tool::new("f", "{}")])
        .hint(Dialect::ALL.get(usize::from(*hint)).copied())
        .trust(if *size > 127 { Trust::Alone } else { Trust::Bare });
    native(&text, &options);
    let whole = read(std::iter::once(&*text), &options);
    assert_eq!(whole.0, text);
    let step = usize::from(*size).max(1);
    let mut rest = &*text;
    let chunks = std::iter::from_fn(|| {
        if rest.is_empty() {
            return None;
        }
        let end = (step.min(rest.len())..=rest.len()).find(|at| rest.is_char_boundary(*at))?;
        let (chunk, after) = rest.split_at(end);
        rest = after;
        Some(chunk)
    });
    assert_eq!(read(chunks, &options), whole);
    // Whoever wrote the whole text wrote each part of it.
    let written = text.clone().into_owned();
    let known = options.provenance(Provenance::new(move |each| each(Writer::Other, &written)));
    let shown = read(std::iter::once(&*text), &known);
    assert_eq!((shown.0.as_str(), shown.1.as_slice()), (&*text, [].as_slice()));
});
