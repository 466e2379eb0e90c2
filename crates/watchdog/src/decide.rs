//! What the watchdog decides: a signal and the time in, orders out. Pure, so a whole night is a table test.
//!
//! The way of a signal through [`decide`]:
//!
//! ```text
//! senses.take(signal) → detections → guards.admit → tiers.choose → orders.hold → due → out
//! ```
//!
//! 1. The *senses* turn it into detections: a fault with its facts. They also move what is known of the proxy's *life*.
//! 2. A *detection* is counted, breaks the success criterion of whatever was done for it, and stops at the *guards*: silenced
//!    by a person, or a consequence of a dead network.
//! 3. The *tiers* choose a remedy: a rule, what helped before, a model; else a person is told (*alerts*).
//! 4. The *orders* hold it back for its time (three seconds for a cancel, the back-off of a restart). What is due passes the
//!    guards once more and goes out. A dead process is started without the three seconds.
//! 5. What was done is *measured*: it helped if its fault stays away for the window.
//!
//! Each part of [`State`] is a file with private fields; what needs several parts is a function over the state.
//!
//! Invariant: a proxy that the person stopped gets no order but the person's own. Invariant: nothing here panics, whatever
//! the order of signals and whatever the clock does.

use std::time::Duration;

use crate::action::Order;
use crate::ids::ActionId;
use crate::record::Record;
use crate::rules::{Remedy, Rules};
use crate::settings::Settings;
use crate::signal::Signal;
use crate::time::Time;

mod alerts;
mod choice;
mod clock;
mod detection;
mod diagnosis;
mod due;
mod guards;
mod life;
mod measure;
mod orders;
mod outcome;
mod person;
mod remedy;
mod revive;
mod senses;
mod tiers;
pub mod view;

use alerts::AlertLog;
use clock::{Clocks, MonotonicClock};
use detection::Detection;
use diagnosis::DiagnosisDesk;
use guards::Guards;
use life::Life;
pub use life::ProxyPhase;
use measure::Measurements;
use orders::Orders;
use senses::Senses;
use tiers::Tiers;

/// Everything that is remembered between two signals. Bounded, whatever arrives.
#[derive(Debug, Clone)]
pub struct State {
    settings: Settings,
    rules: Rules,
    record: Record,
    clock: MonotonicClock,
    life: Life,
    senses: Senses,
    guards: Guards,
    orders: Orders,
    measurements: Measurements,
    diagnosis: DiagnosisDesk,
    alerts: AlertLog,
}

impl State {
    /// A state that knows nothing of the proxy yet. The process side begins with a person's
    /// [`Start`](crate::signal::PersonRequest::Start), or with `ProxyStarted` for one that it adopted.
    pub fn new(settings: Settings, rules: Rules, record: Record) -> Self {
        Self {
            settings,
            rules,
            record,
            clock: MonotonicClock::default(),
            life: Life::default(),
            senses: Senses::default(),
            guards: Guards::default(),
            orders: Orders::default(),
            measurements: Measurements::default(),
            diagnosis: DiagnosisDesk::default(),
            alerts: AlertLog::default(),
        }
    }

    /// Whether an alert offers something under this number now.
    pub fn is_offered(&self, id: ActionId) -> bool {
        self.orders.offers().any(|offer| offer.id == id)
    }

    /// After this time something is due, if nothing else happens: send a [`Signal::Tick`] then. None: nothing waits.
    pub fn wake_in(&self) -> Option<Duration> {
        Some(self.orders.next_due()?.since(self.clock.now()))
    }

    /// New settings count from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// New rules count from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rules in use.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What outlives the watchdog. Save it when [`Record::changes`] has grown.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whoever answers from now on is another process.
    fn another_answers(&mut self) {
        self.life.forget_answering();
        self.senses.forget_trends();
    }
}

/// Takes in one signal, and says what to do now.
///
/// `wall` is the time as the clock on the wall shows it. A clock that is set back makes no time pass; one that jumps ahead makes
/// at most ten minutes pass, so that a machine that slept wakes up with its cooldowns.
pub fn decide(state: &mut State, signal: Signal, wall: Time) -> Vec<Order> {
    let at = state.clock.advance(wall);
    // What was due before this signal goes before it.
    due::run(state, at);
    match signal {
        Signal::Person(request) => person::apply(state, &request, at),
        Signal::Outcome(outcome) => outcome::take(state, &outcome, at),
        Signal::Diagnosis(diagnosis) => diagnosis::answered(state, &diagnosis, at),
        Signal::ConfigChanged => revive::config_changed(state, at),
        signal => {
            for detection in senses::take(state, &signal, at) {
                handle(state, &detection, at);
            }
        }
    }
    due::run(state, at);
    let orders = state.orders.take_given();
    state.alerts.remember(&orders);
    orders
}

/// From a detection to a remedy on its way.
fn handle(state: &mut State, detection: &Detection, at: Clocks) {
    state.guards.saw(&detection.pattern, at);
    state.record.incidents.seen(&detection.pattern, at.wall);
    state.senses.count(detection, &state.rules, at);
    outcome::came_back(state, &detection.pattern, at);
    if !state.guards.admit(detection, state.senses.network_down(), at) {
        return;
    }
    let State { settings, rules, record, senses, guards, .. } = &*state;
    let tiers = Tiers { settings, rules, incidents: &record.incidents, senses, guards };
    let Some(choice) = tiers.choose(detection, at) else { return };
    match choice.remedy {
        Remedy::Diagnose => diagnosis::ask(state, detection, choice, at),
        _ => remedy::propose(state, detection, choice, None, at),
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::Fault;

    use super::*;
    use crate::action::Action;
    use crate::signal::{HealthReading, NetworkState};

    /// The moment of a test.
    pub(super) const AT: Clocks = Clocks { now: Time::from_secs(1000), wall: Time::from_secs(1000) };

    /// A state that has seen nothing.
    pub(super) fn state() -> State {
        State::new(Settings::default(), Rules::default(), Record::default())
    }

    /// A state with a proxy of the process 1 that is up.
    pub(super) fn up() -> State {
        let mut state = state();
        let health = HealthReading { pid: 1, ..HealthReading::default() };
        assert_eq!(decide(&mut state, Signal::Health(health), AT.wall), []);
        state
    }

    #[test]
    fn a_detection_is_recorded_also_where_nothing_is_done() {
        let mut state = up();
        decide(&mut state, Signal::Network(NetworkState { up: false }), AT.wall);
        handle(&mut state, &Detection::of(Fault::ServerError), AT);
        assert_eq!(state.orders.take_given(), [], "the network explains it");
        assert_eq!(state.record.incidents.len(), 2);
    }

    #[test]
    fn an_order_is_handed_out_once() {
        let mut state = up();
        handle(&mut state, &Detection::of(Fault::RequestRefused), AT);
        let orders = decide(&mut state, Signal::Tick, AT.wall);
        assert!(matches!(&orders[..], [order] if matches!(order.action, Action::Announce { .. })));
        assert_eq!(state.wake_in(), Some(Duration::from_secs(3)));
        let orders = decide(&mut state, Signal::Tick, AT.wall.plus(Duration::from_secs(3)));
        assert!(matches!(&orders[..], [order] if matches!(order.action, Action::ClearCapabilities { .. })));
        assert_eq!(state.wake_in(), None);
    }
}
