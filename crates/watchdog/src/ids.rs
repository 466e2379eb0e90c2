//! Names of things that several parts speak of: an order by its number, a process by its id and start time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of an order: what a person cancels by and what an outcome answers to. Numbers only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub u64);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A process, told apart from a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The id that the system gave it; used again after its end.
    pub pid: u32,
    /// When it began: clock ticks since the machine started on Linux, Unix seconds or a hash of the date elsewhere. Only ever
    /// compared for being equal.
    pub started: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_bare_number_and_a_process_has_two() {
        assert_eq!(serde_json::to_string(&ActionId(7)).expect("JSON"), "7");
        assert_eq!(ActionId(7).to_string(), "7");
        let process = ProcessId { pid: 5, started: 9 };
        assert_eq!(serde_json::to_string(&process).expect("JSON"), r#"{"pid":5,"started":9}"#);
    }
}
