//! `latimer agents check`: every agent of the configuration, without a running proxy and without a turn.

use std::process::ExitCode;

use latimer_adapters::agents::probe::ProbeProblem;
use serde_json::{Value, json};

use crate::command::agent_probe;
use crate::configuration::PathArgs;
use crate::exit::Exit;
use crate::terminal::{print_json, print_line};

pub(super) fn run(paths: &PathArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = paths.configuration()?.loaded.config;
    let state_dir = paths.state_dir()?;
    let (mut all, mut is_fine) = (Vec::new(), true);
    for endpoint in &config.endpoints {
        let Some(found) = agent_probe::of_endpoint(&config, endpoint, &state_dir) else { continue };
        let found = found?;
        let problems: Vec<String> = found.problems.iter().map(ProbeProblem::words).collect();
        is_fine &= problems.is_empty();
        if !as_json {
            let version = found.version.as_deref().unwrap_or("no version");
            let program = endpoint.protocol.name();
            print_line(&format!(
                "{}  {program}  {version}{}",
                endpoint.name,
                if problems.is_empty() { "  fine" } else { "" }
            ))?;
            for problem in &problems {
                print_line(&format!("  {problem}"))?;
            }
        }
        all.push(json!({ "endpoint": endpoint.name.as_str(), "protocol": endpoint.protocol.name(), "version": found.version, "problems": problems }));
    }
    if as_json {
        print_json(&json!({ "data": Value::Array(all) }))?;
    } else if all.is_empty() {
        print_line(
            "no endpoint of the configuration is an agent; docs/agents-as-providers.md says how one becomes one",
        )?;
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { Exit::Unwell.into() })
}
