//! `latimer statusline`: one line for clients that show one, such as Claude Code. It never fails and never asks a provider.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use latimer_protocol::status::{
    QuotaReport, TurnPage, TurnReport, TurnState, UsageReport, duration_text, problems,
};
use latimer_proxy::store::turn_rows::TurnQuery;
use serde::Deserialize;

use super::quota::tightest;
use crate::clock::{unix_seconds, unix_time};
use crate::configuration::PathArgs;
use crate::money;
use crate::proxy_client::{self, ProvenProxy};
use crate::terminal::print_line;
use crate::turn_source::parameters;
use crate::turn_text::shown;

/// The most that is read of what a client says of its session, in bytes.
const MAX_INPUT: u64 = 64 * 1024;
/// How long that may take to come.
const INPUT_TIMEOUT: Duration = Duration::from_millis(300);
/// Turns of a session that are looked at.
const MAX_TURNS: usize = 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer statusline\n  echo '{\"session_id\":\"…\"}' | latimer statusline\n\nIn ~/.claude/settings.json:\n  { \"statusLine\": { \"type\": \"command\", \"command\": \"latimer statusline\" } }\n\nIt shows who answers the session that the client names on stdin, for what it waits, what the last 24 hours cost, and the allowance of which the least is left."
)]
pub(crate) struct StatuslineArgs {
    #[command(flatten)]
    paths: PathArgs,
}

/// What Claude Code says of its session.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Session {
    session_id: String,
}

pub(crate) fn run(args: &StatuslineArgs) -> anyhow::Result<ExitCode> {
    let session = session();
    let line = match proxy(&args.paths) {
        Some(proxy) => Facts::of(&proxy, &session).line(unix_time()),
        None => "latimer: not running".to_owned(),
    };
    print_line(&line)?;
    Ok(ExitCode::SUCCESS)
}

fn proxy(paths: &PathArgs) -> Option<ProvenProxy> {
    proxy_client::find(&paths.state_dir().ok()?, &paths.configuration_or_default().ok()?).ok().flatten()
}

/// The session that the client names, if it does: somebody who tries the command has no stdin to read to its end.
fn session() -> Session {
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Session::default();
    }
    let (done, read) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
        let _ = done.send(text);
    });
    let text = read.recv_timeout(INPUT_TIMEOUT).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// What the line is made of.
#[derive(Debug, Default)]
struct Facts {
    turn: Option<TurnReport>,
    day_usd: Option<f64>,
    quota: QuotaReport,
    /// Sentences of the first thing that is not well, and how many there are.
    problems: Vec<String>,
}

impl Facts {
    fn of(proxy: &ProvenProxy, session: &Session) -> Self {
        fn read<T: for<'d> Deserialize<'d>>(proxy: &ProvenProxy, path: &str) -> Option<T> {
            let (_, body) = proxy.get(path).filter(|(status, _)| *status == 200)?;
            serde_json::from_slice(&body).ok()
        }
        let wanted = TurnQuery {
            limit: MAX_TURNS,
            filter: session.session_id.chars().take(80).collect(),
            ..TurnQuery::default()
        };
        let page: Option<TurnPage> = read(proxy, &format!("/api/v1/turns?{}", parameters(&wanted)));
        let page = page.unwrap_or_default();
        let turn = page.running.into_iter().next_back().or_else(|| page.data.into_iter().next());
        let day: UsageReport = read(proxy, "/api/v1/usage?by=endpoint&since=24h").unwrap_or_default();
        let quota: QuotaReport = read(proxy, "/api/v1/quota?ask=0").unwrap_or_default();
        let health = proxy.health();
        let problems =
            health.iter().flat_map(problems).map(|problem| format!("{}: {}", problem.who, problem.what));
        let day_usd = day.total.cost_usd.filter(|cost| *cost > 0.0);
        Self { turn, day_usd, quota, problems: problems.collect() }
    }

    fn line(&self, now: Duration) -> String {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let turn = self.turn.as_ref().map(|turn| {
            let wait = turn.wait.as_ref().filter(|_| turn.state == TurnState::Waiting).map(|wait| {
                let left = wait.until_ms.map(|until| until.saturating_sub(now_ms).div_ceil(1000));
                let time = left.map_or_else(String::new, |left| format!(" {}", duration_text(left)));
                format!(" waits{time}: {}", shown(&wait.why))
            });
            format!("{}{}", shown(&turn.target()), wait.unwrap_or_default())
        });
        let quota = tightest(&self.quota).map(|(_, window)| {
            let back = window.reading.resets_at.map_or_else(String::new, |at| {
                format!(" ({})", duration_text(at.saturating_sub(unix_seconds())))
            });
            let share = window.reading.remaining_percent.unwrap_or(0.0);
            format!("{} {share:.0} %{back}", shown(&window.reading.name))
        });
        let day = self.day_usd.map(|cost| format!("{} in 24 h", money::cost(Some(cost))));
        let problem = self.problems.first().map(|problem| format!("✗ {}", shown(problem)));
        let parts: Vec<String> = turn.into_iter().chain(day).chain(quota).chain(problem).collect();
        if parts.is_empty() { "latimer: ready".to_owned() } else { parts.join(" · ") }
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::WaitReport;

    use super::*;

    #[test]
    fn the_line_says_who_answers_and_what_is_waited_for() {
        assert_eq!(Facts::default().line(Duration::ZERO), "latimer: ready");
        let wait =
            WaitReport { since_ms: 0, until_ms: Some(12_000), why: "lab asked for it\u{1b}[2J".to_owned() };
        let turn = TurnReport {
            endpoint: "lab".to_owned(),
            model: "glm".to_owned(),
            state: TurnState::Waiting,
            wait: Some(wait),
            ..TurnReport::default()
        };
        let facts = Facts { turn: Some(turn), day_usd: Some(0.5), ..Facts::default() };
        let line = facts.line(Duration::from_secs(2));
        assert!(line.starts_with("lab/glm waits 10 s: lab asked for it"), "{line}");
        assert!(line.ends_with(" · $0.50 in 24 h") && !line.contains('\u{1b}'), "{line}");
    }
}
