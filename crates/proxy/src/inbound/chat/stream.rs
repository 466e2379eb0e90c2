//! Turn events to the chunks of a Chat Completions stream, or to one completion. Pure.
//!
//! Invariant: the role comes first; each call has one index, one id and one name, and they come once; there is exactly one
//! terminal event, a finish reason or an error, and after it only usage and `[DONE]`.
//! Invariant: an answer ends well only when the arguments of all its calls are whole. A delta allocates nothing.
//!
//! Every piece of a call names the call it belongs to, so calls may overlap and the sequencer of the other protocols is not needed.

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, TurnEvent, Usage};

use super::chunks::ChunkWriter;
use super::error::stream_error;
use super::object::{MessageFields, TextField, push_envelope, push_usage};
use super::passthrough::ChatPassthrough;
use super::reasoning_details::{DetailPlace, detail};
use super::request::ResponseOptions;
use super::tool_calls::ToolCalls;
use crate::inbound::wire::json::push_escaped;
use crate::inbound::writer::answer::Answer;
use crate::inbound::writer::calls::broken_call;
use crate::inbound::writer::passthrough::KEEP_ALIVE_COMMENT;
use crate::inbound::writer::stop_sequences::{StopRule, StopSequences};
use crate::inbound::writer::{ClientWriter, WriterSeed, estimate_tokens};

/// Writes one answer.
pub struct ChatWriter {
    seed: WriterSeed,
    options: ResponseOptions,
    phase: ChatPhase,
    chunks: ChunkWriter,
    calls: ToolCalls,
    stops: StopSequences,
    /// Text went out.
    has_text: bool,
    /// Details of reasoning that were written.
    details: u32,
    usage: Usage,
    /// Bytes of text that went out, to estimate tokens.
    text_bytes: u64,
    /// For one object at the end.
    message: MessageFields,
}

/// How far the answer is.
#[derive(Debug)]
enum ChatPhase {
    Waiting,
    Open,
    /// With this finish reason.
    Ended(&'static str),
    Failed(Failure),
}

impl ChatWriter {
    /// A writer for one answer. Nothing is written before the first event.
    pub fn new(mut seed: WriterSeed, mut options: ResponseOptions) -> Self {
        let tools = std::mem::take(&mut options.tools);
        let stops = StopSequences::new(StopRule::FirstBegun, std::mem::take(&mut options.stop));
        let mut chunks = ChunkWriter::new(options.stream, options.usage);
        chunks.identify(&seed.hex(), seed.created_at, &options.model);
        Self {
            calls: ToolCalls::new(&mut seed, tools, options.legacy),
            seed,
            options,
            phase: ChatPhase::Waiting,
            chunks,
            stops,
            has_text: false,
            details: 0,
            usage: Usage::default(),
            text_bytes: 0,
            message: MessageFields::default(),
        }
    }

    /// The answer by this writer, unless a provider's own chunks come.
    pub fn into_answer(self) -> Answer {
        let passthrough = ChatPassthrough::new(self.seed.seal.clone(), &self.options);
        Answer::with_passthrough(self, passthrough)
    }

    /// Why the answer ended, once it ended well. A stop sequence of the client's ends it before its upstream does.
    pub fn finish_reason(&self) -> Option<&'static str> {
        if let ChatPhase::Ended(reason) = self.phase { Some(reason) } else { None }
    }

    /// The role, in a chunk of its own.
    fn begin(&mut self) {
        if matches!(self.phase, ChatPhase::Waiting) {
            self.phase = ChatPhase::Open;
            self.chunks.chunk(|out| out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\""));
        }
    }

    /// The hot path: nothing is allocated but room for the bytes themselves.
    fn piece(&mut self, field: TextField, text: &str) {
        self.begin();
        self.text_bytes += text.len() as u64;
        if !self.options.stream {
            return self.message.push(field, text);
        }
        self.chunks.chunk(|out| {
            out.extend_from_slice(match field {
                TextField::Content => b"\"content\":\"",
                TextField::Refusal => b"\"refusal\":\"",
                TextField::Reasoning => b"\"reasoning_content\":\"",
            });
            push_escaped(out, text);
            out.push(b'"');
        });
    }

    fn text(&mut self, text: &str) {
        self.calls.write_complete(&mut self.chunks);
        if self.stops.is_empty() {
            return self.content(text);
        }
        self.begin();
        let mut stops = std::mem::take(&mut self.stops);
        let found = stops.push(text, |text| self.content(text));
        self.stops = stops;
        if found.is_some() {
            // The model goes on for nobody: whoever drives this writer hangs up.
            self.finish(FinishReason::Stop);
        }
    }

    fn content(&mut self, text: &str) {
        self.has_text = true;
        self.piece(TextField::Content, text);
    }

    /// Something that is not text follows: what was held back, for what might have followed, goes out.
    fn break_text(&mut self) {
        self.begin();
        self.calls.write_complete(&mut self.chunks);
        self.flush();
    }

    fn flush(&mut self) {
        let held = self.stops.rest();
        if !held.is_empty() {
            self.content(&held);
        }
    }

    fn reasoning_state(&mut self, opaque: &OpaqueState) {
        self.break_text();
        let calls = usize::try_from(self.calls.shown()).unwrap_or(usize::MAX);
        let place = DetailPlace { calls, has_text: self.has_text };
        let detail = detail(opaque, &self.seed.seal, place, self.details);
        self.details += 1;
        if !self.options.stream {
            return self.message.detail(&detail);
        }
        self.chunks.chunk(|out| {
            out.extend_from_slice(b"\"reasoning_details\":[");
            out.extend_from_slice(detail.as_bytes());
            out.push(b']');
        });
    }

    fn finish(&mut self, reason: FinishReason) {
        if let FinishReason::Failed(failure) = reason {
            return self.fail(&failure);
        }
        self.begin();
        self.flush();
        let reason = match reason {
            // What was cut stays as it is, and the reason says so.
            FinishReason::Length => "length",
            FinishReason::ContentFilter => "content_filter",
            _ => {
                self.calls.end_all(&mut self.chunks);
                if let Some(name) = self.calls.broken() {
                    return self.fail(&broken_call(name));
                }
                self.calls.write_complete(&mut self.chunks);
                match (self.calls.shown(), self.options.legacy) {
                    (0, _) => "stop",
                    (_, false) => "tool_calls",
                    (_, true) => "function_call",
                }
            }
        };
        let (usage, input, output) = self.tokens();
        self.chunks.finish(reason, |out| push_usage(out, usage, input, output));
        self.phase = ChatPhase::Ended(reason);
    }

    /// Complete usage: clients decide by it when to compact, so what an upstream does not count is estimated.
    fn tokens(&self) -> (Usage, u64, u64) {
        let input = self.usage.input.unwrap_or(self.options.input_tokens);
        let output = self.usage.output.unwrap_or_else(|| estimate_tokens(self.text_bytes));
        (self.usage, input, output)
    }
}

