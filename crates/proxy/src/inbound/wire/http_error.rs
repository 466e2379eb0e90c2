//! An error before the answer began, in whatever protocol. Each protocol's `error.rs` makes them.

use latimer_protocol::failure::{Again, Failure};

use crate::inbound::client_behaviour::ClientBehaviour;

/// An HTTP answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// Of HTTP, 400 or more.
    pub status: u16,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u64>,
    /// Who may ask the same again. The SDKs of OpenAI and Anthropic obey the header that says so.
    pub again: Again,
    /// The JSON body, in the client's protocol.
    pub body: String,
}

/// The status of a failure: the documented one, or a 400 where nobody shall ask the same again and the client would.
pub(in crate::inbound) fn final_status(documented: u16, failure: &Failure, client: &ClientBehaviour) -> u16 {
    let would_repeat = client.repeats_failures && matches!(documented, 408 | 409 | 429 | 500..);
    if would_repeat && failure.again == Again::ByNobody { 400 } else { documented }
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
