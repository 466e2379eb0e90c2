//! So many requests in a minute, with a few at once. Pure: `now` comes in.

use std::time::{Duration, Instant};

/// The most that can be saved up, as a share of a minute.
const BURST: f64 = 1.0 / 6.0;

/// A bucket of tokens that fills by itself.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    capacity: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket for so many requests in a minute.
    pub fn new(per_minute: u32, now: Instant) -> Self {
        let capacity = (f64::from(per_minute) * BURST).max(1.0);
        Self { per_second: f64::from(per_minute.max(1)) / 60.0, capacity, tokens: capacity, filled: now }
    }

    /// The most that is in it, and how much comes in a second.
    pub fn limits(&self) -> (f64, f64) {
        (self.capacity, self.per_second)
    }

    /// Whether a request may go now.
    pub fn is_ready(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= 1.0
    }

    /// Takes a token, and says how long to wait for it. Tokens can be owed: whoever comes next waits longer.
    pub fn take(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        Duration::try_from_secs_f64((-self.tokens).max(0.0) / self.per_second).unwrap_or_default()
    }

    /// Gives a token back that was not used.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.capacity);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn sixty_in_a_minute_with_ten_at_once() {
        let now = clock::now();
        let mut bucket = Bucket::new(60, now);
        assert!((0..10).all(|_| bucket.take(now).is_zero()));
        assert!(!bucket.is_ready(now));
        assert_eq!(bucket.take(now), Duration::from_secs(1));
        assert_eq!(bucket.take(now), Duration::from_secs(2));
        bucket.give_back();
        assert!(bucket.is_ready(now + Duration::from_secs(2)));
    }
}
