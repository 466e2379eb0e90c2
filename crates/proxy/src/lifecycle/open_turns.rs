//! The turns of this process: how many are open, how many there were, and what is remembered of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::status::TurnReport;

use super::run_name::RunName;
use super::traces::Traces;
use crate::clock;
use crate::running::{RunningTurn, RunningTurns};
use crate::sync::lock;

/// Warnings that are remembered.
const MAX_WARNINGS: usize = 20;

/// Counts turns.
pub struct OpenTurns {
    /// Before the number of each turn in its name.
    run: RunName,
    created: Instant,
    /// Milliseconds from `created` to the end of the last turn.
    last_end: AtomicU64,
    open: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    /// Those that are under way.
    pub running: RunningTurns,
    /// What happened in the last turns.
    pub traces: Traces,
    /// What a person should know, the newest last.
    warnings: Mutex<VecDeque<String>>,
}

/// One open turn; counted as open until it is dropped.
pub struct OpenTurn {
    turns: Arc<OpenTurns>,
    number: u64,
    /// What others see of it.
    pub running: Arc<RunningTurn>,
}

impl OpenTurns {
    /// A count that begins now, at nothing. The name of the run is before the number of each turn.
    pub fn new(run: RunName) -> Self {
        Self {
            run,
            running: RunningTurns::default(),
            created: clock::now(),
            last_end: AtomicU64::new(0),
            open: AtomicU64::new(0),
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            traces: Traces::default(),
            warnings: Mutex::default(),
        }
    }

    fn warn(&self, turn: &str, warning: &str) {
        let mut warnings = lock(&self.warnings);
        if warnings.len() == MAX_WARNINGS {
            warnings.pop_front();
        }
        warnings.push_back(format!("{turn}: {warning}"));
    }

    /// The last warnings, the newest last, each behind the name of its turn.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).iter().cloned().collect()
    }

    /// How long no turn was open; zero while one is.
    pub fn idle_for(&self) -> Duration {
        if self.open() > 0 {
            return Duration::ZERO;
        }
        let last_end = Duration::from_millis(self.last_end.load(Ordering::Relaxed));
        self.created.elapsed().saturating_sub(last_end)
    }

    /// Counts one more turn, open until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> OpenTurn {
        self.open.fetch_add(1, Ordering::SeqCst);
        let number = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        let running = self.running.add(number, self.run.turn(number));
        OpenTurn { turns: Arc::clone(self), number, running }
    }

    /// How many turns are open now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::SeqCst)
    }

    /// How many turns began since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many turns failed since the start.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl OpenTurn {
    /// The turn's name in the log, such as `t7`, or `t12-7` in the twelfth run.
    pub fn id(&self) -> String {
        self.running.id().to_owned()
    }

    /// Remembers what happened in the turn.
    pub fn record(&self, report: Arc<TurnReport>) {
        self.turns.traces.push(report);
    }

    /// Remembers a warning for the health document.
    pub fn warn(&self, warning: &str) {
        self.turns.warn(&self.id(), warning);
    }

    /// Counts the turn as failed.
    pub fn count_failure(&self) {
        self.turns.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for OpenTurns {
    fn default() -> Self {
        Self::new(RunName::default())
    }
}

impl Drop for OpenTurn {
    fn drop(&mut self) {
        let since = u64::try_from(self.turns.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turns.last_end.store(since, Ordering::Relaxed);
        self.turns.open.fetch_sub(1, Ordering::SeqCst);
        self.turns.running.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_open_until_they_are_dropped() {
        let turns = Arc::new(OpenTurns::default());
        let (one, two) = (turns.begin(), turns.begin());
        assert_eq!((one.id(), two.id()), ("t1".to_owned(), "t2".to_owned()));
        one.count_failure();
        assert_eq!((turns.open(), turns.total(), turns.failed()), (2, 2, 1));
        assert_eq!(turns.idle_for(), Duration::ZERO);
        drop((one, two));
        assert_eq!((turns.open(), turns.total(), turns.failed()), (0, 2, 1));
    }

    #[test]
    fn old_warnings_are_forgotten() {
        let turns = Arc::new(OpenTurns::default());
        let turn = turns.begin();
        for number in 0..=MAX_WARNINGS {
            turn.warn(&number.to_string());
        }
        let warnings = turns.warnings();
        assert_eq!(warnings.len(), MAX_WARNINGS);
        assert_eq!(warnings.first().map(String::as_str), Some("t1: 1"));
        assert_eq!(warnings.last(), Some(&format!("t1: {MAX_WARNINGS}")));
    }
}
