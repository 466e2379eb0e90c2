//! An endpoint that a model proposes, and what it may be: a known provider, or an address that gets no other provider's key. Pure.

use latimer_proxy::config::{Protocol, presets};
use serde::{Deserialize, Serialize};

/// The most models of an endpoint.
pub(super) const MAX_MODELS: usize = 50;

/// An endpoint that may be added: a known provider, or an address that is no other provider's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct NewEndpoint {
    pub(super) name: String,
    pub(super) preset: Option<&'static str>,
    pub(super) base_url: Option<String>,
    pub(super) protocol: Option<&'static str>,
    pub(super) key_env: Option<String>,
    pub(super) models: Vec<String>,
}

/// An endpoint as a model proposes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposedEndpoint {
    pub(super) name: String,
    pub(super) preset: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) key_env: Option<String>,
    #[serde(default)]
    pub(super) models: Vec<String>,
}

impl ProposedEndpoint {
    /// # Errors
    /// Why it may not be added, for the person.
    pub(super) fn checked(self) -> Result<NewEndpoint, String> {
        let Self { name, preset, base_url, protocol, key_env, models } = self;
        let is_plain = !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !is_plain {
            return Err("the name of an endpoint holds letters, digits, `.`, `_` and `-` only".to_owned());
        }
        let preset = match &preset {
            Some(preset) => {
                Some(presets::find(preset).ok_or_else(|| format!("there is no preset `{preset}`"))?)
            }
            None => None,
        };
        if preset.is_some() == base_url.is_some() {
            return Err("an endpoint has either a preset or an address of its own".to_owned());
        }
        if let Some(url) = &base_url {
            address(url)?;
            if let Some(variable) = &key_env {
                key_variable(variable, url)?;
            }
        } else if key_env
            .as_deref()
            .is_some_and(|variable| preset.and_then(|preset| preset.key_env) != Some(variable))
        {
            return Err("a known provider takes its key from its own variable".to_owned());
        }
        let protocol = match &protocol {
            Some(protocol) => {
                let found = Protocol::NAMES.iter().find(|(known, _)| known == protocol);
                Some(found.ok_or_else(|| format!("there is no protocol `{protocol}`"))?.0)
            }
            None => None,
        };
        if models.len() > MAX_MODELS {
            return Err(format!("it lists more than {MAX_MODELS} models"));
        }
        Ok(NewEndpoint {
            name,
            preset: preset.map(|preset| preset.name),
            base_url,
            protocol,
            key_env,
            models,
        })
    }
}

/// An address that a model may propose: encrypted, or of this machine, and without a password.
fn address(url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_plain = !authority.is_empty()
        && url
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '.' | '-' | '_' | '~' | '[' | ']'));
    let is_local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
        authority.strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':'))
    });
    if is_plain && (scheme == "https" || scheme == "http" && is_local) {
        return Ok(());
    }
    Err("its address should be https, or http on this machine, with nothing but a host, a port and a path"
        .to_owned())
}

/// The variable of a key that may go to an address: one for keys of providers, and no other provider's.
fn key_variable(variable: &str, url: &str) -> Result<(), String> {
    let is_plain = variable.starts_with(|c: char| c.is_ascii_uppercase())
        && variable.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if !is_plain || !variable.ends_with("_API_KEY") {
        return Err("the variable of a key is written in capitals and ends in _API_KEY".to_owned());
    }
    match presets::owner_elsewhere(variable, url) {
        Some(owner) => Err(format!("it would send {variable}, the key of {owner}, to another address")),
        None => Ok(()),
    }
}
