//! What makes two detections of a fault the same: the fault and its salient facts, in any order.

use std::collections::BTreeMap;
use std::fmt;

use latimer_protocol::printable::is_harmful;
use latimer_protocol::secret::redact;
use latimer_protocol::status::Fault;
use serde::{Deserialize, Serialize};

/// The longest value of a fact, in characters.
const MAX_VALUE_CHARS: usize = 64;

/// A kind of fact that tells two incidents apart. Never user text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The endpoint's name.
    Endpoint,
    /// The class of the provider's status, such as `5xx`.
    Status,
    /// The dialect of a call in text.
    Dialect,
    /// Which limit a 429 named: `burst`, `concurrency`, `window` or `balance`.
    Limit,
    /// Which check failed: `health`, `probe`, `memory`, `slope`, `lag`, `latency`, `request` or `log`.
    Check,
    /// `down` when the whole network is gone.
    Network,
    /// Who holds the port: `ours`, `foreign` or `unknown`.
    StateOwner,
    /// Whether latimer made the file: `yes` or `no`.
    Generated,
    /// Which log or client it was seen in.
    Source,
    /// A finer code of the cause.
    Cause,
}

impl Fact {
    /// The same word as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Status => "status",
            Self::Dialect => "dialect",
            Self::Limit => "limit",
            Self::Check => "check",
            Self::Network => "network",
            Self::StateOwner => "owner",
            Self::Generated => "generated",
            Self::Source => "source",
            Self::Cause => "cause",
        }
    }
}

/// A fault with its facts: the key of counters, cooldowns and records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pattern {
    /// What went wrong.
    pub fault: Fault,
    /// Its facts. A map, so their order does not matter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<Fact, String>,
}

impl Pattern {
    /// A fault without facts.
    pub fn new(fault: Fault) -> Self {
        Self { fault, facts: BTreeMap::new() }
    }

    /// With one more fact. The value is cleaned of credentials and control characters, and cut at 64 characters;
    /// an empty one is no fact.
    #[must_use]
    pub fn with(mut self, fact: Fact, value: &str) -> Self {
        let clean = plain(value, MAX_VALUE_CHARS);
        if !clean.is_empty() {
            self.facts.insert(fact, clean);
        }
        self
    }

    /// With one more fact, if there is one.
    #[must_use]
    pub fn maybe(self, fact: Fact, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(fact, value),
            None => self,
        }
    }

    /// The value of a fact.
    pub fn fact(&self, fact: Fact) -> Option<&str> {
        self.facts.get(&fact).map(String::as_str)
    }

    /// The endpoint it concerns.
    pub fn endpoint(&self) -> Option<&str> {
        self.fact(Fact::Endpoint)
    }
}

impl fmt::Display for Pattern {
    /// `B2 endpoint=kimi status=5xx`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        self.facts.iter().try_for_each(|(fact, value)| write!(f, " {}={value}", fact.name()))
    }
}

/// A name as it is kept and compared: clean and short, in the same way everywhere.
pub(crate) fn clean_name(name: &str) -> String {
    plain(name, MAX_VALUE_CHARS)
}

/// Text of strangers as it may be kept and shown: on one line, without credentials, cut at so many characters.
pub(crate) fn plain(text: &str, longest: usize) -> String {
    // What is far too long is cut before the costly part; its end does not matter.
    let short: String = text.chars().take(longest * 4).map(|c| if is_harmful(c) { ' ' } else { c }).collect();
    redact(short.trim()).chars().take(longest).collect()
}

/// The class of a status, such as `5xx`; the number itself for 401, 403 and 429, which mean something of their own.
pub(crate) fn status_class(status: u16) -> String {
    match status {
        401 | 403 | 429 => status.to_string(),
        _ => format!("{}xx", status / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_facts_does_not_matter() {
        let one = Pattern::new(Fault::ServerError).with(Fact::Endpoint, "kimi").with(Fact::Status, "5xx");
        let two = Pattern::new(Fault::ServerError).with(Fact::Status, "5xx").with(Fact::Endpoint, "kimi");
        assert_eq!(one, two);
        assert_eq!(one.to_string(), "B2 endpoint=kimi status=5xx");
    }

    #[test]
    fn values_are_clean_and_short() {
        let pattern = Pattern::new(Fault::CallNotFound)
            .with(Fact::Cause, "sk-abcdef1234567890abcd\n\u{1b}[31m")
            .with(Fact::Source, &"x".repeat(1 << 20))
            .with(Fact::Dialect, " \n");
        assert_eq!(pattern.fact(Fact::Cause), Some("***  [31m"), "no control character is left");
        assert_eq!(pattern.fact(Fact::Source).map(str::len), Some(MAX_VALUE_CHARS));
        assert_eq!(pattern.fact(Fact::Dialect), None);
    }

    #[test]
    fn statuses_have_classes() {
        for (status, want) in [(500, "5xx"), (503, "5xx"), (401, "401"), (429, "429"), (404, "4xx")] {
            assert_eq!(status_class(status), want);
        }
    }
}
