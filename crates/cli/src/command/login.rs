//! `latimer login`: an account for an endpoint. One file below for each way to log in.

mod agent;
mod callback;
mod oauth;
mod prompt;
mod request;
mod session;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use latimer_adapters::agents::login::LoginWay;
use latimer_adapters::auth::provider;
use latimer_proxy::accounts::file::{self, Tokens};
use latimer_proxy::accounts::{Places, clients, lock, remote_login};
use latimer_proxy::config::Login;

use self::session::LoginSession;
use super::accounts::find_login;
use crate::browser;
use crate::configuration::{PathArgs, account_places};
use crate::dialogue;
use crate::runtime::runtime;
use crate::terminal::{print_address, print_line, print_lines};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer login google\n  latimer login anthropic --no-browser     paste the code that the page shows\n  latimer login command-code               asks for the key; it is never an argument\n  latimer login codex --endpoint agent     the login of an agent, in the endpoint's own home\n\nClient ids of providers are not built in: see the message when one is missing."
)]
pub(crate) struct LoginArgs {
    /// google, antigravity, codebuff, anthropic, command-code or chatgpt; or an agent: codex, claude or opencode
    login: String,
    /// The endpoint of an agent that is logged in; not needed where there is only one of it
    #[arg(long, value_name = "NAME", add = crate::complete::endpoints())]
    endpoint: Option<String>,
    /// For codex: read a key from stdin instead
    #[arg(long)]
    with_api_key: bool,
    /// Open no browser: print the address, and read the code or the whole address that comes back from stdin
    #[arg(long)]
    no_browser: bool,
    /// How long to wait for the person, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &LoginArgs) -> anyhow::Result<ExitCode> {
    if agent::is_agent(&args.login) {
        let way = match (args.with_api_key, args.no_browser) {
            (true, _) => LoginWay::ApiKey,
            (false, true) => LoginWay::Device,
            (false, false) => LoginWay::Browser,
        };
        return agent::run(&args.login, args.endpoint.as_deref(), way, &args.paths);
    }
    ensure!(args.endpoint.is_none(), "--endpoint is for the logins of agents: codex, claude, opencode");
    let login = find_login(&args.login)?;
    let state_dir = args.paths.state_dir()?;
    let places = account_places(&state_dir, args.paths.outbound()?);
    let timeout = Duration::from_secs(args.timeout);
    let tokens = match login {
        Login::CommandCode => api_key()?,
        Login::Codebuff => runtime()?.block_on(remote(login, !args.no_browser, timeout, &places))?,
        _ => runtime()?.block_on(provider_login(login, !args.no_browser, timeout, &places))?,
    };
    let path = file::path(&state_dir, login, &tokens.id);
    // A refresh of the same account may be under way in a running proxy: its token must not overwrite this one.
    let lock = lock::take_blocking(&path);
    let _lock = lock.with_context(|| format!("locking `{}`", path.display()))?;
    file::write(&path, login, &tokens).with_context(|| format!("writing `{}`", path.display()))?;
    print_line(&format!("logged in {} at {}", tokens.id, args.login))?;
    Ok(ExitCode::SUCCESS)
}

/// A login at a provider with token endpoints: in the browser, or by a code on another device where there is none.
async fn provider_login(
    login: Login,
    opens_browser: bool,
    timeout: Duration,
    places: &Arc<Places>,
) -> anyhow::Result<Tokens> {
    let provider = provider::find(login.name()).context("this login has no address")?;
    let registered = clients::find(provider, places).map_err(anyhow::Error::msg)?;
    if provider.device.is_some() && !opens_browser {
        return remote(login, false, timeout, places).await;
    }
    oauth::login(&LoginSession { login, provider, registered, opens_browser, timeout, places }).await
}

/// A login at an address that may be opened on any device, with a code to type there where the provider wants one.
async fn remote(
    login: Login,
    opens_browser: bool,
    timeout: Duration,
    places: &Arc<Places>,
) -> anyhow::Result<Tokens> {
    let begun = remote_login::begin(login, places).await.map_err(anyhow::Error::msg)?;
    if let Some(code) = &begun.code {
        print_lines([
            "open this address on any device:",
            "",
            begun.url.as_str(),
            "",
            "and type this code:",
            "",
            code.as_str(),
            "",
        ])?;
    } else {
        print_line("open this address and say yes:")?;
        print_address(&begun.url)?;
    }
    if opens_browser {
        browser::open(&begun.url);
    }
    begun.wait(places, timeout).await.map_err(anyhow::Error::msg)
}

/// A key, read from stdin: arguments can be seen by everybody on the machine.
fn api_key() -> anyhow::Result<Tokens> {
    let key = dialogue::secret("paste the API key (it begins with `user_`; it is not shown): ")?;
    check_key(key.expose())?;
    Ok(Tokens::lasting(file::fingerprint_id(Login::CommandCode, &key), key))
}

/// A key of Command Code is one word that begins with `user_`: whatever else was pasted is no key.
fn check_key(key: &str) -> anyhow::Result<()> {
    ensure!(
        key.strip_prefix("user_").is_some_and(|rest| rest.len() >= 8)
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')),
        "that is no API key of Command Code: it is one word that begins with `user_`; its page shows it under API keys"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_is_taken_for_one() {
        assert!(check_key("user_0123456789abcdef").is_ok());
        for other in ["sk-0123456789", "user_", "user_1 2345678", "https://x/?key=user_12345678", "y"] {
            assert!(check_key(other).is_err(), "{other}");
        }
    }
}
