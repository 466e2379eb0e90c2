//! How one model of one endpoint is doing: latency, failures, cooldown, circuit breaker. Pure: `now` comes in.

use std::time::{Duration, Instant};

use latimer_protocol::failure::{Blame, Failure, FailureKind};
use serde::{Deserialize, Serialize};

use super::rest::{Rest, named_wait};
use crate::clock::Clocks;

/// The weight of the newest latency in the average.
const LATENCY_WEIGHT: f64 = 0.25;
/// Failures in a row that open the circuit.
const MAX_FAILURES: u32 = 3;
/// How long the circuit stays open.
const OPEN_TIME: Duration = Duration::from_secs(60);
/// How long a limit holds that names no time.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// No limit is believed for longer; a provider that names a week may have changed its mind tomorrow.
const MAX_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What is known of one model of one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Health {
    /// Seconds to the first event, a moving average.
    latency: Option<f64>,
    /// Failures in a row.
    failures: u32,
    open_until: Option<Instant>,
    limited_until: Option<Instant>,
    /// Until when the provider itself asked for no requests.
    named_until: Option<Instant>,
}

/// [`Health`] in a file: times as Unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthRecord {
    latency: Option<f64>,
    failures: u32,
    open_until: Option<u64>,
    limited_until: Option<u64>,
    named_until: Option<u64>,
}

impl Health {
    /// An answer began after so long.
    pub fn succeeded(&mut self, latency: Duration) {
        let new = latency.as_secs_f64();
        self.latency = Some(self.latency.map_or(new, |old| old + LATENCY_WEIGHT * (new - old)));
        self.failures = 0;
        self.open_until = None;
        self.limited_until = None;
        self.named_until = None;
    }

    /// A turn failed. What the client is to blame for says nothing about the endpoint.
    pub fn failed(&mut self, failure: &Failure, now: Instant) {
        if failure.blame() == Blame::Client || failure.blame() == Blame::Ours {
            return;
        }
        let named = named_wait(failure).map(|named| named.min(MAX_LIMIT));
        if let Some(named) = named {
            self.named_until = now.checked_add(named);
        }
        if matches!(
            failure.kind,
            FailureKind::RateLimited
                | FailureKind::ConcurrencyLimited
                | FailureKind::WindowExhausted
                | FailureKind::QuotaExhausted
        ) {
            let rest = failure.retry_after.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
            self.limited_until = now.checked_add(rest);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            // One turn tries again when the time is over; until it succeeds, one more failure opens it again.
            self.failures = MAX_FAILURES - 1;
            self.open_until = now.checked_add(OPEN_TIME);
        }
    }

    /// Whether a turn may go here.
    pub fn is_ready(&self, now: Instant) -> bool {
        !self.is_open(now) && !self.is_limited(now)
    }

