//! How much is left of every allowance: what `GET /api/v1/quota` answers, `latimer quota` prints and the page draws.

use serde::{Deserialize, Serialize};

use super::SCHEMA_VERSION;
use crate::quota::QuotaReading;

/// One allowance of one account, and what is to be thought of it. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaWindow {
    /// As the provider said it.
    #[serde(flatten)]
    pub reading: QuotaReading,
    /// When it said so.
    pub seen_at: u64,
    /// `header` of an answer, or `asked` for.
    pub source: String,
    /// It was said long ago, or the allowance has come back since: nobody knows what is left now.
    pub stale: bool,
    /// When nothing is left, if it goes on as in this window; `None` where it lasts or nobody knows.
    pub runs_out_at: Option<u64>,
}

/// The allowances of one key or account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountQuota {
    /// The endpoint that it belongs to.
    pub endpoint: String,
    /// As people call it.
    pub account: String,
    /// Its allowances, the longest first. Empty where the provider has said nothing.
    pub windows: Vec<QuotaWindow>,
}

impl AccountQuota {
    /// The smallest share that is left of an allowance that lasts, of a hundred; `None` where nobody knows.
    pub fn remaining_percent(&self) -> Option<f64> {
        let lasting = self.windows.iter().filter(|window| window.reading.scope.is_lasting() && !window.stale);
        lasting.filter_map(|window| window.reading.remaining_percent).min_by(f64::total_cmp)
    }
}

/// All that is known of allowances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaReport {
    /// The version of this document: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The clock of who says it, in Unix seconds.
    pub now: u64,
    /// Every key and account, in the order of the configuration.
    pub data: Vec<AccountQuota>,
    /// Providers that were asked and did not say.
    pub problems: Vec<String>,
}

impl Default for QuotaReport {
    fn default() -> Self {
        Self { schema_version: SCHEMA_VERSION, now: 0, data: Vec::new(), problems: Vec::new() }
    }
}

impl QuotaReport {
    /// The endpoints of which every account has less left than this, of a hundred, each with the share of its best account. An endpoint
    /// with an account of which nobody knows is none of them.
    pub fn below(&self, percent: f64) -> Vec<(&str, f64)> {
        let mut endpoints: Vec<&str> = self.data.iter().map(|account| account.endpoint.as_str()).collect();
        endpoints.dedup();
        let best = |endpoint: &&str| {
            let accounts = self.data.iter().filter(|account| account.endpoint == **endpoint);
            let known: Option<Vec<f64>> = accounts.map(AccountQuota::remaining_percent).collect();
            known?.into_iter().max_by(f64::total_cmp)
        };
        endpoints
            .into_iter()
            .filter_map(|endpoint| Some((endpoint, best(&endpoint)?)))
            .filter(|(_, best)| *best < percent)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::QuotaScope;

    fn account(endpoint: &str, shares: &[(QuotaScope, f64, bool)]) -> AccountQuota {
        let window = |(scope, share, stale): &(QuotaScope, f64, bool)| QuotaWindow {
            reading: QuotaReading {
                scope: *scope,
                remaining_percent: Some(*share),
                ..QuotaReading::default()
            },
            stale: *stale,
            ..QuotaWindow::default()
        };
        AccountQuota {
            endpoint: endpoint.to_owned(),
            account: "key-1".to_owned(),
            windows: shares.iter().map(window).collect(),
        }
    }

    #[test]
    fn an_endpoint_is_short_when_its_best_account_is() {
        use QuotaScope::{Burst, Session, Week};
        let report = QuotaReport {
            data: vec![
                account("a", &[(Session, 90.0, false), (Week, 4.0, false)]),
                account("a", &[(Week, 6.0, false), (Burst, 0.0, false)]),
                account("b", &[(Week, 1.0, false)]),
                account("b", &[]),
                account("c", &[(Week, 1.0, true)]),
            ],
            ..QuotaReport::default()
        };
        assert_eq!(report.below(10.0), [("a", 6.0)], "of one of b's nobody knows, and c's is old");
        assert_eq!(report.below(6.0), []);
    }
}
