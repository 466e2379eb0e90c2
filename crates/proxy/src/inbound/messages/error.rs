//! Errors: failures and bad requests in the shape of the Messages API.
//!
//! Statuses follow what Claude Code was seen to do with each. It repeats 401 for minutes, so a bad key of a provider is a 403,
//! which it shows at once; it sleeps as long as a 429 says, so an allowance that is gone for hours is a 400, whose words it
//! shows as they are; 5xx and 529 it repeats with growing pauses.

use latimer_protocol::failure::{Again, Failure, FailureKind};
use serde_json::json;

use crate::inbound::client_behaviour::ClientBehaviour;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::http_error::{HttpError, final_status, wait_seconds};

/// A request that cannot be read: a 400. `request_id` is how the log names the request, such as `req_01…`.
pub fn bad_request(error: &BadField, request_id: &str) -> HttpError {
    server_error(400, &error.message, request_id)
}

/// How one kind of failure is said.
struct Row {
    /// Before the stream.
    status: u16,
    /// `error.type`, before the stream and in it.
    error_type: &'static str,
}

const fn row(kind: FailureKind) -> Row {
    let (status, error_type) = match kind {
        FailureKind::BadRequest => (400, "invalid_request_error"),
        FailureKind::Unauthorized => (403, "permission_error"),
        FailureKind::Forbidden => (403, "permission_error"),
        FailureKind::ModelNotFound => (404, "not_found_error"),
        FailureKind::ContextLength => (400, "invalid_request_error"),
        FailureKind::RateLimited => (429, "rate_limit_error"),
        FailureKind::ConcurrencyLimited => (429, "rate_limit_error"),
        FailureKind::WindowExhausted => (400, "invalid_request_error"),
        FailureKind::QuotaExhausted => (400, "invalid_request_error"),
        FailureKind::Overloaded => (529, "overloaded_error"),
        FailureKind::UpstreamError => (502, "api_error"),
        FailureKind::Unreachable => (502, "api_error"),
        FailureKind::Timeout => (504, "timeout_error"),
        FailureKind::Interrupted => (502, "api_error"),
        FailureKind::BrokenCall => (502, "api_error"),
        FailureKind::TooLarge => (502, "api_error"),
        FailureKind::ShuttingDown => (503, "overloaded_error"),
        FailureKind::Internal => (500, "api_error"),
    };
    Row { status, error_type }
}

/// `error.type` of statuses that the server itself gives.
const TYPES: [(u16, &str); 10] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (405, "invalid_request_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];

/// Seconds a client is told to wait when the provider did not say. Small: Claude Code asks about ten times.
const DEFAULT_WAIT: u64 = 10;

/// Claude Code knows a full context window by these words, and shortens its history then.
const TOO_LONG: &str = "prompt is too long";

/// A failure before the stream began. `request_id` is how the log names the turn, such as `req_01…`.
pub fn failure_error(failure: &Failure, request_id: &str, client: &ClientBehaviour) -> HttpError {
    let row = row(failure.kind);
    let row = match final_status(row.status, failure, client) {
        status if status == row.status => row,
        // Claude Code repeats whatever calls itself `overloaded_error`.
        status => Row { status, error_type: "invalid_request_error" },
    };
    let wait = wait_seconds(failure);
    let retry_after = match row.status {
        429 => Some(wait.unwrap_or(DEFAULT_WAIT).max(1)),
        503 => Some(1),
        529 => wait,
        _ => None,
    };
    let body = body(row.error_type, &message(failure), request_id);
    HttpError { status: row.status, retry_after, again: failure.again, body }
}

/// An error of the server itself: a wrong path, a missing token, a body past its limit (413).
pub fn server_error(status: u16, message: &str, request_id: &str) -> HttpError {
    let known = TYPES.iter().find(|(known, _)| *known == status).map(|(_, error_type)| *error_type);
    let other = if status < 500 { "invalid_request_error" } else { "api_error" };
    let body = body(known.unwrap_or(other), message, request_id);
    HttpError { status, retry_after: None, again: Again::default(), body }
}

/// `error.type` in a stream.
pub(super) fn stream_type(kind: FailureKind) -> &'static str {
    row(kind).error_type
}

