//! Turn events to the events of a Messages stream, and to one message. A strict state machine; pure.
//!
//! Invariant: blocks do not overlap, and their indexes have no gaps; there is exactly one terminal event (`message_stop` or
//! `error`), and nothing after it.
//! Invariant: the block of a call only ends when its arguments are one JSON object. Clients run what has ended; a call that
//! was cut has no end and is lost, as measured. A delta allocates nothing but room for its bytes.

use std::collections::HashSet;

use latimer_protocol::failure::{Failure, Kind as FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, Owner, Seal, TurnEvent, Usage};

use super::block::{Call, Kind, TextBlock, redacted};
use super::message::{Ending, Envelope, usage};
use super::pass::PassthroughWriter;
use super::stop::Stops;

/// The longest id of a call that is handed on as it came.
const LONGEST_ID: usize = 64;

/// What a writer must know besides the events. Randomness comes in as an argument.
#[derive(Debug, Clone, Default)]
pub struct WriterSeed {
    /// All ids of the message are made of these.
    pub seed: [u8; 16],
    /// The model, as the client asked for it.
    pub model: String,
    /// Events are wanted, not one object at the end.
    pub stream: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// Call ids of the conversation so far, which must not be used again: of two results under one id a client keeps one.
    pub call_ids: HashSet<String>,
    /// Words that end the answer.
    pub stops: Vec<String>,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
}

/// Writes one message.
pub struct Writer {
    begin: WriterSeed,
    envelope: Envelope,
    out: Vec<u8>,
    begun: bool,
    finished: bool,
    /// Blocks that were begun.
    blocks: u32,
    open: Open,
    /// Calls that wait for the open one to end.
    waiting: Vec<Call>,
    /// Slots that are over.
    closed: HashSet<u32>,
    /// Text that came while a call was open.
    late_text: String,
    stops: Stops,
    /// A call was given out.
    called: bool,
    /// A call came out broken: nothing is begun after it.
    broken_call: Option<String>,
    usage: Usage,
    /// Characters that went out, to estimate tokens.
    written: u64,
    /// JSON of the finished blocks, joined by commas; for a client that wants one object.
    content: Vec<u8>,
    whole: Vec<u8>,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Open {
    Nothing,
    TextBlock(TextBlock),
    Call(Call),
}

impl Writer {
    /// A writer for one message. Nothing is written before the first event that says something.
    pub fn new(mut begin: WriterSeed) -> Self {
        let envelope = Envelope::new(&begin.seed, std::mem::take(&mut begin.model));
        let stops = Stops::new(std::mem::take(&mut begin.stops));
        Self {
            begin,
            envelope,
            out: Vec::new(),
            begun: false,
            finished: false,
            blocks: 0,
            open: Open::Nothing,
            waiting: Vec::new(),
            closed: HashSet::new(),
            late_text: String::new(),
            stops,
            called: false,
            broken_call: None,
            usage: Usage::default(),
            written: 0,
            content: Vec::new(),
            whole: Vec::new(),
            failure: None,
        }
    }

    /// For an upstream's own events instead of the writer's.
    pub(super) fn pass(&self) -> PassthroughWriter {
        PassthroughWriter::new(self.envelope.clone(), self.begin.seal.clone())
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

    /// The time, in Unix seconds. A message holds none; other protocols' writers do.
    pub fn set_now(&mut self, _now: u64) {}

    /// An event that means nothing and keeps the client's timer from running out.
    pub fn keep_alive(&mut self) {
        if self.finished {
            return;
        }
        self.begin();
        self.out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
    }

    /// Ends the message with a failure. Words that are open are kept by the client, calls are not.
    pub fn fail(&mut self, failure: &Failure) {
        if self.finished {
            return;
        }
        self.close_spoken();
        self.whole = self.envelope.error(failure, &mut self.out);
        self.failure = Some(failure.clone());
        self.finished = true;
    }

    /// Why the message failed, if it did: a client that wants one object then gets a status instead.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The message as one JSON object; for a client that did not ask for a stream. The error in the API's shape where it failed.
    pub fn into_object(self) -> Vec<u8> {
        self.whole
    }

    /// `message_start` waits for the first thing said, or for the count of the input, whichever is first: providers that count
    /// early do so right behind their first event.
    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            let usage = usage(self.usage, self.begin.input_tokens, 0);
            self.envelope.start(&usage, &mut self.out);
        }
    }

    fn count(&mut self, usage: Usage) {
        self.usage = usage;
        if usage.input.is_some() {
            self.begin();
        }
    }

