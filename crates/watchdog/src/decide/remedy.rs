//! A remedy on its way: past the guards that are about it alone, to the orders, to a person, or to a model.

use std::time::Duration;

use super::State;
use super::alerts;
use super::choice::Choice;
use super::clock::Clocks;
use super::detection::Detection;
use super::orders::{OFFER_LIFETIME, OrderPlan};
use super::revive;
use crate::action::{Action, Level, Proposer};
use crate::guard::backoff::{QUIET_PERIOD, RemedyKey, Step};
use crate::ids::ActionId;
use crate::rules::Remedy;

/// How long a change that a person cancelled is not tried again.
const CANCELLED_REST: Duration = Duration::from_secs(300);

/// Brings a chosen remedy to where it is carried out. `Diagnose` is not among them: a model is asked elsewhere.
pub(super) fn propose(
    state: &mut State,
    detection: &Detection,
    choice: Choice,
    why: Option<String>,
    at: Clocks,
) {
    let Choice { remedy, by, cooldown, .. } = choice;
    if state.life.is_absent() && remedy.needs_proxy() {
        return;
    }
    let (key, fault) = (detection.key(remedy), Some(detection.fault()));
    match remedy {
        Remedy::AlertUser | Remedy::SuggestModel | Remedy::SuggestProvider => {
            alerts::tell_of_remedy(state, detection, remedy, why, cooldown, at);
        }
        Remedy::Ignore => {
            if state.guards.may_tell(&key, cooldown, at) {
                let why = why.unwrap_or_else(|| format!("counted: {}", detection.pattern));
                state.orders.give(fault, by, why, Action::Ignore);
            }
        }
        Remedy::Probe => {
            if state.life.is_running() && state.guards.may_tell(&key, cooldown, at) {
                state.senses.open_probe(detection, at);
                let why = format!("{}: does a real turn work?", detection.fault().title());
                state.orders.give(fault, by, why, Action::Probe);
            }
        }
        Remedy::RestartProxy if detection.is_dead => revive::revive(state, detection, by, at),
        _ => change(state, detection, choice, &key, why, at),
    }
}

/// A remedy that changes something and can wait for a cancel.
fn change(
    state: &mut State,
    detection: &Detection,
    choice: Choice,
    key: &RemedyKey,
    why: Option<String>,
    at: Clocks,
) {
    let Choice { remedy, cooldown, .. } = choice;
    let restarts = matches!(remedy, Remedy::RestartProxy | Remedy::ReplaceProxy);
    if restarts && (!state.life.is_running() || state.orders.is_start_pending()) {
        return;
    }
    if state.orders.is_handled(key) {
        return;
    }
    match state.guards.step(key, at) {
        Step::Resting(_) => return,
        Step::Exhausted => {
            return alerts::tell(state, detection, Level::Warning, None, QUIET_PERIOD, at);
        }
        Step::Try => {}
    }
    let Some(action) = detection.action(remedy, state.guards.in_safe_mode(), at.wall) else {
        // A log of somebody else does not say which endpoint it was: counted, and no more.
        if !detection.is_hearsay() {
            alerts::tell(state, detection, Level::Warning, None, cooldown, at);
        }
        return;
    };
    if restarts && !state.guards.has_room(at) {
        // It runs after a fashion: that is better than a held port.
        return alerts::tell(state, detection, Level::Warning, None, cooldown, at);
    }
    let why = why.unwrap_or_else(|| detection.reason());
    if needs_consent(state, remedy) {
        return offer(state, detection, choice, &action, &why, at);
    }
    let rest = if remedy == Remedy::Wait { cooldown.max(detection.rest()) } else { cooldown };
    state.guards.tried(key, rest, at);
    // A later step takes the place of an earlier one that still waits.
    state.orders.drop_announced(&key.pattern);
    state.orders.announce(action, detection, choice, why, at);
}

/// The settings want a person to decide on this.
fn needs_consent(state: &State, remedy: Remedy) -> bool {
    match remedy {
        Remedy::SwitchProvider => !state.settings.auto_switch_provider,
        Remedy::RestartProxy | Remedy::ReplaceProxy => !state.settings.auto_restart,
        _ => false,
    }
}

/// Tells a person of a change that is theirs to decide.
fn offer(state: &mut State, detection: &Detection, choice: Choice, action: &Action, why: &str, at: Clocks) {
    let every = choice.cooldown.max(OFFER_LIFETIME / 6);
    if !state.guards.may_tell(&detection.key(choice.remedy), every, at) {
        return;
    }
    let id = state.orders.next_id();
    state.orders.offer(id, detection, choice, at);
    let what = format!("{why}; proposed: {}", action.words());
    alerts::tell_of_offer(state, detection, what, id, at);
}

