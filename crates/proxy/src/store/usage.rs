//! How much was used: reports over the rows, and what a turn costs.

use std::path::Path;

pub use latimer_protocol::status::{UsageLine, UsageReport};
use latimer_protocol::turn::Usage;

use super::database::read_only;
use super::reader::Window;
pub use super::rows::{GroupBy, UsageRow};
use super::sums::Sums;
use crate::config::Price;

/// A report over the turns since a moment in Unix seconds, the largest group first; times and turns in their order.
///
/// # Errors
/// The database cannot be opened or read, or is no database of latimer's.
pub fn report(path: &Path, by: GroupBy, since: u64) -> rusqlite::Result<UsageReport> {
    report_between(path, by, since, None)
}

/// The same, of the turns that ended before another moment.
///
/// # Errors
/// As [`report`].
pub fn report_between(
    path: &Path,
    by: GroupBy,
    since: u64,
    until: Option<u64>,
) -> rusqlite::Result<UsageReport> {
    let window = Window { text: String::new(), since, until, breaks_down: false };
    report_of(path, by, &window)
}

/// The same, as a window says it.
///
/// # Errors
/// As [`report`].
pub fn report_of(path: &Path, by: GroupBy, window: &Window) -> rusqlite::Result<UsageReport> {
    let connection = read_only(path)?;
    let mut sums = Sums::new(by, window.since, window.until).broken_down(window.breaks_down);
    sums.read(&connection)?;
    Ok(sums.report())
}

/// What a turn cost in US dollars; `None` without a price, or without tokens.
#[expect(clippy::cast_precision_loss, reason = "money is rounded for people anyway")]
pub fn cost(usage: Usage, price: Price) -> Option<f64> {
    let input = usage.input?;
    let cached = usage.cached.unwrap_or(0).min(input);
    let of = |tokens: u64, price: u64| tokens as f64 * price as f64 / 1e12;
    let fresh = of(input - cached, price.input?);
    let read = of(cached, price.cached.or(price.input)?);
    Some(fresh + read + of(usage.output.unwrap_or(0), price.output?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices() {
        let price = Price { input: Some(3_000_000), cached: Some(300_000), output: Some(15_000_000) };
        let usage = Usage {
            input: Some(1_000_000),
            cached: Some(500_000),
            output: Some(100_000),
            ..Usage::default()
        };
        let cost_usd = cost(usage, price).expect("known");
        assert!((cost_usd - (1.5 + 0.15 + 1.5)).abs() < 1e-9, "{cost_usd}");
        assert_eq!(cost(usage, Price::default()), None);
        assert_eq!(cost(Usage::default(), price), None);
    }
}
