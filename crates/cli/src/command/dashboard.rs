//! `latimer dashboard`: an address that opens the page once, within a minute.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use latimer_watchdog::run::status::WatchdogPhase;
use serde_json::{Value, json};

use crate::browser;
use crate::configuration::PathArgs;
use crate::proxy_client::{self, ProvenProxy};
use crate::spawn::start_watchdog;
use crate::terminal::{eprint_line, print_line};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer dashboard             open the page; what is needed is started\n  latimer dashboard --no-open   only print its address\n\nThe address holds a code that opens the page once, within a minute. The session it begins lasts twelve hours."
)]
pub(crate) struct DashboardArgs {
    /// Open no browser
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &DashboardArgs) -> anyhow::Result<ExitCode> {
    let proxy = running_proxy(&args.paths)?;
    let answer = proxy.post("/api/v1/codes", &json!({}));
    let (status, body) =
        answer.with_context(|| format!("the proxy at {} has stopped meanwhile", proxy.url))?;
    ensure!(
        status == 200,
        "the proxy at {} has no page (it answered with {status}): it is of an older latimer; restart it with `latimer down`, `latimer up`",
        proxy.url
    );
    let document: Value = serde_json::from_slice(&body).context("reading the answer")?;
    let code = document["code"].as_str().context("the proxy answered without a code")?;
    let address = format!("{}/ui/#{code}", local(&proxy.url));
    print_line(&address)?;
    if !args.no_open {
        browser::open(&address);
    }
    Ok(ExitCode::SUCCESS)
}

/// The running proxy; where none runs, the watchdog and its proxy are started.
fn running_proxy(paths: &PathArgs) -> anyhow::Result<ProvenProxy> {
    let state_dir = paths.state_dir()?;
    let configuration = paths.configuration()?;
    let config = &configuration.loaded.config;
    if let Some(proxy) = proxy_client::find(&state_dir, config)? {
        return Ok(proxy);
    }
    eprint_line("nothing runs; the watchdog and its proxy are started");
    let status = start_watchdog(&state_dir, &configuration, None, None)
        .context("starting what the page needs; `latimer serve` runs the proxy alone")?;
    if status.phase == WatchdogPhase::Holding {
        bail!("the proxy does not start; `latimer status` says why");
    }
    proxy_client::find(&state_dir, config)?.ok_or_else(|| proxy_client::nobody(config))
}

/// An address of every network is no address for a browser.
fn local(url: &str) -> String {
    url.replacen("//0.0.0.0:", "//127.0.0.1:", 1).replacen("//[::]:", "//[::1]:", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_an_address_of_this_machine() {
        assert_eq!(local("http://0.0.0.0:4180"), "http://127.0.0.1:4180");
        assert_eq!(local("http://[::]:4180"), "http://[::1]:4180");
        assert_eq!(local("http://127.0.0.1:1"), "http://127.0.0.1:1");
    }
}
