//! Configuration: the file as written, and what it means.
//!
//! [`schema`] lists every key, [`parse`] turns the text into a [`Config`] or into every problem it has, [`presets`] knows the
//! providers, [`watch`] takes up a changed file, [`state`] keeps the token.

pub mod agent_loop;
mod agents;
pub mod base_url;
pub mod check;
pub mod database_url;
pub mod edit;
pub mod listed;
mod login;
pub mod mask;
mod model;
pub mod parse;
pub mod presets;
mod read;
mod route;
pub mod schema;
pub mod state;
mod store;
pub mod watch;

pub use agents::AgentsSettings;
pub use login::Login;
pub use model::{Effort, Model, Origin, Price};
pub use route::RouteError;
pub use store::{SharedStore, StoreSettings};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use latimer_adapters::agents::settings::{AgentProgram, AgentSettings};
use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::repair::RepairLevel;
use latimer_adapters::responses::profile::Profile;
use latimer_adapters::transport::network::Network;
use latimer_adapters::transport::outbound::{Outbound, ProxyUrl};
use latimer_protocol::id::EndpointName;
use latimer_protocol::secret::Secret;

/// Everything resolved: parsed addresses and durations, presets filled in, keys read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The front side.
    pub server: Server,
    /// Figures for other people's tools.
    pub metrics: MetricsAccess,
    /// Where a model goes that no endpoint lists.
    pub default_endpoint: DefaultEndpoint,
    /// In the order of the file.
    pub endpoints: Vec<Endpoint>,
    /// Endpoints that are switched off: nothing leads to them.
    pub disabled: Vec<Endpoint>,
    /// Names that stand for several endpoints, in the order of the file.
    pub routes: Vec<Route>,
    /// Named sets for launches, in the order of the file; each is among the routes, too.
    pub profiles: Vec<LaunchProfile>,
    /// Which models launched clients ask for.
    pub launch: LaunchDefaults,
    /// The way out of endpoints that have none of their own, and of logins.
    pub outbound: Outbound,
    /// Where usage and answers are kept. A change of it needs a restart.
    pub store: StoreSettings,
    /// What holds for all endpoints that are agents.
    pub agents: AgentsSettings,
    /// Variables that a launched client gets although they hold keys of providers.
    pub launch_env: Vec<String>,
    /// Endpoints that are used only where nothing else answers. Never in the file: an override says so for a while.
    pub avoided: Vec<EndpointName>,
}

/// Where a model goes that no endpoint lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DefaultEndpoint {
    /// Nothing is said: to the only endpoint there is.
    #[default]
    Only,
    /// To this one.
    Named(EndpointName),
    /// Nowhere: the client is told that there is no such model.
    Nowhere,
}

/// A named set of what a launch needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchProfile {
    /// Clients ask for it as for a model.
    pub name: String,
    /// The `name` of an `[[endpoint]]`, checked to be there.
    pub endpoint: EndpointName,
    /// The model's name there.
    pub model: String,
    /// The model for titles and other small questions there; the main one without it.
    pub small_model: Option<String>,
    /// Instead of the endpoint's own level.
    pub repair: Option<RepairLevel>,
    /// Instead of what the client asks for.
    pub effort: Option<Effort>,
}

/// Which models launched clients ask for where nobody says another one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchDefaults {
    /// For every client.
    pub usual: LaunchModels,
    /// For one client, by the name it is launched by; before the usual ones.
    pub clients: Vec<(&'static str, LaunchModels)>,
}

/// Names of models to ask for, as a client would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchModels {
    /// For the work.
    pub model: Option<String>,
    /// For titles and other small questions.
    pub small_model: Option<String>,
}

impl LaunchDefaults {
    /// What this client asks for.
    pub fn of(&self, client: &str) -> LaunchModels {
        let own = self.clients.iter().find(|(name, _)| *name == client).map(|(_, models)| models.clone());
        let own = own.unwrap_or_default();
        LaunchModels {
            model: own.model.or_else(|| self.usual.model.clone()),
            small_model: own.small_model.or_else(|| self.usual.small_model.clone()),
        }
    }
}

