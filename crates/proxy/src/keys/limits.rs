//! What a key may use, as people write it: `60/min`, `1M/day`, `5.00/day`. Pure.

use std::fmt;
use std::num::NonZeroU32;

use super::period::Period;

/// So much in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Never nothing: a key that may do nothing is revoked.
    pub amount: u64,
    /// The time.
    pub per: Period,
}

/// What a key may use; what is `None` has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Turns.
    pub requests: Option<Rate>,
    /// Input and output together.
    pub tokens: Option<Rate>,
    /// In millionths of a US dollar.
    pub budget: Option<Rate>,
    /// Turns at once.
    pub parallel: Option<NonZeroU32>,
}

impl Limits {
    /// The periods in which tokens, money or turns are limited.
    pub fn periods(&self) -> impl Iterator<Item = Period> {
        [self.requests, self.tokens, self.budget].into_iter().flatten().map(|rate| rate.per)
    }

    /// The periods whose windows are limited: of tokens and money all, of turns those that do not flow back evenly.
    pub fn windows(&self) -> impl Iterator<Item = Period> {
        let requests = self.requests.filter(|rate| !rate.per.flows());
        [requests, self.tokens, self.budget].into_iter().flatten().map(|rate| rate.per)
    }

    /// Whether nothing is limited.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It has no `/` and a time behind it, or one that is not known.
    #[error("`{0}` names no time; write the amount, a `/` and s, min, h, day or month, as in `{1}`")]
    Period(String, &'static str),
    /// Its amount is no number, or nothing.
    #[error("`{0}` is no amount; write `{1}`")]
    Amount(String, &'static str),
}

/// Numbers of requests and of tokens, as an example of each is written.
const COUNT_EXAMPLE: &str = "60/min";
/// The same of US dollars.
const MONEY_EXAMPLE: &str = "5.00/day";
/// Digits of a US dollar behind the point.
const MONEY_DIGITS: usize = 6;

impl Rate {
    /// A number in a time, with `k` for a thousand, `M` for a million or `B` for a thousand million: `60/min`, `1M/day`, `1.5M/day`.
    ///
    /// # Errors
    /// What is wrong with the text, and how it is written.
    pub fn of_count(text: &str) -> Result<Self, LimitError> {
        let (amount, per) = split(text, COUNT_EXAMPLE)?;
        let (number, digits) = match amount.trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
            number if number.len() == amount.len() => (number, 0),
            number => match &amount[number.len()..] {
                "k" | "K" => (number, 3),
                "M" => (number, 6),
                "B" | "G" => (number, 9),
                _ => return Err(LimitError::Amount(amount.to_owned(), COUNT_EXAMPLE)),
            },
        };
        let amount = fixed_point(number, digits)
            .ok_or_else(|| LimitError::Amount(amount.to_owned(), COUNT_EXAMPLE))?;
        Ok(Self { amount, per })
    }

    /// US dollars in a time, with or without `$`: `5.00/day`, `$100/month`.
    ///
    /// # Errors
    /// What is wrong with the text, and how it is written.
    pub fn of_money(text: &str) -> Result<Self, LimitError> {
        let (amount, per) = split(text, MONEY_EXAMPLE)?;
        let number = amount.strip_prefix('$').unwrap_or(amount);
        let amount = fixed_point(number, MONEY_DIGITS)
            .ok_or_else(|| LimitError::Amount(amount.to_owned(), MONEY_EXAMPLE))?;
        Ok(Self { amount, per })
    }

    /// Of requests or tokens, as [`Rate::of_count`] reads it.
    pub fn count_text(self) -> String {
        format!("{}/{}", count_text(self.amount), self.per)
    }

    /// Of money, as [`Rate::of_money`] reads it.
    pub fn money_text(self) -> String {
        format!("{}/{}", money_text(self.amount), self.per)
    }
}

/// A number with the shortest of the letters that leaves nothing out.
pub fn count_text(amount: u64) -> String {
    match amount {
        1_000_000_000.. if amount.is_multiple_of(1_000_000_000) => format!("{}B", amount / 1_000_000_000),
        1_000_000.. if amount.is_multiple_of(1_000_000) => format!("{}M", amount / 1_000_000),
        1000.. if amount.is_multiple_of(1000) => format!("{}k", amount / 1000),
        _ => amount.to_string(),
    }
}

/// Millionths of a US dollar as dollars, with as many digits as there are and two at least.
pub fn money_text(micro_usd: u64) -> String {
    let text = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
    let least = text.len() - 4;
    let end = text.trim_end_matches('0').len().max(least);
    text[..end].to_owned()
}

fn split<'t>(text: &'t str, example: &'static str) -> Result<(&'t str, Period), LimitError> {
    let text = text.trim();
    let (amount, per) = text.split_once('/').ok_or_else(|| LimitError::Period(text.to_owned(), example))?;
    let per = Period::from_name(per.trim()).ok_or_else(|| LimitError::Period(text.to_owned(), example))?;
    Ok((amount.trim(), per))
}

