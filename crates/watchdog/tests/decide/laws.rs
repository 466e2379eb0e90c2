//! What must hold whatever happens: any signals in any order, with a clock that does what it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Order, Proposer};
use latimer_watchdog::decide::{State, decide};
use latimer_watchdog::guard::restarts::{MAX_STARTS, START_WINDOW};
use latimer_watchdog::ids::ActionId;
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::Rules;
use latimer_watchdog::settings::{DiagnosisSettings, Settings};
use latimer_watchdog::signal::{
    ForeignLogMatch, HealthReading, MissReason, MissedCheck, Outcome, PersonRequest, ProxyEvent, ProxyExit,
    ProxyStarted, Signal,
};
use latimer_watchdog::simulate::RecordedSignal;
use latimer_watchdog::time::Time;
use proptest::prelude::*;

use crate::any_signal::signal;
use crate::support::BEGIN;

/// How far the clock moves before a signal, in milliseconds: mostly a little, sometimes far, sometimes back.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0i64..2000, 3 => 0i64..60_000, 1 => -100_000_000i64..100_000_000]
}

fn settings() -> impl Strategy<Value = Settings> {
    any::<[bool; 6]>().prop_map(|[tier1, tier2, tier3, auto_restart, auto_switch_provider, model]| Settings {
        tier1,
        tier2,
        tier3,
        auto_restart,
        auto_switch_provider,
        diagnosis: DiagnosisSettings {
            endpoint: model.then(|| "small".to_owned()),
            model: None,
            monthly_budget_micros: 20_000,
        },
        ..Settings::default()
    })
}

/// Reads what was ordered beside what was said, knows nothing of the state, and fails on every broken law.
struct Auditor {
    settings: Settings,
    /// Time that has passed, with the state's own idea of leaps: never back, never more than ten minutes at once.
    passed: Duration,
    wall: Option<Time>,
    stopped: bool,
    silenced: BTreeMap<Fault, Option<Time>>,
    starts: Vec<Duration>,
    announced: BTreeMap<ActionId, (Duration, &'static str)>,
    cancelled: BTreeSet<ActionId>,
    ids: BTreeSet<ActionId>,
    questions: Vec<(Duration, u64)>,
}

impl Auditor {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            passed: Duration::ZERO,
            wall: None,
            stopped: false,
            silenced: BTreeMap::new(),
            starts: Vec::new(),
            announced: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            ids: BTreeSet::new(),
            questions: Vec::new(),
        }
    }

    fn hear(&mut self, signal: &Signal, wall: Time) {
        if let Some(before) = self.wall {
            self.passed += wall.since(before).min(Duration::from_secs(600));
        }
        self.wall = Some(wall);
        match signal {
            Signal::Person(PersonRequest::Stop) => self.stopped = true,
            Signal::Person(PersonRequest::Start | PersonRequest::Restart | PersonRequest::Upgrade) => {
                self.stopped = false;
                // A person who begins anew lets the guard forget.
                if !matches!(signal, Signal::Person(PersonRequest::Upgrade)) {
                    self.starts.clear();
                }
            }
            // What failed before may work now: the guard forgets here too.
            Signal::ConfigChanged => self.starts.clear(),
            Signal::Person(PersonRequest::Silence { fault, until }) => {
                self.silenced.insert(*fault, *until);
            }
            Signal::Person(PersonRequest::Unsilence { fault }) => {
                self.silenced.remove(fault);
            }
            Signal::Person(PersonRequest::Cancelled { id })
                if self.announced.contains_key(id) && !self.ids.contains(id) =>
            {
                self.cancelled.insert(*id);
            }
            _ => {}
        }
    }

    fn see(&mut self, order: &Order, before_signal: bool, wall: Time) -> Result<(), TestCaseError> {
        let name = order.action.name();
        prop_assert!(self.ids.insert(order.id), "number {} twice", order.id);
        prop_assert!(!order.why.is_empty(), "{name} without a reason");
        prop_assert!(!order.why.chars().any(char::is_control), "{name} with a reason of several lines");
        prop_assert!(!self.cancelled.contains(&order.id), "{name} {} was cancelled", order.id);
        let automatic = order.by != Proposer::Person;
        let tells = matches!(order.action, Action::Alert(_) | Action::Ignore | Action::Announce { .. });
        let harmless =
            tells || matches!(order.action, Action::Probe | Action::Diagnose(_) | Action::HoldPort { .. });
        if self.stopped && !before_signal && automatic {
            let touches_files =
                matches!(order.action, Action::RegenerateConfig { .. } | Action::CleanState { .. });
            prop_assert!(tells || touches_files, "{name} although a person stopped the proxy");
        }
        if let Some(fault) = order.fault.filter(|_| automatic && !before_signal) {
            let silenced =
                self.silenced.get(&fault).is_some_and(|until| until.is_none_or(|until| wall < until));
            prop_assert!(!silenced, "{name} for the silenced {fault}");
        }
        match &order.action {
            Action::Start { .. } | Action::Restart { .. } | Action::Replace if automatic => {
                if !matches!(order.action, Action::Replace) {
                    prop_assert!(self.settings.auto_restart, "{name} without auto_restart");
                }
                self.starts.push(self.passed);
                let within = |at: &&Duration| self.passed.saturating_sub(**at) <= START_WINDOW;
                let within = self.starts.iter().filter(within).count();
                prop_assert!(within <= MAX_STARTS, "{within} starts in ten minutes");
            }
            Action::SwitchProvider { .. } if automatic => {
                prop_assert!(self.settings.auto_switch_provider, "switched without being allowed to");
            }
            Action::KillStale { processes } => prop_assert!(!processes.is_empty()),
            Action::Diagnose(report) => {
                prop_assert!(self.settings.tier3 && self.settings.diagnosis.endpoint.is_some());
                if let Some((at, _)) = self.questions.last() {
                    let apart = self.passed.saturating_sub(*at);
                    prop_assert!(apart >= Duration::from_secs(60), "two questions in {apart:?}");
                }
                self.questions.push((self.passed, wall.day()));
                let today = self.questions.iter().filter(|(_, day)| *day == wall.day()).count();
                prop_assert!(today <= 10, "{today} questions in a day");
                prop_assert!(!report.text.is_empty() && report.text.len() < 20_000);
            }
            Action::Announce { id, action, .. } => {
                self.announced.insert(*id, (self.passed, action.name()));
            }
            _ => {}
        }
        // Everything automatic that changes something was announced three seconds ago, but for the start of a dead proxy.
        let of_the_dead = matches!(order.action, Action::Start { .. } | Action::Restart { hung: true, .. });
        if automatic && !harmless && !of_the_dead && !matches!(order.action, Action::Stop) {
            let Some((at, what)) = self.announced.get(&order.id) else {
                return Err(TestCaseError::fail(format!("{name} {} was never announced", order.id)));
            };
            prop_assert_eq!(*what, name, "another action than was announced");
            prop_assert!(self.passed.saturating_sub(*at) >= Duration::from_secs(3), "{} came too soon", name);
        }
        Ok(())
    }
}

