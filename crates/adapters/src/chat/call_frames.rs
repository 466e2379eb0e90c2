//! Calls in the chunks of a Chat Completions stream that go through to a client. A client adds up the pieces of each index, and what it has
//! at the end it runs; so from the first piece of a call on, chunks are held to the end. Pure.

use std::sync::{Arc, LazyLock};

use latimer_protocol::chat::chunk::{ChatChunk, ChatToolCallDelta};
use latimer_protocol::turn::{EventSink, FinishReason, PassthroughFrame, TurnEvent};
use memchr::memmem::Finder;
use serde_json::{Map, Value, json};

use super::passthrough_reader::PIECE;
use crate::repair::{CallRules, FrameCalls, HeldFrames};

/// What `tool_calls` and `function_call` have in common, made once: it is looked for in each chunk.
static CALL_FIELDS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_call"));

/// Follows the calls of one stream.
#[derive(Debug)]
pub(crate) struct ChatCallFrames {
    rules: Arc<CallRules>,
    held: HeldFrames,
    calls: Vec<ChunkCall>,
    /// What a client makes of the pieces of each index, where that is another thing.
    merged: bool,
    /// More came than is held.
    too_large: bool,
}

/// A call as its pieces say.
#[derive(Debug, Default)]
struct ChunkCall {
    index: u64,
    id: String,
    name: String,
    text: String,
    form: CallForm,
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CallForm {
    /// `tool_calls[].function`.
    #[default]
    Function,
    /// `tool_calls[].custom`: any text.
    Custom,
    /// `function_call`, the API's first form.
    First,
}

impl ChatCallFrames {
    pub(crate) fn new(rules: Arc<CallRules>) -> Self {
        Self { rules, held: HeldFrames::default(), calls: Vec::new(), merged: false, too_large: false }
    }

    /// Takes the pieces of a chunk; true when it has any.
    fn pieces(&mut self, data: &str) -> bool {
        let chunk: ChatChunk<'_> = serde_json::from_str(data).unwrap_or_default();
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        let delta = value.pointer("/choices/0/delta");
        let mut any = false;
        let raw = delta.and_then(|delta| delta.get("tool_calls")).and_then(Value::as_array);
        let Some(read) = chunk.choices.first().and_then(|choice| choice.delta.0.as_ref()) else {
            return false;
        };
        for (place, (piece, raw)) in read.tool_calls.iter().zip(raw.into_iter().flatten()).enumerate() {
            any = true;
            self.piece(place, piece, raw);
        }
        if let Some(raw) = delta.and_then(|delta| delta.get("function_call")).filter(|raw| raw.is_object()) {
            any = true;
            if self.calls.is_empty() {
                self.calls.push(ChunkCall { form: CallForm::First, ..ChunkCall::default() });
            }
            if let Some(call) = self.calls.first_mut() {
                call.take(raw, "arguments");
            }
        }
        any
    }

