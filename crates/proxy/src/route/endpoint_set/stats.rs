//! What happened on an endpoint: turns, failures, repairs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use latimer_protocol::failure::{Failure, FailureKind};

use super::RouteTarget;
use crate::route::rest::named_wait;
use crate::sync::lock;
use crate::text;

/// Characters of a failure's words that are remembered.
const MAX_WORDS: usize = 400;

/// How often an endpoint is asked, in seconds, whose provider named a long time: it may have changed its mind, or somebody paid.
const PROBE_INTERVAL: u64 = 60;

/// A refusal that named a time.
#[derive(Debug, Clone)]
pub struct AskedToWait {
    /// What kind of refusal it was.
    pub kind: FailureKind,
    /// What it said.
    pub words: String,
}

/// How a turn ended on an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnOutcome {
    /// The answer came to its end.
    Succeeded,
    /// It did not.
    Failed(FailureKind),
    /// Nobody wanted the rest of it.
    ClientLeft,
}

/// What happened on an endpoint.
#[derive(Default)]
pub struct Stats {
    pub(super) open: AtomicU64,
    pub(super) total: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) last_failure: Mutex<Option<&'static str>>,
    /// What the last failure said, and when, in Unix seconds.
    pub(super) last_words: Mutex<Option<(String, u64)>>,
    pub(super) repairs: Mutex<BTreeMap<String, u64>>,
    asked_to_wait: Mutex<Option<AskedToWait>>,
    /// When a turn last looked whether a long time still holds, in Unix seconds.
    looked: AtomicU64,
}

impl Stats {
    /// A turn began.
    fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    /// So much of an answer by this model was repaired.
    fn repaired(&self, model: &str, repairs: u32) {
        if repairs > 0 {
            *lock(&self.repairs).entry(model.to_owned()).or_default() += u64::from(repairs);
        }
    }

    /// What a failure said, whether or not the turn came to an end by it.
    pub fn note(&self, failure: &Failure, unix: u64) {
        let words = text::shown(&failure.message, MAX_WORDS);
        if named_wait(failure).is_some() {
            self.looked.store(unix, Ordering::Relaxed);
            *lock(&self.asked_to_wait) = Some(AskedToWait { kind: failure.kind, words: words.clone() });
        }
        *lock(&self.last_words) = Some((words, unix));
    }

    /// The last refusal that named a time.
    pub fn asked_to_wait(&self) -> Option<AskedToWait> {
        lock(&self.asked_to_wait).clone()
    }

    /// Whether one turn may ask although the provider named a time that is not over: one a minute may.
    pub fn may_look(&self, unix: u64) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        unix.saturating_sub(looked) >= PROBE_INTERVAL
            && self.looked.compare_exchange(looked, unix, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// A turn ended.
    fn end(&self, outcome: TurnOutcome) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            TurnOutcome::Failed(kind) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                *lock(&self.last_failure) = Some(kind.code());
            }
            TurnOutcome::Succeeded => {
                *lock(&self.last_failure) = None;
                *lock(&self.last_words) = None;
            }
            TurnOutcome::ClientLeft => {}
        }
    }
}

/// Counts a turn as open on a target while it lives. Dropped without an end, it counts as left by the client.
pub struct OpenCount {
    stats: Arc<Stats>,
    model: String,
    /// How much of its answers was repaired.
    pub repairs: u32,
    outcome: TurnOutcome,
}

impl OpenCount {
    /// The turn begins on this target.
    pub fn new(target: &RouteTarget) -> Self {
        let stats = Arc::clone(&target.runtime.stats);
        stats.begin();
        Self { stats, model: target.model.clone(), repairs: 0, outcome: TurnOutcome::ClientLeft }
    }

    /// It ended so.
    pub fn end(mut self, outcome: TurnOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.stats.end(self.outcome);
        self.stats.repaired(&self.model, self.repairs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_the_failure_before_it_and_a_client_that_left_does_not() {
        let stats = Stats::default();
        let words = || lock(&stats.last_words).clone();
        let end = |outcome| {
            stats.begin();
            assert_eq!(stats.open.load(Ordering::Relaxed), 1);
            stats.end(outcome);
        };
        end(TurnOutcome::Failed(FailureKind::Timeout));
        stats.note(&Failure::new(FailureKind::Timeout, "x".repeat(MAX_WORDS * 2)), 7);
        end(TurnOutcome::ClientLeft);
        assert_eq!(*lock(&stats.last_failure), Some("timeout"));
        let (said, at) = words().expect("what the failure said");
        assert!(at == 7 && said.starts_with("xxx") && said.chars().count() <= MAX_WORDS + 1, "{said}");
        end(TurnOutcome::Succeeded);
        assert_eq!((*lock(&stats.last_failure), words()), (None, None));
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((count(&stats.total), count(&stats.failed), count(&stats.open)), (3, 1, 0));
    }
}
