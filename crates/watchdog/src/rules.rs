//! Tier 1: a table of rules. Which fault, how often in which time, what helps, and how long it rests afterwards.

use std::time::Duration;

use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

use crate::pattern::{Fact, Pattern};

pub mod file;
mod row;
mod table;

/// What may help. The word of each is the same in rules files, records, a model's answer and on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Start the proxy, ending what is left of it.
    RestartProxy,
    /// A new proxy first, then the old one drains.
    ReplaceProxy,
    /// End stale processes of our own registry, then start.
    KillStaleProcesses,
    /// Forget what was learned about an endpoint.
    ClearSchemaCache,
    /// Send turns to the next provider of the route.
    SwitchProvider,
    /// Wait longer for an endpoint.
    IncreaseTimeout,
    /// Write a client's generated settings again.
    RegenerateConfig,
    /// Take processes that are gone out of the registry.
    CleanupCodexStale,
    /// Tell the person.
    AlertUser,
    /// Nothing needs to be done.
    Ignore,
    /// Try an endpoint again at its next turn.
    RetryNow,
    /// Let an endpoint rest as long as it asked for.
    Wait,
    /// Close the pooled connections of an endpoint.
    Reconnect,
    /// Send a real turn through the proxy.
    Probe,
    /// Tell the person that another model may do better.
    SuggestModel,
    /// Tell the person that another provider may do better.
    SuggestProvider,
    /// Ask what is recorded, then a model.
    Diagnose,
}

/// The table: remedy, its word, whether it changes something, whether it needs a proxy that may run.
const REMEDIES: [(Remedy, &str, bool, bool); 17] = [
    (Remedy::RestartProxy, "restart_proxy", true, true),
    (Remedy::ReplaceProxy, "replace_proxy", true, true),
    (Remedy::KillStaleProcesses, "kill_stale_processes", true, true),
    (Remedy::ClearSchemaCache, "clear_schema_cache", true, true),
    (Remedy::SwitchProvider, "switch_provider", true, true),
    (Remedy::IncreaseTimeout, "increase_timeout", true, true),
    (Remedy::RegenerateConfig, "regenerate_config", true, false),
    (Remedy::CleanupCodexStale, "cleanup_codex_stale", true, false),
    (Remedy::AlertUser, "alert_user", false, false),
    (Remedy::Ignore, "ignore", false, false),
    (Remedy::RetryNow, "retry_now", true, true),
    (Remedy::Wait, "wait", true, true),
    (Remedy::Reconnect, "reconnect", true, true),
    (Remedy::Probe, "probe", false, true),
    (Remedy::SuggestModel, "suggest_model", false, false),
    (Remedy::SuggestProvider, "suggest_provider", false, false),
    (Remedy::Diagnose, "diagnose", false, true),
];

impl Remedy {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        REMEDIES.iter().map(|row| row.0)
    }

    /// Its word.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The remedy of this word.
    pub fn by_name(name: &str) -> Option<Self> {
        REMEDIES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// It changes something: it waits for a cancel, it is measured, and it is recorded.
    pub fn changes_something(self) -> bool {
        self.row().2
    }

    /// It means nothing while a person wants the proxy stopped.
    pub fn needs_proxy(self) -> bool {
        self.row().3
    }

    fn row(self) -> &'static (Self, &'static str, bool, bool) {
        // The rows stand in the order of the variants: see the test.
        &REMEDIES[self as usize]
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The fault it answers.
    pub fault: Fault,
    /// Counted from 1 among the rows of the same fault.
    pub step: u8,
    /// Only for detections with this fact.
    pub when: Option<(Fact, &'static str)>,
    /// How many detections of one pattern it takes.
    pub threshold: u32,
    /// In which time they are counted, and for how long the fault must stay away afterwards for a success.
    #[serde(rename = "window_ms", serialize_with = "millis")]
    pub window: Duration,
    /// A turn of the same endpoint that works in between begins the count again.
    pub in_a_row: bool,
    /// What helps.
    pub remedy: Remedy,
    /// How long it rests afterwards, at the least. A dead process is started without this rest: its own back-off rules it.
    #[serde(rename = "cooldown_ms", serialize_with = "millis")]
    pub cooldown: Duration,
    /// The row counts at all.
    pub enabled: bool,
}

fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// The table in use: what is built in, changed by a rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    rows: Vec<Rule>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { rows: table::rules() }
    }
}

impl Rules {
    /// Every row, in the order of the catalogue.
    pub fn rows(&self) -> &[Rule] {
        &self.rows
    }

    /// The rows that may answer this pattern.
    pub fn of<'s>(&'s self, pattern: &'s Pattern) -> impl Iterator<Item = &'s Rule> {
        let fits = |rule: &&Rule| {
            rule.enabled && rule.when.is_none_or(|(fact, value)| pattern.fact(fact) == Some(value))
        };
        let of_fault = self.rows.iter().filter(|rule| rule.fault == pattern.fault).filter(fits);
        // A row for a fact takes the place of the general ones.
        let special = of_fault.clone().any(|rule| rule.when.is_some());
        of_fault.filter(move |rule| rule.when.is_some() == special)
    }

    /// The longest time that detections of this fault are counted for.
    pub fn memory(&self, fault: Fault) -> Duration {
        self.rows.iter().filter(|rule| rule.fault == fault).map(|rule| rule.window).max().unwrap_or_default()
    }

    fn row_mut(&mut self, fault: Fault, step: u8) -> Option<&mut Rule> {
        self.rows.iter_mut().find(|rule| rule.fault == fault && rule.step == step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_remedy_stands_at_its_row() {
        for (place, row) in REMEDIES.iter().enumerate() {
            assert_eq!(row.0 as usize, place, "{}", row.1);
            assert_eq!(serde_json::to_value(row.0).expect("JSON"), row.1);
            assert_eq!(Remedy::by_name(row.1), Some(row.0));
        }
        assert_eq!(Remedy::by_name("rm -rf"), None);
    }

    #[test]
    fn every_fault_has_a_rule_and_steps_rise() {
        let rules = Rules::default();
        for fault in Fault::all() {
            let rows: Vec<_> = rules.rows().iter().filter(|rule| rule.fault == fault).collect();
            assert!(!rows.is_empty(), "{fault}");
            for (place, rule) in rows.iter().enumerate() {
                assert_eq!(usize::from(rule.step), place + 1, "{fault}");
                assert!(rule.threshold >= 1 && rule.threshold <= 100, "{fault}");
                assert!(rule.threshold == 1 || !rule.window.is_zero(), "{fault}: counts in no time");
                assert!(!rule.cooldown.is_zero(), "{fault}: would be said for ever");
            }
        }
    }

    #[test]
    fn a_row_for_a_fact_takes_the_place_of_the_general_one() {
        let rules = Rules::default();
        let remedies = |pattern: &Pattern| rules.of(pattern).map(|rule| rule.remedy).collect::<Vec<_>>();
        let conflict = |owner| Pattern::new(Fault::PortTaken).with(Fact::StateOwner, owner);
        assert_eq!(remedies(&conflict("ours")), [Remedy::KillStaleProcesses]);
        assert_eq!(remedies(&conflict("foreign")), [Remedy::AlertUser]);
        let limit = |limit| Pattern::new(Fault::RateLimited).with(Fact::Limit, limit);
        assert_eq!(remedies(&limit("burst")), [Remedy::Wait]);
        assert_eq!(remedies(&limit("balance")), [Remedy::AlertUser]);
    }
}
