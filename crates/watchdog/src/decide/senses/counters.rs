//! How often each pattern was seen lately, and since when.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::guard::backoff::QUIET_PERIOD;
use crate::pattern::Pattern;
use crate::time::Time;

/// The most patterns that are counted; the one not seen for the longest time leaves.
const MAX_PATTERNS: usize = 512;

/// Sightings by pattern.
#[derive(Debug, Clone, Default)]
pub(super) struct DetectionCounters {
    seen: BTreeMap<Pattern, PatternCount>,
}

#[derive(Debug, Clone)]
struct PatternCount {
    /// Within the longest window of its rules, and never more than its highest threshold.
    times: VecDeque<Time>,
    last: Time,
    /// The first of this hour, as people read it.
    since: Time,
}

impl DetectionCounters {
    /// One more. `keep` is the most that is ever asked for.
    pub(super) fn push(&mut self, pattern: &Pattern, keep: usize, now: Time, wall: Time) {
        if self.seen.len() >= MAX_PATTERNS
            && !self.seen.contains_key(pattern)
            && let Some(oldest) =
                self.seen.iter().min_by_key(|(_, seen)| seen.last).map(|(key, _)| key.clone())
        {
            self.seen.remove(&oldest);
        }
        let fresh = || PatternCount { times: VecDeque::new(), last: now, since: wall };
        let seen = self.seen.entry(pattern.clone()).or_insert_with(fresh);
        if now.since(seen.last) >= QUIET_PERIOD {
            seen.since = wall;
        }
        seen.last = now;
        seen.times.push_back(now);
        while seen.times.len() > keep.max(1) {
            seen.times.pop_front();
        }
    }

    /// How often in this window.
    pub(super) fn within(&self, pattern: &Pattern, window: Duration, now: Time) -> usize {
        let times = self.seen.get(pattern).map(|seen| &seen.times);
        times.map_or(0, |times| times.iter().filter(|at| now.since(**at) <= window).count())
    }

    /// Since when it is seen, as people read it.
    pub(super) fn since(&self, pattern: &Pattern) -> Option<Time> {
        self.seen.get(pattern).map(|seen| seen.since)
    }

    /// Something worked in between: counts in a row begin again for these.
    pub(super) fn begin_again(&mut self, which: impl Fn(&Pattern) -> bool) {
        for (_, seen) in self.seen.iter_mut().filter(|(pattern, _)| which(pattern)) {
            seen.times.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::Fault;

    use super::*;
    use crate::pattern::Fact;

    #[test]
    fn counts_are_those_of_the_window() {
        let (mut counters, pattern) = (DetectionCounters::default(), Pattern::new(Fault::ServerError));
        for second in [0, 10, 20, 200] {
            counters.push(&pattern, 10, Time::from_secs(second), Time::from_secs(second));
        }
        let within = |window| counters.within(&pattern, Duration::from_secs(window), Time::from_secs(200));
        assert_eq!((within(60), within(180), within(190), within(200)), (1, 2, 3, 4));
        assert_eq!(counters.since(&pattern), Some(Time::ZERO));
        counters.begin_again(|_| true);
        assert_eq!(counters.within(&pattern, QUIET_PERIOD, Time::from_secs(200)), 0);
        counters.push(&pattern, 10, Time::from_secs(4000), Time::from_secs(4000));
        assert_eq!(
            counters.since(&pattern),
            Some(Time::from_secs(4000)),
            "after a quiet hour it is a new story"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut counters = DetectionCounters::default();
        for number in 0..2000u64 {
            let pattern = Pattern::new(Fault::ServerError).with(Fact::Endpoint, &(number % 700).to_string());
            counters.push(&pattern, 3, Time::from_secs(number), Time::ZERO);
        }
        assert_eq!(counters.seen.len(), MAX_PATTERNS);
        assert!(counters.seen.values().all(|seen| seen.times.len() <= 3));
    }
}
