//! Configuration: the file as written, and what it means.
//!
//! [`schema`] lists every key, [`raise`] turns the text into a [`Config`] or into every problem it has, [`presets`] knows the
//! providers, [`watch`] takes up a changed file, [`state`] keeps the token.

pub mod check;
pub mod presets;
pub mod raise;
mod read;
mod route;
pub mod schema;
pub mod state;
pub mod watch;

pub use route::RouteError;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::repair::Level;
use latimer_protocol::id::EndpointName;
use latimer_protocol::secret::Secret;

/// Everything resolved: parsed addresses and durations, presets filled in, keys read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The front side.
    pub server: Server,
    /// Where a model goes that no endpoint lists.
    pub default_endpoint: Option<EndpointName>,
    /// In the order of the file.
    pub endpoints: Vec<Endpoint>,
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
    /// Its name.
    pub name: EndpointName,
    /// The preset it was filled from.
    pub preset: Option<&'static str>,
    /// The wire protocol.
    pub protocol: Protocol,
    /// Without a trailing slash and without `/chat/completions`.
    pub base_url: String,
    /// The key pool; empty sends no credentials.
    pub keys: Vec<Secret>,
    /// The models it lists.
    pub models: Vec<Model>,
    /// How patient to be.
    pub timeouts: Timeouts,
    /// Attempts after the first, before the first semantic event only.
    pub retries: u32,
    /// How often an answer that a length limit cut is continued.
    pub resume: u32,
    /// How much is made of what a model wrote instead of a call.
    pub repair: Level,
    /// What the provider does differently.
    pub quirks: Quirks,
    /// Extra request headers, sent as they are.
    pub headers: Vec<(String, String)>,
    /// A private CA in PEM, beside the machine's own trust store.
    pub ca_file: Option<PathBuf>,
}

/// The wire protocol of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI Chat Completions.
    Chat,
}

/// One model of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// As the provider spells it; case matters.
    pub id: String,
    /// In tokens.
    pub context_window: Option<u64>,
    /// Whether it thinks.
    pub reasoning: Option<bool>,
    /// Whether it sees images.
    pub images: Option<bool>,
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
}
