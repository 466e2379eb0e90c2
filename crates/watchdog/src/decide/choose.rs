//! From a sighting to a remedy: the guards first, then the tiers in their order.

use std::time::Duration;

use latimer_protocol::status::Fault;

use super::Decision;
use super::detection::Detection;
use super::lifecycle::ProxyPhase;
use super::orders::PendingDiagnosis;
use crate::action::{Action, Level, Proposer};
use crate::diagnose::budget::MIN_INTERVAL;
use crate::diagnose::reply;
use crate::guard::backoff::{QUIET_PERIOD, RemedyKey, Step};
use crate::pattern::Fact;
use crate::rules::{Remedy, Rule};
use crate::signal::Diagnosis;

/// What a fault that no row covers rests for, and is measured by.
const UNCOVERED_COOLDOWN: Duration = Duration::from_secs(300);
/// Faults that a dead network explains.
const NETWORK_FAULTS: [Fault; 6] = [
    Fault::CertificateRejected,
    Fault::NameUnresolved,
    Fault::ServerError,
    Fault::ProviderUnreachable,
    Fault::StreamInterrupted,
    Fault::NoCapacity,
];

/// What was chosen, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) remedy: Remedy,
    pub(super) by: Proposer,
    /// How long it rests afterwards, at the least.
    pub(super) cooldown: Duration,
    /// For how long the fault must stay away.
    pub(super) window: Duration,
}

