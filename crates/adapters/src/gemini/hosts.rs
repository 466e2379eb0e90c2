//! Which host is asked: the order, when the next one is tried, and who keeps the accounts. Pure.

use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};

use super::errors;

/// The host that every account has. What is disabled there is disabled.
const PRODUCTION: &str = "://cloudcode-pa.googleapis.com";
/// The pause before the next host when one is full, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The order in which hosts are tried: the one that answered last goes first.
pub(super) fn order<'h>(hosts: &'h [String], last: Option<&str>) -> Vec<&'h str> {
    let mut order: Vec<&str> = hosts.iter().map(String::as_str).collect();
    if let Some(place) = order.iter().position(|host| Some(*host) == last) {
        let host = order.remove(place);
        order.insert(0, host);
    }
    order
}

/// Whether the next host may answer what this one did not. Nothing is gained elsewhere from a request that is wrong, or an
/// account that is not allowed; `last` says that there is no other host.
pub(super) fn tries_next(failure: &Failure, body: &[u8], host: &str, last: bool) -> bool {
    match failure.status {
        _ if last => false,
        None => {
            matches!(failure.kind, FailureKind::Unreachable | FailureKind::Interrupted | FailureKind::Timeout)
        }
        Some(404 | 429) => true,
        Some(403) => errors::contains(body, "service_disabled") && !host.ends_with(PRODUCTION),
        Some(status) => status >= 500,
    }
}

/// How long to wait before the next host, after so many that did not answer: where one is full, the others fill up.
pub(super) fn pause(failure: &Failure, tried: u32) -> Duration {
    let is_full = failure.kind == FailureKind::Overloaded;
    if is_full { FIRST_PAUSE.saturating_mul(tried).min(MAX_PAUSE) } else { Duration::ZERO }
}

/// Who knows the accounts, and who takes new ones on: the host that every account has, else the last in the order, and the
/// first in the order. The order is the configured one: it does not depend on who answered last.
pub(super) fn account_hosts(hosts: &[String]) -> Option<(&str, &str)> {
    let known = hosts.iter().find(|host| host.ends_with(PRODUCTION)).or(hosts.last())?;
    Some((known, hosts.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "https://daily.test";
    const PROD: &str = "https://cloudcode-pa.googleapis.com";

    #[test]
    fn hosts_are_changed_for_what_another_may_do_better() {
        let disabled = r#"{"error":{"message":"m","details":[{"reason":"SERVICE_DISABLED"}]}}"#;
        let cases = [
            (Some(404), FailureKind::ModelNotFound, "", OTHER, true),
            (Some(429), FailureKind::RateLimited, "", OTHER, true),
            (Some(503), FailureKind::Overloaded, "", OTHER, true),
            (Some(500), FailureKind::UpstreamError, "", OTHER, true),
            (None, FailureKind::Unreachable, "", OTHER, true),
            (None, FailureKind::Internal, "", OTHER, false),
            (Some(400), FailureKind::BadRequest, "", OTHER, false),
            (Some(401), FailureKind::Unauthorized, "", OTHER, false),
            (Some(403), FailureKind::Forbidden, "permission", OTHER, false),
            (Some(403), FailureKind::Forbidden, disabled, OTHER, true),
            (Some(403), FailureKind::Forbidden, disabled, PROD, false),
        ];
        for (status, kind, body, host, want) in cases {
            let failure = Failure { status, ..Failure::new(kind, "") };
            assert_eq!(tries_next(&failure, body.as_bytes(), host, false), want, "{status:?} {body} {host}");
            assert!(!tries_next(&failure, body.as_bytes(), host, true), "there is no other");
        }
    }

    #[test]
    fn a_full_host_is_left_slowly() {
        let waits =
            [1, 2, 8, 9].map(|tried| pause(&Failure::new(FailureKind::Overloaded, ""), tried).as_millis());
        assert_eq!(waits, [250, 500, 2000, 2000]);
        assert_eq!(pause(&Failure::new(FailureKind::ModelNotFound, ""), 3), Duration::ZERO);
    }

    #[test]
    fn the_order_of_hosts() {
        let hosts = ["a", "b", "c"].map(str::to_owned);
        for (last, want) in
            [(None, ["a", "b", "c"]), (Some("c"), ["c", "a", "b"]), (Some("gone"), ["a", "b", "c"])]
        {
            assert_eq!(order(&hosts, last), want);
        }
        assert_eq!(account_hosts(&hosts), Some(("c", "a")));
        assert_eq!(account_hosts(&[OTHER, PROD, "x"].map(str::to_owned)), Some((PROD, OTHER)));
        assert_eq!(account_hosts(&[]), None);
    }
}
