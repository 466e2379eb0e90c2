//! Knows when the last connection is over.

use std::convert::Infallible;

use tokio::sync::mpsc;

/// Counts the open connections.
pub(super) struct ConnectionTracker {
    /// Cloned for each connection.
    guard: ConnectionGuard,
    /// Yields nothing but its end, once every guard is dropped.
    closed: mpsc::Receiver<Infallible>,
}

/// A connection counts as open as long as this lives.
#[derive(Clone)]
pub(super) struct ConnectionGuard(mpsc::Sender<Infallible>);

impl ConnectionTracker {
    /// A tracker without connections.
    pub(super) fn new() -> Self {
        let (sender, closed) = mpsc::channel(1);
        Self { guard: ConnectionGuard(sender), closed }
    }

    /// Counts one more connection, until the guard is dropped.
    pub(super) fn open(&self) -> ConnectionGuard {
        self.guard.clone()
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.guard.0.strong_count().saturating_sub(1)
    }

    /// Waits until the last connection is over. No new one can be opened meanwhile: the tracker is gone.
    pub(super) async fn closed(self) {
        let Self { guard, mut closed } = self;
        drop(guard);
        let _ = closed.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_closed_when_the_last_guard_is_gone() {
        let tracker = ConnectionTracker::new();
        let (one, two) = (tracker.open(), tracker.open());
        assert_eq!(tracker.count(), 2);
        drop(one);
        assert_eq!(tracker.count(), 1);
        let mut closed = Box::pin(tracker.closed());
        assert_eq!(closed.as_mut().now_or_never(), None);
        drop(two);
        closed.await;
    }

    #[tokio::test]
    async fn one_without_connections_is_closed_at_once() {
        assert!(ConnectionTracker::new().closed().now_or_never().is_some());
    }
}
