//! An action is a hypothesis: it counts as a success only if its fault stays away for the window of its criterion.

use super::clock::Clocks;
use super::orders::SuccessCriterion;
use crate::action::Proposer;
use crate::pattern::Pattern;
use crate::time::Time;

/// The most hypotheses that are watched at once; the oldest is given up without a result.
const MAX_MEASUREMENTS: usize = 64;

/// Something was done, and its fault is to stay away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measurement {
    pub(super) criterion: SuccessCriterion,
    pub(super) by: Proposer,
    until: Time,
}

/// Everything that is being measured; for one remedy of one pattern, the newest.
#[derive(Debug, Clone, Default)]
pub(super) struct Measurements {
    open: Vec<Measurement>,
}

impl Measurements {
    /// Something was done now.
    pub(super) fn begin(&mut self, criterion: SuccessCriterion, by: Proposer, at: Clocks) {
        self.open.retain(|open| open.criterion.key != criterion.key);
        if self.open.len() >= MAX_MEASUREMENTS {
            self.open.remove(0);
        }
        let until = at.now.plus(criterion.window);
        self.open.push(Measurement { criterion, by, until });
    }

    /// A pattern was seen: what was to keep it away did not help.
    pub(super) fn take_failed(&mut self, pattern: &Pattern) -> Vec<Measurement> {
        self.take(|open| open.criterion.key.pattern == *pattern)
    }

    /// What stayed away for the whole of its window.
    pub(super) fn take_succeeded(&mut self, at: Clocks) -> Vec<Measurement> {
        self.take(|open| open.until <= at.now)
    }

    /// Nothing is learned from what is open: a person stopped the proxy.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    fn take(&mut self, which: impl Fn(&Measurement) -> bool) -> Vec<Measurement> {
        let (taken, open) = std::mem::take(&mut self.open).into_iter().partition(which);
        self.open = open;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latimer_protocol::status::Fault;

    use super::super::detection::Detection;
    use super::*;
    use crate::pattern::Fact;
    use crate::rules::Remedy;

    fn at(secs: u64) -> Clocks {
        Clocks { now: Time::from_secs(secs), wall: Time::from_secs(secs) }
    }

    fn criterion(endpoint: &str) -> SuccessCriterion {
        let detection = Detection::new(Pattern::new(Fault::ServerError).with(Fact::Endpoint, endpoint));
        SuccessCriterion { key: detection.key(Remedy::RetryNow), window: Duration::from_secs(60) }
    }

    #[test]
    fn a_fault_that_stays_away_for_the_window_is_a_success() {
        let mut measurements = Measurements::default();
        measurements.begin(criterion("kimi"), Proposer::Rule, at(0));
        assert_eq!(measurements.take_succeeded(at(59)), []);
        assert_eq!(measurements.take_succeeded(at(60)).len(), 1);
        assert_eq!(measurements.take_succeeded(at(61)), [], "once");
    }

    #[test]
    fn a_fault_that_comes_back_is_a_failure_of_its_own_pattern() {
        let mut measurements = Measurements::default();
        measurements.begin(criterion("kimi"), Proposer::Rule, at(0));
        measurements.begin(criterion("zai"), Proposer::Rule, at(0));
        let failed = measurements.take_failed(&criterion("kimi").key.pattern);
        assert_eq!(failed.iter().map(|it| it.criterion.clone()).collect::<Vec<_>>(), [criterion("kimi")]);
        assert_eq!(measurements.take_succeeded(at(60)).len(), 1);
    }

    #[test]
    fn the_newest_counts_and_memory_is_bounded() {
        let mut measurements = Measurements::default();
        measurements.begin(criterion("kimi"), Proposer::Rule, at(0));
        measurements.begin(criterion("kimi"), Proposer::Model, at(30));
        assert_eq!(measurements.take_succeeded(at(60)), []);
        assert_eq!(measurements.take_succeeded(at(90))[0].by, Proposer::Model);
        for number in 0..200 {
            measurements.begin(criterion(&number.to_string()), Proposer::Rule, at(0));
        }
        assert_eq!(measurements.open.len(), MAX_MEASUREMENTS);
    }
}
