//! Messages events to turn events. Pure.
//!
//! Invariant: state is kept for each block by its index, so blocks may interleave. `finish` emits `Finished` exactly once.

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::messages::event::{
    MessagesBlock, MessagesDelta, MessagesEvent, MessagesEventKind, MessagesUsage,
};
use latimer_protocol::turn::{EventSink, FinishReason, StreamNote, TurnEvent, Usage};
use serde_json::Value;

use super::errors;
use super::open_block::OpenBlock;
use crate::exchange::append_elements;
use crate::reader::{BodyEnd, Foreign, Progress, Reader, ReaderContext, StopClass};

/// What each stop reason means.
const STOP: [(&str, StopClass); 8] = [
    ("end_turn", StopClass::Normal),
    ("stop_sequence", StopClass::Normal),
    ("tool_use", StopClass::Normal),
    ("max_tokens", StopClass::Length),
    ("model_context_window_exceeded", StopClass::Length),
    ("refusal", StopClass::Filter),
    ("sensitive", StopClass::Filter),
    ("pause_turn", StopClass::Pause),
];

/// Reads one stream of Messages events, or one whole message.
pub struct MessagesReader {
    progress: Progress,
    /// The request, to go on with a paused answer.
    request: Option<Bytes>,
    open_blocks: Vec<OpenBlock>,
    /// Calls so far.
    slots: u32,
    /// The blocks so far, as they would be sent back.
    finished_blocks: Vec<serde_json::Value>,
    stop: Option<StopClass>,
    stopped: bool,
    failure: Option<Failure>,
    /// What the answers before a pause used, and what this one did so far.
    spent: Usage,
    usage: MessagesUsage,
}

impl MessagesReader {
    /// A reader for one answer. With the request's body it can go on after a pause.
    pub fn new(context: ReaderContext, request: Option<Bytes>) -> Self {
        Self {
            progress: Progress::new(context),
            request,
            open_blocks: Vec::new(),
            slots: 0,
            finished_blocks: Vec::new(),
            stop: None,
            stopped: false,
            failure: None,
            spent: Usage::default(),
            usage: MessagesUsage::default(),
        }
    }

    pub(super) fn event(&mut self, event: &MessagesEvent<'_>, data: &str, sink: &mut dyn EventSink) {
        if let Some(error) = event.error {
            self.failure = Some(errors::stream_error(
                error.get(),
                &self.progress.context.endpoint,
                &self.progress.context.model,
            ));
            return;
        }
        match MessagesEventKind::of(event.kind.some().unwrap_or_default()) {
            MessagesEventKind::BlockDelta => {
                if let Some(delta) = &event.delta.0 {
                    self.delta(event.index.0.unwrap_or(0), delta, sink);
                }
            }
            MessagesEventKind::BlockStart => {
                if let Some(block) = &event.content_block.0 {
                    self.start(event.index.0.unwrap_or(0), block, data, sink);
                }
            }
            MessagesEventKind::BlockStop => self.stop(event.index.0.unwrap_or(0), sink),
            MessagesEventKind::MessageStart => {
                self.progress.begin(sink);
                self.count(event.message.0.and_then(|head| head.usage.0), sink);
            }
            MessagesEventKind::MessageDelta => {
                if let Some(delta) = &event.delta.0 {
                    self.stop_reason(delta.stop_reason.some(), data, sink);
                }
                self.count(event.usage.0, sink);
            }
            MessagesEventKind::MessageStop => self.stopped = true,
            MessagesEventKind::Message => self.whole(event, data, sink),
            MessagesEventKind::Other if event.kind.some() == Some("ping") => {}
            // A failure in words of its own, a message in an envelope, or whatever is invented tomorrow.
            MessagesEventKind::Other => self.foreign(data, sink),
        }
    }

