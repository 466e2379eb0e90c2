//! `latimer quota`: how much of every allowance is left, until when, and how long it lasts. A guard for scripts, too.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use latimer_protocol::printable::escaped;
use latimer_protocol::quota::QuotaScope;
use latimer_protocol::status::{AccountQuota, QuotaReport, QuotaWindow, duration_text};
use latimer_proxy::route::memory::quota_of_file;

use crate::clock::unix_seconds;
use crate::configuration::PathArgs;
use crate::exit::Exit;
use crate::proxy_client;
use crate::terminal::{eprint_line, print_folded, print_json, print_rows};

/// Characters of the bar of a share.
const BAR: usize = 10;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer quota\n  latimer quota --min-remaining 10 && ./a-long-night\n  latimer quota --endpoint lab --min-remaining 20\n  latimer quota --json\n\nThe numbers are what providers say in the headers of their answers, or when they are asked (OpenRouter, DeepSeek, Moonshot, Code Assist: at most once a minute). Without a running proxy the last ones it wrote down are shown.\n\nWith --min-remaining the exit code is 5 if every account of an endpoint has less left than that of an allowance that lasts (hours, a day, a week, a month, money); what nobody knows is no reason to stop."
)]
pub(crate) struct QuotaArgs {
    /// End with exit code 5 if an endpoint has less left than this, of a hundred
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_remaining: Option<u8>,
    /// Only this endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &QuotaArgs) -> anyhow::Result<ExitCode> {
    let mut report = report(&args.paths)?;
    if let Some(endpoint) = &args.endpoint {
        report.data.retain(|account| account.endpoint == *endpoint);
        if report.data.is_empty() {
            bail!("nothing is known of an endpoint `{endpoint}`; `latimer endpoints` lists those there are");
        }
    }
    if args.json {
        print_json(&report)?;
    } else if report.data.iter().all(|account| account.windows.is_empty()) {
        print_folded(
            "no provider has said yet what is left; it is known after the first answer that says so",
        )?;
    } else {
        print_rows(lines(&report))?;
    }
    for problem in &report.problems {
        eprint_line(&format!("latimer: {problem}"));
    }
    let short = args.min_remaining.map_or_else(Vec::new, |least| report.below(least.into()));
    for (endpoint, left) in &short {
        eprint_line(&format!("latimer: {endpoint} has {left:.0} % left"));
    }
    Ok(if short.is_empty() { ExitCode::SUCCESS } else { Exit::NoProvider.into() })
}

/// What the running proxy knows; without one, what it wrote down.
fn report(paths: &PathArgs) -> anyhow::Result<QuotaReport> {
    let state_dir = paths.state_dir()?;
    let found = proxy_client::find(&state_dir, &paths.configuration_or_default()?);
    let proxy = found.unwrap_or_else(|problem| {
        eprint_line(&format!("latimer: {problem:#}"));
        None
    });
    match proxy.and_then(|proxy| proxy.get("/api/v1/quota")) {
        Some((200, body)) => serde_json::from_slice(&body).context("reading the answer"),
        Some((404, _)) => bail!("the proxy knows no quotas; it is of an older latimer, restart it"),
        Some((status, _)) => bail!("the proxy answered with {status}"),
        None => {
            let now = unix_seconds();
            Ok(QuotaReport { now, data: quota_of_file(&state_dir, now), ..QuotaReport::default() })
        }
    }
}

/// A paragraph for each account that anything is known of.
fn lines(report: &QuotaReport) -> Vec<String> {
    let known = report.data.iter().filter(|account| !account.windows.is_empty());
    known.flat_map(|account| paragraph(account, report.now)).collect()
}

fn paragraph(account: &AccountQuota, now: u64) -> Vec<String> {
    let head = format!("{} {}", escaped(&account.endpoint), escaped(&account.account));
    let names = account.windows.iter().map(|window| name(window).chars().count()).max().unwrap_or(0).min(24);
    let windows = account.windows.iter().map(|window| line(window, names, now));
    std::iter::once(head.trim_end().to_owned()).chain(windows).collect()
}

fn name(window: &QuotaWindow) -> String {
    escaped(&window.reading.name).into_owned()
}

