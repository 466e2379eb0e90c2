//! How often a process has died, and when it may be started again. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The wait before a start, after so many deaths in a row.
const BACK_OFF: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
];
/// So many deaths …
const MAX_DEATHS: usize = 5;
/// … within this time …
const WINDOW: Duration = Duration::from_secs(120);
/// … keep it closed for so long.
const OPEN: Duration = Duration::from_secs(60);

/// The deaths of one place of a pool.
#[derive(Debug, Default)]
pub struct Health {
    deaths: VecDeque<Instant>,
    not_before: Option<Instant>,
    in_a_row: usize,
    /// How often it was started.
    pub starts: u64,
}

impl Health {
    /// It was started, and answers.
    pub fn started(&mut self) {
        self.starts += 1;
    }

    /// A turn came to its end in it.
    pub fn worked(&mut self) {
        self.in_a_row = 0;
        self.not_before = None;
    }

    /// It died, or could not be started.
    pub fn died(&mut self, now: Instant) {
        self.deaths.retain(|death| now.saturating_duration_since(*death) < WINDOW);
        self.deaths.push_back(now);
        let wait = BACK_OFF.get(self.in_a_row).or(BACK_OFF.last()).copied().unwrap_or_default();
        self.in_a_row += 1;
        let wait = if self.deaths.len() >= MAX_DEATHS {
            self.deaths.clear();
            OPEN
        } else {
            wait
        };
        self.not_before = Some(now + wait);
    }

    /// How long it must not be started yet.
    pub fn rest(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_death_costs_nothing_and_the_fifth_a_minute() {
        let mut health = Health::default();
        let mut now = crate::clock::now();
        for wait in [0, 500, 1000, 2000, 60_000] {
            health.died(now);
            assert_eq!(health.rest(now), Duration::from_millis(wait));
            now += health.rest(now);
        }
        assert_eq!(health.rest(now), Duration::ZERO, "the time is over");
        health.worked();
        health.died(now);
        assert_eq!(health.rest(now), Duration::ZERO, "a new row begins");
    }

    #[tokio::test(start_paused = true)]
    async fn deaths_that_lie_far_apart_open_nothing() {
        let mut health = Health::default();
        let mut now = crate::clock::now();
        for _ in 0..20 {
            health.died(now);
            health.worked();
            now += Duration::from_secs(60);
        }
        assert!(health.rest(now) <= Duration::from_secs(30));
    }
}
