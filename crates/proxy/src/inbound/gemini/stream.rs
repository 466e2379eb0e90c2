//! Turn events to the pieces of a `GenerateContentResponse`. A strict state machine; pure.
//!
//! Invariant: there is exactly one end, a finish reason or an error, and nothing after it.
//! Invariant: a call goes out once, whole, in the order in which the calls began. A text delta allocates nothing.
//! Invariant: provider state stands on the part before which it came; behind the last part, on an empty text.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;

use latimer_protocol::failure::Failure;
use latimer_protocol::gemini::signature;
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, Seal, TurnEvent, Usage};
use serde_json::{Map, Value};

use super::error;
pub use super::frame::Form;
use super::frame::{End, Pieces};
use super::names::Names;

/// What a writer must know besides the functions' names. Time and randomness come in as arguments.
#[derive(Debug, Clone, Default)]
pub struct WriterSeed {
    /// All ids of the answer are made of these.
    pub seed: [u8; 16],
    /// The model, as the client named it.
    pub model: String,
    /// How the answer is wanted.
    pub form: Form,
    /// The client wants to see the thoughts.
    pub thoughts: bool,
    /// The client is the Gemini CLI, which repeats some errors for minutes.
    pub cli: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// Call ids of the conversation so far, which must not be used again.
    pub call_ids: HashSet<String>,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
}

/// Writes one answer.
pub struct Writer {
    begin: WriterSeed,
    names: Names,
    pieces: Pieces,
    hex: String,
    finished: bool,
    /// Calls that began.
    begun: u32,
    /// Those that did not go out yet, in the order in which they began.
    calls: VecDeque<Call>,
    /// Provider state for the part that comes next.
    states: Vec<OpaqueState>,
    /// A call came out broken: nothing goes out after it but the end.
    broken_call: Option<String>,
    usage: Usage,
    /// Bytes of text that were said, to estimate tokens.
    written: u64,
}

/// A call whose arguments are collected: this protocol knows only whole ones.
struct Call {
    slot: u32,
    id: String,
    name: String,
    arguments: String,
    ended: bool,
    signature: Option<String>,
}

impl Writer {
    /// A writer for one answer. Nothing is written before the first event.
    pub fn new(begin: WriterSeed, names: Names) -> Self {
        let mut hex = String::with_capacity(32);
        for byte in begin.seed {
            let _ = write!(hex, "{byte:02x}");
        }
        let model = if begin.model.is_empty() { "unknown" } else { &begin.model };
        let pieces = Pieces::new(begin.form, model, &hex);
        Self {
            begin,
            names,
            pieces,
            hex,
            finished: false,
            begun: 0,
            calls: VecDeque::new(),
            states: Vec::new(),
            broken_call: None,
            usage: Usage::default(),
            written: 0,
        }
    }

