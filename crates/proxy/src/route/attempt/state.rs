//! Where a turn stands, by types: what a state does not hold cannot be done in it.
//!
//! [`Uncommitted`] has the client's request and may send it as often as the policy says. [`Committed`] has an answer that the client
//! sees, and nothing that could be sent again: at most a [`FollowUpBase`], from which a question to the same model is made. States
//! are taken by value and the next one is returned, so none is used twice.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use latimer_adapters::field_rules::FieldRules;
use latimer_adapters::frame_guard::call_guard;
use latimer_adapters::limitation::Limitations;
use latimer_adapters::prepared_request::{ClientRequest, Headers, PreparedRequest};
use latimer_adapters::repair::{CallGuard, Repair, RepairLevel, RepairPlan};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::status::duration_text;
use latimer_protocol::turn::{TurnEvent, TurnRequest};

use super::gate::Gate;
use super::lessons::{TurnLessons, WrittenBy};
use super::open::{OpenAnswer, Opening, RoomFor, WaitingForRoom};
use super::platform::Platform;
use crate::config::Endpoint;
use crate::route::endpoint_set::RouteTarget;
use crate::route::pool::PoolEntry;
use crate::running::RunningTurn;

/// A larger request is not kept for following up, in bytes.
const MAX_FOLLOW_UP_BYTES: usize = 4 << 20;

/// The longest message of a failure, in characters.
const MAX_MESSAGE: usize = 2000;

/// What a client wants answered.
pub struct AttemptRequest {
    /// In the words of the turn model.
    pub turn: TurnRequest,
    /// As the client wrote it, for an upstream of the same protocol.
    pub raw: Option<ClientRequest>,
    /// What every upstream is sent beside the request.
    pub headers: Headers,
    /// The level of repair that the request chose; without one the endpoint's holds.
    pub level: Option<RepairLevel>,
    /// The longest wait that the client is held for.
    pub max_wait: Duration,
    /// Under which the target that answers is remembered, where the route has affinity.
    pub affinity_key: Option<String>,
    /// Where the turn tells how it is doing.
    pub running: Arc<RunningTurn>,
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

/// Where a turn stands. `S` is a wait under way.
pub(super) enum State<S> {
    /// The client has seen nothing.
    Uncommitted(Box<Uncommitted>, AttemptPhase<S>),
    /// The client has seen something.
    Committed(Committed),
    /// The client has been told how the turn ended.
    Over,
}

/// What an unanswered turn has.
pub(super) struct Uncommitted {
    /// What is to be answered.
    pub(super) request: AttemptRequest,
    /// The request in the words of the current target; `None` before it was written, and when it must be written anew.
    pub(super) prepared: Option<Prepared>,
    /// When the current attempt began.
    pub(super) sent_at: Instant,
    /// How often the request was written anew.
    pub(super) rewrites: u32,
    /// What the target taught in this turn.
    pub(super) lessons: TurnLessons,
    /// Why each target before this one did not answer.
    pub(super) refusals: Vec<String>,
    /// How long it was held for times that providers named to others before it.
    pub(super) held: Duration,
}

impl Uncommitted {
    /// The failure of the last target, with those of the others and the time at which it may be over.
    pub(super) fn final_failure(&self, failure: Failure) -> Failure {
        let time = failure.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        let time = time.filter(|seconds| *seconds > 0);
        if self.refusals.is_empty() && time.is_none() {
            return failure;
        }
        let mut message = String::new();
        if !self.refusals.is_empty() {
            message = format!("no endpoint of the route answered: {}; ", self.refusals.join("; "));
        }
        message.push_str(&failure.message);
        let mut message: String = message.chars().take(MAX_MESSAGE).collect();
        if let Some(seconds) = time {
            message = format!("{} (to be asked again in {})", message.trim_end(), duration_text(seconds));
        }
        Failure { message: message.into(), ..failure }
    }
}

/// A refusal of the key, with the name of the variable or file where a key should be and is none.
pub(super) fn missing_key_said(failure: Failure, endpoint: &Endpoint) -> Failure {
    let [first, ..] = endpoint.missing_keys.as_slice() else { return failure };
    if failure.kind != FailureKind::Unauthorized || !endpoint.keys.is_empty() {
        return failure;
    }
    let message = format!(
        "{}: no key was sent, because `{first}` was not there when latimer started. Set it and start latimer anew (`latimer down`, `latimer up`). The provider said: {}",
        endpoint.name, failure.message
    );
    Failure { message: message.into(), ..failure }
}

/// What is under way while nothing was shown.
pub(super) enum AttemptPhase<S> {
    /// A pause before the next attempt.
    Waiting(S),
    /// The provider asked for no requests until then.
    Resting(S),
    /// The endpoint has no room for the request.
    Queued(WaitingForRoom),
    /// The request is being sent.
    Opening(Opening),
    /// The answer arrives.
    Reading(Box<Reading>),
    /// The answer is over, and the model is asked something about it.
    FollowingUp(Box<OpeningFollowUp>),
}

/// A turn whose answer the client sees.
pub(super) enum Committed {
    /// The answer arrives.
    Reading(Box<Reading>),
    /// The answer is over, and the model is asked something about it.
    FollowingUp(Box<OpeningFollowUp>),
}

/// A request in the words of one target.
pub(super) struct Prepared {
    /// What is sent.
    pub(super) request: Arc<PreparedRequest>,
    /// What repairs the answer; `None` when nothing is to be repaired.
    pub(super) plan: Option<Arc<RepairPlan>>,
    /// How many items it has.
    pub(super) items: usize,
    /// What it was written without.
    pub(super) limitations: Limitations,
    /// What it was held to.
    pub(super) rules: FieldRules,
}

impl Prepared {
    /// By what it was written.
    pub(super) fn written_by(&self) -> WrittenBy<'_> {
        WrittenBy {
            limitations: &self.limitations,
            rules: &self.rules,
            is_passthrough: self.request.is_passthrough,
        }
    }

