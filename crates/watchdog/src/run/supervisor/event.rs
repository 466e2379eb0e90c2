//! What the supervisor takes in, and what it makes of it.

use super::super::child::{ChildEvent, ProcessExit};
use super::super::process::Identity;

/// What happens to the proxies, as the supervisor hears it.
#[derive(Debug)]
pub enum SupervisorInput {
    /// From a child process.
    Child(ChildEvent),
    /// A proxy answered a probe, or did not in time.
    Checked(Identity, Result<(), String>),
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisorEvent {
    /// A proxy serves.
    Up(Identity),
    /// The proxy that served is gone, and nobody asked it to go.
    Died(Identity, ProcessExit),
    /// The proxy ended by itself and well: it had nothing to do for a long time, or somebody told it to stop.
    Left(Identity, ProcessExit),
    /// A proxy that was told to end has ended.
    Ended(Identity, ProcessExit),
    /// The one that followed has taken over.
    Replaced(Identity),
    /// The one that was to follow did not become well; the old one still serves.
    NotReplaced(String),
    /// A line of a proxy's log.
    Line(Identity, String),
}
