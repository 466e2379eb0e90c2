//! Moments as numbers that come in as arguments.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970. Arithmetic stops at the ends and never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// 1970.
    pub const ZERO: Self = Self(0);

    /// The moment so many milliseconds after 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment so many seconds after 1970.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; nothing when it was later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The day, counted from 1970.
    pub const fn day(self) -> u64 {
        self.0 / 86_400_000
    }

    /// The calendar month in UTC, as year times twelve plus month counted from 0.
    pub fn month(self) -> u64 {
        let (year, month, _) = self.date();
        year * 12 + (month - 1)
    }

    /// Year, month and day in UTC.
    fn date(self) -> (u64, u64, u64) {
        // Days are counted from 1 March of the year 0, so that a leap day is the last of its year.
        let days = self.day() + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        (year_of_era + era * 400 + u64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Time {
    /// UTC, such as `2026-11-21 08:05:00.250`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (secs, millis) = (self.as_secs() % 86_400, self.0 % 1000);
        let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400, "2000-02-29 00:00:00.000"),
            (1_709_164_799, "2024-02-28 23:59:59.000"),
            (1_735_689_600, "2025-01-01 00:00:00.000"),
            (4_107_542_400, "2100-03-01 00:00:00.000"),
        ];
        for (secs, want) in cases {
            assert_eq!(Time::from_secs(secs).to_string(), want);
        }
        let month = |secs| Time::from_secs(secs).month();
        assert_eq!(month(951_782_400), 2000 * 12 + 1);
        assert_eq!(month(1_735_689_600) - month(1_735_689_599), 1, "a year ends with a month");
    }

    #[test]
    fn nothing_wraps() {
        let end = Time::from_millis(u64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Time::from_secs(u64::MAX), end);
        assert_eq!(Time::ZERO.since(end), Duration::ZERO);
        assert!(!end.to_string().is_empty() && end.month() > 0);
    }
}
