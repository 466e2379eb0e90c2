//! From a structured line of the proxy's log to a fault: tables over codes, never over English.

use latimer_protocol::status::Fault;

use crate::pattern::{Fact, Pattern, status_class};
use crate::signal::ProxyEvent;

/// Events that are a fault whatever else they hold.
const BY_EVENT: [(&str, Fault); 7] = [
    ("learned.corrupt", Fault::LearnedStateCorrupt),
    ("routes.none", Fault::AllRoutesResting),
    ("account.not_refreshed", Fault::LoginExpiring),
    ("account.broken", Fault::LoginExpiring),
    ("repair.unknown_format", Fault::CallNotFound),
    ("repair.loop", Fault::RepetitionLoop),
    ("request.panicked", Fault::ProxyCrashed),
];

/// Finer causes, which go before the kind of failure.
const BY_CAUSE: [(&str, Fault); 20] = [
    ("tls", Fault::CertificateRejected),
    ("certificate", Fault::CertificateRejected),
    ("dns", Fault::NameUnresolved),
    ("resolver", Fault::NameUnresolved),
    ("upgrade_required", Fault::ClientVersionRefused),
    ("bot_filter", Fault::BotFilter),
    ("bare_explore", Fault::BareExplore),
    ("explore", Fault::BareExplore),
    ("escalation", Fault::EscalationRequest),
    ("unknown_format", Fault::CallNotFound),
    ("double_wrapped", Fault::WrappedCommand),
    ("unescaped_twice", Fault::WrappedCommand),
    ("suspicious", Fault::SuspiciousCommand),
    ("suspicious_command", Fault::SuspiciousCommand),
    ("empty_command", Fault::EmptyCommand),
    ("lone_brace", Fault::LoneBrace),
    ("bash_without_command", Fault::BashWithoutCommand),
    ("parameter_spelling", Fault::ParameterSpelling),
    ("loop", Fault::RepetitionLoop),
    ("all_resting", Fault::AllRoutesResting),
];

/// Kinds of failure: code, status (0 for any), fault. The first row that fits wins. A kind without a row is no fault: a
/// request that could not be answered by anybody, a stop.
const BY_FAILURE: [(&str, u16, Fault); 17] = [
    ("rate_limited", 0, Fault::RateLimited),
    ("concurrency_limited", 0, Fault::RateLimited),
    ("window_exhausted", 0, Fault::RateLimited),
    ("quota_exhausted", 0, Fault::RateLimited),
    ("unauthorized", 0, Fault::KeyRefused),
    ("forbidden", 426, Fault::ClientVersionRefused),
    ("forbidden", 0, Fault::KeyRefused),
    ("overloaded", 500, Fault::ServerError),
    ("overloaded", 0, Fault::NoCapacity),
    ("upstream_error", 0, Fault::ServerError),
    ("unreachable", 0, Fault::ProviderUnreachable),
    ("timeout", 0, Fault::ProviderUnreachable),
    ("interrupted", 0, Fault::StreamInterrupted),
    ("bad_request", 400, Fault::RequestRefused),
    ("bad_request", 422, Fault::RequestRefused),
    ("context_length_exceeded", 0, Fault::ContextTooLong),
    ("internal", 0, Fault::ProxyCrashed),
];

/// Which limit a 429 named.
const LIMITS: [(&str, &str); 4] = [
    ("rate_limited", "burst"),
    ("concurrency_limited", "concurrency"),
    ("window_exhausted", "window"),
    ("quota_exhausted", "balance"),
];

