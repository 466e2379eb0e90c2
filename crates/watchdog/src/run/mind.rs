//! The mind as the loop sees it: signals in, orders out, and when to think again.

use std::path::Path;

use serde_json::Value;

use crate::action::{Action, ActionId, By, Order};
use crate::settings::Settings;
use crate::signal::{Person, Signal};
use crate::time::Time;

/// What decides, with what it remembers.
pub struct Mind {
    settings: Settings,
    next: u64,
    due: Option<(Time, bool)>,
    crashes: u32,
    misses: u32,
}

impl Mind {
    /// A mind that remembers what the state directory holds.
    pub fn new(settings: Settings, _state_dir: &Path) -> Self {
        Self { settings, next: 0, due: None, crashes: 0, misses: 0 }
    }

    fn order(&mut self, action: Action) -> Order {
        self.next += 1;
        Order { id: ActionId(self.next), fault: None, by: By::Rule, why: String::new(), action }
    }

    /// What is to be done now.
    pub fn hear(&mut self, signal: &Signal, now: Time) -> Vec<Order> {
        match signal {
            Signal::Person(Person::Start) => vec![self.order(Action::Start { safe_mode: false })],
            Signal::Person(Person::Upgrade) => vec![self.order(Action::Replace)],
            Signal::ProxyExited(exit) if !exit.wanted => {
                self.crashes += 1;
                let wait = std::time::Duration::from_millis(100 << self.crashes.min(6));
                if self.crashes > 8 {
                    return vec![self.order(Action::HoldPort { cause: "it crashes at every start".into() })];
                }
                self.due = Some((now.plus(wait), false));
                Vec::new()
            }
            Signal::Tick => match self.due {
                Some((due, safe_mode)) if due <= now => {
                    self.due = None;
                    vec![self.order(Action::Start { safe_mode })]
                }
                _ => Vec::new(),
            },
            Signal::Health(_) => {
                self.crashes = 0;
                self.misses = 0;
                Vec::new()
            }
            Signal::HealthMissed(_) => {
                self.misses += 1;
                if self.misses == 3 {
                    self.misses = 0;
                    return vec![self.order(Action::Restart { safe_mode: false, hung: true })];
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// When to be told of the time, at the latest.
    pub fn wake(&self) -> Option<Time> {
        self.due.map(|due| due.0)
    }

    /// What was seen, and what helped.
    pub fn incidents(&self) -> Value {
        Value::Null
    }

    /// The rules in use.
    pub fn rules(&self) -> Value {
        Value::Null
    }

    /// The model that may be asked, as the proxy knows it.
    pub fn diagnosing_model(&self) -> Option<String> {
        let diagnosis = &self.settings.diagnosis;
        let endpoint = diagnosis.endpoint.as_ref()?;
        Some(diagnosis.model.as_ref().map_or_else(|| endpoint.clone(), |model| format!("{endpoint}/{model}")))
    }

    /// Writes down what must not be lost.
    pub fn save(&mut self) {}
}
