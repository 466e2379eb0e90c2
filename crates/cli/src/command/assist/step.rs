//! The closed list of what a model may propose. Reading one is the check: a step that exists can be shown and done. Pure.

use latimer_protocol::printable::{escaped, is_harmful};
use latimer_protocol::secret::redact;
use latimer_proxy::config::Login;
use serde::Deserialize;
use serde_json::{Value, json};

use super::new_endpoint::{MAX_MODELS, NewEndpoint, ProposedEndpoint};
use crate::config_key::{KeyPath, PathStep};
use crate::config_value::value_of;

/// The longest text in a step, in characters.
const MAX_TEXT_CHARS: usize = 300;
/// Settings that a model may propose to change. `*` stands for one name.
const SETTINGS: [&str; 22] = [
    "default_endpoint",
    "server.grace",
    "server.keep_alive",
    "server.body_limit",
    "server.websocket",
    "launch.model",
    "launch.small_model",
    "launch.*.model",
    "launch.*.small_model",
    "endpoint.*.enabled",
    "endpoint.*.protocol",
    "endpoint.*.models",
    "endpoint.*.models.*.*",
    "endpoint.*.retries",
    "endpoint.*.resume",
    "endpoint.*.repair",
    "endpoint.*.max_parallel",
    "endpoint.*.requests_per_minute",
    "endpoint.*.timeouts.*",
    "endpoint.*.history.*",
    "endpoint.*.quirks.*",
    "profile.*.*",
];

/// A proposal as a model writes it.
#[derive(Debug, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
enum ProposedStep {
    SetKey { endpoint: String },
    AddEndpoint(ProposedEndpoint),
    TestEndpoint { name: String },
    ChangeSetting { key: String, value: Value },
    LogIn { login: String },
    RunDoctor {},
}

/// A proposal that was checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The person is asked for the key of this endpoint.
    SetKey { endpoint: String },
    /// An endpoint is added.
    AddEndpoint(NewEndpoint),
    /// An endpoint is asked for a short turn.
    TestEndpoint { name: String },
    /// A setting is changed.
    ChangeSetting { key: KeyPath, typed: String },
    /// An account is logged into.
    LogIn { login: Login },
    /// The doctor looks again.
    RunDoctor,
}

impl Step {
    /// Reads a proposal. `endpoints` are the names that there are.
    ///
    /// # Errors
    /// Why it is none of the list, for the person.
    pub(super) fn read(value: &Value, endpoints: &[String]) -> Result<Self, String> {
        texts(value)?;
        let name = value["step"].as_str().unwrap_or_default();
        let written: ProposedStep = serde_json::from_value(value.clone()).map_err(|error| {
            format!("`{}` is no step that can be done: {}", escaped(name), shown(&error.to_string()))
        })?;
        let known = |name: String| {
            if endpoints.contains(&name) { Ok(name) } else { Err(format!("there is no endpoint `{name}`")) }
        };
        match written {
            ProposedStep::SetKey { endpoint } => Ok(Self::SetKey { endpoint: known(endpoint)? }),
            ProposedStep::TestEndpoint { name } => Ok(Self::TestEndpoint { name: known(name)? }),
            ProposedStep::AddEndpoint(new) if endpoints.contains(&new.name) => {
                Err(format!("there is an endpoint `{}` already", new.name))
            }
            ProposedStep::AddEndpoint(new) => new.checked().map(Self::AddEndpoint),
            ProposedStep::ChangeSetting { key, value } => setting(&key, &value),
            ProposedStep::LogIn { login } => {
                let found = Login::from_name(&login);
                found.map(|login| Self::LogIn { login }).ok_or_else(|| format!("there is no login `{login}`"))
            }
            ProposedStep::RunDoctor {} => Ok(Self::RunDoctor),
        }
    }

    /// The endpoint that it adds.
    pub(super) fn added(&self) -> Option<&str> {
        match self {
            Self::AddEndpoint(new) => Some(&new.name),
            _ => None,
        }
    }

    /// What it does, for the person.
    pub(super) fn words(&self) -> String {
        match self {
            Self::SetKey { endpoint } => format!("set the key of `{endpoint}`; you are asked for it"),
            Self::AddEndpoint(new) => format!("add the endpoint `{}`", new.name),
            Self::TestEndpoint { name } => format!("ask `{name}` for one short answer"),
            Self::ChangeSetting { key, .. } => format!("change {key}"),
            Self::LogIn { login } => format!("log in: {}", login.name()),
            Self::RunDoctor => "run the doctor".to_owned(),
        }
    }

