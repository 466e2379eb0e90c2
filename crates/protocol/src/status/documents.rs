//! The documents below `/api/v1` that are no turn: endpoints, models, what happens now.

use serde::{Deserialize, Serialize};

use super::{ConfigState, EndpointState, Problem, TurnReport, UsageLine};

/// One endpoint: what is configured, how it is doing, what it taught. Never a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointReport {
    /// How it is doing.
    #[serde(flatten)]
    pub state: EndpointState,
    /// The preset it was filled from.
    pub preset: Option<String>,
    /// Its wire protocol.
    pub protocol: String,
    /// Where it is, without what may hold a secret.
    pub base_url: String,
    /// The models it lists.
    pub models: Vec<String>,
    /// Its keys and accounts, as people call them.
    pub members: Vec<MemberReport>,
    /// What its refusals taught.
    pub learned: Vec<LessonReport>,
}

/// One key or account of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberReport {
    /// As people call it, such as `key-1`.
    pub id: String,
    /// How long it still rests, in seconds; `None` for one that is ready.
    pub rests_s: Option<u64>,
}

/// One thing that an endpoint taught.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LessonReport {
    /// The model it is about.
    pub model: String,
    /// Its name for `latimer endpoints forget`.
    pub lesson: String,
    /// What is done about it.
    pub meaning: String,
    /// The provider's words that taught it.
    pub words: String,
    /// When, in Unix seconds.
    pub at: u64,
}

/// One model that can be asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelReport {
    /// The name a client asks for.
    pub name: String,
    /// The endpoint that answers.
    pub endpoint: String,
    /// The model as the endpoint knows it.
    pub model: String,
    /// In tokens.
    pub context_window: Option<u64>,
    /// The most tokens of an answer.
    pub max_output: Option<u64>,
    /// Whether it thinks.
    pub reasoning: Option<bool>,
    /// Whether it sees images.
    pub images: Option<bool>,
    /// US dollars for a million input tokens.
    pub input_usd: Option<f64>,
    /// US dollars for a million input tokens read from a cache.
    pub cached_usd: Option<f64>,
    /// US dollars for a million output tokens.
    pub output_usd: Option<f64>,
}

/// One name that stands for several targets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteSummary {
    /// The name a client asks for.
    pub name: String,
    /// More names and patterns.
    pub models: Vec<String>,
    /// Which target comes first.
    pub strategy: String,
    /// Whether a conversation stays with the target that answered it.
    pub affinity: bool,
    /// `endpoint/model` of each target, in the order of the configuration.
    pub targets: Vec<String>,
}

/// What happens now: one event of `GET /api/v1/live`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveReport {
    /// The version of this document: [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// The process that says it: another one after a restart.
    pub pid: u32,
    /// The clock of the proxy, in milliseconds since 1970.
    pub now_ms: u64,
    /// `ok`, or `draining` after a request to stop.
    pub status: String,
    /// Turns under way, the oldest first; at most a hundred of them.
    pub running: Vec<TurnReport>,
    /// How many turns are under way.
    pub turns_open: u64,
    /// How many turns began since the start.
    pub turns_total: u64,
    /// The newest turns that are over, the newest first.
    pub finished: Vec<TurnReport>,
    /// The last thirty days, until now.
    pub month: UsageLine,
    /// The last 24 hours, until now.
    pub day: UsageLine,
    /// How every endpoint is doing.
    pub endpoints: Vec<EndpointState>,
    /// What the configuration is.
    pub config: ConfigState,
    /// What is not well.
    pub problems: Vec<Problem>,
    /// The last warnings, the newest last.
    pub warnings: Vec<String>,
}
