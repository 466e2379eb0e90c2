//! How much was used: what `GET /api/v1/usage` answers and `latimer usage` prints.

use serde::{Deserialize, Serialize};

/// One line of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageLine {
    /// What it is about.
    pub name: String,
    /// How many turns ended in the time asked for.
    pub turns: u64,
    /// Turns that failed.
    pub failed: u64,
    /// Input tokens.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cached: u64,
    /// Output tokens.
    pub output: u64,
    /// Output tokens spent on thoughts.
    pub reasoning: u64,
    /// Half of the turns took no longer, in milliseconds.
    pub p50_ms: u64,
    /// Nineteen of twenty turns took no longer, in milliseconds.
    pub p95_ms: u64,
    /// Half of the first events came no later, in milliseconds.
    pub first_p50_ms: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Calls that were found or mended.
    pub repairs: u64,
    /// In US dollars, as far as prices are known; `None` where turns used tokens and the price of none of them is known.
    pub cost_usd: Option<f64>,
    /// Turns that used tokens whose price is not known: they are not in `cost_usd`.
    pub unpriced: u64,
    /// The same by model, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UsageLine>,
}

/// How much was used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageReport {
    /// One line for each group.
    pub lines: Vec<UsageLine>,
    /// All turns together.
    pub total: UsageLine,
}