    /// Bytes that are ready for the client.
    pub fn out(&self) -> &[u8] {
        &self.pieces.out
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pieces.out)
    }

    /// Throws the bytes away.
    pub fn discard(&mut self) {
        self.pieces.out.clear();
    }

    /// True once the end was written.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes the time, as the writers of other protocols do. Answers of this one hold none.
    pub fn set_now(&mut self, _now: u64) {}

    /// Keeps the client waiting, with something that means nothing.
    pub fn keep_alive(&mut self) {
        if !self.finished {
            self.pieces.keep_alive();
        }
    }

    /// Ends the answer with a failure. Calls that did not go out yet never will.
    pub fn fail(&mut self, failure: &Failure) {
        if !self.finished {
            self.finished = true;
            self.pieces.fail(&error::failure_body(failure, self.begin.cli));
        }
    }

    /// The answer as one object, or the error it ended with; for [`Form::Object`], once it is over.
    pub fn into_object(self) -> Vec<u8> {
        self.pieces.into_object()
    }

    fn text(&mut self, text: &str, thought: bool) {
        self.written += text.len() as u64;
        if thought && !self.begin.thoughts {
            return;
        }
        if self.states.is_empty() {
            return self.pieces.text(text, thought, None);
        }
        let signature = self.signature();
        self.pieces.text(text, thought, signature.as_deref());
    }

    /// Takes the state that waits for a part.
    fn signature(&mut self) -> Option<String> {
        if self.states.is_empty() {
            return None;
        }
        let signature = signature::seal(&self.states, &self.begin.seal);
        self.states.clear();
        Some(signature)
    }

    fn call_started(&mut self, slot: u32, id: Option<&str>, name: &str) {
        let is_free = |id: &&str| !id.is_empty() && !self.begin.call_ids.contains(*id);
        let id =
            id.filter(is_free).map_or_else(|| format!("call_{}{:02x}", self.hex, self.begun), str::to_owned);
        self.begun += 1;
        self.begin.call_ids.insert(id.clone());
        let signature = self.signature();
        let name = self.names.client(name).to_owned();
        self.calls.push_back(Call { slot, id, name, arguments: String::new(), ended: false, signature });
    }

    fn call_arguments(&mut self, slot: u32, json: &str) {
        self.written += json.len() as u64;
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.slot == slot) {
            call.arguments.push_str(json);
        }
    }

    fn call_ended(&mut self, slot: u32) {
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.slot == slot) {
            call.ended = true;
        }
        while self.calls.front().is_some_and(|call| call.ended) && self.broken_call.is_none() {
            self.next_call(true);
        }
    }

    /// Writes the oldest call. `whole` says that a call that cannot be read is broken, and not merely cut.
    fn next_call(&mut self, whole: bool) {
        let Some(call) = self.calls.pop_front() else { return };
        let whole = whole || call.ended;
        let arguments = call.arguments.trim();
        let arguments = if arguments.is_empty() && whole { "{}" } else { arguments };
        if serde_json::from_str::<Map<String, Value>>(arguments).is_ok() {
            self.pieces.call(&call.id, &call.name, arguments, call.signature.as_deref());
        } else if whole {
            self.broken_call = Some(call.name);
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        let (word, whole) = match reason {
            FinishReason::Failed(failure) => return self.fail(&failure),
            FinishReason::Stop | FinishReason::ToolCalls => ("STOP", true),
            FinishReason::Length => ("MAX_TOKENS", false),
            FinishReason::ContentFilter => ("SAFETY", false),
        };
        while !self.calls.is_empty() && self.broken_call.is_none() {
            self.next_call(whole);
        }
        let message = self.broken_call.take().filter(|_| whole).map(|name| {
            format!(
                "the model called `{name}` with arguments that are not JSON, so the call was not passed on"
            )
        });
        let reason = if message.is_some() { "MALFORMED_FUNCTION_CALL" } else { word };
        let signature = self.signature();
        let usage = self.usage_json();
        self.pieces.finish(&End {
            reason,
            message: message.as_deref(),
            usage: &usage,
            signature: signature.as_deref(),
        });
        self.finished = true;
    }

    /// Complete usage: clients decide by it when to compress, so an upstream that does not count is estimated at four bytes a
    /// token.
    fn usage_json(&self) -> String {
        let usage = &self.usage;
        let input = usage.input.unwrap_or(self.begin.input_tokens);
        let output = usage.output.unwrap_or(self.written.div_ceil(4));
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

impl EventSink for Writer {
    fn event(&mut self, event: TurnEvent<'_>) {
        if self.finished || (self.broken_call.is_some() && event.is_semantic()) {
            return;
        }
        match event {
            TurnEvent::Text(text) | TurnEvent::Refusal(text) => self.text(text, false),
            TurnEvent::Reasoning(text) => self.text(text, true),
            TurnEvent::ReasoningState(opaque) => self.states.push(opaque),
            TurnEvent::CallStarted { slot, id, name } => self.call_started(slot, id, name),
            TurnEvent::CallArguments { slot, json } => self.call_arguments(slot, json),
            TurnEvent::CallEnded { slot } => self.call_ended(slot),
            TurnEvent::Usage(usage) => self.usage = usage,
            // Frames are of another protocol.
            TurnEvent::Started | TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
            TurnEvent::Finished(reason) => self.finish(reason),
        }
    }
}