/// A decimal number times ten to the power of `digits`, if it is whole then and more than nothing.
fn fixed_point(text: &str, digits: usize) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if whole.is_empty() || !is_number(whole) || !is_number(rest) || rest.len() > digits {
        return None;
    }
    let text = format!("{whole}{rest:0<digits$}").replace('_', "");
    text.parse().ok().filter(|amount| *amount > 0)
}

impl fmt::Display for Limits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            self.requests.map(|rate| format!("{} requests", rate.count_text())),
            self.tokens.map(|rate| format!("{} tokens", rate.count_text())),
            self.budget.map(|rate| format!("${}", rate.money_text())),
            self.parallel.map(|parallel| format!("{parallel} at once")),
        ];
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        formatter.write_str(&if texts.is_empty() { "no limit".to_owned() } else { texts.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_written() {
        for (text, amount, per, written) in [
            ("60/min", 60, Period::Minute, "60/min"),
            ("1M/day", 1_000_000, Period::Day, "1M/day"),
            ("1.5M/d", 1_500_000, Period::Day, "1500k/day"),
            (" 20k / hour ", 20_000, Period::Hour, "20k/h"),
            ("1_001/month", 1001, Period::Month, "1001/month"),
            ("2B/month", 2_000_000_000, Period::Month, "2B/month"),
        ] {
            let rate = Rate::of_count(text).expect(text);
            assert_eq!((rate, rate.count_text().as_str()), (Rate { amount, per }, written));
            assert_eq!(Rate::of_count(written), Ok(rate));
        }
        for text in [
            "",
            "60",
            "60/",
            "60/fortnight",
            "0/min",
            "-1/min",
            "1.5/min",
            "1x/min",
            "M/day",
            "99999999999B/day",
        ] {
            let error = Rate::of_count(text).expect_err(text).to_string();
            assert!(error.contains("60/min"), "{error}");
        }
    }

    #[test]
    fn money_is_read_and_written() {
        for (text, amount, written) in [
            ("5.00/day", 5_000_000, "5.00/day"),
            ("$5/day", 5_000_000, "5.00/day"),
            ("0.001/day", 1000, "0.001/day"),
            ("1234.5/day", 1_234_500_000, "1234.50/day"),
        ] {
            let rate = Rate::of_money(text).expect(text);
            assert_eq!((rate.amount, rate.money_text().as_str()), (amount, written));
        }
        for text in ["5.00", "free/day", "0/day", "0.0000001/day", "5k/day"] {
            let error = Rate::of_money(text).expect_err(text).to_string();
            assert!(error.contains("5.00/day"), "{error}");
        }
    }

    #[test]
    fn limits_are_one_line() {
        assert_eq!(Limits::default().to_string(), "no limit");
        let limits = Limits {
            requests: Rate::of_count("60/min").ok(),
            budget: Rate::of_money("5/day").ok(),
            parallel: NonZeroU32::new(4),
            ..Limits::default()
        };
        assert_eq!(limits.to_string(), "60/min requests, $5.00/day, 4 at once");
    }
}
