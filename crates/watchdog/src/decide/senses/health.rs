//! How the proxy is: its answers, the checks that miss, real turns, and where its numbers lead.

use latimer_protocol::status::Fault;

use super::super::State;
use super::super::clock::Clocks;
use super::super::detection::Detection;
use super::super::life::ProxyPhase;
use super::TREND_HORIZON;
use crate::action::{Action, Proposer};
use crate::pattern::{Fact, Pattern};
use crate::signal::{HealthReading, MissReason, MissedCheck, ProbeResult};

/// An event loop that is later than this is in trouble, and so is a turn that takes so long to begin, in milliseconds.
const MAX_LAG_MS: u64 = 2_000;

/// The proxy answered. One that is not expected to be there, or is about to be ended, is not heard.
pub(super) fn answered(state: &mut State, health: &HealthReading, at: Clocks) -> Vec<Detection> {
    if state.life.is_absent() || state.life.is_late(health.pid, at) {
        return Vec::new();
    }
    if state.life.phase() == ProxyPhase::Down {
        let is_start = |action: &Action| matches!(action, Action::Restart { .. } | Action::Start { .. });
        if state.orders.is_in_flight(is_start) {
            return Vec::new();
        }
        state.orders.drop_starts();
    }
    if state.life.answered_by(health.pid) {
        state.senses.forget_trends();
    }
    state.life.healthy(health, at);
    state.senses.counters.begin_again(|pattern| {
        let check = pattern.fact(Fact::Check);
        (pattern.fault == Fault::ProxyUnresponsive && check.is_none())
            || (pattern.fault == Fault::ProxyGone && check == Some("health"))
    });
    // The next start is a plain one then; what runs in safe mode goes on in it.
    state.guards.healthy(at);
    [memory(state, health, at), lag(health)].into_iter().flatten().collect()
}

/// Memory over the limit, or on its way there.
fn memory(state: &mut State, health: &HealthReading, at: Clocks) -> Option<Detection> {
    if health.memory_bytes == 0 {
        return None;
    }
    state.senses.memory.push(at.now, health.memory_bytes);
    let limit = state.settings.memory_limit;
    let mib = |bytes: u64| bytes >> 20;
    let (check, what) = if health.memory_bytes > limit {
        let (held, limit) = (mib(health.memory_bytes), mib(limit));
        ("memory", format!("the proxy holds {held} MiB, over the limit of {limit} MiB"))
    } else {
        let reaches = state.senses.memory.trend().and_then(|trend| trend.reaches(limit));
        let minutes = reaches.filter(|left| *left <= TREND_HORIZON)?.as_secs() / 60;
        let limit = mib(limit);
        ("slope", format!("the proxy's memory grows steadily and reaches {limit} MiB in {minutes} minutes"))
    };
    let mut detection = Detection::new(Pattern::new(Fault::ProxyMemoryHigh).with(Fact::Check, check));
    detection.what = Some(what);
    Some(detection)
}

/// An event loop that is late.
fn lag(health: &HealthReading) -> Option<Detection> {
    if health.loop_lag_ms <= MAX_LAG_MS {
        return None;
    }
    let mut detection = Detection::new(Pattern::new(Fault::ProxyUnresponsive).with(Fact::Check, "lag"));
    detection.what = Some(format!("the proxy answers {} ms late", health.loop_lag_ms));
    detection.run = Some("latimer-watchdog upgrade".to_owned());
    Some(detection)
}

/// The health document could not be read.
pub(super) fn missed(state: &mut State, miss: &MissedCheck, at: Clocks) -> Option<Detection> {
    if !state.life.is_watched(at) {
        return None;
    }
    let missed = state.life.miss();
    state.guards.unhealthy();
    let pattern = match miss.why {
        // Nobody listens: the process of an adopted proxy is gone.
        MissReason::Refused => Pattern::new(Fault::ProxyGone).with(Fact::Check, "health"),
        _ => Pattern::new(Fault::ProxyUnresponsive),
    };
    let mut detection = Detection::new(pattern);
    detection.is_dead = true;
    detection.what = Some(format!("the proxy did not answer {missed} times in a row ({})", miss.why.name()));
    Some(detection)
}

/// A real turn worked. Turns that begin later and later are a fault before they are too late.
pub(super) fn probe_ok(state: &mut State, probe: &ProbeResult, at: Clocks) -> Option<Detection> {
    let senses = &mut state.senses;
    senses.latency.push(at.now, probe.first_event_ms);
    senses.counters.begin_again(|pattern| {
        pattern.fault == Fault::ProxyUnresponsive && pattern.fact(Fact::Check) == Some("probe")
    });
    let reaches = senses.latency.trend().and_then(|trend| trend.reaches(MAX_LAG_MS));
    if let Some(probe) = senses.open_probe.take() {
        let why = "a real turn works, and the client tries again by itself".to_owned();
        state.orders.give(Some(probe.detection.fault()), Proposer::Rule, why, Action::Ignore);
    }
    let minutes = reaches.filter(|left| *left <= TREND_HORIZON)?.as_secs() / 60;
    let mut detection = Detection::new(Pattern::new(Fault::ProxyUnresponsive).with(Fact::Check, "latency"));
    detection.what =
        Some(format!("turns begin later and later; in {minutes} minutes they take {MAX_LAG_MS} ms to begin"));
    detection.run = Some("latimer-watchdog upgrade".to_owned());
    Some(detection)
}

