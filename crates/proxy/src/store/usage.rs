//! How much was used: one row for each turn, and reports over them.

use std::path::Path;

use latimer_protocol::turn::Usage;
use rusqlite::Transaction;
use serde::Serialize;

use super::database::read_only;

use crate::config::Price;

/// One turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageRow {
    /// When it ended, in Unix seconds.
    pub at: u64,
    /// Its name in the log.
    pub turn: String,
    /// The client, as it calls itself.
    pub client: String,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The key or account, as people call it.
    pub account: String,
    /// The model as the endpoint knows it.
    pub model: String,
    /// How it ended.
    pub finish: String,
    /// The code of its failure.
    pub failure: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// To the first event, in milliseconds.
    pub first_ms: Option<u64>,
    /// Attempts after the first.
    pub retries: u32,
    /// Calls that were found or mended.
    pub repairs: u32,
    /// In US dollars, where the price is known.
    pub cost_usd: Option<f64>,
}

/// What a report is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The endpoint.
    Endpoint,
    /// The key or account.
    Account,
    /// Endpoint and model.
    Model,
    /// The day, in UTC.
    Day,
    /// The client.
    Client,
    /// Each turn for itself.
    Turn,
    /// The failure.
    Failure,
}

/// One line of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UsageLine {
    /// What it is about.
    pub name: String,
    /// How many turns ended in the time asked for.
    pub turns: u64,
    /// Turns that failed.
    pub failed: u64,
    /// Input tokens.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cached: u64,
    /// Output tokens.
    pub output: u64,
    /// Output tokens spent on thoughts.
    pub reasoning: u64,
    /// Half of the turns took no longer, in milliseconds.
    pub p50_ms: u64,
    /// Nineteen of twenty turns took no longer, in milliseconds.
    pub p95_ms: u64,
    /// Half of the first events came no later, in milliseconds.
    pub first_p50_ms: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Calls that were found or mended.
    pub repairs: u64,
    /// In US dollars, as far as prices are known.
    pub cost_usd: f64,
}

/// How much was used.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UsageReport {
    /// One line for each group.
    pub lines: Vec<UsageLine>,
    /// All turns together.
    pub total: UsageLine,
}

/// A line that is being added up.
#[derive(Default)]
struct Group {
    line: UsageLine,
    ms: Vec<u64>,
    first: Vec<u64>,
}

impl Group {
    fn new(name: String) -> Self {
        Self { line: UsageLine { name, ..UsageLine::default() }, ..Self::default() }
    }

    /// Adds what a row says, from the second column on.
    fn add(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        let number = |column: usize| -> rusqlite::Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(column)?.and_then(|number| u64::try_from(number).ok()))
        };
        let line = &mut self.line;
        line.turns += 1;
        line.failed += u64::from(row.get::<_, bool>(1)?);
        for (sum, column) in
            [(&mut line.input, 2), (&mut line.cached, 3), (&mut line.output, 4), (&mut line.reasoning, 5)]
        {
            *sum = sum.saturating_add(number(column)?.unwrap_or(0));
        }
        self.ms.extend(number(6)?);
        self.first.extend(number(7)?);
        line.retries += number(8)?.unwrap_or(0);
        line.repairs += number(9)?.unwrap_or(0);
        line.cost_usd += row.get::<_, Option<f64>>(10)?.unwrap_or(0.0);
        Ok(())
    }

    fn line(mut self) -> UsageLine {
        UsageLine {
            p50_ms: percentile(&mut self.ms, 50),
            p95_ms: percentile(&mut self.ms, 95),
            first_p50_ms: percentile(&mut self.first, 50),
            ..self.line
        }
    }
}

const INSERT: &str = "INSERT INTO usage (at, turn, client, endpoint, account, model, finish, failure, input, cached, cache_write, output, reasoning, ms, first_ms, retries, repairs, cost_usd) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)";

/// Adds a row.
pub(super) fn insert(transaction: &Transaction<'_>, row: &UsageRow) -> rusqlite::Result<()> {
    let number = |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let Usage { input, cached, cache_write, output, reasoning } = row.usage;
    transaction.prepare_cached(INSERT)?.execute(rusqlite::params![
        number(Some(row.at)),
        row.turn,
        row.client,
        row.endpoint,
        row.account,
        row.model,
        row.finish,
        row.failure,
        number(input),
        number(cached),
        number(cache_write),
        number(output),
        number(reasoning),
        number(Some(row.ms)),
        number(row.first_ms),
        row.retries,
        row.repairs,
        row.cost_usd,
    ])?;
    Ok(())
}

/// A report over the turns since a moment in Unix seconds, the largest group first; days and turns in their order.
///
/// # Errors
/// The database cannot be opened or read, or is no database of latimer's.
pub fn report(path: &Path, by: GroupBy, since: u64) -> rusqlite::Result<UsageReport> {
    let key = match by {
        GroupBy::Endpoint => "endpoint",
        GroupBy::Account => "endpoint || ' ' || account",
        GroupBy::Model => "endpoint || '/' || model",
        GroupBy::Day => "date(at, 'unixepoch')",
        GroupBy::Client => "client",
        GroupBy::Turn => {
            "strftime('%Y-%m-%d %H:%M:%S', at, 'unixepoch') || ' ' || turn || ' ' || endpoint || '/' || model"
        }
        GroupBy::Failure => "coalesce(failure, 'none')",
    };
    let connection = read_only(path)?;
    let mut query = connection.prepare(&format!(
        "SELECT {key}, failure IS NOT NULL, input, cached, output, reasoning, ms, first_ms, retries, repairs, cost_usd FROM usage WHERE at >= ?1 ORDER BY at"
    ))?;
    let mut groups: Vec<Group> = Vec::new();
    let mut total = Group::new("total".to_owned());
    let mut places = std::collections::HashMap::new();
    let mut rows = query.query([i64::try_from(since).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let place = *places.entry(name).or_insert_with_key(|name| {
            groups.push(Group::new(name.clone()));
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.add(row)?;
        }
        total.add(row)?;
    }
    let mut lines: Vec<UsageLine> = groups.into_iter().map(Group::line).collect();
    if !matches!(by, GroupBy::Day | GroupBy::Turn) {
        lines.sort_by_key(|line| std::cmp::Reverse(line.turns));
    }
    Ok(UsageReport { lines, total: total.line() })
}

/// The value below which so many of a hundred lie.
fn percentile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(0)
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

    #[test]
    fn percentiles() {
        assert_eq!(percentile(&mut [5, 1, 3], 50), 3);
        assert_eq!(percentile(&mut (1..=100).collect::<Vec<_>>(), 95), 95);
        assert_eq!(percentile(&mut [], 50), 0);
    }
}
