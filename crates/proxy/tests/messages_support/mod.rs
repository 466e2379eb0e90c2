//! What the tests of the Messages protocol share.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::Path;

use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::turn::{FinishReason, Opaque, Owner, Sink as _, TurnEvent, Usage};
use latimer_proxy::inbound::messages::stream::Writer;
use serde_json::Value;

/// Plays one line of a script: the words of `TurnEvent`'s `Display`.
pub(crate) fn play(writer: &mut Writer, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || {
        let quoted =
            if rest.starts_with('"') { rest } else { rest.split_once(' ').map_or(rest, |(_, text)| text) };
        serde_json::from_str::<String>(quoted).expect(line)
    };
    let slot = || rest.split(' ').next().and_then(|slot| slot.parse().ok()).expect(line);
    match word {
        "started" => writer.event(TurnEvent::Started),
        "text" => writer.event(TurnEvent::Text(&text())),
        "refusal" => writer.event(TurnEvent::Refusal(&text())),
        "reasoning" => writer.event(TurnEvent::Reasoning(&text())),
        "state" => {
            writer.event(TurnEvent::ReasoningState(Opaque { owner: Owner::new("lab", "m"), data: text() }));
        }
        "call" => {
            let words: Vec<&str> = rest.split(' ').collect();
            let id = Some(words[1]).filter(|id| *id != "-");
            writer.event(TurnEvent::CallStarted { slot: slot(), id, name: words[2] });
        }
        "args" => writer.event(TurnEvent::CallArguments { slot: slot(), json: &text() }),
        "end" => writer.event(TurnEvent::CallEnded { slot: slot() }),
        "usage" => writer.event(TurnEvent::Usage(Usage {
            input: Some(12),
            output: Some(7),
            cached: Some(3),
            cache_write: Some(2),
            ..Usage::default()
        })),
        "alive" => writer.keep_alive(),
        "finished" => writer.event(TurnEvent::Finished(match rest {
            "stop" => FinishReason::Stop,
            "tool_calls" => FinishReason::ToolCalls,
            "length" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Failed(Failure::new(Kind::Interrupted, "lab: cut")),
        })),
        other => panic!("unknown word {other}"),
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
