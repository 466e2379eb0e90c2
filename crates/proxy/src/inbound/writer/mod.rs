//! What the writers of all client protocols stand on: the trait they implement, the answer that joins one of them with an upstream's
//! own events, and what they share: the order of calls, call ids, stop sequences. Knows no protocol. Pure.

pub mod answer;
pub(in crate::inbound) mod calls;
pub mod passthrough;
pub mod sequencer;
pub(in crate::inbound) mod stop_sequences;

use std::collections::HashSet;

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, SealKey, TurnEvent, Usage};

use self::calls::CallIdRule;
use self::sequencer::{CallDelivery, Sequencer};
use super::client_behaviour::ClientBehaviour;
use super::wire::rope::Rope;

/// Writes the answer to one turn in a client's protocol: turn events in, bytes out.
///
/// Invariant: there is exactly one terminal event, and nothing after it. A delta of text or arguments allocates nothing but room for
/// its bytes.
pub trait ClientWriter: EventSink + Send {
    /// Bytes that are ready for the client.
    fn out(&self) -> &[u8];

    /// The buffer that holds them.
    fn out_mut(&mut self) -> &mut Vec<u8>;

    /// How many pieces of large events are ready before `out`. Only a protocol whose events repeat whole texts has any.
    fn pieces_before_out(&self) -> usize {
        0
    }

    /// Takes the first piece that is ready: a part of a large event, or all of `out`. `None` once there is nothing.
    fn pop(&mut self) -> Option<Bytes> {
        let out = std::mem::take(self.out_mut());
        (!out.is_empty()).then(|| out.into())
    }

    /// Takes the bytes that are ready, in one buffer.
    fn take(&mut self) -> Vec<u8> {
        if self.pieces_before_out() == 0 {
            return std::mem::take(self.out_mut());
        }
        std::iter::from_fn(|| self.pop()).flatten().collect()
    }

    /// Throws the bytes away: the client wants one object at the end.
    fn discard(&mut self) {
        while self.pieces_before_out() > 0 {
            self.pop();
        }
        self.out_mut().clear();
    }

    /// True once the terminal event was written.
    fn is_finished(&self) -> bool;

    /// The time in Unix seconds, told before the answer ends. Only protocols whose answers name a time look at it.
    fn set_time(&mut self, _now: u64) {}

    /// Writes something that means nothing and keeps the client's timer from running out.
    fn keep_alive(&mut self);

    /// Tells the person that the turn waits, where the protocol has a place for it that is no part of the answer.
    fn say_wait(&mut self, _words: &str) {}

    /// Ends the answer with a failure; does nothing once it has ended.
    fn fail(&mut self, failure: &Failure) {
        if !self.is_finished() {
            self.write_failure(failure);
        }
    }

    /// Writes the failure that ends the answer, behind what is open. Called by [`ClientWriter::fail`] alone.
    fn write_failure(&mut self, failure: &Failure);

    /// How the answer failed where only its writer could know, as with a call that came out broken. A client that wants one object
    /// then gets an HTTP status instead.
    fn failure(&self) -> Option<&Failure> {
        None
    }

    /// What is stored of the answer, to be continued by a later request; `None` before its end, or where the protocol stores nothing.
    fn stored(&self) -> Option<StoredResponse> {
        None
    }

    /// The answer as one JSON object, for a client that did not ask for a stream; the error in the protocol's shape where it failed.
    /// Valid once, after the end.
    fn take_object(&mut self) -> Vec<u8>;

    /// The same in pieces, where the object shares a long text with what was written before.
    fn take_object_pieces(&mut self) -> Rope {
        self.take_object().into()
    }
}

/// What every writer must know besides the request. Time and randomness come in as arguments.
#[derive(Debug, Clone, Default)]
pub struct WriterSeed {
    /// All ids of the answer are made of these.
    pub random: [u8; 16],
    /// Unix time, in seconds.
    pub created_at: u64,
    /// Call ids of the conversation so far, which must not be used again: of two results under one id a client keeps one.
    pub call_ids: HashSet<String>,
    /// Seals provider state for its way through the client.
    pub seal: SealKey,
    /// What this client needs.
    pub client: &'static ClientBehaviour,
}

impl WriterSeed {
    /// The random bytes in hexadecimal, the end of every id.
    pub(super) fn hex(&self) -> String {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
        self.random.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    }
}

/// What is stored of an answer.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    /// The name of the response.
    pub id: String,
    /// Its items, JSON joined by commas.
    pub output: Rope,
    /// The whole response, a JSON object.
    pub response: Rope,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum AnswerPhase {
    /// Nothing was written.
    #[default]
    Waiting,
    /// The first event was written.
    Open,
    /// The terminal event was written.
    Finished,
}

/// What every writer keeps whose protocol takes one item at a time.
pub(super) struct WriterState {
    /// How far the answer is.
    pub(super) phase: AnswerPhase,
    /// Puts the items in order.
    pub(super) sequencer: Sequencer,
    /// What the upstream counted so far.
    pub(super) usage: Usage,
    /// A rough count of the input's tokens, for upstreams that do not count.
    input_tokens: u64,
}

impl WriterState {
    /// The state before the first event.
    pub(super) fn new(
        delivery: CallDelivery,
        ids: CallIdRule,
        seed: &mut WriterSeed,
        input_tokens: u64,
    ) -> Self {
        let sequencer = Sequencer::new(delivery, ids, seed);
        Self { phase: AnswerPhase::Waiting, sequencer, usage: Usage::default(), input_tokens }
    }

    /// Opens the answer; true the first time, when its first event is to be written.
    pub(super) fn open(&mut self) -> bool {
        let is_first = self.phase == AnswerPhase::Waiting;
        if is_first {
            self.phase = AnswerPhase::Open;
        }
        is_first
    }

    /// True once the terminal event was written.
    pub(super) fn is_finished(&self) -> bool {
        self.phase == AnswerPhase::Finished
    }

    /// Whether an event still has a place in the answer: nothing follows its end, and behind a broken call only the end does.
    pub(super) fn accepts(&self, event: &TurnEvent<'_>) -> bool {
        !self.is_finished() && (self.sequencer.broken_call().is_none() || !event.is_semantic())
    }

    /// Tokens of the input, as counted or estimated.
    pub(super) fn input(&self) -> u64 {
        self.usage.input.unwrap_or(self.input_tokens)
    }

    /// Tokens of the output, as counted, or estimated for this much text.
    pub(super) fn output(&self, text_bytes: u64) -> u64 {
        self.usage.output.unwrap_or_else(|| estimate_tokens(text_bytes))
    }
}

/// How many bytes of arguments an event holds: they count as output.
pub(super) fn argument_bytes(event: &TurnEvent<'_>) -> u64 {
    if let TurnEvent::CallArguments { json, .. } = event { json.len() as u64 } else { 0 }
}

/// Tokens of the output, estimated at four bytes each, for an upstream that does not count.
pub(super) fn estimate_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_end_in_the_seed() {
        let seed = WriterSeed { random: [0xa0; 16], ..WriterSeed::default() };
        assert_eq!(seed.hex(), "a0".repeat(16));
        assert_eq!([0, 1, 4, 5].map(estimate_tokens), [0, 1, 1, 2]);
    }
}
