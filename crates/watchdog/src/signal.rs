//! What the senses report. Every signal is data: it can be written to a log and played again.
//!
//! A signal holds codes, names and numbers. It never holds user text, and no reader of signals needs English.

use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

use crate::ids::{ActionId, ProcessId};
use crate::time::Time;

/// One thing that was sensed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum Signal {
    /// Time has passed. Sent about once a second, and sooner when something waits for its time.
    Tick,
    /// A proxy was started (or found and adopted), and is not healthy yet.
    ProxyStarted(ProxyStarted),
    /// The proxy's process ended.
    ProxyExited(ProxyExit),
    /// The health document was read.
    Health(HealthReading),
    /// The health document could not be read.
    HealthMissed(MissedCheck),
    /// A real turn through the whole proxy worked.
    ProbeOk(ProbeResult),
    /// A real turn through the whole proxy failed, although the health document may be fine.
    ProbeFailed(MissedCheck),
    /// The listening socket could not be bound.
    BindConflict(BindConflict),
    /// One structured line of the proxy's log.
    Proxy(ProxyEvent),
    /// A signature was found in a log of somebody else.
    Foreign(ForeignLogMatch),
    /// Whether the machine has a network at all.
    Network(NetworkState),
    /// A launched client ended.
    ClientExited(ClientExit),
    /// What a launched client holds.
    ClientMemory(ClientMemory),
    /// A client's database is malformed.
    ClientDatabase(ClientDatabase),
    /// A generated client file names a port that is not ours.
    StalePort(StalePort),
    /// The registry holds processes that are gone.
    DeadPids(DeadPids),
    /// What was learned about endpoints is broken or known to be wrong.
    CacheCorrupt(CacheCorrupt),
    /// A login is near or past its end and could not be refreshed.
    TokenExpiring(TokenExpiring),
    /// The configuration file or the program changed: what failed before may work now.
    ConfigChanged,
    /// A person said something.
    Person(PersonRequest),
    /// What became of an order.
    Outcome(Outcome),
    /// The answer to [`Action::Diagnose`](crate::action::Action::Diagnose).
    Diagnosis(Diagnosis),
}

impl Signal {
    /// The same word as in a recorded log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::ProxyStarted(_) => "proxy_started",
            Self::ProxyExited(_) => "proxy_exited",
            Self::Health(_) => "health",
            Self::HealthMissed(_) => "health_missed",
            Self::ProbeOk(_) => "probe_ok",
            Self::ProbeFailed(_) => "probe_failed",
            Self::BindConflict(_) => "bind_conflict",
            Self::Proxy(_) => "proxy",
            Self::Foreign(_) => "foreign",
            Self::Network(_) => "network",
            Self::ClientExited(_) => "client_exited",
            Self::ClientMemory(_) => "client_memory",
            Self::ClientDatabase(_) => "client_database",
            Self::StalePort(_) => "stale_port",
            Self::DeadPids(_) => "dead_pids",
            Self::CacheCorrupt(_) => "cache_corrupt",
            Self::TokenExpiring(_) => "token_expiring",
            Self::ConfigChanged => "config_changed",
            Self::Person(_) => "person",
            Self::Outcome(_) => "outcome",
            Self::Diagnosis(_) => "diagnosis",
        }
    }
}

/// A proxy that was started or adopted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyStarted {
    /// Its process id.
    pub pid: u32,
    /// It runs without learned rules and without a store.
    pub safe_mode: bool,
    /// It was not started by this watchdog.
    pub adopted: bool,
}

/// How the proxy's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyExit {
    /// Its process id.
    pub pid: u32,
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The number of the signal that ended it; `ended_by` in a log, where `signal` names the line.
    #[serde(rename = "ended_by")]
    pub signal: Option<i32>,
    /// The watchdog told it to end (a stop, a restart, the old one of a replacement).
    pub wanted: bool,
}

/// The numbers of a health document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthReading {
    /// Process id.
    pub pid: u32,
    /// Whole seconds since it listens.
    pub uptime_s: u64,
    /// Resident memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Open file descriptors; 0 when unknown.
    pub descriptors: u64,
    /// How late the event loop ran its last timer, in milliseconds.
    pub loop_lag_ms: u64,
    /// Turns that are open now.
    pub turns_open: u64,
    /// Turns that were begun since its start.
    pub turns_total: u64,
    /// Turns that failed since its start.
    pub turns_failed: u64,
    /// It was told to stop and lets open turns end.
    pub draining: bool,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedCheck {
    /// In which way.
    pub why: MissReason,
    /// How long was waited, in milliseconds.
    #[serde(default)]
    pub waited_ms: u64,
}

/// In which way a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissReason {
    /// Nobody listens.
    Refused,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// An answer with another status than 200.
    Status,
    /// An answer that is not what was asked for.
    Garbage,
}

impl MissReason {
    /// The same word as in a recorded log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Status => "status",
            Self::Garbage => "garbage",
        }
    }
}

/// A real turn that worked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeResult {
    /// Milliseconds to the first event.
    pub first_event_ms: u64,
    /// Milliseconds to the end.
    pub total_ms: u64,
}

