//! How much of an allowance is left, as a provider says it: in the headers of an answer, or where it is asked for it.

use serde::{Deserialize, Serialize};

/// How long an allowance lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaScope {
    /// Seconds or minutes: it keeps a client from going too fast, and is back before anybody looks.
    Burst,
    /// Some hours.
    Session,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// Money or credit: back when somebody pays.
    Balance,
    /// Nobody says.
    #[default]
    #[serde(other)]
    Unknown,
}

impl QuotaScope {
    /// The scope of an allowance that lasts so many seconds.
    pub fn of_seconds(seconds: u64) -> Self {
        const HOUR: u64 = 3600;
        match seconds {
            0..=900 => Self::Burst,
            901..=43_200 => Self::Session,
            43_201..=129_600 => Self::Day,
            _ if seconds <= 8 * 24 * HOUR => Self::Week,
            _ => Self::Month,
        }
    }

    /// Whether it is gone for long once it is used up: then it counts for routes and guards.
    pub fn is_lasting(self) -> bool {
        !matches!(self, Self::Burst | Self::Unknown)
    }
}

/// One allowance at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaReading {
    /// What people call it: `5 h`, `week`, `requests`, `balance`.
    pub name: String,
    /// How long it lasts.
    pub scope: QuotaScope,
    /// The model it is for; `None` for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is counted: `requests`, `tokens`, `USD`; `None` where only a share is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How much is left, in its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<f64>,
    /// Of how much, in its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// How much is left, of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_percent: Option<f64>,
    /// When all of it is back, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<u64>,
    /// From one such moment to the next, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_s: Option<u64>,
}

impl QuotaReading {
    /// The same with the share that its numbers make, where it has none, and everything within its bounds.
    #[must_use]
    pub fn settled(mut self) -> Self {
        let number = |value: f64| value.is_finite() && value.abs() < 1e15;
        self.remaining = self.remaining.filter(|value| number(*value));
        self.limit = self.limit.filter(|value| number(*value) && *value > 0.0);
        if self.remaining_percent.is_none()
            && let (Some(remaining), Some(limit)) = (self.remaining, self.limit)
        {
            self.remaining_percent = Some(remaining / limit * 100.0);
        }
        // A balance without a limit has no share; but nothing is nothing.
        if self.remaining_percent.is_none() && self.remaining.is_some_and(|remaining| remaining <= 0.0) {
            self.remaining_percent = Some(0.0);
        }
        self.remaining_percent =
            self.remaining_percent.filter(|value| number(*value)).map(|value| value.clamp(0.0, 100.0));
        self
    }

    /// Whether it says anything of what is left.
    pub fn says_something(&self) -> bool {
        self.remaining.is_some() || self.remaining_percent.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_made_of_its_numbers_and_stays_within_a_hundred() {
        let of = |remaining, limit, percent| {
            let reading = QuotaReading { remaining, limit, remaining_percent: percent, ..Default::default() };
            reading.settled().remaining_percent
        };
        assert_eq!(of(Some(1.0), Some(4.0), None), Some(25.0));
        assert_eq!(of(Some(9.0), Some(4.0), None), Some(100.0));
        assert_eq!(of(Some(0.0), None, None), Some(0.0));
        assert_eq!(of(Some(3.5), None, None), None, "a balance has no share");
        assert_eq!(of(None, None, Some(f64::NAN)), None);
        assert_eq!(of(Some(1.0), Some(0.0), None), None);
    }

    #[test]
    fn a_length_of_time_has_its_scope() {
        let scopes = [60, 18_000, 86_400, 604_800, 2_592_000].map(QuotaScope::of_seconds);
        use QuotaScope::{Burst, Day, Month, Session, Week};
        assert_eq!(scopes, [Burst, Session, Day, Week, Month]);
    }
}
