//! Pieces of a `GenerateContentResponse` to turn events. Pure.
//!
//! Invariant: `finish` emits `Finished` exactly once; a signature is handed out right before the call, or right behind the words,
//! that it belongs to; the last call of an answer that broke is never ended.

use std::borrow::Cow;

use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::gemini::event::{
    GeminiCandidateCall, GeminiCandidatePart, GeminiResponse, GeminiUsage,
};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, TurnEvent};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::contents::SignatureTarget;
use super::errors;
use super::request::PLACEHOLDER;
use crate::reader::{BodyEnd, Reader, ReaderContext};

/// What each finish reason means.
const FINISH: [(&str, StopClass); 18] = [
    ("STOP", StopClass::Stop),
    ("MAX_TOKENS", StopClass::Length),
    ("SAFETY", StopClass::Filter),
    ("RECITATION", StopClass::Filter),
    ("BLOCKLIST", StopClass::Filter),
    ("PROHIBITED_CONTENT", StopClass::Filter),
    ("SPII", StopClass::Filter),
    ("LANGUAGE", StopClass::Filter),
    ("IMAGE_SAFETY", StopClass::Filter),
    ("IMAGE_PROHIBITED_CONTENT", StopClass::Filter),
    ("IMAGE_RECITATION", StopClass::Filter),
    ("MALFORMED_FUNCTION_CALL", StopClass::Broken),
    ("UNEXPECTED_TOOL_CALL", StopClass::Broken),
    ("TOO_MANY_TOOL_CALLS", StopClass::Broken),
    ("MALFORMED_RESPONSE", StopClass::Broken),
    ("MISSING_THOUGHT_SIGNATURE", StopClass::Broken),
    ("OTHER", StopClass::Other),
    ("FINISH_REASON_UNSPECIFIED", StopClass::Other),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopClass {
    Stop,
    Length,
    Filter,
    Broken,
    /// A normal end where something was said, a failure where nothing was.
    Other,
}

/// Reads one stream, or one whole answer.
pub struct GeminiReader {
    context: ReaderContext,
    /// Functions have a property that means nothing, to be taken out of their arguments.
    placeholder: bool,
    started: bool,
    has_output: bool,
    slots: u32,
    /// The call whose end is kept back until something shows that the answer went on.
    open: Option<u32>,
    stop: Option<(StopClass, String)>,
    blocked: bool,
    failure: Option<Failure>,
    unreadable_lines: bool,
}

impl GeminiReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext, placeholder: bool) -> Self {
        Self {
            context,
            placeholder,
            started: false,
            has_output: false,
            slots: 0,
            open: None,
            stop: None,
            blocked: false,
            failure: None,
            unreadable_lines: false,
        }
    }

    fn event(&mut self, event: &GeminiResponse<'_>, sink: &mut dyn EventSink) {
        if let Some(inner) = &event.response.0 {
            return self.event(inner, sink);
        }
        if let Some(error) = event.error {
            self.failure = Some(errors::in_stream(error.get(), &self.context.endpoint, &self.context.model));
            return;
        }
        if !self.started {
            self.started = true;
            sink.event(TurnEvent::Started);
        }
        // latimer asks for one alternative.
        if let Some(candidate) = event.candidates.first() {
            if let Some(content) = &candidate.content.0 {
                for part in content.parts.iter() {
                    self.part(part, sink);
                }
            }
            if let Some(reason) = candidate.finish_reason.some() {
                self.finish_reason(reason, sink);
            }
        }
        self.blocked |=
            event.prompt_feedback.0.as_ref().is_some_and(|feedback| feedback.block_reason.some().is_some());
        if let Some(usage) = event.usage_metadata.0.and_then(GeminiUsage::to_turn) {
            sink.event(TurnEvent::Usage(usage));
        }
    }

    fn part(&mut self, part: &GeminiCandidatePart<'_>, sink: &mut dyn EventSink) {
        let is_thought = part.thought.is_some_and(|thought| thought.get() == "true");
        let signature = part.thought_signature.some();
        if let Some(call) = &part.function_call.0 {
            return self.call(call, signature, sink);
        }
        let has_no_equal = part.inline_data.is_some()
            || part.executable_code.is_some()
            || part.code_execution_result.is_some();
        if has_no_equal {
            // Its signature has no part to go back on, either.
            sink.event(TurnEvent::Note("a part that has no equal here was passed over"));
            return;
        }
        let text = part.text.some();
        if let Some(text) = text {
            self.has_output = true;
            sink.event(if is_thought { TurnEvent::Reasoning(text) } else { TurnEvent::Text(text) });
        }
        if !is_thought && let Some(signature) = signature {
            self.state(
                if text.is_some() { SignatureTarget::Text } else { SignatureTarget::Nothing },
                signature,
                sink,
            );
        }
    }

    fn state(&mut self, on: SignatureTarget, signature: &str, sink: &mut dyn EventSink) {
        self.end_call(sink);
        let data = json!({ "on": on.code(), "signature": signature }).to_string();
        sink.event(TurnEvent::ReasoningState(OpaqueState { owner: self.context.owner.clone(), data }));
    }

    fn call(&mut self, call: &GeminiCandidateCall<'_>, signature: Option<&str>, sink: &mut dyn EventSink) {
        let Some(name) = call.name.some() else {
            sink.event(TurnEvent::Note("a call without a name was dropped"));
            return;
        };
        self.end_call(sink);
        if let Some(signature) = signature {
            self.state(SignatureTarget::Call, signature, sink);
        }
        self.has_output = true;
        let slot = self.slots;
        self.slots += 1;
        self.open = Some(slot);
        sink.event(TurnEvent::CallStarted {
            slot,
            id: call.id.some(),
            name: self.context.names.client_name(name),
        });
        let json = call.args.map_or(Cow::Borrowed("{}"), arguments);
        if self.placeholder && json.contains("\"_\"") {
            sink.event(TurnEvent::CallArguments { slot, json: &without_placeholder(&json) });
        } else {
            sink.event(TurnEvent::CallArguments { slot, json: &json });
        }
    }

    fn end_call(&mut self, sink: &mut dyn EventSink) {
        if let Some(slot) = self.open.take() {
            sink.event(TurnEvent::CallEnded { slot });
        }
    }

    fn finish_reason(&mut self, reason: &str, sink: &mut dyn EventSink) {
        let known = FINISH.iter().find(|(word, _)| *word == reason);
        if known.is_none() {
            sink.event(TurnEvent::Note("an unknown finish reason was read as a normal end"));
        }
        self.stop = Some((known.map_or(StopClass::Stop, |(_, stop)| *stop), reason.to_ascii_lowercase()));
    }

    fn reason(&self, end: BodyEnd) -> FinishReason {
        if let Some(failure) = &self.failure {
            return FinishReason::Failed(failure.clone());
        }
        let normal = if self.slots > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
        match (&self.stop, end) {
            (Some((StopClass::Stop, _)), _) => normal,
            (Some((StopClass::Length, _)), _) => FinishReason::Length,
            (Some((StopClass::Filter, _)), _) => FinishReason::ContentFilter,
            (Some((StopClass::Other, _)), _) if self.has_output => normal,
            (Some((_, word)), _) => FinishReason::Failed(Failure::new(
                Kind::UpstreamError,
                format!("{}: the provider broke the answer off ({word})", self.context.endpoint),
            )),
            (None, _) if self.blocked => FinishReason::ContentFilter,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => FinishReason::Failed(self.interrupted()),
        }
    }

    fn interrupted(&self) -> Failure {
        let (kind, what) = match (self.started, self.unreadable_lines) {
            (false, true) => (Kind::UpstreamError, "the answer is not a Gemini stream; check base_url"),
            (false, false) => (Kind::Interrupted, "the provider sent an empty answer"),
            (true, _) => {
                (Kind::Interrupted, "the provider ended its answer without saying that it was finished")
            }
        };
        Failure::new(kind, format!("{}: {what}", self.context.endpoint))
    }

    fn read(&mut self, text: &str, sink: &mut dyn EventSink) {
        if let Ok(event) = serde_json::from_str::<GeminiResponse<'_>>(text) {
            return self.event(&event, sink);
        }
        self.unreadable_lines = true;
        sink.event(TurnEvent::Note("a line of the provider's stream was not readable and was passed over"));
    }
}

