//! What the time brings: things that are given up, things that have succeeded, and orders whose time has come.

use super::State;
use super::clock::Clocks;
use super::life::ProxyPhase;
use super::orders::PendingOrder;
use super::{diagnosis, outcome, revive};
use crate::action::{Action, Order, Proposer};

/// Everything that is due now.
pub(super) fn run(state: &mut State, at: Clocks) {
    state.orders.expire(at);
    diagnosis::expire(state, at);
    state.senses.expire(at);
    outcome::stayed_away(state, at);
    revive::start_forgotten(state, at);
    while let Some(pending) = state.orders.take_due(at) {
        release(state, pending, at);
    }
}

/// The time of an order has come: the guards once more, then it goes out.
fn release(state: &mut State, pending: PendingOrder, at: Clocks) {
    let PendingOrder { id, action, by, why, criterion, .. } = pending;
    let fault = criterion.key.pattern.fault;
    let is_automatic = by != Proposer::Person;
    if state.life.phase() == ProxyPhase::Stopped && criterion.key.remedy.needs_proxy() {
        return;
    }
    if is_automatic && state.guards.is_silenced(fault, at) {
        return;
    }
    let starts = matches!(action, Action::Start { .. } | Action::Restart { .. } | Action::Replace);
    if starts && is_automatic && !state.guards.has_room(at) {
        return;
    }
    match action {
        Action::Start { safe_mode } | Action::Restart { safe_mode, .. } => {
            state.guards.started(safe_mode, at);
            state.life.set_safe_mode(safe_mode);
            state.life.begin_starting(at);
        }
        Action::Replace => state.guards.started(false, at),
        _ => {}
    }
    state.orders.send(Order { id, fault: Some(fault), by, why, action }, Some(criterion), at);
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::Fault;

    use super::super::detection::Detection;
    use super::super::orders::OrderPlan;
    use super::super::tests::{AT, up};
    use super::*;

    fn hold(state: &mut State, action: Action) {
        let plan = OrderPlan::start(action, Proposer::Rule, "why".to_owned(), AT.now);
        state.orders.hold(&Detection::of(Fault::ProxyGone), plan, AT);
    }

    fn names(state: &mut State) -> Vec<&'static str> {
        run(state, AT);
        state.orders.take_given().iter().map(|order| order.action.name()).collect()
    }

    #[test]
    fn a_start_that_goes_out_is_counted() {
        let mut state = up();
        hold(&mut state, Action::Start { safe_mode: true });
        assert_eq!(names(&mut state), ["start"]);
        assert_eq!((state.guards.starts(), state.life.phase()), (1, ProxyPhase::Starting));
        assert!(state.life.safe_mode());
    }

    #[test]
    fn the_guards_are_asked_once_more() {
        let mut stopped = up();
        hold(&mut stopped, Action::Start { safe_mode: false });
        stopped.life.enter(ProxyPhase::Stopped, AT);
        assert!(names(&mut stopped).is_empty());
        let mut silenced = up();
        hold(&mut silenced, Action::Start { safe_mode: false });
        silenced.guards.silence(Fault::ProxyGone, None);
        assert!(names(&mut silenced).is_empty());
        let mut full = up();
        while full.guards.has_room(AT) {
            full.guards.started(false, AT);
        }
        hold(&mut full, Action::Replace);
        assert!(names(&mut full).is_empty());
    }
}
