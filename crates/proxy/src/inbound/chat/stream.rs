//! Turn events to the chunks of a Chat Completions stream, or to one completion. A strict state machine; pure.
//!
//! Invariant: the role comes first; each call has one index, one id and one name, and they come once; there is exactly one
//! terminal event, a finish reason or an error, and after it only usage and `[DONE]`.
//! Invariant: an answer ends well only when the arguments of all its calls are whole. A delta allocates nothing.

use std::collections::HashSet;
use std::fmt::Write as _;

use latimer_protocol::failure::{Failure, Kind as FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, Seal, TurnEvent, Usage};

use super::call::Call;
use super::error::stream_error;
use super::object::{Field, Whole, envelope, push_usage};
use super::pass::PassthroughWriter;
use super::request::ResponseOptions;
use super::stops::Stops;
use super::thoughts::{Place, detail};
use crate::inbound::wire::json::{push_escaped, push_string};

/// The longest call id that every client and provider takes.
const LONGEST_ID: usize = 64;

/// What a writer must know besides the request. Time and randomness come in as arguments.
#[derive(Debug, Clone, Default)]
pub struct WriterSeed {
    /// All ids of the answer are made of these.
    pub seed: [u8; 16],
    /// Unix time, in seconds.
    pub created_at: u64,
    /// Call ids of the conversation so far, which must not be used again.
    pub call_ids: HashSet<String>,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
}

/// Writes one answer.
pub struct Writer {
    begin: WriterSeed,
    wants: ResponseOptions,
    out: Vec<u8>,
    hex: String,
    /// A chunk up to the fields of its delta, and from there on.
    head: Vec<u8>,
    tail: &'static [u8],
    begun: bool,
    end: Option<End>,
    stops: Stops,
    calls: Vec<Call>,
    /// Calls that the client knows of.
    shown: u32,
    /// A call came out broken: nothing is written after it but the end.
    broken_call: Option<String>,
    /// Words went out.
    spoke: bool,
    details: u32,
    usage: Usage,
    /// Characters that went out, to estimate tokens.
    written: u64,
    /// For one object at the end.
    whole: Whole,
}

/// How the answer ended.
#[derive(Debug)]
enum End {
    Well(&'static str),
    Failed(Failure),
}

impl Writer {
    /// A writer for one answer. Nothing is written before the first event.
    pub fn new(begin: WriterSeed, mut wants: ResponseOptions) -> Self {
        let mut hex = String::with_capacity(32);
        for byte in begin.seed {
            let _ = write!(hex, "{byte:02x}");
        }
        let head = head(&hex, begin.created_at, &wants.model);
        let stops = Stops::new(std::mem::take(&mut wants.stop));
        // With usage asked for, every chunk says that it is not the one that has it.
        let tail: &[u8] = if wants.usage {
            b"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"
        } else {
            b"},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
        };
        Self {
            begin,
            wants,
            out: Vec::new(),
            hex,
            head,
            tail,
            begun: false,
            end: None,
            stops,
            calls: Vec::new(),
            shown: 0,
            broken_call: None,
            spoke: false,
            details: 0,
            usage: Usage::default(),
            written: 0,
            whole: Whole::default(),
        }
    }

    /// What hands a provider's own chunks on, to the same client.
    pub(super) fn pass(&self) -> PassthroughWriter {
        PassthroughWriter::new(self.begin.seal.clone(), self.wants.usage, self.wants.input_tokens)
    }

    /// Bytes that are ready for the client.
    pub fn out(&self) -> &[u8] {
        &self.out
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Throws the bytes away: the client wants one object at the end.
    pub fn discard(&mut self) {
        self.out.clear();
    }

    /// True once the terminal event was written.
    pub fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// Why the answer ended, once it ended well. A stop sequence of the client's ends it before its upstream does.
    pub fn finish_reason(&self) -> Option<&'static str> {
        match &self.end {
            Some(End::Well(reason)) => Some(reason),
            _ => None,
        }
    }

