//! The tiers in their order: a rule of the table, what helped before, a model. Which remedy, and never whether it is allowed.

use std::time::Duration;

use super::choice::Choice;
use super::clock::Clocks;
use super::detection::Detection;
use super::guards::Guards;
use super::senses::Senses;
use crate::action::Proposer;
use crate::incidents::Incidents;
use crate::rules::{Remedy, Rule, Rules};
use crate::settings::Settings;

/// What a fault that no row covers rests for, and is measured by.
const UNCOVERED_COOLDOWN: Duration = Duration::from_secs(300);

/// What the tiers look at.
pub(super) struct Tiers<'s> {
    pub(super) settings: &'s Settings,
    pub(super) rules: &'s Rules,
    pub(super) incidents: &'s Incidents,
    pub(super) senses: &'s Senses,
    pub(super) guards: &'s Guards,
}

impl Tiers<'_> {
    /// What to do about a detection. None: a rule covers it, and its threshold is not reached.
    pub(super) fn choose(&self, detection: &Detection, at: Clocks) -> Option<Choice> {
        let rules: Vec<&Rule> = self.rules.of(&detection.pattern).collect();
        // That a dead process is started again is the watchdog's life, not a rule among others: `auto_restart` is for that.
        let supervised = detection.is_dead && rules.iter().any(|rule| rule.remedy == Remedy::RestartProxy);
        if rules.is_empty() || !(self.settings.tier1 || supervised) {
            return Some(self.uncovered(detection, UNCOVERED_COOLDOWN, UNCOVERED_COOLDOWN));
        }
        let is_reached = |rule: &&&Rule| {
            let seen = self.senses.seen_within(&detection.pattern, rule.window, at);
            seen >= usize::try_from(rule.threshold).unwrap_or(usize::MAX)
        };
        let rule = rules.iter().filter(is_reached).max_by_key(|rule| rule.step)?;
        if rule.remedy == Remedy::Diagnose {
            return Some(self.uncovered(detection, rule.cooldown, rule.window));
        }
        let choice =
            Choice { remedy: rule.remedy, by: Proposer::Rule, cooldown: rule.cooldown, window: rule.window };
        // What the rule says was tried and the fault is here again: what helped before goes first now.
        let is_again = rule.remedy.changes_something() && self.guards.was_tried(&detection.key(rule.remedy));
        let better =
            self.proven(detection).filter(|remedy| is_again && !detection.is_dead && *remedy != rule.remedy);
        Some(better.map_or(choice, |remedy| Choice { remedy, by: Proposer::Record, ..choice }))
    }

    /// Tiers 2 and 3.
    fn uncovered(&self, detection: &Detection, cooldown: Duration, window: Duration) -> Choice {
        match self.proven(detection) {
            Some(remedy) => Choice { remedy, by: Proposer::Record, cooldown, window },
            None => Choice { remedy: Remedy::Diagnose, by: Proposer::Rule, cooldown, window },
        }
    }

    fn proven(&self, detection: &Detection) -> Option<Remedy> {
        if !self.settings.tier2 {
            return None;
        }
        self.incidents.proven(&detection.pattern).map(|fix| fix.remedy)
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::status::Fault;

    use super::*;
    use crate::time::Time;

    const AT: Clocks = Clocks { now: Time::from_secs(1000), wall: Time::from_secs(1000) };

    struct Bench {
        settings: Settings,
        rules: Rules,
        incidents: Incidents,
        senses: Senses,
        guards: Guards,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                settings: Settings::default(),
                rules: Rules::default(),
                incidents: Incidents::default(),
                senses: Senses::default(),
                guards: Guards::default(),
            }
        }

        /// Sees it once more, and chooses.
        fn see(&mut self, detection: &Detection) -> Option<(Remedy, Proposer)> {
            self.senses.count(detection, &self.rules, AT);
            let Self { settings, rules, incidents, senses, guards } = &*self;
            let choice = Tiers { settings, rules, incidents, senses, guards }.choose(detection, AT);
            choice.map(|choice| (choice.remedy, choice.by))
        }

        fn helped(&mut self, detection: &Detection, remedy: Remedy) {
            for _ in 0..3 {
                self.incidents.tried(&detection.pattern, remedy, Proposer::Model, true, Time::ZERO);
            }
        }
    }

    #[test]
    fn a_higher_step_is_chosen_when_its_threshold_is_reached() {
        let (mut bench, broken) = (Bench::new(), Detection::of(Fault::ServerError));
        assert_eq!(bench.see(&broken), Some((Remedy::RetryNow, Proposer::Rule)));
        assert_eq!(bench.see(&broken), Some((Remedy::RetryNow, Proposer::Rule)));
        assert_eq!(bench.see(&broken), Some((Remedy::SwitchProvider, Proposer::Rule)));
        let mut unresponsive = Detection::of(Fault::ProxyUnresponsive);
        unresponsive.is_dead = true;
        assert_eq!(bench.see(&unresponsive), None, "its first step takes three");
    }

    #[test]
    fn what_no_rule_covers_is_asked_of_the_record_and_then_of_a_model() {
        let (mut bench, fault) = (Bench::new(), Detection::of(Fault::RequestRefused));
        bench.settings.tier1 = false;
        assert_eq!(bench.see(&fault), Some((Remedy::Diagnose, Proposer::Rule)));
        bench.helped(&fault, Remedy::Reconnect);
        assert_eq!(bench.see(&fault), Some((Remedy::Reconnect, Proposer::Record)));
        bench.settings.tier2 = false;
        assert_eq!(bench.see(&fault), Some((Remedy::Diagnose, Proposer::Rule)));
        let mut dead = Detection::of(Fault::ProxyGone);
        dead.is_dead = true;
        let want = Some((Remedy::RestartProxy, Proposer::Rule));
        assert_eq!(bench.see(&dead), want, "a dead proxy is started without tier 1");
    }

    #[test]
    fn what_helped_before_goes_before_a_rule_that_was_tried() {
        let (mut bench, fault) = (Bench::new(), Detection::of(Fault::RequestRefused));
        bench.helped(&fault, Remedy::Reconnect);
        assert_eq!(bench.see(&fault), Some((Remedy::ClearSchemaCache, Proposer::Rule)), "the rule first");
        bench.guards.tried(&fault.key(Remedy::ClearSchemaCache), Duration::from_secs(30), AT);
        assert_eq!(bench.see(&fault), Some((Remedy::Reconnect, Proposer::Record)));
    }
}
