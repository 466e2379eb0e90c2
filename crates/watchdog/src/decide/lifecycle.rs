//! The proxy's life: started, healthy, silent, gone. What is dead is started again here, within the guard of restarts.

use std::time::Duration;

use latimer_protocol::status::Fault;
use serde::Serialize;

use super::orders::Plan;
use super::sighting::Sighting;
use super::{FORESIGHT, Moment};
use crate::action::{Action, By, Level};
use crate::guard::restarts::Verdict;
use crate::pattern::{Fact, Pattern};
use crate::signal::{BindConflict, Exit, Health, Miss, MissKind, Probe, Started};
use crate::time::Time;

/// A proxy that was just started may take so long to answer for the first time.
const GRACE: Duration = Duration::from_secs(10);
/// A proxy that is down and that nobody is starting is started after this time: an outcome was lost.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Between two tries to take a port that somebody else holds.
const PORT_AGAIN: Duration = Duration::from_secs(60);
/// An event loop that is later than this is in trouble.
const LAG_MS: u64 = 2_000;

/// Where the proxy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is known of it yet.
    #[default]
    Unknown,
    /// It was started and did not answer yet.
    Starting,
    /// It answers.
    Up,
    /// It is gone or being ended; a start is on its way.
    Down,
    /// A person stopped it. It is left so.
    Stopped,
    /// It ended too often; the port answers with the cause.
    Held,
}

impl Phase {
    /// The same word as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::Held => "held",
        }
    }
}

/// What is known of the proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub(super) phase: Phase,
    /// Since when it is in this phase.
    pub(super) since: Time,
    /// The same, as people read it.
    pub(super) since_wall: Time,
    /// The process that was started: its end is the proxy's end.
    pub(super) pid: Option<u32>,
    /// Who gives the answers: another process where the proxy was started through a wrapper.
    pub(super) answers: Option<u32>,
    pub(super) safe_mode: bool,
    pub(super) missed: u32,
    pub(super) health: Health,
    /// The one that is to take its place.
    pub(super) successor: Option<u32>,
    /// Who gave the answers before: what is heard of it soon after its end was said before.
    pub(super) answered: Option<u32>,
    /// The fault that brought it down last.
    pub(super) down_by: Option<Fault>,
}

