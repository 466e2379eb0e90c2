//! The one place of the commands that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, on the clock that never jumps: for measuring, and for giving up. tokio's, so that a test may pause it.
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// The time since 1970; zero where the clock stands before it.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in whole seconds.
pub(crate) fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_is_past_the_time_this_was_written() {
        assert!(super::unix_seconds() > 1_767_225_600);
    }
}