    fn text(&mut self, text: &str) {
        self.begin();
        if !self.call_is_over() {
            return self.late_text.push_str(text);
        }
        if self.finished || self.broken_call.is_some() {
            return;
        }
        // As long as nothing is open, what the stop words hold back is the beginning of this text.
        if matches!(&self.open, Open::TextBlock(spoken) if spoken.kind != Kind::Text) {
            self.close_open();
        }
        if self.stops.is_empty() {
            return self.say(Kind::Text, text);
        }
        let mut stops = std::mem::take(&mut self.stops);
        let found = stops.push(text, |text| self.say(Kind::Text, text));
        self.stops = stops;
        if let Some(word) = found {
            self.close_open();
            self.end("stop_sequence", Some(&word));
        }
    }

    fn reasoning(&mut self, text: &str) {
        self.begin();
        // Thoughts between the pieces of a call have no place of their own.
        if self.call_is_over() && !self.finished && self.broken_call.is_none() {
            self.say(Kind::Thinking, text);
        }
    }

    /// Writes words or thoughts into a block of their kind.
    fn say(&mut self, kind: Kind, text: &str) {
        if !matches!(&self.open, Open::TextBlock(spoken) if spoken.kind == kind) {
            self.close_open();
            let index = self.next_block();
            self.open = Open::TextBlock(TextBlock::open(kind, index, !self.begin.stream, &mut self.out));
        }
        self.written += text.len() as u64;
        if let Open::TextBlock(spoken) = &mut self.open {
            spoken.delta(text, &mut self.out);
        }
    }

