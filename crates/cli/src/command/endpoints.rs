//! `latimer endpoints`: what is configured, how it is doing, and what it taught.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use latimer_adapters::limitation::Limitation;
use latimer_protocol::status::EndpointState;
use latimer_proxy::config::{Auth, Config, Endpoint, state};
use latimer_proxy::route::limitations::{self, LimitationsFile};
use serde_json::json;

use crate::running;
use crate::setup::{self, Places};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer endpoints                  all of them, a line each\n  latimer endpoints show deepseek    one of them: its models, its state, what it taught\n  latimer endpoints forget deepseek  forget what it taught; the running proxy hears of it"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show one endpoint
    Show {
        /// Its name in the configuration
        name: String,
    },
    /// Forget what an endpoint taught, or what all of them did
    Forget {
        /// Its name in the configuration; without it, all
        name: Option<String>,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.places.state()?;
    let path = state_dir.join(limitations::FILE);
    let config = args.places.configuration()?.loaded.config;
    match &args.action {
        Some(Action::Forget { name }) => forget(&path, name.as_deref())?,
        Some(Action::Show { name }) => {
            let Some(endpoint) = config.endpoints.iter().find(|endpoint| endpoint.name.as_str() == name)
            else {
                let known: Vec<&str> =
                    config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
                bail!("no endpoint is called `{name}`; there are: {}", known.join(", "));
            };
            show(endpoint, states(&config, &state_dir).as_deref(), &path, args.json)?;
        }
        None => list(&config, states(&config, &state_dir).as_deref(), &path, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How the endpoints of the running proxy are doing; `None` when none runs.
fn states(config: &Config, state_dir: &Path) -> Option<Vec<EndpointState>> {
    let token = if config.server.auth == Auth::Token { state::token(state_dir).ok() } else { None };
    let urls = running::urls(state_dir, config);
    urls.iter().find_map(|url| running::health(url, token.as_ref())).map(|health| health.endpoints)
}

fn list(config: &Config, states: Option<&[EndpointState]>, path: &Path, as_json: bool) -> anyhow::Result<()> {
    let limitations = limitations::read(path).unwrap_or_default();
    if as_json {
        let all: Vec<_> = config
            .endpoints
            .iter()
            .map(|endpoint| document(endpoint, find(endpoint, states), &limitations))
            .collect();
        return setup::say(&serde_json::to_string_pretty(&all)?);
    }
    if config.endpoints.is_empty() {
        return setup::say("no endpoint is configured; `latimer presets` lists what is known by name");
    }
    let width = config.endpoints.iter().map(|endpoint| endpoint.name.as_str().len()).max().unwrap_or(0);
    for endpoint in &config.endpoints {
        let state = find(endpoint, states).map_or("not running", |state| state.state.as_str());
        let taught = taught(endpoint, &limitations).len();
        let taught = if taught == 0 { String::new() } else { format!("  {taught} lessons") };
        setup::say(&format!(
            "{:width$}  {:12}  {:11}  {}{taught}",
            endpoint.name.as_str(),
            endpoint.protocol.name(),
            state,
            endpoint.base_url
        ))?;
    }
    Ok(())
}

fn show(
    endpoint: &Endpoint,
    states: Option<&[EndpointState]>,
    path: &Path,
    as_json: bool,
) -> anyhow::Result<()> {
    let limitations = limitations::read(path).unwrap_or_default();
    let state = find(endpoint, states);
    if as_json {
        return setup::say(&serde_json::to_string_pretty(&document(endpoint, state, &limitations))?);
    }
    setup::say(&format!("{}  {}  {}", endpoint.name, endpoint.protocol.name(), endpoint.base_url))?;
    match state {
        Some(state) => setup::say(&format!(
            "  {}: {} turns, {} failed, {} open; {} of {} keys rest{}",
            state.state,
            state.turns_total,
            state.turns_failed,
            state.turns_open,
            state.keys_resting,
            state.keys,
            state.last_failure.as_ref().map_or_else(String::new, |code| format!("; last failure: {code}")),
        ))?,
        None => setup::say("  no proxy runs")?,
    }
    for model in &endpoint.models {
        setup::say(&format!("  model {}", model.id))?;
    }
    let taught = taught(endpoint, &limitations);
    if taught.is_empty() {
        setup::say("  nothing was learned of it")?;
    }
    for (model, limitation) in taught {
        setup::say(&format!("  learned of {model}: {} ({limitation})", limitation.meaning()))?;
    }
    Ok(())
}

fn forget(path: &Path, name: Option<&str>) -> anyhow::Result<()> {
    let mut file = limitations::read(path).unwrap_or_default();
    let before: usize = file.limitations.values().map(std::collections::BTreeMap::len).sum();
    let of = |target: &str, name: &str| target.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    file.limitations.retain(|target, _| name.is_some_and(|name| !of(target, name)));
    let after: usize = file.limitations.values().map(std::collections::BTreeMap::len).sum();
    if before == after {
        return setup::say("there was nothing to forget");
    }
    limitations::write(path, &file)?;
    setup::say(&format!("forgot {} lessons", before - after))
}

fn find<'s>(endpoint: &Endpoint, states: Option<&'s [EndpointState]>) -> Option<&'s EndpointState> {
    states?.iter().find(|state| state.name == endpoint.name.as_str())
}

/// Model and lesson, in the order of the file.
fn taught<'d>(endpoint: &Endpoint, file: &'d LimitationsFile) -> Vec<(&'d str, Limitation)> {
    let of = |target: &'d str| target.strip_prefix(endpoint.name.as_str())?.strip_prefix('/');
    let all = file.limitations.iter().filter_map(|(target, limitations)| Some((of(target)?, limitations)));
    all.flat_map(|(model, limitations)| {
        limitations.keys().filter_map(move |code| Some((model, Limitation::from_code(code)?)))
    })
    .collect()
}

fn document(
    endpoint: &Endpoint,
    state: Option<&EndpointState>,
    limitations: &LimitationsFile,
) -> serde_json::Value {
    let taught: Vec<_> = taught(endpoint, limitations)
        .into_iter()
        .map(
            |(model, limitation)| json!({ "model": model, "lesson": limitation.code(), "meaning": limitation.meaning() }),
        )
        .collect();
    json!({
        "name": endpoint.name.as_str(),
        "preset": endpoint.preset,
        "protocol": endpoint.protocol.name(),
        "base_url": endpoint.base_url,
        "models": endpoint.models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
        "state": state,
        "learned": taught,
    })
}
