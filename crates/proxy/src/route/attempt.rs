//! Runs a turn: sends it, reads it, and tries again, with another key or on another endpoint, while the client has seen nothing.
//!
//! Invariant: nothing is sent upstream a second time after the first semantic event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use latimer_adapters::drive::TurnStream;
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::prepared_request::{ClientRequest, PreparedRequest};
use latimer_adapters::repair::{Repair, RepairLevel, RepairPlan};
use latimer_protocol::failure::{Failure, Kind, Retry};
use latimer_protocol::turn::{EventSink, FinishReason, Note, TurnEvent, TurnRequest, Usage};

use super::endpoint_set::RouteTarget;
use super::gate::Gate;
use super::open::{Opened, Opening, open};
use super::pool::PoolEntry;
use super::{backoff, shape};
use crate::clock::{self, Clocks};

/// A larger request is not kept for asking the model again.
const MOST_KEPT: usize = 4 << 20;
/// How much an endpoint may teach in one turn.
const MAX_REWRITES: u32 = 4;

/// What a client asks.
pub struct AttemptRequest {
    /// In the hub's words.
    pub turn: TurnRequest,
    /// As the client wrote it, for an upstream of the same protocol.
    pub raw: Option<ClientRequest>,
    /// The level of repair that the request chose.
    pub level: Option<RepairLevel>,
    /// Under which the conversation is remembered, where it should stay with its endpoint.
    pub affinity_key: Option<String>,
}

/// One turn under way.
pub struct Attempts {
    /// Never empty; the current one is at `at`.
    targets: Vec<RouteTarget>,
    at: usize,
    /// Gone after the first semantic event: it may be large.
    asked: Option<Box<AttemptRequest>>,
    /// What repairs the answers; `None` when nothing is to be repaired.
    plan: Option<Arc<RepairPlan>>,
    /// Gone after the first semantic event unless the model may be asked again.
    prepared: Option<Arc<PreparedRequest>>,
    /// Whether the answer is the upstream's own frames.
    passes: bool,
    /// Items that were sent.
    items: usize,
    /// The client has seen something: there is nothing to try again.
    shown: bool,
    /// The client's writer has begun: frames of an upstream would come too late.
    writer_started: bool,
    /// The repair that goes on in the next answer, after the model was asked again.
    asked_again: Option<Repair>,
    /// What the answers before this one used, and what they used together with this one.
    spent: Usage,
    used: Option<Usage>,
    repairs: u32,
    state: State,
    entry: Option<(usize, PoolEntry)>,
    sent: Instant,
    retries: u32,
    limitations: u32,
    /// Why each endpoint before this one did not answer.
    refused: Vec<String>,
    /// For the log, since the last poll.
    notes: Vec<Note>,
    /// The target's counters say that a turn is open.
    counted: bool,
}

enum State {
    Waiting(Pin<Box<tokio::time::Sleep>>),
    Opening(Opening),
    Reading(Box<(Opened, Option<Repair>)>),
    Over,
}

/// What a poll brought.
#[derive(Debug)]
pub enum Progress {
    /// Events were handed out, and more will come.
    More,
    /// `Finished` was handed out.
    Ended,
    /// The turn failed and the sink saw none of it.
    Failed(Failure),
}

impl Attempts {
    /// Makes the first attempt ready. Nothing is sent before the first poll. `None` without any target.
    pub fn new(targets: Vec<RouteTarget>, asked: AttemptRequest) -> Option<Self> {
        if targets.is_empty() {
            return None;
        }
        let mut attempts = Self {
            targets,
            at: 0,
            asked: Some(Box::new(asked)),
            plan: None,
            prepared: None,
            passes: false,
            items: 0,
            shown: false,
            writer_started: false,
            asked_again: None,
            spent: Usage::default(),
            used: None,
            repairs: 0,
            state: State::Over,
            entry: None,
            sent: clock::now(),
            retries: 0,
            limitations: 0,
            refused: Vec::new(),
            notes: Vec::new(),
            counted: false,
        };
        attempts.enter();
        Some(attempts)
    }

    /// The endpoint and model that answer, as far as is known now.
    pub fn target(&self) -> Option<&RouteTarget> {
        self.targets.get(self.at)
    }

    /// What people call the key or account in use.
    pub fn account(&self) -> Option<&str> {
        self.entry.as_ref().map(|(_, entry)| entry.id.as_str())
    }

    /// How many attempts were made after the first.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// How much of the answers was repaired.
    pub fn repairs(&self) -> u32 {
        self.repairs
    }

