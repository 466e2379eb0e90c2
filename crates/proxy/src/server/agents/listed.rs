//! Profiles in the lists of models.

use std::borrow::Cow;

use crate::agents::profile::AgentProfile;
use crate::config::{Config, Route, Strategy, TargetConfig};
use crate::server::action::DocumentRequest;
use crate::server::proxy::Proxy;

/// The configuration as the lists of models show it: each profile stands there as a route by its name, so that whoever may ask for what it
/// leads to sees it.
pub(in crate::server) fn with_profiles<'c>(
    config: &'c Config,
    proxy: &Proxy,
    document: &DocumentRequest<'_>,
) -> Cow<'c, Config> {
    use DocumentRequest::{GeminiModel, GeminiModels, Model, Models};
    if !matches!(document, Models | Model(_) | GeminiModels | GeminiModel(_)) {
        return Cow::Borrowed(config);
    }
    let profiles = proxy.agents.profiles();
    let routes: Vec<Route> = profiles.iter().filter_map(|profile| route(config, profile)).collect();
    if routes.is_empty() {
        return Cow::Borrowed(config);
    }
    let mut config = config.clone();
    config.routes.extend(routes);
    Cow::Owned(config)
}

fn route(config: &Config, profile: &AgentProfile) -> Option<Route> {
    let name = profile.model_name();
    if config.named_route(&name).is_some() {
        return None;
    }
    let targets = match config.named_route(&profile.model) {
        Some(route) => route.targets.clone(),
        None => {
            let (endpoint, model) = config.route(&profile.model).ok()?;
            vec![TargetConfig { endpoint: endpoint.name.clone(), model, priority: 0 }]
        }
    };
    Some(Route {
        name,
        models: Vec::new(),
        strategy: Strategy::Ordered,
        affinity: false,
        targets,
        repair: None,
        effort: None,
    })
}
