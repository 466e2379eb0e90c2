//! An action is a hypothesis: it counts as a success only if its fault stays away for the window.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Decision;
use super::detection::Detection;
use super::lifecycle::ProxyPhase;
use super::orders::{InFlightOrder, SuccessCriterion};
use super::revive::is_start;
use crate::action::{Action, Level, Proposer};
use crate::ids::ActionId;
use crate::pattern::{Fact, Pattern};
use crate::rules::Remedy;
use crate::signal::Outcome;
use crate::time::Time;

/// The most hypotheses that are watched at once; the oldest is given up without a result.
const MAX_MEASUREMENTS: usize = 64;

/// Something was done, and its fault is hoped to stay away.
#[derive(Debug, Clone)]
pub(super) struct Measurement {
    hope: SuccessCriterion,
    by: Proposer,
    until: Time,
}

impl Decision<'_> {
    pub(super) fn outcome(&mut self, outcome: &Outcome) {
        let Some(order) = self.state.in_flight.remove(&outcome.id) else { return };
        if outcome.done {
            self.was_done(order);
        } else {
            self.was_not_done(&order, outcome.error.as_deref().unwrap_or("it could not be done"));
        }
    }

    /// A proxy began: whatever was to bring it up has done so.
    pub(super) fn starts_are_done(&mut self) {
        for order in self.take_starts() {
            self.was_done(order);
        }
    }

    /// The proxy ended before it was said to be there: whatever was to bring it up has failed.
    pub(super) fn starts_have_failed(&mut self) {
        for order in self.take_starts() {
            if let Some(hope) = &order.hope {
                self.learned(hope, order.by, false);
            }
        }
    }

    fn take_starts(&mut self) -> Vec<InFlightOrder> {
        let all = std::mem::take(&mut self.state.in_flight);
        let (starts, others): (Vec<(ActionId, InFlightOrder)>, Vec<_>) =
            all.into_iter().partition(|(_, order)| is_start(&order.action));
        self.state.in_flight = others.into_iter().collect();
        starts.into_iter().map(|(_, order)| order).collect()
    }

    fn was_done(&mut self, order: InFlightOrder) {
        if matches!(order.action, Action::KillStale { .. }) {
            let why = "what held the port was ended".to_owned();
            self.start_later(Duration::from_millis(100), why, Some(Fault::PortTaken));
        }
        if order.action == Action::Replace {
            self.was_replaced();
        }
        let Some(hope) = order.hope else { return };
        // One hypothesis for a pattern: the newest.
        self.state.trials.retain(|trial| trial.hope.key != hope.key);
        if self.state.trials.len() >= MAX_MEASUREMENTS {
            self.state.trials.remove(0);
        }
        let until = self.now.plus(hope.window);
        self.state.trials.push(Measurement { hope, by: order.by, until });
    }

    fn was_not_done(&mut self, order: &InFlightOrder, error: &str) {
        let fault = order.hope.as_ref().map_or(Fault::ProxyGone, |hope| hope.key.pattern.fault);
        if let Some(hope) = &order.hope {
            self.learned(hope, order.by, false);
        }
        let what = format!("{} could not be done: {error}", super::telling::words(&order.action));
        if is_start(&order.action) {
            if self.state.life.phase == ProxyPhase::Starting {
                // As good as a crash: the same back-off, the same end.
                self.enter(ProxyPhase::Down);
                let mut detection = Detection::new(Pattern::new(fault).with(Fact::Cause, "not_started"));
                (detection.is_dead, detection.what) = (true, Some(what));
                self.revive(&detection, Proposer::Rule);
            }
            return;
        }
        let mut detection = Detection::of(fault);
        detection.what = Some(what);
        self.tell(&detection, Level::Warning, None, Duration::from_secs(300));
    }

    /// A fault is here again: what was hoped to keep it away did not.
    pub(super) fn came_back(&mut self, pattern: &Pattern) {
        let all = std::mem::take(&mut self.state.trials);
        let (broken, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|trial| trial.hope.key.pattern == *pattern);
        self.state.trials = others;
        for trial in broken {
            self.learned(&trial.hope, trial.by, false);
        }
    }

    /// Called with the time: faults that stayed away long enough.
    pub(super) fn stayed_away(&mut self) {
        let all = std::mem::take(&mut self.state.trials);
        let (over, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|trial| trial.until <= self.now);
        self.state.trials = others;
        for trial in over {
            self.learned(&trial.hope, trial.by, true);
        }
    }

    fn learned(&mut self, hope: &SuccessCriterion, by: Proposer, helped: bool) {
        let key = &hope.key;
        self.state.ladder.measured(key, helped);
        if key.remedy.changes_something() && key.remedy != Remedy::Ignore {
            self.state.record.incidents.tried(&key.pattern, key.remedy, by, helped, self.wall);
        }
    }
}
