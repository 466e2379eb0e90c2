//! One turn as a response body: polled by hyper, polling the upstream.
//!
//! Invariant: once a turn is over it yields nothing more, and its response was stored at most once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, TurnEvent};
use tokio::time::Sleep;
use tracing::Span;

use super::log::TurnLog;
use super::small_writes::{MAX_SMALL_WRITE, SmallWrites};
use super::source::EventSource;
use super::waiting::WaitWatch;
use crate::clock;
use crate::http::reply::ByteStream;
use crate::inbound::responses::chain;
use crate::inbound::responses::socket::history::ConnectionHistory;
use crate::inbound::wire::rope::Rope;
use crate::inbound::writer::StoredResponse;
use crate::inbound::writer::answer::Answer;
use crate::lifecycle::force_stop::ForceStop;
use crate::route::attempt::{Progress, shutting_down};
use crate::running::RunningTurn;
use crate::store::Store;
use crate::store::engine::Receipt;
use crate::store::scope::Scope;
use crate::sync::lock;

/// The most bytes that are collected before they are written.
const MAX_BATCH: usize = 32 * 1024;

/// Passes of the scheduler within which hyper's client hands over the next chunk that it already has; measured.
const COLLECT_POLLS: u8 = 3;

/// After so long without a write, what arrives is alone: it is written at once.
const COLLECT_WINDOW: Duration = Duration::from_millis(5);

/// Where a response is stored, and what it answers.
pub(super) struct StoreTarget {
    /// The store, and whose the response is there; `None` where the client wants nothing stored.
    pub(super) store: Option<(Store, Scope)>,
    /// The connection that remembers it, where the request came over one.
    pub(super) memory: Option<ConnectionMemory>,
    /// The request's items, as a JSON array.
    pub(super) input: Bytes,
}

impl StoreTarget {
    /// Whether other nodes shall have the response before the client knows that it is over.
    fn is_awaited(&self) -> bool {
        self.store.as_ref().is_some_and(|(store, _)| store.nodes().is_some())
    }
}

/// The end of a response that other nodes shall have first.
enum HeldEnd {
    /// It did not come yet.
    Open,
    /// What stands before it may be handed out.
    Come { before: VecDeque<Bytes> },
    /// It is handed out once this is done.
    Keeping { before: VecDeque<Bytes>, kept: Receipt },
}

/// The responses that a connection remembers, seen from one request.
#[derive(Clone)]
pub(super) struct ConnectionMemory {
    pub(super) recall: Arc<Mutex<ConnectionHistory>>,
    /// The id of the response that the request goes on with.
    pub(super) previous: Option<String>,
}

impl ConnectionMemory {
    /// Going on failed: the response is forgotten, so that the client sends everything again.
    pub(super) fn forget(&self) {
        if let Some(previous) = &self.previous {
            lock(&self.recall).forget(previous);
        }
    }
}

/// One turn as a response body.
pub struct TurnBody {
    source: EventSource,
    writer: Answer,
    log: TurnLog,
    /// Where the response is stored; taken once it is.
    store_target: Option<StoreTarget>,
    /// Held back until all nodes have the response; `None` where nobody waits for that.
    held_end: Option<HeldEnd>,
    /// The longest time without a byte for the client.
    keep_alive: Duration,
    keep_alive_timer: Pin<Box<Sleep>>,
    last_write: Instant,
    /// Where the client shows for what it has to wait.
    waits: Option<WaitWatch>,
    force_stop: ForceStop,
    state: BodyState,
    small_writes: SmallWrites,
    /// Around everything that happens while the upstream is polled.
    span: Span,
}

/// What becomes of the bytes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyState {
    /// They are written as soon as there are no more.
    Writing,
    /// More are waited for so many times, for one write.
    Collecting {
        /// How often the upstream's task is still asked for more.
        polls_left: u8,
    },
    /// The last byte was handed out.
    Over,
}

impl TurnBody {
    pub(super) fn new(
        source: EventSource,
        writer: Answer,
        log: TurnLog,
        store_target: Option<StoreTarget>,
        keep_alive: Duration,
        force_stop: ForceStop,
    ) -> Self {
        Self {
            source,
            writer,
            held_end: store_target.as_ref().filter(|target| target.is_awaited()).map(|_| HeldEnd::Open),
            store_target,
            keep_alive,
            keep_alive_timer: Box::pin(tokio::time::sleep(keep_alive)),
            last_write: clock::now(),
            waits: None,
            force_stop,
            state: BodyState::Writing,
            small_writes: SmallWrites::default(),
            span: log.span(),
            log,
        }
    }

    /// Tells the client for what this turn waits.
    pub(super) fn telling_waits(mut self, running: Arc<RunningTurn>) -> Self {
        self.waits = Some(WaitWatch::new(running));
        self
    }

