//! What a person says goes before everything: it passes no guard but their own earlier word.

use super::State;
use super::clock::Clocks;
use super::life::ProxyPhase;
use super::{remedy, revive};
use crate::action::{Action, Order, Proposer};
use crate::signal::PersonRequest;

/// Does what a person asked for.
pub(super) fn apply(state: &mut State, request: &PersonRequest, at: Clocks) {
    let runs = state.life.is_running();
    match request {
        PersonRequest::Stop => stop(state, at),
        PersonRequest::Start => {
            if !runs {
                state.guards.forget_crashes();
                start(state, at);
            }
        }
        PersonRequest::Restart => {
            state.guards.forget_crashes();
            if runs {
                order(state, Action::Restart { safe_mode: false, hung: false }, at);
                state.life.begin_starting(at);
            } else {
                start(state, at);
            }
        }
        PersonRequest::Upgrade => {
            if runs {
                order(state, Action::Replace, at);
            } else {
                start(state, at);
            }
        }
        PersonRequest::Silence { fault, until } => state.guards.silence(*fault, *until),
        PersonRequest::Unsilence { fault } => state.guards.unsilence(*fault),
        PersonRequest::Cancelled { id } => remedy::cancel(state, *id, at),
        PersonRequest::Accepted { id } => remedy::accept(state, *id, at),
    }
}

fn stop(state: &mut State, at: Clocks) {
    state.orders.stop();
    state.measurements.forget();
    state.diagnosis.forget();
    state.senses.drop_probe();
    state.life.enter(ProxyPhase::Stopped, at);
    order(state, Action::Stop, at);
}

fn start(state: &mut State, at: Clocks) {
    state.orders.drop_starts();
    state.life.set_safe_mode(false);
    // What was stopped may still be draining, and what hangs is still there.
    let action = revive::start_action(state, false, state.life.phase() == ProxyPhase::Held);
    order(state, action, at);
    state.life.enter(ProxyPhase::Starting, at);
}

fn order(state: &mut State, action: Action, at: Clocks) {
    let (id, why) = (state.orders.next_id(), "asked for by a person".to_owned());
    state.orders.send(Order { id, fault: None, by: Proposer::Person, why, action }, None, at);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, state, up};
    use super::*;

    fn names(state: &mut State) -> Vec<&'static str> {
        state.orders.take_given().iter().map(|order| order.action.name()).collect()
    }

    #[test]
    fn a_start_of_what_runs_is_nothing_and_an_upgrade_of_what_does_not_is_a_start() {
        let mut running = up();
        apply(&mut running, &PersonRequest::Start, AT);
        assert!(names(&mut running).is_empty());
        apply(&mut running, &PersonRequest::Upgrade, AT);
        assert_eq!(names(&mut running), ["replace"]);
        let mut none = state();
        apply(&mut none, &PersonRequest::Upgrade, AT);
        assert_eq!((names(&mut none), none.life.phase()), (vec!["start"], ProxyPhase::Starting));
    }

    #[test]
    fn a_stop_forgets_what_was_on_its_way() {
        let mut state = up();
        apply(&mut state, &PersonRequest::Restart, AT);
        apply(&mut state, &PersonRequest::Stop, AT);
        assert_eq!(names(&mut state), ["restart", "stop"]);
        assert!(state.orders.next_due().is_none() && state.orders.is_in_flight(|it| *it == Action::Stop));
        assert!(!state.orders.is_in_flight(|it| matches!(it, Action::Restart { .. })));
        assert_eq!(state.life.phase(), ProxyPhase::Stopped);
    }
}
