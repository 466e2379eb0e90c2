//! How late the runtime is: a cheap timer that should fire on time, and what it measured.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clock;
use crate::sync::lock;

/// How often the timer fires.
const EVERY: Duration = Duration::from_millis(500);
/// How long the largest delay is remembered, at least; twice as long at most.
const WINDOW: Duration = Duration::from_secs(10);

/// The largest delay of the last seconds.
#[derive(Debug, Default)]
pub struct Pulse {
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    since: Option<Instant>,
    before: Duration,
    now: Duration,
}

impl Pulse {
    /// Notes that the timer was so late.
    pub fn note(&self, late: Duration, now: Instant) {
        let mut windows = lock(&self.windows);
        windows.turn(now);
        windows.now = windows.now.max(late);
    }

    /// The largest delay of the last ten to twenty seconds.
    pub fn lag(&self, now: Instant) -> Duration {
        let mut windows = lock(&self.windows);
        windows.turn(now);
        windows.now.max(windows.before)
    }

    /// Measures for ever.
    pub async fn measure(&self) {
        loop {
            let due = clock::now() + EVERY;
            tokio::time::sleep_until(due.into()).await;
            let now = clock::now();
            self.note(now.saturating_duration_since(due), now);
        }
    }
}

impl Windows {
    fn turn(&mut self, now: Instant) {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        match age {
            Some(age) if age < WINDOW => return,
            Some(age) if age < 2 * WINDOW => self.before = self.now,
            _ => self.before = Duration::ZERO,
        }
        self.now = Duration::ZERO;
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_delay_is_forgotten_after_a_while() {
        let pulse = Pulse::default();
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ms = Duration::from_millis;
        pulse.note(ms(300), at(0));
        pulse.note(ms(2), at(1));
        assert_eq!(pulse.lag(at(5)), ms(300));
        pulse.note(ms(40), at(12));
        assert_eq!(pulse.lag(at(13)), ms(300), "the window before counts too");
        assert_eq!(pulse.lag(at(23)), ms(40));
        assert_eq!(pulse.lag(at(60)), Duration::ZERO);
    }
}
