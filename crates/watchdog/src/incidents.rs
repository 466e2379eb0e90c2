//! Tier 2: what happened before, what was done about it, and whether that helped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::proposer::Proposer;
use crate::rules::Remedy;
use crate::time::Time;

/// The most entries; the least recently used leaves.
pub const MAX_INCIDENTS: usize = 500;
/// A fix is applied when it helped in more than this share of its trials, in per cent …
pub const PROVEN_PERCENT: u64 = 70;
/// … and was tried at least so often.
pub const MIN_TRIALS: u64 = 3;

/// What is known about one remedy for one pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What was tried.
    pub remedy: Remedy,
    /// Who proposed it first.
    pub source: Proposer,
    /// How often the fault stayed away afterwards.
    pub successes: u64,
    /// How often it came back, or the remedy could not be carried out.
    pub failures: u64,
}

impl Fix {
    /// It helped often enough to be applied without asking anybody.
    pub fn is_proven(&self) -> bool {
        // In wide numbers, so that a count from a damaged file cannot overflow.
        let (successes, failures) = (u128::from(self.successes), u128::from(self.failures));
        let trials = successes + failures;
        trials >= u128::from(MIN_TRIALS) && successes * 100 > trials * u128::from(PROVEN_PERCENT)
    }

    /// Successes in a thousand trials; 0 without any.
    pub fn rate_permille(&self) -> u64 {
        let trials = u128::from(self.successes) + u128::from(self.failures);
        let rate = (u128::from(self.successes) * 1000).checked_div(trials).unwrap_or(0);
        u64::try_from(rate).unwrap_or(1000)
    }
}

/// One pattern that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number, for people; never used twice.
    pub id: u64,
    /// The fault and its facts.
    #[serde(flatten)]
    pub pattern: Pattern,
    /// How often it was seen.
    pub seen: u64,
    /// When it was first seen.
    pub first: Time,
    /// When it was last seen.
    pub last: Time,
    /// What was tried, each remedy once.
    #[serde(default)]
    pub fixes: Vec<Fix>,
    /// How often a model was asked about it.
    #[serde(default)]
    pub questions: u64,
    /// Tokens of those questions and their answers.
    #[serde(default)]
    pub tokens: u64,
    /// What they cost, in millionths of a US dollar; where the endpoint says no price, as the monthly budget counts it.
    #[serde(default)]
    pub cost_micros: u64,
    /// The order of use; the smallest leaves first. Counted, because clocks are set back.
    #[serde(default)]
    used: u64,
}

impl Incident {
    /// The fix that would be applied for it.
    pub fn proven(&self) -> Option<&Fix> {
        self.fixes.iter().filter(|fix| fix.is_proven()).max_by_key(|fix| (fix.rate_permille(), fix.successes))
    }
}

/// What a question to a model took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Of the question and the answer.
    pub tokens: u64,
    /// In millionths of a US dollar.
    pub cost_micros: u64,
}

/// The store: at most [`MAX_INCIDENTS`] patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incidents {
    entries: BTreeMap<Pattern, Incident>,
    last_id: u64,
    uses: u64,
    /// Raised by every change; tells whether the file is behind.
    changes: u64,
}

impl Incidents {
    /// A pattern was seen. Gives its number.
    pub fn seen(&mut self, pattern: &Pattern, now: Time) -> u64 {
        let entry = self.entry(pattern, now);
        entry.seen = entry.seen.saturating_add(1);
        entry.last = entry.last.max(now);
        entry.id
    }

    /// A remedy was tried for it, and helped or not.
    pub fn tried(&mut self, pattern: &Pattern, remedy: Remedy, by: Proposer, helped: bool, now: Time) {
        let entry = self.entry(pattern, now);
        let place = entry.fixes.iter().position(|fix| fix.remedy == remedy).unwrap_or_else(|| {
            entry.fixes.push(Fix { remedy, source: by, successes: 0, failures: 0 });
            entry.fixes.len() - 1
        });
        let fix = &mut entry.fixes[place];
        let count = if helped { &mut fix.successes } else { &mut fix.failures };
        *count = count.saturating_add(1);
    }

    /// A model was asked about it.
    pub fn asked(&mut self, pattern: &Pattern, question: Question, now: Time) {
        let entry = self.entry(pattern, now);
        entry.questions = entry.questions.saturating_add(1);
        entry.tokens = entry.tokens.saturating_add(question.tokens);
        entry.cost_micros = entry.cost_micros.saturating_add(question.cost_micros);
    }

    /// What helped before, if it did so often enough.
    pub fn proven(&self, pattern: &Pattern) -> Option<&Fix> {
        self.entries.get(pattern)?.proven()
    }

    /// The entry of a pattern.
    pub fn get(&self, pattern: &Pattern) -> Option<&Incident> {
        self.entries.get(pattern)
    }

