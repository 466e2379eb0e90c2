//! The senses: a signal becomes detections. A detection is a fault with its facts; what is done about it is decided elsewhere.
//!
//! Reading a signal also moves what the senses remember (counts, trends, the network), the proxy's [`Life`](super::life::Life),
//! and drops orders that the signal made pointless. It never gives an order that changes something.

use std::collections::BTreeMap;
use std::time::Duration;

use latimer_protocol::status::Fault;

use super::State;
use super::clock::Clocks;
use super::detection::Detection;
use crate::diagnose::Report;
use crate::diagnose::report::{IncidentContext, ProxyFacts};
use crate::incidents::Incident;
use crate::pattern::Pattern;
use crate::rules::Rules;
use crate::signal::{ProxyEvent, Signal};
use crate::time::Time;
use crate::trend::TrendEstimator;

mod classify;
mod counters;
mod health;
mod machine;
mod process;
mod proxy_log;

use counters::DetectionCounters;

/// A trend that reaches its limit within this time is acted on.
const TREND_HORIZON: Duration = Duration::from_secs(1800);
/// After this time a turn that was asked for on a suspicion is not waited for any longer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(120);

/// A real turn that was asked for, to find out whether a detection is true.
#[derive(Debug, Clone)]
struct OpenProbe {
    detection: Detection,
    since: Time,
}

/// What the senses remember between two signals. Bounded.
#[derive(Debug, Clone, Default)]
pub(super) struct Senses {
    counters: DetectionCounters,
    context: IncidentContext,
    /// Resident memory of the proxy, in bytes.
    memory: TrendEstimator,
    /// Milliseconds to the first event of a real turn.
    latency: TrendEstimator,
    network_down: bool,
    open_probe: Option<OpenProbe>,
}

/// Takes in a signal about the world. Signals about orders (a person's request, an outcome, a diagnosis) mean no detection.
pub(super) fn take(state: &mut State, signal: &Signal, at: Clocks) -> Vec<Detection> {
    match signal {
        Signal::ProxyStarted(started) => process::started(state, started, at),
        Signal::ProxyExited(exit) => return process::exited(state, exit, at).into_iter().collect(),
        Signal::BindConflict(conflict) => {
            return process::bind_conflict(state, conflict, at).into_iter().collect();
        }
        Signal::Health(health) => return health::answered(state, health, at),
        Signal::HealthMissed(miss) => return health::missed(state, miss, at).into_iter().collect(),
        Signal::ProbeOk(probe) => return health::probe_ok(state, probe, at).into_iter().collect(),
        Signal::ProbeFailed(miss) => return health::probe_failed(state, miss, at).into_iter().collect(),
        Signal::Proxy(event) => {
            return proxy_log::read(&mut state.senses, &state.rules, event).into_iter().collect();
        }
        Signal::Network(network) => {
            return machine::network(&mut state.senses, network.up).into_iter().collect();
        }
        Signal::Foreign(found) => return vec![machine::foreign_log(found)],
        Signal::ClientExited(exit) => return machine::client_exited(exit).into_iter().collect(),
        Signal::ClientMemory(memory) => {
            let limit = state.settings.client_memory_alert;
            return machine::client_memory(memory, limit).into_iter().collect();
        }
        Signal::ClientDatabase(database) => return vec![machine::client_database(database)],
        Signal::StalePort(port) => return machine::stale_port(port).into_iter().collect(),
        Signal::DeadPids(dead) => return machine::dead_processes(&dead.processes).into_iter().collect(),
        Signal::CacheCorrupt(cache) => return vec![machine::cache_corrupt(cache)],
        Signal::TokenExpiring(token) => return machine::token_expiring(token, at).into_iter().collect(),
        Signal::Tick
        | Signal::ConfigChanged
        | Signal::Person(_)
        | Signal::Outcome(_)
        | Signal::Diagnosis(_) => {}
    }
    Vec::new()
}

