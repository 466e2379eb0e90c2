//! What a client is told of a wait, where it can show it.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use latimer_protocol::status::{WaitReport, duration_text};
use tokio::time::Sleep;

use crate::running::RunningTurn;

/// A shorter wait is not worth a word.
const MIN_WAIT: Duration = Duration::from_secs(3);

/// Watches the waits of a turn, and says each of them once. Between them a poll is one comparison.
pub(super) struct WaitWatch {
    running: Arc<RunningTurn>,
    /// How many waits have begun that were looked at.
    seen: u64,
    /// Until a wait without a known end is worth a word.
    timer: Option<Pin<Box<Sleep>>>,
}

impl WaitWatch {
    pub(super) fn new(running: Arc<RunningTurn>) -> Self {
        Self { running, seen: 0, timer: None }
    }

    /// What is to be said now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let waits = self.running.waits();
        if waits != self.seen {
            self.seen = waits;
            self.timer = None;
            match self.running.wait_report() {
                Some(wait) if wait.until_ms.is_none() => {
                    self.timer = Some(Box::pin(tokio::time::sleep(MIN_WAIT)));
                }
                Some(wait) if length(&wait) > MIN_WAIT => return Poll::Ready(words(&wait)),
                _ => {}
            }
        }
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            self.timer = None;
            if let Some(wait) = self.running.wait_report() {
                return Poll::Ready(words(&wait));
            }
        }
        Poll::Pending
    }
}

fn length(wait: &WaitReport) -> Duration {
    Duration::from_millis(wait.until_ms.map_or(0, |until| until.saturating_sub(wait.since_ms)))
}

fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

/// One line, for a person.
fn words(wait: &WaitReport) -> String {
    let time = match wait.until_ms {
        Some(_) => format!(" for {}", duration_text(seconds(length(wait)))),
        None => String::new(),
    };
    format!("latimer waits{time}: {}", wait.why)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(watch: &mut WaitWatch) -> Option<String> {
        match watch.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(words) => Some(words),
            Poll::Pending => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_said_once_and_a_short_one_never() {
        let running = Arc::new(RunningTurn::default());
        let mut watch = WaitWatch::new(Arc::clone(&running));
        assert_eq!(poll(&mut watch), None);
        running.wait("lab asked for it".to_owned(), Some(Duration::from_secs(3)));
        assert_eq!(poll(&mut watch), None, "too short");
        running.wait("lab asked for it: slow down".to_owned(), Some(Duration::from_millis(29_500)));
        assert_eq!(poll(&mut watch).as_deref(), Some("latimer waits for 30 s: lab asked for it: slow down"));
        assert_eq!(poll(&mut watch), None, "said");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_a_known_end_is_said_once_it_is_long() {
        let running = Arc::new(RunningTurn::default());
        let mut watch = WaitWatch::new(Arc::clone(&running));
        running.wait("all places are taken".to_owned(), None);
        assert_eq!(poll(&mut watch), None);
        tokio::time::sleep(MIN_WAIT).await;
        assert_eq!(poll(&mut watch).as_deref(), Some("latimer waits: all places are taken"));
        running.wait("all places are taken".to_owned(), None);
        assert_eq!(poll(&mut watch), None);
        running.enter(latimer_protocol::status::TurnState::Connecting);
        tokio::time::sleep(MIN_WAIT).await;
        assert_eq!(poll(&mut watch), None, "it was over before");
    }
}