/// The port is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BindConflict {
    /// The port.
    pub port: u16,
    /// Who holds it, where the system tells.
    pub owner: Option<PortOwner>,
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortOwner {
    /// The process.
    pub process: ProcessId,
    /// The name of its program.
    pub name: String,
    /// It stands in our registry with this start time: it is a stale process of ours and may be ended.
    pub ours: bool,
}

/// One structured line of the proxy's log: what the classification needs of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyEvent {
    /// The field `event`, such as `turn.done`.
    pub event: String,
    /// The field `fault`, where the proxy names the fault itself; it goes before everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The field `failure`: a code of [`Kind`](latimer_protocol::failure::Kind), such as `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// A finer code of the cause, such as `tls`, `dns`, `upgrade_required` or `bot_filter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The endpoint's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The model as the endpoint knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The key, account or login, as people call it. Never the key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The provider's HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the provider asked to wait, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// How the turn ended: `stop`, `tool_calls`, `failed`, `client_left`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// The dialect of a repaired call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The thread, as an opaque id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// When the earliest resting route returns, for `routes.none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// A signature in a log of somebody else. The line itself stays where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignLogMatch {
    /// What the signature stands for.
    pub fault: Fault,
    /// Which log, such as `codex`.
    #[serde(default)]
    pub source: String,
}

/// Whether there is a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkState {
    /// There is a route to the outside.
    pub up: bool,
}

/// A client that ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientExit {
    /// Its process id.
    pub pid: u32,
    /// What it is, such as `codex`.
    pub name: String,
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The number of the signal that ended it; `ended_by` in a log, where `signal` names the line.
    #[serde(rename = "ended_by")]
    pub signal: Option<i32>,
    /// The command that opens the same session again, where it is known.
    pub resume: Option<String>,
}

/// What a client holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientMemory {
    /// Its process id.
    pub pid: u32,
    /// What it is, such as `codex`.
    pub name: String,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}

/// A client's database is malformed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientDatabase {
    /// Which client.
    pub client: String,
    /// Which file; for the person, never for a report.
    pub file: String,
    /// latimer made this file, so it may make it again.
    pub generated: bool,
}

/// A generated client file names a port that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StalePort {
    /// Which client.
    pub client: String,
    /// Which file; for the person, never for a report.
    pub file: String,
    /// The port in the file.
    pub found: u16,
    /// The port that is ours.
    pub expected: u16,
}

/// Processes of the registry that are gone, or whose id belongs to somebody else now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadPids {
    /// The entries to take out.
    pub processes: Vec<ProcessId>,
}

/// What was learned about endpoints is broken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheCorrupt {
    /// Which file; for the person, never for a report.
    pub file: String,
    /// It could be read, and holds what is known to be wrong.
    pub known_bad: bool,
}

/// A login that needs a person soon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenExpiring {
    /// The login, such as `google`.
    pub login: String,
    /// The account, as people call it.
    pub account: String,
    /// When the token ends.
    pub expires_at: Time,
    /// Refreshing it failed. While that works, an end that is near is no fault.
    pub refresh_failed: bool,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum PersonRequest {
    /// Stop the proxy, and leave it stopped.
    Stop,
    /// Start the proxy. Forgets crashes and lets go of a held port.
    Start,
    /// End the proxy and start it again, out of safe mode.
    Restart,
    /// Put a new proxy in the place of the old one, without a gap.
    Upgrade,
    /// Only count this fault.
    Silence {
        /// Which one.
        fault: Fault,
        /// Until when; without it, until it is unsilenced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// Act on this fault again.
    Unsilence {
        /// Which one.
        fault: Fault,
    },
    /// Do not carry out an announced action.
    Cancelled {
        /// Which one.
        id: ActionId,
    },
    /// Carry out what an alert offered (`latimer-watchdog accept ID`).
    Accepted {
        /// Which one.
        id: ActionId,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which order.
    pub id: ActionId,
    /// It was carried out. Whether it *helped* is measured by what is sensed afterwards.
    pub done: bool,
    /// Why not, in one sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer of the model that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Diagnosis {
    /// The order that asked.
    pub id: ActionId,
    /// The text of its answer; none when it did not answer.
    pub reply: Option<String>,
    /// Tokens of the question, as the provider counted them.
    pub input_tokens: u64,
    /// Tokens of the answer, as the provider counted them.
    pub output_tokens: u64,
    /// What it cost in millionths of a US dollar, where the price is known; otherwise it is estimated.
    pub cost_micros: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_as_it_is_written() {
        let signals = [
            Signal::Tick,
            Signal::Health(HealthReading::default()),
            Signal::ConfigChanged,
            Signal::Person(PersonRequest::Cancelled { id: ActionId(7) }),
            Signal::Proxy(ProxyEvent { event: "turn.done".to_owned(), ..ProxyEvent::default() }),
        ];
        for signal in signals {
            let value = serde_json::to_value(&signal).expect("JSON");
            assert_eq!(value["signal"], signal.name());
            assert_eq!(serde_json::from_value::<Signal>(value).expect("the same"), signal);
        }
    }

    #[test]
    fn a_log_line_may_leave_out_what_is_not_known_and_hold_more() {
        let line = r#"{"signal":"proxy_exited","code":1,"some_later_field":true}"#;
        let want = Signal::ProxyExited(ProxyExit { code: Some(1), ..ProxyExit::default() });
        assert_eq!(serde_json::from_str::<Signal>(line).expect("a signal"), want);
    }
}
