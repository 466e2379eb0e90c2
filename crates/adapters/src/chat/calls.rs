//! Pieces of tool calls, in all the ways providers cut them, as calls with a slot each.
//!
//! Invariant: slots count from 0 in order of appearance; a call is announced once, when its name is known, and ended once.

use latimer_protocol::chat::chunk::{ChatFunctionDelta, ChatToolCallDelta};
use latimer_protocol::turn::{EventSink, StreamNote, TurnEvent};
use serde_json::value::RawValue;

use crate::reader::slot_number;
use crate::tool_names::ToolNames;

/// The calls of one answer.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<CallInProgress>,
}

#[derive(Debug, Default)]
struct CallInProgress {
    /// The provider's index, when it gives one.
    index: Option<u64>,
    id: String,
    name: String,
    announced: bool,
    /// Arguments that were not handed out: the name is not known, or they are wrapped and must be unwrapped whole.
    buffered: String,
    mode: ArgumentMode,
}

/// What is done with argument pieces.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ArgumentMode {
    /// Too little was seen to tell.
    #[default]
    Undecided,
    /// A plain object: pieces go straight through.
    PassThrough,
    /// Fenced, wrapped or quoted: kept until the end.
    Buffer,
}

impl Calls {
    pub(crate) fn any(&self) -> bool {
        self.calls.iter().any(|call| call.announced)
    }

    /// Reads one piece; `place` is its position in the chunk's list.
    pub(crate) fn push(
        &mut self,
        place: usize,
        piece: &ChatToolCallDelta<'_>,
        names: &ToolNames,
        sink: &mut dyn EventSink,
    ) {
        let slot = self.slot(place, piece);
        let empty = ChatFunctionDelta::default();
        let function = piece.function.0.as_ref().unwrap_or(&empty);
        let Some(call) = self.calls.get_mut(slot) else { return };
        if call.id.is_empty() {
            call.id.push_str(piece.id.some().unwrap_or_default());
        }
        if call.name.is_empty() {
            // Repeated in every piece at some providers: the first one wins (fixture chat/name-repeated-and-late.sse).
            call.name.push_str(names.client_name(function.name.some().unwrap_or_default().trim()));
        }
        call.announce(slot, sink);
        if let Some(arguments) = function.arguments {
            read_arguments(arguments, |text| call.arguments(slot, text, sink));
        }
    }

    /// The answer is over: what was held back goes out, and every call ends. In an answer that was `cut`, a call without arguments
    /// is not one that needs none: it does not end.
    pub(crate) fn finish(&mut self, cut: bool, sink: &mut dyn EventSink) {
        for (slot, call) in self.calls.iter_mut().enumerate() {
            if !call.announced {
                sink.event(TurnEvent::Note(StreamNote::UnnamedCall.into()));
                continue;
            }
            let slot = slot_number(slot);
            if cut && call.mode == ArgumentMode::Undecided && call.buffered.trim().is_empty() {
                continue;
            }
            if call.mode != ArgumentMode::PassThrough {
                let json = unwrap(&call.buffered);
                sink.event(TurnEvent::CallArguments { slot, json: &json });
            }
            sink.event(TurnEvent::CallEnded { slot });
        }
    }

    /// Which call a piece belongs to: by index; but a new id under a known index is a new call, and without an index a new
    /// id opens a call and no id goes on with the last one. Fixtures chat/calls-all-with-index-zero-gemini.sse,
    /// calls-without-index.sse and two-calls-in-one-piece-without-ids.sse.
    fn slot(&mut self, place: usize, piece: &ChatToolCallDelta<'_>) -> usize {
        let id = piece.id.some().unwrap_or_default();
        let found = match piece.index.0 {
            Some(index) => self.calls.iter().rposition(|call| {
                call.index == Some(index) && (id.is_empty() || call.id.is_empty() || call.id == id)
            }),
            None if id.is_empty() && place == 0 => self.calls.len().checked_sub(1),
            None if id.is_empty() => (place < self.calls.len()).then_some(place),
            None => self.calls.iter().rposition(|call| call.id == id),
        };
        found.unwrap_or_else(|| {
            self.calls.push(CallInProgress { index: piece.index.0, ..CallInProgress::default() });
            self.calls.len() - 1
        })
    }
}

