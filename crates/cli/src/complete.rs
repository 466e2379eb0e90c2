//! Completions that know the configuration: names of endpoints, models and presets, asked for by the shell while a person types.
//!
//! The shell runs `latimer` itself with [`VARIABLE`] set. A configuration that cannot be read has no names to offer, and nothing is said:
//! there is no place for a message on a line that is being typed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use latimer_proxy::config::Config;
use latimer_proxy::config::listed::AllListed;
use latimer_proxy::config::presets::{KnownModels, PRESETS};
use latimer_proxy::config::schema::{self, Key};
use latimer_proxy::inbound::models;

use crate::config_key::{KeyPath, PathStep};
use crate::configuration::PathArgs;
use crate::money;

/// The variable by which a shell asks for completions; its value is the shell.
pub(crate) const VARIABLE: &str = "LATIMER_COMPLETE";

/// Answers a shell that asks and ends the process; does nothing where none asks.
pub(crate) fn answer(command: impl Fn() -> clap::Command) {
    clap_complete::CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Completes the name of an endpoint.
pub(crate) fn endpoints() -> ArgValueCompleter {
    completer(|config| {
        let endpoints = config.endpoints.iter();
        endpoints.map(|endpoint| (endpoint.name.to_string(), endpoint.base_url.clone())).collect()
    })
}

/// Completes the name of a model: those that are configured, then `endpoint/model` of all that the providers listed when they were asked
/// last, and that the presets know.
pub(crate) fn models() -> ArgValueCompleter {
    let listed = || PathArgs::default().state_dir().map(|dir| AllListed::read(&dir)).unwrap_or_default();
    ArgValueCompleter::new(move |current: &std::ffi::OsStr| {
        offered(current, |config| model_names(config, &listed()))
    })
}

/// Completes the name of a profile.
pub(crate) fn profiles() -> ArgValueCompleter {
    completer(|config| {
        let profiles = config.profiles.iter();
        profiles
            .map(|profile| (profile.name.clone(), format!("{}/{}", profile.endpoint, profile.model)))
            .collect()
    })
}

/// Completes the name of a preset.
pub(crate) fn presets() -> ArgValueCompleter {
    completer(|_| PRESETS.iter().map(|preset| (preset.name.to_owned(), preset.base_url.to_owned())).collect())
}

/// Completes the path of a setting.
pub(crate) fn settings() -> ArgValueCompleter {
    completer(setting_names)
}

/// The paths of settings, each with what stands there.
fn setting_names(config: &Config) -> Vec<(String, String)> {
    let of = |above: String, keys: &'static [Key]| {
        keys.iter()
            .filter(|key| !matches!(key.kind, "table" | "list of tables"))
            .map(move |key| (format!("{above}{}", key.name), key.kind.to_owned()))
    };
    let step = |name: &str| KeyPath { steps: vec![PathStep::Name(name.to_owned())] }.to_string();
    let mut names: Vec<(String, String)> = of(String::new(), &schema::TOP).collect();
    names.extend(of("server.".to_owned(), &schema::SERVER));
    names.extend(of("store.".to_owned(), &schema::STORE));
    names.extend(of("agents.".to_owned(), &schema::AGENTS));
    names.extend(of("launch.".to_owned(), &schema::LAUNCH));
    for endpoint in config.endpoints.iter().chain(&config.disabled) {
        let above = format!("endpoint.{}.", step(endpoint.name.as_str()));
        names.extend(of(above.clone(), &schema::ENDPOINT));
        names.extend(of(format!("{above}timeouts."), &schema::TIMEOUTS));
        names.extend(of(format!("{above}quirks."), &schema::QUIRKS));
        names.extend(of(format!("{above}history."), &schema::HISTORY));
    }
    for profile in &config.profiles {
        names.extend(of(format!("profile.{}.", step(&profile.name)), &schema::PROFILE));
    }
    names
}

