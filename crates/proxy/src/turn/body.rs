//! One turn as a response body: polled by hyper, polling the upstream.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, TurnEvent};
use tokio::time::Sleep;

use super::log::Log;
use super::work::Work;
use crate::clock;
use crate::http::reply::ByteStream;
use crate::inbound::responses::chain;
use crate::inbound::responses::socket::recall::Recall;
use crate::inbound::writer::StoredResponse;
use crate::inbound::writer::answer::Answer;
use crate::lifecycle::force_stop::ForceStop;
use crate::route::attempt::{Progress, shutting_down};
use crate::store::Store;
use crate::sync::lock;

/// The most that is collected before it is written.
const BATCH: usize = 32 * 1024;

/// Passes of the scheduler within which hyper's client hands over the next chunk that it already has; measured.
const ROUNDS: u8 = 3;

/// After so long without a write, what arrives is alone: it is written at once.
const QUIET: Duration = Duration::from_millis(5);

/// Where an answer is kept, and what it answers.
pub(super) struct StoreTarget {
    /// The store, unless the client wants nothing stored.
    pub(super) store: Option<Store>,
    /// The connection that remembers it, where it came over one.
    pub(super) recall: Option<Recalled>,
    /// The request's items, as a JSON array.
    pub(super) input: Vec<u8>,
}

/// The memory of a connection.
#[derive(Clone)]
pub(super) struct Recalled {
    pub(super) recall: Arc<Mutex<Recall>>,
    /// The answer that the request goes on with.
    pub(super) previous: Option<String>,
}

impl Recalled {
    /// Going on failed: the client is to send everything again.
    pub(super) fn forget(&self) {
        if let Some(previous) = &self.previous {
            lock(&self.recall).forget(previous);
        }
    }
}

/// One turn as a response body.
pub struct TurnBody {
    work: Work,
    writer: Answer,
    log: Log,
    /// Where the answer is kept, to be gone on with.
    keep: Option<StoreTarget>,
    keep_alive: Duration,
    last_sent: Instant,
    alarm: Pin<Box<Sleep>>,
    cut: ForceStop,
    /// How often the upstream's task may still be asked for more before what is there is written.
    rounds: u8,
    over: bool,
}

impl TurnBody {
    pub(super) fn new(
        work: Work,
        writer: Answer,
        log: Log,
        keep: Option<StoreTarget>,
        keep_alive: Duration,
        cut: ForceStop,
    ) -> Self {
        let alarm = Box::pin(tokio::time::sleep(keep_alive));
        Self {
            work,
            writer,
            log,
            keep,
            keep_alive,
            last_sent: clock::now(),
            alarm,
            cut,
            rounds: 0,
            over: false,
        }
    }

