//! A pool of keys with a clock for each. Pure: `now` comes in.

use std::time::{Duration, Instant};

use latimer_protocol::failure::{Failure, Kind, Retry};

/// A key that hit a rate limit rests this long when the provider names no time.
const REST_LIMITED: Duration = Duration::from_secs(60);
/// A key with too many requests at once rests this long: one of them ends soon.
const REST_CROWDED: Duration = Duration::from_secs(2);
/// A key that was refused (wrong, no balance) rests this long.
const REST_REFUSED: Duration = Duration::from_secs(600);

/// Which keys rest, and which one is in use. Sticky: the key in use stays in use until it fails.
#[derive(Debug)]
pub struct Keys {
    rest_until: Vec<Option<Instant>>,
    current: usize,
}

impl Keys {
    /// A pool of keys that rest until these moments.
    pub fn resting_until(rest_until: Vec<Option<Instant>>) -> Self {
        Self { rest_until, current: 0 }
    }

    /// The key to use: the current one, else the next that does not rest, else the one that rests least. `None` for an
    /// empty pool.
    pub fn pick(&mut self, now: Instant) -> Option<usize> {
        let count = self.rest_until.len();
        let ready = (0..count).map(|step| (self.current + step) % count).find(|key| !self.rests(*key, now));
        let key = ready.or_else(|| (0..count).min_by_key(|key| self.rest_until[*key]))?;
        self.current = key;
        Some(key)
    }

    /// Notes a failure of a key and says whether another key is ready now.
    pub fn failed(&mut self, key: usize, failure: &Failure, now: Instant) -> bool {
        let rest = match failure.retry() {
            Retry::NextKey if failure.kind == Kind::ConcurrencyLimited => {
                failure.retry_after.unwrap_or(REST_CROWDED)
            }
            Retry::NextKey => failure.retry_after.unwrap_or(REST_LIMITED),
            Retry::OtherKeyOnly => failure.retry_after.unwrap_or(REST_REFUSED),
            Retry::Never | Retry::Same => return false,
        };
        if let Some(slot) = self.rest_until.get_mut(key) {
            *slot = now.checked_add(rest);
        }
        (0..self.rest_until.len()).any(|key| !self.rests(key, now))
    }

    /// A key worked: it rests no longer. True when it did.
    pub fn worked(&mut self, key: usize) -> bool {
        self.rest_until.get_mut(key).and_then(Option::take).is_some()
    }

    /// Until when a key rests.
    pub fn rests_until(&self, key: usize, now: Instant) -> Option<Instant> {
        self.rest_until.get(key).copied().flatten().filter(|until| *until > now)
    }

    /// How many keys rest.
    pub fn resting(&self, now: Instant) -> usize {
        (0..self.rest_until.len()).filter(|key| self.rests(*key, now)).count()
    }

    fn rests(&self, key: usize, now: Instant) -> bool {
        self.rests_until(key, now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn limited(seconds: u64) -> Failure {
        Failure {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Failure::new(Kind::RateLimited, "slow down")
        }
    }

    #[test]
    fn moves_on_a_limit_and_comes_back() {
        let now = clock::now();
        let mut keys = Keys::resting_until(vec![None; 2]);
        assert_eq!(keys.pick(now), Some(0));
        assert!(keys.failed(0, &limited(30), now), "the second key is ready");
        assert_eq!(keys.pick(now), Some(1));
        assert!(!keys.failed(1, &limited(10), now), "all rest");
        assert_eq!(keys.pick(now), Some(1), "the one that rests least");
        assert_eq!(keys.resting(now), 2);
        assert_eq!(keys.pick(now + Duration::from_secs(11)), Some(1));
        keys.worked(0);
        assert_eq!(keys.resting(now), 1);
    }

    #[test]
    fn a_refused_key_rests_and_a_bad_request_blames_no_key() {
        let now = clock::now();
        let mut keys = Keys::resting_until(vec![None]);
        assert!(!keys.failed(0, &Failure::new(Kind::BadRequest, "no"), now));
        assert_eq!(keys.resting(now), 0);
        assert!(!keys.failed(0, &Failure::new(Kind::Unauthorized, "no"), now));
        assert_eq!(keys.resting(now + Duration::from_secs(599)), 1);
        assert_eq!(Keys::resting_until(Vec::new()).pick(now), None);
    }
}