/// The fault that a line of the proxy's log stands for, with its facts.
pub(super) fn classify(event: &ProxyEvent) -> Option<Pattern> {
    let failure = event.failure.as_deref();
    let cause = event.cause.as_deref();
    let status = event.status.unwrap_or(0);
    let by_cause = || BY_CAUSE.iter().find(|row| cause == Some(row.0)).map(|row| row.1);
    let by_event = || BY_EVENT.iter().find(|row| event.event == row.0).map(|row| row.1);
    let by_failure = || {
        let fits = |row: &&(&str, u16, Fault)| failure == Some(row.0) && (row.1 == 0 || row.1 == status);
        BY_FAILURE.iter().find(fits).map(|row| row.2)
    };
    let left = || (event.finish.as_deref() == Some("client_left")).then_some(Fault::ClientLeft);
    let fault = event.fault.or_else(by_cause).or_else(by_event).or_else(by_failure).or_else(left)?;
    let limit =
        LIMITS.iter().find(|row| fault == Fault::RateLimited && failure == Some(row.0)).map(|row| row.1);
    // The facts that tell two incidents of this group apart; the others would only scatter the counts.
    let (class, dialect) = match fault.group() {
        'B' => (event.status.map(status_class), None),
        'C' => (None, event.dialect.as_deref()),
        _ => (None, None),
    };
    let pattern = Pattern::new(fault)
        .maybe(Fact::Endpoint, event.endpoint.as_deref())
        .maybe(Fact::Status, class.as_deref())
        .maybe(Fact::Dialect, dialect)
        .maybe(Fact::Limit, limit);
    Some(match (fault, event.fault, failure) {
        // A request that failed inside is no crash of the process, and a login's name is its endpoint.
        (Fault::ProxyCrashed, None, _) => pattern.with(Fact::Check, "request"),
        // About its own process a log is hearsay: a process that writes lives.
        (
            Fault::ProxyGone
            | Fault::PortTaken
            | Fault::ProxyMemoryHigh
            | Fault::ProxyUnresponsive
            | Fault::ProxyCrashed,
            Some(_),
            _,
        ) => pattern.with(Fact::Check, "log"),
        (Fault::LoginExpiring, ..) => pattern.maybe(Fact::Cause, event.account.as_deref()),
        _ => pattern,
    })
}

/// A turn that worked: what counts in a row for its endpoint begins again.
pub(super) fn is_success(event: &ProxyEvent) -> bool {
    let good = ["stop", "tool_calls", "length"];
    event.event == "turn.done"
        && event.failure.is_none()
        && event.finish.as_deref().is_some_and(|it| good.contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(failure: &str, status: u16, cause: &str) -> ProxyEvent {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ProxyEvent {
            event: "turn.retry".to_owned(),
            failure: text(failure),
            cause: text(cause),
            status: (status > 0).then_some(status),
            endpoint: text("kimi"),
            ..ProxyEvent::default()
        }
    }

    #[test]
    fn codes_are_faults() {
        let cases = [
            ("rate_limited", 429, "", "B1 endpoint=kimi status=429 limit=burst"),
            ("quota_exhausted", 402, "", "B1 endpoint=kimi status=4xx limit=balance"),
            ("upstream_error", 500, "", "B2 endpoint=kimi status=5xx"),
            ("unauthorized", 401, "", "B3 endpoint=kimi status=401"),
            ("forbidden", 403, "upgrade_required", "B4 endpoint=kimi status=403"),
            ("forbidden", 403, "bot_filter", "B10 endpoint=kimi status=403"),
            ("forbidden", 403, "", "B3 endpoint=kimi status=403"),
            ("unreachable", 0, "", "B5 endpoint=kimi"),
            ("unreachable", 0, "tls", "A6 endpoint=kimi"),
            ("unreachable", 0, "dns", "A7 endpoint=kimi"),
            ("interrupted", 0, "", "B6 endpoint=kimi"),
            ("bad_request", 400, "", "B8 endpoint=kimi status=4xx"),
            ("overloaded", 503, "", "B9 endpoint=kimi status=5xx"),
            ("context_length_exceeded", 400, "", "D5 endpoint=kimi"),
            ("internal", 0, "", "A5 endpoint=kimi check=request"),
            ("", 0, "bare_explore", "C1 endpoint=kimi"),
        ];
        for (failure, status, cause, want) in cases {
            let pattern = classify(&event(failure, status, cause)).map(|pattern| pattern.to_string());
            assert_eq!(pattern.as_deref(), Some(want), "{failure} {status} {cause}");
        }
        for harmless in ["shutting_down", "model_not_found", "bad_request", "no such code", ""] {
            assert_eq!(classify(&event(harmless, 404, "")), None, "{harmless}");
        }
    }

    #[test]
    fn a_named_fault_goes_before_everything() {
        let named = ProxyEvent {
            fault: Some(Fault::LoneBrace),
            dialect: Some("dsml".to_owned()),
            ..event("timeout", 0, "tls")
        };
        assert_eq!(classify(&named).expect("a fault").to_string(), "C7 endpoint=kimi dialect=dsml");
    }

    #[test]
    fn tables_name_each_code_once() {
        for table in [BY_EVENT.as_slice(), BY_CAUSE.as_slice()] {
            for row in table {
                assert_eq!(table.iter().filter(|other| other.0 == row.0).count(), 1, "{}", row.0);
            }
        }
        let mut seen = Vec::new();
        for row in BY_FAILURE {
            assert!(!seen.contains(&(row.0, 0)), "{} is never reached", row.0);
            seen.push((row.0, row.1));
        }
    }
}
