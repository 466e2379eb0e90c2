//! A state with a clock, and signals that are quick to write.

use std::time::Duration;

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Alert, Order};
use latimer_watchdog::decide::{ProxyPhase, State, decide};
use latimer_watchdog::ids::ActionId;
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::Rules;
use latimer_watchdog::settings::Settings;
use latimer_watchdog::signal::{
    ForeignLogMatch, HealthReading, MissReason, MissedCheck, Outcome, PersonRequest, ProbeResult, ProxyEvent,
    ProxyExit, ProxyStarted, Signal,
};
use latimer_watchdog::time::Time;

/// Tuesday, 14 November 2023, 22:13:20 UTC.
pub(crate) const BEGIN: Time = Time::from_secs(1_700_000_000);

/// A state, its time, and everything it ordered.
pub(crate) struct Bench {
    pub(crate) state: State,
    pub(crate) now: Time,
    pub(crate) log: Vec<(Time, Order)>,
    /// Orders are carried out at once and said to be.
    pub(crate) obeys: bool,
}

impl Bench {
    pub(crate) fn with(settings: Settings) -> Self {
        let state = State::new(settings, Rules::default(), Record::default());
        Self { state, now: BEGIN, log: Vec::new(), obeys: true }
    }

    /// With a proxy that is up.
    pub(crate) fn up() -> Self {
        Self::up_with(Settings::default())
    }

    pub(crate) fn up_with(settings: Settings) -> Self {
        let mut bench = Self::with(settings);
        bench.send(Signal::Person(PersonRequest::Start));
        bench.send(started(1));
        bench.send(health());
        bench.log.clear();
        bench
    }

    /// Sends a signal and gives what was ordered, what follows from the outcomes included.
    pub(crate) fn send(&mut self, signal: Signal) -> Vec<Action> {
        let mut all = Vec::new();
        let mut orders = decide(&mut self.state, signal, self.now);
        while !orders.is_empty() {
            let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
            all.extend(orders.iter().map(|order| order.action.clone()));
            self.log.extend(orders.into_iter().map(|order| (self.now, order)));
            orders = Vec::new();
            for id in ids.into_iter().filter(|_| self.obeys) {
                orders.extend(decide(&mut self.state, done(id), self.now));
            }
        }
        all
    }

    /// Lets time pass, second by second and whenever something is due, without any other signal.
    pub(crate) fn pass(&mut self, seconds: u64) -> Vec<Action> {
        let end = self.now.plus(Duration::from_secs(seconds));
        let mut all = Vec::new();
        while self.now < end {
            let wait = self.state.wake_in().unwrap_or(Duration::from_secs(1));
            let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(1)).min(end.since(self.now));
            self.now = self.now.plus(wait);
            all.extend(self.send(Signal::Tick));
        }
        all
    }

    /// Lets time pass with a healthy proxy.
    pub(crate) fn pass_healthy(&mut self, seconds: u64) -> Vec<Action> {
        (0..seconds)
            .flat_map(|_| {
                let mut actions = self.pass(1);
                actions.extend(self.send(health()));
                actions
            })
            .collect()
    }

    /// Sends it, and waits until what was announced is done.
    pub(crate) fn settle(&mut self, signal: Signal) -> Vec<Action> {
        let mut actions = self.send(signal);
        actions.extend(self.pass(4));
        actions
    }

    pub(crate) fn phase(&self) -> ProxyPhase {
        self.state.status(self.now).phase
    }

    /// The last order of this name.
    pub(crate) fn last(&self, name: &str) -> Option<&Order> {
        self.log.iter().rev().map(|(_, order)| order).find(|order| order.action.name() == name)
    }
}

/// The names of actions, without announcements.
pub(crate) fn names(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().filter(|action| !matches!(action, Action::Announce { .. })).map(Action::name).collect()
}

/// The alerts among actions.
pub(crate) fn alerts(actions: &[Action]) -> Vec<&Alert> {
    fn alert(action: &Action) -> Option<&Alert> {
        if let Action::Alert(alert) = action { Some(alert) } else { None }
    }
    actions.iter().filter_map(alert).collect()
}

pub(crate) fn done(id: ActionId) -> Signal {
    Signal::Outcome(Outcome { id, done: true, error: None })
}

pub(crate) fn started(pid: u32) -> Signal {
    Signal::ProxyStarted(ProxyStarted { pid, ..ProxyStarted::default() })
}

pub(crate) fn health() -> Signal {
    Signal::Health(HealthReading { memory_bytes: 60 << 20, ..HealthReading::default() })
}

pub(crate) fn missed(why: MissReason) -> Signal {
    Signal::HealthMissed(MissedCheck { why, waited_ms: 1000 })
}

pub(crate) fn probe_failed() -> Signal {
    Signal::ProbeFailed(MissedCheck { why: MissReason::Timeout, waited_ms: 5000 })
}

pub(crate) fn probe_ok() -> Signal {
    Signal::ProbeOk(ProbeResult::default())
}

pub(crate) fn crash(code: i32) -> Signal {
    Signal::ProxyExited(ProxyExit { code: Some(code), ..ProxyExit::default() })
}

pub(crate) fn killed(signal: i32) -> Signal {
    Signal::ProxyExited(ProxyExit { signal: Some(signal), ..ProxyExit::default() })
}

/// A line of the proxy's log about the endpoint `kimi`.
pub(crate) fn event(failure: &str, status: u16) -> Signal {
    Signal::Proxy(ProxyEvent {
        event: "turn.retry".to_owned(),
        failure: Some(failure.to_owned()),
        status: (status > 0).then_some(status),
        endpoint: Some("kimi".to_owned()),
        model: Some("kimi-k2".to_owned()),
        ..ProxyEvent::default()
    })
}

/// A line of the proxy's log that names its fault.
pub(crate) fn named(fault: Fault) -> Signal {
    Signal::Proxy(ProxyEvent {
        event: "turn.note".to_owned(),
        fault: Some(fault),
        endpoint: Some("kimi".to_owned()),
        ..ProxyEvent::default()
    })
}

/// A turn on `kimi` that worked.
pub(crate) fn turn_ok() -> Signal {
    Signal::Proxy(ProxyEvent {
        event: "turn.done".to_owned(),
        finish: Some("stop".to_owned()),
        endpoint: Some("kimi".to_owned()),
        ..ProxyEvent::default()
    })
}

pub(crate) fn foreign(fault: Fault) -> Signal {
    Signal::Foreign(ForeignLogMatch { fault, source: "codex".to_owned() })
}
