//! Runs a turn on its endpoint: sends it, reads it, and tries again while the client has seen nothing.
//!
//! Invariant: nothing is sent upstream a second time after the first semantic event.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use latimer_adapters::drive::TurnStream;
use latimer_adapters::prepared::Prepared;
use latimer_adapters::repair::{Plan, Repair};
use latimer_protocol::failure::{Failure, Kind, Retry};
use latimer_protocol::turn::{FinishReason, Sink, TurnEvent, Usage};

use super::backoff;
use super::fleet::Runtime;

type Opening = Pin<Box<dyn Future<Output = Result<TurnStream, Failure>> + Send>>;

/// One turn under way.
pub struct Attempts {
    runtime: Arc<Runtime>,
    /// What repairs the answers; `None` when nothing is to be repaired.
    plan: Option<Arc<Plan>>,
    /// Gone after the first semantic event unless the model may be asked again: it may be large.
    prepared: Option<Arc<Prepared>>,
    /// The client has seen something: there is nothing to try again.
    shown: bool,
    /// The repair that goes on in the next answer, after the model was asked again.
    asked: Option<Repair>,
    /// What the answers before this one used, and what they used together with this one.
    spent: Usage,
    used: Option<Usage>,
    repairs: u32,
    state: State,
    key: Option<usize>,
    retries: u32,
}

enum State {
    Waiting(Pin<Box<tokio::time::Sleep>>),
    Opening(Opening),
    Reading(Box<(TurnStream, Option<Repair>)>),
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
    /// Makes the first attempt ready. Nothing happens before the first poll.
    pub fn new(runtime: Arc<Runtime>, prepared: Prepared, plan: Option<Arc<Plan>>) -> Self {
        let mut attempts = Self {
            runtime,
            plan,
            prepared: Some(Arc::new(prepared)),
            shown: false,
            asked: None,
            spent: Usage::default(),
            used: None,
            repairs: 0,
            state: State::Over,
            key: None,
            retries: 0,
        };
        attempts.runtime.budget().request(Instant::now());
        attempts.open();
        attempts
    }

    /// How many attempts were made after the first.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// How much of the answers was repaired.
    pub fn repairs(&self) -> u32 {
        self.repairs
    }