impl ClientWriter for ChatWriter {
    fn out(&self) -> &[u8] {
        &self.chunks.out
    }

    fn out_mut(&mut self) -> &mut Vec<u8> {
        &mut self.chunks.out
    }

    fn is_finished(&self) -> bool {
        matches!(self.phase, ChatPhase::Ended(_) | ChatPhase::Failed(_))
    }

    /// An answer of this protocol names the time of its beginning alone, so the time changes what has not begun.
    fn set_time(&mut self, now: u64) {
        if matches!(self.phase, ChatPhase::Waiting) {
            self.seed.created_at = now;
            self.chunks.identify(&self.seed.hex(), now, &self.options.model);
        }
    }

    fn keep_alive(&mut self) {
        if !self.is_finished() {
            self.chunks.comment(KEEP_ALIVE_COMMENT);
        }
    }

    fn write_failure(&mut self, failure: &Failure) {
        self.flush();
        self.chunks.fail(&stream_error(failure));
        self.phase = ChatPhase::Failed(failure.clone());
    }

    fn failure(&self) -> Option<&Failure> {
        if let ChatPhase::Failed(failure) = &self.phase { Some(failure) } else { None }
    }

    fn take_object(&mut self) -> Vec<u8> {
        let reason = match &self.phase {
            ChatPhase::Ended(reason) => reason,
            ChatPhase::Failed(failure) => return stream_error(failure).into_bytes(),
            ChatPhase::Waiting | ChatPhase::Open => {
                return stream_error(&Failure::new(FailureKind::Internal, "the answer has no end"))
                    .into_bytes();
            }
        };
        let mut out = Vec::with_capacity(512 + self.message.len());
        push_envelope(
            &mut out,
            &self.seed.hex(),
            "chat.completion",
            self.seed.created_at,
            &self.options.model,
        );
        self.message.write(&self.calls.complete(), self.options.legacy, reason, &mut out);
        let (usage, input, output) = self.tokens();
        push_usage(&mut out, usage, input, output);
        out.push(b'}');
        out
    }
}

impl EventSink for ChatWriter {
    fn event(&mut self, event: TurnEvent<'_>) {
        if let TurnEvent::Usage(usage) = event {
            // Also behind the end: one object at the end still has room for it.
            self.usage = usage;
            return;
        }
        if self.is_finished() || (self.calls.broken().is_some() && event.is_semantic()) {
            return;
        }
        match event {
            TurnEvent::Started => self.begin(),
            TurnEvent::Text(text) => self.text(text),
            TurnEvent::Refusal(text) if self.options.refusals => {
                self.break_text();
                self.piece(TextField::Refusal, text);
            }
            TurnEvent::Refusal(text) => self.text(text),
            TurnEvent::Reasoning(text) if self.options.thoughts => {
                self.break_text();
                self.piece(TextField::Reasoning, text);
            }
            TurnEvent::Reasoning(text) => self.text_bytes += text.len() as u64,
            TurnEvent::ReasoningState(opaque) => self.reasoning_state(&opaque),
            TurnEvent::CallStarted { slot, id, name } => {
                self.break_text();
                self.calls.begin(slot, id, name);
            }
            TurnEvent::CallArguments { slot, json } => {
                self.text_bytes += json.len() as u64;
                self.calls.arguments(slot, json, &mut self.chunks);
            }
            TurnEvent::CallEnded { slot } => self.calls.end(slot, &mut self.chunks),
            TurnEvent::Finished(reason) => self.finish(reason),
            // Frames pass beside the writer.
            TurnEvent::Usage(_) | TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_call_fails_the_answer() {
        let options = ResponseOptions { stream: true, ..ResponseOptions::default() };
        let mut writer = ChatWriter::new(WriterSeed::default(), options);
        writer.event(TurnEvent::CallStarted { slot: 0, id: None, name: "f" });
        writer.event(TurnEvent::CallArguments { slot: 0, json: "[1]" });
        writer.event(TurnEvent::CallEnded { slot: 0 });
        writer.event(TurnEvent::Text("dropped"));
        writer.event(TurnEvent::Finished(FinishReason::ToolCalls));
        let text = String::from_utf8(writer.take()).expect("text");
        assert!(text.contains("`f`") && !text.contains("dropped"), "{text}");
        assert!(writer.failure().is_some() && writer.finish_reason().is_none());
        assert!(writer.take_object().starts_with(b"{\"error\":"));
    }
}
