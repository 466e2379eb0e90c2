//! Why a target, a key or an endpoint is left alone for a while. Pure.

use std::time::{Duration, Instant};

use latimer_protocol::failure::{Blame, Failure};

/// The cause of a failure that latimer's own limits of an endpoint make.
pub const NO_ROOM: &str = "no_room";

/// The cause of a failure that was not asked for: the time that a provider named before is not over.
pub const RESTING: &str = "resting";

/// A time in which no turn goes somewhere, as long as there is another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// When it is over.
    pub until: Instant,
    /// For people.
    pub why: &'static str,
}

/// A time in which a key or account is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// When it is over.
    pub until: Instant,
    /// The provider named it; else latimer chose it.
    pub is_named: bool,
}

/// For how long the provider itself wants no requests, where its refusal says so. What latimer's own limits say is no word of a provider.
pub fn named_wait(failure: &Failure) -> Option<Duration> {
    let is_own = matches!(failure.cause, Some(NO_ROOM | RESTING)) || failure.is_for_later();
    let is_theirs = matches!(failure.blame(), Blame::Upstream) && !is_own;
    failure.retry_after.filter(|wait| is_theirs && !wait.is_zero())
}

impl Rest {
    /// Of an endpoint: its keys rest all, or each of its models does. It is over when the first of them is ready again.
    pub fn of_endpoint(keys: Option<Self>, models: impl Iterator<Item = Option<Self>>) -> Option<Self> {
        let all: Option<Vec<Self>> = models.collect();
        let models = all.and_then(|all| all.into_iter().min_by_key(|rest| rest.until));
        keys.into_iter().chain(models).max_by_key(|rest| rest.until)
    }

    /// In words, with the seconds that are left.
    pub fn words(self, now: Instant) -> String {
        format!("{}, for {} s more", self.why, self.until.saturating_duration_since(now).as_secs().max(1))
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::failure::{self, FailureKind};

    use super::*;
    use crate::clock;

    #[test]
    fn an_endpoint_rests_only_where_nothing_of_it_is_ready() {
        let now = clock::now();
        let rest = |seconds| Rest { until: now + Duration::from_secs(seconds), why: "a limit holds" };
        let of = |keys, models: &[Option<Rest>]| Rest::of_endpoint(keys, models.iter().copied());
        assert_eq!(of(None, &[Some(rest(9)), None]), None, "one model is ready");
        assert_eq!(of(None, &[Some(rest(9)), Some(rest(5))]), Some(rest(5)));
        assert_eq!(of(Some(rest(3)), &[None]), Some(rest(3)), "all keys rest");
        assert_eq!(of(Some(rest(3)), &[Some(rest(5))]), Some(rest(5)));
        assert_eq!(rest(9).words(now), "a limit holds, for 9 s more");
    }

    #[test]
    fn only_a_providers_own_word_is_a_named_wait() {
        let wait = Some(Duration::from_secs(9));
        let named =
            |kind, cause| named_wait(&Failure { retry_after: wait, cause, ..Failure::new(kind, "x") });
        assert_eq!(named(FailureKind::RateLimited, None), wait);
        assert_eq!(named(FailureKind::UpstreamError, Some("bot_filter")), wait);
        for ours in [NO_ROOM, RESTING, failure::QUEUE_FULL] {
            assert_eq!(named(FailureKind::ConcurrencyLimited, Some(ours)), None, "{ours}");
        }
        assert_eq!(named(FailureKind::BadRequest, None), None, "the client's");
        assert_eq!(named_wait(&Failure::new(FailureKind::RateLimited, "x")), None);
    }
}
