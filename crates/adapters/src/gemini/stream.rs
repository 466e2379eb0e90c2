//! Pieces of a `GenerateContentResponse` to turn events. Pure.
//!
//! Invariant: `finish` emits `Finished` exactly once; a signature is handed out right before the call, or right behind the words,
//! that it belongs to; the last call of an answer that broke is never ended.

use std::borrow::Cow;

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::gemini::event::{
    GeminiCandidateCall, GeminiCandidatePart, GeminiResponse, GeminiUsage,
};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, StreamNote, TurnEvent};
use serde_json::Value;
use serde_json::value::RawValue;

use super::errors;
use super::signature::{PartSignature, SignatureTarget};
use super::tools::PLACEHOLDER;
use crate::reader::{BodyEnd, Foreign, Progress, Reader, ReaderContext, StopClass};

/// What each finish reason means.
const FINISH: [(&str, StopClass); 18] = [
    ("STOP", StopClass::Normal),
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
    ("OTHER", StopClass::Unspecified),
    ("FINISH_REASON_UNSPECIFIED", StopClass::Unspecified),
];

/// What happens to the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArgumentRule {
    /// They go on as they are.
    #[default]
    AsWritten,
    /// The property `_`, which stood in the declaration of a function without parameters, is taken out.
    WithoutPlaceholder,
}

/// Reads one stream, or one whole answer.
pub struct GeminiReader {
    progress: Progress,
    arguments: ArgumentRule,
    has_output: bool,
    slots: u32,
    /// The call whose end is kept back until something shows that the answer went on: the last one of an answer that was malformed
    /// must not be run (fixture gemini/malformed-call-after-a-whole-one.sse).
    open_call: Option<u32>,
    stop: Option<(StopClass, String)>,
    blocked: bool,
    failure: Option<Failure>,
}