    /// Hands events to the sink as they arrive. Not to be called again after `Ended` or `Failed`.
    pub fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn Sink) -> Poll<Progress> {
        loop {
            let failure = match &mut self.state {
                State::Over => return Poll::Ready(Progress::Ended),
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.open();
                    continue;
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(stream) => {
                        let repair = self.asked.take().or_else(|| self.plan.clone().map(Repair::new));
                        self.state = State::Reading(Box::new((stream, repair)));
                        continue;
                    }
                    Err(failure) => match self.asked.take() {
                        // The model could not be asked again; its answer stands as it was.
                        Some(mut repair) => {
                            tracing::info!(event = "turn.not_asked", failure = failure.kind.code());
                            repair.event(TurnEvent::Finished(FinishReason::Failed(failure)), sink);
                            self.state = State::Over;
                            return Poll::Ready(Progress::Ended);
                        }
                        None => failure,
                    },
                },
                State::Reading(reading) => {
                    let (stream, repair) = &mut **reading;
                    let mut gate =
                        Gate { sink, shown: self.shown, failure: None, spent: self.spent, used: self.used };
                    let ended = ready!(match repair {
                        Some(repair) =>
                            stream.poll_events(cx, &mut |event: TurnEvent<'_>| repair.event(event, &mut gate)),
                        None => stream.poll_events(cx, &mut gate),
                    });
                    if ended && let Some(repair) = repair {
                        self.repairs = repair.repairs();
                        let again = repair.question().and_then(|question| {
                            let prepared =
                                self.prepared.as_ref()?.with_exchange(&question.said, &question.ask)?;
                            Some((prepared, repair.follow_up()))
                        });
                        if let Some((prepared, repair)) = again {
                            tracing::info!(event = "turn.asked_again", endpoint = %self.runtime.endpoint.name);
                            self.spent = gate.used.unwrap_or(self.spent);
                            self.used = None;
                            let shown = gate.shown;
                            self.shown |= shown;
                            self.asked = Some(repair);
                            self.prepared = Some(Arc::new(prepared));
                            self.open();
                            continue;
                        }
                        repair.give_up(&mut gate);
                    }
                    self.used = gate.used;
                    let (shown, failure) = (gate.shown, gate.failure);
                    if shown {
                        self.shown();
                    }
                    match (failure, ended) {
                        (Some(failure), _) => failure,
                        (None, true) => {
                            self.state = State::Over;
                            return Poll::Ready(Progress::Ended);
                        }
                        (None, false) => return Poll::Ready(Progress::More),
                    }
                }
            };
            self.state = State::Over;
            if let Some(failure) = self.failed(failure) {
                return Poll::Ready(Progress::Failed(failure));
            }
        }
    }

    /// The client has seen something: the key works, and there is nothing to try again.
    fn shown(&mut self) {
        if std::mem::replace(&mut self.shown, true) {
            return;
        }
        let large = self.prepared.as_ref().is_some_and(|prepared| prepared.body_len() > MOST_KEPT);
        if self.plan.is_none() || large {
            self.prepared = None;
        }
        if let Some(key) = self.key {
            self.runtime.keys().worked(key);
        }
    }

    /// Begins another attempt if one is sensible; gives the failure back if not.
    fn failed(&mut self, failure: Failure) -> Option<Failure> {
        let now = Instant::now();
        let other_key = self.key.is_some_and(|key| self.runtime.keys().failed(key, &failure, now));
        let wait = match failure.retry() {
            Retry::Never => return Some(failure),
            Retry::NextKey | Retry::OtherKeyOnly if other_key => None,
            Retry::OtherKeyOnly => return Some(failure),
            Retry::Same | Retry::NextKey => {
                let mut random = [0u8];
                // Without randomness the wait is merely less spread.
                let _ = getrandom::fill(&mut random);
                match backoff::wait(self.retries + 1, failure.retry_after, random[0]) {
                    Some(wait) => Some(wait),
                    None => return Some(failure),
                }
            }
        };
        if self.retries >= self.runtime.endpoint.retries || !self.runtime.budget().retry(now) {
            return Some(failure);
        }
        self.retries += 1;
        tracing::info!(
            event = "turn.retry",
            endpoint = %self.runtime.endpoint.name,
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

    fn open(&mut self) {
        let Some(prepared) = self.prepared.clone() else { return };
        let runtime = Arc::clone(&self.runtime);
        self.key = runtime.keys().pick(Instant::now());
        let key = self.key;
        self.state = State::Opening(Box::pin(async move {
            let credential = key.and_then(|key| runtime.credential(key));
            runtime.adapter.open(&prepared, credential.as_ref()).await.map_err(|refused| refused.failure)
        }));
    }
}

/// A larger request is not kept for asking the model again.
const MOST_KEPT: usize = 4 << 20;

/// Holds back a failure while nothing was shown, so that the client never learns of an attempt that is made again.
struct Gate<'s> {
    sink: &'s mut dyn Sink,
    shown: bool,
    failure: Option<Failure>,
    /// What the answers before this one used, and what they used together with this one.
    spent: Usage,
    used: Option<Usage>,
}

impl Sink for Gate<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        self.shown |= event.is_semantic();
        match event {
            TurnEvent::Finished(FinishReason::Failed(failure)) if !self.shown => self.failure = Some(failure),
            TurnEvent::Usage(usage) => {
                let usage = self.spent.plus(usage);
                self.used = Some(usage);
                self.sink.event(TurnEvent::Usage(usage));
            }
            event => self.sink.event(event),
        }
    }
}

/// The failure for a turn that is cut because the process stops.
pub fn shutting_down() -> Failure {
    Failure::new(
        Kind::ShuttingDown,
        "latimer was stopped while this answer was under way; the request can be sent again",
    )
}
