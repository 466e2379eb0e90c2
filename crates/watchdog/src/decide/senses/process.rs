//! The two ends of the proxy's process: it was started, it is gone; and a port that somebody else holds.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::super::State;
use super::super::alerts;
use super::super::clock::Clocks;
use super::super::detection::Detection;
use super::super::life::ProxyPhase;
use super::super::{outcome, revive};
use crate::action::{Action, Level};
use crate::pattern::{Fact, Pattern};
use crate::signal::{BindConflict, ProxyExit, ProxyStarted};

/// Between two tries to take a port that somebody else holds.
const PORT_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// A process was started: the proxy, or the one that is to follow it.
pub(super) fn started(state: &mut State, started: &ProxyStarted, at: Clocks) {
    // A new one beside the old one is not the proxy yet: its first answer makes it so.
    if state.orders.is_in_flight(|action| matches!(action, Action::Replace)) {
        state.life.successor_started(started);
        return;
    }
    if state.life.phase() == ProxyPhase::Stopped {
        return;
    }
    state.orders.drop_starts();
    outcome::starts_are_done(state, at);
    state.life.started(started, at);
    state.another_answers();
}

/// A process ended.
pub(super) fn exited(state: &mut State, exit: &ProxyExit, at: Clocks) -> Option<Detection> {
    let is_another = state.life.exited(exit);
    let is_being_ended = state
        .orders
        .is_in_flight(|action| matches!(action, Action::Restart { .. } | Action::Replace | Action::Stop));
    if exit.wanted || is_another || !state.life.is_running() || is_being_ended {
        return None;
    }
    if exit.code == Some(0) && state.life.phase() == ProxyPhase::Up {
        // It was told to stop, and not by us: somebody's decision.
        state.orders.drop_pending();
        state.life.enter(ProxyPhase::Stopped, at);
        let what = "the proxy was stopped from outside, and is left so".to_owned();
        alerts::tell_plainly(state, Level::Info, what, "latimer-watchdog start".to_owned(), at);
        return None;
    }
    let fault = if exit.code.is_some() { Fault::ProxyCrashed } else { Fault::ProxyGone };
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("the proxy ended with code {code}"),
        (None, Some(signal)) => format!("the proxy was ended by signal {signal}"),
        (None, None) => "the proxy is gone".to_owned(),
    };
    let cause = exit.code.map(|code| format!("code_{code}")).or(exit.signal.map(|it| format!("signal_{it}")));
    let mut detection = Detection::new(Pattern::new(fault).maybe(Fact::Cause, cause.as_deref()));
    detection.is_dead = true;
    detection.what = Some(how);
    // The process is gone: nothing has to be ended first, and every rule on it is a start.
    state.life.set_down_by(fault);
    outcome::starts_have_failed(state, at);
    state.another_answers();
    state.life.enter(ProxyPhase::Down, at);
    Some(detection)
}

/// The port is taken, so the proxy could not be started.
pub(super) fn bind_conflict(state: &mut State, conflict: &BindConflict, at: Clocks) -> Option<Detection> {
    if state.life.is_absent() || state.life.phase() == ProxyPhase::Up {
        return None;
    }
    state.life.enter(ProxyPhase::Down, at);
    state.life.set_down_by(Fault::PortTaken);
    let (owner, what) = match &conflict.owner {
        Some(owner) => {
            let kind = if owner.ours { "ours" } else { "foreign" };
            let name = if owner.name.is_empty() { "unknown" } else { &owner.name };
            (kind, format!("port {} is held by {name} (process {})", conflict.port, owner.process.pid))
        }
        None => ("unknown", format!("port {} is held by another process", conflict.port)),
    };
    let mut detection = Detection::new(Pattern::new(Fault::PortTaken).with(Fact::StateOwner, owner));
    detection.processes =
        conflict.owner.iter().filter(|owner| owner.ours).map(|owner| owner.process).collect();
    detection.what = Some(what);
    if owner != "ours" {
        detection.level = Some(Level::Urgent);
        let why = "the port may be free by now".to_owned();
        revive::start_later(state, PORT_RETRY_INTERVAL, why, Some(Fault::PortTaken), at);
    }
    Some(detection)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{AT, up};
    use super::*;
    use crate::ids::ProcessId;
    use crate::signal::PortOwner;

    #[test]
    fn an_end_is_a_crash_a_death_or_somebodys_wish() {
        let exit = |code, signal| ProxyExit { pid: 1, code, signal, wanted: false };
        for (exit, want) in [
            (exit(Some(3), None), Some("A5 cause=code_3")),
            (exit(None, Some(9)), Some("A1 cause=signal_9")),
            (exit(None, None), Some("A1")),
            (exit(Some(0), None), None),
            (ProxyExit { wanted: true, ..exit(Some(3), None) }, None),
            (ProxyExit { pid: 7, ..exit(Some(3), None) }, None),
        ] {
            let mut state = up();
            let detection = exited(&mut state, &exit, AT);
            assert_eq!(detection.map(|detection| detection.pattern.to_string()).as_deref(), want, "{exit:?}");
        }
    }

    #[test]
    fn only_a_process_of_ours_is_to_be_ended() {
        let owner = |ours| PortOwner { process: ProcessId { pid: 7, started: 1 }, name: String::new(), ours };
        for (owner, pattern, count) in [
            (Some(owner(true)), "A2 owner=ours", 1),
            (Some(owner(false)), "A2 owner=foreign", 0),
            (None, "A2 owner=unknown", 0),
        ] {
            let mut state = super::super::super::tests::state();
            let conflict = BindConflict { port: 80, owner };
            let detection = bind_conflict(&mut state, &conflict, AT).expect("a fault");
            assert_eq!((detection.pattern.to_string().as_str(), detection.processes.len()), (pattern, count));
        }
    }
}