impl CallInProgress {
    fn announce(&mut self, slot: usize, sink: &mut dyn EventSink) {
        if self.announced || self.name.is_empty() {
            return;
        }
        self.announced = true;
        let id = Some(self.id.as_str()).filter(|id| !id.is_empty());
        sink.event(TurnEvent::CallStarted { slot: slot_number(slot), id, name: &self.name });
        let buffered = std::mem::take(&mut self.buffered);
        self.arguments(slot, &buffered, sink);
    }

    fn arguments(&mut self, slot: usize, text: &str, sink: &mut dyn EventSink) {
        if text.is_empty() {
            return;
        }
        if self.announced && self.mode == ArgumentMode::PassThrough {
            return sink.event(TurnEvent::CallArguments { slot: slot_number(slot), json: text });
        }
        self.buffered.push_str(text);
        if self.mode == ArgumentMode::Undecided {
            self.mode = decide(&self.buffered);
        }
        if self.announced && self.mode == ArgumentMode::PassThrough {
            let buffered = std::mem::take(&mut self.buffered);
            sink.event(TurnEvent::CallArguments { slot: slot_number(slot), json: &buffered });
        }
    }
}

/// The wrapper some models put around their arguments (fixture chat/arguments-wrapped-twice.sse).
const WRAPPER: &str = "\"arguments\"";

/// Looks at the beginning: an object whose first key is not the wrapper goes through, anything else is kept.
fn decide(buffered: &str) -> ArgumentMode {
    let Some(body) = buffered.trim_start().strip_prefix('{') else {
        return if buffered.trim_start().is_empty() { ArgumentMode::Undecided } else { ArgumentMode::Buffer };
    };
    let key = body.trim_start();
    let seen = key.get(..WRAPPER.len().min(key.len())).unwrap_or(key);
    if seen.eq_ignore_ascii_case(WRAPPER) {
        ArgumentMode::Buffer
    } else if WRAPPER.get(..seen.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(seen)) {
        ArgumentMode::Undecided
    } else {
        ArgumentMode::PassThrough
    }
}

/// Takes arguments out of a code fence, a JSON string, or `{"arguments": …}`; nothing at all becomes an empty object. What
/// is none of these stays as it is: whether it is usable is the writer's question. Fixtures chat/arguments-in-a-fence.sse,
/// arguments-as-a-json-string.sse, arguments-wrapped-twice.sse and arguments-empty.sse.
fn unwrap(buffered: &str) -> String {
    let mut text = buffered.trim();
    if text.is_empty() {
        return "{}".to_owned();
    }
    if let Some(fenced) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) {
        let body = fenced.strip_prefix("json").unwrap_or(fenced);
        text = body.trim();
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::String(inner)) if inner.trim_start().starts_with('{') => inner,
        Ok(serde_json::Value::Null) => "{}".to_owned(),
        Ok(serde_json::Value::Object(map)) if map.len() == 1 => {
            match map.iter().find(|(key, _)| key.eq_ignore_ascii_case("arguments")) {
                Some((_, serde_json::Value::String(inner))) if inner.trim_start().starts_with('{') => {
                    inner.clone()
                }
                Some((_, inner @ serde_json::Value::Object(_))) => inner.to_string(),
                _ => text.to_owned(),
            }
        }
        _ => text.to_owned(),
    }
}

/// A piece of arguments: a JSON string, as it should be, or the object itself (fixture chat/arguments-as-an-object.sse).
fn read_arguments(raw: &RawValue, mut each: impl FnMut(&str)) {
    let raw = raw.get();
    if raw.starts_with('"') {
        // The text of a valid JSON string without escapes is what stands between its quotes.
        match raw.get(1..raw.len().saturating_sub(1)).filter(|text| has_no_escapes(text)) {
            Some(text) => each(text),
            None => each(&serde_json::from_str::<String>(raw).unwrap_or_default()),
        }
    } else if raw.starts_with(['{', '[']) {
        each(raw);
    }
}

fn has_no_escapes(text: &str) -> bool {
    !text.as_bytes().contains(&b'\\')
}
