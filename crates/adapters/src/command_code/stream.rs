//! Command Code events to turn events. Pure.
//!
//! A call may come in pieces, whole, or both (fixtures command_code/call-in-pieces-only.jsonl, call-whole-only.jsonl,
//! call-in-pieces-and-whole.jsonl, call-that-contradicts-itself.jsonl). Pieces go straight through, and the whole call behind
//! them has the last word:
//!
//! - it says the same, as JSON or in its text, or the pieces say it twice: the call is ended, and nothing is handed out twice;
//! - its text begins with the pieces: the rest of it follows them;
//! - it says anything else: what was handed out cannot be taken back, so the call is never ended, and the answer has failed
//!   however it ends. A client will not run it.

use bytes::Bytes;
use latimer_protocol::command_code::event::{CommandCodeEvent, CommandCodeEventKind, CommandCodeEvents};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, StreamNote, TurnEvent, Usage};
use serde_json::Value;
use serde_json::value::RawValue;
use toolcall_parser::{Options, Rules};

use super::errors;
use crate::reader::{BodyEnd, Foreign, Progress, Reader, ReaderContext, StopClass, slot_number};

/// What each finish reason means.
const FINISH: [(&str, StopClass); 11] = [
    ("stop", StopClass::Normal),
    ("end_turn", StopClass::Normal),
    ("tool-calls", StopClass::Normal),
    ("tool_calls", StopClass::Normal),
    ("length", StopClass::Length),
    ("max_tokens", StopClass::Length),
    ("content-filter", StopClass::Filter),
    ("content_filter", StopClass::Filter),
    ("error", StopClass::Broken),
    ("pause_turn", StopClass::Pause),
    ("pause-turn", StopClass::Pause),
];

/// One call of the answer; its slot is its place.
#[derive(Debug)]
struct Call {
    id: String,
    pieces: String,
    ended: bool,
    /// What came whole does not fit what came in pieces.
    broken: bool,
}

/// Reads one answer.
pub struct CommandCodeReader {
    progress: Progress,
    /// The request, to go on with a paused answer.
    request: Option<Bytes>,
    calls: Vec<Call>,
    stop: Option<StopClass>,
    over: bool,
    failure: Option<Failure>,
    usage: Option<Usage>,
    /// The steps of this round were counted one by one: its total says the same again.
    counted: bool,
}

impl CommandCodeReader {
    /// A reader for one answer. With the request's body it can go on after a pause.
    pub fn new(context: ReaderContext, request: Option<Bytes>) -> Self {
        Self {
            progress: Progress::new(context),
            request,
            calls: Vec::new(),
            stop: None,
            over: false,
            failure: None,
            usage: None,
            counted: false,
        }
    }

    fn event(&mut self, event: &CommandCodeEvent<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        let words = || event.text.some().or(event.delta.some()).or(event.text_delta.some());
        match CommandCodeEventKind::of(event.kind.some().unwrap_or_default()) {
            CommandCodeEventKind::TextDelta => {
                if let Some(text) = words() {
                    sink.event(TurnEvent::Text(text));
                }
            }
            CommandCodeEventKind::ReasoningDelta => {
                if let Some(text) = words() {
                    sink.event(TurnEvent::Reasoning(text));
                }
            }
            CommandCodeEventKind::ToolInputStart => {
                self.begin(event.id.some().or(event.tool_call_id.some()), event.tool_name.some(), sink);
            }
            CommandCodeEventKind::ToolInputDelta => {
                let id = event.id.some().or(event.tool_call_id.some());
                if let (Some(slot), Some(json)) = (self.find(id), event.delta.some().or(event.text.some())) {
                    self.piece(slot, json, sink);
                }
            }
            CommandCodeEventKind::ToolCall => self.whole(event, sink),
            CommandCodeEventKind::FinishStep => {
                self.count(event, sink);
                self.counted = true;
            }
            CommandCodeEventKind::Finish => self.finished(event, sink),
            CommandCodeEventKind::Error => {
                let error = event.error.map_or("null", RawValue::get);
                self.failure = Some(errors::stream_error(
                    error,
                    &self.progress.context.endpoint,
                    &self.progress.context.model,
                ));
            }
            CommandCodeEventKind::Boundary => {}
            _ if event.error.is_some() => {
                let error = event.error.map_or("null", RawValue::get);
                self.failure = Some(errors::stream_error(
                    error,
                    &self.progress.context.endpoint,
                    &self.progress.context.model,
                ));
            }
            CommandCodeEventKind::Unnamed if event.finish_reason.some().is_some() => {
                self.document(event, sink);
            }
            _ => sink.event(TurnEvent::Note(StreamNote::UnknownEvent.into())),
        }
    }