impl GeminiReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext, arguments: ArgumentRule) -> Self {
        Self {
            progress: Progress::new(context),
            arguments,
            has_output: false,
            slots: 0,
            open_call: None,
            stop: None,
            blocked: false,
            failure: None,
        }
    }

    fn event(&mut self, event: &GeminiResponse<'_>, sink: &mut dyn EventSink) {
        if let Some(inner) = &event.response.0 {
            return self.event(inner, sink);
        }
        if let Some(error) = event.error {
            self.failure = Some(errors::stream_error(
                error.get(),
                &self.progress.context.endpoint,
                &self.progress.context.model,
            ));
            return;
        }
        self.progress.begin(sink);
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
            // Its signature has no part to go back on, either (fixture gemini/signature-on-a-part-that-has-no-equal.sse).
            sink.event(TurnEvent::Note(StreamNote::UnknownPart.into()));
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
        let state = PartSignature { on, signature: signature.to_owned() };
        let data = serde_json::to_string(&state).unwrap_or_default();
        sink.event(TurnEvent::ReasoningState(OpaqueState {
            owner: self.progress.context.owner.clone(),
            data,
        }));
    }

    fn call(&mut self, call: &GeminiCandidateCall<'_>, signature: Option<&str>, sink: &mut dyn EventSink) {
        let Some(name) = call.name.some() else {
            sink.event(TurnEvent::Note(StreamNote::UnnamedCall.into()));
            return;
        };
        self.end_call(sink);
        if let Some(signature) = signature {
            self.state(SignatureTarget::Call, signature, sink);
        }
        self.has_output = true;
        let slot = self.slots;
        self.slots += 1;
        self.open_call = Some(slot);
        sink.event(TurnEvent::CallStarted {
            slot,
            id: call.id.some(),
            name: self.progress.context.names.client_name(name),
        });
        let json = call.args.map_or(Cow::Borrowed("{}"), arguments);
        if self.arguments == ArgumentRule::WithoutPlaceholder && json.contains("\"_\"") {
            sink.event(TurnEvent::CallArguments { slot, json: &without_placeholder(&json) });
        } else {
            sink.event(TurnEvent::CallArguments { slot, json: &json });
        }
    }

    fn end_call(&mut self, sink: &mut dyn EventSink) {
        if let Some(slot) = self.open_call.take() {
            sink.event(TurnEvent::CallEnded { slot });
        }
    }

    fn finish_reason(&mut self, reason: &str, sink: &mut dyn EventSink) {
        let known = StopClass::find(&FINISH, reason);
        if known.is_none() {
            sink.event(TurnEvent::Note(StreamNote::UnknownFinishReason.into()));
        }
        self.stop = Some((known.unwrap_or(StopClass::Normal), reason.to_ascii_lowercase()));
    }

    fn reason(&self, end: BodyEnd) -> FinishReason {
        if let Some(failure) = &self.failure {
            return FinishReason::Failed(failure.clone());
        }
        let normal = if self.slots > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
        match (&self.stop, end) {
            (Some((StopClass::Normal, _)), _) => normal,
            (Some((StopClass::Length, _)), _) => FinishReason::Length,
            (Some((StopClass::Filter, _)), _) => FinishReason::ContentFilter,
            (Some((StopClass::Unspecified, _)), _) if self.has_output => normal,
            (Some((_, reason)), _) => {
                let what = format!("the provider broke the answer off ({reason})");
                FinishReason::Failed(self.progress.failure(FailureKind::UpstreamError, &what))
            }
            (None, _) if self.blocked => FinishReason::ContentFilter,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => FinishReason::Failed(self.progress.interrupted("a Gemini stream")),
        }
    }

    fn read(&mut self, text: &str, sink: &mut dyn EventSink) {
        let Ok(event) = serde_json::from_str::<GeminiResponse<'_>>(text) else {
            return self.progress.unreadable_line(text, sink);
        };
        if is_bare(&event) {
            return self.foreign(text, sink);
        }
        self.event(&event, sink);
        if self.blocked || matches!(self.stop, Some((StopClass::Filter, _))) {
            self.progress.filtered(text);
        }
    }

    /// JSON in which nothing of an answer was found: an empty piece, a failure in words of its own, an answer in an envelope.
    fn foreign(&mut self, text: &str, sink: &mut dyn EventSink) {
        if serde_json::from_str::<Value>(text).is_ok_and(|value| is_answer(&value)) {
            return self.progress.begin(sink);
        }
        match self.progress.foreign(text, is_answer) {
            Foreign::Failed(failure) => self.failure = Some(failure),
            Foreign::Answer(answer) => {
                if let Ok(event) = serde_json::from_str::<GeminiResponse<'_>>(&answer) {
                    self.event(&event, sink);
                }
            }
            Foreign::Nothing => {}
        }
    }
}

/// Whether nothing that this reader knows stands in a piece.
fn is_bare(event: &GeminiResponse<'_>) -> bool {
    event.response.0.is_none()
        && event.candidates.is_empty()
        && event.prompt_feedback.0.is_none()
        && event.usage_metadata.0.is_none()
        && event.error.is_none()
}

/// A piece of an answer, also one that holds nothing yet.
fn is_answer(value: &Value) -> bool {
    ["candidates", "modelVersion", "responseId"].iter().any(|name| value.get(*name).is_some())
}

/// The arguments as they are, or out of a string that holds an object. Anything else is the writer's question: made into an
/// empty object, it would be run. Fixture gemini/arguments-as-text-and-as-a-list.sse.
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

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.push(data, sink);
        if !self.done() {
            self.failure = Some(self.progress.failure_in_words(&latimer_protocol::sse::text(data)));
        }
    }

    fn stray(&mut self, text: &[u8]) {
        self.progress.stray(&latimer_protocol::sse::text(text));
    }

    fn done(&self) -> bool {
        self.failure.is_some()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = self.reason(end);
        if reason == FinishReason::ContentFilter {
            self.progress.explain(sink);
        }
        // The last call of a broken answer is not ended: nobody may run it.
        if !matches!(reason, FinishReason::Failed(_)) {
            self.end_call(sink);
        }
        sink.event(TurnEvent::Finished(reason));
    }
}