    /// The answer has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    fn foreign(&mut self, text: &str, sink: &mut dyn EventSink) {
        match self.progress.foreign(text, is_message) {
            Foreign::Failed(failure) => self.failure = Some(failure),
            Foreign::Answer(answer) => {
                if let Ok(message) = serde_json::from_str::<MessagesEvent<'_>>(&answer) {
                    self.whole(&message, &answer, sink);
                }
            }
            Foreign::Nothing => {}
        }
    }

    fn whole(&mut self, event: &MessagesEvent<'_>, data: &str, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        for (index, block) in (0..).zip(event.content.iter()) {
            self.start(index, block, "", sink);
            self.stop(index, sink);
        }
        self.stop_reason(event.stop_reason.some(), data, sink);
        self.count(event.usage.0, sink);
        self.stopped = true;
    }

    fn start(&mut self, index: u64, block: &MessagesBlock<'_>, data: &str, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        // A second block under the same index: the first one's end was lost.
        self.stop(index, sink);
        let keep = self.request.is_some();
        self.open_blocks.extend(OpenBlock::begin(
            index,
            block,
            data,
            &mut self.slots,
            keep,
            &self.progress.context,
            sink,
        ));
    }

    fn delta(&mut self, index: u64, delta: &MessagesDelta<'_>, sink: &mut dyn EventSink) {
        if let Some(open) = self.open_blocks.iter_mut().rfind(|open| open.index == index) {
            open.delta(delta, sink);
        } else if let Some(text) = delta.text.some() {
            // Some gateways never say that a block begins (fixture anthropic/no-block-start.sse).
            self.progress.begin(sink);
            sink.event(TurnEvent::Text(text));
        } else if let Some(thoughts) = delta.thinking.some() {
            self.progress.begin(sink);
            sink.event(TurnEvent::Reasoning(thoughts));
        }
    }

    fn stop(&mut self, index: u64, sink: &mut dyn EventSink) {
        let Some(place) = self.open_blocks.iter().rposition(|open| open.index == index) else { return };
        let block = self.open_blocks.remove(place).end(&self.progress.context.owner, sink);
        if self.request.is_some() {
            self.finished_blocks.extend(block);
        }
    }

    fn stop_reason(&mut self, reason: Option<&str>, data: &str, sink: &mut dyn EventSink) {
        let Some(reason) = reason else { return };
        let known = StopClass::find(&STOP, reason);
        if known.is_none() {
            sink.event(TurnEvent::Note(StreamNote::UnknownStopReason.into()));
        }
        self.stop = Some(known.unwrap_or(StopClass::Normal));
        if known == Some(StopClass::Filter) {
            self.progress.filtered(data);
        }
    }

    /// Later counts replace earlier ones, field by field.
    fn count(&mut self, usage: Option<MessagesUsage>, sink: &mut dyn EventSink) {
        let Some(new) = usage else { return };
        let old = self.usage;
        self.usage = MessagesUsage {
            input_tokens: if new.input_tokens.0.is_some() { new.input_tokens } else { old.input_tokens },
            cache_creation_input_tokens: if new.cache_creation_input_tokens.0.is_some() {
                new.cache_creation_input_tokens
            } else {
                old.cache_creation_input_tokens
            },
            cache_read_input_tokens: if new.cache_read_input_tokens.0.is_some() {
                new.cache_read_input_tokens
            } else {
                old.cache_read_input_tokens
            },
            output_tokens: if new.output_tokens.0.is_some() { new.output_tokens } else { old.output_tokens },
        };
        sink.event(TurnEvent::Usage(self.used()));
    }

    fn used(&self) -> Usage {
        let MessagesUsage {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            output_tokens,
        } = self.usage;
        let parts = [input_tokens.0, cache_creation_input_tokens.0, cache_read_input_tokens.0];
        let input = parts.iter().flatten().copied().reduce(u64::saturating_add);
        self.spent.plus(Usage {
            input,
            cached: cache_read_input_tokens.0,
            cache_write: cache_creation_input_tokens.0,
            output: output_tokens.0,
            reasoning: None,
        })
    }

    fn reason(&self, end: BodyEnd) -> FinishReason {
        if let Some(failure) = &self.failure {
            return FinishReason::Failed(failure.clone());
        }
        match (self.stop, end) {
            (Some(StopClass::Length | StopClass::Pause), _) => FinishReason::Length,
            (Some(StopClass::Filter), _) => FinishReason::ContentFilter,
            (Some(_), _) if self.slots > 0 => FinishReason::ToolCalls,
            (Some(_), _) => FinishReason::Stop,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => FinishReason::Failed(self.progress.interrupted("a Messages stream")),
        }
    }
}

/// A whole message.
fn is_message(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str) == Some("message")
        || (value.get("role").is_some() && value.get("content").is_some_and(Value::is_array))
}

impl Reader for MessagesReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        match serde_json::from_str::<MessagesEvent<'_>>(&text) {
            Ok(event) => self.event(&event, &text, sink),
            Err(_) if text.trim().is_empty() => {}
            Err(_) => self.progress.unreadable_line(&text, sink),
        }
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
        self.stopped || self.failure.is_some()
    }

    fn continuation(&mut self) -> Option<Bytes> {
        if self.stop != Some(StopClass::Pause) || self.failure.is_some() || self.finished_blocks.is_empty() {
            return None;
        }
        let blocks = std::mem::take(&mut self.finished_blocks);
        let turn = serde_json::json!({ "role": "assistant", "content": blocks });
        let body: Bytes = append_elements(self.request.as_deref()?, "messages", &[turn])?.into();
        self.request = Some(body.clone());
        self.spent = self.used();
        self.usage = MessagesUsage::default();
        self.stop = None;
        self.stopped = false;
        Some(body)
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = self.reason(end);
        if reason == FinishReason::ContentFilter {
            self.progress.explain(sink);
        }
        // A call of a broken answer is not ended: nobody may run it.
        if !matches!(reason, FinishReason::Failed(_)) {
            for open in std::mem::take(&mut self.open_blocks) {
                open.end(&self.progress.context.owner, sink);
            }
        }
        sink.event(TurnEvent::Finished(reason));
    }
}