    /// Whether the circuit is open: it failed too often in a row.
    pub fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| until > now)
    }

    /// Why no turn goes here for a while, if that is so.
    pub fn rest(&self, now: Instant) -> Option<Rest> {
        let limit = self.limited_until.max(self.named_until);
        let limit = limit.map(|until| Rest { until, why: "the provider's limit holds" });
        let open = self.open_until.map(|until| Rest { until, why: "it failed several times in a row" });
        limit.into_iter().chain(open).filter(|rest| rest.until > now).max_by_key(|rest| rest.until)
    }

    /// Until when the provider itself asked for no requests, if that is not over.
    pub fn named_rest(&self, now: Instant) -> Option<Instant> {
        self.named_until.filter(|until| *until > now)
    }

    /// Whether a limit holds.
    pub fn is_limited(&self, now: Instant) -> bool {
        self.limited_until.max(self.named_until).is_some_and(|until| until > now)
    }

    /// Lower is better.
    pub fn score(&self, priority: u32, now: Instant) -> f64 {
        if self.is_open(now) {
            return 1_000_000.0;
        }
        let latency = (self.latency.unwrap_or(0.0) * 5.0).min(50.0);
        let limited = if self.is_limited(now) { 500.0 } else { 0.0 };
        f64::from(priority) + latency + f64::from(self.failures) * 20.0 + limited
    }

    /// Whether other nodes have to know of a change: of a rest, or of its end. How fast it answers each of them sees itself.
    pub fn differs_for_others(&self, before: &Self) -> bool {
        Self { latency: None, ..*self } != Self { latency: None, ..*before }
    }

    /// Takes up what another node saw.
    pub fn hear(&mut self, told: Self) {
        *self = Self { latency: self.latency, ..told };
    }

    /// For a file.
    pub fn save(&self, at: Clocks) -> HealthRecord {
        HealthRecord {
            latency: self.latency,
            failures: self.failures,
            open_until: at.to_unix(self.open_until),
            limited_until: at.to_unix(self.limited_until),
            named_until: at.to_unix(self.named_until),
        }
    }

    /// From a file; nonsense in it counts for nothing.
    pub fn load(saved: &HealthRecord, at: Clocks) -> Self {
        Self {
            latency: saved.latency.filter(|latency| (0.0..86_400.0).contains(latency)),
            failures: saved.failures.min(MAX_FAILURES - 1),
            open_until: at.from_unix(saved.open_until),
            limited_until: at.from_unix(saved.limited_until),
            named_until: at.from_unix(saved.named_until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn broken() -> Failure {
        Failure::new(FailureKind::UpstreamError, "broken")
    }

    #[test]
    fn the_circuit_opens_after_three_failures_and_tries_once_a_minute() {
        let now = clock::now();
        let mut health = Health::default();
        health.failed(&broken(), now);
        health.failed(&broken(), now);
        assert!(health.is_ready(now));
        health.failed(&broken(), now);
        assert!(!health.is_ready(now) && health.is_ready(now + OPEN_TIME));
        health.failed(&broken(), now + OPEN_TIME);
        assert!(!health.is_ready(now + OPEN_TIME), "one more failure is enough");
        health.succeeded(Duration::from_secs(1));
        assert!(health.is_ready(now + OPEN_TIME));
        health.failed(&Failure::new(FailureKind::BadRequest, "yours"), now);
        assert_eq!(health.failures, 0, "the client's fault is not the endpoint's");
    }

    #[test]
    fn limits_hold_as_long_as_the_provider_says() {
        let now = clock::now();
        let mut health = Health::default();
        let wait = Duration::from_secs(600);
        health.failed(
            &Failure { retry_after: Some(wait), ..Failure::new(FailureKind::WindowExhausted, "x") },
            now,
        );
        assert!(!health.is_ready(now + wait / 2) && health.is_ready(now + wait));
        assert!(!health.is_open(now), "a limit is no fault");
    }

    #[test]
    fn scores_are_ordered() {
        let now = clock::now();
        let mut fast = Health::default();
        fast.succeeded(Duration::from_millis(300));
        let mut slow = Health::default();
        slow.succeeded(Duration::from_secs(4));
        let mut failing = fast;
        failing.failed(&broken(), now);
        let mut limited = fast;
        limited.failed(&Failure::new(FailureKind::RateLimited, "x"), now);
        let scores = [fast, slow, failing, limited].map(|health| health.score(1, now));
        assert!(scores.is_sorted(), "{scores:?}");
        assert!(fast.score(1, now) < fast.score(2, now));
    }

    #[test]
    fn it_survives_a_restart() {
        let at = Clocks { now: clock::now(), unix: 1_000_000 };
        let mut health = Health::default();
        health.succeeded(Duration::from_secs(2));
        for _ in 0..MAX_FAILURES {
            health.failed(&broken(), at.now);
        }
        let saved = health.save(at);
        let text = serde_json::to_string(&saved).expect("JSON");
        let later = Clocks { now: at.now + Duration::from_secs(30), unix: at.unix + 30 };
        let back = Health::load(&serde_json::from_str(&text).expect("JSON"), later);
        assert!(!back.is_ready(later.now) && back.is_ready(at.now + OPEN_TIME));
        assert_eq!(back.latency, Some(2.0));
        let nonsense =
            HealthRecord { latency: Some(-1.0), open_until: Some(u64::MAX), ..HealthRecord::default() };
        assert_eq!(Health::load(&nonsense, at), Health::default());
    }
}
