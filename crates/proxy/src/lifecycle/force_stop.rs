//! The signal that ends an open turn.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;

use super::phase::{Phase, until_force_stop};

/// Fires once the phase is [`Phase::ForceStop`], and stays fired.
pub struct ForceStop(State);

enum State {
    Waiting(Pin<Box<dyn Future<Output = ()> + Send>>),
    Fired,
}

impl ForceStop {
    /// Watches the phase. A server that is gone counts as a forced stop.
    pub fn new(phase: watch::Receiver<Phase>) -> Self {
        Self(State::Waiting(Box::pin(until_force_stop(phase))))
    }

    /// Ready once the turn must end; stays ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Waiting(wait) = &mut self.0 {
            std::task::ready!(wait.as_mut().poll(cx));
            self.0 = State::Fired;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn it_fires_once_and_stays_fired() {
        let sender = watch::Sender::new(Phase::Serving);
        let mut stop = ForceStop::new(sender.subscribe());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(stop.poll(&mut cx).is_pending());
        sender.send_replace(Phase::Draining);
        assert!(stop.poll(&mut cx).is_pending(), "open turns go on while the process drains");
        sender.send_replace(Phase::ForceStop);
        assert!(stop.poll(&mut cx).is_ready());
        assert!(stop.poll(&mut cx).is_ready());
    }
}