/// `error.message`, before the stream and in it.
pub(super) fn message(failure: &Failure) -> String {
    let known = failure.message.to_ascii_lowercase().contains(TOO_LONG);
    if failure.kind == FailureKind::ContextLength && !known {
        return format!("{TOO_LONG}: {}", failure.message);
    }
    failure.message.to_string()
}

fn body(error_type: &str, message: &str, request_id: &str) -> String {
    json!({ "type": "error", "error": { "type": error_type, "message": message }, "request_id": request_id })
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_behaviour::{ANY_CLIENT, CLAUDE_CODE};
    use crate::inbound::wire::path::Path;
    use serde_json::Value;
    use std::time::Duration;

    #[test]
    fn what_a_client_gets_for_each_failure() {
        let failure = |kind, wait: Option<u64>| Failure {
            retry_after: wait.map(Duration::from_millis),
            ..Failure::new(kind, "lab: words")
        };
        let cases = [
            // The key of a provider is wrong: 401 would be repeated for minutes.
            (FailureKind::Unauthorized, None, 403, None, "permission_error"),
            (FailureKind::RateLimited, Some(1500), 429, Some(2), "rate_limit_error"),
            (FailureKind::RateLimited, None, 429, Some(10), "rate_limit_error"),
            // Hours are nothing to sleep through.
            (FailureKind::WindowExhausted, Some(7_200_000), 400, None, "invalid_request_error"),
            (FailureKind::Overloaded, None, 529, None, "overloaded_error"),
            (FailureKind::Overloaded, Some(3000), 529, Some(3), "overloaded_error"),
            (FailureKind::ShuttingDown, None, 503, Some(1), "overloaded_error"),
            (FailureKind::UpstreamError, None, 502, None, "api_error"),
        ];
        for (kind, wait, status, retry_after, error_type) in cases {
            let error = failure_error(&failure(kind, wait), "req_1", &CLAUDE_CODE);
            assert_eq!((error.status, error.retry_after), (status, retry_after), "{kind:?}");
            let body: Value = serde_json::from_str(&error.body).expect("JSON");
            let want = json!({ "type": "error", "error": { "type": error_type, "message": "lab: words" }, "request_id": "req_1" });
            assert_eq!(body, want, "{kind:?}");
        }
        assert!(
            FailureKind::all().all(|kind| row(kind).status != 401),
            "no provider's 401 reaches a Messages client"
        );
    }

    #[test]
    fn what_was_tried_in_vain_is_not_repeated() {
        for kind in FailureKind::all() {
            let spent = Failure { again: Again::ByNobody, ..Failure::new(kind, "lab: words") };
            let error = failure_error(&spent, "req_1", &CLAUDE_CODE);
            assert!([400, 403, 404].contains(&error.status), "{kind:?}: {}", error.status);
            assert!(error.retry_after.is_none() && !error.body.contains("overloaded_error"), "{kind:?}");
            let documented = failure_error(&spent, "req_1", &ANY_CLIENT);
            assert_eq!(
                (documented.status, documented.again),
                (row(kind).status, Again::ByNobody),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_full_context_window_is_said_in_the_words_clients_know() {
        let written = |words: &str| message(&Failure::new(FailureKind::ContextLength, words.to_owned()));
        assert_eq!(
            written("lab: the history has 300000 tokens"),
            "prompt is too long: lab: the history has 300000 tokens"
        );
        assert_eq!(written("lab: Prompt is too long: 3 > 2"), "lab: Prompt is too long: 3 > 2");
        assert_eq!(message(&Failure::new(FailureKind::BadRequest, "x")), "x");
    }

    #[test]
    fn the_servers_own_refusals() {
        for (status, want) in [
            (401, "authentication_error"),
            (413, "request_too_large"),
            (418, "invalid_request_error"),
            (500, "api_error"),
        ] {
            let error = server_error(status, "no", "req_1");
            let body: Value = serde_json::from_str(&error.body).expect("JSON");
            assert_eq!((error.status, body["error"]["type"].as_str()), (status, Some(want)));
        }
        let at = Path::dotted("messages");
        let bad = BadField::missing(&at.index(0).field("role"), "a string");
        assert_eq!(bad.path.as_deref(), Some("messages.0.role"));
        assert_eq!(bad_request(&bad, "req_1").status, 400);
    }
}
