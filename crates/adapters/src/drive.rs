//! The one loop between a socket and a reader: bytes to frames, frames to the reader, its events to the sink.
//!
//! The loop is a poll function, so that whoever answers the client pulls it at the client's pace: nothing is read that
//! nobody asked for, and dropping a [`TurnStream`] cancels the upstream.

mod frames;
mod guard;
mod quota;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::jsonl::LineDecoder;
use latimer_protocol::quota::QuotaReading;
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::surrogates::{self, StreamHalves};
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent};
use tokio::time::{Instant, Sleep, sleep_until};

use self::frames::{FrameKind, take_frame};
pub use self::guard::{SteerTurn, StreamGuard};
use crate::call_halves::CallHalves;
use crate::clock;
use crate::reader::{BodyEnd, Reader};
use crate::transport::Body;

/// Bytes read in one poll; other streams of the same thread get their turn in between.
const POLL_BUDGET: usize = 64 * 1024;

/// How often an answer that the upstream pauses is gone on with.
const MAX_ROUNDS: u32 = 5;

/// How much and how long an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest silence between two reads; comments end it.
    pub idle: Duration,
    /// Longest time without a semantic event, whatever else arrives.
    pub content: Duration,
    /// Largest line of an event stream.
    pub line: usize,
    /// Largest answer, after decompression.
    pub total: usize,
    /// Largest answer that is one JSON document.
    pub whole: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(300),
            content: Duration::from_secs(600),
            line: 16 << 20,
            total: 256 << 20,
            whole: 64 << 20,
        }
    }
}

/// How payloads stand in the body, known once something of it was read.
enum BodyShape {
    /// Not known before the first byte that is not blank.
    Unknown,
    /// An event stream.
    Frames(SseDecoder),
    /// One JSON document.
    Whole(Vec<u8>),
    /// A payload on each line, in JSON lines or dressed as an event stream.
    Lines(LineDecoder),
}

/// Sends the request that goes on with an answer.
pub type Reopen = Box<dyn Fn(Bytes) -> ReopenFuture + Send>;
/// The rest of an answer, on its way.
pub type ReopenFuture = Pin<Box<dyn Future<Output = Result<Body, Failure>> + Send>>;

/// One answer on its way.
pub struct TurnStream {
    /// Both are `None` once the answer is over.
    parts: Option<(Body, Box<dyn Reader>)>,
    shape: BodyShape,
    /// Mends what cannot be parsed before it is.
    halves: StreamHalves,
    call_halves: CallHalves,
    limits: Limits,
    /// Read from the body, but beyond the budget of the last poll.
    rest: Bytes,
    total: usize,
    /// When anything, and when something semantic, last arrived. Set at the first poll.
    last_activity: Option<(Instant, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    /// How to go on with an answer that the upstream paused.
    reopen: Option<Reopen>,
    reopening: Option<ReopenFuture>,
    rounds: u32,
    /// Work to be done when the answer is over or nobody wants it any more.
    guard: Option<Box<dyn StreamGuard>>,
    /// What the headers of the answer said of the account's allowances.
    quota: Vec<QuotaReading>,
}

impl TurnStream {
    /// An answer that is an event stream.
    pub fn new(body: Body, reader: Box<dyn Reader>, limits: Limits) -> Self {
        Self::shaped(BodyShape::Frames(SseDecoder::new(limits.line)), body, reader, limits)
    }

    /// An answer that is one JSON document; the reader gets it in one push.
    pub fn whole(body: Body, reader: Box<dyn Reader>, limits: Limits) -> Self {
        Self::shaped(BodyShape::Whole(Vec::new()), body, reader, limits)
    }

    /// An answer that is what its first byte says: `{` and `[` begin a document, `<` a web page, which is a failure, and
    /// everything else an event stream. Content types are often missing or wrong; the first byte is not.
    pub fn detect(body: Body, reader: Box<dyn Reader>, limits: Limits) -> Self {
        Self::shaped(BodyShape::Unknown, body, reader, limits)
    }

    fn shaped(shape: BodyShape, body: Body, reader: Box<dyn Reader>, limits: Limits) -> Self {
        let parts = Some((body, reader));
        Self {
            parts,
            shape,
            halves: StreamHalves::default(),
            call_halves: CallHalves::default(),
            limits,
            rest: Bytes::new(),
            total: 0,
            quota: Vec::new(),
            last_activity: None,
            timer: None,
            reopen: None,
            reopening: None,
            rounds: 0,
            guard: None,
        }
    }

    /// An answer with a payload on each line.
    pub fn lines(body: Body, reader: Box<dyn Reader>, limits: Limits) -> Self {
        Self::shaped(BodyShape::Lines(LineDecoder::new(limits.line)), body, reader, limits)
    }

    /// Goes on with an answer that the upstream pauses, at most `MAX_ROUNDS` times.
    #[must_use]
    pub fn reopened_by(mut self, reopen: Reopen) -> Self {
        self.reopen = Some(reopen);
        self
    }

