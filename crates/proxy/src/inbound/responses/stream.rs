//! Turn events to the events of a Responses stream. A strict state machine; pure.
//!
//! Invariant: items do not overlap; sequence numbers have no gaps; there is exactly one terminal event, and nothing after it.
//! Invariant: a call is only done when its arguments are whole. A text delta allocates nothing.

use std::collections::HashSet;
use std::fmt::Write as _;

use latimer_protocol::failure::{Failure, Kind as FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, Seal, TurnEvent, Usage};

use super::answer::StoredResponse;
use super::call::{Call, Verdict};
use super::error::{stream_code, stream_message};
use super::frame::{event, output_index};
use super::object::{Echo, Object, Snapshot};
use super::spoken::{Message, ReasoningBlock};
use crate::inbound::wire::json::push_string;
use crate::inbound::wire::tool_map::ToolMap;

/// What a writer must know besides the request. Time and randomness come in as arguments.
#[derive(Debug, Clone, Default)]
pub struct WriterSeed {
    /// All ids of the response are made of these.
    pub seed: [u8; 16],
    /// Unix time, in seconds.
    pub created_at: u64,
    /// The client is Codex, which reads some things its own way.
    pub codex: bool,
    /// Events are wanted, not one object at the end.
    pub stream: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// Call ids of the conversation so far, which must not be used again.
    pub call_ids: HashSet<String>,
    /// The answer is to be kept, to be gone on with.
    pub keeps: bool,
    /// The words of the answer are a summary that stands for the history.
    pub compaction: bool,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
}

/// Writes one response.
pub struct Writer {
    begin: WriterSeed,
    tools: ToolMap,
    object: Object,
    out: Vec<u8>,
    hex: String,
    sequence: u64,
    begun: bool,
    finished: bool,
    now: u64,
    /// Items that were begun.
    items: u32,
    open: Open,
    /// Calls that wait for the open one to end.
    waiting: Vec<Call>,
    /// Slots that are over.
    closed: HashSet<u32>,
    /// Text that came while a call was open.
    late_text: String,
    /// JSON of the finished items, joined by commas.
    output: Vec<u8>,
    usage: Usage,
    /// Characters that went out, to estimate tokens.
    written: u64,
    /// A call came out broken: nothing is begun after it, so that it is the last item.
    broken_call: Option<String>,
    /// The summary so far.
    summary: String,
    whole: Vec<u8>,
}

#[derive(Debug)]
enum Open {
    Nothing,
    Message(Message),
    Reasoning(ReasoningBlock),
    Call(Box<Call>),
}

impl Writer {
    /// A writer for one response. Nothing is written before the first event.
    pub fn new(begin: WriterSeed, echo: &Echo, tools: ToolMap) -> Self {
        let mut hex = String::with_capacity(32);
        for byte in begin.seed {
            let _ = write!(hex, "{byte:02x}");
        }
        let object = Object::new(&format!("resp_{hex}"), begin.created_at, echo);
        Self {
            now: begin.created_at,
            begin,
            tools,
            object,
            out: Vec::new(),
            hex,
            sequence: 0,
            begun: false,
            finished: false,
            items: 0,
            open: Open::Nothing,
            waiting: Vec::new(),
            closed: HashSet::new(),
            late_text: String::new(),
            output: Vec::new(),
            usage: Usage::default(),
            written: 0,
            broken_call: None,
            summary: String::new(),
            whole: Vec::new(),
        }
    }

    /// What it was made with.
    pub(super) fn begin_with(&self) -> &WriterSeed {
        &self.begin
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
        self.finished
    }

    /// The time for `completed_at`, in Unix seconds.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// An event that means nothing and keeps the client's timer from running out: Codex counts only typed ones.
    pub fn keep_alive(&mut self) {
        if self.finished {
            return;
        }
        if !self.begun {
            return self.begin();
        }
        self.snapshot("response.in_progress", "in_progress", None, None);
    }