impl Senses {
    /// A detection is counted. Only as many are remembered as the rules ask for.
    pub(super) fn count(&mut self, detection: &Detection, rules: &Rules, at: Clocks) {
        let fault = detection.fault();
        let highest = rules.rows().iter().filter(|rule| rule.fault == fault).map(|rule| rule.threshold).max();
        let keep = usize::try_from(highest.unwrap_or(1)).unwrap_or(1);
        self.context.seen(fault, detection.status, at.now);
        self.counters.push(&detection.pattern, keep, at.now, at.wall);
    }

    /// How often a pattern was seen in this window.
    pub(super) fn seen_within(&self, pattern: &Pattern, window: Duration, at: Clocks) -> usize {
        self.counters.within(pattern, window, at.now)
    }

    /// Since when a pattern is seen, as people read it.
    pub(super) fn seen_since(&self, pattern: &Pattern) -> Option<Time> {
        self.counters.since(pattern)
    }

    /// How often each fault was seen since the watchdog began.
    pub(super) fn counts(&self) -> &BTreeMap<Fault, u64> {
        self.context.counts()
    }

    /// The whole network is gone.
    pub(super) fn network_down(&self) -> bool {
        self.network_down
    }

    /// How much the proxy's memory grows in an hour, in bytes, where it grows steadily.
    pub(super) fn memory_per_hour(&self) -> Option<f64> {
        self.memory.trend().map(|trend| trend.per_hour)
    }

    /// A real turn was asked for, to find out whether this is true.
    pub(super) fn open_probe(&mut self, detection: &Detection, at: Clocks) {
        self.open_probe = Some(OpenProbe { detection: detection.clone(), since: at.now });
    }

    /// Nobody waits for a real turn any longer.
    pub(super) fn drop_probe(&mut self) {
        self.open_probe = None;
    }

    /// A real turn that did not come is not waited for any longer.
    pub(super) fn expire(&mut self, at: Clocks) {
        self.open_probe.take_if(|probe| at.now.since(probe.since) >= PROBE_TIMEOUT);
    }

    /// Another process answers: the numbers of the one before mean nothing for it.
    pub(super) fn forget_trends(&mut self) {
        self.memory.clear();
        self.latency.clear();
    }

    /// The question to a model about a detection.
    pub(super) fn report(
        &self,
        detection: &Detection,
        proxy: &ProxyFacts,
        record: Option<&Incident>,
        at: Clocks,
    ) -> Report {
        self.context.report(&detection.pattern, proxy, record, at.now, at.wall)
    }

    fn note_turn(&mut self, event: &ProxyEvent) {
        if let Some(endpoint) = &event.endpoint {
            self.context.turn(endpoint, event.model.as_deref(), event.status, event.failure.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{NetworkState, ProxyStarted};

    fn at(secs: u64) -> Clocks {
        Clocks { now: Time::from_secs(secs), wall: Time::from_secs(secs) }
    }

    #[test]
    fn only_as_many_detections_are_counted_as_the_rules_ask_for() {
        let (mut senses, fault) = (Senses::default(), Detection::of(Fault::ServerError));
        for second in 0..10 {
            senses.count(&fault, &Rules::default(), at(second));
        }
        assert_eq!(senses.seen_within(&fault.pattern, Duration::from_secs(60), at(10)), 3);
        assert_eq!(senses.counts()[&Fault::ServerError], 10);
        assert_eq!(senses.seen_since(&fault.pattern), Some(Time::ZERO));
    }

    #[test]
    fn signals_about_orders_are_no_detections() {
        let mut state = super::super::tests::state();
        for signal in [Signal::Tick, Signal::ConfigChanged, Signal::ProxyStarted(ProxyStarted::default())] {
            assert_eq!(take(&mut state, &signal, at(1)), [], "{signal:?}");
        }
        let down = Signal::Network(NetworkState { up: false });
        assert_eq!(take(&mut state, &down, at(2)).len(), 1);
        assert_eq!(take(&mut state, &down, at(3)), [], "said once");
    }

    #[test]
    fn a_probe_that_does_not_come_is_forgotten() {
        let mut senses = Senses::default();
        senses.open_probe(&Detection::of(Fault::ClientStreamLost), at(0));
        senses.expire(at(119));
        assert!(senses.open_probe.is_some());
        senses.expire(at(120));
        assert!(senses.open_probe.is_none());
    }
}
