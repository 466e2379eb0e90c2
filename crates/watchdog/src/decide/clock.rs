//! Time that only goes forward, from a clock that people set.

use std::time::Duration;

use crate::time::Time;

/// Both clocks at one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clocks {
    /// The time that has passed, for everything that waits or rests. Never goes back.
    pub(super) now: Time,
    /// The time as people read it. Set back and forward at will.
    pub(super) wall: Time,
}

/// The most time that passes between two signals. A machine that slept for a night did not watch for a night.
const MAX_STEP: Duration = Duration::from_secs(600);

/// Counts the time that passes between readings of the clock on the wall.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MonotonicClock {
    wall: Option<Time>,
    now: Time,
}

impl MonotonicClock {
    /// Takes a reading of the clock on the wall.
    pub(super) fn advance(&mut self, wall: Time) -> Clocks {
        match self.wall {
            // From the wall, so that both are the same until somebody sets it. The upper half is left free for waiting.
            None => self.now = wall.min(Time::from_millis(u64::MAX / 2)),
            Some(before) => self.now = self.now.plus(wall.since(before).min(MAX_STEP)),
        }
        self.wall = Some(wall);
        Clocks { now: self.now, wall }
    }

    /// The time after the last reading.
    pub(super) fn now(self) -> Time {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_goes_forward_and_never_leaps() {
        let mut clock = MonotonicClock::default();
        let secs = |secs| Time::from_secs(secs);
        let cases = [
            (1000, 1000, "the first reading"),
            (1010, 1010, "ten seconds"),
            (10, 1010, "set back"),
            (15, 1015, "goes on from there"),
            (15 + 31_536_000, 1615, "forward a year: ten minutes"),
            (15, 1615, "and back"),
            (16, 1616, "goes on"),
        ];
        for (wall, want, why) in cases {
            assert_eq!(clock.advance(secs(wall)).now, secs(want), "{why}");
        }
    }
}
