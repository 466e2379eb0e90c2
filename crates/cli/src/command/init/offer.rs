//! What was found, and what can be made of it.

use std::path::Path;

use anyhow::Context as _;
use latimer_proxy::config::presets;
use serde::Serialize;

use crate::command::launch;
use crate::discovery::{self, FoundClient, FoundKey, FoundLogin, FoundServer};
use crate::environment::env;
use crate::exit::{Exit, ExitsWith as _};

/// What is on this machine.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    keys: Vec<FoundKey>,
    logins: Vec<FoundLogin>,
    servers: Vec<FoundServer>,
    clients: Vec<FoundClient>,
}

/// A provider that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// What the endpoint will be called.
    pub(super) name: String,
    /// The preset to fill it from.
    pub(super) preset: Option<&'static str>,
    /// Where it is, where the preset does not say it.
    pub(super) base_url: Option<String>,
    /// How one gets in.
    pub(super) entry: Entry,
}

/// How one gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// With the key of the preset's own variable, or without any.
    Usual,
    /// With the key in this variable.
    Variable(String),
    /// With a key that the person gives now.
    Given,
}

impl Findings {
    /// Looks around.
    pub(super) fn of_machine(state_dir: &Path) -> Self {
        let known = launch::known_clients();
        std::thread::scope(|scope| {
            let servers = scope.spawn(|| discovery::servers(state_dir));
            let clients = scope.spawn(|| discovery::clients(&known));
            Self {
                keys: discovery::keys(),
                logins: discovery::logins(state_dir),
                servers: servers.join().unwrap_or_default(),
                clients: clients.join().unwrap_or_default(),
            }
        })
    }

    /// A line for each kind of thing.
    pub(super) fn lines(&self) -> Vec<String> {
        let list = |found: Vec<String>| if found.is_empty() { vec!["none".to_owned()] } else { found };
        let rows = [
            (
                "keys",
                list(self.keys.iter().map(|key| format!("{} ({})", key.variable, key.preset)).collect()),
            ),
            (
                "accounts",
                list(
                    self.logins
                        .iter()
                        .map(|login| format!("{}: {}", login.login, login.accounts.join(", ")))
                        .collect(),
                ),
            ),
            (
                "servers",
                list(
                    self.servers
                        .iter()
                        .map(|server| {
                            format!("{} at {}, {} models", server.name, server.base_url, server.models.len())
                        })
                        .collect(),
                ),
            ),
            ("clients", list(self.clients.iter().filter_map(client_words).collect())),
        ];
        rows.into_iter()
            .flat_map(|(kind, found)| {
                found
                    .into_iter()
                    .enumerate()
                    .map(move |(place, words)| format!("{:8}  {words}", if place == 0 { kind } else { "" }))
            })
            .collect()
    }

    /// What can be used: keys, then accounts, then local servers that list a model.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let keys = self.keys.iter().map(|key| Offer::usual(key.preset, Some(key.preset), None));
        let logins = self.logins.iter().filter_map(|login| login.preset);
        let logins = logins.map(|preset| Offer::usual(preset, Some(preset), None));
        let servers = self
            .servers
            .iter()
            .filter(|server| !server.models.is_empty())
            .map(|server| Offer::usual(server.name, server.preset, Some(server.base_url.clone())));
        keys.chain(logins).chain(servers).collect()
    }

    /// The command to go on with.
    pub(super) fn next(&self, endpoint: &str) -> String {
        match self.clients.iter().find(|client| client.program.is_some()) {
            Some(client) => format!("latimer launch {} --endpoint {endpoint}", client.name),
            None => match self.clients.first() {
                Some(client) => format!("{}, then: latimer launch {}", client.install, client.name),
                None => "latimer launch codex".to_owned(),
            },
        }
    }

    /// The server of this name, where it answers.
    fn server(&self, name: &str) -> Option<&FoundServer> {
        self.servers.iter().find(|server| server.name == name)
    }
}

fn client_words(client: &FoundClient) -> Option<String> {
    client.program.as_ref()?;
    let version = client.version.as_deref().unwrap_or("(its version is not known)");
    let named = version.to_lowercase().contains(client.name);
    Some(if named { version.to_owned() } else { format!("{} {version}", client.name) })
}

impl Offer {
    fn usual(name: &str, preset: Option<&'static str>, base_url: Option<String>) -> Self {
        Self { name: name.to_owned(), preset, base_url, entry: Entry::Usual }
    }

    /// A preset that a person names.
    ///
    /// # Errors
    /// There is none of this name, or its key is not there.
    pub(super) fn of_preset(
        name: &str,
        key_env: Option<&str>,
        is_given: bool,
        findings: &Findings,
    ) -> anyhow::Result<Self> {
        let known = presets::find(name);
        let preset = known.with_context(|| {
            format!("there is no preset `{name}`; there are: {}", presets::names().join(", "))
        })?;
        let base_url = findings.server(name).map(|server| server.base_url.clone());
        let base_url = base_url.filter(|url| url != preset.base_url);
        let entry = match key_env {
            _ if is_given => Entry::Given,
            Some(variable) => Entry::Variable(variable.to_owned()),
            None => Entry::Usual,
        };
        let variable = key_env.or(preset.key_env).filter(|_| !is_given);
        let has_account =
            preset.login.is_some_and(|login| findings.logins.iter().any(|found| found.login == login.name()));
        if let Some(variable) = variable
            && env(variable).is_none_or(|key| key.trim().is_empty())
            && !(has_account && key_env.is_none())
        {
            let error = anyhow::anyhow!(
                "`{variable}` is not set, and {name} needs a key: export {variable}=…, or give it on stdin with --key-stdin"
            );
            return Err(error).exits(Exit::NoProvider);
        }
        if let (None, Some(login), false) = (variable, preset.login, has_account || is_given) {
            let error = anyhow::anyhow!("nobody is logged in for {name}: latimer login {}", login.name());
            return Err(error).exits(Exit::NoProvider);
        }
        Ok(Self { name: name.to_owned(), preset: Some(preset.name), base_url, entry })
    }

    /// For a list to choose from.
    pub(super) fn words(&self) -> String {
        let preset = self.preset.and_then(presets::find);
        let how = match (&self.base_url, preset.and_then(|preset| preset.key_env)) {
            (Some(base_url), _) => base_url.clone(),
            (None, Some(variable)) if env(variable).is_some() => format!("the key in {variable}"),
            _ => "the account that is logged in".to_owned(),
        };
        format!("{}  {how}", self.name)
    }
}
