//! `latimer token`: what clients must send, printed for a shell, or exchanged.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use latimer_protocol::secret::Secret;
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::config::{Auth, Config, state};
use serde_json::json;

use crate::configuration::PathArgs;
use crate::terminal::{eprint_line, print_json, print_secret};
use crate::{clock, proxy_client};

/// How long a running proxy may take to take up a new token; it looks every second.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is asked whether it did.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  curl -H \"Authorization: Bearer $(latimer token)\" http://127.0.0.1:4180/v1/models\n  latimer token --rotate     the old one opens nothing any more\n\nThe token is for this machine's clients of latimer. It is no key of a provider."
)]
pub(crate) struct TokenArgs {
    /// Exchange it: a running proxy takes up the new one, clients that run must be started again
    #[arg(long)]
    rotate: bool,
    /// Say as JSON where it is and whether it is wanted, without the token itself
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let config = args.paths.configuration_or_default()?;
    if args.rotate {
        rotate(&state_dir, &config)?;
        if !args.json {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let token = state::token(&state_dir).context("the access token")?;
    if args.json {
        print_json(&document(&state_dir, &config, &token))?;
    } else {
        if config.server.auth == Auth::None {
            eprint_line("server.auth is \"none\": the proxy takes requests without it");
        }
        print_secret(&token)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn document(state_dir: &Path, config: &Config, token: &Secret) -> serde_json::Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "path": state_dir.join(state::TOKEN_FILE).to_string_lossy(),
        "is_wanted": config.server.auth == Auth::Token,
        "fingerprint": token.fingerprint(),
    })
}

/// Exchanges the token, and waits until a running proxy has taken it up.
fn rotate(state_dir: &Path, config: &Config) -> anyhow::Result<()> {
    let runs = proxy_client::find(state_dir, config)?.is_some();
    state::exchange_token(state_dir).context("exchanging the access token")?;
    if !runs {
        eprint_line("the token was exchanged; nothing runs that had the old one");
        return Ok(());
    }
    let asked_at = clock::now();
    while !matches!(proxy_client::find(state_dir, config), Ok(Some(_))) {
        if asked_at.elapsed() > EXCHANGE_TIMEOUT {
            eprint_line(
                "the token was exchanged, but the running proxy has not taken it up; restart it: latimer down, latimer up",
            );
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    eprint_line(
        "the token was exchanged, and the running proxy has it; clients that run have the old one, start them again",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    #[test]
    fn the_document_holds_no_token_and_an_exchange_makes_another_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = load_text("[server]\nauth = \"none\"\n").expect("a configuration").config;
        let token = state::token(dir.path()).expect("a token");
        let said = document(dir.path(), &config, &token);
        assert!(!said.to_string().contains(token.expose()) && said["is_wanted"] == false, "{said}");
        let other = state::exchange_token(dir.path()).expect("another");
        assert_ne!(other, token);
        assert_eq!(state::token(dir.path()).expect("read"), other);
    }
}