    /// For machines.
    pub(super) fn document(&self) -> Value {
        match self {
            Self::SetKey { endpoint } => json!({ "step": "set_key", "endpoint": endpoint }),
            Self::AddEndpoint(new) => {
                let mut document = json!(new);
                document["step"] = "add_endpoint".into();
                document
            }
            Self::TestEndpoint { name } => json!({ "step": "test_endpoint", "name": name }),
            Self::ChangeSetting { key, typed } => {
                json!({ "step": "change_setting", "key": key.to_string(), "value": typed })
            }
            Self::LogIn { login } => json!({ "step": "log_in", "login": login.name() }),
            Self::RunDoctor => json!({ "step": "run_doctor" }),
        }
    }
}

/// No text of a step holds what a terminal obeys or what looks like a key, and none is long.
fn texts(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.chars().any(is_harmful) => {
            Err("it holds characters that cannot be seen".to_owned())
        }
        Value::String(text) if text.chars().count() > MAX_TEXT_CHARS => {
            Err("it holds a text that is too long".to_owned())
        }
        Value::String(text) if redact(text) != *text => {
            Err("it holds what looks like a key; keys are given by you, never by a model".to_owned())
        }
        Value::Array(items) => items.iter().try_for_each(texts),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            texts(&Value::from(name.as_str()))?;
            texts(value)
        }),
        _ => Ok(()),
    }
}

/// Words of a library about what a model wrote.
fn shown(words: &str) -> String {
    redact(&escaped(words)).chars().take(MAX_TEXT_CHARS).collect()
}

fn setting(key: &str, value: &Value) -> Result<Step, String> {
    let path = KeyPath::parse(key).map_err(|error| error.to_string())?;
    if !may_change(&path) {
        return Err(format!("{path} is not changed by what a model says; `latimer config set` does it"));
    }
    let typed = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) if items.len() <= MAX_MODELS && items.iter().all(Value::is_string) => {
            value.to_string()
        }
        _ => {
            return Err(format!(
                "{path}: the value should be a text, a number, true, false or a list of texts"
            ));
        }
    };
    let meaning = path.meaning().map_err(|error| error.to_string())?;
    value_of(meaning, &typed).map_err(|error| format!("{path}: {error}"))?;
    Ok(Step::ChangeSetting { key: path, typed })
}

