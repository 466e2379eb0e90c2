//! `latimer logs`: turns as they happen, a line each.

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use latimer_protocol::status::{TurnPage, TurnReport, TurnState};
use latimer_proxy::store::turn_rows::{MAX_PAGE, TurnQuery};

use crate::clock::unix_time;
use crate::configuration::PathArgs;
use crate::terminal::{print_folded, print_json_line, print_rows, with_version};
use crate::turn_source::TurnSource;
use crate::turn_text::log_lines;

/// How often it is looked for new turns.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A shorter wait is not worth a line, in milliseconds.
const MIN_WAIT_MS: u64 = 3000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer logs                     the last turns, the newest last\n  latimer logs --follow            and each one as it ends or waits\n  latimer logs --errors --client codex\n\nTimes are in UTC. `latimer explain TURN` says everything about one. The log of the proxy itself is what `latimer serve` writes to stderr."
)]
pub(crate) struct LogsArgs {
    /// Go on with turns as they end, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only turns that failed
    #[arg(long)]
    errors: bool,
    /// Only turns of this client, as it calls itself
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Only turns of this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// How many turns
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=500))]
    lines: u16,
    /// A JSON object for each turn, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    let wanted = TurnQuery {
        limit: usize::from(args.lines).max(1),
        errors: args.errors,
        client: args.client.clone(),
        endpoint: args.endpoint.clone(),
        ..TurnQuery::default()
    };
    let page = TurnSource::find(&args.paths)?.page(&wanted)?;
    let first_page = page.data.iter().map(|turn| turn.id.clone()).collect();
    let mut shown = Shown { as_json: args.json, waits: HashMap::new(), first_page };
    for turn in page.data.iter().take(args.lines.into()).rev() {
        shown.turn(turn)?;
    }
    shown.running(&page)?;
    if !args.follow && page.data.is_empty() && page.running.is_empty() && !args.json {
        print_folded("no turn yet; `latimer launch codex` begins one")?;
    }
    if args.follow { follow(args, wanted, page.latest, shown) } else { Ok(ExitCode::SUCCESS) }
}

/// Shows each turn once it is over, and each wait once it begins. A proxy that is restarted is found again.
fn follow(args: &LogsArgs, wanted: TurnQuery, latest: i64, mut shown: Shown) -> anyhow::Result<ExitCode> {
    let mut wanted = TurnQuery { after: Some(latest), limit: MAX_PAGE, ..wanted };
    let mut source = TurnSource::find(&args.paths).ok();
    loop {
        std::thread::sleep(POLL_INTERVAL);
        let page = source.as_ref().and_then(|source| source.page(&wanted).ok());
        let Some(page) = page else {
            source = TurnSource::find(&args.paths).ok();
            continue;
        };
        for turn in page.data.iter().rev() {
            // The first page also holds turns that had no place yet: they come again with one.
            if !shown.first_page.remove(&turn.id) {
                shown.turn(turn)?;
            }
        }
        shown.running(&page)?;
        wanted.after = Some(page.latest.max(wanted.after.unwrap_or(0)));
    }
}

/// What was shown, and how.
struct Shown {
    as_json: bool,
    /// The waits that were shown, by turn: when each began.
    waits: HashMap<String, u64>,
    /// The turns of the first page.
    first_page: HashSet<String>,
}

impl Shown {
    fn turn(&mut self, turn: &TurnReport) -> anyhow::Result<()> {
        self.waits.remove(&turn.id);
        if self.as_json {
            return print_json_line(&with_version(turn)?);
        }
        let now_ms = u64::try_from(unix_time().as_millis()).context("the clock")?;
        print_rows(log_lines(turn, now_ms))
    }

    /// Turns that wait for long, each wait once.
    fn running(&mut self, page: &TurnPage) -> anyhow::Result<()> {
        for turn in page.running.iter().filter(|turn| waits_long(turn)) {
            let since = turn.wait.as_ref().map_or(0, |wait| wait.since_ms);
            if self.waits.get(&turn.id) != Some(&since) {
                self.turn(turn)?;
                self.waits.insert(turn.id.clone(), since);
            }
        }
        Ok(())
    }
}

/// Whether it will wait, or has waited, for longer than is worth a word.
fn waits_long(turn: &TurnReport) -> bool {
    turn.state == TurnState::Waiting
        && turn.wait.as_ref().is_some_and(|wait| match wait.until_ms {
            Some(until) => until.saturating_sub(wait.since_ms) > MIN_WAIT_MS,
            None => (turn.begun_ms + turn.ms).saturating_sub(wait.since_ms) > MIN_WAIT_MS,
        })
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::WaitReport;

    use super::*;

    #[test]
    fn only_long_waits_are_told() {
        let waits = |until_ms| {
            let wait = WaitReport { since_ms: 1000, until_ms, why: String::new() };
            waits_long(&TurnReport {
                state: TurnState::Waiting,
                wait: Some(wait),
                begun_ms: 500,
                ms: 4000,
                ..TurnReport::default()
            })
        };
        assert!(waits(Some(9000)) && waits(None));
        assert!(!waits(Some(2000)) && !waits_long(&TurnReport::default()));
    }
}
