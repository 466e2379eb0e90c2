//! `latimer endpoints`: what is configured, how it is doing, and what it taught.

mod ask;
mod change;
pub(super) mod edit;
mod provider_models;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use latimer_protocol::status::{EndpointState, Problem, SCHEMA_VERSION, duration_text, endpoint_problem};
use latimer_proxy::config::{Config, Endpoint};
use latimer_proxy::route::limitations::{self, LearnedLesson, LimitationsFile};
use latimer_watchdog::time::Time;
use serde_json::json;

use crate::clock::unix_seconds;
use crate::configuration::PathArgs;
use crate::proxy_client;
use crate::terminal::{eprint_line, print_folded, print_json, print_line};
use crate::turn_text::shown;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer endpoints                  all of them, a line each\n  latimer endpoints show deepseek    one of them: its models, its state, what it taught\n  latimer endpoints forget deepseek  forget what it taught; the running proxy hears of it\n  latimer endpoints forget deepseek no_images   forget one lesson, by the name that `show` gives it\n  latimer endpoints add deepseek --preset deepseek --key-env DEEPSEEK_API_KEY\n  latimer endpoints add lab --base-url https://lab.example/v1 --key-stdin --model glm-5 < key.txt\n  latimer endpoints add lab --base-url https://lab.example/v1 --protocol auto --key-env LAB_KEY\n  latimer endpoints test deepseek --stream   one short turn: is it there, how fast, does it call tools\n  latimer endpoints models openrouter --filter glm --write\n  latimer endpoints edit lab --key-env LAB_KEY\n  latimer endpoints order deepseek lab\n  latimer endpoints disable deepseek  keep it in the file, and lead nothing to it"
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
    /// List all of them, as without a subcommand
    List,
    /// Add an endpoint to the configuration file
    Add(edit::AddArgs),
    /// Ask an endpoint one short turn, and tell what came
    Test(ask::TestArgs),
    /// List the models of a provider, and take them into the file
    Models(provider_models::ProviderModelsArgs),
    /// Change what an endpoint says in the configuration file
    Edit(change::EditArgs),
    /// Move endpoints to the front; the first one is asked where nothing else is said
    Order {
        /// Their names in the configuration, the first one first
        #[arg(required = true, add = crate::complete::endpoints())]
        names: Vec<String>,
    },
    /// Remove an endpoint from the configuration file
    Remove {
        /// Its name in the configuration
        name: String,
    },
    /// Use a disabled endpoint again
    Enable {
        /// Its name in the configuration
        name: String,
    },
    /// Keep an endpoint in the file, and lead nothing to it
    Disable {
        /// Its name in the configuration
        name: String,
    },
    /// Show one endpoint
    Show {
        /// Its name in the configuration
        #[arg(add = crate::complete::endpoints())]
        name: String,
    },
    /// Forget what an endpoint taught, or what all of them did
    Forget {
        /// Its name in the configuration; without it, all
        #[arg(add = crate::complete::endpoints())]
        name: Option<String>,
        /// One lesson alone, by the name that `show` puts in brackets
        lesson: Option<String>,
    },
}