    /// State goes with the thoughts it belongs to, as their signature; alone it is a block that nobody may read.
    fn reasoning_state(&mut self, opaque: &OpaqueState) {
        self.begin();
        if !self.call_is_over() || self.finished || self.broken_call.is_some() {
            return;
        }
        let carrier = opaque.encode(&self.begin.seal);
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::TextBlock(spoken) if spoken.kind == Kind::Thinking => {
                let block = spoken.close(Some(&carrier), &mut self.out);
                self.keep(block);
            }
            open => {
                self.open = open;
                self.close_open();
                let index = self.next_block();
                let block = redacted(&carrier, index, &mut self.out);
                self.keep(Some(block));
            }
        }
    }

    /// Makes room for what is not part of the open call; false as long as that call needs more pieces. A whole object needs
    /// none, whether or not somebody said that it is over.
    fn call_is_over(&mut self) -> bool {
        match &self.open {
            Open::Call(call) if call.is_whole() => {
                self.close_open();
                self.next_call();
                !matches!(self.open, Open::Call(_))
            }
            Open::Call(_) => false,
            Open::Nothing | Open::TextBlock(_) => true,
        }
    }

    fn call_started(&mut self, slot: u32, id: Option<&str>, name: &str) {
        self.begin();
        let usable = |id: &&str| (1..=LONGEST_ID).contains(&id.len()) && !self.begin.call_ids.contains(*id);
        let id = match id.filter(usable) {
            Some(id) => id.to_owned(),
            None => format!("toolu_{}{slot:02x}", self.envelope.hex),
        };
        self.begin.call_ids.insert(id.clone());
        let call = Call::new(slot, id, name);
        if !self.call_is_over() {
            return self.waiting.push(call);
        }
        self.close_open();
        if !self.finished && self.broken_call.is_none() {
            self.open_call(call);
        }
    }

    fn open_call(&mut self, mut call: Call) {
        let index = self.next_block();
        call.open(index, &mut self.out);
        self.open = Open::Call(call);
    }

    fn call_arguments(&mut self, slot: u32, json: &str) {
        self.written += json.len() as u64;
        match &mut self.open {
            Open::Call(call) if call.slot == slot => call.delta(json, &mut self.out),
            _ => {
                if let Some(call) = self.waiting.iter_mut().find(|call| call.slot == slot) {
                    call.later(json);
                }
            }
        }
    }

    fn call_ended(&mut self, slot: u32) {
        if self.closed.contains(&slot) {
            return;
        }
        if let Open::Call(call) = &mut self.open
            && call.slot == slot
        {
            call.ended = true;
            self.close_open();
            self.next_call();
        } else if let Some(call) = self.waiting.iter_mut().find(|call| call.slot == slot) {
            call.ended = true;
        }
    }

    /// Opens calls that waited, up to the first that is not over; then the words that waited.
    fn next_call(&mut self) {
        while matches!(self.open, Open::Nothing) && self.broken_call.is_none() && !self.waiting.is_empty() {
            let call = self.waiting.remove(0);
            let ended = call.ended;
            self.open_call(call);
            if ended {
                self.close_open();
            }
        }
        if matches!(self.open, Open::Nothing) && !self.late_text.is_empty() && self.broken_call.is_none() {
            let text = std::mem::take(&mut self.late_text);
            self.text(&text);
        }
    }

    /// Closes what is open, as complete.
    fn close_open(&mut self) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Call(call) => self.close_call(call),
            open => {
                self.open = open;
                self.close_spoken();
            }
        }
    }

    fn close_call(&mut self, mut call: Call) {
        self.closed.insert(call.slot);
        if call.ended {
            call.settle(&mut self.out);
        }
        if call.is_whole() {
            self.called = true;
            let block = call.close(&mut self.out);
            self.keep(Some(block));
        } else {
            self.broken_call = Some(call.name);
        }
    }

    /// Closes words or thoughts; a call stays as it is.
    fn close_spoken(&mut self) {
        let rest = self.stops.rest();
        if !rest.is_empty() {
            self.say(Kind::Text, &rest);
        }
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::TextBlock(spoken) => {
                // Thoughts without state get a carrier that names nobody: some clients throw away what is not signed, and
                // some providers want their words back.
                let unsigned = (spoken.kind == Kind::Thinking).then(|| nobodys(&self.begin.seal));
                let block = spoken.close(unsigned.as_deref(), &mut self.out);
                self.keep(block);
            }
            open => self.open = open,
        }
    }

    fn keep(&mut self, block: Option<Vec<u8>>) {
        if let Some(block) = block.filter(|_| !self.begin.stream) {
            if !self.content.is_empty() {
                self.content.push(b',');
            }
            self.content.extend_from_slice(&block);
        }
    }

    fn next_block(&mut self) -> u32 {
        let index = self.blocks;
        self.blocks += 1;
        index
    }

    fn finish(&mut self, reason: FinishReason) {
        let cut = match reason {
            FinishReason::Failed(failure) => return self.fail(&failure),
            FinishReason::Length => Some("max_tokens"),
            FinishReason::ContentFilter => Some("refusal"),
            FinishReason::Stop | FinishReason::ToolCalls => None,
        };
        self.begin();
        // Only an answer that is whole ends calls that nobody ended.
        let whole = cut.is_none();
        if let Open::Call(call) = &mut self.open {
            call.ended |= whole;
        }
        self.waiting.iter_mut().for_each(|call| call.ended |= whole);
        self.close_open();
        self.next_call();
        if self.finished {
            return;
        }
        self.close_open();
        match (cut, self.broken_call.take()) {
            (Some(cut), _) => self.end(cut, None),
            (None, Some(name)) => {
                let message = format!(
                    "the model called `{name}` with arguments that are not JSON, so the call was not passed on"
                );
                self.fail(&Failure::new(FailureKind::UpstreamError, message));
            }
            (None, None) => self.end(if self.called { "tool_use" } else { "end_turn" }, None),
        }
    }

    fn end(&mut self, reason: &str, stop: Option<&str>) {
        let output = self.usage.output.unwrap_or(self.written.div_ceil(4));
        let usage = usage(self.usage, self.begin.input_tokens, output);
        let ending = Ending { reason, stop, usage: &usage };
        Envelope::end(ending, &mut self.out);
        if !self.begin.stream {
            self.whole = self.envelope.whole(&self.content, ending);
        }
        self.finished = true;
    }
}

/// A carrier that holds nothing and names nobody.
fn nobodys(seal: &Seal) -> String {
    OpaqueState { owner: Owner::default(), data: String::new() }.encode(seal)
}

impl EventSink for Writer {
    fn event(&mut self, event: TurnEvent<'_>) {
        let is_over = self.finished || (self.broken_call.is_some() && event.is_semantic());
        if is_over {
            return;
        }
        match event {
            TurnEvent::Text(text) | TurnEvent::Refusal(text) => self.text(text),
            TurnEvent::Reasoning(text) => self.reasoning(text),
            TurnEvent::ReasoningState(opaque) => self.reasoning_state(&opaque),
            TurnEvent::CallStarted { slot, id, name } => self.call_started(slot, id, name),
            TurnEvent::CallArguments { slot, json } => self.call_arguments(slot, json),
            TurnEvent::CallEnded { slot } => self.call_ended(slot),
            TurnEvent::Usage(usage) => self.count(usage),
            // Frames pass beside the writer.
            TurnEvent::Started | TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
            TurnEvent::Finished(reason) => self.finish(reason),
        }
    }
}