fn line(window: &QuotaWindow, names: usize, now: u64) -> String {
    let reading = &window.reading;
    let name: String = name(window).chars().take(names).collect();
    let share = match reading.remaining_percent {
        Some(_) if window.stale => " ".repeat(BAR) + "     ?  ",
        Some(share) => format!("{} {share:>3.0} %  ", bar(share)),
        None => String::new(),
    };
    let mut said = Vec::new();
    if let (Some(remaining), false) = (reading.remaining, window.stale && reading.remaining_percent.is_some())
    {
        said.push(amount(remaining, reading.unit.as_deref()));
    }
    match reading.resets_at {
        Some(at) if at <= now => said.push("has come back since".to_owned()),
        Some(at) => said.push(format!("back in {}", duration_text(at - now))),
        None => {}
    }
    if let Some(at) = window.runs_out_at {
        said.push(format!("runs out in {}", duration_text(at.saturating_sub(now))));
    }
    if window.stale {
        said.push(format!("stale: seen {} ago", duration_text(now.saturating_sub(window.seen_at))));
    }
    format!("  {name:names$}  {share}{}", said.join(", ")).trim_end().to_owned()
}

/// What is left, with its unit.
fn amount(left: f64, unit: Option<&str>) -> String {
    match unit {
        Some("requests" | "tokens") => format!("{left:.0} {} left", unit.unwrap_or_default()),
        Some(currency) => format!("{left:.2} {} left", escaped(currency)),
        None => format!("{left:.0} left"),
    }
}

/// A share as characters, so that it needs no colour.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a bar has few characters"
)]
pub(crate) fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 100.0) / 100.0 * BAR as f64).ceil() as usize;
    format!("{}{}", "█".repeat(full), "·".repeat(BAR.saturating_sub(full)))
}

/// The allowance that runs out first, for a line that has room for one: of those that last, the one with the smallest share.
pub(crate) fn tightest(report: &QuotaReport) -> Option<(&AccountQuota, &QuotaWindow)> {
    let all =
        report.data.iter().flat_map(|account| account.windows.iter().map(move |window| (account, window)));
    all.filter(|(_, window)| window.reading.scope.is_lasting() && !window.stale)
        .filter(|(_, window)| window.reading.scope != QuotaScope::Balance || window.reading.limit.is_some())
        .filter_map(|(account, window)| Some((window.reading.remaining_percent?, account, window)))
        .min_by(|(a, ..), (b, ..)| a.total_cmp(b))
        .map(|(_, account, window)| (account, window))
}

#[cfg(test)]
mod tests {
    use latimer_protocol::quota::QuotaReading;

    use super::*;

    const NOW: u64 = 1_795_946_400;

    fn window(name: &str, scope: QuotaScope, share: f64) -> QuotaWindow {
        QuotaWindow {
            reading: QuotaReading {
                name: name.to_owned(),
                scope,
                remaining_percent: Some(share),
                resets_at: Some(NOW + 7800),
                ..QuotaReading::default()
            },
            seen_at: NOW - 60,
            ..QuotaWindow::default()
        }
    }

    fn account(windows: Vec<QuotaWindow>) -> QuotaReport {
        let data = vec![AccountQuota { endpoint: "lab".to_owned(), account: "me@test".to_owned(), windows }];
        QuotaReport { now: NOW, data, ..QuotaReport::default() }
    }

    #[test]
    fn a_line_has_a_bar_a_countdown_a_pace_and_a_mark_and_fits_sixty_columns() {
        let mut week = window("week", QuotaScope::Week, 98.0);
        week.runs_out_at = Some(NOW + 6000);
        let mut old = window("5 h", QuotaScope::Session, 12.0);
        (old.stale, old.seen_at, old.reading.resets_at) = (true, NOW - 30_000, Some(NOW - 5));
        let money = QuotaWindow {
            reading: QuotaReading {
                name: "balance".to_owned(),
                scope: QuotaScope::Balance,
                unit: Some("USD".to_owned()),
                remaining: Some(2.5),
                ..QuotaReading::default()
            },
            seen_at: NOW,
            ..QuotaWindow::default()
        };
        let lines = lines(&account(vec![money, week, old]));
        assert_eq!(
            lines,
            [
                "lab me@test",
                "  balance  2.50 USD left",
                "  week     ██████████  98 %  back in 2 h 10 min, runs out in 1 h 40 min",
                "  5 h                     ?  has come back since, stale: seen 8 h 20 min ago",
            ]
        );
    }

    #[test]
    fn the_tightest_is_the_smallest_share_that_lasts() {
        let burst = window("requests", QuotaScope::Burst, 0.0);
        let report = account(vec![
            window("week", QuotaScope::Week, 40.0),
            burst,
            window("5 h", QuotaScope::Session, 20.0),
        ]);
        assert_eq!(tightest(&report).map(|(_, window)| window.reading.name.as_str()), Some("5 h"));
        assert!(tightest(&QuotaReport::default()).is_none());
        assert_eq!(
            (bar(0.0), bar(1.0), bar(100.0)),
            ("··········".into(), "█·········".into(), "██████████".into())
        );
    }
}
