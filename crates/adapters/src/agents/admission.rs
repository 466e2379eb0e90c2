//! How many turns run at once at an endpoint, and how many wait for a place. Beyond that a client is told at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use latimer_protocol::failure::{self, Failure, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::{AgentSettings, QueueLimits};

/// When a client that found no place should ask again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The places of one endpoint.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    max: usize,
    waiting: AtomicUsize,
    limits: QueueLimits,
}

/// A place that a turn has until this is dropped.
pub type Place = OwnedSemaphorePermit;

impl Admission {
    /// The places that these settings give.
    pub fn new(settings: &AgentSettings) -> Self {
        let max = settings.max_turns();
        Self {
            places: Arc::new(Semaphore::new(max)),
            max,
            waiting: AtomicUsize::new(0),
            limits: settings.queue,
        }
    }

    /// Turns that run.
    pub fn running(&self) -> usize {
        self.max.saturating_sub(self.places.available_permits())
    }

    /// Turns that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, at once or after a wait. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The queue is full, or no place came free in time.
    pub async fn enter(&self, endpoint: &str) -> Result<Place, Failure> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting::new(&self.waiting);
        if waiting.number > self.limits.size as usize {
            return Err(self.full(endpoint, "and its queue is full (`agent.queue.size`)"));
        }
        let entered = tokio::time::timeout(self.limits.wait, Arc::clone(&self.places).acquire_owned()).await;
        match entered {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.full(endpoint, "and none came free in time (`agent.queue.wait`)")),
        }
    }

    fn full(&self, endpoint: &str, why: &str) -> Failure {
        let message = format!(
            "{endpoint}: all {} places of the agent are taken, {why}; ask again later, or raise `agent.pool`",
            self.max
        );
        Failure {
            retry_after: Some(RETRY_AFTER),
            cause: Some(failure::QUEUE_FULL),
            ..Failure::new(FailureKind::ConcurrencyLimited, message)
        }
    }
}

/// Counts who waits while it waits.
struct Waiting<'c> {
    count: &'c AtomicUsize,
    number: usize,
}

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        Self { count, number: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::settings::AgentProgram;

    #[tokio::test(start_paused = true)]
    async fn places_are_waited_for_and_a_full_queue_is_told_at_once() {
        let mut settings = AgentSettings::usual(AgentProgram::CodexExec);
        settings.pool = 1;
        settings.queue.size = 1;
        let admission = Arc::new(Admission::new(&settings));
        let place = admission.enter("lab").await.expect("free");
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter("lab").await.map(drop) }
        });
        while admission.waiting() < 1 {
            tokio::task::yield_now().await;
        }
        let full = admission.enter("lab").await.expect_err("the queue is full");
        assert_eq!((full.kind, full.retry_after), (FailureKind::ConcurrencyLimited, Some(RETRY_AFTER)));
        assert!(full.message.contains("agent.queue.size"), "{}", full.message);
        drop(place);
        waiting.await.expect("joined").expect("the place came free");
        let _place = admission.enter("lab").await.expect("free again");
        let late = admission.enter("lab").await.expect_err("nobody leaves");
        assert!(late.message.contains("agent.queue.wait"), "{}", late.message);
        assert_eq!((admission.waiting(), admission.running()), (0, 1));
    }
}
