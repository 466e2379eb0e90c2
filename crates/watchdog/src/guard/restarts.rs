//! When the proxy may be started again: back-off, one try in safe mode, and an end of trying.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

/// The first wait; it doubles with each crash.
pub const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// Health for so long begins the back-off again.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// So many crashes in [`CRASH_WINDOW`] call for safe mode.
pub const SAFE_MODE_CRASHES: usize = 5;
/// The time in which crashes are counted.
pub const CRASH_WINDOW: Duration = Duration::from_secs(60);
/// So many starts may follow the first one in safe mode, within [`START_WINDOW`].
pub const MAX_SAFE_MODE_STARTS: usize = 5;
/// The most automatic starts in any [`START_WINDOW`]: those up to safe mode, the one in safe mode, and those after it.
pub const MAX_STARTS: usize = SAFE_MODE_CRASHES + 1 + MAX_SAFE_MODE_STARTS;
/// The time in which starts are counted.
pub const START_WINDOW: Duration = Duration::from_secs(600);

/// What the guard says to one more start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartVerdict {
    /// Start, after this time.
    Start {
        /// The back-off.
        after: Duration,
        /// Without learned rules and without a store.
        safe_mode: bool,
    },
    /// No more: hold the port and say why.
    Hold {
        /// Starts in the window that led here.
        starts: usize,
    },
}

/// The memory of starts and crashes.
///
/// Invariant: no window of [`START_WINDOW`] holds more than [`MAX_STARTS`] automatic starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestartGuard {
    /// Crashes within [`CRASH_WINDOW`].
    crashes: VecDeque<Time>,
    /// Automatic starts within [`START_WINDOW`], and whether each was in safe mode.
    starts: VecDeque<(Time, bool)>,
    /// How often the wait was doubled.
    doubled: u32,
    safe_mode: bool,
    /// Since when the running proxy is healthy.
    healthy_since: Option<Time>,
    total: u64,
}

impl RestartGuard {
    /// The proxy ended, or must be ended, and it was not a person's request. Says whether and when it may start again.
    pub fn crashed(&mut self, now: Time) -> RestartVerdict {
        self.healthy_since = None;
        self.crashes.push_back(now);
        while self.crashes.len() > SAFE_MODE_CRASHES
            || self.crashes.front().is_some_and(|at| now.since(*at) > CRASH_WINDOW)
        {
            self.crashes.pop_front();
        }
        self.safe_mode |= self.crashes.len() >= SAFE_MODE_CRASHES;
        if let Err(starts) = self.room(now) {
            return RestartVerdict::Hold { starts };
        }
        let after = FIRST_WAIT.saturating_mul(1 << self.doubled.min(16)).min(MAX_WAIT);
        self.doubled = self.doubled.saturating_add(1);
        RestartVerdict::Start { after, safe_mode: self.safe_mode }
    }

    /// Whether there is room for one more automatic start now.
    ///
    /// # Errors
    ///
    /// There is none; holds how many starts there were in [`START_WINDOW`].
    pub fn room(&mut self, now: Time) -> Result<(), usize> {
        while self.starts.front().is_some_and(|(at, _)| now.since(*at) > START_WINDOW) {
            self.starts.pop_front();
        }
        let in_safe_mode = self.starts.iter().filter(|(_, safe)| *safe).count();
        let full = self.starts.len() >= MAX_STARTS || in_safe_mode > MAX_SAFE_MODE_STARTS;
        if full { Err(self.starts.len()) } else { Ok(()) }
    }

    /// An automatic start was ordered.
    pub fn started(&mut self, now: Time, safe_mode: bool) {
        self.starts.push_back((now, safe_mode));
        self.total = self.total.saturating_add(1);
        self.healthy_since = None;
    }

