//! Agents whose own model leads back to them through this proxy: such a turn would wait for itself. Pure.

use std::net::IpAddr;

use hyper::Uri;

use super::{Config, Endpoint};

/// What the names of models begin with that are profiles; what they lead to is not in the file.
const PROFILE_START: &str = "agent:";

/// How a model leads back to an agent that has been asked already, in words; `None` where it does not. `profile_model` knows what a profile
/// names as its model, and `port` is where this proxy listens.
pub fn leads_back(
    config: &Config,
    model: &str,
    profile_model: &dyn Fn(&str) -> Option<String>,
    port: u16,
) -> Option<String> {
    Walk { config, profile_model, port }.from(model, &mut Vec::new())
}

struct Walk<'c> {
    config: &'c Config,
    profile_model: &'c dyn Fn(&str) -> Option<String>,
    port: u16,
}

impl Walk<'_> {
    /// Every agent is on the way at most once, so the walk ends.
    fn from(&self, model: &str, way: &mut Vec<String>) -> Option<String> {
        let profile = model.strip_prefix(PROFILE_START).and_then(self.profile_model);
        let model = profile.as_deref().unwrap_or(model);
        for (endpoint, target) in self.targets(model) {
            let Some(inner) = self.inner_model(endpoint, target) else { continue };
            let name = endpoint.name.to_string();
            if way.contains(&name) {
                return Some(format!(
                    "the model of the agent `{name}` is asked at this proxy (agent.provider) and leads back to `{name}` itself: such a turn would wait for itself; give agent.model a model of another endpoint"
                ));
            }
            way.push(name);
            let found = self.from(&inner, way);
            way.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn targets(&self, model: &str) -> Vec<(&Endpoint, String)> {
        let Some(route) = self.config.named_route(model) else {
            return self.config.route(model).into_iter().collect();
        };
        let endpoint = |name| self.config.endpoints.iter().find(|endpoint| endpoint.name == name);
        let target =
            |target: &super::TargetConfig| Some((endpoint(target.endpoint.clone())?, target.model.clone()));
        route.targets.iter().filter_map(target).collect()
    }

    /// What an agent asks this proxy for when it is asked for a model; `None` for what asks elsewhere.
    fn inner_model(&self, endpoint: &Endpoint, asked: String) -> Option<String> {
        let settings = endpoint.agent.as_deref()?;
        let provider = settings.provider.as_ref()?;
        self.is_here(&provider.base_url).then(|| settings.model.clone().unwrap_or(asked))
    }

    fn is_here(&self, base_url: &str) -> bool {
        let Ok(uri) = base_url.parse::<Uri>() else { return false };
        let Some(host) = uri.host() else { return false };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let is_own = host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback() || ip == self.config.server.listen.ip());
        is_own && uri.port_u16().unwrap_or(usual) == self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::load;

    fn config(model: &str, base_url: &str) -> Result<Config, String> {
        let text = format!(
            "[[endpoint]]\nname = \"codex\"\nprotocol = \"codex-exec\"\nmodels = [\"gpt\"]\n[endpoint.agent]\n{model}\nprovider = {{ base_url = \"{base_url}\" }}\n\
             [[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\nmodels = [\"glm\"]\n\
             [[route]]\nname = \"team\"\ntargets = [\"lab/glm\", \"codex/gpt\"]\n"
        );
        let loaded = load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.map(|loaded| loaded.config).map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn an_agent_that_asks_this_proxy_for_itself_is_a_problem_of_the_file() {
        for (model, url) in [
            ("", "http://127.0.0.1:4180/v1"),
            ("model = \"codex/gpt\"", "http://localhost:4180/v1"),
            ("model = \"team\"", "http://127.0.0.1:4180/v1"),
        ] {
            let problem = config(model, url).expect_err("a loop");
            assert!(problem.contains("leads back to `codex`"), "{problem}");
        }
        for (model, url) in [
            ("model = \"glm\"", "http://127.0.0.1:4180/v1"),
            ("", "http://127.0.0.1:4181/v1"),
            ("", "https://codex.example:4180/v1"),
        ] {
            assert!(config(model, url).is_ok(), "{model} {url}");
        }
    }

    #[test]
    fn a_profile_may_close_the_circle() {
        let config = config("model = \"agent:lab\"", "http://127.0.0.1:4180/v1").expect("nobody knows yet");
        let leads_to = |model: &'static str| move |id: &str| (id == "lab").then(|| model.to_owned());
        assert!(leads_back(&config, "agent:lab", &leads_to("codex/gpt"), 4180).is_some());
        assert!(leads_back(&config, "agent:lab", &leads_to("team"), 4180).is_some());
        assert!(leads_back(&config, "agent:lab", &leads_to("glm"), 4180).is_none());
        assert!(leads_back(&config, "codex/gpt", &|_| None, 4180).is_none());
    }
}
