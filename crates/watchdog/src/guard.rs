//! What holds the watchdog back: every order passes here, whoever proposed it.

use std::collections::BTreeMap;

use latimer_protocol::status::Fault;

use crate::time::Time;

pub mod backoff;
pub mod restarts;

pub use backoff::BackoffLadder;
pub use restarts::RestartGuard;

/// Faults that are only counted, by a person's request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilencedFaults(BTreeMap<Fault, Option<Time>>);

impl SilencedFaults {
    /// Only count this fault, until then or until it is unsilenced.
    pub fn silence(&mut self, fault: Fault, until: Option<Time>) {
        self.0.insert(fault, until);
    }

    /// Act on it again.
    pub fn unsilence(&mut self, fault: Fault) {
        self.0.remove(&fault);
    }

    /// Whether it is only counted at this moment, as clocks on the wall show it.
    pub fn covers(&self, fault: Fault, wall: Time) -> bool {
        self.0.get(&fault).is_some_and(|until| until.is_none_or(|until| wall < until))
    }

    /// All of them that still count, with their ends.
    pub fn all(&self, wall: Time) -> impl Iterator<Item = (Fault, Option<Time>)> {
        self.0
            .iter()
            .map(|(fault, until)| (*fault, *until))
            .filter(move |(fault, _)| self.covers(*fault, wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_when_it_was_said_to() {
        let (mut silenced, end) = (SilencedFaults::default(), Time::from_secs(100));
        silenced.silence(Fault::ServerError, Some(end));
        silenced.silence(Fault::ClientLeft, None);
        assert!(
            silenced.covers(Fault::ServerError, Time::from_millis(99_999))
                && !silenced.covers(Fault::ServerError, end)
        );
        assert_eq!(silenced.all(end).collect::<Vec<_>>(), [(Fault::ClientLeft, None)]);
        silenced.unsilence(Fault::ClientLeft);
        assert!(!silenced.covers(Fault::ClientLeft, Time::ZERO));
    }
}
