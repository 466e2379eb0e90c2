//! The open connections, each a task of its own. This is the one place of the server that starts tasks.

use std::convert::Infallible;
use std::future::Future;

use tokio::sync::mpsc;

/// Runs connections, and knows how many are open.
pub(super) struct ConnectionTracker {
    /// Cloned for each connection.
    guard: ConnectionGuard,
    /// Yields nothing but its end, once every guard is dropped.
    closed: mpsc::Receiver<Infallible>,
}

/// A connection counts as open as long as this lives. A connection that panics drops it like any other.
#[derive(Clone)]
struct ConnectionGuard(mpsc::Sender<Infallible>);

impl ConnectionTracker {
    /// A tracker without connections.
    pub(super) fn new() -> Self {
        let (sender, closed) = mpsc::channel(1);
        Self { guard: ConnectionGuard(sender), closed }
    }

    /// Runs a connection to its end, beside all others.
    pub(super) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let guard = self.guard.clone();
        tokio::spawn(async move {
            connection.await;
            drop(guard);
        });
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.guard.0.strong_count().saturating_sub(1)
    }

    /// Waits until the last connection is over. No new one can begin meanwhile: the tracker is gone.
    pub(super) async fn closed(self) {
        let Self { guard, mut closed } = self;
        drop(guard);
        let _ = closed.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_closed_when_the_last_connection_is_over() {
        let tracker = ConnectionTracker::new();
        let (end, ended) = oneshot::channel::<()>();
        tracker.spawn(async { ended.await.expect("told to end") });
        tracker.spawn(async { panic!("a connection that panics") });
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
        assert!(ConnectionTracker::new().closed().now_or_never().is_some());
    }
}
