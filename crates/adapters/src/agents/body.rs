//! The lines of one turn as the body of an answer, with the limits on silence and length that hold for agents.
//!
//! Whoever answers the client pulls it. The timer is left alone until it fires, and only then set to where the limit is by now.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use latimer_protocol::failure::{Failure, FailureKind};
use tokio::time::{Instant, Sleep, sleep_until};

use super::queue::{LineQueue, QueueEnd, Signs};
use super::settings::AgentLimits;
use crate::clock;
use crate::drive::Limits;

/// The line that tells a reader that the turn waits for the client's tools.
pub const PARKED: &[u8] = b"{\"method\":\"latimer/parked\"}\n";
/// Calls that come together are asked for together: how long none may come before they are.
const QUIET: Duration = Duration::from_millis(50);
/// The longest line of an agent.
pub const MAX_LINE: usize = 64 << 20;

/// What a turn's queue holds, as a stream that ends when a limit runs out.
pub struct TurnLines {
    queue: Arc<LineQueue>,
    limits: AgentLimits,
    /// The end of the turn at the latest.
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl TurnLines {
    /// The lines of a turn that began at this moment.
    pub fn new(queue: Arc<LineQueue>, limits: AgentLimits) -> Self {
        Self { queue, limits, deadline: clock::now() + limits.turn, timer: None, is_over: false }
    }

    /// When the next limit runs out, and what it means.
    fn limit(&self, signs: &Signs) -> (Instant, Limit) {
        if let Some(last) = signs.open_calls {
            return (last + QUIET, Limit::Parked);
        }
        let idle = signs.last + self.limits.idle;
        if signs.open_tools == 0 && idle < self.deadline {
            (idle, Limit::Idle)
        } else {
            (self.deadline, Limit::Turn)
        }
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<Limit> {
        let (at, limit) = self.limit(&self.queue.signs());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while std::future::Future::poll(timer.as_mut(), cx).is_ready() {
            if clock::now() >= at {
                return Poll::Ready(limit);
            }
            timer.as_mut().reset(at);
        }
        Poll::Pending
    }
}

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Nothing came for too long.
    Idle,
    /// The turn takes too long.
    Turn,
    /// No more calls of the client's tools come.
    Parked,
}

impl Stream for TurnLines {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match self.queue.poll(cx) {
            Poll::Ready(Ok(line)) => return Poll::Ready(Some(Ok(line))),
            Poll::Ready(Err(QueueEnd::Clean)) => {
                self.is_over = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Err(QueueEnd::Broken(failure))) => {
                self.is_over = true;
                return Poll::Ready(Some(Err(failure)));
            }
            Poll::Pending => {}
        }
        let limit = std::task::ready!(self.poll_limits(cx));
        self.is_over = true;
        let (what, setting) = match limit {
            Limit::Parked => return Poll::Ready(Some(Ok(Bytes::from_static(PARKED)))),
            Limit::Idle => (format!("the agent was silent for {:?}", self.limits.idle), "limits.idle"),
            Limit::Turn => (format!("the turn took longer than {:?}", self.limits.turn), "limits.turn"),
        };
        let message = format!("{what} and was ended (setting `agent.{setting}`)");
        Poll::Ready(Some(Err(Failure::new(FailureKind::Timeout, message))))
    }
}

/// How much an answer of an agent may be. Silence is [`TurnLines`]' affair: tools may work for long.
pub fn answer_limits(limits: &AgentLimits) -> Limits {
    let beyond = limits.turn.saturating_add(Duration::from_secs(60));
    Limits { idle: beyond, content: beyond, line: MAX_LINE, ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::agents::settings::{AgentProgram, AgentSettings};

    fn limits() -> AgentLimits {
        AgentSettings::usual(AgentProgram::CodexAppServer).limits
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_turn_unless_a_tool_works() {
        let queue = Arc::new(LineQueue::default());
        queue.note(|signs| signs.open_tools = 1);
        let mut lines = TurnLines::new(Arc::clone(&queue), limits());
        let begun = clock::now();
        let waited = tokio::time::timeout(Duration::from_secs(400), lines.next()).await;
        assert!(waited.is_err(), "a tool works");
        queue.note(|signs| (signs.open_tools, signs.last) = (0, clock::now()));
        let failure = lines.next().await.expect("an end").expect_err("silent");
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert!(failure.message.contains("limits.idle"), "{}", failure.message);
        assert_eq!(begun.elapsed().as_secs(), 520);
        assert!(lines.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_has_an_end_whatever_comes() {
        let queue = Arc::new(LineQueue::default());
        let mut lines = TurnLines::new(Arc::clone(&queue), limits());
        let failure = loop {
            queue.push("x\n".into(), Some(clock::now()));
            assert_eq!(lines.next().await.expect("a line").expect("fine"), "x\n");
            if let Ok(end) = tokio::time::timeout(Duration::from_secs(60), lines.next()).await {
                break end.expect("an end").expect_err("too long");
            }
        };
        assert!(failure.message.contains("limits.turn"), "{}", failure.message);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_come_together_are_asked_for_together() {
        let queue = Arc::new(LineQueue::default());
        let mut lines = TurnLines::new(Arc::clone(&queue), limits());
        queue.note(|signs| signs.open_calls = Some(clock::now()));
        let waited = tokio::time::timeout(Duration::from_millis(40), lines.next()).await;
        assert!(waited.is_err());
        queue.note(|signs| signs.open_calls = Some(clock::now()));
        assert!(tokio::time::timeout(Duration::from_millis(40), lines.next()).await.is_err());
        assert_eq!(lines.next().await.expect("a line").expect("parked"), PARKED);
        assert!(lines.next().await.is_none());
    }
}
