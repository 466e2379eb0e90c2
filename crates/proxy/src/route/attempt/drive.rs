//! The poll loop of a turn: the only part with a clock. It moves a turn from state to state, carries out what the policy says, and
//! tells health, cooldowns, affinity and counters what happened.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::repair::Repair;
use latimer_adapters::teaching::Teaching;
use latimer_protocol::failure::Failure;
use latimer_protocol::status::TurnState;
use latimer_protocol::turn::{EventSink, FinishReason, Note, TurnEvent};

use super::gate::{Gate, UsageSum};
use super::lessons::TurnLessons;
use super::platform::{Platform, Process};
use super::state::{
    AttemptPhase, AttemptRequest, Committed, FollowUp, OpeningFollowUp, Progress, Read, Reading, State,
    Uncommitted,
};
use crate::route::endpoint_set::{OpenCount, RouteTarget, TurnOutcome};
use crate::route::pool::PoolEntry;
use crate::running::RunningTurn;

/// One turn under way.
pub struct Attempts<P: Platform = Process> {
    pub(super) platform: P,
    /// The target that is asked or answers.
    pub(super) target: RouteTarget,
    /// Those that are asked after it, in their order.
    pub(super) targets_left: std::vec::IntoIter<RouteTarget>,
    /// The key or account in use, and its place in the pool.
    pub(super) entry: Option<(usize, PoolEntry)>,
    /// Counts the turn as open on the target.
    pub(super) open_count: Option<OpenCount>,
    /// Whether the answer is expected to be the upstream's own frames.
    pub(super) is_passthrough: bool,
    /// The client's writer has begun: frames of an upstream would come too late.
    pub(super) is_writer_started: bool,
    pub(super) usage: UsageSum,
    pub(super) retries: u32,
    repairs: u32,
    /// For the log, since the last poll.
    pub(super) notes: Vec<Note>,
    /// Where the turn tells how it is doing.
    pub(super) running: Arc<RunningTurn>,
    state: State<P::Sleep>,
}

/// What follows a step.
pub(super) enum Step {
    /// Another step.
    Again,
    /// Nothing, until the task is woken.
    Pending,
    /// The caller is told.
    Progress(Progress),
}

/// The state after a step, and what follows it.
pub(super) type Next<S> = (State<S>, Step);

impl Attempts {
    /// Makes the first attempt ready. Nothing is sent before the first poll. `None` without any target.
    pub fn new(targets: Vec<RouteTarget>, request: AttemptRequest) -> Option<Self> {
        Self::on(Process, targets, request)
    }
}

impl<P: Platform> Attempts<P> {
    /// The same on this platform.
    pub fn on(platform: P, targets: Vec<RouteTarget>, request: AttemptRequest) -> Option<Self> {
        let mut targets_left = targets.into_iter();
        let target = targets_left.next()?;
        let sent_at = platform.clocks().now;
        let mut attempts = Self {
            platform,
            target,
            targets_left,
            entry: None,
            open_count: None,
            is_passthrough: false,
            is_writer_started: false,
            usage: UsageSum::default(),
            retries: 0,
            repairs: 0,
            notes: Vec::new(),
            running: Arc::clone(&request.running),
            state: State::Over,
        };
        let turn = Uncommitted {
            request,
            prepared: None,
            sent_at,
            rewrites: 0,
            lessons: TurnLessons::default(),
            refusals: Vec::new(),
            held: Duration::ZERO,
        };
        attempts.state = attempts.enter(Box::new(turn));
        Some(attempts)
    }

