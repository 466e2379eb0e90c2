//! `latimer accounts` and `latimer logout`: who is logged in.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::accounts::{self, file, lock};
use latimer_proxy::config::Login;
use serde_json::json;

use crate::clock::unix_seconds;
use latimer_adapters::transport::outbound::Outbound;

use crate::configuration::{PathArgs, ReportArgs, account_places};
use crate::terminal::{eprint_line, print_folded, print_json};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer accounts\n  latimer accounts --json\n\nAccounts of the vendors' own tools are found too; their files are only ever read."
)]
pub(crate) struct AccountsArgs {
    #[command(flatten)]
    report: ReportArgs,
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
    paths: PathArgs,
}

pub(crate) fn run(AccountsArgs { report }: &AccountsArgs) -> anyhow::Result<ExitCode> {
    let places = account_places(&report.paths.state_dir()?, Outbound::Direct);
    let now = unix_seconds();
    let found: Vec<accounts::AccountList> =
        Login::ALL.iter().map(|login| accounts::load(*login, &places)).collect();
    let states: Vec<_> =
        found.iter().flat_map(|found| &found.accounts).map(|account| account.state(now)).collect();
    let problems: Vec<&String> = found.iter().flat_map(|found| &found.problems).collect();
    if report.json {
        print_json(
            &json!({ "schema_version": SCHEMA_VERSION, "object": "list", "data": states, "problems": problems }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    if states.is_empty() {
        print_folded("nobody is logged in; `latimer login google` and the like change that")?;
    }
    for state in &states {
        let left = state.expires_at.map_or_else(String::new, |at| {
            format!("  token for {} more minutes", at.saturating_sub(now) / 60)
        });
        print_folded(&format!(
            "{:12}  {}  {}{left}  ({})",
            state.login, state.id, state.state, state.source
        ))?;
    }
    for problem in problems {
        eprint_line(problem);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn logout(args: &LogoutArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let login = find_login(&args.login)?;
    let path = match &args.id {
        Some(id) => file::path(&state_dir, login, id),
        None => only_file(file::list(&state_dir, login), &args.login)?,
    };
    let id =
        file::read(&path).map_or_else(|_| "an account that cannot be read".to_owned(), |tokens| tokens.id);
    let lock = lock::take_blocking(&path);
    let _lock = lock.with_context(|| format!("locking `{}`", path.display()))?;
    std::fs::remove_file(&path).with_context(|| format!("removing `{}`", path.display()))?;
    print_folded(&format!("logged out {id} of {}", args.login))?;
    Ok(ExitCode::SUCCESS)
}

/// The file that is meant when no account is named.
fn only_file(mut files: Vec<PathBuf>, login: &str) -> anyhow::Result<PathBuf> {
    match (files.pop(), files.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => {
            bail!("several accounts are logged in at `{login}`; name one, `latimer accounts` lists them")
        }
        (None, _) => bail!("nobody is logged in at `{login}`"),
    }
}

/// The login of this name.
///
/// # Errors
/// There is none; the error lists those there are.
pub(super) fn find_login(name: &str) -> anyhow::Result<Login> {
    Login::from_name(name).with_context(|| {
        let names: Vec<&str> = Login::ALL.iter().map(|login| login.name()).collect();
        format!("there is no login `{name}`; there are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_is_not_there_is_answered_with_those_that_are() {
        for login in Login::ALL {
            assert_eq!(find_login(login.name()).expect("known").name(), login.name());
        }
        let error = find_login("nowhere").expect_err("unknown").to_string();
        assert!(error.contains("google") && error.contains("chatgpt"), "{error}");
    }

    #[test]
    fn an_account_need_not_be_named_where_there_is_one() {
        let files = |count: usize| (0..count).map(|number| PathBuf::from(number.to_string())).collect();
        assert_eq!(only_file(files(1), "google").expect("one"), PathBuf::from("0"));
        assert!(only_file(files(0), "google").expect_err("none").to_string().contains("nobody is logged in"));
        assert!(only_file(files(2), "google").expect_err("two").to_string().contains("several accounts"));
    }
}
