//! What time it is. The one place of this crate that reads a clock; everything else is given the time.
//!
//! Two clocks are read: the monotonic one, on which waiting is measured, and the calendar, in which times are written down. State
//! files hold Unix seconds, for an [`Instant`] means nothing to the next process; [`Clocks`] turns one into the other.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest time ahead that is believed when it is read from a file: a day.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// Both clocks, read at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// On the clock that never jumps.
    pub now: Instant,
    /// Seconds since 1970.
    pub unix: u64,
}

impl Clocks {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self { now: now(), unix: unix_now() }
    }

    /// A time ahead in Unix seconds, rounded up to at least one second ahead; `None` for one that has passed.
    pub fn to_unix(self, at: Option<Instant>) -> Option<u64> {
        let left = at?.checked_duration_since(self.now).filter(|left| !left.is_zero())?;
        Some(self.unix + left.as_secs().max(1))
    }

    /// Unix seconds as a time ahead; `None` for one that has passed or is too far ahead to be true.
    pub fn from_unix(self, at: Option<u64>) -> Option<Instant> {
        let left = Duration::from_secs(at?.checked_sub(self.unix)?);
        (!left.is_zero() && left <= MAX_AHEAD).then(|| self.now + left)
    }
}

/// Now, on the clock that never jumps.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in seconds since 1970; 0 where the calendar stands before that.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Now, in milliseconds since 1970; 0 where the calendar stands before that.
pub fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Now, in nanoseconds since 1970: differs from call to call where nothing better does.
pub fn unix_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ahead_goes_to_a_file_and_back() {
        let clocks = Clocks { now: now(), unix: 50_000 };
        let soon = clocks.now + Duration::from_secs(70);
        assert_eq!(clocks.to_unix(Some(soon)), Some(50_070));
        assert_eq!(clocks.from_unix(Some(50_070)), Some(soon));
        assert_eq!(clocks.to_unix(Some(clocks.now + Duration::from_millis(5))), Some(50_001), "not lost");
        assert_eq!((clocks.to_unix(Some(clocks.now)), clocks.to_unix(None)), (None, None));
        for passed_or_absurd in
            [Some(50_000), Some(1), Some(50_001 + MAX_AHEAD.as_secs()), Some(u64::MAX), None]
        {
            assert_eq!(clocks.from_unix(passed_or_absurd), None, "{passed_or_absurd:?}");
        }
    }

    #[test]
    fn the_calendar_is_past_the_day_this_was_written() {
        assert!(unix_now() > 1_700_000_000);
    }
}