fn moved(now: Time, step: i64) -> Time {
    let millis = now.as_millis();
    Time::from_millis(millis.saturating_add_signed(step))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// No panic, no more starts than the cap in any window, and every action passed its guards.
    #[test]
    fn every_action_passes_the_guards(
        settings in settings(),
        signals in prop::collection::vec((step(), signal()), 0..150),
        obeys in any::<bool>(),
    ) {
        let mut state = State::new(settings.clone(), Rules::default(), Record::default());
        let mut auditor = Auditor::new(settings);
        let mut now = BEGIN;
        for (step, signal) in signals {
            now = moved(now, step);
            // What was due before the signal, which may change the rules of the game, goes before it.
            let due = decide(&mut state, Signal::Tick, now);
            auditor.hear(&Signal::Tick, now);
            for order in &due {
                auditor.see(order, true, now)?;
            }
            auditor.hear(&signal, now);
            let orders = decide(&mut state, signal, now);
            for order in &orders {
                auditor.see(order, false, now)?;
            }
            for order in due.iter().chain(&orders).filter(|_| obeys) {
                let done = Signal::Outcome(Outcome { id: order.id, done: true, error: None });
                for order in decide(&mut state, done, now) {
                    auditor.see(&order, false, now)?;
                }
            }
            let status = state.status(now);
            prop_assert!(status.announced.len() <= 64 && status.offered.len() <= 64 && status.alerts.len() <= 50);
            prop_assert!(state.record().incidents.len() <= 500);
        }
        prop_assert!(serde_json::to_vec(&state.export(now)).is_ok());
        let record = Record::from_bytes(&state.record().to_bytes());
        prop_assert!(record.is_ok(), "what is recorded can be read again");
    }

    /// A proxy that dies in every way there is, at every pace, is started at most so often.
    #[test]
    fn no_storm_passes_the_cap(
        deaths in prop::collection::vec((0u64..40_000, 0u8..8), 1..400),
        obeys in any::<bool>(),
    ) {
        let mut state = State::new(Settings::default(), Rules::default(), Record::default());
        let mut auditor = Auditor::new(Settings::default());
        let mut now = BEGIN;
        let mut look = |state: &mut State, signal: Signal, now: Time| -> Result<Vec<Order>, TestCaseError> {
            auditor.hear(&signal, now);
            let orders = decide(state, signal, now);
            orders.iter().try_for_each(|order| auditor.see(order, false, now))?;
            Ok(orders)
        };
        look(&mut state, Signal::Person(PersonRequest::Start), now)?;
        for (wait, death) in deaths {
            let end = now.plus(Duration::from_millis(wait));
            while now < end {
                let step = state.wake_in().unwrap_or(Duration::from_secs(5)).max(Duration::from_millis(1));
                now = now.plus(step).min(end);
                for order in look(&mut state, Signal::Tick, now)?.iter().filter(|_| obeys) {
                    look(&mut state, Signal::Outcome(Outcome { id: order.id, done: true, error: None }), now)?;
                }
            }
            let orders = match death {
                0 => look(&mut state, Signal::ProxyStarted(ProxyStarted::default()), now)?,
                1 => look(&mut state, Signal::Health(HealthReading::default()), now)?,
                2 | 3 => look(&mut state, Signal::ProxyExited(ProxyExit { code: Some(1), ..ProxyExit::default() }), now)?,
                4 => look(&mut state, Signal::ProxyExited(ProxyExit { signal: Some(9), ..ProxyExit::default() }), now)?,
                5 => {
                    let miss = MissedCheck { why: MissReason::Timeout, waited_ms: 1000 };
                    look(&mut state, Signal::HealthMissed(miss), now)?
                }
                6 => {
                    let miss = MissedCheck { why: MissReason::Garbage, waited_ms: 1000 };
                    look(&mut state, Signal::ProbeFailed(miss), now)?
                }
                _ => {
                    let foreign = ForeignLogMatch { fault: Fault::ClientStreamLost, source: "codex".to_owned() };
                    look(&mut state, Signal::Foreign(foreign), now)?
                }
            };
            for order in orders {
                // What could not be done is a crash like any other.
                look(&mut state, Signal::Outcome(Outcome { id: order.id, done: obeys, error: None }), now)?;
            }
        }
    }

    /// The same signals at the same times give the same orders.
    #[test]
    fn a_night_is_the_same_each_time(signals in prop::collection::vec((step(), signal()), 0..80)) {
        let play = || {
            let mut state = State::new(Settings::default(), Rules::default(), Record::default());
            let mut now = BEGIN;
            let mut all = Vec::new();
            for (step, signal) in &signals {
                now = moved(now, *step);
                all.extend(decide(&mut state, signal.clone(), now));
            }
            all
        };
        prop_assert_eq!(play(), play());
    }

    /// Every signal is the same after it was written to a log.
    #[test]
    fn a_signal_survives_the_log(signal in signal(), at in any::<u32>()) {
        let recorded = RecordedSignal { at: Time::from_secs(u64::from(at)), signal };
        match recorded.line() {
            None => prop_assert_eq!(recorded.signal, Signal::Tick),
            Some(line) => {
                prop_assert!(!line.contains('\n'));
                prop_assert_eq!(serde_json::from_str::<RecordedSignal>(&line).expect("a line"), recorded);
            }
        }
    }

    /// Secrets and user text in any field of any signal never enter a report.
    #[test]
    fn a_report_holds_no_secret_and_no_user_text(
        key in "[A-Za-z]{10}[0-9]{6}[A-Za-z0-9]{10,30}",
        prefix in prop::sample::select(vec!["sk-", "Bearer ", "ghp_", "AIza", ""]),
        text in "[a-z]{3,9} [a-z]{3,9} [a-z]{3,9}",
        user in "[b-z]{6,10}",
    ) {
        let home = format!("/{}/{user}/notes.txt", "home");
        for canary in [format!("{prefix}{key}"), text.clone(), home, format!("{user}@example.org")] {
            let model = DiagnosisSettings { endpoint: Some("small".to_owned()), model: None, monthly_budget_micros: 2_000_000 };
            let settings = Settings { diagnosis: model, ..Settings::default() };
            let mut state = State::new(settings, Rules::default(), Record::default());
            let mut orders = decide(&mut state, Signal::Person(PersonRequest::Start), BEGIN);
            orders.extend(decide(&mut state, Signal::Health(HealthReading::default()), BEGIN));
            let some = || Some(canary.clone());
            for _ in 0..6 {
                let event = ProxyEvent {
                    event: canary.clone(),
                    fault: Some(Fault::CallNotFound),
                    failure: some(),
                    cause: some(),
                    endpoint: some(),
                    model: some(),
                    account: some(),
                    finish: some(),
                    dialect: some(),
                    thread: some(),
                    ..ProxyEvent::default()
                };
                orders.extend(decide(&mut state, Signal::Proxy(event), BEGIN));
                let foreign = ForeignLogMatch { fault: Fault::LoneBrace, source: canary.clone() };
                orders.extend(decide(&mut state, Signal::Foreign(foreign), BEGIN));
            }
            let report = orders.iter().find_map(|order| match &order.action {
                Action::Diagnose(report) => Some(&report.text),
                _ => None,
            });
            let report = report.expect("a question");
            prop_assert!(!report.contains(&key) && !report.contains(&text) && !report.contains(&user), "{report}");
        }
    }
}
