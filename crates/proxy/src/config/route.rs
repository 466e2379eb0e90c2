//! Which endpoint answers for a model. Pure.

use super::schema::nearest;
use super::{Config, DefaultEndpoint, Endpoint, Route};

/// No endpoint answers for a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RouteError(String);

impl Config {
    /// The route that answers for a model: by its name, or by one of its patterns.
    pub fn named_route(&self, model: &str) -> Option<&Route> {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => model == pattern,
        };
        let by_name = self.routes.iter().find(|route| route.name == model);
        by_name.or_else(|| self.routes.iter().find(|route| route.models.iter().any(|pattern| fits(pattern))))
    }

    /// Whether the file names this model of this endpoint, in its list or as a target: what it does not name, a client made up.
    pub fn names(&self, endpoint: &str, model: &str) -> bool {
        let lists = |known: &Endpoint| {
            known.name.as_str() == endpoint && known.models.iter().any(|known| known.id == model)
        };
        let leads = |route: &Route| {
            route.targets.iter().any(|target| target.endpoint.as_str() == endpoint && target.model == model)
        };
        self.endpoints.iter().any(lists) || self.routes.iter().any(leads)
    }

    /// The endpoint for a model, and the model's name there: the first endpoint that lists it, else the one named before a
    /// `/`, else the default endpoint with the name unchanged.
    ///
    /// # Errors
    /// No endpoint lists the model and none takes what is not listed: the nearest name, and what to write.
    pub fn route(&self, model: &str) -> Result<(&Endpoint, String), RouteError> {
        let lists = |endpoint: &&Endpoint| endpoint.models.iter().any(|known| known.id == model);
        let well = |endpoint: &&&Endpoint| !self.avoided.contains(&endpoint.name);
        let mut listing = self.endpoints.iter().filter(lists);
        if let Some(endpoint) = listing.clone().find(|endpoint| well(&endpoint)).or_else(|| listing.next()) {
            return Ok((endpoint, model.to_owned()));
        }
        if let Some((name, rest)) = model.split_once('/')
            && !rest.is_empty()
            && let Some(endpoint) = self.endpoints.iter().find(|endpoint| endpoint.name.as_str() == name)
        {
            return Ok((endpoint, rest.to_owned()));
        }
        let fallback = match (&self.default_endpoint, self.endpoints.as_slice()) {
            (DefaultEndpoint::Named(name), endpoints) => {
                endpoints.iter().find(|endpoint| endpoint.name == *name)
            }
            (DefaultEndpoint::Only, [only]) => Some(only),
            (DefaultEndpoint::Only | DefaultEndpoint::Nowhere, _) => None,
        };
        fallback.map(|endpoint| (endpoint, model.to_owned())).ok_or_else(|| self.unknown(model))
    }

    fn unknown(&self, model: &str) -> RouteError {
        let shown = crate::text::shown(model, crate::text::MAX_NAME);
        if self.endpoints.is_empty() {
            return RouteError(format!(
                "no endpoint is configured, so nothing can answer for `{shown}`; add an [[endpoint]] to the configuration (`latimer check` reads it)"
            ));
        }
        let known =
            self.endpoints.iter().flat_map(|endpoint| &endpoint.models).map(|known| known.id.as_str());
        let hint =
            nearest(&shown, known).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        RouteError(format!(
            "no endpoint lists the model `{shown}`{hint} Ask for `endpoint/model`, list it under an endpoint's `models`, or set default_endpoint"
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse::load;

    fn routed(top: &str, model: &str) -> Result<(String, String), String> {
        let text = format!(
            "{top}\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\", \"lab/x\"]\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nmodels = [\"m\", \"n\"]\n"
        );
        let config = load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()))
            .expect("a configuration")
            .config;
        let found = config.route(model).map(|(endpoint, model)| (endpoint.name.to_string(), model));
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_endpoint_takes_what_is_not_listed_unless_somebody_says_no() {
        let only = |top: &str| {
            let text = format!(
                "{top}\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n"
            );
            let loaded = load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
            let config = loaded.expect("a configuration").config;
            config.route("x").map(|(_, model)| model)
        };
        assert_eq!(only("").as_deref(), Ok("x"));
        assert!(
            only("default_endpoint = \"none\"").expect_err("no").to_string().contains("no endpoint lists")
        );
    }

    #[test]
    fn listed_then_explicit_then_default() {
        let found = |top, model| {
            routed(top, model).map(|(endpoint, model)| format!("{endpoint} {model}")).expect("a route")
        };
        assert_eq!(found("", "m"), "a m");
        assert_eq!(found("", "n"), "b n");
        assert_eq!(found("", "b/m"), "b m");
        assert_eq!(found("", "lab/x"), "a lab/x");
        assert_eq!(found("", "b/lab/y"), "b lab/y");
        assert_eq!(found("default_endpoint = \"b\"", "anything/else"), "b anything/else");
        assert_eq!(found("default_endpoint = \"none\"", "b/m"), "b m", "what is named is not guessed");
        assert!(routed("default_endpoint = \"none\"", "anything").is_err());
        let error = routed("", "nn").expect_err("no default");
        assert!(error.contains("did you mean `n`?") || error.contains("did you mean `m`?"), "{error}");
    }
}
