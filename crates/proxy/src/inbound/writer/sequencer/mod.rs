//! Turn events in, non-overlapping ones out: the order in which a client gets the items of an answer.
//!
//! Upstreams let calls overlap: their arguments interleave, and text comes between the pieces of a call. Most clients take one item
//! after the other. The [`Sequencer`] keeps the calls that have to wait and the text that came too early for its place, and hands
//! everything on to an [`ItemSink`].
//!
//! Contract, for events of a reader that begins each slot once:
//!
//! - Between `call_started` and the `call_ended` or `call_broken` behind it the sink gets pieces of that call alone.
//! - Calls begin in the order in which the upstream began them.
//! - A call ends when the upstream says so, when the answer ends well, or, once its arguments are one complete JSON object, as soon
//!   as something else follows it.
//! - Text that comes while a call needs more pieces follows behind it. Reasoning has no place there and is dropped.
//! - A call that came out broken is the last item: nothing begins behind it.

use std::collections::VecDeque;

use latimer_protocol::turn::{OpaqueState, TurnEvent};

use super::WriterSeed;
pub use super::calls::PendingCall;
use super::calls::{CallIdRule, CallIds};

/// Takes the items of an answer, one after the other.
pub trait ItemSink {
    /// A piece of text.
    fn text(&mut self, text: &str);

    /// A piece of a refusal. Text, for clients without a place of its own for it.
    fn refusal(&mut self, text: &str) {
        self.text(text);
    }

    /// A piece of readable reasoning.
    fn reasoning(&mut self, text: &str);

    /// Provider state that belongs to the reasoning just given, or stands alone.
    fn reasoning_state(&mut self, opaque: OpaqueState);

    /// The upstream began a call, which may be given out much later.
    fn call_announced(&mut self, _slot: u32) {}

    /// A call begins; its arguments are still to come.
    fn call_started(&mut self, call: &PendingCall);

    /// A piece of the arguments of the call that is open; never empty.
    fn call_arguments(&mut self, json: &str);

    /// The call that is open takes any text as its arguments: nothing at all is an empty text, not an empty object.
    fn takes_free_text(&self) -> bool {
        false
    }

    /// No more arguments will come. Gives the call out if its arguments are usable; false if they are not.
    fn call_ended(&mut self, call: &PendingCall) -> bool;

    /// The call that is open will never be complete.
    fn call_broken(&mut self, call: &PendingCall);

    /// The answer has ended: nothing may begin any more.
    fn is_finished(&self) -> bool {
        false
    }
}

/// How calls are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDelivery {
    /// Piece by piece. Everything else waits for the call that is open.
    Streamed,
    /// In one piece, once complete. Everything else passes it.
    Complete,
}

/// Brings the events of one answer into order. Pure.
#[derive(Debug)]
pub struct Sequencer {
    delivery: CallDelivery,
    ids: CallIds,
    /// The call whose pieces go out as they come.
    open: Option<PendingCall>,
    /// Calls that began behind it, in order.
    waiting: VecDeque<PendingCall>,
    /// Text that came while the open call needed more pieces.
    late_text: String,
    /// The flat name of the call that came out broken.
    broken: Option<String>,
}

impl Sequencer {
    /// A sequencer for one answer, whose calls get their ids by this rule.
    pub(in crate::inbound) fn new(delivery: CallDelivery, rule: CallIdRule, seed: &mut WriterSeed) -> Self {
        Self {
            delivery,
            ids: CallIds::new(rule, seed),
            open: None,
            waiting: VecDeque::new(),
            late_text: String::new(),
            broken: None,
        }
    }