    /// Ends the response with a failure. What is open is closed as incomplete.
    pub fn fail(&mut self, failure: &Failure) {
        if self.finished {
            return;
        }
        self.begin();
        self.close_open(false);
        let mut error = b"{\"code\":".to_vec();
        push_string(&mut error, stream_code(failure.kind, self.begin.codex));
        error.extend_from_slice(b",\"message\":");
        push_string(&mut error, &stream_message(failure, self.begin.codex));
        error.push(b'}');
        let error = String::from_utf8(error).unwrap_or_default();
        self.terminal("response.failed", "failed", Some(&error), None);
    }

    /// The response's id and its items, JSON joined by commas; once it is over.
    pub fn kept(&self) -> Option<StoredResponse> {
        let id = format!("resp_{}", self.hex);
        self.finished.then(|| StoredResponse {
            id,
            output: self.output.clone(),
            response: self.whole.clone(),
        })
    }

    /// The response as one JSON object; for a client that did not ask for a stream.
    pub fn into_object(self) -> Vec<u8> {
        self.whole
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.snapshot("response.created", "in_progress", None, None);
            self.snapshot("response.in_progress", "in_progress", None, None);
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        self.begin();
        if self.begin.compaction && reason == FinishReason::Stop {
            return self.compacted();
        }
        let whole =
            !matches!(reason, FinishReason::Length | FinishReason::ContentFilter | FinishReason::Failed(_));
        let reason = match reason {
            FinishReason::Failed(failure) => return self.fail(&failure),
            other => other,
        };
        let cut_message = matches!(self.open, Open::Message(_)) && !whole && !self.begin.codex;
        // Cut before its arguments, a call looks like one that needs none.
        let cut_call = !whole && matches!(&self.open, Open::Call(call) if !call.has_arguments());
        let had_items = self.items > 0;
        self.close_open(!cut_message && !cut_call);
        self.waiting.retain(|call| whole || call.ended || call.has_arguments());
        self.waiting.iter_mut().for_each(|call| call.ended = true);
        self.next_call();
        match (reason, self.broken_call.take()) {
            (FinishReason::Length, broken) => {
                // Codex fails a turn that is incomplete; a text that was cut is worth more than that.
                if self.begin.codex && had_items && broken.is_none() {
                    return self.terminal("response.completed", "completed", None, None);
                }
                self.terminal("response.incomplete", "incomplete", None, Some("max_output_tokens"));
            }
            (FinishReason::ContentFilter, _) => {
                self.terminal("response.incomplete", "incomplete", None, Some("content_filter"));
            }
            (_, Some(name)) => {
                let message = format!(
                    "the model called `{name}` with arguments that are not JSON, so the call was not passed on"
                );
                self.fail(&Failure::new(FailureKind::UpstreamError, message));
            }
            _ => self.terminal("response.completed", "completed", None, None),
        }
    }

    /// One item that stands for the history.
    fn compacted(&mut self) {
        let (id, index) = self.next_item("cmp");
        let carrier = super::compact::carrier(&self.summary, &self.begin.seal);
        let mut item = b"{\"type\":\"compaction\",\"id\":".to_vec();
        push_string(&mut item, &id);
        item.extend_from_slice(b",\"encrypted_content\":");
        push_string(&mut item, &carrier);
        item.push(b'}');
        event(&mut self.out, &mut self.sequence, "response.output_item.added", |out| {
            output_index(out, index);
            out.extend_from_slice(b",\"item\":");
            out.extend_from_slice(&item);
        });
        self.item_done(index, &item);
        self.terminal("response.completed", "completed", None, None);
    }

    fn text(&mut self, text: &str, refusal: bool) {
        self.begin();
        if self.begin.compaction {
            self.written += text.len() as u64;
            return self.summary.push_str(text);
        }
        // Codex shows nothing of a refusal part.
        let refusal = refusal && !self.begin.codex;
        match &self.open {
            Open::Message(message) if message.refusal == refusal => {}
            Open::Call(_) => return self.late_text.push_str(text),
            _ => {
                self.close_open(true);
                let (id, index) = self.next_item("msg");
                self.open =
                    Open::Message(Message::open(id, index, refusal, &mut self.out, &mut self.sequence));
            }
        }
        self.written += text.len() as u64;
        if let Open::Message(message) = &mut self.open {
            message.delta(text, &mut self.out, &mut self.sequence);
        }
    }

