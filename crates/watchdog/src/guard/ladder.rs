//! How long each pattern rests after something was tried: longer each time, then only a person helps.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pattern::Pattern;
use crate::rules::Remedy;
use crate::time::Time;

/// The rests, at the least; the row of the table may ask for more. After the last one a person is told.
pub const RESTS: [Duration; 3] = [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(300)];
/// A pattern that is not seen for so long begins at the first rest again.
pub const QUIET: Duration = Duration::from_secs(3600);
/// The most patterns that are remembered; the one not seen for the longest time leaves.
pub const MOST: usize = 512;
/// The most tries that are listed for a person.
const MOST_TRIED: usize = 8;

/// What rests: a remedy for a pattern, and within it what is told apart only for this, such as a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The pattern.
    pub pattern: Pattern,
    /// A thread, a process: what rests by itself without being a pattern of its own.
    pub scope: Option<String>,
    /// The remedy.
    pub remedy: Remedy,
}

/// What the ladder says to one more try.
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
struct Rung {
    level: usize,
    rests_until: Time,
    told_until: Time,
    seen: Time,
    /// Whether each try helped, where that is known.
    tried: Vec<Option<bool>>,
}

/// The rests of all patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ladder {
    rungs: BTreeMap<Key, Rung>,
}

impl Ladder {
    /// The pattern was seen: an hour without this makes it a new one.
    pub fn seen(&mut self, pattern: &Pattern, now: Time) {
        for (_, rung) in self.rungs.iter_mut().filter(|(key, _)| key.pattern == *pattern) {
            if now.since(rung.seen) >= QUIET {
                *rung = Rung { told_until: rung.told_until, ..Rung::new(now) };
            }
            rung.seen = now;
        }
    }

    fn rung(&mut self, key: &Key, now: Time) -> &mut Rung {
        if self.rungs.len() >= MOST && !self.rungs.contains_key(key) {
            let oldest = self.rungs.iter().min_by_key(|(_, rung)| rung.seen).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.rungs.remove(&oldest));
        }
        self.rungs.entry(key.clone()).or_insert_with(|| Rung::new(now))
    }

    /// May something be tried for it now?
    pub fn step(&self, key: &Key, now: Time) -> Step {
        match self.rungs.get(key) {
            None => Step::Try,
            Some(rung) if now < rung.rests_until => Step::Resting(rung.rests_until),
            Some(rung) if rung.level >= RESTS.len() => Step::Exhausted,
            Some(_) => Step::Try,
        }
    }

    /// It is tried: it rests at least `least`, and one rung longer than before.
    pub fn tried(&mut self, key: &Key, least: Duration, now: Time) {
        let rung = self.rung(key, now);
        let rest = RESTS.get(rung.level).copied().unwrap_or(RESTS[RESTS.len() - 1]);
        // The first rest is the row's own, also when it is shorter than a rung.
        rung.rests_until = now.plus(if rung.level == 0 { least } else { rest.max(least) });
        rung.seen = now;
        rung.level += 1;
        rung.tried.push(None);
        if rung.tried.len() > MOST_TRIED {
            rung.tried.remove(0);
        }
    }

    /// Whether the last try helped, for the list of what was tried.
    pub fn measured(&mut self, key: &Key, helped: bool) {
        if let Some(result) = self.rungs.get_mut(key).and_then(|rung| rung.tried.last_mut()) {
            *result = Some(helped);
        }
    }

    /// It rests for so long, without a try: a person cancelled, or a provider asked for it.
    pub fn rest(&mut self, key: &Key, rest: Duration, now: Time) {
        let rung = self.rung(key, now);
        rung.rests_until = rung.rests_until.max(now.plus(rest));
    }

    /// True when it may be told of now; then not again for this time.
    pub fn tell(&mut self, key: &Key, every: Duration, now: Time) -> bool {
        let rung = self.rung(key, now);
        if now < rung.told_until {
            return false;
        }
        rung.told_until = now.plus(every);
        true
    }

    /// What was tried for a pattern in this hour, and whether each try helped.
    pub fn history(&self, pattern: &Pattern) -> impl Iterator<Item = (Remedy, &[Option<bool>])> {
        let rungs =
            self.rungs.iter().filter(move |(key, rung)| key.pattern == *pattern && !rung.tried.is_empty());
        rungs.map(|(key, rung)| (key.remedy, rung.tried.as_slice()))
    }

    /// How often something was tried since the last quiet hour.
    pub fn level(&self, key: &Key) -> usize {
        self.rungs.get(key).map_or(0, |rung| rung.level)
    }

    /// What rests now, and until when.
    pub fn resting(&self, now: Time) -> impl Iterator<Item = (&Key, Time)> {
        let resting = self.rungs.iter().filter(move |(_, rung)| now < rung.rests_until);
        resting.map(|(key, rung)| (key, rung.rests_until))
    }
}

impl Rung {
    fn new(now: Time) -> Self {
        Self { level: 0, rests_until: Time::ZERO, told_until: Time::ZERO, seen: now, tried: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::status::Fault;

    fn key(scope: &str) -> Key {
        Key {
            pattern: Pattern::new(Fault::ServerError),
            scope: Some(scope.to_owned()),
            remedy: Remedy::RetryNow,
        }
    }

    #[test]
    fn rests_grow_and_then_a_person_is_told() {
        let (mut ladder, key) = (Ladder::default(), key("one"));
        let mut now = Time::from_secs(1000);
        for rest in [30, 60, 300] {
            assert_eq!(ladder.step(&key, now), Step::Try);
            ladder.tried(&key, Duration::from_secs(30), now);
            let end = now.plus(Duration::from_secs(rest));
            assert_eq!(ladder.step(&key, now), Step::Resting(end));
            now = end;
        }
        assert_eq!(ladder.step(&key, now), Step::Exhausted);
        assert!(ladder.tell(&key, QUIET, now) && !ladder.tell(&key, QUIET, now), "told once");
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
        let (mut ladder, key) = (Ladder::default(), key("one"));
        let now = Time::from_secs(1000);
        ladder.tried(&key, Duration::from_secs(120), now);
        let end = now.plus(Duration::from_secs(120));
        assert_eq!(ladder.step(&key, now), Step::Resting(end), "the row asks for more");
        let almost = now.plus(Duration::from_secs(3599));
        ladder.seen(&key.pattern, almost);
        assert_eq!(ladder.level(&key), 1);
        ladder.seen(&key.pattern, almost.plus(QUIET));
        assert_eq!(ladder.level(&key), 0, "nothing was seen for an hour");
    }

    #[test]
    fn memory_is_bounded() {
        let mut ladder = Ladder::default();
        for number in 0..2 * MOST as u64 {
            ladder.tried(&key(&number.to_string()), QUIET, Time::from_secs(number));
        }
        assert_eq!(ladder.rungs.len(), MOST);
        assert!(ladder.rungs.contains_key(&key("1023")) && !ladder.rungs.contains_key(&key("0")));
    }
}
