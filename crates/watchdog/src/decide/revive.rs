//! What is dead is started again, within the guard of restarts; when that says no, the port is held.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::State;
use super::alerts;
use super::clock::Clocks;
use super::detection::Detection;
use super::life::ProxyPhase;
use super::orders::{OrderPlan, is_start};
use crate::action::{Action, Level, Proposer};
use crate::guard::restarts::RestartVerdict;

/// A proxy that is down and that nobody is starting is started after this time: an outcome was lost.
const LOST_OUTCOME_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a person is not told again that a proxy waits for them.
const TELL_INTERVAL: Duration = Duration::from_secs(300);
/// How long a person is not told again that a proxy is started again.
const RESTART_TELL_INTERVAL: Duration = Duration::from_secs(30);

/// The configuration or the program changed: what failed before may work now.
pub(super) fn config_changed(state: &mut State, at: Clocks) {
    if state.life.phase() == ProxyPhase::Held {
        state.guards.forget_crashes();
        start_later(state, Duration::ZERO, "what it failed on was changed".to_owned(), None, at);
    }
}

/// The proxy is dead, or hangs, or could not be started: start it as soon as the guard allows.
pub(super) fn revive(state: &mut State, detection: &Detection, by: Proposer, at: Clocks) {
    if state.orders.is_start_pending() {
        return;
    }
    if !state.settings.auto_restart {
        let run = Some("latimer-watchdog start");
        return alerts::tell(state, detection, Level::Urgent, run, TELL_INTERVAL, at);
    }
    let was_safe = state.guards.in_safe_mode();
    match state.guards.crashed(at) {
        RestartVerdict::Start { after, safe_mode } => {
            start_again(state, detection, by, after, safe_mode, at);
            if safe_mode && !was_safe {
                tell_of_safe_mode(state, at);
            } else {
                let mut again = detection.clone();
                again.what = Some(format!("{}; it is started again", cause(detection)));
                again.run = Some("latimer-watchdog status".to_owned());
                alerts::tell(state, &again, Level::Info, None, RESTART_TELL_INTERVAL, at);
            }
        }
        RestartVerdict::Hold { starts } => hold_port(state, detection, starts, at),
    }
}

fn cause(detection: &Detection) -> String {
    detection.what.clone().unwrap_or_else(|| detection.fault().title().to_owned())
}

fn start_again(
    state: &mut State,
    detection: &Detection,
    by: Proposer,
    after: Duration,
    safe_mode: bool,
    at: Clocks,
) {
    // While something of it still runs, it has to be ended first.
    let action = if state.life.is_running() {
        Action::Restart { safe_mode, hung: true }
    } else {
        Action::Start { safe_mode }
    };
    state.life.enter(ProxyPhase::Down, at);
    state.life.set_down_by(detection.fault());
    let plan = OrderPlan::start(action, by, cause(detection), at.now.plus(after));
    state.orders.hold(detection, plan, at);
}

fn tell_of_safe_mode(state: &mut State, at: Clocks) {
    let crashes = state.guards.crashes();
    let what = format!("the proxy ended {crashes} times in a minute; it is tried in safe mode");
    let run = "latimer check, then latimer-watchdog restart to leave safe mode".to_owned();
    alerts::tell_plainly(state, Level::Warning, what, run, at);
}

/// No more starts: the port answers with the cause.
fn hold_port(state: &mut State, detection: &Detection, starts: usize, at: Clocks) {
    let (fault, what) = (Some(detection.fault()), cause(detection));
    let was_running = state.life.is_running();
    state.orders.drop_pending();
    state.life.enter(ProxyPhase::Held, at);
    if was_running {
        let why = "it does not answer, and the port is going to".to_owned();
        state.orders.give(fault, Proposer::Guard, why, Action::Stop);
    }
    let cause = format!("{what}; it was started {starts} times in ten minutes and is not started again");
    state.orders.give(fault, Proposer::Guard, what, Action::HoldPort { cause: cause.clone() });
    let run = "latimer check, then latimer-watchdog start".to_owned();
    alerts::tell_plainly(state, Level::Urgent, cause, run, at);
}

