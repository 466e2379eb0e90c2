//! How late the runtime is: a cheap timer that should fire on time, and what it measured.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clock;
use crate::sync::lock;

/// How often the timer fires.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// How long the largest delay is remembered, at least; twice as long at most.
const WINDOW: Duration = Duration::from_secs(10);

/// The largest delay of the last seconds.
#[derive(Debug, Default)]
pub(super) struct LagMeter {
    windows: Mutex<Windows>,
}

/// The largest delay of the window under way, and of the one before.
#[derive(Debug, Default)]
struct Windows {
    since: Option<Instant>,
    previous: Duration,
    current: Duration,
}

impl LagMeter {
    /// Records that the timer fired `delay` after it was due.
    fn record(&self, delay: Duration, now: Instant) {
        let mut windows = lock(&self.windows);
        windows.advance(now);
        windows.current = windows.current.max(delay);
    }

    /// The largest delay of the last ten to twenty seconds.
    pub(super) fn lag(&self, now: Instant) -> Duration {
        let mut windows = lock(&self.windows);
        windows.advance(now);
        windows.current.max(windows.previous)
    }

    /// Measures for ever.
    pub(super) async fn measure(&self) {
        loop {
            let due = clock::now() + SAMPLE_INTERVAL;
            tokio::time::sleep_until(due.into()).await;
            let now = clock::now();
            self.record(now.saturating_duration_since(due), now);
        }
    }
}

impl Windows {
    /// Begins a new window where the current one is over.
    fn advance(&mut self, now: Instant) {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        match age {
            Some(age) if age < WINDOW => return,
            Some(age) if age < 2 * WINDOW => self.previous = self.current,
            _ => self.previous = Duration::ZERO,
        }
        self.current = Duration::ZERO;
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_delay_is_forgotten_after_a_while() {
        let meter = LagMeter::default();
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ms = Duration::from_millis;
        meter.record(ms(300), at(0));
        meter.record(ms(2), at(1));
        assert_eq!(meter.lag(at(5)), ms(300));
        meter.record(ms(40), at(12));
        assert_eq!(meter.lag(at(13)), ms(300), "the window before counts too");
        assert_eq!(meter.lag(at(23)), ms(40));
        assert_eq!(meter.lag(at(60)), Duration::ZERO);
    }
}
