//! The guards of one watchdog: whether a detection is acted on at all, and how often.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::clock::Clocks;
use super::detection::Detection;
use crate::guard::backoff::{RemedyKey, Step};
use crate::guard::restarts::RestartVerdict;
use crate::guard::{BackoffLadder, RestartGuard, SilencedFaults};
use crate::pattern::{Fact, Pattern};
use crate::rules::Remedy;
use crate::time::Time;

/// Faults that a dead network explains.
const NETWORK_FAULTS: [Fault; 6] = [
    Fault::CertificateRejected,
    Fault::NameUnresolved,
    Fault::ServerError,
    Fault::ProviderUnreachable,
    Fault::StreamInterrupted,
    Fault::NoCapacity,
];

/// The guard of restarts, the back-off of each remedy, and what a person silenced.
#[derive(Debug, Clone, Default)]
pub(super) struct Guards {
    restarts: RestartGuard,
    backoff: BackoffLadder,
    silenced: SilencedFaults,
}

impl Guards {
    /// Whether this may be acted on: it is not silenced, and not the consequence of a dead network.
    pub(super) fn admit(&self, detection: &Detection, network_down: bool, at: Clocks) -> bool {
        let is_explained = network_down
            && NETWORK_FAULTS.contains(&detection.fault())
            && detection.pattern.fact(Fact::Network).is_none();
        !is_explained && !self.is_silenced(detection.fault(), at)
    }

    /// A person wants this fault only counted, at this moment.
    pub(super) fn is_silenced(&self, fault: Fault, at: Clocks) -> bool {
        self.silenced.covers(fault, at.wall)
    }

    pub(super) fn silence(&mut self, fault: Fault, until: Option<Time>) {
        self.silenced.silence(fault, until);
    }

    pub(super) fn unsilence(&mut self, fault: Fault) {
        self.silenced.unsilence(fault);
    }

    /// Every fault that is only counted, with the end of it.
    pub(super) fn silenced(&self, wall: Time) -> impl Iterator<Item = (Fault, Option<Time>)> {
        self.silenced.all(wall)
    }

    /// A pattern was seen: an hour without this makes it a new one.
    pub(super) fn saw(&mut self, pattern: &Pattern, at: Clocks) {
        self.backoff.seen(pattern, at.now);
    }

    /// May a remedy be tried now?
    pub(super) fn step(&self, key: &RemedyKey, at: Clocks) -> Step {
        self.backoff.step(key, at.now)
    }

    /// A remedy is tried: it rests at least so long.
    pub(super) fn tried(&mut self, key: &RemedyKey, rest: Duration, at: Clocks) {
        self.backoff.tried(key, rest, at.now);
    }

    /// A remedy rests for so long without a try.
    pub(super) fn rest(&mut self, key: &RemedyKey, rest: Duration, at: Clocks) {
        self.backoff.rest(key, rest, at.now);
    }

    /// Whether the last try of a remedy helped.
    pub(super) fn measured(&mut self, key: &RemedyKey, helped: bool) {
        self.backoff.measured(key, helped);
    }

    /// True when a person may be told of it now; then not again for this time.
    pub(super) fn may_tell(&mut self, key: &RemedyKey, every: Duration, at: Clocks) -> bool {
        self.backoff.tell(key, every, at.now)
    }

    /// The remedy was tried since the last quiet hour.
    pub(super) fn was_tried(&self, key: &RemedyKey) -> bool {
        self.backoff.level(key) > 0
    }

    /// What was tried for a pattern, and what became of it, in words.
    pub(super) fn tries(&self, pattern: &Pattern) -> Vec<String> {
        let line = |(remedy, results): (Remedy, &[Option<bool>])| {
            let helped = results.iter().filter(|result| **result == Some(true)).count();
            let failed = results.iter().filter(|result| **result == Some(false)).count();
            let times =
                if results.len() == 1 { "once".to_owned() } else { format!("{} times", results.len()) };
            format!("{} {times}: helped {helped}, did not {failed}", remedy.name())
        };
        self.backoff.history(pattern).map(line).collect()
    }

    /// What rests now, and until when.
    pub(super) fn resting(&self, now: Time) -> impl Iterator<Item = (&RemedyKey, Time)> {
        self.backoff.resting(now)
    }

    /// The proxy died, or must be ended: whether and when it may start again.
    pub(super) fn crashed(&mut self, at: Clocks) -> RestartVerdict {
        self.restarts.crashed(at.now)
    }

    /// Whether there is room for one more automatic start now.
    pub(super) fn has_room(&mut self, at: Clocks) -> bool {
        self.restarts.room(at.now).is_ok()
    }

    /// An automatic start was ordered.
    pub(super) fn started(&mut self, safe_mode: bool, at: Clocks) {
        self.restarts.started(at.now, safe_mode);
    }

    /// The proxy answered: after a minute of this the back-off of starts begins again.
    pub(super) fn healthy(&mut self, at: Clocks) {
        self.restarts.healthy(at.now);
    }

    /// The proxy did not answer.
    pub(super) fn unhealthy(&mut self) {
        self.restarts.unhealthy();
    }

    /// A person wants to try anew, or what it failed on was changed.
    pub(super) fn forget_crashes(&mut self) {
        self.restarts.forget();
    }

    /// The next automatic start is one in safe mode.
    pub(super) fn in_safe_mode(&self) -> bool {
        self.restarts.in_safe_mode()
    }

    /// Crashes in the last minute.
    pub(super) fn crashes(&self) -> usize {
        self.restarts.crashes()
    }

    /// Automatic starts since the watchdog began.
    pub(super) fn starts(&self) -> u64 {
        self.restarts.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Clocks = Clocks { now: Time::from_secs(1000), wall: Time::from_secs(5000) };

    #[test]
    fn a_silenced_fault_and_what_a_dead_network_explains_stop_here() {
        let mut guards = Guards::default();
        let refused = Detection::of(Fault::RequestRefused);
        let broken = Detection::of(Fault::ServerError);
        assert!(guards.admit(&refused, true, AT) && guards.admit(&broken, false, AT));
        assert!(!guards.admit(&broken, true, AT), "the network explains it");
        let named = Detection::new(Pattern::new(Fault::NameUnresolved).with(Fact::Network, "down"));
        assert!(guards.admit(&named, true, AT), "the dead network itself is told of");
        guards.silence(Fault::RequestRefused, Some(Time::from_secs(5001)));
        assert!(!guards.admit(&refused, false, AT));
        guards.unsilence(Fault::RequestRefused);
        assert!(guards.admit(&refused, false, AT));
    }

    #[test]
    fn tries_are_told_with_their_results() {
        let mut guards = Guards::default();
        let key = Detection::of(Fault::ServerError).key(Remedy::RetryNow);
        assert!(!guards.was_tried(&key) && guards.tries(&key.pattern).is_empty());
        guards.tried(&key, Duration::from_secs(30), AT);
        guards.measured(&key, false);
        assert!(guards.was_tried(&key));
        assert_eq!(guards.tries(&key.pattern), ["retry_now once: helped 0, did not 1"]);
    }
}
