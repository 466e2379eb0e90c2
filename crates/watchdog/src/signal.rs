//! What the senses report. Every signal is data: it can be written to a log and played again.
//!
//! A signal holds codes, names and numbers. It never holds user text, and no reader of signals needs English.

use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

use crate::ids::ActionId;
use crate::time::Time;

mod machine;
mod proxy;

pub use machine::{
    CacheCorrupt, ClientDatabase, ClientExit, ClientMemory, DeadPids, ForeignLogMatch, NetworkState,
    StalePort, TokenExpiring,
};
pub use proxy::{
    BindConflict, HealthReading, MissReason, MissedCheck, PortOwner, ProbeResult, ProxyEvent, ProxyExit,
    ProxyStarted,
};

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