impl Moment<'_> {
    pub(super) fn enter(&mut self, phase: Phase) {
        let life = &mut self.state.life;
        if life.phase != phase {
            (life.phase, life.since, life.since_wall) = (phase, self.now, self.wall);
        }
        life.missed = 0;
    }

    pub(super) fn proxy_started(&mut self, started: &Started) {
        // A new one beside the old one is not the proxy yet: its first answer makes it so.
        if self.is_in_flight(|action| matches!(action, Action::Replace)) {
            self.state.life.successor = (started.pid > 0).then_some(started.pid);
            return;
        }
        if matches!(self.state.life.phase, Phase::Stopped) {
            return;
        }
        self.drop_starts();
        self.starts_are_done();
        self.state.life.pid = (started.pid > 0).then_some(started.pid);
        self.state.life.safe_mode = started.safe_mode;
        // Again from now, also when it was starting before.
        self.state.life.phase = Phase::Unknown;
        self.enter(Phase::Starting);
        self.another_answers();
    }

    /// A replacement is done: the new one is the proxy.
    pub(super) fn was_replaced(&mut self) {
        if let Some(pid) = self.state.life.successor.take() {
            self.state.life.pid = Some(pid);
        }
        self.state.life.safe_mode = false;
        self.another_answers();
    }

    pub(super) fn proxy_exited(&mut self, exit: &Exit) {
        let life = &mut self.state.life;
        let another = exit.pid > 0 && life.pid.is_some_and(|pid| pid != exit.pid);
        if !another || (exit.wanted && life.phase == Phase::Stopped) {
            life.pid = None;
        }
        let life = &self.state.life;
        let lives = matches!(life.phase, Phase::Starting | Phase::Up);
        let being_ended = self
            .is_in_flight(|action| matches!(action, Action::Restart { .. } | Action::Replace | Action::Stop));
        if exit.wanted || another || !lives || being_ended {
            return;
        }
        let fault = if exit.code.is_some() { Fault::A5 } else { Fault::A1 };
        let how = match (exit.code, exit.signal) {
            (Some(code), _) => format!("the proxy ended with code {code}"),
            (None, Some(signal)) => format!("the proxy was ended by signal {signal}"),
            (None, None) => "the proxy is gone".to_owned(),
        };
        if exit.code == Some(0) && life.phase == Phase::Up {
            // It was told to stop, and not by us: somebody's wish.
            self.drop_pending();
            self.enter(Phase::Stopped);
            let what = "the proxy was stopped from outside, and is left so".to_owned();
            self.tell_plainly(Level::Info, what, "latimer-watchdog start".to_owned());
            return;
        }
        let cause =
            exit.code.map(|code| format!("code_{code}")).or(exit.signal.map(|it| format!("signal_{it}")));
        let mut sighting = Sighting::new(Pattern::new(fault).maybe(Fact::Cause, cause.as_deref()));
        sighting.is_dead = true;
        sighting.what = Some(how);
        self.gone(&sighting);
    }

    /// The process is gone: nothing has to be ended first, and every rule on it is a start.
    fn gone(&mut self, sighting: &Sighting) {
        self.state.life.down_by = Some(sighting.fault());
        self.starts_have_failed();
        self.another_answers();
        self.enter(Phase::Down);
        self.sighted(sighting);
    }

    pub(super) fn healthy(&mut self, health: &Health) {
        let phase = self.state.life.phase;
        if matches!(phase, Phase::Stopped | Phase::Held) {
            return;
        }
        if self.is_late(health.pid) {
            return;
        }
        if phase == Phase::Down {
            if self.is_in_flight(|action| matches!(action, Action::Restart { .. } | Action::Start { .. })) {
                return;
            }
            self.drop_starts();
        }
        if health.pid > 0 && self.state.life.answers != Some(health.pid) {
            // The numbers of the one before mean nothing for it.
            self.another_answers();
            self.state.life.answers = Some(health.pid);
            self.state.life.pid.get_or_insert(health.pid);
        }
        self.enter(Phase::Up);
        self.state.life.health = health.clone();
        self.state.counters.begin_again(|pattern| {
            let check = pattern.fact(Fact::Check);
            (pattern.fault == Fault::A4 && check.is_none())
                || (pattern.fault == Fault::A1 && check == Some("health"))
        });
        // The next start is a plain one then; what runs in safe mode goes on in it.
        self.state.restarts.healthy(self.now);
        self.look_at_memory(health);
        if health.loop_lag_ms > LAG_MS {
            let mut sighting = Sighting::new(Pattern::new(Fault::A4).with(Fact::Check, "lag"));
            sighting.what = Some(format!("the proxy answers {} ms late", health.loop_lag_ms));
            sighting.run = Some("latimer-watchdog upgrade".to_owned());
            self.sighted(&sighting);
        }
    }

    /// An answer that was read before the process ended, and is heard after.
    fn is_late(&self, pid: u32) -> bool {
        let life = &self.state.life;
        let unnamed = pid == 0 && life.phase == Phase::Down && life.pid.is_none();
        let from_before = pid > 0 && life.answered == Some(pid) && self.now.since(life.since) < GRACE;
        unnamed || from_before
    }

    /// Whoever answers from now on is another process.
    pub(super) fn another_answers(&mut self) {
        if let Some(pid) = self.state.life.answers.take() {
            self.state.life.answered = Some(pid);
        }
        self.state.memory.clear();
        self.state.latency.clear();
    }

    fn look_at_memory(&mut self, health: &Health) {
        if health.memory_bytes == 0 {
            return;
        }
        self.state.memory.push(self.now, health.memory_bytes);
        let limit = self.state.settings.memory_limit;
        let mib = |bytes: u64| bytes >> 20;
        let (check, what) = if health.memory_bytes > limit {
            (
                "memory",
                format!(
                    "the proxy holds {} MiB, over the limit of {} MiB",
                    mib(health.memory_bytes),
                    mib(limit)
                ),
            )
        } else {
            let reaches = self.state.memory.trend().and_then(|trend| trend.reaches(limit));
            let Some(left) = reaches.filter(|left| *left <= FORESIGHT) else { return };
            let minutes = left.as_secs() / 60;
            (
                "slope",
                format!(
                    "the proxy's memory grows steadily and reaches {} MiB in {minutes} minutes",
                    mib(limit)
                ),
            )
        };
        let mut sighting = Sighting::new(Pattern::new(Fault::A3).with(Fact::Check, check));
        sighting.what = Some(what);
        self.sighted(&sighting);
    }

    pub(super) fn missed(&mut self, miss: &Miss) {
        if !self.is_watched() {
            return;
        }
        self.state.life.missed = self.state.life.missed.saturating_add(1);
        self.state.restarts.unhealthy();
        let pattern = match miss.why {
            // Nobody listens: the process of an adopted proxy is gone.
            MissKind::Refused => Pattern::new(Fault::A1).with(Fact::Check, "health"),
            _ => Pattern::new(Fault::A4),
        };
        let missed = self.state.life.missed;
        let mut sighting = Sighting::new(pattern);
        sighting.is_dead = true;
        sighting.what =
            Some(format!("the proxy did not answer {missed} times in a row ({})", miss.why.name()));
        self.sighted(&sighting);
    }

    /// It runs, and had its time to come up.
    fn is_watched(&self) -> bool {
        let life = &self.state.life;
        match life.phase {
            Phase::Up => true,
            Phase::Starting => self.now.since(life.since) >= GRACE,
            Phase::Unknown | Phase::Down | Phase::Stopped | Phase::Held => false,
        }
    }

    pub(super) fn probe_ok(&mut self, probe: &Probe) {
        self.state.latency.push(self.now, probe.first_event_ms);
        let slower = self.state.latency.trend().and_then(|trend| trend.reaches(LAG_MS));
        if let Some(left) = slower.filter(|left| *left <= FORESIGHT) {
            let minutes = left.as_secs() / 60;
            let mut sighting = Sighting::new(Pattern::new(Fault::A4).with(Fact::Check, "latency"));
            sighting.what = Some(format!(
                "turns begin later and later; in {minutes} minutes they take {LAG_MS} ms to begin"
            ));
            sighting.run = Some("latimer-watchdog upgrade".to_owned());
            self.sighted(&sighting);
        }
        self.state
            .counters
            .begin_again(|pattern| pattern.fault == Fault::A4 && pattern.fact(Fact::Check) == Some("probe"));
        if let Some((sighting, _)) = self.state.probing.take() {
            let why = "a real turn works, and the client tries again by itself".to_owned();
            self.order(Some(sighting.fault()), By::Rule, why, Action::Ignore);
        }
    }

    pub(super) fn probe_failed(&mut self, miss: &Miss) {
        if !self.is_watched() {
            return;
        }
        self.state.restarts.unhealthy();
        let what = format!("a real turn through the proxy failed ({})", miss.why.name());
        let asked_for = self
            .state
            .probing
            .take()
            .filter(|(sighting, _)| matches!(sighting.fault(), Fault::D3 | Fault::D6));
        // Nobody asked: it is alive but dead. After a lost stream it is the client's fault or ours, and can wait for a cancel.
        let fault = asked_for.as_ref().map_or(Fault::A4, |(asked_for, _)| asked_for.fault());
        let mut sighting = Sighting::new(Pattern::new(fault).with(Fact::Check, "probe"));
        sighting.is_dead = asked_for.is_none();
        sighting.what = Some(what);
        self.sighted(&sighting);
    }

    pub(super) fn bind_conflict(&mut self, conflict: &BindConflict) {
        if matches!(self.state.life.phase, Phase::Stopped | Phase::Held | Phase::Up) {
            return;
        }
        self.enter(Phase::Down);
        self.state.life.down_by = Some(Fault::A2);
        let (owner, what) = match &conflict.owner {
            Some(owner) => {
                let kind = if owner.ours { "ours" } else { "foreign" };
                let name = if owner.name.is_empty() { "unknown" } else { &owner.name };
                (kind, format!("port {} is held by {name} (process {})", conflict.port, owner.process.pid))
            }
            None => ("unknown", format!("port {} is held by another process", conflict.port)),
        };
        let mut sighting = Sighting::new(Pattern::new(Fault::A2).with(Fact::Owner, owner));
        sighting.processes =
            conflict.owner.iter().filter(|owner| owner.ours).map(|owner| owner.process).collect();
        sighting.what = Some(what);
        if owner != "ours" {
            sighting.level = Some(Level::Urgent);
            self.start_later(PORT_AGAIN, "the port may be free by now".to_owned(), Some(Fault::A2));
        }
        self.sighted(&sighting);
    }

    pub(super) fn config_changed(&mut self) {
        if self.state.life.phase == Phase::Held {
            self.state.restarts.forget();
            self.start_later(Duration::ZERO, "what it failed on was changed".to_owned(), None);
        }
    }

    /// The proxy is dead, or hangs, or could not be started: start it as soon as the guard allows.
    pub(super) fn revive(&mut self, sighting: &Sighting, by: By) {
        let pattern = &sighting.pattern;
        if self.is_pending(is_start) {
            return;
        }
        if !self.state.settings.auto_restart {
            self.tell(sighting, Level::Urgent, Some("latimer-watchdog start"), Duration::from_secs(300));
            return;
        }
        let what = sighting.what.clone().unwrap_or_else(|| pattern.fault.title().to_owned());
        // While something of it still runs, it has to be ended first.
        let runs = matches!(self.state.life.phase, Phase::Starting | Phase::Up);
        let was_safe = self.state.restarts.in_safe_mode();
        match self.state.restarts.crashed(self.now) {
            Verdict::Start { after, safe_mode } => {
                let action = if runs {
                    Action::Restart { safe_mode, hung: true }
                } else {
                    Action::Start { safe_mode }
                };
                self.enter(Phase::Down);
                self.state.life.down_by = Some(pattern.fault);
                let plan = Plan::start(action, by, what.clone(), self.now.plus(after));
                self.hold(sighting, plan);
                if safe_mode && !was_safe {
                    let crashes = self.state.restarts.crashes();
                    let what =
                        format!("the proxy ended {crashes} times in a minute; it is tried in safe mode");
                    let run = "latimer check, then latimer-watchdog restart to leave safe mode".to_owned();
                    self.tell_plainly(Level::Warning, what, run);
                } else {
                    let mut again = sighting.clone();
                    again.what = Some(format!("{what}; it is started again"));
                    again.run = Some("latimer-watchdog status".to_owned());
                    self.tell(&again, Level::Info, None, Duration::from_secs(30));
                }
            }
            Verdict::Hold { starts } => {
                self.drop_pending();
                self.enter(Phase::Held);
                if runs {
                    let why = "it does not answer, and the port is going to".to_owned();
                    self.order(Some(pattern.fault), By::Guard, why, Action::Stop);
                }
                let cause =
                    format!("{what}; it was started {starts} times in ten minutes and is not started again");
                let run = "latimer check, then latimer-watchdog start".to_owned();
                self.order(Some(pattern.fault), By::Guard, what, Action::HoldPort { cause: cause.clone() });
                self.tell_plainly(Level::Urgent, cause, run);
            }
        }
    }

    /// A start that nobody has to be asked for, if there is room for one.
    pub(super) fn start_later(&mut self, after: Duration, why: String, fault: Option<Fault>) {
        if self.is_pending(is_start) || self.is_in_flight(is_start) || !self.state.settings.auto_restart {
            return;
        }
        let safe_mode = self.state.restarts.in_safe_mode();
        let sighting = Sighting::of(fault.unwrap_or(Fault::A1));
        let due = self.now.plus(after);
        let action = self.bring_up(safe_mode, true);
        self.hold(&sighting, Plan::start(action, By::Rule, why, due));
    }

    /// A start; of a process that is not known to be gone, its end before.
    pub(super) fn bring_up(&self, safe_mode: bool, hung: bool) -> Action {
        match self.state.life.pid {
            None => Action::Start { safe_mode },
            Some(_) => Action::Restart { safe_mode, hung },
        }
    }

    /// Called with the time: a proxy that is down and forgotten.
    pub(super) fn look_for_the_forgotten(&mut self) {
        let life = &self.state.life;
        let fault = life.down_by.unwrap_or(Fault::A1);
        let silenced = self.state.silenced.covers(fault, self.wall);
        if life.phase == Phase::Down && self.now.since(life.since) >= FORGOTTEN && !silenced {
            let fault = Some(fault);
            self.start_later(
                Duration::ZERO,
                "the proxy is down, and nothing else starts it".to_owned(),
                fault,
            );
        }
    }
}

/// It brings up a proxy.
pub(super) fn is_start(action: &Action) -> bool {
    matches!(action, Action::Start { .. } | Action::Restart { .. })
}
