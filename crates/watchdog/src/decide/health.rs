//! How the proxy is: its answers, the checks that miss, real turns, and where its numbers lead.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::detection::Detection;
use super::lifecycle::ProxyPhase;
use super::{Decision, TREND_HORIZON};
use crate::action::{Action, Proposer};
use crate::pattern::{Fact, Pattern};
use crate::signal::{HealthReading, MissReason, MissedCheck, ProbeResult};

/// A proxy that was just started may take so long to answer for the first time.
const STARTUP_GRACE: Duration = Duration::from_secs(10);
/// An event loop that is later than this is in trouble.
const MAX_LAG_MS: u64 = 2_000;

impl Decision<'_> {
    pub(super) fn healthy(&mut self, health: &HealthReading) {
        let phase = self.state.life.phase;
        if matches!(phase, ProxyPhase::Stopped | ProxyPhase::Held) {
            return;
        }
        if self.is_late(health.pid) {
            return;
        }
        if phase == ProxyPhase::Down {
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
        self.enter(ProxyPhase::Up);
        self.state.life.health = health.clone();
        self.state.counters.begin_again(|pattern| {
            let check = pattern.fact(Fact::Check);
            (pattern.fault == Fault::ProxyUnresponsive && check.is_none())
                || (pattern.fault == Fault::ProxyGone && check == Some("health"))
        });
        // The next start is a plain one then; what runs in safe mode goes on in it.
        self.state.restarts.healthy(self.now);
        self.look_at_memory(health);
        if health.loop_lag_ms > MAX_LAG_MS {
            let mut detection =
                Detection::new(Pattern::new(Fault::ProxyUnresponsive).with(Fact::Check, "lag"));
            detection.what = Some(format!("the proxy answers {} ms late", health.loop_lag_ms));
            detection.run = Some("latimer-watchdog upgrade".to_owned());
            self.detected(&detection);
        }
    }

    /// An answer that was read before the process ended, and is heard after.
    fn is_late(&self, pid: u32) -> bool {
        let life = &self.state.life;
        let unnamed = pid == 0 && life.phase == ProxyPhase::Down && life.pid.is_none();
        let from_before = pid > 0 && life.answered == Some(pid) && self.now.since(life.since) < STARTUP_GRACE;
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

    fn look_at_memory(&mut self, health: &HealthReading) {
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
            let Some(left) = reaches.filter(|left| *left <= TREND_HORIZON) else { return };
            let minutes = left.as_secs() / 60;
            (
                "slope",
                format!(
                    "the proxy's memory grows steadily and reaches {} MiB in {minutes} minutes",
                    mib(limit)
                ),
            )
        };
        let mut detection = Detection::new(Pattern::new(Fault::ProxyMemoryHigh).with(Fact::Check, check));
        detection.what = Some(what);
        self.detected(&detection);
    }

    pub(super) fn missed(&mut self, miss: &MissedCheck) {
        if !self.is_watched() {
            return;
        }
        self.state.life.missed = self.state.life.missed.saturating_add(1);
        self.state.restarts.unhealthy();
        let pattern = match miss.why {
            // Nobody listens: the process of an adopted proxy is gone.
            MissReason::Refused => Pattern::new(Fault::ProxyGone).with(Fact::Check, "health"),
            _ => Pattern::new(Fault::ProxyUnresponsive),
        };
        let missed = self.state.life.missed;
        let mut detection = Detection::new(pattern);
        detection.is_dead = true;
        detection.what =
            Some(format!("the proxy did not answer {missed} times in a row ({})", miss.why.name()));
        self.detected(&detection);
    }

    /// It runs, and had its time to come up.
    fn is_watched(&self) -> bool {
        let life = &self.state.life;
        match life.phase {
            ProxyPhase::Up => true,
            ProxyPhase::Starting => self.now.since(life.since) >= STARTUP_GRACE,
            ProxyPhase::Unknown | ProxyPhase::Down | ProxyPhase::Stopped | ProxyPhase::Held => false,
        }
    }

    pub(super) fn probe_ok(&mut self, probe: &ProbeResult) {
        self.state.latency.push(self.now, probe.first_event_ms);
        let slower = self.state.latency.trend().and_then(|trend| trend.reaches(MAX_LAG_MS));
        if let Some(left) = slower.filter(|left| *left <= TREND_HORIZON) {
            let minutes = left.as_secs() / 60;
            let mut detection =
                Detection::new(Pattern::new(Fault::ProxyUnresponsive).with(Fact::Check, "latency"));
            detection.what = Some(format!(
                "turns begin later and later; in {minutes} minutes they take {MAX_LAG_MS} ms to begin"
            ));
            detection.run = Some("latimer-watchdog upgrade".to_owned());
            self.detected(&detection);
        }
        self.state.counters.begin_again(|pattern| {
            pattern.fault == Fault::ProxyUnresponsive && pattern.fact(Fact::Check) == Some("probe")
        });
        if let Some((detection, _)) = self.state.probing.take() {
            let why = "a real turn works, and the client tries again by itself".to_owned();
            self.order(Some(detection.fault()), Proposer::Rule, why, Action::Ignore);
        }
    }

    pub(super) fn probe_failed(&mut self, miss: &MissedCheck) {
        if !self.is_watched() {
            return;
        }
        self.state.restarts.unhealthy();
        let what = format!("a real turn through the proxy failed ({})", miss.why.name());
        let asked_for = self.state.probing.take().filter(|(detection, _)| {
            matches!(detection.fault(), Fault::ClientStreamLost | Fault::ClientReconnecting)
        });
        // Nobody asked: it is alive but dead. After a lost stream it is the client's fault or ours, and can wait for a cancel.
        let fault = asked_for.as_ref().map_or(Fault::ProxyUnresponsive, |(asked_for, _)| asked_for.fault());
        let mut detection = Detection::new(Pattern::new(fault).with(Fact::Check, "probe"));
        detection.is_dead = asked_for.is_none();
        detection.what = Some(what);
        self.detected(&detection);
    }
}
