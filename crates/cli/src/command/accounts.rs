//! `latimer accounts` and `latimer logout`: who is logged in.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use latimer_proxy::accounts::{self, file, lock};
use latimer_proxy::config::Login;
use serde_json::json;

use crate::setup::{self, Places};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer accounts\n  latimer accounts --json\n\nAccounts of the vendors' own tools are found too; their files are only ever read."
)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer logout google me@example.com\n\nOnly latimer's own file is removed; a vendor's file is never touched."
)]
pub(crate) struct LogoutArgs {
    /// google, antigravity, codebuff, anthropic, command-code or chatgpt
    login: String,
    /// The account; without it, the only one there is
    id: Option<String>,
    #[command(flatten)]
    places: Places,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let places = setup::accounts(&args.places.state()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let found: Vec<accounts::AccountList> =
        Login::ALL.iter().map(|login| accounts::load(*login, &places)).collect();
    let states: Vec<_> =
        found.iter().flat_map(|found| &found.accounts).map(|account| account.state(now)).collect();
    let problems: Vec<&String> = found.iter().flat_map(|found| &found.problems).collect();
    if args.json {
        let document = json!({ "object": "list", "data": states, "problems": problems });
        setup::say(&serde_json::to_string_pretty(&document)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if states.is_empty() {
        setup::say("nobody is logged in; `latimer login google` and the like change that")?;
    }
    for state in &states {
        let left = state.expires_at.map_or_else(String::new, |at| {
            format!("  token for {} more minutes", at.saturating_sub(now) / 60)
        });
        setup::say(&format!("{:12}  {}  {}{left}  ({})", state.login, state.id, state.state, state.source))?;
    }
    for problem in problems {
        setup::complain(problem);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn logout(args: &LogoutArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    let login = named(&args.login)?;
    let files = file::list(&state_dir, login);
    let path = match (&args.id, files.as_slice()) {
        (Some(id), _) => file::path(&state_dir, login, id),
        (None, [only]) => only.clone(),
        (None, []) => bail!("nobody is logged in at `{}`", args.login),
        (None, _) => bail!(
            "several accounts are logged in at `{}`; name one, `latimer accounts` lists them",
            args.login
        ),
    };
    let who =
        file::read(&path).map_or_else(|_| "an account that cannot be read".to_owned(), |tokens| tokens.id);
    let locked = lock::take_blocking(&path);
    let _lock = locked.with_context(|| format!("locking `{}`", path.display()))?;
    std::fs::remove_file(&path).with_context(|| format!("removing `{}`", path.display()))?;
    setup::say(&format!("logged out {who} of {}", args.login))?;
    Ok(ExitCode::SUCCESS)
}

/// The login of this name.
pub(crate) fn named(name: &str) -> anyhow::Result<Login> {
    let names: Vec<&str> = Login::ALL.iter().map(|login| login.name()).collect();
    Login::from_name(name)
        .with_context(|| format!("there is no login `{name}`; there are: {}", names.join(", ")))
}
