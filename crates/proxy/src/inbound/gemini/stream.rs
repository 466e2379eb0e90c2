//! Turn events to the pieces of a `GenerateContentResponse`. Pure.
//!
//! Invariant: there is exactly one end, a finish reason or an error, and nothing after it.
//! Invariant: a call goes out once, whole, in the order in which the calls began. A text delta allocates nothing.
//! Invariant: provider state stands on the part before which it came; behind the last part, on an empty text.

use latimer_protocol::failure::Failure;
use latimer_protocol::gemini::signature;
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, SealKey, TurnEvent};

use super::error;
pub use super::frame::Form;
use super::frame::{PieceEnd, ResponsePieces};
use super::names::Names;
use crate::inbound::writer::answer::Answer;
use crate::inbound::writer::calls::{CallIdRule, broken_call_message};
use crate::inbound::writer::sequencer::{CallDelivery, ItemSink, PendingCall};
use crate::inbound::writer::{AnswerPhase, ClientWriter, WriterSeed, WriterState};

const CALL_IDS: CallIdRule = CallIdRule { prefix: "call_", max_bytes: usize::MAX, visible_ascii: false };

/// How one answer is wanted.
#[derive(Debug, Clone, Default)]
pub struct GeminiWriterOptions {
    /// The model, as the client named it.
    pub model: String,
    /// Events, an array or one object.
    pub form: Form,
    /// The client wants to see the thoughts.
    pub thoughts: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
}

/// Writes one answer.
pub struct GeminiWriter {
    seed: WriterSeed,
    state: WriterState,
    parts: PartWriter,
}

/// Writes the parts of one answer, each with the provider state that came before it.
struct PartWriter {
    pieces: ResponsePieces,
    names: Names,
    seal: SealKey,
    shows_thoughts: bool,
    /// Provider state for the part that comes next.
    states: Vec<OpaqueState>,
    /// The signatures of calls that began and did not go out yet, by slot.
    signatures: Vec<(u32, Option<String>)>,
    /// Bytes of text that came, to estimate tokens.
    text_bytes: u64,
}

impl GeminiWriter {
    /// A writer for one answer. Nothing is written before the first event.
    pub fn new(mut seed: WriterSeed, options: GeminiWriterOptions, names: Names) -> Self {
        let GeminiWriterOptions { mut model, form, thoughts, input_tokens } = options;
        if model.is_empty() {
            model.push_str("unknown");
        }
        let parts = PartWriter {
            pieces: ResponsePieces::new(form, &model, &seed.hex()),
            names,
            seal: seed.seal.clone(),
            shows_thoughts: thoughts,
            states: Vec::new(),
            signatures: Vec::new(),
            text_bytes: 0,
        };
        Self {
            state: WriterState::new(CallDelivery::Complete, CALL_IDS, &mut seed, input_tokens),
            seed,
            parts,
        }
    }

    /// The answer by this writer: no upstream's own events reach a Gemini client.
    pub fn into_answer(self) -> Answer {
        Answer::new(self)
    }

    fn finish(&mut self, reason: FinishReason) {
        let (reason, cut) = match reason {
            FinishReason::Failed(failure) => return self.fail(&failure),
            FinishReason::Stop | FinishReason::ToolCalls => ("STOP", false),
            FinishReason::Length => ("MAX_TOKENS", true),
            FinishReason::ContentFilter => ("SAFETY", true),
        };
        self.state.sequencer.finish(cut, &mut self.parts);
        let broken = self.state.sequencer.broken_call().filter(|_| !cut);
        let message = broken.map(|name| broken_call_message(self.parts.names.client(name)));
        let reason = if message.is_some() { "MALFORMED_FUNCTION_CALL" } else { reason };
        let signature = self.parts.signature();
        let usage = self.usage_json();
        self.parts.pieces.finish(&PieceEnd {
            reason,
            message: message.as_deref(),
            usage: &usage,
            signature: signature.as_deref(),
        });
        self.state.phase = AnswerPhase::Finished;
    }

