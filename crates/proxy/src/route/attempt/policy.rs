//! What to do about a failure of which the client saw nothing. Pure: the failure and the facts in, a verdict out. The one place in
//! which retrying is decided.

use std::time::Duration;

use latimer_adapters::teaching::Teaching;
use latimer_protocol::failure::{Failure, FailureKind, Retry};

use crate::route::rest::{NO_ROOM, RESTING};
use crate::route::shape::MIN_ITEMS;

/// How often a request may be written anew for one turn.
pub const MAX_REWRITES: u32 = 4;
/// The first wait of our own choosing.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait of our own choosing.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send the same to the same target, with whatever key is ready then.
    Retry {
        /// After this long; zero for at once.
        wait: Duration,
    },
    /// Write the request for the same target as its refusal wants it, and send it at once.
    Rewrite,
    /// Write the request for the same target with a shorter history, and send it at once.
    FewerItems,
    /// Ask the next target of the route.
    NextTarget,
    /// The client gets the failure at once, and may come back when the provider's time is over: that is longer than the client is
    /// held for.
    HandOver,
    /// The client gets the failure, and nobody asks again.
    GiveUp,
}

impl Verdict {
    /// As a document tells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Rewrite => "rewrite",
            Self::FewerItems => "fewer_items",
            Self::NextTarget => "next_target",
            Self::HandOver => "hand_over",
            Self::GiveUp => "give_up",
        }
    }

    /// How long nothing is sent.
    pub fn wait(self) -> Duration {
        if let Self::Retry { wait } = self { wait } else { Duration::ZERO }
    }
}

/// What counts beside the failure itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'t> {
    /// What the refusal taught; `None` also where the request was written by it already.
    pub teaching: Option<&'t Teaching>,
    /// How often the request was written anew in this turn.
    pub rewrites: u32,
    /// How many items the request had, where the endpoint learns how many it takes.
    pub items: Option<usize>,
    /// Another key or account is ready now.
    pub is_key_ready: bool,
    /// Targets of the route that were not asked yet, without those that rest for longer than this one.
    pub targets_left: usize,
    /// How many attempts were made after the first, on all targets.
    pub retries: u32,
    /// How many of them the endpoint allows.
    pub max_retries: u32,
    /// The endpoint's budget allows one more retry.
    pub is_in_budget: bool,
    /// The longest wait that the client is held for.
    pub max_wait: Duration,
    /// Spreads waits, so that many clients do not come back together.
    pub random: u8,
}

/// What to do after a failure. The order is the price: a better request costs nothing but its refusal, another key no time, another
/// target the warmth of a cache, and waiting holds the client.
pub fn after(failure: &Failure, facts: &Facts<'_>) -> Verdict {
    if facts.rewrites < MAX_REWRITES {
        if facts.teaching.is_some() {
            return Verdict::Rewrite;
        }
        if facts.items.is_some_and(|items| items > MIN_ITEMS) && may_be_too_many_items(failure.kind) {
            return Verdict::FewerItems;
        }
    }
    if failure.has_acted() {
        return Verdict::GiveUp;
    }
    let retry = failure.retry();
    let may_retry = facts.retries < facts.max_retries && facts.is_in_budget && !failure.is_for_later();
    if may_retry && facts.is_key_ready && matches!(retry, Retry::NextKey | Retry::OtherKeyOnly) {
        return Verdict::Retry { wait: Duration::ZERO };
    }
    if facts.targets_left > 0 && may_work_elsewhere(failure.kind) {
        return Verdict::NextTarget;
    }
    match retry {
        Retry::Same | Retry::NextKey
            if failure.cause == Some(RESTING)
                || failure.retry_after.is_some_and(|named| named > facts.max_wait) =>
        {
            Verdict::HandOver
        }
        Retry::Same | Retry::NextKey if may_retry => {
            Verdict::Retry { wait: own_wait(facts.retries + 1, failure.retry_after, facts.random) }
        }
        // Where latimer is to try nothing again, or has sent nothing, that is left to the client.
        Retry::Same | Retry::NextKey if facts.max_retries == 0 || failure.cause == Some(NO_ROOM) => {
            Verdict::HandOver
        }
        Retry::Same | Retry::NextKey | Retry::Never | Retry::OtherKeyOnly => Verdict::GiveUp,
    }
}