pub(crate) fn run(args: &EndpointsArgs) -> anyhow::Result<ExitCode> {
    if edit_file(args)? {
        return Ok(ExitCode::SUCCESS);
    }
    let state_dir = args.paths.state_dir()?;
    let path = state_dir.join(limitations::FILE);
    if let Some(EndpointsAction::Models(models)) = &args.action {
        return provider_models::run(&args.paths, models, args.json);
    }
    let config = args.paths.configuration()?.loaded.config;
    match &args.action {
        Some(EndpointsAction::Test(test)) => return ask::run(&config, &state_dir, test, args.json),
        Some(EndpointsAction::Forget { name, lesson }) => {
            forget(&path, name.as_deref(), lesson.as_deref())?;
        }
        Some(EndpointsAction::Show { name }) => {
            let endpoint = find_endpoint(&config, name)?;
            show(endpoint, states(&config, &state_dir).as_deref(), &path, args.json)?;
        }
        _ => list(&config, states(&config, &state_dir).as_deref(), &path, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Carries out what changes the configuration file; `false` where nothing of this kind was asked.
fn edit_file(args: &EndpointsArgs) -> anyhow::Result<bool> {
    let path = || args.paths.config_target();
    match &args.action {
        Some(EndpointsAction::Add(add)) => edit::add(&args.paths, add)?,
        Some(EndpointsAction::Edit(changes)) => change::edit(&args.paths, changes)?,
        Some(EndpointsAction::Order { names }) => change::order(&path()?, names)?,
        Some(EndpointsAction::Remove { name }) => edit::remove(&path()?, name)?,
        Some(EndpointsAction::Enable { name }) => edit::switch(&path()?, name, true)?,
        Some(EndpointsAction::Disable { name }) => edit::switch(&path()?, name, false)?,
        Some(
            EndpointsAction::List
            | EndpointsAction::Test(_)
            | EndpointsAction::Models(_)
            | EndpointsAction::Show { .. }
            | EndpointsAction::Forget { .. },
        )
        | None => {
            return Ok(false);
        }
    }
    Ok(true)
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
    if config.endpoints.is_empty() && config.disabled.is_empty() {
        return print_line(
            "no endpoint is configured; `latimer endpoints add --preset NAME` adds one, `latimer presets` lists the names",
        );
    }
    let width = config.endpoints.iter().map(|endpoint| endpoint.name.as_str().len()).max().unwrap_or(0);
    for endpoint in &config.endpoints {
        let state = state_of(endpoint, states).map_or("not running", |state| state.state.as_str());
        let state =
            if endpoint.keys.is_empty() && !endpoint.missing_keys.is_empty() { "no key" } else { state };
        let count = limitations.of_endpoint(endpoint.name.as_str()).len();
        let learned = if count == 0 { String::new() } else { format!("  {count} lessons") };
        print_folded(&format!(
            "{:width$}  {:12}  {:11}  {}{learned}",
            endpoint.name.as_str(),
            endpoint.protocol.name(),
            state,
            endpoint.base_url
        ))?;
        if let Some(problem) = state_of(endpoint, states).and_then(endpoint_problem) {
            print_folded(&format!("  {}", problem_text(&problem, unix_seconds())))?;
        }
    }
    for endpoint in &config.disabled {
        print_folded(&format!("{:width$}  disabled", endpoint.name.as_str()))?;
    }
    for endpoint in config.endpoints.iter().filter(|endpoint| endpoint.keys.is_empty()) {
        for missing in &endpoint.missing_keys {
            print_folded(&format!("{}: `{missing}` should hold its key, and is not there", endpoint.name))?;
        }
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
    print_folded(&format!("{}  {}  {}", endpoint.name, endpoint.protocol.name(), endpoint.base_url))?;
    match state {
        Some(state) => {
            print_folded(&format!(
                "  {}: {} turns, {} failed, {} open; {} of {} keys rest{}",
                state.state,
                state.turns_total,
                state.turns_failed,
                state.turns_open,
                state.keys_resting,
                state.keys,
                state
                    .last_failure
                    .as_ref()
                    .map_or_else(String::new, |code| format!("; last failure: {code}")),
            ))?;
            if let Some(problem) = endpoint_problem(state) {
                print_folded(&format!("  {}", problem_text(&problem, unix_seconds())))?;
            }
        }
        None => print_line("  no proxy runs")?,
    }
    for model in &endpoint.models {
        print_folded(&format!("  model {}", model.id))?;
    }
    let learned = limitations.of_endpoint(endpoint.name.as_str());
    if learned.is_empty() {
        print_folded("  nothing was learned of it")?;
    }
    for lesson in learned {
        let LearnedLesson { model, code, meaning, words, at } = &lesson;
        print_folded(&format!("  learned of {model}: {meaning} ({code})"))?;
        let words = if words.is_empty() { String::new() } else { format!(" from: {words}") };
        print_folded(&format!("    {}{words}", Time::from_secs(*at).to_string().trim_end_matches(".000")))?;
    }
    Ok(())
}

fn forget(path: &Path, name: Option<&str>, lesson: Option<&str>) -> anyhow::Result<()> {
    let mut file = limitations::read(path).unwrap_or_default();
    let count = file.forget(name, lesson);
    if count == 0 {
        return print_line("there was nothing to forget");
    }
    limitations::write(path, &file)?;
    print_line(&format!("forgot {count} lessons"))
}

/// What is not well, when it failed last, and until when it rests.
fn problem_text(problem: &Problem, now: u64) -> String {
    let Problem { what, since, until, .. } = problem;
    let since = since
        .map_or_else(String::new, |at| format!("; failed {} ago", duration_text(now.saturating_sub(at))));
    let until = until
        .map_or_else(String::new, |at| format!("; rests for {} more", duration_text(at.saturating_sub(now))));
    format!("{}{since}{until}", shown(what))
}

fn state_of<'s>(endpoint: &Endpoint, states: Option<&'s [EndpointState]>) -> Option<&'s EndpointState> {
    states?.iter().find(|state| state.name == endpoint.name.as_str())
}

fn document(
    endpoint: &Endpoint,
    state: Option<&EndpointState>,
    limitations: &LimitationsFile,
) -> serde_json::Value {
    let learned: Vec<_> = limitations
        .of_endpoint(endpoint.name.as_str())
        .into_iter()
        .map(|LearnedLesson { model, code, meaning, words, at }| {
            json!({ "model": model, "lesson": code, "meaning": meaning, "words": words, "at": at })
        })
        .collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "name": endpoint.name.as_str(),
        "preset": endpoint.preset,
        "protocol": endpoint.protocol.name(),
        "base_url": endpoint.base_url,
        "models": endpoint.models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
        "state": state,
        "missing_keys": endpoint.missing_keys,
        "learned": learned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    fn learned() -> LimitationsFile {
        let file = r#"{"lessons":{"a/m":{"no_tools":1},"a/n":{"no_tools":1,"no_images":2},"ab/m":{"no_tools":1}},
            "words":{"a/n":{"no_images":"it has no eyes"}},
            "fields":{"a/m":{"max_output_tokens":{"at":3,"words":"too many","rule":{"range":{"min":null,"max":8192.0}}}}}}"#;
        serde_json::from_str(file).expect("a file")
    }

    #[test]
    fn only_what_is_meant_is_forgotten() {
        let mut document = learned();
        assert_eq!(document.forget(Some("a"), Some("no_images")), 1);
        assert_eq!(document.forget(Some("a"), Some("max_output_tokens")), 1);
        assert_eq!(document.forget(Some("a"), None), 2);
        assert_eq!(document.limitations.keys().collect::<Vec<_>>(), ["ab/m"]);
        assert!(document.words.is_empty() && document.fields.is_empty());
        assert_eq!(document.forget(None, None), 1);
        assert_eq!(document.forget(None, None), 0);
    }

    #[test]
    fn what_is_not_well_is_said_with_its_times() {
        let problem = Problem {
            what: "all of its keys rest: slow down".to_owned(),
            since: Some(940),
            until: Some(1120),
            ..Problem::default()
        };
        let want = "all of its keys rest: slow down; failed 1 min ago; rests for 2 min more";
        assert_eq!(problem_text(&problem, 1000), want);
        assert_eq!(problem_text(&Problem { what: "no".to_owned(), ..Problem::default() }, 1), "no");
    }

    #[test]
    fn a_document_holds_the_models_and_what_was_learned_of_them() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n";
        let config = load_text(text).expect("a configuration").config;
        let endpoint = find_endpoint(&config, "a").expect("found");
        let document = document(endpoint, None, &learned());
        assert_eq!((&document["models"], &document["state"]), (&json!(["m"]), &json!(null)));
        let lessons: Vec<String> = document["learned"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|lesson| {
                format!("{} {} {} {}", lesson["model"], lesson["lesson"], lesson["words"], lesson["at"])
            })
            .collect();
        assert_eq!(
            lessons,
            [
                r#""m" "no_tools" "" 1"#,
                r#""n" "no_images" "it has no eyes" 2"#,
                r#""n" "no_tools" "" 1"#,
                r#""m" "max_output_tokens" "too many" 3"#
            ]
        );
        let error = find_endpoint(&config, "z").expect_err("none").to_string();
        assert_eq!(error, "no endpoint is called `z`; there are: a");
    }
}