    /// The answer to this request.
    pub(super) fn reading(&self, answer: OpenAnswer) -> Box<Reading> {
        let (filter, base) = match &self.plan {
            Some(plan) => {
                let base = FollowUpBase(Arc::clone(&self.request));
                (AnswerFilter::Repair(Box::new(Repair::new(Arc::clone(plan)))), Some(base))
            }
            None => (AnswerFilter::Guard(call_guard(&self.request)), None),
        };
        Box::new(Reading { answer, filter, base, repairs: None })
    }
}

/// What an answer goes through on its way to the client's writer.
enum AnswerFilter {
    /// Everything that is meant as a call becomes one.
    Repair(Box<Repair>),
    /// Calls that are not whole are held back.
    Guard(CallGuard),
}

/// An answer that arrives.
pub(super) struct Reading {
    answer: OpenAnswer,
    filter: AnswerFilter,
    base: Option<FollowUpBase>,
    /// How much was repaired, known once the answer is over.
    pub(super) repairs: Option<u32>,
}

/// What reading brought.
pub(super) enum Read {
    /// Events were handed out, and more will come.
    More,
    /// The answer is over.
    Ended,
    /// The answer is over, and the model is to be asked something about it before the client is told.
    FollowUp(Box<FollowUp>),
}

impl Reading {
    /// Hands events to the gate as they arrive.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, gate: &mut Gate<'_>) -> Poll<Read> {
        let stream = self.answer.stream();
        let repair = match &mut self.filter {
            AnswerFilter::Repair(repair) => repair,
            AnswerFilter::Guard(guard) => {
                let mut sink = |event: TurnEvent<'_>| guard.event(event, gate);
                let is_over = ready!(stream.poll_events(cx, &mut sink));
                return Poll::Ready(if is_over { Read::Ended } else { Read::More });
            }
        };
        if !ready!(stream.poll_events(cx, &mut |event: TurnEvent<'_>| repair.event(event, gate))) {
            return Poll::Ready(Read::More);
        }
        self.repairs = Some(repair.repairs());
        if let Some(follow_up) = self.base.as_ref().and_then(|base| base.follow_up(repair)) {
            return Poll::Ready(Read::FollowUp(Box::new(follow_up)));
        }
        repair.give_up(gate);
        Poll::Ready(Read::Ended)
    }