    fn piece(&mut self, place: usize, piece: &ChatToolCallDelta<'_>, raw: &Value) {
        let id = piece.id.some().unwrap_or_default();
        let index = piece.index.0.unwrap_or(place as u64);
        let known = self.calls.iter().rposition(|call| call.index == index);
        let is_new = |call: &ChunkCall| !id.is_empty() && !call.id.is_empty() && call.id != id;
        let place = match known {
            Some(place) if !self.calls.get(place).is_some_and(is_new) => place,
            _ => {
                // Another call under an index that is taken: a client would make one of them.
                self.merged |= known.is_some();
                self.calls.push(ChunkCall { index, ..ChunkCall::default() });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(place) else { return };
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        match (raw.get("function"), raw.get("custom")) {
            (_, Some(custom)) => {
                call.form = CallForm::Custom;
                call.take(custom, "input");
            }
            (Some(function), None) => self.merged |= call.take(function, "arguments"),
            (None, None) => {}
        }
    }

    /// The calls as they may be run, and whether any differs from what came; or the tool of the one that nobody may run.
    fn settled(&self, by_itself: bool) -> Result<(Vec<ChunkCall>, bool), String> {
        let mut settled = Vec::new();
        let mut differs = self.merged;
        for call in &self.calls {
            if call.form == CallForm::Custom || (by_itself && call.text.trim().is_empty()) {
                settled.push(ChunkCall { index: settled.len() as u64, ..call.clone_as(&call.text, 0) });
                continue;
            }
            let whole = match self.rules.calls(&call.name, &call.text) {
                Ok(whole) => whole,
                Err(_) if by_itself => return Err(call.name.clone()),
                Err(_) => {
                    differs = true;
                    continue;
                }
            };
            differs |= !matches!(whole.as_slice(), [one] if one.arguments == call.text);
            for (place, one) in whole.iter().enumerate() {
                settled
                    .push(ChunkCall { index: settled.len() as u64, ..call.clone_as(&one.arguments, place) });
            }
        }
        Ok((settled, differs))
    }

    /// The held chunks with these calls in the place of the pieces.
    fn rewrite(&mut self, calls: &[ChunkCall], sink: &mut dyn EventSink) {
        let held = std::mem::take(&mut self.held);
        let mut calls = Some(calls).filter(|calls| !calls.is_empty());
        for frame in held.iter() {
            let mut value: Value = serde_json::from_str(frame.data).unwrap_or_default();
            let Some(delta) = value.pointer_mut("/choices/0/delta").and_then(Value::as_object_mut) else {
                sink.event(TurnEvent::Frame(frame));
                continue;
            };
            let had = [delta.shift_remove("tool_calls"), delta.shift_remove("function_call")];
            if had.iter().all(Option::is_none) {
                sink.event(TurnEvent::Frame(frame));
                continue;
            }
            if let Some(calls) = calls.take() {
                write_calls(delta, calls);
            }
            let says =
                delta.iter().any(|(name, value)| name != "role" && !value.is_null() && *value != json!(""));
            let ends = value.pointer("/choices/0/finish_reason").is_some_and(|reason| !reason.is_null());
            if says || ends || value.get("usage").is_some_and(|usage| !usage.is_null()) {
                sink.event(TurnEvent::Frame(PassthroughFrame { data: &value.to_string(), ..frame }));
            }
        }
    }
}

impl ChunkCall {
    /// Adds a piece; true where it is no text, which a client cannot add up.
    fn take(&mut self, raw: &Value, field: &str) -> bool {
        if self.name.is_empty() {
            raw.get("name").and_then(Value::as_str).unwrap_or_default().clone_into(&mut self.name);
        }
        match raw.get(field) {
            Some(Value::String(piece)) => self.text.push_str(piece),
            Some(Value::Null) | None => {}
            Some(other) => {
                self.text.push_str(&other.to_string());
                return true;
            }
        }
        false
    }

    /// The same call with this text; one of several has an id of its own.
    fn clone_as(&self, text: &str, place: usize) -> Self {
        let id = if place == 0 { self.id.clone() } else { format!("{}_{place}", self.id) };
        Self { index: self.index, id, name: self.name.clone(), text: text.to_owned(), form: self.form }
    }
}

fn write_calls(delta: &mut Map<String, Value>, calls: &[ChunkCall]) {
    if let Some(first) = calls.first().filter(|call| call.form == CallForm::First) {
        delta.insert("function_call".to_owned(), json!({ "name": first.name, "arguments": first.text }));
        return;
    }
    let element = |call: &ChunkCall| match call.form {
        CallForm::Custom => {
            json!({ "index": call.index, "id": call.id, "type": "custom", "custom": { "name": call.name, "input": call.text } })
        }
        CallForm::Function | CallForm::First => {
            json!({ "index": call.index, "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.text } })
        }
    };
    delta.insert("tool_calls".to_owned(), calls.iter().map(element).collect());
}

impl FrameCalls for ChatCallFrames {
    fn frame(&mut self, frame: &PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        // A word that speaks of calls does no harm here: the chunk is looked at and goes on.
        let any = CALL_FIELDS.find(frame.data.as_bytes()).is_some() && self.pieces(frame.data);
        if self.too_large {
            return;
        }
        if !any && self.calls.is_empty() {
            return sink.event(TurnEvent::Frame(*frame));
        }
        // Words between the pieces of calls wait for no call.
        if !any && frame.kind == PIECE && frame.semantic {
            return sink.event(TurnEvent::Frame(*frame));
        }
        self.too_large = !self.held.push(frame);
    }

    fn finish(&mut self, reason: &FinishReason, sink: &mut dyn EventSink) -> Option<String> {
        let by_itself = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        if matches!(reason, FinishReason::Failed(_)) {
            return None;
        }
        if self.too_large {
            return self.calls.last().map(|call| call.name.clone());
        }
        match self.settled(by_itself) {
            Ok((_, false)) => self.held.release(sink),
            Ok((calls, true)) => self.rewrite(&calls, sink),
            Err(name) => return Some(name),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::RecordedEvents;

    fn run(deltas: &[Value], reason: &FinishReason) -> (Vec<Value>, Option<String>) {
        let mut record = RecordedEvents::default();
        let mut frames = ChatCallFrames::new(Arc::default());
        for delta in deltas {
            let data =
                json!({ "id": "c", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
                    .to_string();
            let frame =
                PassthroughFrame { kind: PIECE, data: &data, semantic: *delta != json!({}), state_of: None };
            frames.frame(&frame, &mut record);
        }
        let broken = frames.finish(reason, &mut record);
        let delta = |line: &String| {
            let value: Value =
                serde_json::from_str(line.trim_start_matches("frame piece ")).expect("a frame");
            value["choices"][0]["delta"].clone()
        };
        (record.lines.iter().map(delta).collect(), broken)
    }

    fn piece(index: u64, id: &str, arguments: &str) -> Value {
        json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": "f", "arguments": arguments } }] })
    }

    const END: FinishReason = FinishReason::ToolCalls;

    #[test]
    fn right_calls_go_through_as_they_came() {
        let right = [
            json!({ "content": "a" }),
            piece(0, "a", "{\"a\""),
            piece(1, "b", "{}"),
            piece(0, "", ":1}"),
            json!({}),
        ];
        assert_eq!(run(&right, &END), (right.to_vec(), None));
        let empty = [piece(0, "a", "")];
        assert_eq!(run(&empty, &END), (empty.to_vec(), None));
    }

    #[test]
    fn copies_and_several_objects_become_what_was_meant() {
        let call = |index: u64, id: &str, arguments: &str| json!({ "index": index, "id": id, "type": "function", "function": { "name": "f", "arguments": arguments } });
        let (deltas, broken) = run(&[piece(0, "a", "{\"a\":1}"), piece(0, "", "{\"a\":1}")], &END);
        assert_eq!((deltas, broken), (vec![json!({ "tool_calls": [call(0, "a", "{\"a\":1}")] })], None));
        let (deltas, _) = run(&[piece(0, "a", "{}"), piece(0, "b", "{}")], &END);
        assert_eq!(deltas, [json!({ "tool_calls": [call(0, "a", "{}"), call(1, "b", "{}")] })]);
        let first = |arguments: &str| json!({ "function_call": { "name": "f", "arguments": arguments } });
        assert_eq!(run(&[first("{}"), first("{}")], &END).0, [first("{}")]);
    }

    #[test]
    fn of_a_broken_call_nothing_is_handed_on() {
        let broken = [piece(0, "a", "{\"a\":"), piece(1, "b", "{}")];
        assert_eq!(run(&broken, &END), (vec![], Some("f".to_owned())));
        let (deltas, told) = run(&broken, &FinishReason::Length);
        assert_eq!((deltas.len(), told), (1, None));
        assert_eq!(deltas[0]["tool_calls"][0]["id"], "b");
    }
}
