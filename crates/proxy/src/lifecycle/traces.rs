//! The last turns, remembered so that a person can ask what happened in one. In memory only: here a note holds the words that a model
//! wrote, and nothing of a conversation reaches a disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use latimer_protocol::status::{Trace, TurnReport};

use crate::sync::lock;

/// Turns that are remembered.
const MAX_TURNS: usize = 256;
/// Notes of one turn that are kept.
pub const MAX_NOTES: usize = 64;

/// The last turns, oldest first.
#[derive(Debug, Default)]
pub struct Traces {
    turns: Mutex<VecDeque<Arc<TurnReport>>>,
}

impl Traces {
    /// Remembers a turn that is over, and forgets the oldest one of too many.
    pub fn push(&self, report: Arc<TurnReport>) {
        let mut turns = lock(&self.turns);
        if turns.len() == MAX_TURNS {
            turns.pop_front();
        }
        turns.push_back(report);
    }

    /// All of them, the newest first.
    pub fn reports(&self) -> Vec<Arc<TurnReport>> {
        lock(&self.turns).iter().rev().cloned().collect()
    }

    /// One of them.
    pub fn report(&self, turn: &str) -> Option<Arc<TurnReport>> {
        lock(&self.turns).iter().rev().find(|report| report.id == turn).cloned()
    }

    /// Those that may be seen as JSON, the newest first.
    pub fn list(&self, is_seen: impl Fn(&TurnReport) -> bool) -> String {
        let reports = self.reports();
        let turns: Vec<Trace> =
            reports.iter().filter(|report| is_seen(report)).map(|report| Trace::from(&**report)).collect();
        serde_json::json!({ "object": "list", "data": turns }).to_string()
    }

    /// One of them as JSON, if it may be seen.
    pub fn one(&self, turn: &str, is_seen: impl Fn(&TurnReport) -> bool) -> Option<String> {
        let report = self.report(turn).filter(|report| is_seen(report))?;
        serde_json::to_string(&Trace::from(&*report)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_turns_are_forgotten() {
        let traces = Traces::default();
        for number in 0..=MAX_TURNS {
            traces.push(Arc::new(TurnReport { id: format!("t{number}"), ..TurnReport::default() }));
        }
        assert_eq!(traces.one("t0", |_| true), None);
        assert!(traces.one("t1", |_| true).is_some_and(|trace| trace.contains("\"turn\":\"t1\"")));
        let list: serde_json::Value = serde_json::from_str(&traces.list(|_| true)).expect("JSON");
        assert_eq!(list["data"][0]["turn"], format!("t{MAX_TURNS}"));
    }
}
