//! What the tiers choose.

use std::time::Duration;

use crate::action::Proposer;
use crate::rules::Remedy;

/// What was chosen, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) remedy: Remedy,
    pub(super) by: Proposer,
    /// How long it rests afterwards, at the least.
    pub(super) cooldown: Duration,
    /// For how long the fault must stay away.
    pub(super) window: Duration,
}
