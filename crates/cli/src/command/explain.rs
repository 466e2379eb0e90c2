//! `latimer explain`: what happened in a turn, and why.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use latimer_protocol::status::Trace;
use latimer_proxy::config::{Auth, state};

use crate::running;
use crate::setup::{self, Places};

/// Turns in the list.
const LISTED: usize = 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer explain        the last turns, the newest first\n  latimer explain t7     everything that was noted about one\n\nA turn's name stands in the log. The running proxy remembers the last 256."
)]
pub(crate) struct Args {
    /// The turn, as the log names it
    turn: Option<String>,
    #[command(flatten)]
    places: Places,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    let config = args.places.configuration()?.loaded.config;
    let token = match config.server.auth {
        Auth::Token => Some(state::token(&state_dir).context("the access token")?),
        Auth::None => None,
    };
    let urls = running::urls(&state_dir, &config);
    let path =
        args.turn.as_deref().map_or_else(|| "/v1/turns".to_owned(), |turn| format!("/v1/turns/{turn}"));
    let answer = urls.iter().find_map(|url| running::get(&format!("{url}{path}"), token.as_ref()));
    match (answer, &args.turn) {
        (None, _) => bail!("no proxy answers at {}; start one with `latimer serve`", urls.join(" or ")),
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
        return setup::say("no turn yet");
    }
    for turn in turns.iter().take(LISTED) {
        setup::say(&headline(turn))?;
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
    setup::say(&headline(turn))?;
    if let Some(failure) = &turn.failure {
        setup::say(&format!("  failed: {failure}"))?;
    }
    if !turn.account.is_empty() {
        setup::say(&format!("  asked with {}", turn.account))?;
    }
    if let Some(cost) = turn.cost_usd {
        setup::say(&format!("  cost ${cost:.4}"))?;
    }
    for note in &turn.notes {
        setup::say(&format!("  {note}"))?;
    }
    if turn.notes.is_empty() {
        setup::say("  nothing was changed, and nothing noted")?;
    }
    Ok(())
}
