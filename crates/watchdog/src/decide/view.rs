//! What a person can look at: the data behind `status`, `incidents`, `show`, `rules` and `export`.

use latimer_protocol::status::Fault;
use serde::Serialize;

use super::State;
use super::clock::Clocks;
use super::life::ProxyPhase;
use crate::action::{Order, Proposer};
use crate::diagnose::budget::Ledger;
use crate::ids::ActionId;
use crate::incidents::Incident;
use crate::pattern::Pattern;
use crate::rules::{Remedy, Rule};
use crate::time::Time;

/// How things stand: `status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateView {
    /// Where the proxy is in its life.
    pub phase: ProxyPhase,
    /// Since when.
    pub since: Time,
    /// Its process id.
    pub pid: Option<u32>,
    /// It runs without learned rules and without a store.
    pub safe_mode: bool,
    /// Missed checks in a row.
    pub missed: u32,
    /// Resident memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// How much its memory grows in an hour, in bytes, where it grows steadily.
    pub memory_per_hour: Option<u64>,
    /// Automatic starts since the watchdog began.
    pub starts: u64,
    /// The whole network is gone.
    pub network_down: bool,
    /// What will be done unless a person cancels it.
    pub announced: Vec<AnnouncedOrder>,
    /// What a person may accept, by number.
    pub offered: Vec<OfferedChange>,
    /// Faults that are only counted, with the end of it.
    pub silenced: Vec<(Fault, Option<Time>)>,
    /// What rests after a try.
    pub resting: Vec<RestingPattern>,
    /// How often each fault was seen since the watchdog began.
    pub counts: Vec<(Fault, u64)>,
    /// What asking a model has cost.
    pub ledger: Ledger,
    /// The last alerts, the newest last.
    pub alerts: Vec<Order>,
}

/// An order that waits for a cancel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnnouncedOrder {
    /// The number to cancel by.
    pub id: ActionId,
    /// When it will be done.
    pub at: Time,
    /// Who proposed it.
    pub by: Proposer,
    /// What will be done, in words.
    pub what: String,
    /// The reason that was given with it, in one sentence.
    pub why: String,
}

/// A change that a person may accept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfferedChange {
    /// The number to accept by.
    pub id: ActionId,
    /// What would be done.
    pub remedy: Remedy,
    /// For which pattern.
    pub pattern: Pattern,
}

/// A pattern that rests after a try.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestingPattern {
    /// What it was tried for: the fault and its facts.
    pub pattern: Pattern,
    /// What was tried.
    pub remedy: Remedy,
    /// For so many more milliseconds.
    pub for_ms: u64,
}

/// One incident with what follows from it: `incidents` lists these, `show ID` is one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentView {
    /// What is recorded.
    #[serde(flatten)]
    pub incident: Incident,
    /// What the fault is.
    pub title: &'static str,
    /// What tier 2 would apply.
    pub applied: Option<Remedy>,
}

/// One rule: `rules` lists these.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleView {
    /// The row.
    #[serde(flatten)]
    pub rule: Rule,
    /// What the fault is.
    pub title: &'static str,
    /// The person silenced the fault.
    pub silenced: bool,
}

/// Everything that is known, for another program: `export`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Export {
    /// The version of this form.
    pub version: u32,
    /// When it was made.
    pub at: Time,
    /// How things stand.
    pub status: StateView,
    /// Every rule.
    pub rules: Vec<RuleView>,
    /// Every incident, the last used first.
    pub incidents: Vec<IncidentView>,
}

impl State {
    /// How things stand at this moment.
    pub fn status(&self, wall: Time) -> StateView {
        let now = self.clock.now();
        let announced = self.orders.announced().map(|pending| AnnouncedOrder {
            id: pending.id,
            at: pending.due_wall,
            by: pending.by,
            what: pending.action.words(),
            why: pending.why.clone(),
        });
        let offered = self.orders.offers().map(|offer| OfferedChange {
            id: offer.id,
            remedy: offer.choice.remedy,
            pattern: offer.detection.pattern.clone(),
        });
        let resting = self.guards.resting(now).map(|(key, until)| RestingPattern {
            pattern: key.pattern.clone(),
            remedy: key.remedy,
            for_ms: super::detection::millis(until.since(now)),
        });
        StateView {
            phase: self.life.phase(),
            since: self.life.since_wall(),
            pid: self.life.pid(),
            safe_mode: self.life.safe_mode(),
            missed: self.life.missed(),
            memory_bytes: self.life.memory_bytes(),
            memory_per_hour: self.senses.memory_per_hour().map(whole),
            starts: self.guards.starts(),
            network_down: self.senses.network_down(),
            announced: announced.collect(),
            offered: offered.collect(),
            silenced: self.guards.silenced(wall).collect(),
            resting: resting.collect(),
            counts: self.senses.counts().iter().map(|(fault, count)| (*fault, *count)).collect(),
            ledger: self.record.ledger.clone(),
            alerts: self.alerts.all().cloned().collect(),
        }
    }

    /// Every incident, the last used first.
    pub fn incident_views(&self) -> Vec<IncidentView> {
        self.record.incidents.all().into_iter().map(view).collect()
    }

    /// The incident of this number.
    pub fn incident_view(&self, id: u64) -> Option<IncidentView> {
        self.record.incidents.by_id(id).map(view)
    }

    /// Every rule, with whether its fault is silenced at this moment.
    pub fn rule_views(&self, wall: Time) -> Vec<RuleView> {
        let view = |rule: &Rule| RuleView {
            rule: rule.clone(),
            title: rule.fault.title(),
            silenced: self.guards.is_silenced(rule.fault, Clocks { now: self.clock.now(), wall }),
        };
        self.rules.rows().iter().map(view).collect()
    }

    /// Everything, for another program.
    pub fn export(&self, wall: Time) -> Export {
        Export {
            version: 1,
            at: wall,
            status: self.status(wall),
            rules: self.rule_views(wall),
            incidents: self.incident_views(),
        }
    }
}

fn view(incident: &Incident) -> IncidentView {
    IncidentView {
        title: incident.pattern.fault.title(),
        applied: incident.proven().map(|fix| fix.remedy),
        incident: incident.clone(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float stops at the ends"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT, up};
    use super::*;
    use crate::decide::decide;
    use crate::signal::{PersonRequest, Signal};

    #[test]
    fn a_view_shows_what_is_silenced_and_every_rule() {
        let mut state = up();
        let silence = PersonRequest::Silence { fault: Fault::RateLimited, until: None };
        decide(&mut state, Signal::Person(silence), AT.wall);
        let export = state.export(AT.wall);
        assert_eq!(export.status.silenced, [(Fault::RateLimited, None)]);
        assert_eq!((export.status.phase, export.status.pid), (ProxyPhase::Up, Some(1)));
        let silenced = export.rules.iter().filter(|view| view.silenced).map(|view| view.rule.fault);
        assert!(silenced.clone().count() > 0 && silenced.clone().all(|fault| fault == Fault::RateLimited));
        assert_eq!(state.incident_view(1), None);
    }

    #[test]
    fn a_number_is_cut_at_the_ends() {
        assert_eq!((whole(-1.0), whole(1.9), whole(f64::NAN), whole(f64::INFINITY)), (0, 1, 0, u64::MAX));
    }
}
