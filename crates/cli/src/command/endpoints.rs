//! `latimer endpoints`: what is configured, how it is doing, and what it taught.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use latimer_adapters::limitation::Limitation;
use latimer_protocol::status::EndpointState;
use latimer_proxy::config::{Config, Endpoint};
use latimer_proxy::route::limitations::{self, LimitationsFile};
use serde_json::json;

use crate::configuration::PathArgs;
use crate::proxy_client;
use crate::terminal::{eprint_line, print_json, print_line};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer endpoints                  all of them, a line each\n  latimer endpoints show deepseek    one of them: its models, its state, what it taught\n  latimer endpoints forget deepseek  forget what it taught; the running proxy hears of it"
)]
pub(crate) struct EndpointsArgs {
    #[command(subcommand)]
    action: Option<EndpointsAction>,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

#[derive(Debug, clap::Subcommand)]
enum EndpointsAction {
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

pub(crate) fn run(args: &EndpointsArgs) -> anyhow::Result<ExitCode> {
    let state_dir = args.paths.state_dir()?;
    let path = state_dir.join(limitations::FILE);
    let config = args.paths.configuration()?.loaded.config;
    match &args.action {
        Some(EndpointsAction::Forget { name }) => forget(&path, name.as_deref())?,
        Some(EndpointsAction::Show { name }) => {
            let endpoint = find_endpoint(&config, name)?;
            show(endpoint, states(&config, &state_dir).as_deref(), &path, args.json)?;
        }
        None => list(&config, states(&config, &state_dir).as_deref(), &path, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn find_endpoint<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Endpoint> {
    config.endpoints.iter().find(|endpoint| endpoint.name.as_str() == name).with_context(|| {
        let names: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        format!("no endpoint is called `{name}`; there are: {}", names.join(", "))
    })
}

/// How the endpoints of the running proxy are doing; `None` when none runs.
fn states(config: &Config, state_dir: &Path) -> Option<Vec<EndpointState>> {
    match proxy_client::find(state_dir, config) {
        Ok(proxy) => proxy?.health().map(|health| health.endpoints),
        Err(problem) => {
            eprint_line(&format!("latimer: {problem:#}"));
            None
        }
    }
}

fn list(config: &Config, states: Option<&[EndpointState]>, path: &Path, as_json: bool) -> anyhow::Result<()> {
    let limitations = limitations::read(path).unwrap_or_default();
    if as_json {
        let all: Vec<_> = config
            .endpoints
            .iter()
            .map(|endpoint| document(endpoint, state_of(endpoint, states), &limitations))
            .collect();
        return print_json(&all);
    }
    if config.endpoints.is_empty() {
        return print_line("no endpoint is configured; `latimer presets` lists what is known by name");
    }
    let width = config.endpoints.iter().map(|endpoint| endpoint.name.as_str().len()).max().unwrap_or(0);
    for endpoint in &config.endpoints {
        let state = state_of(endpoint, states).map_or("not running", |state| state.state.as_str());
        let count = limitations_of(endpoint, &limitations).len();
        let learned = if count == 0 { String::new() } else { format!("  {count} lessons") };
        print_line(&format!(
            "{:width$}  {:12}  {:11}  {}{learned}",
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
    let state = state_of(endpoint, states);
    if as_json {
        return print_json(&document(endpoint, state, &limitations));
    }
    print_line(&format!("{}  {}  {}", endpoint.name, endpoint.protocol.name(), endpoint.base_url))?;
    match state {
        Some(state) => print_line(&format!(
            "  {}: {} turns, {} failed, {} open; {} of {} keys rest{}",
            state.state,
            state.turns_total,
            state.turns_failed,
            state.turns_open,
            state.keys_resting,
            state.keys,
            state.last_failure.as_ref().map_or_else(String::new, |code| format!("; last failure: {code}")),
        ))?,
        None => print_line("  no proxy runs")?,
    }
    for model in &endpoint.models {
        print_line(&format!("  model {}", model.id))?;
    }
    let learned = limitations_of(endpoint, &limitations);
    if learned.is_empty() {
        print_line("  nothing was learned of it")?;
    }
    for (model, limitation) in learned {
        print_line(&format!("  learned of {model}: {} ({limitation})", limitation.meaning()))?;
    }
    Ok(())
}

fn forget(path: &Path, name: Option<&str>) -> anyhow::Result<()> {
    let mut file = limitations::read(path).unwrap_or_default();
    let count = remove_limitations(&mut file, name);
    if count == 0 {
        return print_line("there was nothing to forget");
    }
    limitations::write(path, &file)?;
    print_line(&format!("forgot {count} lessons"))
}

/// Removes what was learned of this endpoint, or of all; says how much it was.
fn remove_limitations(document: &mut LimitationsFile, name: Option<&str>) -> usize {
    let count = |document: &LimitationsFile| document.limitations.values().map(BTreeMap::len).sum::<usize>();
    let before = count(document);
    let belongs_to =
        |target: &str, name: &str| target.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    document.limitations.retain(|target, _| name.is_some_and(|name| !belongs_to(target, name)));
    before - count(document)
}

fn state_of<'s>(endpoint: &Endpoint, states: Option<&'s [EndpointState]>) -> Option<&'s EndpointState> {
    states?.iter().find(|state| state.name == endpoint.name.as_str())
}

/// The models of an endpoint and what was learned of each, in the order of the file.
fn limitations_of<'d>(endpoint: &Endpoint, document: &'d LimitationsFile) -> Vec<(&'d str, Limitation)> {
    let of = |target: &'d str| target.strip_prefix(endpoint.name.as_str())?.strip_prefix('/');
    let all =
        document.limitations.iter().filter_map(|(target, limitations)| Some((of(target)?, limitations)));
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
    let learned: Vec<_> = limitations_of(endpoint, limitations)
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
        "learned": learned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    fn learned() -> LimitationsFile {
        let code = Limitation::NoTools.code();
        let lessons = |target: &str| (target.to_owned(), BTreeMap::from([(code.to_owned(), 1)]));
        LimitationsFile { limitations: ["a/m", "a/n", "ab/m"].map(lessons).into() }
    }

    #[test]
    fn only_what_an_endpoint_taught_is_forgotten() {
        let mut document = learned();
        assert_eq!(remove_limitations(&mut document, Some("a")), 2);
        assert_eq!(document.limitations.keys().collect::<Vec<_>>(), ["ab/m"]);
        assert_eq!(remove_limitations(&mut document, None), 1);
        assert_eq!(remove_limitations(&mut document, None), 0);
    }

    #[test]
    fn a_document_holds_the_models_and_what_was_learned_of_them() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n";
        let config = load_text(text).expect("a configuration").config;
        let endpoint = find_endpoint(&config, "a").expect("found");
        let document = document(endpoint, None, &learned());
        assert_eq!((&document["models"], &document["state"]), (&json!(["m"]), &json!(null)));
        let models: Vec<_> =
            document["learned"].as_array().into_iter().flatten().map(|lesson| &lesson["model"]).collect();
        assert_eq!(models, ["m", "n"]);
        let error = find_endpoint(&config, "z").expect_err("none").to_string();
        assert_eq!(error, "no endpoint is called `z`; there are: a");
    }
}