/// A person accepts what was offered. It passes the guards once more, but for the settings that asked for a person.
pub(super) fn accept(state: &mut State, id: ActionId, at: Clocks) {
    let Some(offer) = state.orders.take_offer(id) else { return };
    let (detection, Choice { remedy, cooldown, window, .. }) = (offer.detection, offer.choice);
    // Made anew, so that a switch lasts from now on.
    let Some(action) = detection.action(remedy, state.guards.in_safe_mode(), at.wall) else { return };
    let why = format!("accepted: {}", detection.reason());
    state.guards.tried(&detection.key(remedy), cooldown, at);
    let plan = OrderPlan { action, by: Proposer::Person, remedy, window, why, due: at.now };
    state.orders.hold(&detection, plan, at);
}

/// A person cancels what was announced. It is not tried again for a while, and nothing is learned from it.
pub(super) fn cancel(state: &mut State, id: ActionId, at: Clocks) {
    if let Some(pending) = state.orders.cancel(id) {
        state.guards.rest(&pending.criterion.key, CANCELLED_REST, at);
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::Fault;

    use super::super::tests::{AT, up};
    use super::*;
    use crate::action::Order;
    use crate::pattern::{Fact, Pattern};

    fn choice(remedy: Remedy) -> Choice {
        let (cooldown, window) = (Duration::from_secs(30), Duration::from_secs(60));
        Choice { remedy, by: Proposer::Rule, cooldown, window }
    }

    fn on_kimi(fault: Fault) -> Detection {
        Detection::new(Pattern::new(fault).with(Fact::Endpoint, "kimi"))
    }

    fn names(orders: &[Order]) -> Vec<&'static str> {
        orders.iter().map(|order| order.action.name()).collect()
    }

    /// What a remedy leads to at once, twice proposed.
    fn twice(state: &mut State, detection: &Detection, remedy: Remedy) -> Vec<&'static str> {
        propose(state, detection, choice(remedy), None, AT);
        propose(state, detection, choice(remedy), None, AT);
        names(&state.orders.take_given())
    }

    #[test]
    fn each_remedy_goes_its_way_and_once() {
        for (remedy, want) in [
            (Remedy::AlertUser, "alert"),
            (Remedy::SuggestProvider, "alert"),
            (Remedy::Ignore, "ignore"),
            (Remedy::Probe, "probe"),
            (Remedy::Reconnect, "announce"),
            (Remedy::RestartProxy, "announce"),
            (Remedy::SwitchProvider, "alert"),
        ] {
            let mut state = up();
            assert_eq!(twice(&mut state, &on_kimi(Fault::ServerError), remedy), [want], "{remedy:?}");
        }
    }

    #[test]
    fn while_a_person_wants_no_proxy_only_files_and_people_are_served() {
        let mut state = up();
        state.life.enter(super::super::life::ProxyPhase::Stopped, AT);
        for remedy in [Remedy::Reconnect, Remedy::RestartProxy, Remedy::Probe, Remedy::SwitchProvider] {
            assert!(twice(&mut state, &on_kimi(Fault::ServerError), remedy).is_empty(), "{remedy:?}");
        }
        let old_port = Detection::of(Fault::StaleClientPort);
        assert_eq!(twice(&mut state, &old_port, Remedy::RegenerateConfig), ["announce"]);
    }

    #[test]
    fn hearsay_that_names_no_endpoint_is_only_counted() {
        let mut state = up();
        let hearsay = Detection::new(Pattern::new(Fault::ServerError).with(Fact::Source, "codex"));
        assert!(twice(&mut state, &hearsay, Remedy::SwitchProvider).is_empty());
        let own = Detection::of(Fault::ServerError);
        assert_eq!(twice(&mut state, &own, Remedy::SwitchProvider), ["alert"]);
    }

    #[test]
    fn an_offer_is_accepted_once_and_a_cancel_rests() {
        let (mut state, full) = (up(), on_kimi(Fault::NoCapacity));
        propose(&mut state, &full, choice(Remedy::SwitchProvider), None, AT);
        let id = state.orders.offers().next().expect("offered").id;
        accept(&mut state, id, AT);
        accept(&mut state, id, AT);
        assert!(state.orders.take_due(AT).is_some_and(|pending| pending.by == Proposer::Person));
        assert!(state.orders.take_due(AT).is_none());
        let broken = on_kimi(Fault::StreamInterrupted);
        propose(&mut state, &broken, choice(Remedy::Reconnect), None, AT);
        let id = state.orders.announced().next().expect("announced").id;
        cancel(&mut state, id, AT);
        assert!(matches!(state.guards.step(&broken.key(Remedy::Reconnect), AT), Step::Resting(_)));
    }
}
