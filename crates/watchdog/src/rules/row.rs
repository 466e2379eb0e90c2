//! How a row of the table is written: a condition, then a remedy and its rest.
//!
//! ```text
//! rule(ServerError).after(3).within(120).in_a_row().then(SwitchProvider).rest(60)
//! ```
//!
//! After three server errors of one pattern within 120 seconds, with no turn that worked in between, turns go to the next
//! provider; then this rests for at least 60 seconds.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::{Remedy, Rule};
use crate::pattern::Fact;

/// When a row applies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    fault: Fault,
    when: Option<(Fact, &'static str)>,
    threshold: u32,
    window: Duration,
    in_a_row: bool,
}

/// One row: a condition and what helps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    condition: Condition,
    remedy: Remedy,
    cooldown: Duration,
}

/// A row for this fault, which applies at once.
pub(super) const fn rule(fault: Fault) -> Condition {
    Condition { fault, when: None, threshold: 1, window: Duration::from_secs(60), in_a_row: false }
}

impl Condition {
    /// Only for detections with this fact; it takes the place of the general rows then.
    pub(super) const fn when(mut self, fact: Fact, value: &'static str) -> Self {
        self.when = Some((fact, value));
        self
    }

    /// From so many detections of one pattern on.
    pub(super) const fn after(mut self, threshold: u32) -> Self {
        self.threshold = threshold;
        self
    }

    /// Counted in so many seconds; for as long the fault must stay away afterwards for a success.
    pub(super) const fn within(mut self, secs: u64) -> Self {
        self.window = Duration::from_secs(secs);
        self
    }

    /// A turn of the same endpoint that works in between begins the count again.
    pub(super) const fn in_a_row(mut self) -> Self {
        self.in_a_row = true;
        self
    }

    /// What helps then.
    pub(super) const fn then(self, remedy: Remedy) -> Row {
        Row { condition: self, remedy, cooldown: Duration::from_secs(60) }
    }
}

impl Row {
    /// It rests for so many seconds afterwards, at the least.
    pub(super) const fn rest(mut self, secs: u64) -> Self {
        self.cooldown = Duration::from_secs(secs);
        self
    }

    /// The fault it answers.
    pub(super) const fn fault(&self) -> Fault {
        self.condition.fault
    }

    /// The row as a rule that counts, as this step of its fault.
    pub(super) fn into_rule(self, step: u8) -> Rule {
        let Condition { fault, when, threshold, window, in_a_row } = self.condition;
        let Self { remedy, cooldown, .. } = self;
        Rule { fault, step, when, threshold, window, in_a_row, remedy, cooldown, enabled: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_it_says() {
        let row =
            rule(Fault::ServerError).after(3).within(120).in_a_row().then(Remedy::SwitchProvider).rest(90);
        let want = Rule {
            fault: Fault::ServerError,
            step: 2,
            when: None,
            threshold: 3,
            window: Duration::from_secs(120),
            in_a_row: true,
            remedy: Remedy::SwitchProvider,
            cooldown: Duration::from_secs(90),
            enabled: true,
        };
        assert_eq!(row.into_rule(2), want);
        let row = rule(Fault::ProxyGone).when(Fact::Check, "log").then(Remedy::Probe);
        let Rule { when, threshold, in_a_row, .. } = row.into_rule(1);
        assert_eq!((when, threshold, in_a_row), (Some((Fact::Check, "log")), 1, false));
    }
}
