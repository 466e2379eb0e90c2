//! The contract with whoever watches the proxy from outside: the health document and the faults by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use documents::{EndpointReport, LessonReport, LiveReport, MemberReport, ModelReport, RouteSummary};
pub use fault::{Fault, UnknownFault};
pub use problem::{Problem, duration_text, endpoint_problem, problems, store_problem};
pub use quota_report::{AccountQuota, QuotaReport, QuotaWindow};
pub use turn_report::{
    AttemptReport, CandidateReport, FailureReport, NoteReport, RouteReport, SCHEMA_VERSION, TokenReport,
    TurnPage, TurnReport, TurnState, WaitReport,
};
pub use usage_report::{UsageLine, UsageReport};

mod documents;
pub mod fault;
mod problem;
mod quota_report;
mod turn_report;
mod usage_report;

/// The socket in the state directory on which a watchdog takes commands: one JSON object a line in, `{"ok": …}` or `{"error": …}`
/// a line out.
pub const WATCHDOG_SOCKET: &str = "watchdog.sock";

/// What `GET /health` says to a caller with the token. Without it, only `status` is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `draining` after a request to stop.
    pub status: String,
    /// The version of the running binary.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Whole seconds since the listener was ready.
    pub uptime_s: u64,
    /// Resident memory now, in bytes; 0 where the platform does not tell.
    pub memory_bytes: u64,
    /// Turns that are open now.
    pub turns_open: u64,
    /// Turns that were begun since the start.
    pub turns_total: u64,
    /// Turns that ended in a failure since the start.
    pub turns_failed: u64,
    /// Rows of the usage that were lost because the disk was too slow.
    #[serde(default)]
    pub usage_lost: u64,
    /// The last warnings, the newest last.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The longest that the runtime was late in the last seconds, in milliseconds.
    #[serde(default)]
    pub lag_ms: u64,
    /// Open file descriptors; 0 where the platform does not tell.
    #[serde(default)]
    pub descriptors: u64,
    /// Changes that hold for a while, on top of the configuration.
    #[serde(default)]
    pub overrides: Vec<OverrideState>,
    /// What the configuration is, and whether its newest version was refused.
    pub config: ConfigState,
    /// One entry per endpoint, in the order of the configuration.
    pub endpoints: Vec<EndpointState>,
    /// The database that nodes share; nothing where everything is kept in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreState>,
}

/// How the database that nodes share is, as one of them sees it. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreState {
    /// Host, port and name of the database.
    pub database: String,
    /// Whether it answers.
    pub reachable: bool,
    /// Since when it does not.
    pub away_since: Option<u64>,
    /// Why it does not.
    pub away: Option<String>,
    /// Rows and answers that wait for it.
    pub waiting: u64,
    /// Rows and answers that it will never have.
    pub lost: u64,
    /// Nodes that share it, this one too, as far as is known.
    pub nodes: u32,
    /// Whether the limits of client keys are counted over all nodes; else each node allows its share.
    pub limits_global: bool,
    /// Since when that is so.
    pub limits_since: Option<u64>,
}

/// Where the configuration came from and whether the newest one is in use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigState {
    /// The file, when there is one.
    pub path: Option<String>,
    /// How often a changed file was taken up.
    pub reloads: u64,
    /// Why the newest version of the file was refused; the older one is still in use.
    pub refused: Option<String>,
}

/// The model that only the proxy itself answers: a turn through everything, without a network.
pub const PROBE_MODEL: &str = "latimer/probe";
/// The header of the probe's answer that names the process that gave it, in decimal.
pub const PROBE_PID: &str = "x-latimer-pid";

/// What `POST /v1/admin/overrides` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverrideRequest {
    /// The change.
    #[serde(flatten)]
    pub what: OverrideWhat,
    /// How long it holds, in seconds.
    pub seconds: u64,
    /// Why, for people: a fault code and a few words.
    #[serde(default)]
    pub why: String,
}

/// A change that holds for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OverrideWhat {
    /// Use the endpoint only where nothing else answers, or where it is asked for by name.
    AvoidEndpoint {
        /// Its name in the configuration.
        endpoint: String,
    },
    /// Be more patient with the endpoint.
    RaiseTimeouts {
        /// Its name in the configuration.
        endpoint: String,
        /// What its limits are multiplied with: more than 1, at most 10.
        factor: f64,
    },
}

