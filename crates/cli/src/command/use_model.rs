//! `latimer use`: which model `latimer launch` takes from now on.

use std::process::ExitCode;

use anyhow::ensure;
use latimer_proxy::config::Config;
use toml_edit::{Item, Table, value};

use super::launch::model::choose_model;
use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::terminal::print_line;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer use deepseek                        its first model, for every client\n  latimer use deepseek/deepseek-v4-flash\n  latimer use glm-5 --for codex\n  latimer use deepseek/deepseek-v4-flash --role small\n\nIt writes [launch] of the configuration file; the change is shown, and the old file is kept beside it."
)]
pub(crate) struct UseArgs {
    /// An endpoint, `endpoint/model`, a model or a route
    #[arg(value_name = "ENDPOINT[/MODEL]")]
    target: String,
    /// Only for this client
    #[arg(long = "for", value_name = "CLIENT", value_parser = ["codex", "claude", "opencode", "gemini"])]
    client: Option<String>,
    /// For the work, or for titles and other small questions
    #[arg(long, value_name = "ROLE", value_parser = ["main", "small"], default_value = "main")]
    role: String,
    #[command(flatten)]
    paths: PathArgs,
}

pub(crate) fn run(args: &UseArgs) -> anyhow::Result<ExitCode> {
    let configuration = args.paths.configuration()?;
    let model = meant(&configuration.loaded.config, &args.target)?;
    let mut file = ConfigFile::open(&args.paths.config_target()?)?;
    let field = if args.role == "small" { "small_model" } else { "model" };
    let launch = file.document.entry("launch").or_insert(Item::Table(Table::new()));
    let mut table = launch.as_table_like_mut();
    if let Some(client) = &args.client {
        table = table
            .and_then(|launch| launch.entry(client).or_insert(Item::Table(Table::new())).as_table_like_mut());
    }
    ensure!(table.is_some(), "`launch` of the configuration is no table; `latimer check` says where");
    if let Some(table) = table {
        table.insert(field, value(&model));
    }
    file.write()?;
    let who = args.client.as_deref().unwrap_or("<client>");
    print_line(&format!("{model} it is; `latimer launch {who}` takes it"))?;
    Ok(ExitCode::SUCCESS)
}

/// The name to ask for: an endpoint stands for its first model.
fn meant(config: &Config, target: &str) -> anyhow::Result<String> {
    let is_endpoint = config.endpoints.iter().any(|endpoint| endpoint.name.as_str() == target);
    if is_endpoint {
        choose_model(config, Some(target), None)
    } else {
        choose_model(config, None, Some(target))
    }
}
