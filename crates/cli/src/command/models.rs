//! `latimer models`: which names a client may ask for, and what is known of them.

use std::path::Path;
use std::process::ExitCode;

use latimer_adapters::model_list::ProviderModel;
use latimer_protocol::status::SCHEMA_VERSION;
use latimer_proxy::config::listed::AllListed;
use latimer_proxy::config::presets::KnownModels;
use latimer_proxy::config::{Config, Endpoint, Model, Origin, Price};
use latimer_proxy::inbound::models::{self, effort_names};
use serde_json::{Value, json};

use crate::complete;
use crate::configuration::PathArgs;
use crate::money::price;
use crate::terminal::{eprint_line, print_folded, print_json};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latimer models\n  latimer models glm --free\n  latimer models --endpoint deepseek --all    what is known, listed or not\n  latimer models --json\n\nEach line: the name to ask for, the endpoint that answers, its context window, the price of a million tokens in and out, and\nwhether it sees pictures. `-` is what nobody knows. `endpoint/model` always works too."
)]
pub(crate) struct ModelsArgs {
    /// Only names that hold this, in large or small letters
    #[arg(add = complete::models())]
    filter: Option<String>,
    /// Only models of this endpoint
    #[arg(long, value_name = "ENDPOINT", add = complete::endpoints())]
    endpoint: Option<String>,
    /// Only models that cost nothing
    #[arg(long)]
    free: bool,
    /// Only models that see pictures
    #[arg(long)]
    images: bool,
    /// Also models that the configuration does not list: those that the presets know, and those that a provider listed when it was asked
    /// last (`latimer endpoints models NAME` asks)
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    paths: PathArgs,
}

/// A model under the name to ask for it.
struct ListedModel<'c> {
    name: String,
    endpoint: &'c Endpoint,
    model: &'c Model,
}

