//! Chat Completions chunks to turn events. Pure.

use latimer_protocol::chat::chunk::{ChatChunk, ChatDelta};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, StreamNote, TurnEvent};
use serde_json::Value;

use super::calls::Calls;
use super::think::ThinkTagSplitter;
use crate::errors;
use crate::reader::{BodyEnd, Foreign, Progress, Reader, ReaderContext, StopClass};
use crate::repeated_shape::RepeatedShape;

/// What each finish reason means.
const FINISH: [(&str, StopClass); 17] = [
    ("stop", StopClass::Normal),
    ("eos", StopClass::Normal),
    ("end_turn", StopClass::Normal),
    ("stop_sequence", StopClass::Normal),
    ("tool_calls", StopClass::Normal),
    ("function_call", StopClass::Normal),
    ("tool_use", StopClass::Normal),
    ("length", StopClass::Length),
    ("max_tokens", StopClass::Length),
    ("model_length", StopClass::Length),
    ("model_context_window_exceeded", StopClass::Length),
    ("content_filter", StopClass::Filter),
    ("sensitive", StopClass::Filter),
    ("insufficient_system_resource", StopClass::Broken),
    ("network_error", StopClass::Broken),
    ("error", StopClass::Broken),
    ("abort", StopClass::Broken),
];

/// Reads one chat stream, or one whole completion.
///
/// Invariant: `finish` emits `Finished` exactly once; `push` never does.
pub struct ChatReader {
    progress: Progress,
    /// Something a person or a client would miss was read.
    has_output: bool,
    split: ThinkTagSplitter,
    calls: Calls,
    details: Vec<Value>,
    stop: Option<StopClass>,
    saw_end_marker: bool,
    failure: Option<Failure>,
    /// The last chunk that was nothing but a piece of text.
    shape: RepeatedShape,
}

