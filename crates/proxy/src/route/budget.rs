//! A cap on retries as a share of requests, so that a broken provider is not met with a storm.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Over this long.
const WINDOW: Duration = Duration::from_secs(10);
/// One retry for this many requests.
const REQUESTS_PER_RETRY: usize = 5;
/// Always allowed, so that a single person is never refused a retry for being alone.
const MIN_RETRIES: usize = 10;

/// Counts requests and retries of one endpoint over the last ten seconds.
#[derive(Debug, Default)]
pub struct Budget {
    requests: VecDeque<Instant>,
    retries: VecDeque<Instant>,
}

impl Budget {
    /// A request was made.
    pub fn request(&mut self, now: Instant) {
        forget(&mut self.requests, now);
        self.requests.push_back(now);
    }

    /// Whether one more retry is allowed now.
    pub fn has_retry(&self, now: Instant) -> bool {
        let allowed = MIN_RETRIES.max(recent(&self.requests, now) / REQUESTS_PER_RETRY);
        recent(&self.retries, now) < allowed
    }

    /// Takes one retry, or says that the budget is spent.
    pub fn take_retry(&mut self, now: Instant) -> bool {
        forget(&mut self.requests, now);
        forget(&mut self.retries, now);
        let is_allowed = self.has_retry(now);
        if is_allowed {
            self.retries.push_back(now);
        }
        is_allowed
    }
}

fn recent(times: &VecDeque<Instant>, now: Instant) -> usize {
    times.iter().rev().take_while(|at| now.saturating_duration_since(**at) <= WINDOW).count()
}

fn forget(times: &mut VecDeque<Instant>, now: Instant) {
    while times.front().is_some_and(|at| now.saturating_duration_since(*at) > WINDOW) {
        times.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn one_retry_in_five_requests_above_the_floor() {
        let now = clock::now();
        let mut budget = Budget::default();
        for _ in 0..100 {
            budget.request(now);
        }
        assert_eq!((0..100).filter(|_| budget.take_retry(now)).count(), 20);
        assert!(!budget.has_retry(now) && budget.has_retry(now + WINDOW + Duration::from_millis(1)));
        assert!(budget.take_retry(now + WINDOW + Duration::from_millis(1)), "the window moves on");
    }

    #[test]
    fn a_lone_request_may_be_retried() {
        let now = clock::now();
        let mut budget = Budget::default();
        budget.request(now);
        assert_eq!((0..100).filter(|_| budget.take_retry(now)).count(), MIN_RETRIES);
    }
}
