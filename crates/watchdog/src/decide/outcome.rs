//! What became of an order, and what is learned from it.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::State;
use super::alerts;
use super::clock::Clocks;
use super::detection::Detection;
use super::life::ProxyPhase;
use super::orders::{InFlightOrder, SuccessCriterion, is_start};
use super::revive;
use crate::action::{Action, Level, Proposer};
use crate::pattern::{Fact, Pattern};
use crate::rules::Remedy;
use crate::signal::Outcome;

/// How long a person is not told again of an order that could not be carried out.
const TELL_INTERVAL: Duration = Duration::from_secs(300);
/// Between the end of what held the port and the next start.
const PORT_FREE_DELAY: Duration = Duration::from_millis(100);

/// An order was carried out, or could not be.
pub(super) fn take(state: &mut State, outcome: &Outcome, at: Clocks) {
    let Some(order) = state.orders.take_in_flight(outcome.id) else { return };
    if outcome.done {
        done(state, order, at);
    } else {
        failed(state, &order, outcome.error.as_deref().unwrap_or("it could not be done"), at);
    }
}

/// A proxy began: whatever was to bring it up has done so.
pub(super) fn starts_are_done(state: &mut State, at: Clocks) {
    for order in state.orders.take_starts() {
        done(state, order, at);
    }
}

/// The proxy ended before it was said to be there: whatever was to bring it up has failed.
pub(super) fn starts_have_failed(state: &mut State, at: Clocks) {
    for order in state.orders.take_starts() {
        if let Some(criterion) = &order.criterion {
            learn(state, criterion, order.by, false, at);
        }
    }
}

fn done(state: &mut State, order: InFlightOrder, at: Clocks) {
    if matches!(order.action, Action::KillStale { .. }) {
        let why = "what held the port was ended".to_owned();
        revive::start_later(state, PORT_FREE_DELAY, why, Some(Fault::PortTaken), at);
    }
    if order.action == Action::Replace {
        state.life.succeed();
        state.another_answers();
    }
    if let Some(criterion) = order.criterion {
        state.measurements.begin(criterion, order.by, at);
    }
}

fn failed(state: &mut State, order: &InFlightOrder, error: &str, at: Clocks) {
    let fault = order.criterion.as_ref().map_or(Fault::ProxyGone, |criterion| criterion.key.pattern.fault);
    if let Some(criterion) = &order.criterion {
        learn(state, criterion, order.by, false, at);
    }
    let what = format!("{} could not be done: {error}", order.action.words());
    if is_start(&order.action) {
        if state.life.phase() == ProxyPhase::Starting {
            // As good as a crash: the same back-off, the same end.
            state.life.enter(ProxyPhase::Down, at);
            let mut detection = Detection::new(Pattern::new(fault).with(Fact::Cause, "not_started"));
            (detection.is_dead, detection.what) = (true, Some(what));
            revive::revive(state, &detection, Proposer::Rule, at);
        }
        return;
    }
    let mut detection = Detection::of(fault);
    detection.what = Some(what);
    alerts::tell(state, &detection, Level::Warning, None, TELL_INTERVAL, at);
}

/// A fault is here again: what was to keep it away did not help.
pub(super) fn came_back(state: &mut State, pattern: &Pattern, at: Clocks) {
    for failed in state.measurements.take_failed(pattern) {
        learn(state, &failed.criterion, failed.by, false, at);
    }
}

/// Faults that stayed away long enough.
pub(super) fn stayed_away(state: &mut State, at: Clocks) {
    for over in state.measurements.take_succeeded(at) {
        learn(state, &over.criterion, over.by, true, at);
    }
}

fn learn(state: &mut State, criterion: &SuccessCriterion, by: Proposer, helped: bool, at: Clocks) {
    let key = &criterion.key;
    state.guards.measured(key, helped);
    if key.remedy.changes_something() && key.remedy != Remedy::Ignore {
        state.record.incidents.tried(&key.pattern, key.remedy, by, helped, at.wall);
    }
}

#[cfg(test)]
mod tests {
    use super::super::orders::OrderPlan;
    use super::super::tests::{AT, up};
    use super::*;
    use crate::action::Order;
    use crate::ids::ActionId;

    /// An order that is under way, by this number.
    fn send(state: &mut State, id: u64, action: Action) {
        let plan = OrderPlan::start(action, Proposer::Rule, "why".to_owned(), AT.now);
        state.orders.hold(&Detection::of(Fault::ServerError), plan, AT);
        let due = state.orders.take_due(AT).expect("due");
        let order = Order { id: ActionId(id), fault: None, by: due.by, why: due.why, action: due.action };
        state.orders.send(order, Some(due.criterion), AT);
        state.orders.take_given();
    }

    fn outcome(id: u64, done: bool) -> Outcome {
        Outcome { id: ActionId(id), done, error: None }
    }

    #[test]
    fn what_could_not_be_done_is_a_failure_and_told_once() {
        let mut state = up();
        send(&mut state, 90, Action::Reconnect { endpoint: None });
        take(&mut state, &outcome(90, false), AT);
        take(&mut state, &outcome(90, false), AT);
        assert_eq!(state.orders.take_given().len(), 1, "an alert");
        let incident = state.record.incidents.all()[0].clone();
        assert_eq!(incident.fixes.iter().map(|fix| fix.failures).sum::<u64>(), 1);
    }

    #[test]
    fn what_was_done_is_measured_by_what_is_seen_afterwards() {
        let mut state = up();
        send(&mut state, 90, Action::Reconnect { endpoint: None });
        take(&mut state, &outcome(90, true), AT);
        assert!(state.record.incidents.is_empty(), "not known yet");
        let pattern = Pattern::new(Fault::ServerError);
        came_back(&mut state, &pattern, AT);
        assert_eq!(state.record.incidents.get(&pattern).expect("recorded").fixes[0].failures, 1);
        let later = Clocks { now: AT.now.plus(Duration::from_secs(60)), ..AT };
        send(&mut state, 91, Action::Reconnect { endpoint: None });
        take(&mut state, &outcome(91, true), AT);
        stayed_away(&mut state, later);
        assert_eq!(state.record.incidents.get(&pattern).expect("recorded").fixes[0].successes, 1);
    }
}
