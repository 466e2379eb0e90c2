//! The open connections: how many there are, and when the last one is over.

use std::convert::Infallible;
use std::future::Future;

use tokio::sync::mpsc;

use super::workers::Workers;

/// Runs connections, and knows how many are open.
pub(super) struct ConnectionTracker {
    workers: Workers,
    /// Cloned for each connection; gone once no new one can begin.
    guard: Option<ConnectionGuard>,
    /// Yields nothing but its end, once every guard is dropped.
    closed: mpsc::Receiver<Infallible>,
}

/// A connection counts as open as long as this lives. A connection that panics drops it like any other.
#[derive(Clone)]
struct ConnectionGuard(#[expect(dead_code, reason = "it counts")] mpsc::Sender<Infallible>);

impl ConnectionTracker {
    /// A tracker without connections.
    pub(super) fn new(workers: Workers) -> Self {
        let (sender, closed) = mpsc::channel(1);
        Self { workers, guard: Some(ConnectionGuard(sender)), closed }
    }

    /// Runs the connection that `make` gives to its end, beside all others, on the worker that calls it.
    pub(super) fn spawn<F>(&self, make: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = self.guard.clone();
        self.workers.spawn(move || {
            let connection = make();
            async move {
                connection.await;
                drop(guard);
            }
        });
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.closed.sender_strong_count().saturating_sub(usize::from(self.guard.is_some()))
    }

    /// Waits until the last connection is over. No new one is counted from now on.
    pub(super) async fn closed(&mut self) {
        self.guard = None;
        let _ = self.closed.recv().await;
    }

    /// Ends what still runs on other threads.
    pub(super) async fn stop(self) {
        self.workers.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;
    use crate::server::proxy::tests::proxy;

    fn tracker() -> ConnectionTracker {
        ConnectionTracker::new(Workers::start(&proxy(), 1).expect("no thread is needed"))
    }

    #[tokio::test]
    async fn it_is_closed_when_the_last_connection_is_over() {
        let mut tracker = tracker();
        let (end, ended) = oneshot::channel::<()>();
        tracker.spawn(|| async { ended.await.expect("told to end") });
        tracker.spawn(|| async { panic!("a connection that panics") });
        assert_eq!(tracker.count(), 2);
        while tracker.count() > 1 {
            tokio::task::yield_now().await;
        }
        let mut closed = Box::pin(tracker.closed());
        assert_eq!(closed.as_mut().now_or_never(), None);
        end.send(()).expect("still open");
        closed.await;
    }

    #[tokio::test]
    async fn one_without_connections_is_closed_at_once() {
        assert!(tracker().closed().now_or_never().is_some());
    }
}
