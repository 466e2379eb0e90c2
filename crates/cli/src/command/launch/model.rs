//! Which model a launched client asks for.

use anyhow::Context as _;
use latimer_proxy::config::{Config, DefaultEndpoint, Endpoint, Origin};

use crate::exit::{Exit, ExitsWith as _};

/// The name to ask for, checked against the configuration before anything is started.
///
/// # Errors
/// There is no such endpoint or model, or nothing says which one is meant.
pub(crate) fn choose_model(
    config: &Config,
    endpoint: Option<&str>,
    model: Option<&str>,
) -> anyhow::Result<String> {
    if config.endpoints.is_empty() {
        let error = anyhow::anyhow!(
            "no endpoint is configured; `latimer endpoints add --preset deepseek` adds one (`latimer presets` lists the names)"
        );
        return Err(error).exits(Exit::NoProvider);
    }
    let endpoint = endpoint.map(|name| find_endpoint(config, name)).transpose()?;
    let name = match (endpoint, model) {
        (Some(endpoint), Some(model)) => format!("{}/{model}", endpoint.name),
        (None, Some(model)) => model.to_owned(),
        (endpoint, None) => first_model(config, endpoint)?,
    };
    if config.named_route(&name).is_none() {
        config.route(&name).map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    Ok(name)
}

/// What the configuration says of a model, or the table of its preset, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ModelLimits {
    /// The longest conversation that it reads, its answer included.
    pub(super) window: Option<u64>,
    /// The most that it writes in one answer.
    pub(super) output: Option<u64>,
    /// Who says how much that is.
    pub(super) output_origin: Origin,
}

/// The limits of a model, as far as they are known: of a route the smallest of its targets, for any of them may answer.
pub(super) fn model_limits(config: &Config, name: &str) -> ModelLimits {
    let known = |endpoint: &Endpoint, id: &str| {
        endpoint.known_model(id).map_or_else(ModelLimits::default, |model| ModelLimits {
            window: model.context_window,
            output: model.max_output,
            output_origin: model.max_output_origin,
        })
    };
    let Some(route) = config.named_route(name) else {
        return config
            .route(name)
            .map_or_else(|_| ModelLimits::default(), |(endpoint, id)| known(endpoint, &id));
    };
    let targets: Vec<ModelLimits> = route
        .targets
        .iter()
        .filter_map(|target| {
            let endpoint = config.endpoints.iter().find(|endpoint| endpoint.name == target.endpoint)?;
            Some(known(endpoint, &target.model))
        })
        .collect();
    let least = targets.iter().filter(|limits| limits.output.is_some()).min_by_key(|limits| limits.output);
    ModelLimits {
        window: targets.iter().filter_map(|limits| limits.window).min(),
        output: least.and_then(|limits| limits.output),
        output_origin: least.map_or_else(Origin::default, |limits| limits.output_origin),
    }
}

fn find_endpoint<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Endpoint> {
    config.endpoints.iter().find(|endpoint| endpoint.name.as_str() == name).with_context(|| {
        let names: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        format!("there is no endpoint `{name}`; there are: {}", names.join(", "))
    })
}

/// The first model of this endpoint, else of the default one, else of the first: by its id alone where that leads there.
fn first_model(config: &Config, endpoint: Option<&Endpoint>) -> anyhow::Result<String> {
    let default = || {
        config
            .endpoints
            .iter()
            .find(|known| config.default_endpoint == DefaultEndpoint::Named(known.name.clone()))
    };
    let endpoint =
        endpoint.or_else(default).or(config.endpoints.first()).context("no endpoint is configured")?;
    let first = endpoint.models.first().with_context(|| {
        format!("endpoint `{}` lists no model; give --model, or add `models = [\"…\"]` to it", endpoint.name)
    })?;
    let is_plain = config.route(&first.id).is_ok_and(|(found, _)| found.name == endpoint.name);
    Ok(if is_plain { first.id.clone() } else { format!("{}/{}", endpoint.name, first.id) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    const TWO: &str = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"one\", \"two\"]\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nmodels = [\"one\"]\n[[endpoint]]\nname = \"empty\"\nbase_url = \"https://c.test\"\n";

    fn config(text: &str) -> Config {
        load_text(text).expect("a configuration").config
    }

    #[test]
    fn names_lead_to_the_endpoint_that_is_meant() {
        let config = config(TWO);
        let choose = |endpoint, model| choose_model(&config, endpoint, model).expect("a model");
        assert_eq!(choose(None, None), "one", "the first endpoint's first");
        assert_eq!(choose(None, Some("two")), "two");
        assert_eq!(choose(Some("b"), None), "b/one", "its plain id leads to another endpoint");
        assert_eq!(choose(Some("b"), Some("x")), "b/x");
    }

    #[test]
    fn a_window_is_found_by_every_name_of_its_model() {
        let model = |id: &str, window: u32| format!("{{ id = \"{id}\", context_window = {window} }}");
        let config = config(&format!(
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{}, \"plain\"]\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nmodels = [{}]\n[[route]]\nname = \"coder\"\ntargets = [\"a/one\", \"b/one\", \"a/plain\"]\n",
            model("one", 9000),
            model("one", 7000)
        ));
        let windows = ["one", "a/one", "b/one", "coder", "plain", "a/none", "nowhere"];
        let found = windows.map(|name| model_limits(&config, name).window);
        assert_eq!(found, [Some(9000), Some(9000), Some(7000), Some(7000), None, None, None]);
    }

    #[test]
    fn the_default_endpoint_goes_before_the_first() {
        let config = config(&format!("default_endpoint = \"b\"\n{TWO}"));
        assert_eq!(choose_model(&config, None, None).expect("a model"), "b/one");
    }

    #[test]
    fn an_error_says_what_there_is() {
        let two = config(TWO);
        let error = |endpoint, model| choose_model(&two, endpoint, model).expect_err("none").to_string();
        assert_eq!(error(Some("z"), None), "there is no endpoint `z`; there are: a, b, empty");
        assert!(error(Some("empty"), None).contains("lists no model; give --model"));
        assert!(!error(None, Some("nowhere")).is_empty());
        let empty = choose_model(&config(""), None, None).expect_err("none").to_string();
        assert!(empty.contains("no endpoint is configured"), "{empty}");
    }
}