/// A start that nobody has to be asked for, if none is on its way.
pub(super) fn start_later(state: &mut State, after: Duration, why: String, fault: Option<Fault>, at: Clocks) {
    if state.orders.is_start_pending() || state.orders.is_in_flight(is_start) || !state.settings.auto_restart
    {
        return;
    }
    let detection = Detection::of(fault.unwrap_or(Fault::ProxyGone));
    let action = start_action(state, state.guards.in_safe_mode(), true);
    let plan = OrderPlan::start(action, Proposer::Rule, why, at.now.plus(after));
    state.orders.hold(&detection, plan, at);
}

/// A start; of a process that is not known to be gone, its end before.
pub(super) fn start_action(state: &State, safe_mode: bool, hung: bool) -> Action {
    match state.life.pid() {
        None => Action::Start { safe_mode },
        Some(_) => Action::Restart { safe_mode, hung },
    }
}

/// A proxy that is down and that everybody forgot is started.
pub(super) fn start_forgotten(state: &mut State, at: Clocks) {
    let fault = state.life.down_by().unwrap_or(Fault::ProxyGone);
    if state.life.is_down_for(LOST_OUTCOME_TIMEOUT, at) && !state.guards.is_silenced(fault, at) {
        let why = "the proxy is down, and nothing else starts it".to_owned();
        start_later(state, Duration::ZERO, why, Some(fault), at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, up};
    use super::*;

    fn dead() -> Detection {
        let mut detection = Detection::of(Fault::ProxyUnresponsive);
        detection.is_dead = true;
        detection
    }

    fn due(state: &mut State) -> Option<Action> {
        let later = Clocks { now: AT.now.plus(Duration::from_secs(60)), ..AT };
        state.orders.take_due(later).map(|pending| pending.action)
    }

    #[test]
    fn what_still_runs_is_ended_first() {
        let mut state = up();
        revive(&mut state, &dead(), Proposer::Rule, AT);
        revive(&mut state, &dead(), Proposer::Rule, AT);
        assert_eq!(state.life.phase(), ProxyPhase::Down);
        assert_eq!(due(&mut state), Some(Action::Restart { safe_mode: false, hung: true }));
        assert_eq!(due(&mut state), None, "one start at a time");
        revive(&mut state, &dead(), Proposer::Rule, AT);
        assert_eq!(due(&mut state), Some(Action::Start { safe_mode: false }));
    }

    #[test]
    fn without_auto_restart_a_person_is_told() {
        let mut state = up();
        state.settings.auto_restart = false;
        revive(&mut state, &dead(), Proposer::Rule, AT);
        start_later(&mut state, Duration::ZERO, "why".to_owned(), None, AT);
        assert_eq!(due(&mut state), None);
        assert_eq!(state.orders.take_given().len(), 1);
    }

    #[test]
    fn after_too_many_starts_the_port_is_held_until_something_changes() {
        let mut state = up();
        for _ in 0..50 {
            revive(&mut state, &dead(), Proposer::Rule, AT);
            if state.life.phase() == ProxyPhase::Held {
                break;
            }
            assert!(due(&mut state).is_some());
            state.guards.started(state.guards.in_safe_mode(), AT);
        }
        assert_eq!(state.life.phase(), ProxyPhase::Held);
        let given = state.orders.take_given();
        assert!(given.iter().any(|order| matches!(order.action, Action::HoldPort { .. })), "{given:?}");
        config_changed(&mut state, AT);
        assert!(due(&mut state).is_some());
    }

    #[test]
    fn a_forgotten_proxy_is_started_after_a_minute() {
        let mut state = up();
        state.life.enter(ProxyPhase::Down, AT);
        let after = |secs| Clocks { now: AT.now.plus(Duration::from_secs(secs)), ..AT };
        start_forgotten(&mut state, after(59));
        assert_eq!(state.orders.next_due(), None);
        start_forgotten(&mut state, after(60));
        assert_eq!(state.orders.next_due(), Some(after(60).now));
    }
}
