//! The one place of the watchdog's process that reads a clock. The time of decisions is that of the wall when we began, and from then on as long as really passed. A wall clock that is set back
//! or forward shortens no back-off and ends no silence.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Time;

/// The moment on the clock that is never set, for deadlines and durations of this process. The one place that reads it.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// One clock for the whole run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Time,
    begun: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: Time::ZERO.plus(since), begun: monotonic() }
    }

    /// The time of this moment: when the clock was made, as the wall showed it, and what has passed since.
    pub fn now(&self) -> Time {
        self.wall.plus(self.begun.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_as_long_as_really_passed() {
        let clock = Clock { wall: Time::from_secs(1000), begun: monotonic() };
        let (first, second) = (clock.now(), clock.now());
        assert!(Time::from_secs(1000) <= first && first <= second && second < Time::from_secs(1060));
        assert!(Clock::new().now() > Time::from_secs(1_700_000_000), "it begins with the wall");
    }
}
