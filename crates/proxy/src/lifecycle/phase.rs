//! The phases of a process: it serves, hands over to another process or drains, and at last stops by force.
//!
//! Invariant: phases only go forward, in the order in which [`Phase`] lists them.

use tokio::sync::watch;

/// What a signal or the watchdog asks of a process that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRequest {
    /// Refuse new turns, give open ones their grace period.
    Drain,
    /// Another process has the same socket and serves: take no more connections, but answer what comes on those that are open,
    /// and let every turn end by itself.
    HandOver,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are accepted and turns begin.
    Serving,
    /// The same, and load balancers are told to go elsewhere.
    Leaving,
    /// No new connections; those that are open are served and then closed.
    HandingOver,
    /// No new turns; open ones go on.
    Draining,
    /// Open turns end now, with a legal terminal event.
    ForceStop,
}

impl Phase {
    /// Whether a turn may begin.
    pub fn accepts_turns(self) -> bool {
        matches!(self, Self::Serving | Self::Leaving | Self::HandingOver)
    }
}

/// Ends once the next turn had better begin elsewhere: the process stops, or another one has taken over. Also ends when the
/// sender is gone, since the server is gone with it.
pub async fn until_not_serving(phase: watch::Receiver<Phase>) {
    until(phase, |phase| *phase != Phase::Serving).await;
}

/// Ends once no turn may begin any more, or when the sender is gone.
pub async fn until_draining(phase: watch::Receiver<Phase>) {
    until(phase, |phase| !phase.accepts_turns()).await;
}

/// Ends once open turns must end, or when the sender is gone.
pub(super) async fn until_force_stop(phase: watch::Receiver<Phase>) {
    until(phase, |phase| *phase == Phase::ForceStop).await;
}

async fn until(mut phase: watch::Receiver<Phase>, reached: impl FnMut(&Phase) -> bool) {
    // An error says that the sender is gone: there is nothing left to wait for.
    let _ = phase.wait_for(reached).await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_wait_ends_in_its_phase() {
        let cases = [
            (Phase::Serving, true, [false, false, false]),
            (Phase::Leaving, true, [true, false, false]),
            (Phase::HandingOver, true, [true, false, false]),
            (Phase::Draining, false, [true, true, false]),
            (Phase::ForceStop, false, [true, true, true]),
        ];
        for (phase, accepts, ended) in cases {
            assert_eq!(phase.accepts_turns(), accepts, "{phase:?}");
            let sender = watch::Sender::new(phase);
            let waits = [
                until_not_serving(sender.subscribe()).now_or_never(),
                until_draining(sender.subscribe()).now_or_never(),
                until_force_stop(sender.subscribe()).now_or_never(),
            ];
            assert_eq!(waits.map(|wait| wait.is_some()), ended, "{phase:?}");
        }
    }

    #[test]
    fn a_server_that_is_gone_ends_every_wait() {
        let sender = watch::Sender::new(Phase::Serving);
        let receiver = sender.subscribe();
        drop(sender);
        assert!(until_force_stop(receiver).now_or_never().is_some());
    }
}
