//! Runs a turn on its endpoint: sends it, reads it, and tries again while the client has seen nothing.
//!
//! Invariant: nothing is sent upstream a second time after the first semantic event.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use latimer_adapters::adapter::Prepared;
use latimer_adapters::drive::TurnStream;
use latimer_adapters::repair::{Plan, Repair};
use latimer_protocol::failure::{Failure, Kind, Retry};
use latimer_protocol::turn::{FinishReason, Sink, TurnEvent};

use super::backoff;
use super::fleet::Runtime;

type Opening = Pin<Box<dyn Future<Output = Result<TurnStream, Failure>> + Send>>;

/// One turn under way.
pub struct Attempts {
    runtime: Arc<Runtime>,
    /// What repairs the answers; `None` when nothing is to be repaired.
    plan: Option<Arc<Plan>>,
    /// Gone after the first semantic event: it may be large, and it will not be needed again.
    prepared: Option<Arc<Prepared>>,
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
                        let repair = self.plan.clone().map(Repair::new);
                        self.state = State::Reading(Box::new((stream, repair)));
                        continue;
                    }
                    Err(failure) => failure,
                },
                State::Reading(reading) => {
                    let (stream, repair) = &mut **reading;
                    let shown = self.prepared.is_none();
                    let mut gate = Gate { sink, shown, failure: None };
                    let ended = ready!(match repair {
                        Some(repair) =>
                            stream.poll_events(cx, &mut |event: TurnEvent<'_>| repair.event(event, &mut gate)),
                        None => stream.poll_events(cx, &mut gate),
                    });
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
        if self.prepared.take().is_some()
            && let Some(key) = self.key
        {
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
            let secret = key.and_then(|key| runtime.endpoint.keys.get(key));
            runtime.adapter.open(&prepared, secret).await
        }));
    }
}

/// Holds back a failure while nothing was shown, so that the client never learns of an attempt that is made again.
struct Gate<'s> {
    sink: &'s mut dyn Sink,
    shown: bool,
    failure: Option<Failure>,
}

impl Sink for Gate<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        self.shown |= event.is_semantic();
        match event {
            TurnEvent::Finished(FinishReason::Failed(failure)) if !self.shown => self.failure = Some(failure),
            TurnEvent::Note(note) => tracing::debug!(event = "turn.note", note),
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
