//! What was decided: orders for the actor, each with an id, a reason and the action itself.

use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

use crate::diagnose::Report;
use crate::ids::{ActionId, ProcessId};
use crate::time::Time;

pub use crate::proposer::Proposer;

/// One thing to do **now**. Waiting (back-off, the three seconds for a cancel) is over when an order is given.
///
/// The actor answers every order but an alert, an announcement and an ignore with
/// [`Signal::Outcome`](crate::signal::Signal::Outcome); `Diagnose` with [`Signal::Diagnosis`](crate::signal::Signal::Diagnosis).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub id: ActionId,
    /// The fault it answers; none for a person's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Who proposed it.
    pub by: Proposer,
    /// Why, in one sentence for a person.
    pub why: String,
    /// What to do.
    pub action: Action,
}

/// What can be done. A closed list: nothing a model or an upstream says becomes anything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Start a proxy; none runs. Lets go of a held port.
    Start {
        /// Without learned rules and without a store.
        safe_mode: bool,
    },
    /// End the running proxy and start another.
    Restart {
        /// Without learned rules and without a store.
        safe_mode: bool,
        /// It hangs: note its state (threads, stacks, descriptors) and kill it, instead of asking it to stop.
        hung: bool,
    },
    /// Start a new proxy on the same socket, wait until it is healthy, then drain the old one.
    Replace,
    /// Ask the proxy to stop, and start no other.
    Stop,
    /// End processes of our own registry. The actor checks start times once more.
    KillStale {
        /// Which ones.
        processes: Vec<ProcessId>,
    },
    /// Forget what was learned, so that it is learned again. The file is set aside, not deleted.
    ClearCapabilities {
        /// For this endpoint; for all without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    /// Let an endpoint rest; the proxy keeps turns away from it.
    Wait {
        /// Which one; the network as a whole without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// For so many milliseconds.
        for_ms: u64,
    },
    /// End the rest of an endpoint, so that its next turn tries it again.
    Retry {
        /// Which one; all without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    /// Send turns of one endpoint to the next one of its route, for a time.
    SwitchProvider {
        /// Away from this one.
        from: String,
        /// When the switch is undone.
        expires_at: Time,
    },
    /// Wait longer for an endpoint, for a time.
    RaiseTimeout {
        /// Which one.
        endpoint: String,
        /// Its limits on connecting and on the first byte, in per cent of the settings (200 is twice as long).
        percent: u32,
        /// When the settings count again.
        expires_at: Time,
    },
    /// Close the pooled connections of an endpoint, so that the next turn opens new ones.
    Reconnect {
        /// Which one; all without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    /// Write the generated settings of a client again.
    RegenerateConfig {
        /// Which client; all without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
    },
    /// Take processes that are gone out of the registry.
    CleanState {
        /// Which ones; all that are gone when empty.
        processes: Vec<ProcessId>,
    },
    /// Send a real turn through the proxy now; answered by `ProbeOk` or `ProbeFailed`.
    Probe,
    /// Tell the person.
    Alert(Alert),
    /// Nothing needs to be done; said so that a log shows that it was seen.
    Ignore,
    /// No more restarts: answer on the held socket with the cause, until a `Start`.
    HoldPort {
        /// The cause, in one sentence, as clients will read it.
        cause: String,
    },
    /// Ask a model what to do.
    Diagnose(Report),
    /// This will be done unless a person cancels it.
    Announce {
        /// The number to cancel by: the id that the order will have.
        id: ActionId,
        /// When it will be done.
        at: Time,
        /// What will be done.
        action: Box<Action>,
    },
}

impl Action {
    /// The same word as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
            Self::Replace => "replace",
            Self::Stop => "stop",
            Self::KillStale { .. } => "kill_stale",
            Self::ClearCapabilities { .. } => "clear_capabilities",
            Self::Wait { .. } => "wait",
            Self::Retry { .. } => "retry",
            Self::SwitchProvider { .. } => "switch_provider",
            Self::RaiseTimeout { .. } => "raise_timeout",
            Self::Reconnect { .. } => "reconnect",
            Self::RegenerateConfig { .. } => "regenerate_config",
            Self::CleanState { .. } => "clean_state",
            Self::Probe => "probe",
            Self::Alert(_) => "alert",
            Self::Ignore => "ignore",
            Self::HoldPort { .. } => "hold_port",
            Self::Diagnose(_) => "diagnose",
            Self::Announce { .. } => "announce",
        }
    }

    /// In words that follow "will be done:".
    pub fn words(&self) -> String {
        let of = |endpoint: &Option<String>| endpoint.as_deref().unwrap_or("all endpoints").to_owned();
        match self {
            Self::Start { .. } => "start the proxy".to_owned(),
            Self::Restart { .. } => "restart the proxy".to_owned(),
            Self::Replace => "replace the proxy without a gap".to_owned(),
            Self::Stop => "stop the proxy".to_owned(),
            Self::KillStale { processes } => format!("end {} stale processes of ours", processes.len()),
            Self::ClearCapabilities { endpoint } => format!("forget what was learned about {}", of(endpoint)),
            Self::Wait { endpoint, for_ms } => format!("let {} rest for {} s", of(endpoint), for_ms / 1000),
            Self::Retry { endpoint } => format!("try {} again", of(endpoint)),
            Self::SwitchProvider { from, .. } => format!("send the turns of {from} to the next provider"),
            Self::RaiseTimeout { endpoint, percent, .. } => {
                format!("wait {percent} % as long for {endpoint}")
            }
            Self::Reconnect { endpoint } => format!("open new connections to {}", of(endpoint)),
            Self::RegenerateConfig { client } => {
                format!("write the settings of {} again", client.as_deref().unwrap_or("every client"))
            }
            Self::CleanState { processes } => {
                format!("take {} gone processes out of the registry", processes.len())
            }
            Self::Probe => "send a real turn through the proxy".to_owned(),
            Self::Alert(_) => "tell the person".to_owned(),
            Self::Ignore => "nothing".to_owned(),
            Self::HoldPort { .. } => "answer on the port with the cause".to_owned(),
            Self::Diagnose(_) => "ask a model".to_owned(),
            Self::Announce { action, .. } => action.words(),
        }
    }
}

/// How much an alert matters; `notify` of the settings decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something will go wrong, or goes wrong for some turns.
    Warning,
    /// Work stands still until a person acts.
    Urgent,
}

/// What a person is told: what, since when, what was tried, what can be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// How much it matters.
    pub level: Level,
    /// What is wrong, in one sentence.
    pub what: String,
    /// Since when.
    pub since: Time,
    /// What was tried, in order; empty when nothing was.
    #[serde(default)]
    pub tried: Vec<String>,
    /// A command or a step that helps; empty when there is none.
    #[serde(default)]
    pub run: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_wire_form() {
        let order = Order {
            id: ActionId(4),
            fault: Some(Fault::ServerError),
            by: Proposer::Rule,
            why: "three in a row".to_owned(),
            action: Action::Announce {
                id: ActionId(4),
                at: Time::from_secs(5),
                action: Box::new(Action::SwitchProvider {
                    from: "kimi".to_owned(),
                    expires_at: Time::from_secs(9),
                }),
            },
        };
        let value = serde_json::to_value(&order).expect("JSON");
        assert_eq!(value["action"]["do"], order.action.name());
        assert_eq!(value["by"], order.by.name());
        assert_eq!(serde_json::from_value::<Order>(value).expect("the same"), order);
    }
}
