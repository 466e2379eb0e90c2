//! Who proposed what was done: the same word in orders, records and on screen.

use serde::{Deserialize, Serialize};

/// Who proposed an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposer {
    /// Tier 1: a row of the table.
    Rule,
    /// Tier 2: it helped before.
    Record,
    /// Tier 3: a model.
    Model,
    /// A guard: a cap was reached.
    Guard,
    /// A person.
    Person,
}

impl Proposer {
    /// The same word as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Record => "record",
            Self::Model => "model",
            Self::Guard => "guard",
            Self::Person => "person",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposer_is_named_as_it_is_written() {
        for by in [Proposer::Rule, Proposer::Record, Proposer::Model, Proposer::Guard, Proposer::Person] {
            assert_eq!(serde_json::to_value(by).expect("JSON"), by.name());
        }
    }
}
