//! Errors in the shape of Google's APIs: `{"error":{"code","message","status","details"}}`.
//!
//! The Gemini CLI (0.61) repeats 429 and every 5xx for minutes without a word, and shows everything else at once; also a 429 whose
//! details speak of a quota per day. So it gets 400 for what will not go away by itself; every other client gets the status that
//! says what happened.

use latimer_protocol::failure::{Again, Failure, FailureKind};
use serde_json::{Value, json};

use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::http_error::{HttpError, wait_seconds};

/// How one kind of failure is said.
struct Row {
    /// The HTTP status, and the name Google gives it.
    documented: (u16, &'static str),
    /// The same towards the Gemini CLI.
    cli: (u16, &'static str),
    reason: &'static str,
}

/// What goes away by itself: everybody gets the same.
const fn passing(code: u16, status: &'static str, reason: &'static str) -> Row {
    Row { documented: (code, status), cli: (code, status), reason }
}

/// What lasts: the CLI gets a 400, which it shows at once.
const fn lasting(code: u16, status: &'static str, reason: &'static str) -> Row {
    Row { documented: (code, status), cli: LASTING, reason }
}

const fn row(kind: FailureKind) -> Row {
    match kind {
        FailureKind::BadRequest => passing(400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        // 403, not 401: the client's own key is right, and another one would not help.
        FailureKind::Unauthorized => passing(403, "PERMISSION_DENIED", "UPSTREAM_KEY_INVALID"),
        FailureKind::Forbidden => passing(403, "PERMISSION_DENIED", "UPSTREAM_FORBIDDEN"),
        FailureKind::ModelNotFound => passing(404, "NOT_FOUND", "MODEL_NOT_FOUND"),
        FailureKind::ContextLength => passing(400, "INVALID_ARGUMENT", "CONTEXT_LENGTH_EXCEEDED"),
        FailureKind::RateLimited => passing(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
        FailureKind::ConcurrencyLimited => passing(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
        FailureKind::WindowExhausted => passing(429, "RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED"),
        FailureKind::QuotaExhausted => passing(429, "RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED"),
        FailureKind::Overloaded => passing(503, "UNAVAILABLE", "UPSTREAM_OVERLOADED"),
        FailureKind::UpstreamError => passing(502, "UNAVAILABLE", "UPSTREAM_ERROR"),
        FailureKind::Unreachable => lasting(502, "UNAVAILABLE", "UPSTREAM_UNREACHABLE"),
        FailureKind::Timeout => lasting(504, "DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT"),
        FailureKind::Interrupted => passing(502, "UNAVAILABLE", "UPSTREAM_INTERRUPTED"),
        FailureKind::BrokenCall => lasting(502, "UNAVAILABLE", "UPSTREAM_BROKEN_CALL"),
        FailureKind::TooLarge => lasting(502, "UNAVAILABLE", "UPSTREAM_ANSWER_TOO_LARGE"),
        FailureKind::ShuttingDown => passing(503, "UNAVAILABLE", "PROXY_SHUTTING_DOWN"),
        FailureKind::Internal => lasting(500, "INTERNAL", "INTERNAL_ERROR"),
    }
}

/// Seconds a client is told to wait when the provider did not say.
const DEFAULT_WAIT: u64 = 20;

/// A failure before the answer began. `cli` says that the client is the Gemini CLI.
pub fn failure_error(failure: &Failure, cli: bool) -> HttpError {
    let (status, _) = status(failure, cli);
    let body = failure_body(failure, cli);
    HttpError { status, retry_after: wait(failure, status), again: failure.again, body }
}

/// The error object of a failure, before an answer or in the middle of one.
pub(super) fn failure_body(failure: &Failure, cli: bool) -> String {
    let row = row(failure.kind);
    let (code, status) = status(failure, cli);
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": row.reason,
        "domain": "latimer",
    })];
    if is_used_up(failure.kind) {
        // The words by which the CLI knows that there is no sense in waiting.
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{ "quotaId": "UpstreamAllowancePerDay", "description": failure.message.as_str() }],
        }));
    } else if code == 429
        && let Some(seconds) = wait(failure, code)
    {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{seconds}s"),
        }));
    }
    body(code, status, &failure.message, &details)
}

/// The status of a failure and its name. What latimer has tried in vain lasts, too; the words of an allowance that is used up keep the
/// CLI from asking again.
fn status(failure: &Failure, cli: bool) -> (u16, &'static str) {
    let row = row(failure.kind);
    let is_spent = failure.again == Again::ByNobody && !is_used_up(failure.kind);
    match (cli, row.cli) {
        (false, _) => row.documented,
        (true, (429 | 500.., _)) if is_spent => LASTING,
        (true, row) => row,
    }
}

