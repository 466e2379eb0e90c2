//! `latimer explain`: what happened in a turn, and why.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use latimer_protocol::status::TurnReport;
use latimer_proxy::store::turn_rows::TurnQuery;

use crate::clock::unix_time;
use crate::configuration::ReportArgs;
use crate::terminal::{print_folded, print_json, print_rows, with_version};
use crate::turn_source::TurnSource;
use crate::turn_text::{details, headline};

/// Turns in the list.
const MAX_LISTED_TURNS: usize = 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer explain        the last turns, the newest first\n  latimer explain t7     everything that is known about one\n\nA turn's name stands in the log, in `latimer logs` and on the page. What happened in a turn is kept for 90 days, and can be asked for when no proxy runs; what a model wrote instead of a call is remembered only as long as the proxy runs."
)]
pub(crate) struct ExplainArgs {
    /// The turn, as the log names it
    turn: Option<String>,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let source = TurnSource::find(&args.report.paths)?;
    match &args.turn {
        Some(id) => one(&source, id, args.report.json)?,
        None => list(&source, args.report.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn one(source: &TurnSource, id: &str, as_json: bool) -> anyhow::Result<()> {
    let Some(turn) = source.turn(id)? else {
        bail!("the proxy remembers no turn `{id}`; `latimer explain` lists the last ones")
    };
    if as_json {
        return print_json(&with_version(&turn)?);
    }
    let now_ms = u64::try_from(unix_time().as_millis()).context("the clock")?;
    print_rows(details(&turn, now_ms))
}

fn list(source: &TurnSource, as_json: bool) -> anyhow::Result<()> {
    let page = source.page(&TurnQuery { limit: MAX_LISTED_TURNS, ..TurnQuery::default() })?;
    if as_json {
        return print_json(&page);
    }
    let turns: Vec<&TurnReport> = page.running.iter().rev().chain(&page.data).collect();
    if turns.is_empty() {
        return print_folded("no turn yet");
    }
    for turn in turns.into_iter().take(MAX_LISTED_TURNS) {
        print_folded(&headline(turn))?;
    }
    Ok(())
}
