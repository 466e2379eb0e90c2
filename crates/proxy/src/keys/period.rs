//! Times in which something is counted: they begin at the same moment everywhere, in UTC. Pure.

use std::fmt;
use std::ops::{AddAssign, Sub};

/// The length of a time in which something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day, from midnight to midnight in UTC.
    Day,
    /// A month of the calendar, in UTC.
    Month,
}

/// Seconds of a day.
const DAY: u64 = 86_400;

impl Period {
    /// As each is written behind a `/`, the name that is printed first.
    const NAMES: [(&str, Self); 10] = [
        ("s", Self::Second),
        ("min", Self::Minute),
        ("h", Self::Hour),
        ("day", Self::Day),
        ("month", Self::Month),
        ("second", Self::Second),
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("d", Self::Day),
        ("mo", Self::Month),
    ];

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, period)| *period)
    }

    /// As it is written behind a `/`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, period)| *period == self).map_or("", |(name, _)| name)
    }

    /// As a sentence has it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Whether a limit of this length flows back evenly; longer ones hold for a window of the calendar.
    pub fn flows(self) -> bool {
        matches!(self, Self::Second | Self::Minute)
    }

    /// How long it is; a month has thirty days where only its length counts.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => DAY,
            Self::Month => 30 * DAY,
        }
    }

    /// The window of this length in which a moment lies, in Unix seconds.
    pub fn window(self, unix: u64) -> LimitWindow {
        if self == Self::Month {
            let day_of_month = civil_day(unix / DAY);
            let first = unix / DAY - (day_of_month - 1);
            // Far enough for the next month whatever the length of this one, and not as far as the one behind it.
            let in_next = first + 32;
            let next = in_next - (civil_day(in_next) - 1);
            return LimitWindow { period: self, start: first * DAY, end: next * DAY };
        }
        let length = self.seconds();
        let start = unix - unix % length;
        LimitWindow { period: self, start, end: start + length }
    }
}

/// The day of the month, from 1, of a day since 1970 (the algorithm of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_day(days: u64) -> u64 {
    let days = days + 719_468;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5 + 1
}

/// One time in which something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitWindow {
    /// Its length.
    pub period: Period,
    /// Its beginning, in Unix seconds.
    pub start: u64,
    /// The beginning of the next one, in Unix seconds.
    pub end: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Turns that were begun.
    pub requests: u64,
    /// Input and output together.
    pub tokens: u64,
    /// In millionths of a US dollar.
    pub micro_usd: u64,
}

impl Amounts {
    /// Whether there is nothing of anything.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.micro_usd = self.micro_usd.saturating_add(other.micro_usd);
    }
}

impl Sub for Amounts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_where_the_calendar_has_them() {
        // 2024-02-29T23:59:59Z, 2026-11-29T09:18:27Z, 2025-12-31T12:00:00Z.
        for (unix, first, next) in [
            (1_709_251_199, 1_706_745_600, 1_709_251_200),
            (1_795_943_907, 1_793_491_200, 1_796_083_200),
            (1_767_182_400, 1_764_547_200, 1_767_225_600),
        ] {
            let month = Period::Month.window(unix);
            assert_eq!((month.start, month.end), (first, next), "{unix}");
        }
        let day = Period::Day.window(1_795_943_907);
        assert_eq!((day.start, day.end), (1_795_910_400, 1_795_996_800));
        assert_eq!(Period::Minute.window(61), LimitWindow { period: Period::Minute, start: 60, end: 120 });
        assert_eq!(Period::Month.window(0).end, 31 * DAY);
    }

    #[test]
    fn every_month_follows_the_one_before_it() {
        let mut at = 0;
        for _ in 0..1200 {
            let month = Period::Month.window(at);
            assert_eq!(month.start, at);
            let days = (month.end - month.start) / DAY;
            assert!((28..=31).contains(&days), "{month:?}");
            assert_eq!(Period::Month.window(month.end - 1), month);
            at = month.end;
        }
    }

    #[test]
    fn names_are_read_and_written() {
        for (name, period) in Period::NAMES {
            assert_eq!(Period::from_name(name), Some(period));
            assert_eq!(Period::from_name(period.name()), Some(period));
        }
        assert_eq!(Period::from_name("week"), None);
    }
}
