//! How long each pattern rests after something was tried: longer each time, then only a person helps.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pattern::Pattern;
use crate::rules::Remedy;
use crate::time::Time;

/// The rests, at the least; the row of the table may ask for more. After the last one a person is told.
pub const REST_STEPS: [Duration; 3] =
    [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(300)];
/// A pattern that is not seen for so long begins at the first rest again.
pub const QUIET_PERIOD: Duration = Duration::from_secs(3600);
/// The most patterns that are remembered; the one not seen for the longest time leaves.
pub const MAX_KEYS: usize = 512;
/// The most tries that are listed for a person.
const MAX_TRIES_LISTED: usize = 8;

/// What rests: a remedy for a pattern, and within it what is told apart only for this, such as a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemedyKey {
    /// What it is tried for: the fault and its facts.
    pub pattern: Pattern,
    /// A thread, a process: what rests by itself without being a pattern of its own.
    pub scope: Option<String>,
    /// What is tried.
    pub remedy: Remedy,
}

/// What the back-off says to one more try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It may be tried.
    Try,
    /// It rests until then.
    Resting(Time),
    /// It was tried often enough.
    Exhausted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct BackoffEntry {
    level: usize,
    rests_until: Time,
    told_until: Time,
    seen: Time,
    /// Whether each try helped, where that is known.
    tried: Vec<Option<bool>>,
}

/// The rests of all patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackoffLadder {
    entries: BTreeMap<RemedyKey, BackoffEntry>,
}

impl BackoffLadder {
    /// The pattern was seen: an hour without this makes it a new one.
    pub fn seen(&mut self, pattern: &Pattern, now: Time) {
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| key.pattern == *pattern) {
            if now.since(entry.seen) >= QUIET_PERIOD {
                *entry = BackoffEntry { told_until: entry.told_until, ..BackoffEntry::new(now) };
            }
            entry.seen = now;
        }
    }

    fn entry(&mut self, key: &RemedyKey, now: Time) -> &mut BackoffEntry {
        if self.entries.len() >= MAX_KEYS && !self.entries.contains_key(key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.seen).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        self.entries.entry(key.clone()).or_insert_with(|| BackoffEntry::new(now))
    }

    /// May something be tried for it now?
    pub fn step(&self, key: &RemedyKey, now: Time) -> Step {
        match self.entries.get(key) {
            None => Step::Try,
            Some(entry) if now < entry.rests_until => Step::Resting(entry.rests_until),
            Some(entry) if entry.level >= REST_STEPS.len() => Step::Exhausted,
            Some(_) => Step::Try,
        }
    }

    /// It is tried: it rests at least `least`, and one step longer than before.
    pub fn tried(&mut self, key: &RemedyKey, least: Duration, now: Time) {
        let entry = self.entry(key, now);
        let rest = REST_STEPS.get(entry.level).copied().unwrap_or(REST_STEPS[REST_STEPS.len() - 1]);
        // The first rest is the row's own, also when it is shorter than a step.
        entry.rests_until = now.plus(if entry.level == 0 { least } else { rest.max(least) });
        entry.seen = now;
        entry.level += 1;
        entry.tried.push(None);
        if entry.tried.len() > MAX_TRIES_LISTED {
            entry.tried.remove(0);
        }
    }

    /// Whether the last try helped, for the list of what was tried.
    pub fn measured(&mut self, key: &RemedyKey, helped: bool) {
        if let Some(result) = self.entries.get_mut(key).and_then(|entry| entry.tried.last_mut()) {
            *result = Some(helped);
        }
    }

    /// It rests for so long, without a try: a person cancelled, or a provider asked for it.
    pub fn rest(&mut self, key: &RemedyKey, rest: Duration, now: Time) {
        let entry = self.entry(key, now);
        entry.rests_until = entry.rests_until.max(now.plus(rest));
    }

    /// True when it may be told of now; then not again for this time.
    pub fn tell(&mut self, key: &RemedyKey, every: Duration, now: Time) -> bool {
        let entry = self.entry(key, now);
        if now < entry.told_until {
            return false;
        }
        entry.told_until = now.plus(every);
        true
    }

    /// What was tried for a pattern in this hour, and whether each try helped.
    pub fn history(&self, pattern: &Pattern) -> impl Iterator<Item = (Remedy, &[Option<bool>])> {
        let entries = self
            .entries
            .iter()
            .filter(move |(key, entry)| key.pattern == *pattern && !entry.tried.is_empty());
        entries.map(|(key, entry)| (key.remedy, entry.tried.as_slice()))
    }

    /// How often something was tried since the last quiet hour.
    pub fn level(&self, key: &RemedyKey) -> usize {
        self.entries.get(key).map_or(0, |entry| entry.level)
    }

    /// What rests now, and until when.
    pub fn resting(&self, now: Time) -> impl Iterator<Item = (&RemedyKey, Time)> {
        let resting = self.entries.iter().filter(move |(_, entry)| now < entry.rests_until);
        resting.map(|(key, entry)| (key, entry.rests_until))
    }
}

impl BackoffEntry {
    fn new(now: Time) -> Self {
        Self { level: 0, rests_until: Time::ZERO, told_until: Time::ZERO, seen: now, tried: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::status::Fault;

    fn key(scope: &str) -> RemedyKey {
        RemedyKey {
            pattern: Pattern::new(Fault::ServerError),
            scope: Some(scope.to_owned()),
            remedy: Remedy::RetryNow,
        }
    }

    #[test]
    fn rests_grow_and_then_a_person_is_told() {
        let (mut ladder, key) = (BackoffLadder::default(), key("one"));
        let mut now = Time::from_secs(1000);
        for rest in [30, 60, 300] {
            assert_eq!(ladder.step(&key, now), Step::Try);
            ladder.tried(&key, Duration::from_secs(30), now);
            let end = now.plus(Duration::from_secs(rest));
            assert_eq!(ladder.step(&key, now), Step::Resting(end));
            now = end;
        }
        assert_eq!(ladder.step(&key, now), Step::Exhausted);
        assert!(ladder.tell(&key, QUIET_PERIOD, now) && !ladder.tell(&key, QUIET_PERIOD, now), "told once");
        ladder.measured(&key, false);
        let history: Vec<_> = ladder.history(&key.pattern).collect();
        assert_eq!(
            history,
            [(Remedy::RetryNow, [None, None, Some(false)].as_slice())],
            "the newest is measured"
        );
    }

    #[test]
    fn a_quiet_hour_begins_again() {
        let (mut ladder, key) = (BackoffLadder::default(), key("one"));
        let now = Time::from_secs(1000);
        ladder.tried(&key, Duration::from_secs(120), now);
        let end = now.plus(Duration::from_secs(120));
        assert_eq!(ladder.step(&key, now), Step::Resting(end), "the row asks for more");
        let almost = now.plus(Duration::from_secs(3599));
        ladder.seen(&key.pattern, almost);
        assert_eq!(ladder.level(&key), 1);
        ladder.seen(&key.pattern, almost.plus(QUIET_PERIOD));
        assert_eq!(ladder.level(&key), 0, "nothing was seen for an hour");
    }

    #[test]
    fn memory_is_bounded() {
        let mut ladder = BackoffLadder::default();
        for number in 0..2 * MAX_KEYS as u64 {
            ladder.tried(&key(&number.to_string()), QUIET_PERIOD, Time::from_secs(number));
        }
        assert_eq!(ladder.entries.len(), MAX_KEYS);
        assert!(ladder.entries.contains_key(&key("1023")) && !ladder.entries.contains_key(&key("0")));
    }
}
