//! The proxy's life: where it is in it, which process it is, and what it said of itself last.

use std::time::Duration;

use latimer_protocol::status::Fault;
use serde::Serialize;

use super::clock::Clocks;
use crate::diagnose::report::ProxyFacts;
use crate::signal::{HealthReading, ProxyExit, ProxyStarted};
use crate::time::Time;

/// A proxy that was just started may take so long to answer for the first time.
const STARTUP_GRACE: Duration = Duration::from_secs(10);

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
    phase: ProxyPhase,
    /// When this phase began.
    since: Time,
    /// The same, as people read it.
    since_wall: Time,
    /// The process that was started: its end is the proxy's end.
    pid: Option<u32>,
    /// Who gives the answers: another process where the proxy was started through a wrapper.
    answering_pid: Option<u32>,
    /// Who gave the answers before: what is heard of it soon after its end was said before.
    previous_pid: Option<u32>,
    /// The one that is to take its place.
    successor_pid: Option<u32>,
    safe_mode: bool,
    missed: u32,
    health: HealthReading,
    /// The fault that brought it down last.
    down_by: Option<Fault>,
}

impl Life {
    pub(super) fn phase(&self) -> ProxyPhase {
        self.phase
    }

    /// When the phase began, as people read it.
    pub(super) fn since_wall(&self) -> Time {
        self.since_wall
    }

    /// The process that was started, while it is not known to be gone.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// It runs without learned rules and without a store.
    pub(super) fn safe_mode(&self) -> bool {
        self.safe_mode
    }

    pub(super) fn set_safe_mode(&mut self, safe_mode: bool) {
        self.safe_mode = safe_mode;
    }

    /// Missed checks in a row.
    pub(super) fn missed(&self) -> u32 {
        self.missed
    }

    /// Resident memory by its last health document, in bytes; 0 when unknown.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.health.memory_bytes
    }

    /// A process is there that can be asked.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, ProxyPhase::Starting | ProxyPhase::Up)
    }

    /// A person stopped it, or the port is held: nothing is done to a proxy.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.phase, ProxyPhase::Stopped | ProxyPhase::Held)
    }

    /// It runs, and had its time to come up: a check that misses counts.
    pub(super) fn is_watched(&self, at: Clocks) -> bool {
        match self.phase {
            ProxyPhase::Up => true,
            ProxyPhase::Starting => at.now.since(self.since) >= STARTUP_GRACE,
            ProxyPhase::Unknown | ProxyPhase::Down | ProxyPhase::Stopped | ProxyPhase::Held => false,
        }
    }

    /// It has been down for at least this time.
    pub(super) fn is_down_for(&self, time: Duration, at: Clocks) -> bool {
        self.phase == ProxyPhase::Down && at.now.since(self.since) >= time
    }

    /// Goes over to a phase; misses are counted anew. Being in it already changes no time.
    pub(super) fn enter(&mut self, phase: ProxyPhase, at: Clocks) {
        if self.phase != phase {
            (self.phase, self.since, self.since_wall) = (phase, at.now, at.wall);
        }
        self.missed = 0;
    }

    /// It is being started, from now, also when it was starting before.
    pub(super) fn begin_starting(&mut self, at: Clocks) {
        self.phase = ProxyPhase::Unknown;
        self.enter(ProxyPhase::Starting, at);
    }

    /// It is down because of this fault.
    pub(super) fn set_down_by(&mut self, fault: Fault) {
        self.down_by = Some(fault);
    }

    /// The fault that brought it down last.
    pub(super) fn down_by(&self) -> Option<Fault> {
        self.down_by
    }

    /// A process was started that is the proxy.
    pub(super) fn started(&mut self, started: &ProxyStarted, at: Clocks) {
        self.pid = known(started.pid);
        self.safe_mode = started.safe_mode;
        self.begin_starting(at);
    }

    /// A process was started beside the proxy; its first answer makes it the proxy.
    pub(super) fn successor_started(&mut self, started: &ProxyStarted) {
        self.successor_pid = known(started.pid);
    }

    /// The successor is the proxy from now on.
    pub(super) fn succeed(&mut self) {
        if let Some(pid) = self.successor_pid.take() {
            self.pid = Some(pid);
        }
        self.safe_mode = false;
    }

    /// A process ended. True when it is not the one that is the proxy.
    pub(super) fn exited(&mut self, exit: &ProxyExit) -> bool {
        let is_another = exit.pid > 0 && self.pid.is_some_and(|pid| pid != exit.pid);
        if !is_another || (exit.wanted && self.phase == ProxyPhase::Stopped) {
            self.pid = None;
        }
        is_another
    }

    /// An answer of this process that was read before it ended, and is heard after.
    pub(super) fn is_late(&self, pid: u32, at: Clocks) -> bool {
        let is_unnamed = pid == 0 && self.phase == ProxyPhase::Down && self.pid.is_none();
        let is_from_before =
            pid > 0 && self.previous_pid == Some(pid) && at.now.since(self.since) < STARTUP_GRACE;
        is_unnamed || is_from_before
    }

    /// This process answers. True when it did not do so before.
    pub(super) fn answered_by(&mut self, pid: u32) -> bool {
        if pid == 0 || self.answering_pid == Some(pid) {
            return false;
        }
        self.forget_answering();
        self.answering_pid = Some(pid);
        self.pid.get_or_insert(pid);
        true
    }

    /// Whoever answers from now on is another process.
    pub(super) fn forget_answering(&mut self) {
        if let Some(pid) = self.answering_pid.take() {
            self.previous_pid = Some(pid);
        }
    }

    /// It answered, and said this of itself.
    pub(super) fn healthy(&mut self, health: &HealthReading, at: Clocks) {
        self.enter(ProxyPhase::Up, at);
        self.health = health.clone();
    }

    /// It did not answer a check; so many in a row.
    pub(super) fn miss(&mut self) -> u32 {
        self.missed = self.missed.saturating_add(1);
        self.missed
    }

    /// The proxy, as a model may be told of it.
    pub(super) fn facts(&self, starts: u64) -> ProxyFacts {
        let numbers =
            if self.phase == ProxyPhase::Up { self.health.clone() } else { HealthReading::default() };
        ProxyFacts {
            phase: self.phase.name(),
            uptime_s: numbers.uptime_s,
            memory_bytes: numbers.memory_bytes,
            turns_open: numbers.turns_open,
            missed: self.missed,
            safe_mode: self.safe_mode,
            starts,
        }
    }
}

