//! What the tests of the Messages protocol share.
#![allow(dead_code, reason = "each test uses a part")]

#[path = "../script/play.rs"]
mod script;

use std::path::Path;

use latimer_protocol::turn::{EventSink as _, TurnEvent, Usage};
use latimer_proxy::inbound::messages::stream::MessagesWriter;
use latimer_proxy::inbound::writer::ClientWriter as _;
use serde_json::Value;

/// Plays one line of a script; in this protocol what is written to caches is counted, and a writer can be kept waiting.
pub(crate) fn play(writer: &mut MessagesWriter, line: &str) {
    let (input, output, cached, cache_write) = (Some(12), Some(7), Some(3), Some(2));
    match line {
        "alive" => writer.keep_alive(),
        "usage" => {
            writer.event(TurnEvent::Usage(Usage { input, output, cached, cache_write, ..Usage::default() }));
        }
        line => script::play(writer, line),
    }
}

/// The payloads of a stream.
pub(crate) trait Events {
    /// One value for each event.
    fn events(&self) -> Vec<Value>;
}

impl Events for [u8] {
    fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(self).expect("UTF-8");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
    }
}

/// One event a line.
pub(crate) fn shown_stream(bytes: &[u8]) -> String {
    let line = |event: Value| {
        let mut event = event;
        let kind = event["type"].take();
        event.as_object_mut().expect("an object").shift_remove("type");
        format!("{} {event}", kind.as_str().unwrap_or_default())
    };
    bytes.events().into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The snapshot beside a fixture: its name without `cut`, and with `tail` behind.
pub(crate) fn beside(path: &Path, cut: &str, tail: &str, text: &str) {
    let name = path.file_name().expect("named").to_string_lossy();
    let name = format!("{}{tail}", name.strip_suffix(cut).expect("its kind"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().expect("a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    settings.bind(|| insta::assert_snapshot!(name, text));
}