    /// The entry of this number.
    pub fn by_id(&self, id: u64) -> Option<&Incident> {
        self.entries.values().find(|entry| entry.id == id)
    }

    /// All entries, the last used first.
    pub fn all(&self) -> Vec<&Incident> {
        let mut all: Vec<_> = self.entries.values().collect();
        all.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A number that grows with every change; what is saved is current while it stands still.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn entry(&mut self, pattern: &Pattern, now: Time) -> &mut Incident {
        self.changes = self.changes.wrapping_add(1);
        self.uses = self.uses.saturating_add(1);
        if !self.entries.contains_key(pattern) {
            self.make_room();
            self.last_id = self.last_id.saturating_add(1);
        }
        let (id, used) = (self.last_id, self.uses);
        let entry = self.entries.entry(pattern.clone()).or_insert_with(|| Incident {
            id,
            pattern: pattern.clone(),
            seen: 0,
            first: now,
            last: now,
            fixes: Vec::new(),
            questions: 0,
            tokens: 0,
            cost_micros: 0,
            used,
        });
        entry.used = used;
        entry
    }

    fn make_room(&mut self) {
        while self.entries.len() >= MAX_INCIDENTS {
            let oldest =
                self.entries.values().min_by_key(|entry| entry.used).map(|entry| entry.pattern.clone());
            match oldest {
                Some(pattern) => self.entries.remove(&pattern),
                None => return,
            };
        }
    }

    /// The highest number that was given; saved, so that no number is used twice.
    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// From what a file held, in whatever order and number.
    pub(crate) fn restore(mut entries: Vec<Incident>, last_id: u64) -> Self {
        entries.sort_by_key(|entry| entry.used);
        let uses = entries.last().map_or(0, |entry| entry.used);
        let highest = entries.iter().map(|entry| entry.id).max().unwrap_or(0);
        let surplus = entries.len().saturating_sub(MAX_INCIDENTS);
        let entries = entries.into_iter().skip(surplus).map(|entry| (entry.pattern.clone(), entry)).collect();
        Self { entries, last_id: last_id.max(highest), uses, changes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Fact;
    use latimer_protocol::status::Fault;

    fn pattern(endpoint: &str) -> Pattern {
        Pattern::new(Fault::ServerError).with(Fact::Endpoint, endpoint)
    }

    #[test]
    fn a_fix_is_proven_by_more_than_seventy_per_cent_of_three_trials() {
        let cases = [
            (0, 0, false),
            (2, 0, false),
            (3, 0, true),
            (2, 1, false),
            (7, 3, false),
            (8, 3, true),
            (3, 1, true),
        ];
        for (successes, failures, want) in cases {
            let fix = Fix { remedy: Remedy::RetryNow, source: Proposer::Rule, successes, failures };
            assert_eq!(fix.is_proven(), want, "{successes} of {}", successes + failures);
        }
        let endless =
            Fix { remedy: Remedy::RetryNow, source: Proposer::Rule, successes: u64::MAX, failures: u64::MAX };
        assert!(!endless.is_proven() && endless.rate_permille() == 500, "counts of a damaged file");
    }

    #[test]
    fn the_best_fix_is_applied() {
        let mut incidents = Incidents::default();
        let pattern = pattern("kimi");
        for _ in 0..4 {
            incidents.tried(&pattern, Remedy::RetryNow, Proposer::Rule, true, Time::ZERO);
            incidents.tried(&pattern, Remedy::Reconnect, Proposer::Model, true, Time::ZERO);
        }
        incidents.tried(&pattern, Remedy::RetryNow, Proposer::Rule, false, Time::ZERO);
        let fix = incidents.proven(&pattern).expect("proven");
        assert_eq!((fix.remedy, fix.source), (Remedy::Reconnect, Proposer::Model));
        for _ in 0..4 {
            incidents.tried(&pattern, Remedy::Reconnect, Proposer::Record, false, Time::ZERO);
        }
        assert_eq!(
            incidents.proven(&pattern).map(|fix| fix.remedy),
            Some(Remedy::RetryNow),
            "a record can be lost"
        );
    }

    #[test]
    fn the_least_recently_used_leaves() {
        let mut incidents = Incidents::default();
        for number in 0..MAX_INCIDENTS {
            incidents.seen(&pattern(&number.to_string()), Time::from_secs(number as u64));
        }
        // Used again, though with an older time: clocks are set back.
        incidents.seen(&pattern("0"), Time::ZERO);
        incidents.seen(&pattern("new"), Time::ZERO);
        assert_eq!(incidents.len(), MAX_INCIDENTS);
        assert!(incidents.get(&pattern("0")).is_some() && incidents.get(&pattern("1")).is_none());
        assert_eq!(incidents.get(&pattern("new")).map(|entry| entry.id), Some(MAX_INCIDENTS as u64 + 1));
        assert_eq!(incidents.all()[0].pattern, pattern("new"));
    }
}
