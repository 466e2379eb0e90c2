//! The one place of this crate that reads a clock. Readers and encoders do not use it: what they must know of time is an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Now, for measuring how long something takes. Tests with a paused runtime move it by hand.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for dates that go over the wire; 0 on a machine whose clock stands before it.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_set() {
        assert!(unix_now() > 1_700_000_000, "later than 2023");
        assert!(now().elapsed().as_secs() < 60);
    }
}