/// The arguments as they are, or out of a string that holds an object. Anything else is the writer's question: made into an
/// empty object, it would be run.
fn arguments(args: &RawValue) -> Cow<'_, str> {
    let text = args.get();
    let inner = || serde_json::from_str::<String>(text).ok().filter(|inner| inner.starts_with('{'));
    match text.as_bytes().first() {
        Some(b'"') => inner().map_or(Cow::Borrowed(text), Cow::Owned),
        _ => Cow::Borrowed(text),
    }
}

/// Arguments without the property that means nothing.
fn without_placeholder(json: &str) -> String {
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Object(mut fields)) => {
            fields.shift_remove(PLACEHOLDER);
            Value::Object(fields).to_string()
        }
        _ => json.to_owned(),
    }
}

impl Reader for GeminiReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        let text = latimer_protocol::sse::text(data);
        let trimmed = text.trim();
        if self.done() || trimmed.is_empty() || trimmed == "[DONE]" {
            return;
        }
        // Without event streams the answer is a list of the same pieces.
        if trimmed.starts_with('[')
            && let Ok(pieces) = serde_json::from_str::<Vec<&RawValue>>(trimmed)
        {
            for piece in pieces {
                if !self.done() {
                    self.read(piece.get(), sink);
                }
            }
            return;
        }
        self.read(trimmed, sink);
    }

    fn done(&self) -> bool {
        self.failure.is_some()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = self.reason(end);
        // The last call of a broken answer is not ended: nobody may run it.
        if !matches!(reason, FinishReason::Failed(_)) {
            self.end_call(sink);
        }
        sink.event(TurnEvent::Finished(reason));
    }
}