/// A real turn failed, although the health document may be fine.
pub(super) fn probe_failed(state: &mut State, miss: &MissedCheck, at: Clocks) -> Option<Detection> {
    if !state.life.is_watched(at) {
        return None;
    }
    state.guards.unhealthy();
    let asked_for = state.senses.open_probe.take().map(|probe| probe.detection.fault());
    let asked_for = asked_for.filter(|it| matches!(it, Fault::ClientStreamLost | Fault::ClientReconnecting));
    // Nobody asked: it is alive but dead. After a lost stream it is the client's fault or ours, and can wait for a cancel.
    let fault = asked_for.unwrap_or(Fault::ProxyUnresponsive);
    let mut detection = Detection::new(Pattern::new(fault).with(Fact::Check, "probe"));
    detection.is_dead = asked_for.is_none();
    detection.what = Some(format!("a real turn through the proxy failed ({})", miss.why.name()));
    Some(detection)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{AT, state, up};
    use super::*;

    fn reading(memory_bytes: u64, loop_lag_ms: u64) -> HealthReading {
        HealthReading { pid: 1, memory_bytes, loop_lag_ms, ..HealthReading::default() }
    }

    fn patterns(detections: &[Detection]) -> Vec<String> {
        detections.iter().map(|detection| detection.pattern.to_string()).collect()
    }

    #[test]
    fn memory_and_lag_are_compared_with_their_limits() {
        let mut state = up();
        assert_eq!(answered(&mut state, &reading(1 << 30, 2000), AT), []);
        let found = answered(&mut state, &reading((1 << 30) + 1, 2001), AT);
        assert_eq!(patterns(&found), ["A3 check=memory", "A4 check=lag"]);
    }

    #[test]
    fn a_proxy_that_is_not_expected_is_not_heard() {
        let mut state = state();
        state.life.enter(ProxyPhase::Stopped, AT);
        assert_eq!(answered(&mut state, &reading(2 << 30, 9000), AT), []);
        assert_eq!(state.life.phase(), ProxyPhase::Stopped);
        let miss = MissedCheck { why: MissReason::Timeout, waited_ms: 1 };
        assert_eq!(missed(&mut state, &miss, AT), None);
        assert_eq!(probe_failed(&mut state, &miss, AT), None);
    }

    #[test]
    fn a_failed_turn_is_the_faults_it_was_asked_for() {
        let miss = MissedCheck { why: MissReason::Timeout, waited_ms: 1 };
        for (settled, want, is_dead) in [
            (None, "A4 check=probe", true),
            (Some(Fault::ClientStreamLost), "D3 check=probe", false),
            (Some(Fault::ClientReconnecting), "D6 check=probe", false),
            (Some(Fault::ProxyGone), "A4 check=probe", true),
        ] {
            let mut state = up();
            if let Some(fault) = settled {
                state.senses.open_probe(&Detection::of(fault), AT);
            }
            let detection = probe_failed(&mut state, &miss, AT).expect("a fault");
            assert_eq!((detection.pattern.to_string().as_str(), detection.is_dead), (want, is_dead));
        }
    }

    #[test]
    fn nobody_who_listens_is_another_fault_than_no_answer() {
        let mut state = up();
        let miss = |why| MissedCheck { why, waited_ms: 1 };
        let refused = missed(&mut state, &miss(MissReason::Refused), AT).expect("a fault");
        let late = missed(&mut state, &miss(MissReason::Timeout), AT).expect("a fault");
        assert_eq!(patterns(&[refused, late.clone()]), ["A1 check=health", "A4"]);
        assert_eq!(late.what.as_deref(), Some("the proxy did not answer 2 times in a row (timeout)"));
    }

    #[test]
    fn a_turn_that_works_settles_the_question() {
        let mut state = up();
        state.senses.open_probe(&Detection::of(Fault::ClientStreamLost), AT);
        assert_eq!(probe_ok(&mut state, &ProbeResult::default(), AT), None);
        let given = state.orders.take_given();
        assert!(matches!(given.as_slice(), [order] if order.action == Action::Ignore), "{given:?}");
        assert_eq!(probe_ok(&mut state, &ProbeResult::default(), AT), None);
        assert_eq!(state.orders.take_given(), []);
    }
}
