//! A pool of keys, and the cooldown of each. Pure: `now` comes in.

use std::time::{Duration, Instant};

use latimer_protocol::failure::{Failure, FailureKind, Retry};

use super::rest::{Cooldown, named_wait};

/// Cooldown of a key that hit a rate limit, when the provider names no time.
const COOLDOWN_LIMITED: Duration = Duration::from_secs(60);
/// Cooldown of a key with too many requests at once: one of them ends soon.
const COOLDOWN_CROWDED: Duration = Duration::from_secs(2);
/// Cooldown of a key that was refused (wrong, no balance).
const COOLDOWN_REFUSED: Duration = Duration::from_secs(600);

/// Which keys are cooling down, and which one is in use. The key in use stays in use until it fails.
#[derive(Debug)]
pub struct Keys {
    cooldowns: Vec<Option<Cooldown>>,
    current: usize,
}

impl Keys {
    /// A pool of keys with these cooldowns.
    pub fn with_cooldowns(cooldowns: Vec<Option<Cooldown>>) -> Self {
        Self { cooldowns, current: 0 }
    }

    /// The key to use: the current one, else the next that is not cooling down, of both rather one that has more than a little left of
    /// its allowance; else the one that will be ready first. `None` for an empty pool.
    pub fn pick(&mut self, now: Instant, is_low: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.cooldowns.len();
        let all = || (0..count).map(|step| (self.current + step) % count);
        let ready = all().find(|key| !self.is_cooling(*key, now) && !is_low(*key));
        let ready = ready.or_else(|| all().find(|key| !self.is_cooling(*key, now)));
        let key = ready
            .or_else(|| (0..count).min_by_key(|key| self.cooldowns[*key].map(|cooldown| cooldown.until)))?;
        self.current = key;
        Some(key)
    }

    /// Begins the cooldown of a key that failed, and says whether another key is ready now.
    pub fn failed(&mut self, key: usize, failure: &Failure, now: Instant) -> bool {
        let Some(cooldown) = cooldown(failure) else { return false };
        if let Some(slot) = self.cooldowns.get_mut(key) {
            let is_named = named_wait(failure).is_some();
            *slot = now.checked_add(cooldown).map(|until| Cooldown { until, is_named });
        }
        (0..self.cooldowns.len()).any(|key| !self.is_cooling(key, now))
    }

    /// What [`Keys::failed`] will say, without noting anything.
    pub fn another_ready(&self, key: usize, failure: &Failure, now: Instant) -> bool {
        let Some(cooldown) = cooldown(failure) else { return false };
        let is_ready = |other| if other == key { cooldown.is_zero() } else { !self.is_cooling(other, now) };
        (0..self.cooldowns.len()).any(is_ready)
    }

    /// A key cools down so, or no longer: somebody else saw it.
    pub fn set_cooldown(&mut self, key: usize, cooldown: Option<Cooldown>) {
        if let Some(slot) = self.cooldowns.get_mut(key) {
            *slot = cooldown;
        }
    }

    /// A key worked: its cooldown is over. True when it had one.
    pub fn succeeded(&mut self, key: usize) -> bool {
        self.cooldowns.get_mut(key).and_then(Option::take).is_some()
    }

    /// A key's cooldown; `None` for a key that is ready.
    pub fn cooldown(&self, key: usize, now: Instant) -> Option<Cooldown> {
        self.cooldowns.get(key).copied().flatten().filter(|cooldown| cooldown.until > now)
    }

    /// That of the key which is ready first; `None` where one is ready now, or there is none.
    pub fn first_cooldown(&self, now: Instant) -> Option<Cooldown> {
        let all: Option<Vec<Cooldown>> =
            (0..self.cooldowns.len()).map(|key| self.cooldown(key, now)).collect();
        all?.into_iter().min_by_key(|cooldown| cooldown.until)
    }

    /// Every cooldown is over; how many there were.
    pub fn end_cooldowns(&mut self) -> usize {
        self.cooldowns.iter_mut().filter_map(Option::take).count()
    }

    /// How many keys are cooling down.
    pub fn cooling_down(&self, now: Instant) -> usize {
        (0..self.cooldowns.len()).filter(|key| self.is_cooling(*key, now)).count()
    }

    fn is_cooling(&self, key: usize, now: Instant) -> bool {
        self.cooldown(key, now).is_some()
    }
}

/// How long a key is left alone after this failure; `None` where the key is not to blame.
fn cooldown(failure: &Failure) -> Option<Duration> {
    let usual = match failure.retry() {
        Retry::NextKey if failure.kind == FailureKind::ConcurrencyLimited => COOLDOWN_CROWDED,
        Retry::NextKey => COOLDOWN_LIMITED,
        Retry::OtherKeyOnly => COOLDOWN_REFUSED,
        Retry::Never | Retry::Same => return None,
    };
    Some(failure.retry_after.unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn limited(seconds: u64) -> Failure {
        Failure {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Failure::new(FailureKind::RateLimited, "slow down")
        }
    }

    fn never(_: usize) -> bool {
        false
    }

    #[test]
    fn a_key_with_little_left_is_used_last_of_those_that_are_ready() {
        let now = clock::now();
        let mut keys = Keys::with_cooldowns(vec![None; 3]);
        assert_eq!(keys.pick(now, |key| key == 0), Some(1));
        keys.failed(1, &limited(30), now);
        assert_eq!(keys.pick(now, |key| key != 2), Some(2));
        keys.failed(2, &limited(30), now);
        assert_eq!(keys.pick(now, |key| key == 0), Some(0), "little is more than nothing");
    }

    #[test]
    fn moves_on_a_limit_and_comes_back() {
        let now = clock::now();
        let mut keys = Keys::with_cooldowns(vec![None; 2]);
        assert_eq!(keys.pick(now, never), Some(0));
        assert!(keys.another_ready(0, &limited(30), now) && !keys.is_cooling(0, now), "only looked at");
        assert!(keys.failed(0, &limited(30), now), "the second key is ready");
        assert_eq!(keys.pick(now, never), Some(1));
        assert!(!keys.another_ready(1, &limited(10), now));
        assert!(!keys.failed(1, &limited(10), now), "all are cooling down");
        assert_eq!(keys.pick(now, never), Some(1), "the one that is ready first");
        assert_eq!(keys.cooling_down(now), 2);
        assert_eq!(keys.pick(now + Duration::from_secs(11), never), Some(1));
        keys.succeeded(0);
        assert_eq!(keys.cooling_down(now), 1);
    }

    #[test]
    fn a_refused_key_cools_down_and_a_bad_request_blames_no_key() {
        let now = clock::now();
        let mut keys = Keys::with_cooldowns(vec![None]);
        assert!(!keys.failed(0, &Failure::new(FailureKind::BadRequest, "no"), now));
        assert_eq!(keys.cooling_down(now), 0);
        assert!(!keys.failed(0, &Failure::new(FailureKind::Unauthorized, "no"), now));
        assert_eq!(keys.cooling_down(now + Duration::from_secs(599)), 1);
        assert_eq!(Keys::with_cooldowns(Vec::new()).pick(now, never), None);
    }
}