/// What lasts, for the CLI: a 400, which it shows at once.
const LASTING: (u16, &str) = (400, "FAILED_PRECONDITION");

/// An allowance or a credit: gone for longer than a client waits.
fn is_used_up(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::WindowExhausted | FailureKind::QuotaExhausted)
}

fn wait(failure: &Failure, status: u16) -> Option<u64> {
    let wait = wait_seconds(failure);
    match status {
        429 if is_used_up(failure.kind) => wait,
        429 => Some(wait.unwrap_or(DEFAULT_WAIT).max(1)),
        503 if failure.kind == FailureKind::ShuttingDown => Some(1),
        503 => wait,
        _ => None,
    }
}

/// A request that cannot be read: a 400 that names the field.
pub fn bad_request(error: &BadField) -> HttpError {
    let violation = |field: &String| {
        json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": field, "description": error.message }],
        })
    };
    let details: Vec<Value> = error.path.iter().map(violation).collect();
    let body = body(400, "INVALID_ARGUMENT", &error.message, &details);
    HttpError { status: 400, retry_after: None, again: Again::default(), body }
}

/// Google's names of statuses that the server itself gives.
const STATUSES: [(u16, &str); 9] = [
    (400, "INVALID_ARGUMENT"),
    (401, "UNAUTHENTICATED"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (405, "UNIMPLEMENTED"),
    (408, "DEADLINE_EXCEEDED"),
    (429, "RESOURCE_EXHAUSTED"),
    (500, "INTERNAL"),
    (503, "UNAVAILABLE"),
];

/// An error of the server itself: a model that no endpoint lists, a missing token, a body past its limit.
pub fn server_error(status: u16, message: &str) -> HttpError {
    let known = STATUSES.iter().find(|(known, _)| *known == status).map(|(_, name)| *name);
    let other = if status < 500 { "INVALID_ARGUMENT" } else { "INTERNAL" };
    let body = body(status, known.unwrap_or(other), message, &[]);
    HttpError { status, retry_after: None, again: Again::default(), body }
}

fn body(code: u16, status: &str, message: &str, details: &[Value]) -> String {
    let message = if message.is_empty() { status } else { message };
    let mut error = json!({ "code": code, "message": message, "status": status });
    if !details.is_empty() {
        error["details"] = json!(details);
    }
    json!({ "error": error }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::wire::path::Path;
    use latimer_protocol::gemini::legality;
    use std::time::Duration;

    #[test]
    fn every_kind_is_said_legally_to_everybody() {
        for kind in FailureKind::all() {
            for cli in [true, false] {
                for message in ["lab: words", ""] {
                    let error = failure_error(&Failure::new(kind, message), cli);
                    assert_eq!(legality::check_object(error.body.as_bytes()), Vec::<String>::new());
                    assert!(error.body.contains(&format!("\"code\":{},", error.status)), "{}", error.body);
                }
            }
        }
    }

    #[test]
    fn nobody_is_told_that_its_own_key_is_wrong_when_ours_is() {
        assert_eq!(failure_error(&Failure::new(FailureKind::Unauthorized, "lab: no"), false).status, 403);
    }

    #[test]
    fn waits_are_said_twice_and_rounded_up() {
        let wait = Some(Duration::from_millis(1500));
        let error = failure_error(
            &Failure { retry_after: wait, ..Failure::new(FailureKind::RateLimited, "slow") },
            true,
        );
        assert_eq!((error.status, error.retry_after), (429, Some(2)));
        assert!(error.body.contains("\"retryDelay\":\"2s\""), "{}", error.body);
        let used_up = failure_error(&Failure::new(FailureKind::QuotaExhausted, "no credit"), true);
        assert_eq!(used_up.retry_after, None);
        assert!(used_up.body.contains("PerDay") && !used_up.body.contains("retryDelay"), "{}", used_up.body);
    }

    #[test]
    fn bad_requests_name_their_field() {
        let contents = Path::bracketed("contents");
        let http = bad_request(&BadField::invalid(&contents.index(2).field("role"), "should be a string"));
        assert_eq!(http.status, 400);
        assert!(http.body.contains("\"field\":\"contents[2].role\""), "{}", http.body);
        assert_eq!(legality::check_object(http.body.as_bytes()), Vec::<String>::new());
    }
}