    /// Whether the answer is expected to be the upstream's own frames.
    pub fn passes(&self) -> bool {
        self.passes
    }

    /// The client's writer has begun: from now on answers are translated.
    pub fn writer_started(&mut self) {
        self.writer_started = true;
    }

    /// Hands events to the sink as they arrive. Not to be called again after `Ended` or `Failed`.
    pub fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<Progress> {
        loop {
            for note in self.notes.drain(..) {
                sink.event(TurnEvent::Note(note));
            }
            let refused = match &mut self.state {
                State::Over => return Poll::Ready(Progress::Ended),
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.open();
                    continue;
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(opened) => {
                        let repair = self.asked_again.take().or_else(|| self.plan.clone().map(Repair::new));
                        self.state = State::Reading(Box::new((opened, repair)));
                        continue;
                    }
                    Err(refused) => match self.asked_again.take() {
                        // The model could not be asked again; its answer stands as it was.
                        Some(mut repair) => {
                            let failure = refused.failure;
                            tracing::info!(event = "turn.not_asked", failure = failure.kind.code());
                            repair.event(TurnEvent::Finished(FinishReason::Failed(failure)), sink);
                            self.end(None);
                            return Poll::Ready(Progress::Ended);
                        }
                        None => refused,
                    },
                },
                State::Reading(_) => match ready!(self.read(cx, sink)) {
                    Read::Again => continue,
                    Read::Progress(progress) => return Poll::Ready(progress),
                    Read::Failed(failure) => failure.into(),
                },
            };
            self.state = State::Over;
            if let Some(failure) = self.failed(refused) {
                self.end(Some(&failure));
                return Poll::Ready(Progress::Failed(self.in_all(failure)));
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<Read> {
        let State::Reading(reading) = &mut self.state else { return Poll::Ready(Read::Again) };
        let (opened, repair) = &mut **reading;
        let stream: &mut TurnStream = &mut opened.stream;
        let mut gate = Gate::new(sink, self.shown, self.spent, self.used);
        let ended = ready!(match repair {
            Some(repair) =>
                stream.poll_events(cx, &mut |event: TurnEvent<'_>| repair.event(event, &mut gate)),
            None => stream.poll_events(cx, &mut gate),
        });
        if ended && let Some(repair) = repair {
            self.repairs = repair.repairs();
            let again = repair.question().and_then(|question| {
                let prepared = self.prepared.as_ref()?.with_exchange(&question.assistant, &question.user)?;
                Some((prepared, repair.follow_up()))
            });
            if let Some((prepared, repair)) = again {
                self.spent = gate.used.unwrap_or(self.spent);
                self.used = None;
                self.shown |= gate.shown;
                self.asked_again = Some(repair);
                self.prepared = Some(Arc::new(prepared));
                tracing::info!(
                    event = "turn.asked_again",
                    endpoint = self.target().map(|target| target.id.as_str())
                );
                self.open();
                return Poll::Ready(Read::Again);
            }
            repair.give_up(&mut gate);
        }
        self.used = gate.used;
        self.writer_started |= gate.writer_started;
        let (shown, held, end) = (gate.shown, gate.failure, gate.end);
        if shown {
            self.shown();
        }
        Poll::Ready(match (held, ended) {
            (Some(failure), _) => Read::Failed(failure),
            (None, true) => {
                let failure = end.and_then(|reason| match reason {
                    FinishReason::Failed(failure) => Some(failure),
                    _ => None,
                });
                if let (Some(failure), Some(target)) = (&failure, self.targets.get(self.at)) {
                    target.runtime.memory.failed(&target.id, failure, clock::now());
                }
                self.end(failure.as_ref());
                Read::Progress(Progress::Ended)
            }
            (None, false) => Read::Progress(Progress::More),
        })
    }

    /// The client has seen something: endpoint and key work, and there is nothing to try again.
    fn shown(&mut self) {
        if std::mem::replace(&mut self.shown, true) {
            return;
        }
        let large = self.prepared.as_ref().is_some_and(|prepared| prepared.body_len() > MOST_KEPT);
        if self.plan.is_none() || large {
            self.prepared = None;
        }
        let asked = self.asked.take();
        let Some(target) = self.targets.get(self.at) else { return };
        let memory = &target.runtime.memory;
        memory.succeeded(&target.id, self.sent.elapsed());
        if target.runtime.endpoint.history.adaptive {
            memory.record_items_taken(&target.id, self.items);
        }
        if let Some(stay) = asked.and_then(|asked| asked.affinity_key) {
            memory.record_affinity(&stay, &target.id, clock::now());
        }
        if let Some((place, _)) = self.entry {
            target.runtime.pool.succeeded(place);
        }
    }

    /// Begins another attempt if one is sensible; gives the failure back if not.
    fn failed(&mut self, refused: OpenError) -> Option<Failure> {
        let now = clock::now();
        let OpenError { failure, limitation } = refused;
        let Some(target) = self.targets.get(self.at).cloned() else { return Some(failure) };
        if let Some(limitation) = limitation
            && self.asked.is_some()
            && self.limitations < MAX_REWRITES
        {
            self.limitations += 1;
            if target.runtime.memory.limitations.learn(&target.id, limitation, Clocks::now()) {
                self.notes.push(Note::route(format!(
                    "learned of {}: {} ({})",
                    target.id,
                    limitation.meaning(),
                    failure.message
                )));
                tracing::info!(event = "endpoint.learned", endpoint = %target.id, lesson = limitation.code());
                return self.rewrite();
            }
        }
        if self.takes_fewer_items(&target, &failure) {
            return self.rewrite();
        }
        target.runtime.memory.failed(&target.id, &failure, now);
        let other_key = match &self.entry {
            Some((place, _)) => target.runtime.pool.failed(*place, &failure, now),
            None => false,
        };
        if other_key && matches!(failure.retry(), Retry::NextKey | Retry::OtherKeyOnly) {
            return self.retry(&target, failure, None);
        }
        if self.at + 1 < self.targets.len() && moves_on(failure.kind) {
            return self.next_target(&target, &failure);
        }
        match failure.retry() {
            Retry::Never | Retry::OtherKeyOnly => Some(failure),
            Retry::Same | Retry::NextKey => {
                let mut random = [0u8];
                // Without randomness the wait is merely less spread.
                let _ = getrandom::fill(&mut random);
                match backoff::wait(self.retries + 1, failure.retry_after, random[0]) {
                    Some(wait) => self.retry(&target, failure, Some(wait)),
                    None => Some(failure),
                }
            }
        }
    }

    /// Whether the endpoint may take the same turn with a shorter history, and is one that shows only so what it takes.
    fn takes_fewer_items(&mut self, target: &RouteTarget, failure: &Failure) -> bool {
        let may = target.runtime.endpoint.history.adaptive
            && self.asked.is_some()
            && self.items > shape::MIN_ITEMS
            && self.limitations < MAX_REWRITES
            && matches!(failure.kind, Kind::BadRequest | Kind::ContextLength | Kind::UpstreamError);
        if may {
            self.limitations += 1;
            // A third less each time finds the limit in a few steps.
            let too_many = (self.items - self.items / 3).max(shape::MIN_ITEMS + 1);
            target.runtime.memory.record_item_limit(&target.id, too_many);
            self.notes
                .push(Note::route(format!("{} failed on {} items; trying fewer", target.id, self.items)));
        }
        may
    }

    /// The same endpoint once more, within its budget.
    fn retry(&mut self, target: &RouteTarget, failure: Failure, wait: Option<Duration>) -> Option<Failure> {
        if self.retries >= target.runtime.endpoint.retries || !target.runtime.budget().retry(clock::now()) {
            return Some(failure);
        }
        self.retries += 1;
        tracing::info!(
            event = "turn.retry",
            endpoint = %target.runtime.endpoint.name,
            attempt = self.retries + 1,
            failure = failure.kind.code(),
            status = failure.status,
            wait_ms = wait.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        );
        match wait {
            Some(wait) => self.state = State::Waiting(Box::pin(tokio::time::sleep(wait))),
            None => self.open(),
        }
        None
    }

    /// Writes the request anew, and sends it at once.
    fn rewrite(&mut self) -> Option<Failure> {
        self.prepared = None;
        self.open();
        None
    }

    /// The next endpoint of the route.
    fn next_target(&mut self, target: &RouteTarget, failure: &Failure) -> Option<Failure> {
        self.refused.push(format!("{}: {}", target.id, failure.message));
        self.leave(Some(failure));
        self.at += 1;
        self.retries += 1;
        self.prepared = None;
        if let Some(next) = self.targets.get(self.at) {
            self.notes.push(Note::route(format!(
                "{} did not answer ({}); {} is asked",
                target.id, failure.message, next.id
            )));
            tracing::info!(
                event = "turn.failover",
                from = %target.id,
                to = %next.id,
                failure = failure.kind.code(),
                status = failure.status,
            );
        }
        self.enter();
        None
    }

    /// The failure of the last endpoint, with those of the others.
    fn in_all(&mut self, failure: Failure) -> Failure {
        if self.refused.is_empty() {
            return failure;
        }
        let others = std::mem::take(&mut self.refused).join("; ");
        let message: String = format!("no endpoint of the route answered: {others}; {}", failure.message);
        Failure { message: message.chars().take(2000).collect(), ..failure }
    }

    /// Begins with the current target.
    fn enter(&mut self) {
        if let Some(target) = self.targets.get(self.at) {
            target.runtime.stats.begin();
            self.counted = true;
            target.runtime.budget().request(clock::now());
        }
        self.open();
    }

    /// The current target is done with.
    fn leave(&mut self, failure: Option<&Failure>) {
        self.state = State::Over;
        if let Some(target) = self.targets.get(self.at)
            && std::mem::take(&mut self.counted)
        {
            target.runtime.stats.end(failure, failure.is_none());
            target.runtime.stats.repaired(&target.model, self.repairs);
        }
    }

    fn end(&mut self, failure: Option<&Failure>) {
        self.leave(failure);
    }

    /// Writes the request for the current target, if it is not written, and begins to send it.
    fn open(&mut self) {
        let Some(target) = self.targets.get(self.at).cloned() else { return };
        let before = self.entry.take();
        self.entry = target.runtime.pool.pick(clock::now());
        let fingerprint =
            |entry: &Option<(usize, PoolEntry)>| entry.as_ref().map(|(_, entry)| entry.fingerprint.clone());
        if self.prepared.is_none()
            || (fingerprint(&before) != fingerprint(&self.entry) && self.asked.is_some())
        {
            self.prepare(&target);
        }
        let Some(prepared) = self.prepared.clone() else { return };
        self.sent = clock::now();
        let entry = self.entry.as_ref().map(|(_, entry)| entry.clone());
        self.state = State::Opening(open(target.runtime, prepared, entry));
    }

    fn prepare(&mut self, target: &RouteTarget) {
        let Some(asked) = &mut self.asked else { return };
        let runtime = &target.runtime;
        asked.turn.model.clone_from(&target.model);
        let level = asked.level.unwrap_or(runtime.endpoint.repair);
        let history = &runtime.endpoint.history;
        let most = history.adaptive.then(|| runtime.memory.max_items(&target.id)).flatten();
        let shaped = shape::shape(&asked.turn.items, history, most);
        let raw = asked
            .raw
            .as_ref()
            .filter(|_| level == RepairLevel::Off && !self.writer_started && shaped.is_none());
        let account = self.entry.as_ref().map(|(_, entry)| entry.fingerprint.as_str());
        let limitations = runtime.memory.limitations.limitations(&target.id, Clocks::now());
        let whole = shaped.map(|(items, notes)| {
            self.notes.extend(notes);
            std::mem::replace(&mut asked.turn.items, items)
        });
        let prepared = runtime.adapter.prepare(&asked.turn, raw, account, &limitations);
        self.plan = RepairPlan::new(level, runtime.endpoint.resume, &asked.turn);
        self.items = asked.turn.items.len();
        if let Some(whole) = whole {
            asked.turn.items = whole;
        }
        self.passes = prepared.is_passthrough;
        self.notes.extend(prepared.notes.iter().cloned());
        self.prepared = Some(Arc::new(prepared));
    }
}

/// What reading brought.
enum Read {
    Progress(Progress),
    /// A failure of which the client saw nothing.
    Failed(Failure),
    /// The model is asked again.
    Again,
}

impl Drop for Attempts {
    fn drop(&mut self) {
        if let Some(target) = self.targets.get(self.at)
            && self.counted
        {
            // The client left.
            target.runtime.stats.end(None, false);
            target.runtime.stats.repaired(&target.model, self.repairs);
        }
    }
}

/// Whether another endpoint may answer what this one did not. A history that is too long is the client's to shorten.
fn moves_on(kind: Kind) -> bool {
    !matches!(kind, Kind::ContextLength | Kind::ShuttingDown | Kind::Internal)
}

/// The failure for a turn that is cut because the process stops.
pub fn shutting_down() -> Failure {
    Failure::new(
        Kind::ShuttingDown,
        "latimer was stopped while this answer was under way; the request can be sent again",
    )
}
