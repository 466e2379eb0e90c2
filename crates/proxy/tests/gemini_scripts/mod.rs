//! What the tests of the Gemini front share: scripts of turn events, and answers in a form people can read.
#![allow(dead_code, reason = "each test uses some of it")]

#[path = "../script/play.rs"]
mod script;

use std::fmt::Write as _;
use std::path::Path;

use latimer_protocol::turn::{EventSink, OpaqueState, SealKey, TurnEvent, Usage};
use latimer_proxy::inbound::gemini::request;
use latimer_proxy::inbound::gemini::stream::{Form, GeminiWriter, GeminiWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use serde_json::Value;

const REQUEST: &str =
    r#"{"contents":"go","tools":[{"functionDeclarations":[{"name":"read"},{"name":"mcp.lab:add"}]}]}"#;

/// A writer for the answer to a request with two functions, one of which goes by another name in the hub.
pub(crate) fn writer(form: Form) -> GeminiWriter {
    let parsed = request::read("gemini-3-flash", REQUEST.as_bytes(), &SealKey::default()).expect("a request");
    let seed = WriterSeed { random: [7; 16], call_ids: ["taken".to_owned()].into(), ..WriterSeed::default() };
    let options = GeminiWriterOptions { model: parsed.turn.model, form, thoughts: true, input_tokens: 50 };
    GeminiWriter::new(seed, options, parsed.names)
}

/// Plays a line of a script; in this protocol thoughts are counted apart.
pub(crate) fn play(sink: &mut dyn EventSink, line: &str) {
    if line == "usage" {
        let (input, output, cached, reasoning) = (Some(12), Some(7), Some(3), Some(2));
        return sink.event(TurnEvent::Usage(Usage { input, output, cached, reasoning, ..Usage::default() }));
    }
    script::play(sink, line);
}

/// Plays a line to a writer, which can be kept waiting as well.
pub(crate) fn drive(writer: &mut GeminiWriter, line: &str) {
    if line == "alive" { writer.keep_alive() } else { play(writer, line) }
}

/// A whole script in one form: the stream, or the object.
pub(crate) fn played<'l>(form: Form, lines: impl IntoIterator<Item = &'l str>) -> Vec<u8> {
    let mut writer = writer(form);
    lines.into_iter().for_each(|line| drive(&mut writer, line));
    if form == Form::Object { writer.take_object() } else { writer.take() }
}

/// The pieces of a stream of either form, and the bare error at its end.
pub(crate) fn pieces(form: Form, bytes: &[u8]) -> Vec<Value> {
    match form {
        Form::Events => {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
            let data = frames.map(|frame| frame.strip_prefix("data: ").unwrap_or(frame));
            data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
        }
        Form::Array => serde_json::from_slice(bytes).expect("an array"),
        Form::Object => vec![serde_json::from_slice(bytes).expect("an object")],
    }
}

/// A piece on a line, without what is the same in all of them, and with what a seal holds.
pub(crate) fn shown(piece: &Value) -> String {
    if piece.get("error").is_some() {
        return piece.to_string();
    }
    let candidate = &piece["candidates"][0];
    let mut line = String::new();
    for part in candidate["content"]["parts"].as_array().expect("parts") {
        let mut part = part.clone();
        if let Some(signature) = part.get_mut("thoughtSignature") {
            let states = opened(signature);
            *signature = states.iter().map(|state| state.data.clone()).collect::<Vec<_>>().into();
        }
        line.push_str(&part.to_string());
        line.push(' ');
    }
    for (name, value) in [
        ("finish", &candidate["finishReason"]),
        ("message", &candidate["finishMessage"]),
        ("usage", &piece["usageMetadata"]),
    ] {
        if !value.is_null() {
            let _ = write!(line, "{name} {value} ");
        }
    }
    line.trim_end().to_owned()
}

/// What a signature carries.
pub(crate) fn opened(signature: &Value) -> Vec<OpaqueState> {
    latimer_protocol::gemini::signature::open(signature.as_str().expect("a string"), &SealKey::default())
}

/// Compares with the snapshot of this ending beside a fixture.
pub(crate) fn snapshot(path: &Path, ending: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().expect("a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    let name = path.file_name().expect("named").to_string_lossy();
    let name = name.trim_end_matches(".json").trim_end_matches(".request").trim_end_matches(".events");
    settings.bind(|| insta::assert_snapshot!(format!("{name}{ending}"), text));
}