    /// The proxy answered. After a minute of this, the back-off begins again; true at that moment, if there was one.
    pub fn healthy(&mut self, now: Time) -> bool {
        let since = *self.healthy_since.get_or_insert(now);
        if now.since(since) < HEALTHY_AFTER || self.doubled == 0 {
            return false;
        }
        self.doubled = 0;
        self.crashes.clear();
        self.safe_mode = false;
        true
    }

    /// The proxy did not answer: the minute of health begins again.
    pub fn unhealthy(&mut self) {
        self.healthy_since = None;
    }

    /// A person wants to try anew.
    pub fn forget(&mut self) {
        *self = Self { total: self.total, ..Self::default() };
    }

    /// Crashes in the last minute.
    pub fn crashes(&self) -> usize {
        self.crashes.len()
    }

    /// The next automatic start is one in safe mode.
    pub fn in_safe_mode(&self) -> bool {
        self.safe_mode
    }

    /// Automatic starts since the watchdog began.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crashes at once after every start, and gives what was said until the end of trying.
    fn storm(restarts: &mut RestartGuard, mut now: Time) -> (Vec<(u64, bool)>, Time) {
        let mut starts = Vec::new();
        while let RestartVerdict::Start { after, safe_mode } = restarts.crashed(now) {
            starts.push((u64::try_from(after.as_millis()).expect("short"), safe_mode));
            now = now.plus(after);
            restarts.started(now, safe_mode);
            assert!(starts.len() < 100, "there is an end");
        }
        (starts, now)
    }

    #[test]
    fn a_storm_backs_off_tries_safe_mode_and_ends() {
        let (starts, _) = storm(&mut RestartGuard::default(), Time::from_secs(1000));
        let want = [
            (100, false),
            (200, false),
            (400, false),
            (800, false),
            (1600, true),
            (3200, true),
            (6400, true),
            (12_800, true),
            (25_600, true),
            (30_000, true),
        ];
        assert_eq!(starts, want, "four plain starts, one in safe mode, five more");
    }

    #[test]
    fn a_minute_of_health_begins_again() {
        let mut restarts = RestartGuard::default();
        let start = Time::from_secs(1000);
        for second in 0..3 {
            restarts.crashed(start.plus(Duration::from_secs(second)));
        }
        let at = |secs| start.plus(Duration::from_secs(secs));
        assert!(!restarts.healthy(at(10)) && !restarts.healthy(at(69)));
        assert!(restarts.healthy(at(70)), "said once");
        assert!(!restarts.healthy(at(80)));
        assert_eq!(restarts.crashed(at(81)), RestartVerdict::Start { after: FIRST_WAIT, safe_mode: false });
        assert!(!restarts.healthy(at(90)));
        restarts.unhealthy();
        assert!(!restarts.healthy(at(151)), "health is without a gap");
    }

    #[test]
    fn a_slow_storm_ends_as_well() {
        // Ten seconds of life each: never five crashes in a minute once the wait has grown.
        let mut restarts = RestartGuard::default();
        let mut now = Time::from_secs(1000);
        let mut starts = Vec::new();
        while let RestartVerdict::Start { after, safe_mode } = restarts.crashed(now) {
            now = now.plus(after);
            restarts.started(now, safe_mode);
            starts.push(now);
            now = now.plus(Duration::from_secs(25));
            if starts.len() > 60 {
                break;
            }
        }
        for (place, start) in starts.iter().enumerate() {
            let within = starts[place..].iter().filter(|at| at.since(*start) <= START_WINDOW).count();
            assert!(within <= MAX_STARTS);
        }
    }

    #[test]
    fn a_person_begins_anew() {
        let mut restarts = RestartGuard::default();
        let (_, now) = storm(&mut restarts, Time::from_secs(1000));
        assert!(matches!(restarts.crashed(now), RestartVerdict::Hold { starts: 10 }));
        let total = restarts.total();
        restarts.forget();
        assert_eq!(restarts.crashed(now), RestartVerdict::Start { after: FIRST_WAIT, safe_mode: false });
        assert_eq!(restarts.total(), total, "what was done is still counted");
    }
}
