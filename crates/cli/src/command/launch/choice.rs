//! What a launch asks for: a profile, or an endpoint and models, or what is usual.

use anyhow::Context as _;
use latimer_proxy::config::{Config, Effort};

use super::model::choose_model;

/// What a person asked for on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ChoiceArgs {
    /// A named set of the configuration: endpoint, models, level of repair and effort
    #[arg(long, value_name = "PROFILE", add = crate::complete::profiles(), conflicts_with_all = ["endpoint", "model", "small_model"])]
    pub(crate) profile: Option<String>,
    /// The endpoint to use [default: the one that lists the model, else `default_endpoint`]
    #[arg(long, value_name = "ENDPOINT", add = crate::complete::endpoints())]
    pub(crate) endpoint: Option<String>,
    /// The model to ask for [default: the first model of the endpoint]
    #[arg(long, value_name = "MODEL", add = crate::complete::models())]
    pub(crate) model: Option<String>,
    /// The model for titles and other small questions [default: the same]
    #[arg(long, value_name = "MODEL", add = crate::complete::models())]
    pub(crate) small_model: Option<String>,
}

impl ChoiceArgs {
    /// Whether nothing was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.profile.is_none() && self.endpoint.is_none() && self.model.is_none()
    }
}

/// What a client is launched with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The model to ask for; a profile by its name.
    pub(crate) model: String,
    /// The model for small questions.
    pub(crate) small_model: String,
    /// How much a profile has the model think.
    pub(crate) effort: Option<Effort>,
    /// What answers, where a profile says it: `endpoint/model`.
    pub(crate) target: Option<String>,
}

/// Finds what is meant, before anything is started.
///
/// # Errors
/// There is no such profile, endpoint or model, or nothing says which one is meant.
pub(crate) fn choose(config: &Config, args: &ChoiceArgs, client: &str) -> anyhow::Result<Choice> {
    if let Some(name) = &args.profile {
        return of_profile(config, name);
    }
    let usual = config.launch.of(client);
    let usual_model = usual.model.filter(|_| args.endpoint.is_none());
    let model = args.model.as_deref().or(usual_model.as_deref());
    // What is usual may be a profile, and then all of it holds.
    if let Some(profile) = model.filter(|_| args.endpoint.is_none() && args.small_model.is_none())
        && config.profiles.iter().any(|known| known.name == profile)
    {
        return of_profile(config, profile);
    }
    let model = choose_model(config, args.endpoint.as_deref(), model)?;
    let small_model = match args.small_model.as_ref().or(usual.small_model.as_ref()) {
        Some(small) => choose_model(config, None, Some(small))?,
        None => model.clone(),
    };
    Ok(Choice { model, small_model, effort: None, target: None })
}

fn of_profile(config: &Config, name: &str) -> anyhow::Result<Choice> {
    let profile = config.profiles.iter().find(|profile| profile.name == name).with_context(|| {
        let names: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
        let there = match names.as_slice() {
            [] => "the configuration has none; write a [[profile]]".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        format!("there is no profile `{name}`; {there}")
    })?;
    // Its endpoint may be disabled.
    choose_model(config, Some(profile.endpoint.as_str()), Some(&profile.model))?;
    let small = profile.small_model.as_ref().map(|small| format!("{}/{small}", profile.endpoint));
    Ok(Choice {
        model: profile.name.clone(),
        small_model: small.unwrap_or_else(|| profile.name.clone()),
        effort: profile.effort,
        target: Some(format!("{}/{}", profile.endpoint, profile.model)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    const FILE: &str = "[launch.claude]\nmodel = \"cheap\"\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\", \"n\"]\n[[profile]]\nname = \"cheap\"\nendpoint = \"a\"\nmodel = \"m\"\nsmall_model = \"n\"\neffort = \"low\"\n";

    #[test]
    fn a_profile_is_chosen_by_name_or_because_it_is_usual() {
        let config = load_text(FILE).expect("a configuration").config;
        let want = Choice {
            model: "cheap".to_owned(),
            small_model: "a/n".to_owned(),
            effort: Some(Effort::Low),
            target: Some("a/m".to_owned()),
        };
        let by_name = ChoiceArgs { profile: Some("cheap".to_owned()), ..ChoiceArgs::default() };
        assert_eq!(choose(&config, &by_name, "codex").expect("chosen"), want);
        assert_eq!(choose(&config, &ChoiceArgs::default(), "claude").expect("chosen"), want);
        let usual = choose(&config, &ChoiceArgs::default(), "codex").expect("chosen");
        assert_eq!((usual.model.as_str(), usual.effort), ("m", None));
        let unknown = ChoiceArgs { profile: Some("dear".to_owned()), ..ChoiceArgs::default() };
        let error = choose(&config, &unknown, "codex").expect_err("none").to_string();
        assert_eq!(error, "there is no profile `dear`; there are: cheap");
    }
}
