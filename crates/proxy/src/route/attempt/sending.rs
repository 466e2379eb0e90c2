//! Sending: a request written for the current target and key.

use std::sync::Arc;

use latimer_adapters::prepared_request::{PreparedRequest, TurnInput};
use latimer_adapters::repair::{CallRules, RepairPlan};

use super::drive::Attempts;
use super::platform::Platform;
use super::state::{AttemptPhase, AttemptRequest, Prepared, State, Uncommitted};
use crate::clock::Clocks;
use crate::route::endpoint_set::{OpenCount, RouteTarget, TurnOutcome};
use crate::route::pool::PoolEntry;
use crate::route::shape;

impl<P: Platform> Attempts<P> {
    /// Begins with the current target.
    pub(super) fn enter(&mut self, turn: Box<Uncommitted>) -> State<P::Sleep> {
        let runtime = &self.target.runtime;
        self.open_count = Some(OpenCount::new(&self.target));
        runtime.budget().request(self.platform.clocks().now);
        self.entry = None;
        self.send(turn)
    }

    /// The current target is done with.
    pub(super) fn leave(&mut self, outcome: TurnOutcome) {
        if let Some(count) = self.open_count.take() {
            count.end(outcome);
        }
    }

    /// Writes the request for the current target and key, if it is not written, and begins to send it.
    pub(super) fn send(&mut self, mut turn: Box<Uncommitted>) -> State<P::Sleep> {
        let now = self.platform.clocks();
        let runtime = Arc::clone(&self.target.runtime);
        let before = std::mem::replace(&mut self.entry, runtime.pool.pick(now.now));
        let is_same_key = fingerprint(before.as_ref()) == fingerprint(self.entry.as_ref());
        let prepared = match turn.prepared.take().filter(|_| is_same_key) {
            Some(prepared) => prepared,
            None => self.prepare(&mut turn.request, now),
        };
        let entry = self.entry.as_ref().map(|(_, entry)| entry.clone());
        let opening = self.platform.open(runtime, Arc::clone(&prepared.request), entry);
        turn.sent_at = now.now;
        turn.prepared = Some(prepared);
        State::Uncommitted(turn, AttemptPhase::Opening(opening))
    }

    /// The request in the words of the current target.
    fn prepare(&mut self, request: &mut AttemptRequest, now: Clocks) -> Prepared {
        let RouteTarget { runtime, model, id } = &self.target;
        request.turn.model.clone_from(model);
        let level = request.level.unwrap_or(runtime.endpoint.repair);
        let history = &runtime.endpoint.history;
        let max_items = history.adaptive.then(|| runtime.memory.max_items(id)).flatten();
        let shaped = shape::shape(&request.turn.items, history, max_items);
        let may_pass = level.lets_frames_pass() && !self.is_writer_started && shaped.is_none();
        let client_request = request.raw.as_ref().filter(|_| may_pass);
        let account = fingerprint(self.entry.as_ref());
        let limitations = runtime.memory.limitations.limitations(id, now);
        let whole = shaped.map(|(items, notes)| {
            self.notes.extend(notes);
            std::mem::replace(&mut request.turn.items, items)
        });
        let input = TurnInput { turn: &request.turn, client_request, account, limitations: &limitations };
        let prepared = runtime.adapter.prepare(&input);
        let plan = if prepared.is_passthrough {
            None
        } else {
            RepairPlan::new(level, runtime.endpoint.resume, &request.turn)
        };
        let rules = match plan {
            Some(_) => Arc::default(),
            None => CallRules::new(level.call_rules(), &request.turn),
        };
        let prepared = PreparedRequest { call_rules: rules, ..prepared };
        let items = request.turn.items.len();
        if let Some(whole) = whole {
            request.turn.items = whole;
        }
        self.is_passthrough = prepared.is_passthrough;
        self.notes.extend(prepared.notes.iter().cloned());
        Prepared { request: Arc::new(prepared), plan, items, limitations }
    }
}

/// Whose key or account this is.
fn fingerprint(entry: Option<&(usize, PoolEntry)>) -> Option<&str> {
    entry.map(|(_, entry)| entry.fingerprint.as_str())
}
