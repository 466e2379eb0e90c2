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
    let targets = if let Some(route) = config.named_route(&profile.model) {
        route.targets.clone()
    } else {
        let (endpoint, model) = config.route(&profile.model).ok()?;
        vec![TargetConfig { endpoint: endpoint.name.clone(), model, priority: 0 }]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::config_of;
    use crate::inbound::models;

    fn profile(id: &str, model: &str) -> AgentProfile {
        serde_json::from_str(&format!("{{\"id\":\"{id}\",\"model\":\"{model}\"}}")).expect("a profile")
    }

    #[test]
    fn a_profile_is_listed_as_a_route_to_what_it_leads_to() {
        let mut config = config_of(
            "[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\nmodels = [\"m\", \"n\"]\n[[route]]\nname = \"team\"\ntargets = [\"lab/m\", \"lab/n\"]\n[[route]]\nname = \"agent:taken\"\ntargets = [\"lab/m\"]\n",
        );
        assert_eq!(route(&config, &profile("one", "team")).expect("a route").targets.len(), 2);
        assert_eq!(route(&config, &profile("taken", "m")), None, "a route of the file keeps its name");
        let one = route(&config, &profile("one", "lab/m")).expect("a route");
        config.routes.push(one);
        assert!(models::one(&config, "agent:one").is_some() && models::one(&config, "agent:two").is_none());
    }
}