impl ChatReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext) -> Self {
        Self {
            progress: Progress::new(context),
            has_output: false,
            split: ThinkTagSplitter::default(),
            calls: Calls::default(),
            details: Vec::new(),
            stop: None,
            saw_end_marker: false,
            failure: None,
            shape: RepeatedShape::default(),
        }
    }

    /// Reads one chunk.
    pub(super) fn chunk(&mut self, chunk: &ChatChunk<'_>, sink: &mut dyn EventSink) {
        if let Some(error) = chunk.error {
            self.failure = Some(errors::stream_error(
                error.get(),
                &self.progress.context.endpoint,
                &self.progress.context.model,
            ));
            return;
        }
        self.progress.begin(sink);
        // latimer asks for one alternative; a second one would only repeat the first in other words (fixture
        // chat/second-alternative-is-passed-over.sse).
        if let Some(choice) =
            chunk.choices.iter().find(|choice| choice.index.0.is_none_or(|index| index == 0))
        {
            if let Some(delta) = choice.delta.0.as_ref().or(choice.message.0.as_deref()) {
                self.delta(delta, sink);
            }
            if let Some(reason) = choice.finish_reason.some() {
                self.finish_reason(reason, sink);
            }
            if let Some(usage) = choice.usage.0.and_then(latimer_protocol::chat::chunk::ChatUsage::to_turn) {
                sink.event(TurnEvent::Usage(usage));
            }
        }
        let usage = chunk.usage.0.or(chunk.x_groq.0.and_then(|groq| groq.usage.0));
        if let Some(usage) = usage.and_then(latimer_protocol::chat::chunk::ChatUsage::to_turn) {
            sink.event(TurnEvent::Usage(usage));
        }
    }

    /// JSON in which nothing of a chunk was found: an empty chunk, a failure in words of its own, a completion in an envelope.
    pub(super) fn bare_chunk(&mut self, text: &str, sink: &mut dyn EventSink) {
        let value = serde_json::from_str::<Value>(text).unwrap_or_default();
        // MiniMax puts a failure beside an empty list.
        if is_completion(&value) && value.get("base_resp").is_none() {
            return self.progress.begin(sink);
        }
        match self.progress.foreign(text, is_completion) {
            Foreign::Failed(failure) => self.failure = Some(failure),
            Foreign::Answer(answer) => {
                if let Ok(chunk) = serde_json::from_str::<ChatChunk<'_>>(&answer) {
                    self.chunk(&chunk, sink);
                }
            }
            Foreign::Nothing => {}
        }
    }

    /// Nothing was read that is part of an answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.stop.is_none() && !self.has_output
    }

    /// What was read last was a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    fn delta(&mut self, delta: &ChatDelta<'_>, sink: &mut dyn EventSink) {
        if let Some(thoughts) = delta.reasoning_content.some().or(delta.reasoning.some()) {
            self.has_output = true;
            sink.event(TurnEvent::Reasoning(thoughts));
        }
        if !delta.content.thinking.is_empty() {
            self.has_output = true;
            sink.event(TurnEvent::Reasoning(&delta.content.thinking));
        }
        if let Some(details) = delta.reasoning_details {
            self.reasoning_details(details.get());
        }
        if let Some(text) = delta.content.text.some() {
            self.text(text, sink);
        }
        if let Some(refusal) = delta.refusal.some() {
            self.has_output = true;
            sink.event(TurnEvent::Refusal(refusal));
        }
        if !delta.tool_calls.is_empty() || delta.function_call.0.is_some() {
            self.has_output = true;
            self.reasoning_ends(sink);
            self.split.finish(sink);
        }
        for (place, piece) in delta.tool_calls.iter().enumerate() {
            self.calls.push(place, piece, &self.progress.context.names, sink);
        }
        if let Some(function) = &delta.function_call.0 {
            let piece = latimer_protocol::chat::chunk::ChatToolCallDelta {
                index: latimer_protocol::lenient::LenientCount(Some(0)),
                function: latimer_protocol::lenient::LenientObject(Some(
                    latimer_protocol::chat::chunk::ChatFunctionDelta {
                        name: function.name.clone(),
                        arguments: function.arguments,
                    },
                )),
                ..Default::default()
            };
            self.calls.push(0, &piece, &self.progress.context.names, sink);
        }
    }

    fn text(&mut self, text: &str, sink: &mut dyn EventSink) {
        self.has_output = true;
        self.reasoning_ends(sink);
        self.split.push(text, sink);
    }

    /// Reads a chunk that is the last one with another text; false when it is not.
    pub(super) fn same_chunk(&mut self, data: &str, sink: &mut dyn EventSink) -> bool {
        let Some(text) = self.shape.text(data).filter(|_| self.stop.is_none()) else { return false };
        self.progress.begin(sink);
        self.text(text, sink);
        true
    }

    /// Remembers a chunk that was nothing but a piece of text.
    pub(super) fn remember(&mut self, data: &str, chunk: &ChatChunk<'_>) {
        if let Some(text) = only_text(chunk) {
            self.shape.remember(data, text);
        }
    }

    /// Details come in pieces with an index; pieces of one index are one detail, their texts joined (fixture
    /// chat/reasoning-details-openrouter.sse).
    fn reasoning_details(&mut self, raw: &str) {
        let Ok(Value::Array(pieces)) = serde_json::from_str::<Value>(raw) else { return };
        for piece in pieces {
            let index = piece.get("index").cloned();
            let same = |known: &&mut Value| {
                index.is_some()
                    && known.get("index") == index.as_ref()
                    && known.get("type") == piece.get("type")
            };
            let Some(known) = self.details.iter_mut().find(same) else {
                self.details.push(piece);
                continue;
            };
            let Value::Object(fields) = piece else { continue };
            for (name, value) in fields {
                match (known.get_mut(&name), value) {
                    (Some(Value::String(text)), Value::String(more))
                        if matches!(name.as_str(), "text" | "summary" | "data") =>
                    {
                        text.push_str(&more);
                    }
                    (Some(Value::Null) | None, value) => {
                        if let Some(known) = known.as_object_mut() {
                            known.insert(name, value);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Text or calls begin, or the answer ends: the state that belongs to the thoughts is whole.
    fn reasoning_ends(&mut self, sink: &mut dyn EventSink) {
        if !self.details.is_empty() {
            let data = Value::Array(std::mem::take(&mut self.details)).to_string();
            sink.event(TurnEvent::ReasoningState(OpaqueState {
                owner: self.progress.context.owner.clone(),
                data,
            }));
        }
    }

    fn finish_reason(&mut self, reason: &str, sink: &mut dyn EventSink) {
        let known = StopClass::find(&FINISH, reason);
        if known.is_none() {
            sink.event(TurnEvent::Note(StreamNote::UnknownFinishReason.into()));
        }
        let stop = known.unwrap_or(StopClass::Normal);
        if stop == StopClass::Broken {
            let what = format!("the provider broke the answer off ({})", reason.to_ascii_lowercase());
            self.failure = Some(self.progress.failure(FailureKind::Overloaded, &what));
        }
        self.stop = Some(stop);
    }

    fn reason(&self, end: BodyEnd) -> FinishReason {
        if let Some(failure) = &self.failure {
            return FinishReason::Failed(failure.clone());
        }
        match (self.stop, end) {
            (Some(StopClass::Length), _) => FinishReason::Length,
            (Some(StopClass::Filter), _) => FinishReason::ContentFilter,
            // Calls win: some providers say `stop` although there are calls (fixture chat/text-and-call-with-finish-stop.sse).
            (Some(_), _) => self.normal(),
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) if self.saw_end_marker && self.has_output => self.normal(),
            (None, BodyEnd::Clean) => {
                FinishReason::Failed(self.progress.interrupted("a Chat Completions stream"))
            }
        }
    }

    fn normal(&self) -> FinishReason {
        if self.calls.any() { FinishReason::ToolCalls } else { FinishReason::Stop }
    }
}

/// The text of a chunk in which nothing else is said.
fn only_text<'c>(chunk: &'c ChatChunk<'_>) -> Option<&'c str> {
    let [choice] = &*chunk.choices else { return None };
    let delta = choice.delta.0.as_ref()?;
    let is_only_text = chunk.usage.0.is_none()
        && chunk.x_groq.0.is_none()
        && chunk.error.is_none()
        && choice.index.0.is_none_or(|index| index == 0)
        && choice.message.0.is_none()
        && choice.finish_reason.some().is_none()
        && choice.usage.0.is_none()
        && delta.content.thinking.is_empty()
        && delta.reasoning_content.some().or(delta.reasoning.some()).or(delta.refusal.some()).is_none()
        && delta.reasoning_details.is_none()
        && delta.tool_calls.is_empty()
        && delta.function_call.0.is_none();
    delta.content.text.some().filter(|_| is_only_text)
}

/// Whether nothing that this reader knows stands in a chunk.
pub(super) fn is_bare(chunk: &ChatChunk<'_>) -> bool {
    chunk.choices.is_empty() && chunk.usage.0.is_none() && chunk.x_groq.0.is_none() && chunk.error.is_none()
}

/// A chunk or a completion, also one without alternatives.
fn is_completion(value: &Value) -> bool {
    let object = value.get("object").and_then(Value::as_str).unwrap_or_default();
    value.get("choices").is_some_and(Value::is_array) || object.contains("completion")
}

impl Reader for ChatReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() {
            return;
        }
        if data.trim_ascii() == b"[DONE]" {
            self.saw_end_marker = true;
            return;
        }
        let text = latimer_protocol::sse::text(data);
        if self.same_chunk(&text, sink) {
            return;
        }
        match serde_json::from_str::<ChatChunk<'_>>(&text) {
            Ok(chunk) if is_bare(&chunk) => self.bare_chunk(&text, sink),
            Ok(chunk) => {
                self.remember(&text, &chunk);
                self.chunk(&chunk, sink);
                if self.stop == Some(StopClass::Filter) {
                    self.progress.filtered(&text);
                }
            }
            Err(_) if text.trim().is_empty() => {}
            Err(_) => self.progress.unreadable_line(&text, sink),
        }
    }

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.push(data, sink);
        if !self.done() {
            let text = latimer_protocol::sse::text(data);
            self.failure = Some(self.progress.failure_in_words(&text));
        }
    }

    fn stray(&mut self, text: &[u8]) {
        self.progress.stray(&latimer_protocol::sse::text(text));
    }

    fn done(&self) -> bool {
        self.saw_end_marker || self.failure.is_some()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        self.split.finish(sink);
        self.reasoning_ends(sink);
        let reason = self.reason(end);
        if reason == FinishReason::ContentFilter {
            self.progress.explain(sink);
        }
        // A call of a broken answer is not ended: nobody may run it.
        if !matches!(reason, FinishReason::Failed(_)) {
            let cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
            self.calls.finish(cut, sink);
        }
        sink.event(TurnEvent::Finished(reason));
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::RecordedEvents;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chunk(kind: usize, text: &str) -> String {
        let choice = match kind {
            0..4 => json!({"index": 0, "delta": {"content": text}, "finish_reason": null}),
            4 => json!({"index": 0, "delta": {"reasoning_content": text}}),
            5 => json!({"index": 1, "delta": {"content": text}, "finish_reason": null}),
            6 => json!({"index": 0, "delta": {"content": [{"type": "text", "text": text}]}}),
            7 => json!({"index": 0, "delta": {"content": text}, "finish_reason": "stop"}),
            8 => {
                json!({"index": 0, "delta": {"content": text, "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}})
            }
            _ => json!({"index": 0, "delta": {"content": text}, "usage": {"prompt_tokens": 1}}),
        };
        json!({"id": "x", "choices": [choice]}).to_string()
    }

    fn read(mut reader: ChatReader, chunks: &[String]) -> Vec<String> {
        let mut record = RecordedEvents::default();
        for chunk in chunks {
            reader.push(chunk.as_bytes(), &mut record);
        }
        Box::new(reader).finish(BodyEnd::Clean, &mut record);
        record.lines
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_chunk_that_is_compared_gives_what_reading_it_gives(
            chunks in prop::collection::vec((0usize..10, "[ab\"\\\\\n<>{}\u{e9}\u{1}]{0,4}"), 0..12)
        ) {
            let chunks: Vec<String> = chunks.iter().map(|(kind, text)| chunk(*kind, text)).collect();
            let mut forgetful = ChatReader::new(ReaderContext::default());
            forgetful.shape = RepeatedShape::forgetful();
            prop_assert_eq!(read(ChatReader::new(ReaderContext::default()), &chunks), read(forgetful, &chunks));
        }
    }
}
