//! What `latimer-watchdog status` shows.

use serde::{Deserialize, Serialize};

/// The watchdog and what it keeps alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogStatus {
    /// Its process id.
    pub pid: u32,
    /// The version of its binary; the proxy may be an older one until it is replaced.
    pub version: String,
    /// Whole seconds since it began.
    pub uptime_s: u64,
    /// Where it listens.
    pub address: String,
    /// What it is doing.
    pub phase: WatchdogPhase,
    /// The proxy that serves, or is about to.
    pub proxy: Option<ProxyStatus>,
    /// Proxies started since it began, the first one included.
    pub starts: u64,
    /// The last things a person should know, the newest last.
    pub alerts: Vec<AlertEntry>,
    /// What will be done unless it is cancelled.
    pub pending: Vec<PendingAction>,
    /// Clients that `latimer launch` started and that still run.
    pub clients: Vec<ClientStatus>,
}

/// What the watchdog is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchdogPhase {
    /// A proxy is being started; connections wait.
    Starting,
    /// A proxy serves.
    Serving,
    /// A proxy serves, and the one that is to follow it is being started.
    Replacing,
    /// No proxy could be kept alive; requests are answered with the cause.
    Holding,
    /// The person stopped it; open turns end.
    Stopping,
}

/// The process that serves, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Process id.
    pub pid: u32,
    /// Whole seconds since its start.
    pub uptime_s: u64,
    /// A turn through it worked.
    pub well: bool,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub descriptors: u64,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEntry {
    /// When, in Unix seconds.
    pub at: u64,
    /// The fault's code, where it is about one.
    pub fault: Option<String>,
    /// What, since when, what was tried, what the person can run.
    pub text: String,
}

/// An action that waits for a cancel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAction {
    /// Its number, for `cancel`.
    pub id: u64,
    /// What it will do.
    pub action: String,
    /// In so many milliseconds.
    pub in_ms: u64,
}

/// A client that `latimer launch` started and that still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Process id.
    pub pid: u32,
    /// Its program.
    pub name: String,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}
