//! What Codex's words about a failure of its model mean. Pure.
//!
//! `codexErrorInfo` says more than the text where both are there; a text alone is read as every agent's is ([`crate::agents::refusal`]) (fixtures `agents/codex_app_server/errors.jsonl`, `agents/codex_exec/429.jsonl`).

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;

use crate::agents::refusal::Refusal;

/// What `latimer login` calls it.
const LOGIN: &str = "codex";

/// What each name means that carries no status.
const NAMES: [(&str, FailureKind); 20] = [
    ("contextWindowExceeded", FailureKind::ContextLength),
    ("usageLimitExceeded", FailureKind::WindowExhausted),
    ("rateLimitExceeded", FailureKind::RateLimited),
    ("sessionBudgetExceeded", FailureKind::QuotaExhausted),
    ("internalServerError", FailureKind::UpstreamError),
    ("serverOverloaded", FailureKind::Overloaded),
    ("flexUnavailable", FailureKind::Overloaded),
    ("policyCapacityUnavailable", FailureKind::Overloaded),
    ("unauthorized", FailureKind::Unauthorized),
    ("modelNotFound", FailureKind::ModelNotFound),
    ("badRequest", FailureKind::BadRequest),
    ("sandboxError", FailureKind::Forbidden),
    ("cyberPolicy", FailureKind::BadRequest),
    ("bioPolicy", FailureKind::BadRequest),
    ("misalignmentPolicyViolation", FailureKind::BadRequest),
    ("tooManyDenials", FailureKind::BadRequest),
    ("inferenceHookDenied", FailureKind::BadRequest),
    ("responseStreamConnectionFailed", FailureKind::Overloaded),
    ("responseStreamDisconnected", FailureKind::Interrupted),
    ("httpConnectionFailed", FailureKind::Unreachable),
];

/// A failure as the app-server tells it: `{message, codexErrorInfo, additionalDetails}`.
pub fn of_error(error: &Value, endpoint: &str, model: &str) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = match (text("message"), text("additionalDetails")) {
        (message, "") => message.to_owned(),
        (message, details) => format!("{message}: {details}"),
    };
    let info = error.get("codexErrorInfo").unwrap_or(&Value::Null);
    let (name, inner) = match info {
        Value::String(name) => (name.as_str(), &Value::Null),
        Value::Object(map) => {
            map.iter().next().map_or(("", &Value::Null), |(name, inner)| (name.as_str(), inner))
        }
        _ => ("", &Value::Null),
    };
    let status =
        inner.get("httpStatusCode").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let refusal = Refusal { words: &message, status, endpoint, model, login: LOGIN };
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, kind)) if status.is_none() => {
            refusal.with_remedy(Failure::new(*kind, format!("{endpoint}: {message}")))
        }
        _ => refusal.failure(),
    }
}

/// A failure of which there is only a text.
pub fn of_text(message: &str, endpoint: &str, model: &str) -> Failure {
    Refusal { words: message, status: None, endpoint, model, login: LOGIN }.failure()
}

/// Whether a text of Codex says that it does not have a thread: only of `thread/resume`, `thread/fork` and `turn/start`, and never of
/// anything else that speaks of threads or sessions.
pub fn is_stale(method: &str, message: &str) -> bool {
    const WORDS: [&str; 5] =
        ["thread not found", "unknown thread", "no such thread", "no rollout found", "thread_id"];
    let lower = message.to_ascii_lowercase();
    matches!(method, "thread/resume" | "thread/fork" | "turn/start")
        && WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_name_beats_the_text_and_the_status_beats_both() {
        let of = |info: Value, message: &str| {
            let error = json!({ "message": message, "codexErrorInfo": info, "additionalDetails": null });
            of_error(&error, "lab", "m").kind
        };
        let failed = |status: u16| json!({ "httpConnectionFailed": { "httpStatusCode": status } });
        for (info, message, kind) in [
            (failed(401), "session expired", FailureKind::Unauthorized),
            (failed(402), "pay", FailureKind::QuotaExhausted),
            (failed(403), "no", FailureKind::Forbidden),
            (failed(404), "gone", FailureKind::ModelNotFound),
            (failed(503), "busy", FailureKind::Overloaded),
            (
                json!({ "httpConnectionFailed": { "httpStatusCode": null } }),
                "refused",
                FailureKind::Unreachable,
            ),
            (
                json!({ "responseTooManyFailedAttempts": { "httpStatusCode": 429 } }),
                "exceeded retry limit, last status: 429 Too Many Requests",
                FailureKind::RateLimited,
            ),
            (json!("usageLimitExceeded"), "x", FailureKind::WindowExhausted),
            (json!("contextWindowExceeded"), "x", FailureKind::ContextLength),
            (json!("serverOverloaded"), "x", FailureKind::Overloaded),
            (json!("cyberPolicy"), "x", FailureKind::BadRequest),
            (json!("other"), "{\"error\":{\"message\":\"bad\"}}", FailureKind::BadRequest),
            (json!("other"), "stream disconnected before completion: closed", FailureKind::Interrupted),
            (Value::Null, "unexpected status 401 Unauthorized: bad key", FailureKind::Unauthorized),
            (json!("something new"), "a session of a thread failed", FailureKind::UpstreamError),
        ] {
            assert_eq!(of(info.clone(), message), kind, "{info} {message}");
        }
    }

    #[test]
    fn details_follow_the_message() {
        let error = json!({ "message": "Reconnecting", "additionalDetails": "status 503 busy" });
        assert!(of_error(&error, "lab", "m").message.contains("Reconnecting: status 503 busy"));
    }

    #[test]
    fn few_texts_say_that_a_thread_is_gone() {
        for (method, message, is) in [
            ("thread/resume", "no rollout found for thread id 01a", true),
            ("turn/start", "thread not found: 01a", true),
            ("thread/fork", "Unknown thread 01a", true),
            ("turn/steer", "thread not found: 01a", false),
            ("thread/resume", "thread 01a already has an active writer", false),
            ("thread/resume", "invalid session id: x", false),
            ("thread/resume", "the call was not answered", false),
        ] {
            assert_eq!(is_stale(method, message), is, "{method} {message}");
        }
    }
}