    /// How the answer failed, if it did; also where only its writer could know, as with a call that came out broken.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.end {
            Some(End::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    /// The time, in Unix seconds. An answer of this protocol names the time of its beginning alone, so it changes what has not begun.
    pub fn set_now(&mut self, now: u64) {
        if !self.begun {
            self.begin.created_at = now;
            self.head = head(&self.hex, now, &self.wants.model);
        }
    }

    /// A comment, which every reader of server-sent events passes over.
    pub fn keep_alive(&mut self) {
        if self.end.is_none() && self.wants.stream {
            self.out.extend_from_slice(b": keep-alive\n\n");
        }
    }

    /// Ends the answer with a failure.
    pub fn fail(&mut self, failure: &Failure) {
        if self.end.is_some() {
            return;
        }
        self.flush();
        if self.wants.stream {
            self.out.extend_from_slice(b"data: ");
            self.out.extend_from_slice(stream_error(failure).as_bytes());
            self.out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        }
        self.end = Some(End::Failed(failure.clone()));
    }

    /// The completion as one JSON object; for a client that did not ask for a stream. An error object when the answer failed.
    pub fn into_object(self) -> Vec<u8> {
        let reason = match &self.end {
            Some(End::Well(reason)) => reason,
            Some(End::Failed(failure)) => return stream_error(failure).into_bytes(),
            None => {
                return stream_error(&Failure::new(FailureKind::Internal, "the answer has no end"))
                    .into_bytes();
            }
        };
        let shown = |call: &&Call| call.is_shown() && call.is_whole();
        // A call that was cut is left out: what a client gets, it runs.
        let mut calls: Vec<&Call> = self.calls.iter().filter(shown).collect();
        calls.sort_by_key(|call| call.index());
        let mut out = Vec::with_capacity(512 + self.whole.text.len() + self.whole.thoughts.len());
        envelope(&mut out, &self.hex, "chat.completion", self.begin.created_at, &self.wants.model);
        self.whole.write(&calls, self.wants.legacy, reason, &mut out);
        self.push_usage(&mut out);
        out.push(b'}');
        out
    }

    /// The role, in a chunk of its own.
    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.chunk(|out| out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\""));
        }
    }

    /// One chunk; `fill` writes the fields of its delta.
    fn chunk(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.wants.stream {
            self.out.extend_from_slice(&self.head);
            fill(&mut self.out);
            self.out.extend_from_slice(self.tail);
        }
    }

    /// The hot path: nothing is allocated but room for the bytes themselves.
    fn piece(&mut self, field: Field, text: &str) {
        self.begin();
        self.written += text.len() as u64;
        if !self.wants.stream {
            return self.whole.push(field, text);
        }
        self.chunk(|out| {
            out.extend_from_slice(match field {
                Field::Content => b"\"content\":\"",
                Field::Refusal => b"\"refusal\":\"",
                Field::ReasoningBlock => b"\"reasoning_content\":\"",
            });
            push_escaped(out, text);
            out.push(b'"');
        });
    }

    fn text(&mut self, text: &str) {
        self.show_ended();
        if self.stops.is_idle() {
            self.spoke = true;
            return self.piece(Field::Content, text);
        }
        let (ready, stopped) = self.stops.push(text);
        self.begin();
        self.say(&ready);
        if stopped {
            // The model goes on for nobody: whoever drives this writer hangs up.
            self.finish(FinishReason::Stop);
        }
    }

    /// Something that is not words follows: what was held back, for what might have followed, goes out.
    fn break_text(&mut self) {
        self.begin();
        self.show_ended();
        self.flush();
    }

    fn flush(&mut self) {
        let held = self.stops.flush();
        self.say(&held);
    }

    fn say(&mut self, text: &str) {
        if !text.is_empty() {
            self.spoke = true;
            self.piece(Field::Content, text);
        }
    }

    fn reasoning_state(&mut self, opaque: &OpaqueState) {
        self.break_text();
        let calls = usize::try_from(self.shown).unwrap_or(usize::MAX);
        let place = Place { calls, words: self.spoke };
        let detail = detail(opaque, &self.begin.seal, place, self.details);
        self.details += 1;
        if !self.wants.stream {
            return self.whole.detail(&detail);
        }
        self.chunk(|out| {
            out.extend_from_slice(b"\"reasoning_details\":[");
            out.extend_from_slice(detail.as_bytes());
            out.push(b']');
        });
    }

    fn call_started(&mut self, slot: u32, id: Option<&str>, name: &str) {
        self.break_text();
        // The API's first form has room for one call: the model will ask again for the others.
        if self.wants.legacy && !self.calls.is_empty() {
            return;
        }
        let usable = |id: &&str| id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
        let fresh = |id: &&str| !self.begin.call_ids.contains(*id);
        let id = match id.filter(usable).filter(fresh) {
            Some(id) => id.to_owned(),
            None => format!("call_{}{slot:02x}", &self.hex),
        };
        self.begin.call_ids.insert(id.clone());
        self.calls.push(Call::new(slot, id, name, self.wants.tools.find(name), self.wants.legacy));
    }

    fn call_arguments(&mut self, slot: u32, json: &str) {
        self.written += json.len() as u64;
        let Some(at) = self.calls.iter().rposition(|call| call.slot == slot && call.is_open()) else {
            return;
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.push(json);
        if call.has_arguments() {
            self.bring_up(at);
        }
    }

    fn call_ended(&mut self, slot: u32) {
        let Some(at) = self.calls.iter().rposition(|call| call.slot == slot && call.is_open()) else {
            return;
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.end();
        if !call.is_whole() {
            self.broken_call.get_or_insert_with(|| call.name().to_owned());
        } else if call.is_shown() {
            self.bring_up(at);
        }
    }

    /// Calls without arguments are shown late: when the answer goes on, or ends well, the model really meant none.
    fn show_ended(&mut self) {
        if self.calls.len() > self.shown as usize {
            for at in 0..self.calls.len() {
                if self.calls.get(at).is_some_and(|call| call.is_whole() && !call.is_shown()) {
                    self.bring_up(at);
                }
            }
        }
    }

    /// Writes what the client does not have of a call yet.
    fn bring_up(&mut self, at: usize) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let (out, stream) = (&mut self.out, self.wants.stream);
        if !call.is_shown() {
            let from = out.len();
            out.extend_from_slice(&self.head);
            call.show(self.shown, out);
            out.extend_from_slice(self.tail);
            self.shown += 1;
            if !stream {
                out.truncate(from);
            }
        }
        if stream && call.is_behind() {
            out.extend_from_slice(&self.head);
            call.delta(out);
            out.extend_from_slice(self.tail);
        }
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
                let open = self.calls.iter().filter(|call| call.is_open()).map(|call| call.slot);
                for slot in open.collect::<Vec<u32>>() {
                    self.call_ended(slot);
                }
                if let Some(name) = self.broken_call.take() {
                    let message = format!(
                        "the model called `{name}` with arguments that are not JSON, so the call was not passed on"
                    );
                    return self.fail(&Failure::new(FailureKind::UpstreamError, message));
                }
                self.show_ended();
                match (self.shown, self.wants.legacy) {
                    (0, _) => "stop",
                    (_, false) => "tool_calls",
                    (_, true) => "function_call",
                }
            }
        };
        if self.wants.stream {
            self.last_chunk(reason);
        }
        self.end = Some(End::Well(reason));
    }

    /// Complete usage. Clients decide by it when to compact, so an upstream that does not count is estimated at four characters
    /// a token.
    fn push_usage(&self, out: &mut Vec<u8>) {
        let input = self.usage.input.unwrap_or(self.wants.input_tokens);
        let output = self.usage.output.unwrap_or(self.written.div_ceil(4));
        push_usage(out, self.usage, input, output);
    }

    fn last_chunk(&mut self, reason: &str) {
        let mut out = std::mem::take(&mut self.out);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        push_string(&mut out, reason);
        out.extend_from_slice(if self.wants.usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" });
        if self.wants.usage {
            out.extend_from_slice(b"data: ");
            envelope(&mut out, &self.hex, "chat.completion.chunk", self.begin.created_at, &self.wants.model);
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            self.push_usage(&mut out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.out = out;
    }
}

/// What every chunk of the answer begins with, up to the fields of its delta.
fn head(hex: &str, created_at: u64, model: &str) -> Vec<u8> {
    let mut head = b"data: ".to_vec();
    envelope(&mut head, hex, "chat.completion.chunk", created_at, model);
    head.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":{");
    head
}

impl EventSink for Writer {
    fn event(&mut self, event: TurnEvent<'_>) {
        if let TurnEvent::Usage(usage) = event {
            // Also behind the end: one object at the end still has room for it.
            self.usage = usage;
            return;
        }
        let is_over = self.end.is_some() || (self.broken_call.is_some() && event.is_semantic());
        if is_over {
            return;
        }
        match event {
            TurnEvent::Started => self.begin(),
            TurnEvent::Text(text) => self.text(text),
            TurnEvent::Refusal(text) if self.wants.refusals => {
                self.break_text();
                self.piece(Field::Refusal, text);
            }
            TurnEvent::Refusal(text) => self.text(text),
            TurnEvent::Reasoning(text) if self.wants.thoughts => {
                self.break_text();
                self.piece(Field::ReasoningBlock, text);
            }
            TurnEvent::Reasoning(text) => self.written += text.len() as u64,
            TurnEvent::ReasoningState(opaque) => self.reasoning_state(&opaque),
            TurnEvent::CallStarted { slot, id, name } => self.call_started(slot, id, name),
            TurnEvent::CallArguments { slot, json } => self.call_arguments(slot, json),
            TurnEvent::CallEnded { slot } => self.call_ended(slot),
            TurnEvent::Finished(reason) => self.finish(reason),
            // Frames pass beside the writer.
            TurnEvent::Usage(_) | TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
        }
    }
}