/// Whether the setting is one of the list.
fn may_change(path: &KeyPath) -> bool {
    let fits = |pattern: &str| {
        let names: Vec<&str> = pattern.split('.').collect();
        names.len() == path.steps.len()
            && names.iter().zip(&path.steps).all(|(name, step)| match step {
                PathStep::Name(written) => *name == "*" || name == written,
                PathStep::Place(_) => *name == "*",
            })
    };
    let is_key = ["name", "endpoint", "id"].contains(&path.last());
    SETTINGS.iter().any(|pattern| fits(pattern)) && !is_key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<Step, String> {
        Step::read(value, &["lab".to_owned()])
    }

    #[test]
    fn steps_of_the_list_are_read() {
        for value in [
            json!({ "step": "set_key", "endpoint": "lab" }),
            json!({ "step": "add_endpoint", "name": "d", "preset": "deepseek" }),
            json!({ "step": "add_endpoint", "name": "d", "preset": "deepseek", "key_env": "DEEPSEEK_API_KEY" }),
            json!({ "step": "add_endpoint", "name": "x", "base_url": "https://x.test/v1", "protocol": "anthropic", "key_env": "X_API_KEY", "models": ["m"] }),
            json!({ "step": "add_endpoint", "name": "x", "base_url": "http://127.0.0.1:11434/v1" }),
            json!({ "step": "test_endpoint", "name": "lab" }),
            json!({ "step": "change_setting", "key": "endpoint.lab.timeouts.idle", "value": "60s" }),
            json!({ "step": "change_setting", "key": "endpoint.lab.retries", "value": 2 }),
            json!({ "step": "change_setting", "key": "endpoint.lab.models", "value": ["a", "b"] }),
            json!({ "step": "change_setting", "key": "launch.codex.model", "value": "lab/m" }),
            json!({ "step": "log_in", "login": "google" }),
            json!({ "step": "run_doctor" }),
        ] {
            let step = read(&value);
            assert!(step.is_ok(), "{value}: {step:?}");
        }
    }

    fn are_refused(steps: &[(Value, &str)]) {
        for (value, why) in steps {
            let refused = read(value).expect_err(&value.to_string());
            assert!(
                refused.contains(why) && !refused.contains("numbat") && !refused.contains(is_harmful),
                "{value}: {refused}"
            );
        }
    }

    #[test]
    fn hostile_endpoints_are_refused() {
        are_refused(&[
            (json!({ "step": "set_key", "endpoint": "lab", "key": "abc" }), "unknown field"),
            (json!({ "step": "set_key", "endpoint": "../../etc/passwd" }), "there is no endpoint"),
            (
                json!({ "step": "add_endpoint", "name": "../x", "preset": "deepseek" }),
                "the name of an endpoint",
            ),
            (
                json!({ "step": "add_endpoint", "name": ".x", "preset": "deepseek" }),
                "the name of an endpoint",
            ),
            (json!({ "step": "add_endpoint", "name": "lab", "preset": "deepseek" }), "already"),
            (
                json!({ "step": "add_endpoint", "name": "x", "preset": "deepseek", "base_url": "https://t.test" }),
                "either a preset or an address",
            ),
            (json!({ "step": "add_endpoint", "name": "x", "base_url": "http://t.test" }), "should be https"),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "http://127.0.0.1.t.test" }),
                "should be https",
            ),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "https://api.openai.com@t.test" }),
                "looks like a key",
            ),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "file:///etc/passwd" }),
                "should be https",
            ),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "https://t.test", "key_env": "OPENAI_API_KEY" }),
                "the key of openai",
            ),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "https://t.test", "key_env": "AWS_SECRET_ACCESS_KEY" }),
                "ends in _API_KEY",
            ),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "https://t.test", "key_env": "GITHUB_TOKEN" }),
                "ends in _API_KEY",
            ),
            (
                json!({ "step": "add_endpoint", "name": "x", "base_url": "https://t.test", "key_file": "/etc/passwd" }),
                "unknown field",
            ),
            (json!({ "step": "test_endpoint", "name": "x".repeat(301) }), "too long"),
        ]);
    }

    #[test]
    fn hostile_settings_are_refused() {
        let key = "sk-numbat0123456789abcdef0123456789";
        are_refused(&[
            (
                json!({ "step": "change_setting", "key": "endpoint.lab.api_key_file", "value": "/etc/passwd" }),
                "is not changed by what a model says",
            ),
            (
                json!({ "step": "change_setting", "key": "endpoint.lab.api_key", "value": "x" }),
                "is not changed",
            ),
            (
                json!({ "step": "change_setting", "key": "endpoint.lab.base_url", "value": "https://t.test" }),
                "is not changed",
            ),
            (
                json!({ "step": "change_setting", "key": "endpoint.lab.proxy", "value": "http://t.test" }),
                "is not changed",
            ),
            (json!({ "step": "change_setting", "key": "endpoint.lab.name", "value": "x" }), "is not changed"),
            (
                json!({ "step": "change_setting", "key": "endpoint.lab.headers.x", "value": "x" }),
                "is not changed",
            ),
            (
                json!({ "step": "change_setting", "key": "profile.p.endpoint", "value": "x" }),
                "is not changed",
            ),
            (json!({ "step": "change_setting", "key": "server.auth", "value": "none" }), "is not changed"),
            (
                json!({ "step": "change_setting", "key": "server.listen", "value": "0.0.0.0:1" }),
                "is not changed",
            ),
            (
                json!({ "step": "change_setting", "key": "launch_env", "value": ["AWS_SECRET_ACCESS_KEY"] }),
                "is not changed",
            ),
            (
                json!({ "step": "change_setting", "key": "watchdog.enabled", "value": false }),
                "is not changed",
            ),
            (
                json!({ "step": "change_setting", "key": "server.grace", "value": { "a": 1 } }),
                "should be a text",
            ),
            (json!({ "step": "change_setting", "key": "launch.model", "value": key }), "looks like a key"),
            (
                json!({ "step": "change_setting", "key": "launch.model", "value": "a\u{1b}[2J" }),
                "cannot be seen",
            ),
        ]);
    }

    #[test]
    fn hostile_steps_are_refused() {
        are_refused(&[
            (json!({ "step": "run_command", "command": "rm -rf ~" }), "`run_command` is no step"),
            (json!({ "step": "run_doctor", "args": ["--fix"] }), "unknown field"),
            (json!({ "step": "log_in", "login": "github" }), "there is no login"),
            (json!({ "step": "log_in", "login": "google\u{202e}" }), "cannot be seen"),
            (json!("run_doctor"), "is no step"),
            (json!({ "step": 7 }), "is no step"),
        ]);
    }
}
