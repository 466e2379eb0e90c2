//! Signals about what is around the proxy: other logs, the network, clients, files, logins.

use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

use crate::ids::ProcessId;
use crate::time::Time;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_line_may_leave_out_what_is_not_known() {
        let exit: ClientExit = serde_json::from_str(r#"{"name":"codex","ended_by":11}"#).expect("an exit");
        assert_eq!(
            (exit.name.as_str(), exit.signal, exit.code, exit.resume),
            ("codex", Some(11), None, None)
        );
        let token: TokenExpiring = serde_json::from_str("{}").expect("a token");
        assert_eq!(token, TokenExpiring::default());
    }
}