    /// Tells this how the answer ended, and drops it then, or when nobody wants the answer any more.
    #[must_use]
    pub fn guarded_by(mut self, guard: Box<dyn StreamGuard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// How more words reach the turn while it runs; `None` where they wait for its end.
    pub fn steer(&self) -> Option<Arc<dyn SteerTurn>> {
        self.guard.as_ref().and_then(|guard| guard.steer())
    }

    /// Hands out the events that are ready. `Ready(true)` means the answer is over and `Finished` was handed out;
    /// `Ready(false)` means there were events and there may be more.
    pub fn poll_events(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<bool> {
        let call_halves = std::mem::take(&mut self.call_halves);
        let mut watch = ObservingSink { sink, call_halves, events: false, semantic: false, outcome: None };
        let outcome = loop {
            match self.poll_reopening(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => break Poll::Ready(BodyEnd::Broken(failure)),
                Poll::Pending => break Poll::Pending,
            }
            match self.poll_bytes(cx, &mut watch) {
                Poll::Ready(BodyEnd::Clean) if self.goes_on() => {}
                outcome => break outcome,
            }
        };
        if watch.semantic {
            let now = clock::now();
            self.last_activity = Some((now, now));
        }
        let is_over = outcome.map(|end| self.end(cx, end, &mut watch));
        let had_events = watch.events;
        self.call_halves = watch.call_halves;
        match is_over {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if had_events => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether the reader wants the rest of a paused answer, which is then asked for.
    fn goes_on(&mut self) -> bool {
        let (Some(reopen), Some((_, reader))) = (&self.reopen, &mut self.parts) else { return false };
        if self.rounds >= MAX_ROUNDS {
            return false;
        }
        let Some(body) = reader.continuation() else { return false };
        self.rounds += 1;
        self.reopening = Some(reopen(body));
        true
    }

    fn poll_reopening(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(reopening) = &mut self.reopening else { return Poll::Ready(Ok(())) };
        let body = std::task::ready!(reopening.as_mut().poll(cx));
        self.reopening = None;
        if let Some((old, _)) = &mut self.parts {
            std::mem::replace(old, body?).release(cx);
        }
        self.rest = Bytes::new();
        self.last_activity = None;
        self.shape = match &self.shape {
            BodyShape::Lines(_) => BodyShape::Lines(LineDecoder::new(self.limits.line)),
            _ => BodyShape::Unknown,
        };
        Poll::Ready(Ok(()))
    }

    /// Reads until the body has nothing, the budget is used up, or the answer is over.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, sink: &mut ObservingSink<'_>) -> Poll<BodyEnd> {
        let mut left = POLL_BUDGET;
        let mut read = false;
        let outcome = loop {
            if self.rest.is_empty() {
                let Some((body, _)) = &mut self.parts else { return Poll::Ready(BodyEnd::Clean) };
                match body.poll_chunk(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        self.rest = chunk;
                        read = true;
                    }
                    Poll::Ready(Some(Err(failure))) => break Poll::Ready(BodyEnd::Broken(failure)),
                    Poll::Ready(None) => break Poll::Ready(self.end_of_body(sink)),
                    Poll::Pending => break Poll::Pending,
                }
            }
            let piece = self.rest.split_to(self.rest.len().min(left));
            left -= piece.len();
            if let Some(end) = self.take(&piece, sink) {
                break Poll::Ready(end);
            }
            if left == 0 {
                self.note_activity(read);
                // The caller comes back by itself when it got something, and is called back otherwise.
                if !sink.events {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        };
        self.note_activity(read);
        match outcome {
            Poll::Pending if !sink.events => self.poll_timeouts(cx),
            outcome => outcome,
        }
    }

    /// Gives one piece to the framing. `Some` ends the answer.
    fn take(&mut self, mut piece: &[u8], sink: &mut ObservingSink<'_>) -> Option<BodyEnd> {
        let first = self.total == 0;
        self.total = self.total.saturating_add(piece.len());
        if self.total > self.limits.total {
            return Some(too_large("answer", self.limits.total));
        }
        // No protocol begins so, in whatever shape its answers come.
        if first && piece.trim_ascii_start().starts_with(b"<") {
            return Some(web_page());
        }
        if matches!(self.shape, BodyShape::Unknown) {
            // A byte order mark may stand before either shape.
            let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte);
            piece.advance(piece.iter().take_while(|byte| blank(byte)).count());
            match piece.first()? {
                b'{' | b'[' => self.shape = BodyShape::Whole(Vec::new()),
                b'<' => return Some(web_page()),
                _ => self.shape = BodyShape::Frames(SseDecoder::new(self.limits.line)),
            }
        }
        let (_, reader) = self.parts.as_mut()?;
        match &mut self.shape {
            BodyShape::Frames(frames) => {
                let mut done = false;
                let pushed = frames.push(piece, &mut |frame| {
                    take_frame(&mut self.halves, frame, &mut |data, kind| {
                        if !done {
                            kind.give(reader.as_mut(), data, sink);
                            done = reader.done();
                        }
                    });
                });
                if done {
                    return Some(BodyEnd::Clean);
                }
                pushed.err().map(|_| too_large("line of the answer", self.limits.line))
            }
            BodyShape::Lines(lines) => {
                let pushed = lines.push(piece, &mut |line| {
                    self.halves.push(line, &mut |line| {
                        if !reader.done() {
                            reader.push(line, sink);
                        }
                    });
                });
                if reader.done() {
                    return Some(BodyEnd::Clean);
                }
                pushed.err().map(|_| too_large("line of the answer", self.limits.line))
            }
            BodyShape::Whole(text) if text.len() + piece.len() > self.limits.whole => {
                Some(too_large("answer", self.limits.whole))
            }
            BodyShape::Whole(text) => {
                text.extend_from_slice(piece);
                None
            }
            BodyShape::Unknown => None,
        }
    }

    fn end_of_body(&mut self, sink: &mut ObservingSink<'_>) -> BodyEnd {
        let Some((_, reader)) = &mut self.parts else { return BodyEnd::Clean };
        let mut give = |data: &[u8], kind: FrameKind| {
            if !reader.done() {
                kind.give(reader.as_mut(), data, sink);
            }
        };
        let halves = &mut self.halves;
        match &mut self.shape {
            BodyShape::Frames(frames) => frames.finish(&mut |frame| take_frame(halves, frame, &mut give)),
            BodyShape::Whole(text) => {
                let text = std::mem::take(text);
                give(surrogates::mend(&text).as_deref().unwrap_or(&text), FrameKind::Plain);
            }
            BodyShape::Lines(lines) => {
                lines.finish(&mut |line| halves.push(line, &mut |data| give(data, FrameKind::Plain)));
            }
            BodyShape::Unknown => {}
        }
        halves.finish(&mut |data| give(data, FrameKind::Plain));
        if let BodyShape::Frames(frames) = &self.shape
            && !frames.stray().is_empty()
        {
            reader.stray(frames.stray());
        }
        BodyEnd::Clean
    }

    fn note_activity(&mut self, read: bool) {
        if read || self.last_activity.is_none() {
            let now = clock::now();
            self.last_activity = Some((now, self.last_activity.map_or(now, |(_, content)| content)));
        }
    }

    /// Waits for the nearer of both limits on waiting. Both only ever move away, so the timer is left alone until it
    /// fires, and only then set to where the limit is by now.
    fn poll_timeouts(&mut self, cx: &mut Context<'_>) -> Poll<BodyEnd> {
        let Some((life, content)) = self.last_activity else { return Poll::Pending };
        let (idle, empty) = (life + self.limits.idle, content + self.limits.content);
        let deadline = idle.min(empty);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                let message = if idle <= empty {
                    format!("the provider was silent for {:?} (setting `timeouts.idle`)", self.limits.idle)
                } else {
                    format!(
                        "the provider kept the connection alive for {:?} without any content",
                        self.limits.content
                    )
                };
                return Poll::Ready(BodyEnd::Broken(Failure::new(FailureKind::Timeout, message)));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn end(&mut self, cx: &mut Context<'_>, end: BodyEnd, sink: &mut ObservingSink<'_>) {
        let Some((body, reader)) = self.parts.take() else { return };
        if end == BodyEnd::Clean {
            body.release(cx);
        }
        reader.finish(end, sink);
        if let Some(mut guard) = self.guard.take() {
            guard.ended(sink.outcome == Some(Outcome::Failed));
        }
        if sink.outcome.is_none() {
            let failure = Failure::new(FailureKind::Internal, "a reader ended without saying how");
            sink.event(TurnEvent::Finished(FinishReason::Failed(failure)));
        }
    }
}

impl std::fmt::Debug for TurnStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnStream")
            .field("over", &self.parts.is_none())
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// Passes events on and notes what kind they were. Invariant: nothing passes after `Finished`.
struct ObservingSink<'a> {
    sink: &'a mut dyn EventSink,
    call_halves: CallHalves,
    events: bool,
    semantic: bool,
    /// How the answer ended, once `Finished` has passed.
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Succeeded,
    Failed,
}

impl EventSink for ObservingSink<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        if self.outcome.is_some() {
            return;
        }
        self.events = true;
        self.semantic |= event.is_semantic();
        self.outcome = match event {
            TurnEvent::Finished(FinishReason::Failed(_)) => Some(Outcome::Failed),
            TurnEvent::Finished(_) => Some(Outcome::Succeeded),
            _ => None,
        };
        self.call_halves.pass(event, self.sink);
    }
}

fn too_large(what: &str, limit: usize) -> BodyEnd {
    let message = format!("one {what} is larger than {} MB", limit >> 20);
    BodyEnd::Broken(Failure::new(FailureKind::TooLarge, message))
}

fn web_page() -> BodyEnd {
    let message = "the provider answered with a web page instead of an answer; check `base_url`";
    BodyEnd::Broken(Failure::new(FailureKind::UpstreamError, message))
}
