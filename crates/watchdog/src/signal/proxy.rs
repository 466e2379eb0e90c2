//! Signals about the proxy: its process, its answers, its port, its log.

use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

use crate::ids::ProcessId;
use crate::time::Time;

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
    /// The TCP port that could not be bound.
    pub port: u16,
    /// Who holds it, where the system tells.
    pub owner: Option<PortOwner>,
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortOwner {
    /// Its id and start time; the start time is 0 where the registry does not name it.
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
    /// The field `failure`: a code of [`FailureKind`](latimer_protocol::failure::FailureKind), such as `rate_limited`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_named_as_it_is_written() {
        let all = [
            MissReason::Refused,
            MissReason::Timeout,
            MissReason::Reset,
            MissReason::Status,
            MissReason::Garbage,
        ];
        for reason in all {
            assert_eq!(serde_json::to_value(reason).expect("JSON"), reason.name());
        }
    }

    #[test]
    fn the_signal_that_ended_a_process_has_a_name_of_its_own_in_a_log() {
        let exit = ProxyExit { pid: 1, signal: Some(9), ..ProxyExit::default() };
        let value = serde_json::to_value(&exit).expect("JSON");
        assert_eq!(value["ended_by"], 9);
        assert_eq!(serde_json::from_value::<ProxyExit>(value).expect("the same"), exit);
    }
}