    fn reasoning(&mut self, text: &str) {
        self.begin();
        if !matches!(self.open, Open::Reasoning(_)) {
            if matches!(self.open, Open::Call(_)) {
                // Thoughts between the pieces of a call have no place of their own.
                return;
            }
            self.close_open(true);
            let (id, index) = self.next_item("rs");
            self.open = Open::Reasoning(ReasoningBlock::open(id, index, &mut self.out, &mut self.sequence));
        }
        self.written += text.len() as u64;
        if let Open::Reasoning(thoughts) = &mut self.open {
            thoughts.delta(text, &mut self.out, &mut self.sequence);
        }
    }

    fn reasoning_state(&mut self, opaque: &OpaqueState) {
        self.begin();
        if !matches!(self.open, Open::Reasoning(_)) {
            if matches!(self.open, Open::Call(_)) {
                return;
            }
            self.close_open(true);
            let (id, index) = self.next_item("rs");
            self.open = Open::Reasoning(ReasoningBlock::open(id, index, &mut self.out, &mut self.sequence));
        }
        if let Open::Reasoning(thoughts) = std::mem::replace(&mut self.open, Open::Nothing) {
            let item =
                thoughts.close(Some(opaque.encode(&self.begin.seal)), &mut self.out, &mut self.sequence);
            self.item_done(thoughts.index, &item);
        }
    }

    fn call_started(&mut self, slot: u32, id: Option<&str>, name: &str) {
        self.begin();
        let taken = |id: &str| self.begin.call_ids.contains(id);
        let id = match id.filter(|id| !taken(id)) {
            Some(id) => id.to_owned(),
            None => format!("call_{}{slot:02x}", &self.hex),
        };
        self.begin.call_ids.insert(id.clone());
        let call = Call::new(slot, id, name, self.tools.find(name));
        match &self.open {
            // A whole object needs no more pieces: the next call can stream.
            Open::Call(open) if open.is_whole() => self.close_open(true),
            Open::Call(_) => return self.waiting.push(call),
            _ => self.close_open(true),
        }
        if self.broken_call.is_some() {
            return;
        }
        if self.waiting.is_empty() {
            self.open_call(call);
        } else {
            self.waiting.push(call);
            self.next_call();
        }
    }

    fn call_arguments(&mut self, slot: u32, json: &str) {
        self.written += json.len() as u64;
        match &mut self.open {
            Open::Call(call) if call.slot == slot => call.arguments(json, &mut self.out, &mut self.sequence),
            _ => {
                if let Some(call) = self.waiting.iter_mut().find(|call| call.slot == slot) {
                    call.arguments_later(json);
                }
            }
        }
    }

    fn call_ended(&mut self, slot: u32) {
        if self.closed.contains(&slot) {
            return;
        }
        match &self.open {
            Open::Call(call) if call.slot == slot => {
                self.close_open(true);
                self.next_call();
            }
            _ => {
                if let Some(call) = self.waiting.iter_mut().find(|call| call.slot == slot) {
                    call.ended = true;
                }
            }
        }
    }

    /// Opens calls that waited, up to the first that is not over.
    fn next_call(&mut self) {
        while matches!(self.open, Open::Nothing) && self.broken_call.is_none() && !self.waiting.is_empty() {
            let call = self.waiting.remove(0);
            let ended = call.ended;
            self.open_call(call);
            if ended {
                self.close_open(true);
            }
        }
        if matches!(self.open, Open::Nothing) {
            self.late_message();
        }
    }

    fn late_message(&mut self) {
        if !self.late_text.is_empty() && matches!(self.open, Open::Nothing) && self.broken_call.is_none() {
            let text = std::mem::take(&mut self.late_text);
            self.text(&text, false);
            self.close_open(true);
        }
    }

    fn open_call(&mut self, mut call: Call) {
        let (id, index) = self.next_item(call.id_prefix());
        call.open(id, index, &mut self.out, &mut self.sequence);
        self.open = Open::Call(Box::new(call));
    }