    /// The next bytes for the client: everything that has arrived, and nothing that has not.
    ///
    /// hyper hands the upstream's chunks over one at a time, through a task of its own. So after each piece of news that task
    /// gets `ROUNDS` more turns; as long as it brings more, there is one write for all of it. Nobody waits for a clock, and after
    /// `QUIET` there is nothing to collect.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.poll_until_pending(cx) {
            if self.rounds > 0 && !self.writer.out().is_empty() {
                self.rounds -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.cut.poll(cx).is_ready() {
                self.fail(&shutting_down());
            } else if self.writer.out().is_empty() && self.alarm_rang(cx) {
                self.keep_alive();
            }
        }
        let out = self.writer.take();
        if self.writer.is_finished() {
            self.over = true;
            self.log.answered();
            self.keep();
        } else if out.is_empty() {
            return Poll::Pending;
        }
        self.last_sent = clock::now();
        Poll::Ready((!out.is_empty()).then(|| out.into()))
    }

    /// Takes what has arrived, up to a buffer's worth. True when there is no more at the moment.
    fn poll_until_pending(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.writer.is_finished() && self.writer.out().len() < BATCH {
            let mut watch = Watch { writer: &mut self.writer, log: &mut self.log };
            let progress = self.work.poll(cx, &mut watch);
            self.work.attempts().inspect(|attempts| self.log.follow(attempts));
            match progress {
                Poll::Ready(Progress::Failed(failure)) => self.fail(&failure),
                Poll::Ready(Progress::More | Progress::Ended) => {
                    self.rounds = if self.last_sent.elapsed() < QUIET { ROUNDS } else { 0 };
                }
                Poll::Pending => return true,
            }
        }
        false
    }

    /// The alarm is set once and looked at late: resetting a timer for every delta would cost more than the delta.
    fn alarm_rang(&mut self, cx: &mut Context<'_>) -> bool {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.last_sent + self.keep_alive;
            let now = clock::now();
            if due <= now {
                self.alarm.as_mut().reset((now + self.keep_alive).into());
                // Registers the waker for the next round.
                let _ = self.alarm.as_mut().poll(cx);
                return true;
            }
            self.alarm.as_mut().reset(due.into());
        }
        false
    }

    /// An event that keeps the client waiting.
    pub(super) fn keep_alive(&mut self) {
        let passes = self.work.passes();
        if !passes {
            self.work.writer_started();
        }
        self.writer.keep_alive(passes);
    }

    pub(super) fn fail(&mut self, failure: &Failure) {
        self.log.failed(failure);
        self.writer.set_time(clock::unix_now());
        self.writer.fail(failure);
    }

    /// Runs the turn to its end, for a client that wants one JSON object.
    pub(super) async fn collect(mut self) -> Result<Vec<u8>, Failure> {
        loop {
            match std::future::poll_fn(|cx| self.poll_first(cx)).await {
                Progress::More => self.writer.discard(),
                Progress::Ended => break,
                Progress::Failed(failure) => {
                    self.log.failed(&failure);
                    return Err(failure);
                }
            }
        }
        if let Some(failure) = self.log.failure.clone() {
            return Err(failure);
        }
        if let Some(failure) = self.writer.failure().cloned() {
            self.log.failed(&failure);
            return Err(failure);
        }
        self.log.answered();
        self.keep();
        Ok(self.writer.take_object())
    }

    /// The answer is over: from now on it can be gone on with.
    fn keep(&mut self) {
        let Some(StoreTarget { store, recall, input }) = self.keep.take() else { return };
        let kept = if self.log.failure.is_none() { self.writer.stored() } else { None };
        let Some(StoredResponse { id, output, response }) = kept else {
            recall.inspect(Recalled::forget);
            return;
        };
        let items = chain::with_output(input, &output);
        if let Some(Recalled { recall, .. }) = recall {
            let items = items.clone().into();
            lock(&recall).keep(&id, items);
        }
        if let Some(store) = store {
            store.keep_response(&id, items, response, clock::unix_now());
        }
    }

    /// The turn failed before anything was written.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.log.failed(failure);
    }

    /// As long as no status was sent, a stop is an answer like any other failure.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let mut watch = Watch { writer: &mut self.writer, log: &mut self.log };
        let progress = self.work.poll(cx, &mut watch);
        self.work.attempts().inspect(|attempts| self.log.follow(attempts));
        match progress {
            Poll::Pending => self.cut.poll(cx).map(|()| Progress::Failed(shutting_down())),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl ByteStream for TurnBody {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        TurnBody::poll_bytes(self, cx)
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

/// Lets the log see what the writer is told.
struct Watch<'t> {
    writer: &'t mut Answer,
    log: &'t mut Log,
}

impl EventSink for Watch<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        match &event {
            TurnEvent::Finished(reason) => {
                self.log.finished(reason);
                self.writer.set_time(clock::unix_now());
            }
            TurnEvent::Usage(usage) => self.log.usage = *usage,
            TurnEvent::Note(note) => return self.log.note(note),
            _ if self.log.first_event.is_none() && event.is_semantic() => {
                self.log.first_event = Some(self.log.begun.elapsed());
            }
            _ => {}
        }
        self.writer.event(event);
    }
}
