//! `latimer scripted`: the scripted provider as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use latimer_adapters::scripted::{Provider, Scenario};

use crate::runtime::{raise_descriptor_limit, runtime};
use crate::terminal::print_line;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latimer scripted --scenario scenario.json --listen 127.0.0.1:0")]
pub(crate) struct ScriptedArgs {
    /// What to answer, as JSON
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(crate) fn run(args: &ScriptedArgs) -> anyhow::Result<ExitCode> {
    let scenario = read_scenario(&args.scenario)?;
    raise_descriptor_limit();
    runtime()?.block_on(async {
        let provider =
            Provider::bind(args.listen, scenario).await.context("starting the scripted provider")?;
        print_line(&format!("scripted provider listening on {}", provider.base_url()))?;
        tokio::signal::ctrl_c().await.context("watching for Ctrl-C")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn read_scenario(path: &Path) -> anyhow::Result<Scenario> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading the scenario `{shown}`"))?;
    serde_json::from_str(&text).with_context(|| format!("the scenario `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_that_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("scenario.json");
        let error = || format!("{:#}", read_scenario(&path).expect_err("unusable"));
        assert!(error().contains("reading the scenario") && error().contains("scenario.json"), "{}", error());
        std::fs::write(&path, "[").expect("written");
        assert!(error().contains("the scenario") && error().contains("scenario.json"), "{}", error());
    }
}
