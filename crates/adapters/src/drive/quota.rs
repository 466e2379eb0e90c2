//! What an answer's headers said of allowances, carried beside its events.

use latimer_protocol::quota::QuotaReading;

use super::TurnStream;

impl TurnStream {
    /// An answer whose headers said this of the account's allowances.
    #[must_use]
    pub fn with_quota(mut self, quota: Vec<QuotaReading>) -> Self {
        self.quota = quota;
        self
    }

    /// Takes what the headers said of the account's allowances.
    pub fn take_quota(&mut self) -> Vec<QuotaReading> {
        std::mem::take(&mut self.quota)
    }
}