/// A process id, where one was named.
fn known(pid: u32) -> Option<u32> {
    (pid > 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Clocks {
        Clocks { now: Time::from_secs(secs), wall: Time::from_secs(secs) }
    }

    fn reading(pid: u32) -> HealthReading {
        HealthReading { pid, memory_bytes: 7, ..HealthReading::default() }
    }

    #[test]
    fn a_new_proxy_has_time_to_come_up() {
        let mut life = Life::default();
        life.started(&ProxyStarted { pid: 5, ..ProxyStarted::default() }, at(0));
        assert!(life.is_running() && !life.is_watched(at(9)) && life.is_watched(at(10)));
        life.begin_starting(at(10));
        assert!(!life.is_watched(at(19)), "from now, also when it was starting before");
        life.healthy(&reading(5), at(11));
        assert!(life.is_watched(at(11)));
        assert_eq!((life.phase(), life.since_wall()), (ProxyPhase::Up, Time::from_secs(11)));
    }

    #[test]
    fn misses_are_counted_in_a_row() {
        let mut life = Life::default();
        assert_eq!((life.miss(), life.miss()), (1, 2));
        life.healthy(&reading(0), at(1));
        assert_eq!(life.miss(), 1);
    }

    #[test]
    fn an_answer_of_the_one_before_is_late() {
        let mut life = Life::default();
        assert!(life.answered_by(5) && !life.answered_by(5));
        life.healthy(&reading(5), at(1));
        assert!(!life.exited(&ProxyExit { pid: 5, ..ProxyExit::default() }));
        life.forget_answering();
        life.enter(ProxyPhase::Down, at(2));
        assert!(life.is_late(5, at(3)) && life.is_late(0, at(3)));
        assert!(!life.is_late(6, at(3)) && !life.is_late(5, at(20)), "an id is used again");
    }

    #[test]
    fn a_successor_is_the_proxy_when_it_took_over() {
        let mut life = Life::default();
        life.started(&ProxyStarted { pid: 5, safe_mode: true, ..ProxyStarted::default() }, at(0));
        life.successor_started(&ProxyStarted { pid: 6, ..ProxyStarted::default() });
        assert!(life.exited(&ProxyExit { pid: 6, ..ProxyExit::default() }), "not the proxy yet");
        life.succeed();
        assert_eq!((life.pid(), life.safe_mode()), (Some(6), false));
        assert!(life.exited(&ProxyExit { pid: 5, wanted: true, ..ProxyExit::default() }));
        assert_eq!(life.pid(), Some(6));
    }

    #[test]
    fn numbers_of_a_proxy_that_is_not_up_are_not_told() {
        let mut life = Life::default();
        life.healthy(&reading(5), at(1));
        assert_eq!(life.facts(3).memory_bytes, 7);
        life.enter(ProxyPhase::Down, at(2));
        assert_eq!((life.facts(3).memory_bytes, life.facts(3).starts), (0, 3));
    }
}
