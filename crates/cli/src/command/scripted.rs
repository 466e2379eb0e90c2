//! `latimer scripted`: the scripted provider as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use latimer_adapters::scripted::{Provider, Scenario};

use crate::setup;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer scripted --scenario scenario.json --listen 127.0.0.1:0")]
pub(crate) struct Args {
    /// What to answer, as JSON
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.scenario.display();
    let text =
        std::fs::read_to_string(&args.scenario).with_context(|| format!("reading the scenario `{shown}`"))?;
    let scenario: Scenario =
        serde_json::from_str(&text).with_context(|| format!("the scenario `{shown}`"))?;
    let _ = rlimit::increase_nofile_limit(1 << 16);
    setup::runtime()?.block_on(async {
        let provider =
            Provider::bind(args.listen, scenario).await.context("starting the scripted provider")?;
        setup::say(&format!("scripted provider listening on {}", provider.base_url()))?;
        tokio::signal::ctrl_c().await.context("watching for Ctrl-C")?;
        Ok(ExitCode::SUCCESS)
    })
}
