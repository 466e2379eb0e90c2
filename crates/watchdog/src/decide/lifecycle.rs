//! The proxy's life: where it is in it, and its two ends: started and gone.

use std::time::Duration;

use latimer_protocol::status::Fault;
use serde::Serialize;

use super::Decision;
use super::detection::Detection;
use crate::action::{Action, Level};
use crate::pattern::{Fact, Pattern};
use crate::signal::{BindConflict, HealthReading, ProxyExit, ProxyStarted};
use crate::time::Time;

/// Between two tries to take a port that somebody else holds.
const PORT_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Where the proxy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyPhase {
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

impl ProxyPhase {
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
    pub(super) phase: ProxyPhase,
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
    pub(super) health: HealthReading,
    /// The one that is to take its place.
    pub(super) successor: Option<u32>,
    /// Who gave the answers before: what is heard of it soon after its end was said before.
    pub(super) answered: Option<u32>,
    /// The fault that brought it down last.
    pub(super) down_by: Option<Fault>,
}

impl Decision<'_> {
    pub(super) fn enter(&mut self, phase: ProxyPhase) {
        let life = &mut self.state.life;
        if life.phase != phase {
            (life.phase, life.since, life.since_wall) = (phase, self.now, self.wall);
        }
        life.missed = 0;
    }

    pub(super) fn proxy_started(&mut self, started: &ProxyStarted) {
        // A new one beside the old one is not the proxy yet: its first answer makes it so.
        if self.is_in_flight(|action| matches!(action, Action::Replace)) {
            self.state.life.successor = (started.pid > 0).then_some(started.pid);
            return;
        }
        if matches!(self.state.life.phase, ProxyPhase::Stopped) {
            return;
        }
        self.drop_starts();
        self.starts_are_done();
        self.state.life.pid = (started.pid > 0).then_some(started.pid);
        self.state.life.safe_mode = started.safe_mode;
        // Again from now, also when it was starting before.
        self.state.life.phase = ProxyPhase::Unknown;
        self.enter(ProxyPhase::Starting);
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

    pub(super) fn proxy_exited(&mut self, exit: &ProxyExit) {
        let life = &mut self.state.life;
        let another = exit.pid > 0 && life.pid.is_some_and(|pid| pid != exit.pid);
        if !another || (exit.wanted && life.phase == ProxyPhase::Stopped) {
            life.pid = None;
        }
        let life = &self.state.life;
        let lives = matches!(life.phase, ProxyPhase::Starting | ProxyPhase::Up);
        let being_ended = self
            .is_in_flight(|action| matches!(action, Action::Restart { .. } | Action::Replace | Action::Stop));
        if exit.wanted || another || !lives || being_ended {
            return;
        }
        let fault = if exit.code.is_some() { Fault::ProxyCrashed } else { Fault::ProxyGone };
        let how = match (exit.code, exit.signal) {
            (Some(code), _) => format!("the proxy ended with code {code}"),
            (None, Some(signal)) => format!("the proxy was ended by signal {signal}"),
            (None, None) => "the proxy is gone".to_owned(),
        };
        if exit.code == Some(0) && life.phase == ProxyPhase::Up {
            // It was told to stop, and not by us: somebody's wish.
            self.drop_pending();
            self.enter(ProxyPhase::Stopped);
            let what = "the proxy was stopped from outside, and is left so".to_owned();
            self.tell_plainly(Level::Info, what, "latimer-watchdog start".to_owned());
            return;
        }
        let cause =
            exit.code.map(|code| format!("code_{code}")).or(exit.signal.map(|it| format!("signal_{it}")));
        let mut detection = Detection::new(Pattern::new(fault).maybe(Fact::Cause, cause.as_deref()));
        detection.is_dead = true;
        detection.what = Some(how);
        self.gone(&detection);
    }

    /// The process is gone: nothing has to be ended first, and every rule on it is a start.
    fn gone(&mut self, detection: &Detection) {
        self.state.life.down_by = Some(detection.fault());
        self.starts_have_failed();
        self.another_answers();
        self.enter(ProxyPhase::Down);
        self.detected(detection);
    }

    pub(super) fn bind_conflict(&mut self, conflict: &BindConflict) {
        if matches!(self.state.life.phase, ProxyPhase::Stopped | ProxyPhase::Held | ProxyPhase::Up) {
            return;
        }
        self.enter(ProxyPhase::Down);
        self.state.life.down_by = Some(Fault::PortTaken);
        let (owner, what) = match &conflict.owner {
            Some(owner) => {
                let kind = if owner.ours { "ours" } else { "foreign" };
                let name = if owner.name.is_empty() { "unknown" } else { &owner.name };
                (kind, format!("port {} is held by {name} (process {})", conflict.port, owner.process.pid))
            }
            None => ("unknown", format!("port {} is held by another process", conflict.port)),
        };
        let mut detection = Detection::new(Pattern::new(Fault::PortTaken).with(Fact::Owner, owner));
        detection.processes =
            conflict.owner.iter().filter(|owner| owner.ours).map(|owner| owner.process).collect();
        detection.what = Some(what);
        if owner != "ours" {
            detection.level = Some(Level::Urgent);
            self.start_later(
                PORT_RETRY_INTERVAL,
                "the port may be free by now".to_owned(),
                Some(Fault::PortTaken),
            );
        }
        self.detected(&detection);
    }
}