    /// The flat name of a call that came out broken: it is the last item, whatever comes.
    pub fn broken_call(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Takes an event and hands on what has its turn now. Events that are no items are the writer's own and passed over.
    pub fn event(&mut self, event: TurnEvent<'_>, sink: &mut impl ItemSink) {
        if self.is_closed(sink) {
            return;
        }
        match event {
            TurnEvent::Text(text) if self.make_room(sink) => sink.text(text),
            TurnEvent::Refusal(text) if self.make_room(sink) => sink.refusal(text),
            TurnEvent::Text(text) | TurnEvent::Refusal(text) => self.late_text.push_str(text),
            TurnEvent::Reasoning(text) if self.make_room(sink) => sink.reasoning(text),
            TurnEvent::ReasoningState(opaque) if self.make_room(sink) => sink.reasoning_state(opaque),
            TurnEvent::CallStarted { slot, id, name } => self.call_started(slot, id, name, sink),
            TurnEvent::CallArguments { slot, json } => self.call_arguments(slot, json, sink),
            TurnEvent::CallEnded { slot } => self.call_ended(slot, sink),
            // Reasoning between the pieces of a call has no place of its own.
            _ => {}
        }
    }

    /// The upstream's answer is over, `cut` or whole. What waits goes out; what was cut before its first argument does not: it looks
    /// like a call that needs none.
    pub fn finish(&mut self, cut: bool, sink: &mut impl ItemSink) {
        if let Some(call) = &mut self.open {
            call.ended |= !cut;
        }
        self.close(sink);
        if cut {
            self.waiting.retain(|call| match self.delivery {
                CallDelivery::Streamed => call.ended || call.has_arguments(),
                CallDelivery::Complete => call.ended || call.is_complete(),
            });
        }
        for call in &mut self.waiting {
            call.ended = true;
        }
        self.advance(sink);
    }

    /// The answer breaks off: the open call will never be complete, and what waits is lost.
    pub fn abandon(&mut self, sink: &mut impl ItemSink) {
        if let Some(call) = self.open.take() {
            sink.call_broken(&call);
        }
    }

    fn call_started(&mut self, slot: u32, id: Option<&str>, name: &str, sink: &mut impl ItemSink) {
        let call = PendingCall::new(slot, self.ids.choose(id), name);
        sink.call_announced(slot);
        if self.delivery == CallDelivery::Streamed && self.make_room(sink) {
            self.open(call, sink);
        } else {
            self.waiting.push_back(call);
        }
    }

    fn call_arguments(&mut self, slot: u32, json: &str, sink: &mut impl ItemSink) {
        if json.is_empty() {
            return;
        }
        if let Some(call) = self.open.as_mut().filter(|call| call.slot == slot) {
            call.push(json);
            sink.call_arguments(json);
        } else if let Some(call) = self.waiting_call(slot) {
            call.push(json);
        }
    }

    fn call_ended(&mut self, slot: u32, sink: &mut impl ItemSink) {
        if let Some(call) = self.open.as_mut().filter(|call| call.slot == slot) {
            call.ended = true;
            self.close(sink);
        } else if let Some(call) = self.waiting_call(slot) {
            call.ended = true;
        }
        self.advance(sink);
    }

    fn waiting_call(&mut self, slot: u32) -> Option<&mut PendingCall> {
        self.waiting.iter_mut().rev().find(|call| call.slot == slot)
    }

    /// Makes room for what is not part of the open call; false as long as that call needs more pieces. A complete object needs none,
    /// whether or not the upstream said that it has ended.
    fn make_room(&mut self, sink: &mut impl ItemSink) -> bool {
        if self.open.as_ref().is_some_and(PendingCall::is_complete) {
            self.close(sink);
            self.advance(sink);
        }
        self.open.is_none() && !self.is_closed(sink)
    }

    /// Opens the calls that waited, up to the first that needs more pieces; then comes the text that waited.
    fn advance(&mut self, sink: &mut impl ItemSink) {
        while self.open.is_none() && !self.is_closed(sink) {
            let is_due = |call: &PendingCall| call.ended || self.delivery == CallDelivery::Streamed;
            if !self.waiting.front().is_some_and(is_due) {
                break;
            }
            let Some(call) = self.waiting.pop_front() else { break };
            let ended = call.ended;
            self.open(call, sink);
            if ended {
                self.close(sink);
            }
        }
        if self.open.is_none() && !self.late_text.is_empty() && !self.is_closed(sink) {
            let text = std::mem::take(&mut self.late_text);
            sink.text(&text);
        }
    }

    fn open(&mut self, call: PendingCall, sink: &mut impl ItemSink) {
        sink.call_started(&call);
        if !call.arguments().is_empty() {
            sink.call_arguments(call.arguments());
        }
        self.open = Some(call);
    }

    /// Closes the open call, if there is one.
    fn close(&mut self, sink: &mut impl ItemSink) {
        let Some(mut call) = self.open.take() else { return };
        if call.ended && !call.has_arguments() && !sink.takes_free_text() {
            // Added, not replaced: white space may have gone out.
            call.push("{}");
            sink.call_arguments("{}");
        }
        // Cut before its arguments, a call looks like one that needs none.
        let may_end = call.ended || call.has_arguments();
        if !may_end || !sink.call_ended(&call) {
            sink.call_broken(&call);
            self.broken = Some(call.name);
        }
    }

    fn is_closed(&self, sink: &impl ItemSink) -> bool {
        self.broken.is_some() || sink.is_finished()
    }
}

#[cfg(test)]
mod tests;
