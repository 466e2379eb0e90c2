//! A fixed time between two due times. Pure.

use std::time::Duration;

use super::moment::Moment;

/// The shortest time between two due times.
const MIN: Duration = Duration::from_secs(1);
/// The longest: ten years.
const MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A time between due times: one second to ten years, so also far beyond the 2,147,483,647 ms that a 32-bit timer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(Duration);

/// Why a text is no time between due times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EveryError {
    /// It cannot be read.
    #[error("is no duration: write a whole number and s, m, h, d or w, such as `30s`, `2h` or `30d`")]
    Unreadable,
    /// It is nothing, or less.
    #[error("is too short: one second (`1s`) is the least")]
    TooShort,
    /// It is longer than `MAX`.
    #[error("is too long: ten years (`3650d`) are the most")]
    TooLong,
}

impl Every {
    /// Of this time.
    ///
    /// # Errors
    /// It is shorter than a second or longer than ten years.
    pub fn new(time: Duration) -> Result<Self, EveryError> {
        match time {
            _ if time < MIN => Err(EveryError::TooShort),
            _ if time > MAX => Err(EveryError::TooLong),
            _ => Ok(Self(time)),
        }
    }

    /// As people write it: `30s`, `90m`, `2h`, `30d`, `4w`.
    ///
    /// # Errors
    /// It is written otherwise, shorter than a second or longer than ten years.
    pub fn parse(text: &str) -> Result<Self, EveryError> {
        let text = text.trim();
        // Said apart from what cannot be read: it is a duration, and the remedy is another number.
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(EveryError::Unreadable)?;
        let (number, unit) = text.split_at(unit_at);
        let factor: u64 = match unit.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(EveryError::Unreadable),
        };
        if number.is_empty() {
            return Err(EveryError::Unreadable);
        }
        if is_negative {
            return Err(EveryError::TooShort);
        }
        // Only digits: what does not fit is too long.
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        Self::new(Duration::from_secs(seconds.ok_or(EveryError::TooLong)?))
    }

    /// How long it is from one due time to the next.
    pub const fn time(self) -> Duration {
        self.0
    }

    /// As it is written: the largest unit that divides it.
    pub fn text(self) -> String {
        let seconds = self.0.as_secs();
        let units = [(7 * 86_400, "w"), (86_400, "d"), (3600, "h"), (60, "m")];
        let unit = units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length));
        unit.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
    }

    /// The due time after `now` of what is, was or will be due at `due`: the same step, so that the time of day does not wander.
    pub fn next(self, due: Moment, now: Moment) -> Moment {
        let step = self.millis();
        let (due, now) = (due.millis(), now.millis());
        if due > now {
            // The same steps, backwards as far as they are still ahead.
            return Moment::from_millis(due - (due - now - 1) / step * step);
        }
        Moment::from_millis(due.saturating_add(((now - due) / step).saturating_add(1).saturating_mul(step)))
    }

    /// The newest due time that is not after `now`, of what was due at `due`.
    pub fn latest(self, due: Moment, now: Moment) -> Moment {
        let step = self.millis();
        Moment::from_millis(due.millis() + now.millis().saturating_sub(due.millis()) / step * step)
    }

    fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_one_unit_and_bounded() {
        for (text, seconds, again) in [
            ("30s", 30, "30s"),
            ("90m", 5400, "90m"),
            (" 5 min", 300, "5m"),
            ("2h", 7200, "2h"),
            ("24h", 86_400, "1d"),
            ("30d", 30 * 86_400, "30d"),
            ("1w", 7 * 86_400, "1w"),
            ("3650d", 315_360_000, "3650d"),
        ] {
            let every = Every::parse(text).expect("a duration");
            assert_eq!((every.time().as_secs(), every.text().as_str()), (seconds, again), "{text}");
        }
        for (text, error) in [
            ("", EveryError::Unreadable),
            ("30", EveryError::Unreadable),
            ("h", EveryError::Unreadable),
            ("1.5h", EveryError::Unreadable),
            ("1h30m", EveryError::Unreadable),
            ("2 fortnights", EveryError::Unreadable),
            ("500ms", EveryError::Unreadable),
            ("0s", EveryError::TooShort),
            ("-5m", EveryError::TooShort),
            ("3651d", EveryError::TooLong),
            ("99999999999999999999999w", EveryError::TooLong),
        ] {
            assert_eq!(Every::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_month_is_longer_than_a_timer_of_32_bits_and_neither_overflows_nor_comes_early() {
        let month = Every::parse("30d").expect("a duration");
        assert!(month.time().as_millis() > u128::from(u32::MAX >> 1));
        let start = Moment::from_unix(1_790_000_000);
        let next = month.next(start, start);
        assert_eq!(next.since(start), Duration::from_secs(30 * 86_400));
        let millisecond_before = Moment::from_millis(next.millis() - 1);
        assert_eq!(month.next(start, millisecond_before), next, "not a moment before it");
        let end_of_time = Moment::from_millis(u64::MAX);
        assert_eq!(month.next(start, end_of_time), end_of_time, "saturated");
    }
}
