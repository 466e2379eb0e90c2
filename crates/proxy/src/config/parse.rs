//! The text of a configuration file to a [`Config`], or to every problem it has. Pure: the environment and the files it names
//! come in as functions.

mod agent;
mod agents;
mod credentials;
mod endpoint;
mod launch;
mod model;
mod options;
mod outbound;
mod profiles;
mod quirks;
mod routes;
mod server;
mod store;

use std::collections::HashSet;
use std::io;
use std::path::Path;

use latimer_adapters::transport::outbound::Outbound;
use latimer_protocol::id::EndpointName;
use toml::de::DeTable;

use super::agent_loop;
use super::check::ConfigProblem;
use super::read::{ProblemCollector, Table};
use super::schema::{self, nearest};
use super::{Config, DefaultEndpoint, Endpoint, LaunchDefaults, MetricsAccess, Server};

/// A configuration that can be used, and what its author should know.
#[derive(Debug, Clone)]
pub struct ParsedConfig {
    /// Resolved.
    pub config: Config,
    /// Things that are likely not meant, but stop nothing.
    pub warnings: Vec<ConfigProblem>,
}

/// One variable of the environment.
type Env<'e> = &'e dyn Fn(&str) -> Option<String>;
/// A file as text.
type ReadFile<'r> = &'r dyn Fn(&Path) -> io::Result<String>;

/// Raises the text. An empty text is a configuration without endpoints.
///
/// # Errors
/// Every problem that keeps the text from being a configuration, each with its line.
pub fn load(text: &str, env: Env<'_>, read_file: ReadFile<'_>) -> Result<ParsedConfig, Vec<ConfigProblem>> {
    let mut notes = ProblemCollector::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.problem(
            error.span().unwrap_or(0..0),
            "",
            format!("not valid TOML: {}", error.message().replace('\n', ", ")),
        );
    }
    let root = Table::root(&table);
    root.only(&schema::TOP, &mut notes);
    let server = root
        .table("server", &mut notes)
        .map_or_else(Server::default, |table| server::server(&table, &mut notes));
    let metrics = root
        .table("metrics", &mut notes)
        .map_or_else(MetricsAccess::default, |table| server::metrics(&table, env, read_file, &mut notes));
    let outbound = outbound::of_all(&root, env, &mut notes);
    let endpoints = endpoints(&root, &outbound, env, read_file, &mut notes);
    outbound::refuse_environment(&root, &endpoints, env, &mut notes);
    let default_endpoint = default_endpoint(&root, &endpoints, &mut notes);
    let mut routes = routes::parse(&root, &endpoints, &mut notes);
    let profiles = profiles::parse(&root, &endpoints, &mut routes, &mut notes);
    let launch_env = root
        .get("launch_env")
        .map_or_else(Vec::new, |names| names.strings(&mut notes).into_iter().map(|(_, name)| name).collect());
    let launch = root
        .table("launch", &mut notes)
        .map_or_else(LaunchDefaults::default, |table| launch::parse(&table, &mut notes));
    let store = store::parse(&root, env, read_file, &mut notes);
    let (endpoints, disabled) = endpoints.into_iter().partition(|endpoint: &Endpoint| endpoint.is_enabled);
    let mut config = Config {
        server,
        metrics,
        default_endpoint,
        endpoints,
        disabled,
        routes,
        profiles,
        launch,
        outbound,
        store,
        agents: agents::settings(&root, &mut notes),
        launch_env,
        avoided: Vec::new(),
    };
    leave_out_disabled(&mut config, &root, &mut notes);
    refuse_loops(&config, &root, &mut notes);
    if notes.problems.is_empty() {
        Ok(ParsedConfig { config, warnings: notes.warnings })
    } else {
        Err(notes.problems)
    }
}

/// The configuration that this text is, for tests: it names no file and no variable.
#[cfg(test)]
pub(crate) fn config_of(text: &str) -> Config {
    let parsed = load(text, &|_| None, &|_| Err(io::ErrorKind::NotFound.into()));
    parsed.expect("a configuration").config
}

fn endpoints(
    root: &Table<'_, '_>,
    outbound: &Outbound,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> Vec<Endpoint> {
    let Some(list) = root.get("endpoint") else { return Vec::new() };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut names = HashSet::new();
    for value in list.list(notes) {
        let Some(table) = value.table(notes) else { continue };
        let Some(endpoint) = endpoint::parse(&table, outbound, env, read_file, notes) else { continue };
        if !names.insert(endpoint.name.clone()) {
            let span = table.get("name").map_or(value.span.clone(), |name| name.span);
            notes.problem(
                span,
                &format!("{}.name", table.path),
                "another endpoint has this name already; names must differ",
            );
        }
        endpoints.push(endpoint);
    }
    endpoints
}

/// An agent whose own model leads back to it.
fn refuse_loops(config: &Config, root: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) {
    let port = config.server.listen.port();
    let Some(list) = root.get("endpoint").filter(|_| port != 0) else { return };
    for endpoint in config.endpoints.iter().filter(|endpoint| endpoint.agent.is_some()) {
        let back = endpoint.models.iter().find_map(|model| {
            agent_loop::leads_back(config, &format!("{}/{}", endpoint.name, model.id), &|_| None, port)
        });
        if let Some(words) = back {
            notes.problem(list.span.clone(), &format!("endpoint.{}.agent", endpoint.name), words);
        }
    }
}

/// Takes disabled endpoints out of what leads to them: they are as good as not there until they are enabled again.
fn leave_out_disabled(config: &mut Config, root: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) {
    let is_disabled =
        |name: &EndpointName| config.disabled.iter().any(|endpoint: &Endpoint| endpoint.name == *name);
    for route in &mut config.routes {
        route.targets.retain(|target| !is_disabled(&target.endpoint));
    }
    for route in config.routes.iter().filter(|route| route.targets.is_empty()) {
        let list = root.get("route").or_else(|| root.get("profile"));
        let span = list.map_or(0..0, |value| value.span);
        let message = format!("every endpoint of the route `{}` is disabled; it answers nothing", route.name);
        notes.warning(span, "route", message);
    }
    config.routes.retain(|route| !route.targets.is_empty());
    if let DefaultEndpoint::Named(name) = &config.default_endpoint
        && is_disabled(name)
    {
        let span = root.get("default_endpoint").map_or(0..0, |value| value.span);
        notes.warning(
            span,
            "default_endpoint",
            format!("`{name}` is disabled; what no endpoint lists is refused"),
        );
        config.default_endpoint = DefaultEndpoint::Nowhere;
    }
}

fn default_endpoint(
    root: &Table<'_, '_>,
    endpoints: &[Endpoint],
    notes: &mut ProblemCollector<'_>,
) -> DefaultEndpoint {
    let Some(value) = root.get("default_endpoint") else { return DefaultEndpoint::Only };
    let Some(name) = value.string(notes) else { return DefaultEndpoint::Only };
    if endpoints.iter().any(|endpoint| endpoint.name.as_str() == name) {
        return DefaultEndpoint::Named(EndpointName::from(name));
    }
    if name == "none" {
        return DefaultEndpoint::Nowhere;
    }
    let known: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let hint = match nearest(&name, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("there are: {}", known.join(", ")),
    };
    notes.problem(value.span.clone(), &value.path, format!("there is no endpoint of this name; {hint}"));
    DefaultEndpoint::Only
}

#[cfg(test)]
pub(in crate::config) mod tests;