    /// Writes what is to be said of a wait; true if there was something.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(words)) = self.waits.as_mut().map(|waits| waits.poll(cx)) else { return false };
        let may_say = self.source.begin_writer_for_wait();
        if may_say {
            self.writer.say_wait(&words);
        }
        may_say
    }

    /// The next bytes for the client: everything that has arrived, and nothing that has not.
    ///
    /// hyper hands the upstream's chunks over one at a time, through a task of its own. So after each piece of news that task
    /// is polled `COLLECT_POLLS` more times; as long as it brings more, there is one write for all of it. Nobody waits for a clock,
    /// and after `COLLECT_WINDOW` there is nothing to collect.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.state == BodyState::Over {
            return Poll::Ready(None);
        }
        if self.writer.has_pieces() && self.held_end.is_none() {
            return self.hand_out(cx);
        }
        if self.poll_until_pending(cx) {
            if self.writer.has_out() && self.collects_more() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.force_stop.poll(cx).is_ready() {
                self.fail(&shutting_down());
            } else if self.poll_wait(cx) {
                // It is written at once.
            } else if !self.writer.has_out() && self.keep_alive_is_due(cx) {
                self.keep_alive();
            }
        }
        self.hand_out(cx)
    }

    /// Hands out what is ready: all of it, or one piece of a large event. The turn is over with the last piece.
    fn hand_out(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(ready) = self.hold_end(cx) {
            return ready;
        }
        let out = if self.writer.has_pieces() || self.writer.out().len() > MAX_SMALL_WRITE {
            self.writer.pop()
        } else {
            let out = self.small_writes.copy(self.writer.out());
            self.writer.clear_out();
            out
        };
        if self.writer.is_finished() && !self.writer.has_out() {
            self.state = BodyState::Over;
            self.log.complete();
            drop(self.store_response());
        } else if out.is_none() {
            return Poll::Pending;
        }
        self.last_write = clock::now();
        Poll::Ready(out)
    }

    /// What is handed out before the end of a response that other nodes shall have first; `None` once nothing is held back.
    fn hold_end(&mut self, cx: &mut Context<'_>) -> Option<Poll<Option<Bytes>>> {
        match self.held_end.take()? {
            HeldEnd::Open if self.writer.is_finished() => None,
            HeldEnd::Open => {
                self.held_end = Some(HeldEnd::Open);
                None
            }
            HeldEnd::Come { before } if self.writer.is_finished() => {
                self.log.complete();
                let kept = self.store_response();
                self.held_end = Some(HeldEnd::Keeping { before, kept });
                self.hold_end(cx)
            }
            HeldEnd::Come { mut before } => {
                let piece = before.pop_front();
                self.held_end = Some(HeldEnd::Come { before });
                Some(self.handed(piece))
            }
            HeldEnd::Keeping { mut before, mut kept } => {
                let piece = before.pop_front();
                if piece.is_none() && Pin::new(&mut kept).poll(cx).is_ready() {
                    return None;
                }
                self.held_end = Some(HeldEnd::Keeping { before, kept });
                Some(self.handed(piece))
            }
        }
    }

    fn handed(&mut self, piece: Option<Bytes>) -> Poll<Option<Bytes>> {
        if piece.is_none() {
            return Poll::Pending;
        }
        self.last_write = clock::now();
        Poll::Ready(piece)
    }

    /// Takes what has arrived, up to a buffer's worth. True when there is no more at the moment.
    fn poll_until_pending(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.writer.is_finished() && self.has_room() {
            match self.poll_source(cx) {
                Poll::Ready(Progress::Failed(failure)) => self.fail(&failure),
                Poll::Ready(Progress::More | Progress::Ended) => {
                    let since_write = clock::now().saturating_duration_since(self.last_write);
                    self.state = if since_write < COLLECT_WINDOW {
                        BodyState::Collecting { polls_left: COLLECT_POLLS }
                    } else {
                        BodyState::Writing
                    };
                }
                Poll::Pending => return true,
            }
        }
        false
    }

    /// Whether more may be taken. What is behind a held end is little, and lets it go.
    fn has_room(&self) -> bool {
        let is_small = !self.writer.has_pieces() && self.writer.out().len() < MAX_BATCH;
        is_small || matches!(self.held_end, Some(HeldEnd::Come { .. }))
    }

    /// Polls the source once, inside of the turn's span. What it says goes to the writer, and what it did to the log.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let mut logged =
            LoggedWriter { writer: &mut self.writer, log: &mut self.log, held_end: &mut self.held_end };
        let progress = self.span.in_scope(|| self.source.poll(cx, &mut logged));
        self.source.attempts().inspect(|attempts| self.log.follow(attempts));
        progress
    }

    /// Whether the upstream's task shall be asked once more before what is there is written. Counts the poll.
    fn collects_more(&mut self) -> bool {
        let BodyState::Collecting { polls_left } = self.state else { return false };
        self.state = match polls_left {
            0 | 1 => BodyState::Writing,
            _ => BodyState::Collecting { polls_left: polls_left - 1 },
        };
        true
    }

    /// The timer is set once and looked at late: resetting a timer for every delta would cost more than the delta.
    fn keep_alive_is_due(&mut self, cx: &mut Context<'_>) -> bool {
        while self.keep_alive_timer.as_mut().poll(cx).is_ready() {
            let due = self.last_write + self.keep_alive;
            let now = clock::now();
            if due <= now {
                self.keep_alive_timer.as_mut().reset((now + self.keep_alive).into());
                // Registers the waker for the next round.
                let _ = self.keep_alive_timer.as_mut().poll(cx);
                return true;
            }
            self.keep_alive_timer.as_mut().reset(due.into());
        }
        false
    }

    /// Writes an event that keeps the client waiting.
    pub(super) fn keep_alive(&mut self) {
        let passes = self.source.passes();
        if !passes {
            self.source.writer_started();
        }
        self.writer.keep_alive(passes);
    }

    /// Ends the response with a failure, in the form of a stream.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.log.failed(failure);
        self.writer.set_time(clock::unix_now());
        self.writer.fail(failure);
    }

    /// Runs the turn to its end, for a client that wants one JSON object.
    ///
    /// # Errors
    ///
    /// What the turn failed with.
    pub(super) async fn collect(mut self) -> Result<Rope, Failure> {
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
        self.log.complete();
        self.store_response().await;
        Ok(self.writer.take_object())
    }

    /// Stores the response, so that a later request can go on with it. Neither a failed one nor a very large one is stored.
    fn store_response(&mut self) -> Receipt {
        let Some(StoreTarget { store, memory, input }) = self.store_target.take() else {
            return Receipt::at_once();
        };
        let stored = if self.log.failure.is_none() { self.writer.stored() } else { None };
        let Some(StoredResponse { id, output, response }) = stored else {
            memory.inspect(ConnectionMemory::forget);
            return Receipt::at_once();
        };
        if output.len() > chain::MAX_KEPT_ANSWER {
            // Nothing large stays after its turn.
            tracing::info!(event = "response.not_kept", bytes = output.len(), limit = chain::MAX_KEPT_ANSWER);
            return Receipt::at_once();
        }
        let items = chain::with_output(&input, &output);
        if let Some(ConnectionMemory { recall, .. }) = memory {
            let items = items.clone().into();
            lock(&recall).keep(&id, items);
        }
        let Some((store, scope)) = store else { return Receipt::at_once() };
        scope.stored_id(&id).map_or_else(Receipt::at_once, |id| {
            store.keep_response(&id, items, response.into_vec(), clock::unix_now())
        })
    }

    /// Records a failure that is told in the HTTP status: nothing was written.
    pub(super) fn record_failure(&mut self, failure: &Failure) {
        self.log.failed(failure);
    }

    /// As long as no status was sent, a stop is an answer like any other failure.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        match self.poll_source(cx) {
            Poll::Pending => self.force_stop.poll(cx).map(|()| Progress::Failed(shutting_down())),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl ByteStream for TurnBody {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        TurnBody::poll_bytes(self, cx)
    }

    fn is_over(&self) -> bool {
        self.state == BodyState::Over
    }
}

/// The writer, with the log beside it: the log sees what the writer is told.
struct LoggedWriter<'t> {
    writer: &'t mut Answer,
    log: &'t mut TurnLog,
    held_end: &'t mut Option<HeldEnd>,
}

impl LoggedWriter<'_> {
    /// The end comes: what stands before it need not wait.
    fn end_comes(&mut self) {
        if let Some(HeldEnd::Open) = self.held_end {
            let before = std::iter::from_fn(|| self.writer.pop()).collect();
            *self.held_end = Some(HeldEnd::Come { before });
        }
    }
}

impl EventSink for LoggedWriter<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        match &event {
            TurnEvent::Finished(reason) => {
                self.end_comes();
                self.log.finished(reason);
                self.writer.set_time(clock::unix_now());
            }
            TurnEvent::Frame(frame) if self.held_end.is_some() && chain::is_end(frame.kind) => {
                self.end_comes();
            }
            TurnEvent::Usage(usage) => self.log.usage = *usage,
            TurnEvent::Note(note) => return self.log.note(note),
            _ if self.log.awaits_first_event() && event.is_semantic() => self.log.begin_answer(),
            _ => {}
        }
        self.writer.event(event);
    }
}

#[cfg(test)]
mod tests;