/// Whether a shorter history may be taken: some endpoints show only so how much they take.
fn may_be_too_many_items(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::BadRequest | FailureKind::ContextLength | FailureKind::UpstreamError)
}

/// Whether another endpoint may answer what this one did not. A history that is too long is the client's to shorten.
fn may_work_elsewhere(kind: FailureKind) -> bool {
    !matches!(kind, FailureKind::ContextLength | FailureKind::ShuttingDown | FailureKind::Internal)
}

/// The wait before retry number `retry` (1 is the first): the provider's; where it names none, 0.5 s doubling to 8 s, spread over ±25 %
/// by `random`.
fn own_wait(retry: u32, retry_after: Option<Duration>, random: u8) -> Duration {
    if let Some(named) = retry_after {
        return named;
    }
    let plain = FIRST_WAIT.saturating_mul(1 << retry.saturating_sub(1).min(10)).min(MAX_WAIT);
    let spread = 0.75 + 0.5 * f64::from(random) / 255.0;
    plain.mul_f64(spread)
}

#[cfg(test)]
mod tests {
    use latimer_adapters::limitation::Limitation;
    use latimer_protocol::failure;

    use super::*;

    const FACTS: Facts<'static> = Facts {
        teaching: None,
        rewrites: 0,
        items: None,
        is_key_ready: false,
        targets_left: 0,
        retries: 0,
        max_retries: 3,
        is_in_budget: true,
        max_wait: Duration::from_secs(60),
        random: 0,
    };

    fn verdict(kind: FailureKind, facts: Facts<'_>) -> Verdict {
        after(&Failure::new(kind, "x"), &facts)
    }

    #[test]
    fn waits_double_to_a_maximum_within_the_spread() {
        for (retry, plain) in [(1, 500), (2, 1000), (3, 2000), (5, 8000), (40, 8000)] {
            let plain = Duration::from_millis(plain);
            assert_eq!(own_wait(retry, None, 0), plain.mul_f64(0.75));
            assert_eq!(own_wait(retry, None, 255), plain.mul_f64(1.25));
        }
    }

    #[test]
    fn a_provider_is_obeyed_as_long_as_the_client_is_held() {
        let named = |seconds, facts: Facts<'_>| {
            let retry_after = Some(Duration::from_secs(seconds));
            after(&Failure { retry_after, ..Failure::new(FailureKind::RateLimited, "x") }, &facts)
        };
        let patient = Facts { max_wait: Duration::from_secs(60), ..FACTS };
        assert_eq!(named(60, patient), Verdict::Retry { wait: Duration::from_secs(60) });
        assert_eq!(named(61, patient), Verdict::HandOver);
        assert_eq!(
            named(61, Facts { retries: 3, ..patient }),
            Verdict::HandOver,
            "whatever was tried before"
        );
        let quick = Facts { max_wait: Duration::from_secs(15), ..FACTS };
        assert_eq!(named(16, quick), Verdict::HandOver);
        assert_eq!(named(16, Facts { targets_left: 1, ..quick }), Verdict::NextTarget);
        assert_eq!(named(9, Facts { retries: 3, ..quick }), Verdict::GiveUp, "its own attempts are spent");
    }

    #[test]
    fn without_attempts_of_its_own_the_client_decides() {
        let none = Facts { max_retries: 0, ..FACTS };
        assert_eq!(verdict(FailureKind::Overloaded, none), Verdict::HandOver);
        assert_eq!(verdict(FailureKind::Unauthorized, none), Verdict::GiveUp);
    }

    #[test]
    fn every_kind_has_its_verdict_alone_with_another_key_and_with_another_target() {
        let soon = Verdict::Retry { wait: Duration::from_millis(375) };
        let now = Verdict::Retry { wait: Duration::ZERO };
        let (up, next) = (Verdict::GiveUp, Verdict::NextTarget);
        let table = [
            (FailureKind::BadRequest, up, up, next),
            (FailureKind::Unauthorized, up, now, next),
            (FailureKind::Forbidden, up, now, next),
            (FailureKind::ModelNotFound, up, up, next),
            (FailureKind::ContextLength, up, up, up),
            (FailureKind::RateLimited, soon, now, next),
            (FailureKind::ConcurrencyLimited, soon, now, next),
            (FailureKind::WindowExhausted, up, now, next),
            (FailureKind::QuotaExhausted, up, now, next),
            (FailureKind::Overloaded, soon, now, next),
            (FailureKind::UpstreamError, soon, soon, next),
            (FailureKind::Unreachable, soon, soon, next),
            (FailureKind::Timeout, up, up, next),
            (FailureKind::Interrupted, soon, soon, next),
            (FailureKind::BrokenCall, up, up, next),
            (FailureKind::TooLarge, up, up, next),
            (FailureKind::ShuttingDown, up, up, up),
            (FailureKind::Internal, up, up, up),
        ];
        assert_eq!(table.len(), FailureKind::all().count());
        for (kind, alone, with_key, with_target) in table {
            assert_eq!(verdict(kind, FACTS), alone, "{kind:?} alone");
            assert_eq!(
                verdict(kind, Facts { is_key_ready: true, ..FACTS }),
                with_key,
                "{kind:?}, a key is ready"
            );
            assert_eq!(
                verdict(kind, Facts { targets_left: 1, ..FACTS }),
                with_target,
                "{kind:?}, a target is left"
            );
        }
    }

    #[test]
    fn retries_end_with_their_number_and_their_budget() {
        for facts in [Facts { retries: 3, ..FACTS }, Facts { is_in_budget: false, ..FACTS }] {
            let facts = Facts { is_key_ready: true, ..facts };
            assert_eq!(verdict(FailureKind::RateLimited, facts), Verdict::GiveUp);
            assert_eq!(
                verdict(FailureKind::RateLimited, Facts { targets_left: 1, ..facts }),
                Verdict::NextTarget
            );
        }
    }

    #[test]
    fn what_an_agent_has_begun_is_done_nowhere_else_and_a_full_queue_is_told_at_once() {
        let failure = |cause| Failure { cause: Some(cause), ..Failure::new(FailureKind::Interrupted, "x") };
        let elsewhere = Facts { targets_left: 1, ..FACTS };
        for (cause, alone, with_target) in [
            (failure::HAS_ACTED, Verdict::GiveUp, Verdict::GiveUp),
            (failure::QUEUE_FULL, Verdict::GiveUp, Verdict::NextTarget),
            (failure::NOT_INSTALLED, Verdict::GiveUp, Verdict::NextTarget),
            (failure::UNEXPLAINED, Verdict::GiveUp, Verdict::NextTarget),
        ] {
            assert_eq!(after(&failure(cause), &FACTS), alone, "{cause}");
            assert_eq!(after(&failure(cause), &elsewhere), with_target, "{cause}");
        }
    }

    #[test]
    fn better_requests_come_first_and_have_an_end() {
        let teaching = Some(&Teaching::Whole(Limitation::NoStrict));
        let facts = Facts { teaching, items: Some(40), targets_left: 1, ..FACTS };
        assert_eq!(verdict(FailureKind::BadRequest, facts), Verdict::Rewrite);
        let facts = Facts { teaching: None, ..facts };
        assert_eq!(verdict(FailureKind::BadRequest, facts), Verdict::FewerItems);
        assert_eq!(
            verdict(FailureKind::Unauthorized, facts),
            Verdict::NextTarget,
            "not because of the items"
        );
        assert_eq!(
            verdict(FailureKind::BadRequest, Facts { items: Some(MIN_ITEMS), ..facts }),
            Verdict::NextTarget
        );
        let facts = Facts { teaching, rewrites: MAX_REWRITES, ..facts };
        assert_eq!(verdict(FailureKind::BadRequest, facts), Verdict::NextTarget);
    }
}