/// The front side.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who may come in.
    pub auth: Auth,
    /// Names besides the loopback ones that a `Host` header may carry.
    pub hosts: Vec<String>,
    /// Largest request body in bytes, before and after decompression.
    pub body_limit: usize,
    /// How long open turns may go on after a request to stop.
    pub grace: Duration,
    /// Longest silence towards a client before a keep-alive event.
    pub keep_alive: Duration,
    /// Whether the Responses API is also spoken over WebSocket.
    pub websocket: bool,
    /// Whether the requests of the last turns are kept in memory, for a person to look at.
    pub keep_requests: bool,
    /// Threads that carry connections; without it one for each core, at most eight.
    pub workers: Option<usize>,
    /// What this node is called in logs, metrics and rows; `None` where there is only one.
    pub node: Option<String>,
    /// How connections from elsewhere are protected.
    pub exposure: Exposure,
    /// How long a load balancer is told to stay away before connections are refused.
    pub drain_delay: Duration,
}

/// How connections from other machines are protected. Those from this machine are plain or TLS, as they like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// There are none: latimer listens on loopback.
    Loopback,
    /// By TLS.
    Tls(TlsFiles),
    /// By a proxy in front, which ends TLS and is the only one that is listened to.
    BehindProxy(Vec<Network>),
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to a known one, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Where and to whom figures are shown, beside `GET /metrics` with the token.
#[derive(Debug, Clone, Default)]
pub struct MetricsAccess {
    /// An address of their own.
    pub listen: Option<SocketAddr>,
    /// What opens them and nothing else, there and on the main address.
    pub token: Option<Secret>,
}

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Only with the token of the state directory.
    Token,
    /// Anyone who reaches the port; only allowed on loopback.
    None,
}

/// One provider account set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As in `endpoint/model`, in logs and on pages; no other endpoint has it.
    pub name: EndpointName,
    /// The preset it was filled from.
    pub preset: Option<&'static str>,
    /// The wire protocol.
    pub protocol: Protocol,
    /// Without a trailing slash and without `/chat/completions`; empty for an agent, which is a program.
    pub base_url: String,
    /// The key pool; empty sends no credentials.
    pub keys: Vec<Secret>,
    /// Where a key should be and is none: names of variables that are not set, paths of files that cannot be read.
    pub missing_keys: Vec<String>,
    /// Whether it is used at all.
    pub is_enabled: bool,
    /// The models it lists.
    pub models: Vec<Model>,
    /// How patient to be.
    pub timeouts: Timeouts,
    /// Attempts after the first, before the first semantic event only.
    pub retries: u32,
    /// How often an answer that a length limit cut is continued.
    pub resume: u32,
    /// How much is made of what a model wrote instead of a call.
    pub repair: RepairLevel,
    /// What the provider does differently, where it speaks Chat Completions.
    pub quirks: Quirks,
    /// What the server takes, where it speaks Responses.
    pub profile: Profile,
    /// The accounts it uses besides keys.
    pub login: Option<Login>,
    /// Settings of single protocols.
    pub options: Options,
    /// How much of a history it is given.
    pub history: History,
    /// Turns at once.
    pub max_parallel: Option<u32>,
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Extra request headers, sent as they are.
    pub headers: Vec<(String, String)>,
    /// The values among them that are credentials by the header's name. Nobody reads them: they are known as secrets as long as they
    /// are here.
    pub header_secrets: Vec<Secret>,
    /// A private CA in PEM, beside the machine's own trust store.
    pub ca_file: Option<PathBuf>,
    /// Through which proxy it is asked, if any.
    pub outbound: Outbound,
    /// What is behind it, where that is a whole coding agent.
    pub agent: Option<Box<AgentSettings>>,
}

impl Endpoint {
    /// What is known of a model that it is asked for: as configured, else as the table of its preset has it.
    pub fn known_model(&self, id: &str) -> Option<&Model> {
        let table = || Some(&presets::KnownModels::get().find(self.preset?, id)?.model);
        self.models.iter().find(|model| model.id == id).or_else(table)
    }
}

impl Config {
    /// The endpoints that are asked through a proxy, with that proxy.
    pub fn proxies(&self) -> Vec<(&Endpoint, &ProxyUrl)> {
        let proxy = |endpoint: &'_ Endpoint| endpoint.base_url.parse().ok();
        let endpoints = self.endpoints.iter();
        endpoints
            .filter_map(|endpoint| Some((endpoint, &**endpoint.outbound.proxy(&proxy(endpoint)?)?)))
            .collect()
    }
}

