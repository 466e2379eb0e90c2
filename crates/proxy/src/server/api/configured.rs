//! What is configured, and how it is doing: endpoints, models, routes.

use std::path::Path;

use latimer_protocol::status::{
    EndpointReport, EndpointState, LessonReport, MemberReport, ModelReport, RouteSummary, SCHEMA_VERSION,
};
use serde_json::{Value, json};

use super::{bad, settings};
use crate::clock::{self, Clocks};
use crate::config::listed::AllListed;
use crate::config::{Config, Endpoint, edit};
use crate::http::refusal::Refusal;
use crate::inbound::models;
use crate::route::limitations::LearnedLesson;
use crate::server::proxy::Proxy;
use crate::text;

/// Names of a provider's list that are told.
const MAX_LISTED: usize = 200;

/// `GET /api/v1/endpoints`.
pub(super) fn endpoints(proxy: &Proxy) -> Vec<EndpointReport> {
    let at = Clocks::now();
    let set = proxy.endpoints.get(at.now);
    let learned = proxy.memory.limitations.file(at.now);
    let states = set.states(at).into_iter().zip(set.endpoints());
    let report = |(state, runtime): (_, &std::sync::Arc<crate::route::endpoint_set::EndpointRuntime>)| {
        let endpoint = &runtime.endpoint;
        EndpointReport {
            state,
            preset: endpoint.preset.map(str::to_owned),
            protocol: endpoint.protocol.name().to_owned(),
            base_url: shown_url(&endpoint.base_url),
            models: endpoint.models.iter().map(|model| model.id.clone()).collect(),
            members: runtime
                .pool
                .cooldowns(at.now)
                .into_iter()
                .map(|(id, rests_s)| MemberReport { id, rests_s })
                .collect(),
            learned: learned.of_endpoint(endpoint.name.as_str()).iter().map(lesson).collect(),
        }
    };
    let mut reports: Vec<EndpointReport> = states.map(report).collect();
    reports.extend(proxy.live.current().disabled.iter().map(paused));
    if let Some(text) = settings::text(&proxy.live) {
        let order = edit::names(&text);
        reports.sort_by_key(|report| order.iter().position(|name| *name == report.state.name));
    }
    reports
}

/// What each provider listed when it was asked last, and how old that is.
pub(super) fn listed(config: &Config, state_dir: Option<&Path>) -> Vec<Value> {
    let all = state_dir.map(AllListed::read).unwrap_or_default();
    let now = clock::unix_now();
    let of = |endpoint: &Endpoint| {
        let list = all.of(endpoint)?;
        let shown = list.models.iter().take(MAX_LISTED);
        let models: Vec<String> = shown.map(|model| text::shown(&model.id, text::MAX_NAME)).collect();
        Some(json!({
            "endpoint": endpoint.name.as_str(),
            "fetched_at": list.fetched_at,
            "age_s": list.age(now),
            "count": list.models.len(),
            "models": models,
        }))
    };
    config.endpoints.iter().filter_map(of).collect()
}

/// An endpoint that stands in the file and gets no turns until it is resumed.
fn paused(endpoint: &Endpoint) -> EndpointReport {
    EndpointReport {
        state: EndpointState {
            name: endpoint.name.to_string(),
            state: "paused".to_owned(),
            ..EndpointState::default()
        },
        preset: endpoint.preset.map(str::to_owned),
        protocol: endpoint.protocol.name().to_owned(),
        base_url: shown_url(&endpoint.base_url),
        models: endpoint.models.iter().map(|model| model.id.clone()).collect(),
        members: Vec::new(),
        learned: Vec::new(),
    }
}