    /// JSON that is no event: a failure in words of its own, or an answer in an envelope.
    fn foreign(&mut self, text: &str, sink: &mut dyn EventSink) {
        match self.progress.foreign(text, |value| value.get("finishReason").is_some()) {
            Foreign::Failed(failure) => self.failure = Some(failure),
            Foreign::Answer(answer) => {
                if let Ok(event) = serde_json::from_str::<CommandCodeEvent<'_>>(&answer) {
                    self.event(&event, sink);
                }
            }
            Foreign::Nothing => {}
        }
    }

    /// An answer that is not streamed: all of it in one object.
    fn document(&mut self, event: &CommandCodeEvent<'_>, sink: &mut dyn EventSink) {
        if let Some(thoughts) = event.reasoning_text.some() {
            sink.event(TurnEvent::Reasoning(thoughts));
        }
        if let Some(text) = event.text.some() {
            sink.event(TurnEvent::Text(text));
        }
        for call in event.tool_calls.iter() {
            self.whole(call, sink);
        }
        self.finished(event, sink);
    }

    fn finished(&mut self, event: &CommandCodeEvent<'_>, sink: &mut dyn EventSink) {
        self.finish_reason(event.finish_reason.some(), sink);
        if !self.counted {
            self.count(event, sink);
        }
        self.over = true;
    }

    fn find(&self, id: Option<&str>) -> Option<usize> {
        match id {
            Some(id) => self.calls.iter().rposition(|call| call.id == id),
            None => self.calls.len().checked_sub(1),
        }
    }

    fn begin(&mut self, id: Option<&str>, name: Option<&str>, sink: &mut dyn EventSink) -> Option<usize> {
        let Some(name) = name else {
            sink.event(TurnEvent::Note(StreamNote::UnnamedCall.into()));
            return None;
        };
        let slot = self.calls.len();
        sink.event(TurnEvent::CallStarted {
            slot: slot_number(slot),
            id,
            name: self.progress.context.names.client_name(name),
        });
        self.calls.push(Call {
            id: id.unwrap_or_default().to_owned(),
            pieces: String::new(),
            ended: false,
            broken: false,
        });
        Some(slot)
    }

    fn piece(&mut self, slot: usize, json: &str, sink: &mut dyn EventSink) {
        let Some(call) = self.calls.get_mut(slot).filter(|call| !call.ended) else { return };
        call.pieces.push_str(json);
        sink.event(TurnEvent::CallArguments { slot: slot_number(slot), json });
    }

    /// A whole call: the only word on it, or the last one.
    fn whole(&mut self, event: &CommandCodeEvent<'_>, sink: &mut dyn EventSink) {
        let id = event.tool_call_id.some().or(event.id.some());
        let known =
            match id {
                Some(id) => self.calls.iter().rposition(|call| call.id == id),
                // Without an id it can only be the call whose pieces have just come, without an id as well.
                None => self.calls.len().checked_sub(1).filter(|last| {
                    self.calls.get(*last).is_some_and(|call| call.id.is_empty() && !call.ended)
                }),
            };
        let Some(slot) = known.or_else(|| self.begin(id, event.tool_name.some(), sink)) else { return };
        let arguments = event.input.or(event.args).map_or_else(|| "{}".to_owned(), text);
        let Some(call) = self.calls.get_mut(slot).filter(|call| !call.ended && !call.broken) else { return };
        if let Some(rest) = arguments.strip_prefix(call.pieces.as_str()) {
            if !rest.is_empty() {
                sink.event(TurnEvent::CallArguments { slot: slot_number(slot), json: rest });
            }
        } else if !same(&call.pieces, &arguments) && !repeats(&call.pieces, &arguments) {
            call.broken = true;
            sink.event(TurnEvent::Note(StreamNote::ConflictingCall.into()));
            return;
        }
        call.ended = true;
        sink.event(TurnEvent::CallEnded { slot: slot_number(slot) });
    }

    /// Tokens add up over steps (fixture command_code/usage-of-two-steps.jsonl).
    fn count(&mut self, event: &CommandCodeEvent<'_>, sink: &mut dyn EventSink) {
        let Some(usage) = event.usage.0.or(event.total_usage.0) else { return };
        let usage = self.usage.unwrap_or_default().plus(usage.to_turn());
        self.usage = Some(usage);
        sink.event(TurnEvent::Usage(usage));
    }

    fn finish_reason(&mut self, reason: Option<&str>, sink: &mut dyn EventSink) {
        let Some(reason) = reason else { return };
        let known = StopClass::find(&FINISH, reason);
        if known.is_none() {
            sink.event(TurnEvent::Note(StreamNote::UnknownFinishReason.into()));
        }
        self.stop = Some(known.unwrap_or(StopClass::Normal));
    }

    fn reason(&self, end: BodyEnd) -> FinishReason {
        if let Some(failure) = &self.failure {
            return FinishReason::Failed(failure.clone());
        }
        let broken =
            |what: &str| FinishReason::Failed(self.progress.failure(FailureKind::UpstreamError, what));
        if self.stop.is_some() && self.calls.iter().any(|call| call.broken) {
            return broken("a call came twice with different arguments");
        }
        match (self.stop, end) {
            (Some(StopClass::Length | StopClass::Pause), _) => FinishReason::Length,
            (Some(StopClass::Filter), _) => FinishReason::ContentFilter,
            (Some(StopClass::Broken), _) => broken("the provider broke the answer off"),
            (Some(_), _) if self.calls.is_empty() => FinishReason::Stop,
            (Some(_), _) => FinishReason::ToolCalls,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => FinishReason::Failed(self.progress.interrupted("one of Command Code")),
        }
    }
}