    /// The client sees this answer: a large request is not kept only to be followed up.
    pub(super) fn committed(mut self: Box<Self>) -> Committed {
        self.base = self.base.filter(|base| base.0.body_len() <= MAX_FOLLOW_UP_BYTES);
        Committed::Reading(self)
    }
}

/// A request that was sent, kept to be followed up. It cannot be sent again: all that can be made of it is a [`FollowUp`].
pub(super) struct FollowUpBase(Arc<PreparedRequest>);

impl FollowUpBase {
    /// The question that the repair has, if it has one and the request can be gone on with.
    fn follow_up(&self, repair: &mut Repair) -> Option<FollowUp> {
        let question = repair.question()?;
        let request = self.0.with_exchange(&question.assistant, &question.user)?;
        Some(FollowUp { request: Arc::new(request), repair: repair.follow_up() })
    }
}

/// A hidden question to the model that answered. Sent once: sending takes it.
pub(super) struct FollowUp {
    request: Arc<PreparedRequest>,
    repair: Repair,
}

impl FollowUp {
    /// Sends the question to the target that answered, with the key that it answered to.
    pub(super) fn open(
        self,
        platform: &impl Platform,
        target: &RouteTarget,
        entry: Option<PoolEntry>,
        running: &Arc<RunningTurn>,
    ) -> Box<OpeningFollowUp> {
        let opening = platform.open(
            Arc::clone(&target.runtime),
            Arc::clone(&self.request),
            entry,
            RoomFor::FollowUp(Arc::clone(running)),
        );
        Box::new(OpeningFollowUp { opening, repair: self.repair, base: FollowUpBase(self.request) })
    }
}

/// A hidden question that is being sent.
pub(super) struct OpeningFollowUp {
    pub(super) opening: Opening,
    repair: Repair,
    base: FollowUpBase,
}

impl OpeningFollowUp {
    /// The answer to the question, which goes on with the one before.
    pub(super) fn reading(self, answer: OpenAnswer) -> Box<Reading> {
        let filter = AnswerFilter::Repair(Box::new(self.repair));
        Box::new(Reading { answer, filter, base: Some(self.base), repairs: None })
    }

    /// Nobody took the question: the repair, with all that it still holds of the answer.
    pub(super) fn into_repair(self) -> Repair {
        self.repair
    }
}

/// The failure for a turn that is cut because the process stops.
pub fn shutting_down() -> Failure {
    Failure::new(
        FailureKind::ShuttingDown,
        "latimer was stopped while this answer was under way; the request can be sent again",
    )
}

/// Why a turn waits after a failure, for people.
pub(super) fn wait_words(target: &RouteTarget, failure: &Failure) -> String {
    if failure.retry_after.is_some() {
        return asked_words(target, &failure.message);
    }
    let endpoint = target.runtime.endpoint.name.as_str();
    format!("{endpoint} is asked again then: {}", without_name(endpoint, &failure.message))
}

/// Who asked for a wait, and in which words.
pub(super) fn asked_words(target: &RouteTarget, words: &str) -> String {
    let endpoint = target.runtime.endpoint.name.as_str();
    format!("{endpoint} asked for it: {}", without_name(endpoint, words))
}

/// What a provider said, without the endpoint's name before it.
fn without_name<'w>(endpoint: &str, words: &'w str) -> &'w str {
    words.strip_prefix(endpoint).and_then(|words| words.strip_prefix(": ")).unwrap_or(words)
}