pub(crate) fn run(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let config = args.paths.configuration()?.loaded.config;
    if let Some(name) = args.endpoint.as_deref()
        && !config.endpoints.iter().any(|endpoint| endpoint.name.as_str() == name)
    {
        let names: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        anyhow::bail!("no endpoint is called `{name}`; there are: {}", names.join(", "));
    }
    let by_providers = if args.all { by_providers(&config, &args.paths.state_dir()?) } else { Vec::new() };
    let mut all = listed(&config, args.all);
    let others = by_providers.iter().map(|(endpoint, model)| ListedModel {
        name: format!("{}/{}", endpoint.name, model.id),
        endpoint,
        model,
    });
    let others: Vec<_> = others.filter(|other| all.iter().all(|known| known.name != other.name)).collect();
    all.extend(others);
    let is_empty = all.is_empty();
    let chosen: Vec<ListedModel<'_>> = all.into_iter().filter(|listed| is_chosen(args, listed)).collect();
    if args.json {
        let seen = KnownModels::get().seen;
        print_json(
            &json!({ "schema_version": SCHEMA_VERSION, "seen": seen, "models": chosen.iter().map(document).collect::<Vec<_>>() }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_empty {
        eprint_line(
            "no endpoint lists a model; add `models = [\"…\"]` to an endpoint, or ask for any name with a default_endpoint",
        );
    } else if chosen.is_empty() {
        eprint_line("no model is like that; `latimer models` lists all of them");
    }
    for line in lines(&chosen) {
        print_folded(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What clients see, and behind it what the presets know besides, where that is wanted.
fn listed(config: &Config, all: bool) -> Vec<ListedModel<'_>> {
    let mut listed: Vec<ListedModel<'_>> = models::names(config)
        .into_iter()
        .map(|(name, endpoint, model)| ListedModel { name, endpoint, model })
        .collect();
    if all {
        for endpoint in &config.endpoints {
            let known = endpoint.preset.map_or(&[][..], |preset| KnownModels::get().of_preset(preset));
            let others = known.iter().map(|known| &known.model);
            let others = others.filter(|model| !endpoint.models.iter().any(|listed| listed.id == model.id));
            listed.extend(others.map(|model| ListedModel {
                name: format!("{}/{}", endpoint.name, model.id),
                endpoint,
                model,
            }));
        }
    }
    listed
}

/// What providers listed when they were asked last, and the configuration does not.
fn by_providers<'c>(config: &'c Config, state_dir: &Path) -> Vec<(&'c Endpoint, Model)> {
    let all = AllListed::read(state_dir);
    let of = |endpoint: &'c Endpoint| {
        let list = all.of(endpoint).map_or(&[][..], |list| list.models.as_slice());
        let is_new = |model: &&ProviderModel| endpoint.models.iter().all(|known| known.id != model.id);
        list.iter().filter(is_new).map(move |model| (endpoint, as_model(model))).collect::<Vec<_>>()
    };
    config.endpoints.iter().flat_map(of).collect()
}

fn as_model(listed: &ProviderModel) -> Model {
    let price = listed.price.map_or_else(Price::default, |(input, output)| Price {
        input: Some(input),
        cached: None,
        output: Some(output),
    });
    Model {
        context_window: listed.context_window,
        max_output: listed.max_output,
        images: listed.images,
        price,
        ..Model::named(listed.id.as_str())
    }
}

fn is_chosen(args: &ModelsArgs, listed: &ListedModel<'_>) -> bool {
    let name = listed.name.to_lowercase();
    args.filter.as_ref().is_none_or(|filter| name.contains(&filter.to_lowercase()))
        && args.endpoint.as_ref().is_none_or(|endpoint| listed.endpoint.name.as_str() == endpoint)
        && (!args.free || listed.model.price.is_free())
        && (!args.images || listed.model.images == Some(true))
}

/// A line for each model, in columns. What nobody knows is `-`.
fn lines(listed: &[ListedModel<'_>]) -> Vec<String> {
    let rows: Vec<[String; 5]> = listed.iter().map(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |[name, endpoint, window, price, pictures]: &[String; 5]| {
        let [names, endpoints, windows, prices] = widths;
        let text =
            format!("{name:names$}  {endpoint:endpoints$}  {window:>windows$}  {price:prices$}  {pictures}");
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn cells(listed: &ListedModel<'_>) -> [String; 5] {
    let model = listed.model;
    let pictures = if model.images == Some(true) { "pictures" } else { "" };
    let retires = retires(listed).map_or_else(String::new, |day| format!("retires {day}"));
    let marks =
        [pictures, &retires].into_iter().filter(|mark| !mark.is_empty()).collect::<Vec<_>>().join(", ");
    [
        listed.name.clone(),
        listed.endpoint.name.to_string(),
        model.context_window.map_or_else(|| "-".to_owned(), tokens),
        price(model.price),
        marks,
    ]
}

/// `8000`, `128k`, `1.05M`.
fn tokens(tokens: u64) -> String {
    match tokens {
        0..10_000 => tokens.to_string(),
        10_000..1_000_000 => format!("{}k", tokens / 1000),
        _ if tokens % 1_000_000 < 10_000 => format!("{}M", tokens / 1_000_000),
        _ => format!("{}.{:02}M", tokens / 1_000_000, tokens % 1_000_000 / 10_000),
    }
}

fn retires(listed: &ListedModel<'_>) -> Option<&'static str> {
    KnownModels::get().find(listed.endpoint.preset?, &listed.model.id)?.retires
}

/// Everything that is known. `price` is `null` where nobody knows it, and says who does where somebody does.
fn document(listed: &ListedModel<'_>) -> Value {
    let ListedModel { name, endpoint, model } = listed;
    let known = endpoint.preset.and_then(|preset| KnownModels::get().find(preset, &model.id));
    let price = model.price.is_known().then(|| {
        let mut price = models::price(model.price);
        let (source, seen) = match (model.price_origin, known) {
            (Origin::Table, Some(known)) => (known.source, Some(KnownModels::get().seen)),
            _ => ("configuration", None),
        };
        price["source"] = json!(source);
        price["seen"] = json!(seen);
        price
    });
    json!({
        "name": name,
        "endpoint": endpoint.name.as_str(),
        "preset": endpoint.preset,
        "model": model.id,
        "context_window": model.context_window,
        "max_output": model.max_output,
        "reasoning": model.reasoning,
        "efforts": effort_names(model),
        "images": model.images,
        "tools": model.tools,
        "price": price,
        "free": model.price.is_free(),
        "retires": known.and_then(|known| known.retires),
        "source": known.map(|known| known.source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    const FILE: &str = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{ id = \"long-name\", context_window = 8000, images = true, price = { input = 0.5, output = 2 } }, \"m\"]\n[[endpoint]]\nname = \"zen\"\npreset = \"opencode-zen\"\nmodels = [\"big-pickle\"]\n";

    fn config() -> Config {
        load_text(FILE).expect("a configuration").config
    }

    #[test]
    fn names_stand_in_columns() {
        let config = config();
        let want = [
            "long-name   a    8000  $0.50/$2.00  pictures",
            "m           a       -  -",
            "big-pickle  zen  200k  free",
        ];
        assert_eq!(lines(&listed(&config, false)), want);
        assert!(lines(&listed(&load_text("").expect("a configuration").config, true)).is_empty());
        assert!(want.iter().all(|line| line.len() <= 60));
        let all = listed(&config, true);
        assert!(
            all.iter().any(|listed| listed.name == "zen/claude-sonnet-4-6"),
            "what the preset knows besides"
        );
        assert_eq!(all.iter().filter(|listed| listed.model.id == "big-pickle").count(), 1);
    }

    #[test]
    fn windows_are_short() {
        let shown = [8000, 131_072, 1_000_000, 1_048_576, 2_000_000].map(tokens);
        assert_eq!(shown, ["8000", "131k", "1M", "1.04M", "2M"]);
    }

    #[test]
    fn a_document_says_who_knows_a_price() {
        let config = config();
        let listed = listed(&config, false);
        let documents: Vec<Value> = listed.iter().map(document).collect();
        assert_eq!(documents[0]["price"]["source"], "configuration");
        assert_eq!(documents[1]["price"], Value::Null, "nobody");
        assert_eq!(documents[1]["free"], false);
        let pickle = &documents[2];
        assert_eq!((&pickle["free"], &pickle["price"]["input"]), (&json!(true), &json!(0.0)));
        assert_eq!(pickle["price"]["seen"], KnownModels::get().seen);
        assert!(
            pickle["price"]["source"].as_str().is_some_and(|source| source.starts_with("npm ")),
            "{pickle}"
        );
    }
}