    /// Complete usage: clients decide by it when to compress, so what an upstream does not count is estimated.
    fn usage_json(&self) -> String {
        let usage = &self.state.usage;
        let input = self.state.input();
        let output = self.state.output(self.parts.text_bytes);
        let thoughts = usage.reasoning.unwrap_or(0).min(output);
        let mut fields = serde_json::json!({
            "promptTokenCount": input,
            "candidatesTokenCount": output - thoughts,
            "totalTokenCount": input.saturating_add(output),
        });
        for (name, count) in
            [("thoughtsTokenCount", Some(thoughts)), ("cachedContentTokenCount", usage.cached)]
        {
            if let Some(count) = count.filter(|count| *count > 0) {
                fields[name] = count.into();
            }
        }
        fields.to_string()
    }
}

impl PartWriter {
    fn push(&mut self, text: &str, thought: bool) {
        self.text_bytes += text.len() as u64;
        if !thought || self.shows_thoughts {
            let signature = self.signature();
            self.pieces.text(text, thought, signature.as_deref());
        }
    }

    /// Takes the state that waits for a part.
    fn signature(&mut self) -> Option<String> {
        if self.states.is_empty() {
            return None;
        }
        let signature = signature::seal(&self.states, &self.seal);
        self.states.clear();
        Some(signature)
    }
}

impl ItemSink for PartWriter {
    fn text(&mut self, text: &str) {
        self.push(text, false);
    }

    fn reasoning(&mut self, text: &str) {
        self.push(text, true);
    }

    fn reasoning_state(&mut self, opaque: OpaqueState) {
        self.states.push(opaque);
    }

    fn call_announced(&mut self, slot: u32) {
        let signature = self.signature();
        self.signatures.push((slot, signature));
    }

    /// This protocol knows only whole calls.
    fn call_started(&mut self, _: &PendingCall) {}

    fn call_arguments(&mut self, _: &str) {}

    fn call_ended(&mut self, call: &PendingCall) -> bool {
        let place = self.signatures.iter().position(|(slot, _)| *slot == call.slot);
        let signature = place.and_then(|place| self.signatures.remove(place).1);
        let is_complete = call.is_complete();
        if is_complete {
            let name = self.names.client(&call.name);
            self.pieces.call(&call.id, name, call.arguments().trim(), signature.as_deref());
        }
        is_complete
    }

    fn call_broken(&mut self, _: &PendingCall) {}
}

impl ClientWriter for GeminiWriter {
    fn out(&self) -> &[u8] {
        &self.parts.pieces.out
    }

    fn out_mut(&mut self) -> &mut Vec<u8> {
        &mut self.parts.pieces.out
    }

    fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    fn keep_alive(&mut self) {
        if !self.is_finished() {
            self.parts.pieces.keep_alive();
        }
    }

    /// Calls that did not go out yet never will.
    fn write_failure(&mut self, failure: &Failure) {
        self.state.phase = AnswerPhase::Finished;
        self.parts.pieces.fail(&error::failure_body(failure, self.seed.client.has_own_error_table));
    }

    /// For [`Form::Object`].
    fn take_object(&mut self) -> Vec<u8> {
        self.parts.pieces.take_object()
    }
}

impl EventSink for GeminiWriter {
    fn event(&mut self, event: TurnEvent<'_>) {
        if !self.state.accepts(&event) {
            return;
        }
        match event {
            TurnEvent::Usage(usage) => self.state.usage = usage,
            TurnEvent::Finished(reason) => self.finish(reason),
            // Frames are of another protocol.
            TurnEvent::Started | TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
            item => {
                if let TurnEvent::CallArguments { json, .. } = &item {
                    self.parts.text_bytes += json.len() as u64;
                }
                self.state.sequencer.event(item, &mut self.parts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_passes_a_call_that_is_not_complete() {
        let mut writer =
            GeminiWriter::new(WriterSeed::default(), GeminiWriterOptions::default(), Names::default());
        writer.event(TurnEvent::CallStarted { slot: 0, id: None, name: "read" });
        writer.event(TurnEvent::CallArguments { slot: 0, json: "{\"a\"" });
        assert!(writer.out().is_empty());
        writer.event(TurnEvent::Text("meanwhile"));
        assert!(String::from_utf8_lossy(&writer.take()).contains("meanwhile"));
        writer.event(TurnEvent::CallArguments { slot: 0, json: ":1}" });
        writer.event(TurnEvent::CallEnded { slot: 0 });
        writer.event(TurnEvent::Finished(FinishReason::Stop));
        let text = String::from_utf8(writer.take()).expect("text");
        assert!(text.contains("\"args\":{\"a\":1}") && text.contains("\"finishReason\":\"STOP\""), "{text}");
    }
}
