//! The mind of the watchdog: a signal and the time in, orders out. Pure, so a whole night is a table test.
//!
//! The way of a signal:
//!
//! 1. The *senses* of this module (`lifecycle`, `health`, `classify`, `digest`) turn it into sightings: a fault with its facts.
//! 2. A *sighting* is counted, breaks the hope of whatever was tried for it, and stops at the guards: silenced, stopped by
//!    the person, a consequence of a dead network, already being dealt with.
//! 3. The *tiers* choose a remedy (`choose`): a rule, what helped before, a model; else a person is told.
//! 4. The *orders* (`orders`) hold it back for its time (three seconds for a cancel, the back-off of a restart), pass the
//!    guards once more and go out. A dead process is started without the three seconds.
//! 5. What was done is *measured* (`measure`): it helped if its fault stays away for the window.
//!
//! Invariant: a proxy that the person stopped gets no order but the person's own. Invariant: nothing here panics, whatever
//! the order of signals and whatever the clock does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::action::{Action, Order};
use crate::diagnose::report::IncidentContext;
use crate::guard::{BackoffLadder, RestartGuard, SilencedFaults};
use crate::ids::ActionId;
use crate::incidents::file::Record;
use crate::pattern::plain;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::signal::Signal;
use crate::time::Time;
use crate::trend::TrendEstimator;

mod choose;
pub mod classify;
mod clock;
mod counters;
mod detection;
mod digest;
mod health;
mod lifecycle;
mod measure;
mod orders;
mod person;
mod revive;
mod telling;
mod view;

use clock::MonotonicClock;
use counters::DetectionCounters;
use lifecycle::Life;
pub use lifecycle::ProxyPhase;
use measure::Measurement;
use orders::{InFlightOrder, OfferedOrder, PendingDiagnosis, PendingOrder};

/// The alerts that are remembered for a person who looks later.
const MAX_ALERTS: usize = 50;
/// The longest reason, in characters.
const MAX_SENTENCE_CHARS: usize = 500;
/// A trend that reaches its limit within this time is acted on.
const TREND_HORIZON: Duration = Duration::from_secs(1800);

/// Everything that is remembered between two signals. Bounded, whatever arrives.
#[derive(Debug, Clone)]
pub struct State {
    settings: Settings,
    rules: Rules,
    record: Record,
    clock: MonotonicClock,
    life: Life,
    restarts: RestartGuard,
    ladder: BackoffLadder,
    silenced: SilencedFaults,
    counters: DetectionCounters,
    scene: IncidentContext,
    memory: TrendEstimator,
    /// Milliseconds to the first event of a real turn.
    latency: TrendEstimator,
    network_down: bool,
    next_id: u64,
    pending: Vec<PendingOrder>,
    in_flight: BTreeMap<ActionId, InFlightOrder>,
    trials: Vec<Measurement>,
    proposals: VecDeque<OfferedOrder>,
    asked: Option<PendingDiagnosis>,
    /// When a model was asked last, in time that passed: the ledger's clock can be set back.
    asked_at: Option<Time>,
    probing: Option<(detection::Detection, Time)>,
    alerts: VecDeque<Order>,
}

impl State {
    /// A mind that knows nothing of the proxy yet. The process side begins with a person's
    /// [`Start`](crate::signal::Person::Start), or with `ProxyStarted` for one that it adopted.
    pub fn new(settings: Settings, rules: Rules, record: Record) -> Self {
        Self {
            settings,
            rules,
            record,
            clock: MonotonicClock::default(),
            life: Life::default(),
            restarts: RestartGuard::default(),
            ladder: BackoffLadder::default(),
            silenced: SilencedFaults::default(),
            counters: DetectionCounters::default(),
            scene: IncidentContext::default(),
            memory: TrendEstimator::default(),
            latency: TrendEstimator::default(),
            network_down: false,
            next_id: 0,
            pending: Vec::new(),
            in_flight: BTreeMap::new(),
            trials: Vec::new(),
            proposals: VecDeque::new(),
            asked: None,
            asked_at: None,
            probing: None,
            alerts: VecDeque::new(),
        }
    }

    /// After this time something is due, if nothing else happens: send a [`Signal::Tick`] then.
    pub fn wake_in(&self) -> Option<Duration> {
        let due = self.pending.iter().map(|pending| pending.due).min()?;
        Some(due.since(self.clock.now()))
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
}

/// Takes in one signal, and says what to do now.
///
/// `wall` is the time as the clock on the wall shows it. A clock that is set back makes no time pass; one that jumps ahead makes
/// at most ten minutes pass, so that a machine that slept wakes up with its cooldowns.
pub fn decide(state: &mut State, signal: Signal, wall: Time) -> Vec<Order> {
    let now = state.clock.advance(wall);
    let mut moment = Decision { state, now, wall, orders: Vec::new() };
    // What was due before this signal goes before it.
    moment.due();
    moment.take_in(signal);
    moment.due();
    moment.orders
}

/// One call of [`decide`]: the state, the time, and the orders so far.
struct Decision<'s> {
    state: &'s mut State,
    /// The time that has passed, for everything that waits or rests.
    now: Time,
    /// The time as people read it.
    wall: Time,
    orders: Vec<Order>,
}

impl Decision<'_> {
    fn take_in(&mut self, signal: Signal) {
        match signal {
            Signal::Tick => {}
            Signal::ProxyStarted(started) => self.proxy_started(&started),
            Signal::ProxyExited(exit) => self.proxy_exited(&exit),
            Signal::Health(health) => self.healthy(&health),
            Signal::HealthMissed(miss) => self.missed(&miss),
            Signal::ProbeOk(probe) => self.probe_ok(&probe),
            Signal::ProbeFailed(miss) => self.probe_failed(&miss),
            Signal::BindConflict(conflict) => self.bind_conflict(&conflict),
            Signal::Proxy(event) => self.proxy_event(&event),
            Signal::Foreign(foreign) => self.foreign(&foreign),
            Signal::Network(network) => self.network(network.up),
            Signal::ClientExited(exit) => self.client_exited(&exit),
            Signal::ClientMemory(memory) => self.client_memory(&memory),
            Signal::ClientDatabase(database) => self.client_database(&database),
            Signal::StalePort(port) => self.stale_port(&port),
            Signal::DeadPids(dead) => self.dead_pids(dead.processes),
            Signal::CacheCorrupt(cache) => self.cache_corrupt(&cache),
            Signal::TokenExpiring(token) => self.token_expiring(&token),
            Signal::ConfigChanged => self.config_changed(),
            Signal::Person(person) => self.person(&person),
            Signal::Outcome(outcome) => self.outcome(&outcome),
            Signal::Diagnosis(diagnosis) => self.diagnosis(&diagnosis),
        }
    }

    /// Gives an order now, without any guard: the callers are guarded, or tell the person something.
    fn give(&mut self, mut order: Order) {
        // A reason may hold the name of a stranger's process or the text of an error, and is shown in a terminal.
        order.why = plain(&order.why, MAX_SENTENCE_CHARS);
        if let Action::Alert(alert) = &mut order.action {
            alert.what = plain(&alert.what, MAX_SENTENCE_CHARS);
            alert.run = plain(&alert.run, MAX_SENTENCE_CHARS);
            self.state.alerts.push_back(order.clone());
            if self.state.alerts.len() > MAX_ALERTS {
                self.state.alerts.pop_front();
            }
        }
        self.orders.push(order);
    }

    fn next_id(&mut self) -> ActionId {
        self.state.next_id = self.state.next_id.saturating_add(1);
        ActionId(self.state.next_id)
    }
}