/// `GET /api/v1/plan?model=NAME`: who would answer a new conversation, and why; nothing is sent.
///
/// # Errors
///
/// No model is named (400).
pub(super) fn plan(proxy: &Proxy, config: &Config, asked: &str) -> Result<Value, Refusal> {
    if asked.is_empty() {
        return Err(bad("name a model in `model`"));
    }
    let model = models::without_window(config, asked);
    let shown = text::shown(asked, text::MAX_NAME);
    let report = match proxy.endpoints().foresee(model, clock::now()) {
        Ok(report) => report,
        Err(error) => {
            return Ok(
                json!({ "schema_version": SCHEMA_VERSION, "asked": shown, "error": error.to_string() }),
            );
        }
    };
    let facts = |target: &str| {
        let (endpoint, model) = target.split_once('/')?;
        let endpoint = config.endpoints.iter().find(|known| known.name.as_str() == endpoint)?;
        let known = endpoint.known_model(model);
        Some(json!({
            "protocol": endpoint.protocol.name(),
            "context_window": known.and_then(|known| known.context_window),
            "max_output": known.and_then(|known| known.max_output),
            "input_usd": known.and_then(|known| dollars(known.price.input)),
            "output_usd": known.and_then(|known| dollars(known.price.output)),
        }))
    };
    let candidates: Vec<Value> = report
        .candidates
        .iter()
        .map(|candidate| {
            let mut row = serde_json::to_value(candidate).unwrap_or_default();
            row["facts"] = facts(&candidate.target).unwrap_or_default();
            row
        })
        .collect();
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "asked": shown,
        "route": (!report.route.is_empty()).then_some(&report.route),
        "strategy": (!report.strategy.is_empty()).then_some(&report.strategy),
        "candidates": candidates,
    }))
}

fn lesson(learned: &LearnedLesson<'_>) -> LessonReport {
    LessonReport {
        model: learned.model.to_owned(),
        lesson: learned.code.to_owned(),
        meaning: learned.meaning.clone(),
        words: learned.words.to_owned(),
        at: learned.at,
    }
}

/// An address without name, password and query.
fn shown_url(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit('@').next().unwrap_or(host);
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => bare.to_owned(),
    }
}

/// Every model under the name a client asks for.
pub(super) fn models(config: &Config) -> Vec<ModelReport> {
    let names = models::names(config).into_iter();
    names
        .map(|(name, endpoint, model)| ModelReport {
            name,
            endpoint: endpoint.name.to_string(),
            model: model.id.clone(),
            context_window: model.context_window,
            max_output: model.max_output,
            reasoning: model.reasoning,
            images: model.images,
            input_usd: dollars(model.price.input),
            cached_usd: dollars(model.price.cached),
            output_usd: dollars(model.price.output),
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "prices are shown with six digits")]
fn dollars(millionths: Option<u64>) -> Option<f64> {
    millionths.map(|price| price as f64 / 1e6)
}

/// Names that stand for several targets.
pub(super) fn routes(config: &Config) -> Vec<RouteSummary> {
    let summary = |route: &crate::config::Route| RouteSummary {
        name: route.name.clone(),
        models: route.models.clone(),
        strategy: route.strategy.name().to_owned(),
        affinity: route.affinity,
        targets: route.targets.iter().map(|target| format!("{}/{}", target.endpoint, target.model)).collect(),
    };
    config.routes.iter().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::load;

    #[test]
    fn an_address_is_shown_without_what_may_be_a_secret() {
        assert_eq!(shown_url("https://me:s3cret@a.test/v1?key=s3cret"), "https://a.test/v1");
        assert_eq!(shown_url("http://127.0.0.1:1"), "http://127.0.0.1:1");
    }

    #[test]
    fn models_have_their_prices_and_routes_their_targets() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{ id = \"m\", price = { input = 0.5, output = 2 } }]\n[[route]]\nname = \"r\"\ntargets = [{ endpoint = \"a\", model = \"m\" }]\n";
        let loaded = load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        let config = loaded.expect("a configuration").config;
        let models = models(&config);
        assert_eq!(
            (models[0].name.as_str(), models[0].input_usd, models[0].cached_usd),
            ("m", Some(0.5), None)
        );
        assert_eq!(routes(&config)[0].targets, ["a/m"]);
    }
}