/// Whether an object is no event and no whole answer.
fn is_bare(event: &CommandCodeEvent<'_>) -> bool {
    event.kind.some().is_none() && event.finish_reason.some().is_none() && event.error.is_none()
}

/// Arguments as JSON text: an object, or the text of one.
fn text(raw: &RawValue) -> String {
    let inner = serde_json::from_str::<String>(raw.get());
    inner.unwrap_or_else(|_| raw.get().to_owned())
}

fn same(a: &str, b: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    value(a).is_some_and(|a| Some(a) == value(b))
}

/// Pieces that say the same twice, or with a bracket too many: what follows drops what is too much.
fn repeats(pieces: &str, whole: &str) -> bool {
    let calls = toolcall_parser::sanitize("", pieces, &Options::new([]), Rules::Objects);
    calls.is_ok_and(|calls| matches!(calls.as_slice(), [call] if same(&call.arguments, whole)))
}

impl Reader for CommandCodeReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() || data == b"[DONE]" {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        // Several objects may stand on one line, or a list of them (fixture command_code/two-objects-on-a-line.jsonl).
        for events in serde_json::Deserializer::from_str(&text).into_iter::<CommandCodeEvents<'_>>() {
            let Ok(events) = events else {
                return self.progress.unreadable_line(&text, sink);
            };
            for event in events.iter() {
                if is_bare(event) {
                    self.foreign(&text, sink);
                } else {
                    self.event(event, sink);
                }
                if self.stop == Some(StopClass::Filter) {
                    self.progress.filtered(&text);
                }
                if self.done() {
                    return;
                }
            }
        }
    }

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.push(data, sink);
        if self.failure.is_none() {
            self.failure = Some(self.progress.failure_in_words(&latimer_protocol::sse::text(data)));
        }
    }

    fn stray(&mut self, text: &[u8]) {
        self.progress.stray(&latimer_protocol::sse::text(text));
    }

    fn done(&self) -> bool {
        self.over || self.failure.is_some()
    }

    fn continuation(&mut self) -> Option<Bytes> {
        if self.stop != Some(StopClass::Pause) || self.failure.is_some() {
            return None;
        }
        self.stop = None;
        self.over = false;
        self.counted = false;
        self.request.clone()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = self.reason(end);
        if reason == FinishReason::ContentFilter {
            self.progress.explain(sink);
        }
        // A call of a broken answer is not ended: nobody may run it.
        if !matches!(reason, FinishReason::Failed(_)) {
            for (slot, call) in self.calls.iter().enumerate().filter(|(_, call)| !call.ended) {
                if call.pieces.is_empty() {
                    sink.event(TurnEvent::CallArguments { slot: slot_number(slot), json: "{}" });
                }
                sink.event(TurnEvent::CallEnded { slot: slot_number(slot) });
            }
        }
        sink.event(TurnEvent::Finished(reason));
    }
}
