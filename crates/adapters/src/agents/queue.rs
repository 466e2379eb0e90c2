//! Lines on their way from a process to the turn that they belong to.
//!
//! The process's reader never waits: what a turn has not taken is kept up to a limit, and beyond it the turn fails.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use latimer_protocol::failure::{Failure, FailureKind};
use tokio::time::Instant;

use crate::clock;
use crate::sync::lock;

/// Bytes that a turn may leave untaken.
const MAX_BYTES: usize = 64 << 20;

/// The lines of one turn.
#[derive(Debug)]
pub struct LineQueue {
    state: Mutex<QueueState>,
}

#[derive(Debug)]
struct QueueState {
    lines: VecDeque<Bytes>,
    bytes: usize,
    end: Option<QueueEnd>,
    waker: Option<Waker>,
    signs: Signs,
}

/// How the lines ended.
#[derive(Debug, Clone)]
pub enum QueueEnd {
    /// The turn is over, or rests.
    Clean,
    /// It broke.
    Broken(Failure),
}

/// What is known of a turn's life beside its lines.
#[derive(Debug, Clone, Copy)]
pub struct Signs {
    /// The last sign of life.
    pub last: Instant,
    /// Tools that work: their silence is none.
    pub open_tools: u32,
    /// Calls of the client's tools that are not answered, and when the last one came.
    pub open_calls: Option<Instant>,
}

impl Default for LineQueue {
    fn default() -> Self {
        let signs = Signs { last: clock::now(), open_tools: 0, open_calls: None };
        let state = QueueState { lines: VecDeque::new(), bytes: 0, end: None, waker: None, signs };
        Self { state: Mutex::new(state) }
    }
}

impl LineQueue {
    /// One more line, with its line end; nothing after the end. It is a sign of life where a time is given.
    pub fn push(&self, line: Bytes, alive: Option<Instant>) {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return;
        }
        state.signs.last = alive.unwrap_or(state.signs.last);
        state.bytes += line.len();
        state.lines.push_back(line);
        if state.bytes > MAX_BYTES {
            let message = format!("the agent wrote {} MB that nobody has taken", MAX_BYTES >> 20);
            state.lines.clear();
            state.end = Some(QueueEnd::Broken(Failure::new(FailureKind::Overloaded, message)));
        }
        wake(state);
    }

    /// What is known of the turn changed.
    pub fn note(&self, change: impl FnOnce(&mut Signs)) {
        let mut state = lock(&self.state);
        change(&mut state.signs);
        // Whoever waits for a limit sees the new one.
        wake(state);
    }

    /// What is known of the turn.
    pub fn signs(&self) -> Signs {
        lock(&self.state).signs
    }

    /// No more lines will come. The first end counts.
    pub fn close(&self, end: QueueEnd) {
        let mut state = lock(&self.state);
        state.end.get_or_insert(end);
        wake(state);
    }

    /// Whether no more lines will come.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    /// The next line, or how they ended.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes, QueueEnd>> {
        let mut state = lock(&self.state);
        if let Some(line) = state.lines.pop_front() {
            state.bytes -= line.len();
            return Poll::Ready(Ok(line));
        }
        if let Some(end) = &state.end {
            return Poll::Ready(Err(end.clone()));
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Wakes who waits, after the lock is given back.
fn wake(mut state: std::sync::MutexGuard<'_, QueueState>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(queue: &LineQueue) -> Poll<Result<Bytes, QueueEnd>> {
        queue.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn lines_come_in_their_order_and_then_the_end() {
        let queue = LineQueue::default();
        assert!(next(&queue).is_pending());
        queue.push("a\n".into(), None);
        queue.push("b\n".into(), None);
        queue.close(QueueEnd::Clean);
        queue.push("late\n".into(), None);
        queue.close(QueueEnd::Broken(Failure::new(FailureKind::Internal, "the first end counts")));
        for wanted in ["a\n", "b\n"] {
            assert!(matches!(next(&queue), Poll::Ready(Ok(line)) if line == wanted));
        }
        assert!(matches!(next(&queue), Poll::Ready(Err(QueueEnd::Clean))));
    }

    #[tokio::test]
    async fn a_turn_that_takes_nothing_fails_and_holds_nothing() {
        let queue = LineQueue::default();
        let line = Bytes::from(vec![b'x'; 1 << 20]);
        for _ in 0..65 {
            queue.push(line.clone(), None);
        }
        let Poll::Ready(Err(QueueEnd::Broken(failure))) = next(&queue) else { panic!("it fails") };
        assert_eq!(failure.kind, FailureKind::Overloaded);
    }
}
