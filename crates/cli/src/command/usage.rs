//! `latimer usage`: how much was used, by whatever one wants to know it by.

mod csv;
mod table;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::store::FILE;
use latimer_proxy::store::engine::Engine as _;
use latimer_proxy::store::moment::{Edge, moment, zone};
use latimer_proxy::store::reader::Window;
use latimer_proxy::store::usage::{GroupBy, UsageReport, report_of};
use serde_json::json;

use self::table::Layout;
use crate::clock::{now as instant, unix_seconds};
use crate::configuration::PathArgs;
use crate::shared_store::shared_view;
use crate::terminal::{columns, is_screen, print_folded, print_json, print_lines, print_rows};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer usage\n  latimer usage --by day --since 7d\n  latimer usage --by day --since yesterday --until yesterday --breakdown\n  latimer usage --by project --csv > usage.csv\n  latimer usage --by model --json\n\nIt reads the file latimer.db of the state directory, or the database of `[store]`, where the rows of all nodes are; also while nothing runs. Rows are kept for 90 days. Hours, days, weeks and months are local. A project is what `latimer launch` was started in."
)]
pub(crate) struct UsageArgs {
    /// What the lines are about
    #[arg(long, value_parser = groups(), default_value = "model")]
    by: GroupBy,
    /// Only turns since then: `24h`, `7d`, `yesterday` or a date such as `2026-11-01`
    #[arg(long, default_value = "30d")]
    since: String,
    /// Only turns until then, in the same words; a day counts to its end
    #[arg(long)]
    until: Option<String>,
    /// Below each line the models of which it consists
    #[arg(long)]
    breakdown: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// As comma-separated values, for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    paths: PathArgs,
}

/// What a report can be grouped by, under the names that the store has for it.
fn groups() -> impl TypedValueParser<Value = GroupBy> {
    PossibleValuesParser::new(GroupBy::NAMES.map(|(name, _)| name))
        .try_map(|name| GroupBy::from_name(&name).context("no such group"))
}

pub(crate) fn run(args: &UsageArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let path = state_dir.join(FILE);
    let now = unix_seconds();
    let at = |text: &str, edge| {
        moment(text, edge, now).with_context(|| {
            format!("`{text}` is no moment; write `24h`, `7d`, `yesterday` or a date such as `2026-11-21`")
        })
    };
    let window = Window {
        text: String::new(),
        since: at(&args.since, Edge::Since)?,
        until: args.until.as_deref().map(|until| at(until, Edge::Until)).transpose()?,
        breaks_down: args.breakdown,
    };
    let shared = shared_view(&args.paths.configuration_or_default()?, &state_dir)?;
    let report = if let Some(shared) = shared {
        shared.usage(args.by, &window, instant().into_std())?
    } else if path.exists() {
        report_of(&path, args.by, &window).with_context(|| format!("reading `{}`", path.display()))?
    } else {
        UsageReport::default()
    };
    if args.json {
        let UsageReport { lines, total } = &report;
        print_json(&json!({
            "schema_version": SCHEMA_VERSION,
            "since": window.since,
            "until": window.until,
            "zone": zone(now),
            "lines": lines,
            "total": total,
        }))?;
    } else if args.csv {
        print_lines(csv::rows(&report))?;
    } else if report.lines.is_empty() {
        print_folded("no turn yet since then")?;
    } else {
        print_lines(table::rows(&report, Layout { columns: columns(), has_bars: is_screen() }))?;
        print_rows(footnotes(&report, args.by, now))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a reader must know of the numbers.
fn footnotes(report: &UsageReport, by: GroupBy, now: u64) -> Vec<String> {
    let unpriced = match report.total.unpriced {
        0 => None,
        1 => Some("1 turn unpriced: its model has no `price`".to_owned()),
        turns => Some(format!("{turns} turns unpriced: their models have no `price`")),
    };
    let is_local = matches!(by, GroupBy::Hour | GroupBy::Day | GroupBy::Week | GroupBy::Month);
    let zone = is_local.then(|| format!("times are local ({})", zone(now)));
    unpriced.into_iter().chain(zone).collect()
}

#[cfg(test)]
mod tests {
    use latimer_proxy::store::usage::UsageLine;

    use super::*;

    #[test]
    fn what_is_not_priced_and_where_days_begin_is_said() {
        let notes = |unpriced, by| {
            let total = UsageLine { unpriced, ..UsageLine::default() };
            footnotes(&UsageReport { total, lines: Vec::new() }, by, 1_795_946_400)
        };
        assert_eq!(notes(3, GroupBy::Model), ["3 turns unpriced: their models have no `price`"]);
        assert_eq!(notes(1, GroupBy::Model), ["1 turn unpriced: its model has no `price`"]);
        let days = notes(0, GroupBy::Day);
        assert!(days.len() == 1 && days[0].starts_with("times are local (UTC"), "{days:?}");
    }
}