impl OverrideWhat {
    /// The endpoint it is about.
    pub fn endpoint(&self) -> &str {
        match self {
            Self::AvoidEndpoint { endpoint } | Self::RaiseTimeouts { endpoint, .. } => endpoint,
        }
    }

    /// As on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AvoidEndpoint { .. } => "avoid_endpoint",
            Self::RaiseTimeouts { .. } => "raise_timeouts",
        }
    }
}

/// A change in force: what `GET /v1/admin/overrides` lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverrideState {
    /// Its name for `DELETE /v1/admin/overrides/{id}`.
    pub id: u64,
    /// The change.
    #[serde(flatten)]
    pub what: OverrideWhat,
    /// What made it necessary, in words for people.
    pub why: String,
    /// How long it still holds, in seconds.
    pub seconds_left: u64,
}

/// How one endpoint is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointState {
    /// Its name in the configuration.
    pub name: String,
    /// `ok`, `failing` (its last turn failed) or `idle` (no turn yet).
    pub state: String,
    /// Turns open on it now.
    pub turns_open: u64,
    /// Turns begun on it since the start.
    pub turns_total: u64,
    /// Turns that failed on it since the start.
    pub turns_failed: u64,
    /// Calls that were found in text or mended since the start, by model.
    #[serde(default)]
    pub repairs: BTreeMap<String, u64>,
    /// The code of its last failure.
    pub last_failure: Option<String>,
    /// What was said with it, in the provider's words where it had any.
    #[serde(default)]
    pub last_message: Option<String>,
    /// When that was, in Unix seconds.
    #[serde(default)]
    pub last_failure_at: Option<u64>,
    /// Until when no turn goes there while another target answers, in Unix seconds: a limit, an open circuit, keys that all rest.
    #[serde(default)]
    pub rests_until: Option<u64>,
    /// Why it rests.
    #[serde(default)]
    pub rests_because: Option<String>,
    /// Keys that are resting after a 429 or a refusal, and all keys.
    pub keys_resting: usize,
    /// How many keys it has.
    pub keys: usize,
}

/// How one account is doing: what `GET /v1/accounts` lists. Never a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// The login it belongs to.
    pub login: String,
    /// What people call it.
    pub id: String,
    /// `latimer`, or the vendor's file it was found in.
    pub source: String,
    /// `ok`, `expired` (it is refreshed at its next use) or `needs_login`.
    pub state: String,
    /// The end of its token, in Unix seconds.
    pub expires_at: Option<u64>,
    /// The project or account that its requests are counted for.
    pub project: Option<String>,
}

/// What happened in one turn: what `GET /v1/turns` lists and `latimer explain` shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The turn's name in the log.
    pub turn: String,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The key or account that was used, as people call it.
    #[serde(default)]
    pub account: String,
    /// The model as the endpoint knows it.
    pub model: String,
    /// When it began, in seconds since 1970.
    pub begun: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// How it ended: a finish reason, `failed`, or `client_left`.
    pub finish: String,
    /// What the client was told went wrong.
    pub failure: Option<String>,
    /// Attempts after the first, before anything was shown.
    pub retries: u32,
    /// Calls that were found in text or mended, questions to the model, and commands made for it.
    pub repairs: u32,
    /// What it cost in US dollars, where the price is known.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// What was noted, in order: what was lowered, repaired and why, with the text before.
    pub notes: Vec<String>,
}

impl From<&TurnReport> for Trace {
    fn from(report: &TurnReport) -> Self {
        Self {
            turn: report.id.clone(),
            endpoint: report.endpoint.clone(),
            account: report.account.clone(),
            model: report.model.clone(),
            begun: report.begun_ms / 1000,
            ms: report.ms,
            finish: report.finish.clone().unwrap_or_default(),
            failure: report.failure.as_ref().map(|failure| failure.message.clone()),
            retries: report.retries,
            repairs: report.repairs,
            cost_usd: report.cost_usd,
            notes: report.notes.iter().map(|note| note.text.clone()).collect(),
        }
    }
}