impl Decision<'_> {
    /// A fault was seen.
    pub(super) fn detected(&mut self, detection: &Detection) {
        let pattern = &detection.pattern;
        let fault = pattern.fault;
        self.state.ladder.seen(pattern, self.now);
        self.state.record.incidents.seen(pattern, self.wall);
        self.state.scene.seen(fault, detection.status, self.now);
        let keep = self
            .state
            .rules
            .rows()
            .iter()
            .filter(|rule| rule.fault == fault)
            .map(|rule| rule.threshold)
            .max();
        let keep = usize::try_from(keep.unwrap_or(1)).unwrap_or(1);
        self.state.counters.push(pattern, keep, self.now, self.wall);
        self.came_back(pattern);
        if self.state.silenced.covers(fault, self.wall) {
            return;
        }
        let explained = NETWORK_FAULTS.contains(&fault) && pattern.fact(Fact::Network).is_none();
        if self.state.network_down && explained {
            return;
        }
        if let Some(choice) = self.choose(detection) {
            self.propose(detection, choice, None);
        }
    }

    /// The tiers, in their order. None: a rule covers it, and its threshold is not reached.
    fn choose(&self, detection: &Detection) -> Option<Choice> {
        let pattern = &detection.pattern;
        let rules: Vec<&Rule> = self.state.rules.of(pattern).collect();
        // That a dead process is started again is the watchdog's life, not a rule among others: `auto_restart` is for that.
        let supervised = detection.is_dead && rules.iter().any(|rule| rule.remedy == Remedy::RestartProxy);
        if rules.is_empty() || !(self.state.settings.tier1 || supervised) {
            return Some(self.uncovered(detection, UNCOVERED_COOLDOWN, UNCOVERED_COOLDOWN));
        }
        let reached = |rule: &&&Rule| {
            let seen = self.state.counters.within(pattern, rule.window, self.now);
            seen >= usize::try_from(rule.threshold).unwrap_or(usize::MAX)
        };
        let rule = rules.iter().filter(reached).max_by_key(|rule| rule.step)?;
        if rule.remedy == Remedy::Diagnose {
            return Some(self.uncovered(detection, rule.cooldown, rule.window));
        }
        let choice =
            Choice { remedy: rule.remedy, by: Proposer::Rule, cooldown: rule.cooldown, window: rule.window };
        // What the rule says was tried and the fault is here again: what helped before goes first now.
        let again =
            rule.remedy.changes_something() && self.state.ladder.level(&key(detection, rule.remedy)) > 0;
        let better =
            self.proven(detection).filter(|remedy| again && !detection.is_dead && *remedy != rule.remedy);
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
        if !self.state.settings.tier2 {
            return None;
        }
        self.state.record.incidents.proven(&detection.pattern).map(|fix| fix.remedy)
    }

    /// Brings a remedy to the guards, and what passes to the orders.
    pub(super) fn propose(&mut self, detection: &Detection, choice: Choice, why: Option<String>) {
        let Choice { remedy, by, cooldown, window } = choice;
        let absent = matches!(self.state.life.phase, ProxyPhase::Stopped | ProxyPhase::Held);
        if absent && remedy.needs_proxy() {
            return;
        }
        let key = key(detection, remedy);
        match remedy {
            Remedy::AlertUser | Remedy::SuggestModel | Remedy::SuggestProvider => {
                self.tell_of(detection, remedy, why, cooldown);
            }
            Remedy::Ignore => {
                if self.state.ladder.tell(&key, cooldown, self.now) {
                    let why = why.unwrap_or_else(|| format!("counted: {}", detection.pattern));
                    self.order(Some(detection.fault()), by, why, Action::Ignore);
                }
            }
            Remedy::Probe => {
                let runs = matches!(self.state.life.phase, ProxyPhase::Starting | ProxyPhase::Up);
                if runs && self.state.ladder.tell(&key, cooldown, self.now) {
                    self.state.probing = Some((detection.clone(), self.now));
                    let why = format!("{}: does a real turn work?", detection.fault().title());
                    self.order(Some(detection.fault()), by, why, Action::Probe);
                }
            }
            Remedy::Diagnose => self.ask(detection, cooldown, window),
            Remedy::RestartProxy if detection.is_dead => self.revive(detection, by),
            _ => self.change(detection, choice, &key, why),
        }
    }

    /// A remedy that changes something and can wait for a cancel.
    fn change(&mut self, detection: &Detection, choice: Choice, key: &RemedyKey, why: Option<String>) {
        let Choice { remedy, cooldown, .. } = choice;
        let restarts = matches!(remedy, Remedy::RestartProxy | Remedy::ReplaceProxy);
        let runs = matches!(self.state.life.phase, ProxyPhase::Starting | ProxyPhase::Up);
        if restarts && (!runs || self.is_pending(super::revive::is_start)) {
            return;
        }
        if self.is_handled(key) {
            return;
        }
        match self.state.ladder.step(key, self.now) {
            Step::Resting(_) => return,
            Step::Exhausted => return self.tell(detection, Level::Warning, None, QUIET_PERIOD),
            Step::Try => {}
        }
        let safe_mode = self.state.restarts.in_safe_mode();
        let Some(action) = detection.action(remedy, safe_mode, self.wall) else {
            // A log of somebody else does not say which endpoint it was: counted, and no more.
            if !detection.is_hearsay() {
                self.tell(detection, Level::Warning, None, cooldown);
            }
            return;
        };
        if restarts && self.state.restarts.room(self.now).is_err() {
            // It runs after a fashion: that is better than a held port.
            return self.tell(detection, Level::Warning, None, cooldown);
        }
        let asked_first = match remedy {
            Remedy::SwitchProvider => !self.state.settings.auto_switch_provider,
            Remedy::RestartProxy | Remedy::ReplaceProxy => !self.state.settings.auto_restart,
            _ => false,
        };
        let why = why.unwrap_or_else(|| detection.reason());
        if asked_first {
            return self.offer(detection, choice, &action, &why);
        }
        let rest = if remedy == Remedy::Wait { cooldown.max(detection.rest()) } else { cooldown };
        self.state.ladder.tried(key, rest, self.now);
        // A later step takes the place of an earlier one that still waits.
        self.state.pending.retain(|pending| !pending.announced || pending.hope.key.pattern != key.pattern);
        self.announce(action, detection, choice, why);
    }

    /// Tier 3: asks a model, if there is one and the budget allows it; otherwise a person is told.
    fn ask(&mut self, detection: &Detection, cooldown: Duration, window: Duration) {
        let key = key(detection, Remedy::Diagnose);
        if self.state.asked.is_some() || !self.state.ladder.tell(&key, cooldown, self.now) {
            return;
        }
        let settings = &self.state.settings;
        let budget = settings.diagnosis.monthly_budget_micros;
        let just_asked = self.state.asked_at.is_some_and(|at| self.now.since(at) < MIN_INTERVAL);
        let may_ask = settings.tier3 && settings.diagnosis.endpoint.is_some() && !just_asked;
        if !may_ask || self.state.record.ledger.admit(budget, self.wall).is_err() {
            return self.tell_of(detection, Remedy::AlertUser, None, cooldown);
        }
        // Counted before the question goes out, so that a slow answer is not asked for again.
        self.state.record.ledger.asked(self.wall);
        self.state.asked_at = Some(self.now);
        let incident = self.state.record.incidents.get(&detection.pattern);
        let report =
            self.state.scene.report(&detection.pattern, &self.proxy_facts(), incident, self.now, self.wall);
        let why = format!("no rule and no record covers {}", detection.pattern);
        let id = self.order(Some(detection.fault()), Proposer::Rule, why, Action::Diagnose(report));
        self.state.asked =
            Some(PendingDiagnosis { id, detection: detection.clone(), at: self.now, cooldown, window });
    }

    pub(super) fn diagnosis(&mut self, diagnosis: &Diagnosis) {
        let Some(asked) = self.state.asked.take_if(|asked| asked.id == diagnosis.id) else { return };
        let Some(reply) = &diagnosis.reply else {
            // It failed: what was set aside for it is given back when nothing was used.
            self.state.record.ledger.answered(
                diagnosis.input_tokens,
                diagnosis.output_tokens,
                diagnosis.cost_micros,
            );
            return self.tell_of(&asked.detection, Remedy::AlertUser, None, asked.cooldown);
        };
        let counted =
            diagnosis.input_tokens > 0 || diagnosis.output_tokens > 0 || diagnosis.cost_micros.is_some();
        if counted {
            self.state.record.ledger.answered(
                diagnosis.input_tokens,
                diagnosis.output_tokens,
                diagnosis.cost_micros,
            );
        }
        if self.state.silenced.covers(asked.detection.fault(), self.wall) {
            return;
        }
        match reply::read(reply) {
            Ok(proposal) => {
                let choice = Choice {
                    remedy: proposal.remedy,
                    by: Proposer::Model,
                    cooldown: asked.cooldown,
                    window: asked.window,
                };
                let why = format!("a model thinks: {}", proposal.reason);
                self.propose(&asked.detection, choice, Some(why));
            }
            Err(unusable) => {
                let mut detection = asked.detection;
                let what = detection.reason();
                detection.what = Some(format!("{what}; {unusable}"));
                self.tell_of(&detection, Remedy::AlertUser, None, asked.cooldown);
            }
        }
    }
}

/// What rests after a remedy for this sighting.
pub(super) fn key(detection: &Detection, remedy: Remedy) -> RemedyKey {
    RemedyKey { pattern: detection.pattern.clone(), scope: detection.scope.clone(), remedy }
}
