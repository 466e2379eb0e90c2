//! `latimer explain`: what happened in a turn, and why.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use latimer_protocol::status::Trace;

use crate::configuration::PathArgs;
use crate::proxy_client;
use crate::terminal::{print_line, print_lines};

/// Turns in the list.
const MAX_LISTED_TURNS: usize = 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer explain        the last turns, the newest first\n  latimer explain t7     everything that was noted about one\n\nA turn's name stands in the log. The running proxy remembers the last 256."
)]
pub(crate) struct ExplainArgs {
    /// The turn, as the log names it
    turn: Option<String>,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let config = args.paths.configuration()?.loaded.config;
    let proxy = proxy_client::find(&state_dir, &config)?.ok_or_else(|| proxy_client::nobody(&config))?;
    let path =
        args.turn.as_deref().map_or_else(|| "/v1/turns".to_owned(), |turn| format!("/v1/turns/{turn}"));
    match (proxy.get(&path), &args.turn) {
        (None, _) => {
            bail!("the proxy at {} has stopped meanwhile; start one with `latimer serve`", proxy.url)
        }
        (Some((200, body)), Some(_)) => show(&serde_json::from_slice(&body).context("reading the answer")?)?,
        (Some((200, body)), None) => list(&body)?,
        (Some((404, _)), Some(turn)) => {
            bail!("the proxy remembers no turn `{turn}`; `latimer explain` lists the last ones")
        }
        (Some((status, _)), _) => {
            bail!("the proxy answered with {status}; is it one of another state directory?")
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(body: &[u8]) -> anyhow::Result<()> {
    let list: serde_json::Value = serde_json::from_slice(body).context("reading the answer")?;
    let turns: Vec<Trace> = serde_json::from_value(list["data"].clone()).context("reading the answer")?;
    if turns.is_empty() {
        return print_line("no turn yet");
    }
    for turn in turns.iter().take(MAX_LISTED_TURNS) {
        print_line(&headline(turn))?;
    }
    Ok(())
}

fn headline(turn: &Trace) -> String {
    let count = |count: u32, what: &str| if count == 0 { String::new() } else { format!("  {count} {what}") };
    format!(
        "{:6} {}/{}  {} after {:.1} s{}{}",
        turn.turn,
        turn.endpoint,
        turn.model,
        turn.finish,
        std::time::Duration::from_millis(turn.ms).as_secs_f64(),
        count(turn.retries, "retries"),
        count(turn.repairs, "repairs"),
    )
}

fn show(turn: &Trace) -> anyhow::Result<()> {
    print_lines(details(turn))
}

/// The headline and everything that was noted, a line each.
fn details(turn: &Trace) -> Vec<String> {
    let mut lines = vec![headline(turn)];
    lines.extend(turn.failure.as_ref().map(|failure| format!("  failed: {failure}")));
    if !turn.account.is_empty() {
        lines.push(format!("  asked with {}", turn.account));
    }
    lines.extend(turn.cost_usd.map(|cost| format!("  cost ${cost:.4}")));
    lines.extend(turn.notes.iter().map(|note| format!("  {note}")));
    if turn.notes.is_empty() {
        lines.push("  nothing was changed, and nothing noted".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace() -> Trace {
        let trace = json!({
            "turn": "t7", "endpoint": "a", "account": "me", "model": "m", "begun": 1, "ms": 1500, "finish": "stop",
            "failure": null, "retries": 2, "repairs": 0, "cost_usd": 0.25, "notes": ["left out: x"],
        });
        serde_json::from_value(trace).expect("a trace")
    }

    #[test]
    fn a_headline_counts_only_what_happened() {
        assert_eq!(headline(&trace()), "t7     a/m  stop after 1.5 s  2 retries");
    }

    #[test]
    fn details_hold_cost_account_and_notes() {
        let lines = details(&trace());
        assert_eq!(lines[1..], ["  asked with me", "  cost $0.2500", "  left out: x"]);
        let plain = Trace { failure: Some("it broke".to_owned()), notes: Vec::new(), ..trace() };
        let lines = details(&plain);
        assert_eq!(lines[1], "  failed: it broke");
        assert_eq!(lines.last().map(String::as_str), Some("  nothing was changed, and nothing noted"));
    }
}
