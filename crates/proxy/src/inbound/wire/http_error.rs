//! An error before the answer began, in whatever protocol. Each protocol's `error.rs` makes them.

use latimer_protocol::failure::Failure;

/// An HTTP answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// Of HTTP, 400 or more.
    pub status: u16,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u64>,
    /// The JSON body, in the client's protocol.
    pub body: String,
}

/// The seconds that a failure asks the client to wait, rounded up: a client that comes a moment too early is refused again.
pub(in crate::inbound) fn wait_seconds(failure: &Failure) -> Option<u64> {
    failure.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latimer_protocol::failure::FailureKind;

    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1500, 2)] {
            let wait = Some(Duration::from_millis(millis));
            let failure =
                Failure { retry_after: wait, ..Failure::new(FailureKind::RateLimited, "slow down") };
            assert_eq!(wait_seconds(&failure), Some(seconds), "{millis}");
        }
        assert_eq!(wait_seconds(&Failure::new(FailureKind::RateLimited, "slow down")), None);
    }
}
