//! Which models a key may ask for. Pure.

use crate::config::Config;

/// The models of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ModelScope {
    /// All that there are.
    #[default]
    All,
    /// These: names as clients ask for them, of models, of `endpoint/model` and of routes, and patterns that end in `*`.
    Named(Vec<String>),
}

impl ModelScope {
    /// The names, as one writes them; none means all.
    pub fn new(names: Vec<String>) -> Self {
        if names.is_empty() { Self::All } else { Self::Named(names) }
    }

    /// The names; none where all models may be asked for.
    pub fn names(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Named(names) => names,
        }
    }

    /// Whether the list names exactly this, or a pattern of it fits.
    pub fn lists(&self, asked: &str) -> bool {
        matches!(self, Self::Named(names) if names.iter().any(|name| fits(name, asked)))
    }

    /// Whether this model may be asked for: by a name of the list, or by another name of the same model. A route may be asked for
    /// when it stands in the list, or when every target it leads to may.
    pub fn allows(&self, config: &Config, asked: &str) -> bool {
        let Self::Named(names) = self else { return true };
        if names.iter().any(|name| fits(name, asked)) {
            return true;
        }
        let wanted = targets(config, asked);
        let is_allowed = |target: &String| {
            names.iter().any(|name| {
                // The name of a route opens the route, and not its targets by their own names.
                fits(name, target)
                    || (config.named_route(name).is_none() && targets(config, name).contains(target))
            })
        };
        !wanted.is_empty() && wanted.iter().all(is_allowed)
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// Where a name leads, as `endpoint/model`.
fn targets(config: &Config, name: &str) -> Vec<String> {
    if name.ends_with('*') {
        return Vec::new();
    }
    if let Some(route) = config.named_route(name) {
        return route.targets.iter().map(|target| format!("{}/{}", target.endpoint, target.model)).collect();
    }
    config.route(name).map(|(endpoint, model)| format!("{}/{model}", endpoint.name)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::config_of;

    const FILE: &str = r#"
[[endpoint]]
name = "a"
base_url = "https://a.test"
models = ["m", "big"]
[[endpoint]]
name = "b"
base_url = "https://b.test"
models = ["m", "n"]
[[route]]
name = "fast"
targets = ["a/m", "b/n"]
[[route]]
name = "mixed"
models = ["claude-*"]
targets = ["a/m", "a/big"]
"#;

    #[test]
    fn a_key_asks_for_its_models_under_every_name_and_for_no_other() {
        let config = config_of(FILE);
        let scope = |names: &[&str]| ModelScope::new(names.iter().map(|name| (*name).to_owned()).collect());
        let cases: [(&[&str], &[&str], &[&str]); 7] = [
            (&[], &["m", "a/m", "fast", "whatever"], &[]),
            (&["m"], &["m", "a/m"], &["b/m", "big", "a/big", "fast", "mixed", "claude-x", "a/", "", "x"]),
            (&["a/m", "n"], &["m", "a/m", "n", "b/n", "fast"], &["b/m", "mixed", "claude-x"]),
            (&["fast"], &["fast"], &["m", "a/m", "b/n", "mixed"]),
            (&["a/*"], &["a/m", "m", "a/big", "big", "mixed", "claude-x", "a/new"], &["b/m", "n", "fast"]),
            (&["claude-x"], &["claude-x"], &["claude-y", "m", "mixed"]),
            (&["none-such"], &["none-such"], &["m", "a/m"]),
        ];
        for (names, yes, no) in cases {
            let scope = scope(names);
            for model in yes {
                assert!(scope.allows(&config, model), "{names:?} {model}");
            }
            for model in no {
                assert!(!scope.allows(&config, model), "{names:?} {model}");
            }
        }
    }

    #[test]
    fn a_default_endpoint_makes_no_hole() {
        let config = config_of(
            "default_endpoint = \"a\"\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n",
        );
        let scope = ModelScope::new(vec!["m".to_owned()]);
        assert!(scope.allows(&config, "m") && scope.allows(&config, "a/m"));
        for other in ["other", "a/other", "a/a/m"] {
            assert!(!scope.allows(&config, other), "{other}");
        }
    }
}