/// The wire protocol of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI Chat Completions.
    Chat,
    /// Anthropic Messages.
    Messages,
    /// OpenAI Responses.
    Responses,
    /// Gemini with a key.
    Gemini,
    /// Gemini Code Assist, with a login.
    CodeAssist,
    /// Google Antigravity, with a login.
    Antigravity,
    /// Command Code.
    CommandCode,
    /// Codebuff, with a login.
    Codebuff,
    /// A gateway that serves each model by its own protocol.
    ByModel,
    /// A whole coding agent.
    Agent(AgentProgram),
}

impl Protocol {
    /// How each protocol is called in the file.
    pub const NAMES: [(&str, Self); 13] = [
        ("chat", Self::Chat),
        ("anthropic", Self::Messages),
        ("responses", Self::Responses),
        ("gemini", Self::Gemini),
        ("code_assist", Self::CodeAssist),
        ("antigravity", Self::Antigravity),
        ("command_code", Self::CommandCode),
        ("codebuff", Self::Codebuff),
        ("by_model", Self::ByModel),
        ("codex-exec", Self::Agent(AgentProgram::CodexExec)),
        ("codex-app-server", Self::Agent(AgentProgram::CodexAppServer)),
        ("claude-code", Self::Agent(AgentProgram::ClaudeCode)),
        ("opencode", Self::Agent(AgentProgram::OpenCode)),
    ];

    /// As written in the file.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }
}

/// Settings of single protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What latimer calls itself to Command Code: the provider refuses versions it thinks too old.
    pub command_code_version: String,
    /// Command Code: real tools and blocks, where the server takes them.
    pub structured: bool,
    /// Command Code: ask that nothing is kept.
    pub zero_retention: bool,
    /// Code Assist and Antigravity: hosts in the order in which they are tried; empty for `base_url` alone.
    pub hosts: Vec<String>,
    /// Antigravity: this version instead of the one that is discovered.
    pub antigravity_version: Option<String>,
    /// Gemini: tell the model to use its tools when it is asked for an edit.
    pub edit_nudge: bool,
    /// Anthropic: keys go out as bearer tokens.
    pub bearer_keys: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            command_code_version: "0.26.8".to_owned(),
            structured: true,
            zero_retention: false,
            hosts: Vec::new(),
            antigravity_version: None,
            edit_nudge: false,
            bearer_keys: false,
        }
    }
}

/// How much of a history an endpoint is given. Lengths are in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The most of one of the newest tool outputs.
    pub new_outputs: Option<usize>,
    /// The most of an older one.
    pub old_outputs: Option<usize>,
    /// How many count as new.
    pub newest: usize,
    /// The most items; the middle goes first.
    pub max_items: Option<usize>,
    /// Learn how many items it takes from what it refuses.
    pub adaptive: bool,
}

impl History {
    /// All of it.
    pub const WHOLE: Self =
        Self { new_outputs: None, old_outputs: None, newest: 6, max_items: None, adaptive: false };
}

/// One name for several endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The model name clients ask for.
    pub name: String,
    /// More names, and patterns that end in `*`.
    pub models: Vec<String>,
    /// Which target comes first.
    pub strategy: Strategy,
    /// A conversation stays with the target that answered it, as long as that is well.
    pub affinity: bool,
    /// Never empty.
    pub targets: Vec<TargetConfig>,
    /// Instead of the level of the endpoint that answers; a header of the request goes before it.
    pub repair: Option<RepairLevel>,
    /// Instead of the effort that the client asks for.
    pub effort: Option<Effort>,
}

/// One possibility of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// The `name` of an `[[endpoint]]`, checked to be there.
    pub endpoint: EndpointName,
    /// The model's name there.
    pub model: String,
    /// For [`Strategy::Score`]: added to the score; lower is better.
    pub priority: u32,
}

/// Which target of a route comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The first that is well.
    #[default]
    Ordered,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest open turns.
    LeastBusy,
    /// The best by latency, failures, price and priority.
    Score,
}

impl Strategy {
    /// How each is called in the file.
    pub const NAMES: [(&str, Self); 4] = [
        ("ordered", Self::Ordered),
        ("round_robin", Self::RoundRobin),
        ("least_busy", Self::LeastBusy),
        ("score", Self::Score),
    ];

    /// As written in the file.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, strategy)| *strategy == self).map_or("", |(name, _)| name)
    }
}

/// How patient to be with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From the request to the response headers.
    pub first_byte: Duration,
    /// Silence between two reads of the body.
    pub idle: Duration,
    /// Between two events that say something, whatever else arrives: comments keep a provider alive no longer.
    pub content: Duration,
}