fn model_names(config: &Config, all: &AllListed) -> Vec<(String, String)> {
    let listed = models::names(config).into_iter();
    let listed = listed
        .map(|(name, endpoint, model)| (name, format!("{}, {}", endpoint.name, money::price(model.price))));
    let known = config.endpoints.iter().flat_map(|endpoint| {
        let known = endpoint.preset.map_or(&[][..], |preset| KnownModels::get().of_preset(preset));
        known
            .iter()
            .map(|known| (format!("{}/{}", endpoint.name, known.model.id), money::price(known.model.price)))
    });
    let by_providers = config.endpoints.iter().flat_map(|endpoint| {
        let models = all.of(endpoint).map_or(&[][..], |list| list.models.as_slice());
        models
            .iter()
            .map(|model| (format!("{}/{}", endpoint.name, model.id), "listed by the provider".to_owned()))
    });
    let mut seen = HashSet::new();
    listed.chain(known).chain(by_providers).filter(|(name, _)| seen.insert(name.clone())).collect()
}

/// A completer that offers the names that begin as what was typed does.
fn completer(names: fn(&Config) -> Vec<(String, String)>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &std::ffi::OsStr| offered(current, names))
}

/// What is offered for what was typed, by the configuration of the line.
fn offered(
    current: &std::ffi::OsStr,
    names: impl FnOnce(&Config) -> Vec<(String, String)>,
) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let paths = PathArgs::of_config(config_flag(std::env::args_os()));
    let config = paths.configuration().map(|read| read.loaded.config).ok();
    let config = config.or_else(|| crate::configuration::load_text("").ok().map(|read| read.config));
    candidates(&typed, config.map_or_else(Vec::new, |config| names(&config)))
}

fn candidates(typed: &str, names: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    let begin = names.into_iter().filter(|(name, _)| name.starts_with(typed));
    begin
        .map(|(name, help)| {
            CompletionCandidate::new(name).help((!help.is_empty()).then(|| StyledStr::from(help)))
        })
        .collect()
}

/// The file behind `--config` on the line that is being typed.
fn config_flag(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words.skip_while(|word| !word.to_string_lossy().starts_with("--config"));
    let flag = words.next()?;
    let file = match flag.to_string_lossy().strip_prefix("--config=") {
        Some(file) => OsString::from(file),
        None if flag == "--config" => words.next()?,
        None => return None,
    };
    (!file.is_empty()).then(|| PathBuf::from(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    #[test]
    fn listed_models_come_before_those_that_are_only_known() {
        let text = "[[endpoint]]\nname = \"z\"\npreset = \"opencode-zen\"\nmodels = [\"big-pickle\"]\n";
        let names = model_names(&load_text(text).expect("a configuration").config, &AllListed::default());
        assert_eq!(names[0], ("big-pickle".to_owned(), "z, free".to_owned()));
        assert!(names.iter().skip(1).any(|(name, _)| name == "z/claude-sonnet-4-6"));
        let begin = candidates("z/claude-son", names);
        assert!(
            !begin.is_empty()
                && begin.iter().all(|found| found.get_value().to_string_lossy().starts_with("z/claude-son"))
        );
    }

    #[test]
    fn settings_go_by_the_paths_that_commands_take() {
        let text = "[[endpoint]]\nname = \"my.lab\"\nbase_url = \"https://a.test\"\n";
        let names = setting_names(&load_text(text).expect("a configuration").config);
        for (name, _) in &names {
            assert!(KeyPath::parse(name).and_then(|path| path.meaning()).is_ok(), "{name}");
        }
        assert!(
            names
                .iter()
                .any(|(name, kind)| name == "endpoint.\"my.lab\".timeouts.idle" && kind == "duration")
        );
    }

    #[test]
    fn the_file_on_the_line_is_meant() {
        let of = |line: &str| config_flag(line.split(' ').map(OsString::from));
        assert_eq!(of("latimer launch --config a.toml --model"), Some(PathBuf::from("a.toml")));
        assert_eq!(of("latimer launch --config=b.toml --model"), Some(PathBuf::from("b.toml")));
        assert_eq!(of("latimer launch --config "), None);
        assert_eq!(of("latimer launch"), None);
    }
}