    /// Closes what is open; `whole` says whether it may count as complete.
    fn close_open(&mut self, whole: bool) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Message(message) => {
                let item = message.close(whole, &mut self.out, &mut self.sequence);
                self.item_done(message.index, &item);
            }
            Open::Reasoning(thoughts) => {
                let item = thoughts.close(None, &mut self.out, &mut self.sequence);
                self.item_done(thoughts.index, &item);
            }
            Open::Call(call) => self.close_call(*call, whole),
        }
    }

    fn close_call(&mut self, mut call: Call, whole: bool) {
        self.closed.insert(call.slot);
        match call.verdict(whole) {
            Verdict::Whole => {
                let item = call.close(&mut self.out, &mut self.sequence);
                self.item_done(call.index(), &item);
            }
            Verdict::Broken => {
                self.broken_call.get_or_insert_with(|| call.name().to_owned());
                // Codex runs whatever is done, so for it a broken call never is.
                if !self.begin.codex {
                    let item = call.incomplete_item();
                    self.item_done(call.index(), &item);
                }
            }
        }
    }

    fn item_done(&mut self, index: u32, item: &[u8]) {
        event(&mut self.out, &mut self.sequence, "response.output_item.done", |out| {
            output_index(out, index);
            out.extend_from_slice(b",\"item\":");
            out.extend_from_slice(item);
        });
        if !self.output.is_empty() {
            self.output.push(b',');
        }
        self.output.extend_from_slice(item);
    }

    fn next_item(&mut self, prefix: &str) -> (String, u32) {
        let index = self.items;
        self.items += 1;
        (format!("{prefix}_{}{index:02x}", self.hex), index)
    }

    fn snapshot(&mut self, name: &'static str, status: &str, error: Option<&str>, incomplete: Option<&str>) {
        let object = &self.object;
        event(&mut self.out, &mut self.sequence, name, |out| {
            out.extend_from_slice(b",\"response\":");
            object.write(
                out,
                &Snapshot { status, completed_at: None, error, incomplete, output: b"", usage: None },
            );
        });
    }

    fn terminal(&mut self, name: &'static str, status: &str, error: Option<&str>, incomplete: Option<&str>) {
        let usage = self.usage_json();
        let snapshot = Snapshot {
            status,
            completed_at: (status == "completed").then_some(self.now.max(self.begin.created_at)),
            error,
            incomplete,
            output: &self.output,
            usage: Some(&usage),
        };
        self.object.write(&mut self.whole, &snapshot);
        let whole = &self.whole;
        event(&mut self.out, &mut self.sequence, name, |out| {
            out.extend_from_slice(b",\"response\":");
            out.extend_from_slice(whole);
        });
        self.out.extend_from_slice(b"data: [DONE]\n\n");
        self.finished = true;
    }

    /// Complete usage. Codex decides by it when to compact, so an upstream that does not count is estimated at four
    /// characters a token.
    fn usage_json(&self) -> String {
        let usage = &self.usage;
        let input = usage.input.unwrap_or(self.begin.input_tokens);
        let output = usage.output.unwrap_or(self.written.div_ceil(4));
        serde_json::json!({
            "input_tokens": input,
            "input_tokens_details": { "cached_tokens": usage.cached.unwrap_or(0), "cache_write_tokens": usage.cache_write.unwrap_or(0) },
            "output_tokens": output,
            "output_tokens_details": { "reasoning_tokens": usage.reasoning.unwrap_or(0) },
            "total_tokens": input.saturating_add(output),
        })
        .to_string()
    }
}

impl EventSink for Writer {
    fn event(&mut self, event: TurnEvent<'_>) {
        let is_over = self.finished || (self.broken_call.is_some() && event.is_semantic());
        if is_over {
            return;
        }
        match event {
            TurnEvent::Started => self.begin(),
            TurnEvent::Text(text) => self.text(text, false),
            TurnEvent::Refusal(text) => self.text(text, true),
            TurnEvent::Reasoning(text) => self.reasoning(text),
            TurnEvent::ReasoningState(opaque) => self.reasoning_state(&opaque),
            TurnEvent::CallStarted { slot, id, name } => self.call_started(slot, id, name),
            TurnEvent::CallArguments { slot, json } => self.call_arguments(slot, json),
            TurnEvent::CallEnded { slot } => self.call_ended(slot),
            TurnEvent::Usage(usage) => self.usage = usage,
            // Frames pass beside the writer.
            TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
            TurnEvent::Finished(reason) => self.finish(reason),
        }
    }
}
