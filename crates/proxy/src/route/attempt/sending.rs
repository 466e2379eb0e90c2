//! Sending: a request written for the current target and key.

use std::sync::Arc;

use latimer_adapters::field_rules::{self, FieldRules};
use latimer_adapters::prepared_request::{PreparedRequest, TurnInput};
use latimer_adapters::repair::{CallRules, RepairPlan};
use latimer_protocol::turn::{Note, TurnRequest};

use super::drive::Attempts;
use super::lessons::TurnLessons;
use super::open::{Room, RoomFor, take_room};
use super::platform::Platform;
use super::state::{AttemptPhase, Prepared, State, Uncommitted};
use crate::clock::Clocks;
use crate::inbound::tokens;
use crate::route::endpoint_set::{OpenCount, RouteTarget, TurnOutcome};
use crate::route::pool::PoolEntry;
use crate::route::shape;

/// Tokens of a window that are left free for what an estimate does not see.
const SPARE_TOKENS: u64 = 64;

impl<P: Platform> Attempts<P> {
    /// Begins with the current target.
    pub(super) fn enter(&mut self, turn: Box<Uncommitted>) -> State<P::Sleep> {
        self.take_first_free(self.platform.clocks().now);
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

    /// Begins an attempt on the current target: with the request, or with a wait until the target takes it.
    pub(super) fn send(&mut self, mut turn: Box<Uncommitted>) -> State<P::Sleep> {
        self.pick(&mut turn);
        let account = self.entry.as_ref().map_or("", |(_, entry)| entry.id.as_str());
        let endpoint = self.target.runtime.endpoint.name.as_str();
        self.running.begin_attempt(endpoint, &self.target.model, account);
        self.send_unless_resting(turn)
    }

    /// Takes the key or account to use now.
    pub(super) fn pick(&mut self, turn: &mut Uncommitted) {
        let entry = self.target.runtime.pool.pick(self.platform.clocks().now);
        let before = std::mem::replace(&mut self.entry, entry);
        if fingerprint(before.as_ref()) != fingerprint(self.entry.as_ref()) {
            turn.prepared = None;
        }
    }

    /// Sends the request as soon as the endpoint has room for it.
    pub(super) fn send_in_turn(&mut self, turn: Box<Uncommitted>) -> State<P::Sleep> {
        let runtime = &self.target.runtime;
        match take_room(runtime, &self.running) {
            Ok(room) => self.send_into(room, turn),
            Err(waiting) => State::Uncommitted(turn, AttemptPhase::Queued(waiting)),
        }
    }

    /// Writes the request for the current target and key, if it is not written, and begins to send it.
    pub(super) fn send_into(&mut self, room: Room, mut turn: Box<Uncommitted>) -> State<P::Sleep> {
        let now = self.platform.clocks();
        let is_late = |prepared: &Prepared| self.is_writer_started && prepared.request.is_passthrough;
        let prepared = match turn.prepared.take().filter(|prepared| !is_late(prepared)) {
            Some(prepared) => prepared,
            None => self.prepare(&mut turn, now),
        };
        let runtime = Arc::clone(&self.target.runtime);
        let entry = self.entry.as_ref().map(|(_, entry)| entry.clone());
        self.running.sent(&self.target.id, prepared.request.protocol.name(), &prepared.request.body);
        let opening =
            self.platform.open(runtime, Arc::clone(&prepared.request), entry, RoomFor::Request(room));
        turn.sent_at = now.now;
        turn.prepared = Some(prepared);
        State::Uncommitted(turn, AttemptPhase::Opening(opening))
    }

    /// The request in the words of the current target.
    fn prepare(&mut self, turn: &mut Uncommitted, now: Clocks) -> Prepared {
        let RouteTarget { runtime, model, id } = &self.target;
        let Uncommitted { request, lessons, .. } = turn;
        request.turn.model.clone_from(model);
        let level = request.level.unwrap_or(runtime.endpoint.repair);
        let history = &runtime.endpoint.history;
        let max_items = history.adaptive.then(|| runtime.memory.max_items(id)).flatten();
        let mut shaped = shape::shape(&request.turn.items, history, max_items).map(|(items, notes)| {
            self.notes.extend(notes);
            items
        });
        let items = shaped.as_deref().unwrap_or(&request.turn.items);
        if let Some(items) = runtime.memory.refused_pictures.replaced(id, items, lessons.pictures()) {
            self.notes.push(Note::request("a picture that the provider refuses was replaced by a note"));
            shaped = Some(items);
        }
        let may_pass =
            level.lets_frames_pass() && !self.is_writer_started && shaped.is_none() && lessons.may_pass();
        let client_request = request.raw.as_ref().filter(|_| may_pass);
        let account = fingerprint(self.entry.as_ref());
        let (mut limitations, mut rules) = runtime.memory.limitations.known(id, now);
        let whole = shaped.map(|items| std::mem::replace(&mut request.turn.items, items));
        self.reckon(&mut rules, &request.turn, lessons);
        lessons.added_to(&mut limitations, &mut rules);
        let input = TurnInput { turn: &request.turn, client_request, account, limitations: &limitations };
        let prepared = field_rules::adjusted(runtime.adapter.prepare(&input), &rules);
        let plan = if prepared.is_passthrough {
            None
        } else {
            RepairPlan::new(level, runtime.endpoint.resume, &request.turn)
        };
        let call_rules = match plan {
            Some(_) => Arc::default(),
            None => CallRules::new(level.call_rules(), &request.turn),
        };
        let mut prepared = PreparedRequest { call_rules, ..prepared };
        prepared.headers.extend(request.headers.iter().cloned());
        let items = request.turn.items.len();
        if let Some(whole) = whole {
            request.turn.items = whole;
        }
        self.is_passthrough = prepared.is_passthrough;
        self.notes.extend(prepared.notes.iter().cloned());
        Prepared { request: Arc::new(prepared), plan, items, limitations, rules }
    }

    /// How long an answer may be: as configured, and as much as the prompt leaves of a window that was learned.
    fn reckon(&self, rules: &mut FieldRules, turn: &TurnRequest, lessons: &TurnLessons) {
        let RouteTarget { runtime, model, id } = &self.target;
        let configured = runtime.endpoint.known_model(model);
        if let Some(cap) = configured.and_then(|model| model.max_output) {
            rules.cap_output(cap);
        }
        if let Some(window) = rules.window().filter(|_| !lessons.settles_output()) {
            let prompt = tokens::count(turn);
            // An estimate: what it is wrong by must not be refused.
            let spare = runtime.memory.prompt_surplus(id).max(prompt / 8) + SPARE_TOKENS;
            let rest = window.saturating_sub(prompt + spare);
            if rest > 0 {
                rules.cap_output(rest);
            }
        }
    }
}

/// Whose key or account this is.
fn fingerprint(entry: Option<&(usize, PoolEntry)>) -> Option<&str> {
    entry.map(|(_, entry)| entry.fingerprint.as_str())
}