    /// The endpoint and model that are asked or answer.
    pub fn target(&self) -> &RouteTarget {
        &self.target
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
    pub fn is_passthrough(&self) -> bool {
        self.is_passthrough
    }

    /// The client's writer has begun: from now on answers are translated.
    pub fn writer_started(&mut self) {
        self.is_writer_started = true;
    }

    /// Whether the client's writer may begin: no answer is on its way that might be the upstream's own frames.
    pub fn lets_writer_begin(&self) -> bool {
        match &self.state {
            State::Uncommitted(
                _,
                AttemptPhase::Waiting(_) | AttemptPhase::Resting(_) | AttemptPhase::Queued(_),
            ) => true,
            State::Uncommitted(..) => !self.is_passthrough,
            State::Committed(_) | State::Over => false,
        }
    }

    /// Hands events to the sink as they arrive. Not to be called again after `Ended` or `Failed`.
    pub fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<Progress> {
        loop {
            for note in self.notes.drain(..) {
                sink.event(TurnEvent::Note(note));
            }
            let (state, step) = match std::mem::replace(&mut self.state, State::Over) {
                State::Uncommitted(turn, phase) => self.poll_uncommitted(turn, phase, cx, sink),
                State::Committed(answer) => self.poll_committed(answer, cx, sink),
                State::Over => return Poll::Ready(Progress::Ended),
            };
            self.state = state;
            match step {
                Step::Again => {}
                Step::Pending => return Poll::Pending,
                Step::Progress(progress) => return Poll::Ready(progress),
            }
        }
    }

    fn poll_uncommitted(
        &mut self,
        turn: Box<Uncommitted>,
        phase: AttemptPhase<P::Sleep>,
        cx: &mut Context<'_>,
        sink: &mut dyn EventSink,
    ) -> Next<P::Sleep> {
        match phase {
            AttemptPhase::Waiting(mut sleep) => match Pin::new(&mut sleep).poll(cx) {
                Poll::Pending => (State::Uncommitted(turn, AttemptPhase::Waiting(sleep)), Step::Pending),
                Poll::Ready(()) => (self.send(turn), Step::Again),
            },
            AttemptPhase::Resting(mut sleep) => match Pin::new(&mut sleep).poll(cx) {
                Poll::Pending => (State::Uncommitted(turn, AttemptPhase::Resting(sleep)), Step::Pending),
                Poll::Ready(()) => (self.rested(turn), Step::Again),
            },
            AttemptPhase::Queued(mut waiting) => match waiting.as_mut().poll(cx) {
                Poll::Pending => (State::Uncommitted(turn, AttemptPhase::Queued(waiting)), Step::Pending),
                Poll::Ready(Ok(room)) => (self.send_into(room, turn), Step::Again),
                Poll::Ready(Err(busy)) => self.failed(turn, busy.into()),
            },
            AttemptPhase::Opening(mut opening) => match (opening.as_mut().poll(cx), &turn.prepared) {
                (Poll::Pending, _) => {
                    (State::Uncommitted(turn, AttemptPhase::Opening(opening)), Step::Pending)
                }
                (Poll::Ready(Err(refused)), _) => self.failed(turn, refused),
                (Poll::Ready(Ok(answer)), Some(prepared)) => {
                    self.running.answers(answer.steer());
                    let reading = prepared.reading(answer);
                    (State::Uncommitted(turn, AttemptPhase::Reading(reading)), Step::Again)
                }
                (Poll::Ready(Ok(_)), None) => (self.send(turn), Step::Again),
            },
            AttemptPhase::FollowingUp(mut question) => match question.opening.as_mut().poll(cx) {
                Poll::Pending => {
                    (State::Uncommitted(turn, AttemptPhase::FollowingUp(question)), Step::Pending)
                }
                Poll::Ready(Ok(answer)) => {
                    self.running.enter(TurnState::FirstWord);
                    (State::Uncommitted(turn, AttemptPhase::Reading(question.reading(answer))), Step::Again)
                }
                Poll::Ready(Err(refused)) => self.not_followed_up(*question, refused.failure, sink),
            },
            AttemptPhase::Reading(reading) => self.read_uncommitted(turn, reading, cx, sink),
        }
    }

    fn read_uncommitted(
        &mut self,
        turn: Box<Uncommitted>,
        mut reading: Box<Reading>,
        cx: &mut Context<'_>,
        sink: &mut dyn EventSink,
    ) -> Next<P::Sleep> {
        let mut gate = Gate::holding(sink, &mut self.usage);
        let read = reading.poll(cx, &mut gate);
        let seen = gate.seen;
        self.is_writer_started |= seen.is_started;
        let Poll::Ready(read) = read else {
            return (State::Uncommitted(turn, AttemptPhase::Reading(reading)), Step::Pending);
        };
        self.take_repairs(&reading);
        if let Some(failure) = seen.failure {
            let prepared = turn.prepared.as_ref();
            let teaching =
                prepared.and_then(|prepared| Teaching::of_failure(&failure, &prepared.request)).map(Box::new);
            return self.failed(turn, OpenError { teaching, ..failure.into() });
        }
        if seen.is_shown {
            self.commit(*turn);
            return match read {
                Read::FollowUp(question) => {
                    (State::Committed(Committed::FollowingUp(self.follow_up(*question))), Step::Again)
                }
                Read::More => (State::Committed(reading.committed()), Step::Progress(Progress::More)),
                Read::Ended => self.ended(seen.finish.as_ref()),
            };
        }
        match read {
            Read::FollowUp(question) => {
                (State::Uncommitted(turn, AttemptPhase::FollowingUp(self.follow_up(*question))), Step::Again)
            }
            Read::More => {
                (State::Uncommitted(turn, AttemptPhase::Reading(reading)), Step::Progress(Progress::More))
            }
            Read::Ended => {
                self.remember(&turn, self.platform.clocks());
                self.ended(seen.finish.as_ref())
            }
        }
    }

    fn poll_committed(
        &mut self,
        answer: Committed,
        cx: &mut Context<'_>,
        sink: &mut dyn EventSink,
    ) -> Next<P::Sleep> {
        let mut reading = match answer {
            Committed::Reading(reading) => reading,
            Committed::FollowingUp(mut question) => {
                return match question.opening.as_mut().poll(cx) {
                    Poll::Pending => (State::Committed(Committed::FollowingUp(question)), Step::Pending),
                    Poll::Ready(Ok(answer)) => {
                        self.running.enter(TurnState::Streaming);
                        (State::Committed(Committed::Reading(question.reading(answer))), Step::Again)
                    }
                    Poll::Ready(Err(refused)) => self.not_followed_up(*question, refused.failure, sink),
                };
            }
        };
        let mut gate = Gate::open(sink, &mut self.usage);
        let read = reading.poll(cx, &mut gate);
        let finish = gate.seen.finish;
        match read {
            Poll::Pending => (State::Committed(Committed::Reading(reading)), Step::Pending),
            Poll::Ready(Read::More) => {
                (State::Committed(Committed::Reading(reading)), Step::Progress(Progress::More))
            }
            Poll::Ready(Read::FollowUp(question)) => {
                self.take_repairs(&reading);
                (State::Committed(Committed::FollowingUp(self.follow_up(*question))), Step::Again)
            }
            Poll::Ready(Read::Ended) => {
                self.take_repairs(&reading);
                self.ended(finish.as_ref())
            }
        }
    }

    fn take_repairs(&mut self, reading: &Reading) {
        self.repairs = reading.repairs.unwrap_or(self.repairs);
        if let Some(count) = &mut self.open_count {
            count.repairs = self.repairs;
        }
    }

    /// Asks the model that answered.
    fn follow_up(&mut self, question: FollowUp) -> Box<OpeningFollowUp> {
        self.usage.next_answer();
        tracing::info!(event = "turn.asked_again", endpoint = self.target.id.as_str());
        self.running.enter(TurnState::AskingAgain);
        let entry = self.entry.as_ref().map(|(_, entry)| entry.clone());
        question.open(&self.platform, &self.target, entry, &self.running)
    }

    /// The model could not be asked: its answer stands as it was.
    fn not_followed_up(
        &mut self,
        question: OpeningFollowUp,
        failure: Failure,
        sink: &mut dyn EventSink,
    ) -> Next<P::Sleep> {
        tracing::info!(event = "turn.not_asked", failure = failure.kind.code());
        let mut repair: Repair = question.into_repair();
        repair.event(TurnEvent::Finished(FinishReason::Failed(failure)), sink);
        self.leave(TurnOutcome::Succeeded);
        (State::Over, Step::Progress(Progress::Ended))
    }

    /// `Finished` was handed out.
    fn ended(&mut self, finish: Option<&FinishReason>) -> Next<P::Sleep> {
        let outcome = match finish {
            Some(FinishReason::Failed(failure)) => {
                let now = self.platform.clocks();
                self.target.runtime.memory.failed(&self.target.id, failure, now.now);
                self.target.runtime.stats.note(failure, now.unix);
                self.running.end_attempt(failure, "give_up", Duration::ZERO);
                TurnOutcome::Failed(failure.kind)
            }
            _ => TurnOutcome::Succeeded,
        };
        self.leave(outcome);
        (State::Over, Step::Progress(Progress::Ended))
    }

    /// The client has seen something: endpoint and key work, and there is nothing to try again. Takes the request.
    fn commit(&mut self, turn: Uncommitted) {
        let now = self.platform.clocks();
        self.running.enter(TurnState::Streaming);
        self.remember(&turn, now);
        let now = now.now;
        let Uncommitted { request, prepared, sent_at, .. } = turn;
        let RouteTarget { runtime, id, .. } = &self.target;
        let memory = &runtime.memory;
        memory.succeeded(id, now.saturating_duration_since(sent_at));
        if let (true, Some(prepared)) = (runtime.endpoint.history.adaptive, prepared) {
            memory.record_items_taken(id, prepared.items);
        }
        if let Some(key) = request.affinity_key {
            memory.record_affinity(&key, id, now);
        }
        if let Some((place, _)) = self.entry {
            runtime.pool.succeeded(place);
        }
    }
}
