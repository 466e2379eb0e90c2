//! `latimer endpoints models`: what a provider lists, shown or taken into the configuration file.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use latimer_adapters::model_list::{self, ProviderModel};
use latimer_protocol::status::duration_text;
use latimer_proxy::config::Price;
use latimer_proxy::config::listed::{AllListed, ListedModels};
use latimer_proxy::config::presets::{self, KnownModels};
use latimer_proxy::config::{Config, Endpoint};
use serde_json::{Value, json};
use toml_edit::{Array, InlineTable, Item, value};

use super::find_endpoint;
use crate::clock::unix_seconds;
use crate::config_file::ConfigFile;
use crate::configuration::PathArgs;
use crate::endpoint_trial::{Asker, failure_document, failure_words, remedy};
use crate::exit::Exit;
use crate::money;
use crate::terminal::{eprint_line, note_line, print_folded, print_json, print_line};

/// How long a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most of a pasted list that is read, in bytes.
const MAX_LIST_BYTES: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct ProviderModelsArgs {
    /// Its name in the configuration
    #[arg(add = crate::complete::endpoints())]
    name: String,
    /// Only names that hold this, in large or small letters
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Take those that are shown into the configuration file, beside those that are there
    #[arg(long)]
    write: bool,
    /// Ask the provider, even if its list is known from within the last hour
    #[arg(long, conflicts_with = "from")]
    refresh: bool,
    /// Read the list from a file instead, `-` for stdin: names on lines or between commas, or the JSON of a provider
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Shows or writes the list.
///
/// # Errors
/// There is no such endpoint, the list cannot be read, or the file cannot be written.
pub(super) fn run(paths: &PathArgs, args: &ProviderModelsArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let configuration = paths.configuration()?;
    let config = &configuration.loaded.config;
    let endpoint = find_endpoint(config, &args.name)?;
    let mut fetched_at = None;
    let all = match &args.from {
        Some(file) => pasted(&read(file)?)?,
        None => match fetched(config, endpoint, &paths.state_dir()?, args.refresh)? {
            Ok(list) => {
                fetched_at = Some(list.fetched_at);
                list.models
            }
            Err(problem) => {
                if as_json {
                    print_json(
                        &json!({ "schema_version": 1, "endpoint": args.name, "error": problem.document }),
                    )?;
                } else {
                    problem.lines.iter().for_each(|line| eprint_line(line));
                }
                return Ok(Exit::Refused.into());
            }
        },
    };
    let fits = |model: &ProviderModel| {
        let filter = args.filter.as_ref().map(|filter| filter.to_lowercase());
        filter.is_none_or(|filter| model.id.to_lowercase().contains(&filter))
    };
    let chosen: Vec<ProviderModel> = all.into_iter().filter(fits).collect();
    if args.write {
        return write(&paths.config_target()?, endpoint, &chosen);
    }
    if as_json {
        let rows: Vec<Value> = chosen.iter().map(|model| document(endpoint, model)).collect();
        print_json(
            &json!({ "schema_version": 1, "endpoint": args.name, "fetched_at": fetched_at, "models": rows }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = chosen.iter().map(|model| model.id.chars().count()).max().unwrap_or(0).min(40);
    for model in &chosen {
        print_folded(&line(endpoint, model, width))?;
    }
    if chosen.is_empty() {
        eprint_line("the list holds no model of this name");
    } else {
        let filter = args.filter.as_ref().map_or(String::new(), |filter| format!(" --filter {filter}"));
        eprint_line(&format!(
            "`latimer endpoints models {}{filter} --write` takes them into the file",
            args.name
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Why there is no list.
struct Problem {
    lines: Vec<String>,
    document: Value,
}

fn fetched(
    config: &Config,
    endpoint: &Endpoint,
    state_dir: &Path,
    refresh: bool,
) -> anyhow::Result<Result<ListedModels, Problem>> {
    let now = unix_seconds();
    let all = AllListed::read(state_dir);
    if let Some(list) = all.of(endpoint).filter(|list| !refresh && list.is_fresh(now)) {
        let age = duration_text(list.age(now));
        note_line(&format!("{} listed this {age} ago; `--refresh` asks again", endpoint.name));
        return Ok(Ok(list.clone()));
    }
    let list = |models| ListedModels { base_url: endpoint.base_url.clone(), fetched_at: now, models };
    let asker = Asker::new(config, endpoint, state_dir, LIST_TIMEOUT);
    Ok(match asker.models()? {
        Ok(Some(models)) => {
            if let Err(error) = AllListed::remember(state_dir, endpoint, &models, now) {
                note_line(&format!("the list is not remembered: {error}"));
            }
            Ok(list(models))
        }
        Ok(None) => {
            let known = endpoint.preset.map_or(&[][..], |preset| KnownModels::get().of_preset(preset));
            if known.is_empty() {
                let words = format!("{}: its protocol has no list of models", endpoint.name);
                Err(Problem { document: json!({ "message": words }), lines: vec![words] })
            } else {
                Ok(list(known.iter().map(|known| named(known.model.id.as_str())).collect()))
            }
        }
        Err(failure) => Err(Problem {
            document: failure_document(&failure),
            lines: vec![failure_words(&failure), format!("→ {}", remedy(&failure, endpoint))],
        }),
    })
}

fn named(id: &str) -> ProviderModel {
    ProviderModel { id: id.to_owned(), ..ProviderModel::default() }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .take(MAX_LIST_BYTES)
            .read_to_end(&mut bytes)
            .context("reading the list from stdin")?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("opening `{}`", file.display()))?;
        let read = opened.take(MAX_LIST_BYTES).read_to_end(&mut bytes);
        read.with_context(|| format!("reading `{}`", file.display()))?;
    }
    Ok(bytes)
}

/// A pasted list: the JSON of a provider, or names that stand on lines or between commas.
fn pasted(bytes: &[u8]) -> anyhow::Result<Vec<ProviderModel>> {
    if let Some(models) = model_list::parse(bytes) {
        return Ok(models);
    }
    let text = std::str::from_utf8(bytes).context("the list is no text")?;
    let clean = |name: &str| name.trim().trim_matches(['"', '\'', '`', '-', '*', ' ']).to_owned();
    let mut seen = HashSet::new();
    let names: Vec<String> = text
        .split(['\n', ','])
        .map(clean)
        .filter(|name| !name.is_empty() && !name.starts_with('#') && seen.insert(name.clone()))
        .collect();
    ensure!(!names.is_empty(), "the list holds no model");
    for name in &names {
        ensure!(
            !name.contains(char::is_whitespace) && !name.chars().any(char::is_control),
            "`{name}` is no name of a model: it holds spaces"
        );
    }
    Ok(names.iter().map(|name| named(name)).collect())
}

/// What is known of a model: from the provider, else from the table of the preset.
fn known(endpoint: &Endpoint, model: &ProviderModel) -> (Option<u64>, Option<bool>, Price) {
    let table = endpoint.known_model(&model.id);
    let window = model.context_window.or_else(|| table?.context_window);
    let images = model.images.or_else(|| table?.images);
    let price = model.price.map_or_else(
        || table.map(|model| model.price).unwrap_or_default(),
        |(input, output)| Price { input: Some(input), cached: None, output: Some(output) },
    );
    (window, images, price)
}

fn line(endpoint: &Endpoint, model: &ProviderModel, width: usize) -> String {
    let (window, images, price) = known(endpoint, model);
    let window = window.map_or_else(|| "-".to_owned(), |tokens| tokens.to_string());
    let pictures = if images == Some(true) { "  pictures" } else { "" };
    format!("{:width$}  {window:>8}  {}{pictures}", model.id, money::price(price))
}

fn document(endpoint: &Endpoint, model: &ProviderModel) -> Value {
    let (window, images, price) = known(endpoint, model);
    #[expect(clippy::cast_precision_loss, reason = "dollars with six digits are enough")]
    let dollars = |millionths: u64| millionths as f64 / 1e6;
    json!({
        "id": model.id,
        "context_window": window,
        "max_output": model.max_output,
        "images": images,
        "price": price.is_known().then(|| json!({
            "input": price.input.map(dollars),
            "output": price.output.map(dollars),
        })),
        "listed": endpoint.models.iter().any(|known| known.id == model.id),
    })
}

/// Takes models into the list of an endpoint, behind those that are there.
fn write(path: &Path, endpoint: &Endpoint, chosen: &[ProviderModel]) -> anyhow::Result<ExitCode> {
    let name = endpoint.name.as_str();
    let mut file = ConfigFile::open(path)?;
    let table = file.endpoint(name)?;
    let mut list = match table.get("models").map(Item::as_array) {
        Some(Some(list)) => list.clone(),
        Some(None) => anyhow::bail!("`models` of `{name}` is no list; `latimer check` says where"),
        // What a preset lists holds no longer where the file has a list.
        None => endpoint.models.iter().map(|model| model.id.as_str()).collect::<Array>(),
    };
    let new: Vec<&ProviderModel> =
        chosen.iter().filter(|model| !endpoint.models.iter().any(|known| known.id == model.id)).collect();
    if new.is_empty() {
        print_line("nothing new: all of them are listed already")?;
        return Ok(ExitCode::SUCCESS);
    }
    for model in &new {
        list.push(entry(endpoint.preset, model));
    }
    table.insert("models", value(list));
    file.write()?;
    print_line(&format!("{name} lists {} more", new.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// A name; a table where the provider says what the presets do not know.
fn entry(preset: Option<&str>, model: &ProviderModel) -> toml_edit::Value {
    let is_known = preset.is_some_and(|preset| {
        presets::find(preset).is_some() && KnownModels::get().find(preset, &model.id).is_some()
    });
    if is_known || (model.context_window.is_none() && model.images.is_none() && model.price.is_none()) {
        return model.id.as_str().into();
    }
    let mut table = InlineTable::new();
    table.insert("id", model.id.as_str().into());
    for (key, tokens) in [("context_window", model.context_window), ("max_output", model.max_output)] {
        if let Some(tokens) = tokens.and_then(|tokens| i64::try_from(tokens).ok()) {
            table.insert(key, tokens.into());
        }
    }
    if let Some(images) = model.images {
        table.insert("images", images.into());
    }
    if let Some((input, output)) = model.price {
        #[expect(clippy::cast_precision_loss, reason = "dollars with six digits are enough")]
        let dollars = |millionths: u64| millionths as f64 / 1e6;
        let mut price = InlineTable::new();
        price.insert("input", dollars(input).into());
        price.insert("output", dollars(output).into());
        table.insert("price", price.into());
    }
    table.into()
}

/// The models that a new endpoint begins with, as they stand in the file.
pub(super) fn entries(preset: Option<&str>, models: &[ProviderModel]) -> Array {
    models.iter().map(|model| entry(preset, model)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_list_is_names_or_json() {
        let names = |text: &str| -> Vec<String> {
            pasted(text.as_bytes()).expect(text).into_iter().map(|model| model.id).collect()
        };
        assert_eq!(names("- glm-5\n* \"kimi\"\n# no\n\nglm-5, z-ai/x\n"), ["glm-5", "kimi", "z-ai/x"]);
        assert_eq!(names(r#"{"data":[{"id":"m"}]}"#), ["m"]);
        assert!(pasted(b"a sentence of words").is_err() && pasted(b"  \n").is_err());
    }

    #[test]
    fn only_what_is_not_known_is_written_out() {
        let plain = named("deepseek-v4-flash");
        assert!(entry(Some("deepseek"), &plain).is_str());
        let told = ProviderModel { context_window: Some(8192), price: Some((600_000, 0)), ..named("new") };
        let text = entry(None, &told).to_string();
        assert!(text.contains("context_window = 8192") && text.contains("input = 0.6"), "{text}");
    }
}
