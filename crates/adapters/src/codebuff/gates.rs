//! What Codebuff's refusals mean. A gate is told by its status and its code together. Pure.
//!
//! Gates are the vendor's policy: they are reported in its own words, with the real time of their end, and never evaded.

use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;

use crate::errors::{self, ErrorContext};

/// What is done about a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// The session is over: begin another one, once.
    Readmit,
    /// The session is over, and another one must wait for the next request.
    Forget,
    /// It is reported as this kind.
    Report(FailureKind),
}

/// Status, code, meaning.
const GATES: [(u16, &str, Gate); 15] = [
    (428, "waiting_room_required", Gate::Readmit),
    (410, "session_expired", Gate::Readmit),
    (409, "session_model_mismatch", Gate::Readmit),
    (409, "session_superseded", Gate::Forget),
    (409, "session_limit_reached", Gate::Report(FailureKind::WindowExhausted)),
    (429, "session_limit_reached", Gate::Report(FailureKind::WindowExhausted)),
    (429, "waiting_room_queued", Gate::Report(FailureKind::ConcurrencyLimited)),
    (410, "model_unavailable", Gate::Report(FailureKind::ModelNotFound)),
    (429, "rate_limited", Gate::Report(FailureKind::RateLimited)),
    (429, "spend_limited", Gate::Report(FailureKind::WindowExhausted)),
    (429, "ip_capped", Gate::Report(FailureKind::WindowExhausted)),
    (403, "country_blocked", Gate::Report(FailureKind::Forbidden)),
    (403, "banned", Gate::Report(FailureKind::Forbidden)),
    (403, "account_suspended", Gate::Report(FailureKind::Forbidden)),
    (426, "", Gate::Report(FailureKind::RateLimited)),
];

/// Where a refusal came from: each has its own shortest rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiCall {
    Start,
    Session,
    Chat,
}

/// The gate of a refusal, if it is one.
pub(super) fn gate(status: u16, body: &[u8]) -> Option<Gate> {
    let code = code(body).unwrap_or_default();
    GATES
        .iter()
        .find(|(known, name, _)| *known == status && (*name == code || name.is_empty()))
        .map(|row| row.2)
}

/// A refusal as a failure, in the vendor's own words.
pub(super) fn classify(call: ApiCall, context: &ErrorContext<'_>) -> Failure {
    let status = context.status;
    let gate = gate(status, context.body);
    // A session that is over says nothing about the model or the request.
    let is_over = matches!(gate, Some(Gate::Readmit | Gate::Forget));
    let exact = context.with_status(if is_over { 503 } else { status });
    let mut failure = Failure { status: Some(status), ..errors::classify(&exact) };
    match gate {
        Some(Gate::Report(kind)) => failure.kind = kind,
        // Another client of this account has it now. Taking it back at once would throw that one out, and so on for ever.
        Some(Gate::Forget) => failure.kind = FailureKind::ConcurrencyLimited,
        Some(Gate::Readmit) | None => {}
    }
    let needs_wait = matches!(
        failure.kind,
        FailureKind::RateLimited
            | FailureKind::ConcurrencyLimited
            | FailureKind::WindowExhausted
            | FailureKind::QuotaExhausted
    );
    if needs_wait {
        let min_wait = Duration::from_secs(if call == ApiCall::Chat { 120 } else { 0 });
        let default_wait = Duration::from_secs(if call == ApiCall::Start { 60 } else { 120 });
        failure.retry_after = Some(failure.retry_after.map_or(default_wait, |wait| wait.max(min_wait)));
    }
    failure
}

/// The refusal that the state of a session means: newer servers tell some of them with a 200.
pub(super) fn refusal(state: &str) -> Option<u16> {
    GATES.iter().find(|(_, name, _)| !name.is_empty() && *name == state).map(|row| row.0)
}

/// `error.code`, `code`, or a bare `error` that is a code.
fn code(body: &[u8]) -> Option<String> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let places = [value.pointer("/error/code"), value.get("code"), value.get("error"), value.get("status")];
    places.into_iter().flatten().find_map(|place| place.as_str().map(str::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_by_code_and_status() {
        let cases = [
            (428, r#"{"error":"waiting_room_required"}"#, Some(Gate::Readmit)),
            (410, r#"{"error":{"code":"session_expired"}}"#, Some(Gate::Readmit)),
            (410, r#"{"code":"model_unavailable"}"#, Some(Gate::Report(FailureKind::ModelNotFound))),
            (409, r#"{"code":"session_superseded"}"#, Some(Gate::Forget)),
            (400, r#"{"code":"session_expired"}"#, None),
            (426, r#"{"message":"update"}"#, Some(Gate::Report(FailureKind::RateLimited))),
            (500, "", None),
        ];
        for (status, body, want) in cases {
            assert_eq!(gate(status, body.as_bytes()), want, "{status} {body}");
        }
        let limited: &[u8] =
            br#"{"error":"Daily session limit reached. Resets in 29m.","retryAfterMs":1740000}"#;
        let limited_call = |status, body, wait: Option<u64>| {
            ErrorContext::new(status, body, "lab", "m").with_retry_after(wait.map(Duration::from_secs))
        };
        let failure = classify(ApiCall::Session, &limited_call(429, limited, Some(1740)));
        assert_eq!(
            (failure.kind, failure.retry_after),
            (FailureKind::WindowExhausted, Some(Duration::from_secs(1740)))
        );
        assert_eq!(failure.message, "lab: Daily session limit reached. Resets in 29m.");
        let taken = classify(ApiCall::Chat, &limited_call(409, br#"{"code":"session_superseded"}"#, None));
        assert_eq!(
            (taken.kind, taken.retry_after),
            (FailureKind::ConcurrencyLimited, Some(Duration::from_secs(120))),
            "the account rests; another one may answer"
        );
        assert_eq!((refusal("country_blocked"), refusal("active"), refusal("")), (Some(403), None, None));
        let short = classify(ApiCall::Chat, &limited_call(429, b"{}", Some(3)));
        assert_eq!(short.retry_after, Some(Duration::from_secs(120)));
    }
}
