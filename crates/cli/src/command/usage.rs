//! `latimer usage`: how much was used, by whatever one wants to know it by.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use latimer_protocol::printable::escaped;
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::store::FILE;
use latimer_proxy::store::usage::{GroupBy, UsageLine, UsageReport, report};
use serde_json::json;

use crate::clock::unix_seconds;
use crate::configuration::PathArgs;
use crate::money;
use crate::terminal::{print_json, print_line};
use crate::turn_text::count;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer usage\n  latimer usage --by day --since 7d\n  latimer usage --by model --json\n\nThe rows are in the file latimer.db of the state directory, table `usage`; they are kept for 90 days. Hours and days are local."
)]
pub(crate) struct UsageArgs {
    /// What the lines are about
    #[arg(long, value_parser = groups(), default_value = "model")]
    by: GroupBy,
    /// Only turns since then: `24h`, `7d` or a date such as `2026-11-01`
    #[arg(long, default_value = "30d")]
    since: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

/// What a report can be grouped by, under the names that the store has for it.
fn groups() -> impl TypedValueParser<Value = GroupBy> {
    PossibleValuesParser::new(GroupBy::NAMES.map(|(name, _)| name))
        .try_map(|name| GroupBy::from_name(&name).context("no such group"))
}

pub(crate) fn run(args: &UsageArgs) -> anyhow::Result<ExitCode> {
    let path = args.paths.state_dir()?.join(FILE);
    let since = since(&args.since, unix_seconds())
        .with_context(|| format!("`{}` is no moment; write `24h`, `7d` or `2026-11-01`", args.since))?;
    let UsageReport { lines, total } = if path.exists() {
        report(&path, args.by, since).with_context(|| format!("reading `{}`", path.display()))?
    } else {
        UsageReport::default()
    };
    if args.json {
        print_json(
            &json!({ "schema_version": SCHEMA_VERSION, "since": since, "lines": lines, "total": total }),
        )?;
    } else if lines.is_empty() {
        print_line("no turn yet since then")?;
    } else {
        for row in table(&lines, &total) {
            print_line(&row)?;
        }
        if total.unpriced > 0 {
            print_line(&format!("{} turns unpriced: their models have no `price`", total.unpriced))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The table for people, a row each: the names to the left, the numbers to the right of their columns.
fn table(lines: &[UsageLine], total: &UsageLine) -> Vec<String> {
    const HEADINGS: [&str; 9] = ["", "turns", "failed", "input", "cached", "output", "p50", "p95", "cost"];
    let mut rows: Vec<[String; 9]> = vec![HEADINGS.map(str::to_owned)];
    rows.extend(lines.iter().chain([total]).map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let text = |row: &[String; 9]| {
        let mut text = format!("{:width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.trim_end().to_owned()
    };
    rows.iter().map(text).collect()
}

fn cells(line: &UsageLine) -> [String; 9] {
    let share = line.cached.saturating_mul(100).checked_div(line.input).unwrap_or(0);
    [
        escaped(&line.name).into_owned(),
        line.turns.to_string(),
        line.failed.to_string(),
        count(line.input),
        format!("{share}%"),
        count(line.output),
        seconds(line.p50_ms),
        seconds(line.p95_ms),
        money::cost(line.cost_usd),
    ]
}

fn seconds(ms: u64) -> String {
    format!("{:.1}s", Duration::from_millis(ms).as_secs_f64())
}

/// A point in time in Unix seconds: so long ago, or a date in UTC.
fn since(text: &str, now: u64) -> anyhow::Result<u64> {
    if let Some(number) = text.strip_suffix('h') {
        return Ok(now.saturating_sub(number.parse::<u64>()?.saturating_mul(3600)));
    }
    if let Some(number) = text.strip_suffix('d') {
        return Ok(now.saturating_sub(number.parse::<u64>()?.saturating_mul(86_400)));
    }
    let parts: Vec<u64> = text.split('-').map(str::parse).collect::<Result<_, _>>()?;
    let [year, month, day] = parts[..] else { bail!("not a date") };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        bail!("not a date");
    }
    // Days since the first of March of the year 0: leap days come last in a year then.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Ok(days.saturating_sub(719_468) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let now = 1_795_219_200;
        assert_eq!(since("24h", now).expect("a time"), now - 86_400);
        assert_eq!(since("7d", now).expect("a time"), now - 7 * 86_400);
        assert_eq!(since("2026-11-21", now).expect("a time"), now);
        assert_eq!(since("2000-02-29", now).expect("a time"), 951_782_400);
        for text in ["", "soon", "2026-13-01", "1-2", "99999999999999999999d"] {
            assert!(since(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_stand_to_the_right_of_their_columns() {
        let line =
            |name: &str, input| UsageLine { name: name.to_owned(), turns: 1, input, ..UsageLine::default() };
        let rows = table(&[line("glm-5", 12_345)], &line("total", 7));
        assert_eq!(rows.len(), 3);
        assert!(rows[1].starts_with("glm-5  ") && rows[2].starts_with("total  "), "{rows:?}");
        let end = |row: &str, word: &str| row.find(word).map(|start| start + word.len());
        assert_eq!(end(&rows[0], "input"), end(&rows[1], "12.3k"), "{rows:?}");
    }
}
