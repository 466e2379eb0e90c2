//! Errors as OpenAI's two protocols write them: `{"error": {"message", "type", "param", "code"}}`.
//! Source: the error object of OpenAI's API reference, the same for Responses and Chat Completions.

use latimer_protocol::failure::{Again, Failure, FailureKind};
use serde_json::json;

use super::bad_field::{BadField, Problem};
use super::http_error::{HttpError, wait_seconds};

/// `error.code` of a request that cannot be read.
pub const fn code(problem: Problem) -> &'static str {
    match problem {
        Problem::NotJson => "invalid_json",
        Problem::WrongType => "invalid_type",
        Problem::Missing => "missing_required_parameter",
        Problem::Invalid => "invalid_value",
        Problem::Unsupported => "unsupported_parameter",
        Problem::TooLong => "string_above_max_length",
        Problem::TooMany => "object_above_max_properties",
    }
}

/// A request that cannot be read: a 400.
pub fn bad_request(error: &BadField) -> HttpError {
    let (kind, param, code) = ("invalid_request_error", error.path.as_deref(), code(error.problem));
    let body = error_object(&error.message, kind, param, code);
    HttpError { status: 400, retry_after: None, again: Again::default(), body }
}

/// How one kind of failure is written.
struct Row {
    /// The status the API documents.
    status: u16,
    /// `error.type`.
    error_type: &'static str,
    /// `error.code`.
    code: &'static str,
}

const fn row(kind: FailureKind) -> Row {
    let (status, error_type, code) = match kind {
        FailureKind::BadRequest => (400, "invalid_request_error", "invalid_value"),
        FailureKind::Unauthorized => (502, "upstream_auth_error", "upstream_auth"),
        FailureKind::Forbidden => (502, "upstream_auth_error", "upstream_auth"),
        FailureKind::ModelNotFound => (404, "invalid_request_error", "model_not_found"),
        FailureKind::ContextLength => (400, "invalid_request_error", "context_length_exceeded"),
        FailureKind::RateLimited => (429, "rate_limit_error", "rate_limit_exceeded"),
        FailureKind::ConcurrencyLimited => (429, "rate_limit_error", "rate_limit_exceeded"),
        FailureKind::WindowExhausted => (429, "usage_limit_reached", "usage_limit_reached"),
        FailureKind::QuotaExhausted => (429, "insufficient_quota", "insufficient_quota"),
        FailureKind::Overloaded => (503, "server_error", "upstream_overloaded"),
        FailureKind::UpstreamError => (502, "server_error", "upstream_error"),
        FailureKind::Unreachable => (502, "server_error", "upstream_unreachable"),
        FailureKind::Timeout => (504, "server_error", "upstream_timeout"),
        FailureKind::Interrupted => (502, "server_error", "upstream_error"),
        FailureKind::BrokenCall => (502, "server_error", "upstream_error"),
        FailureKind::TooLarge => (502, "server_error", "upstream_error"),
        FailureKind::ShuttingDown => (503, "server_error", "proxy_shutting_down"),
        FailureKind::Internal => (500, "server_error", "internal_error"),
    };
    Row { status, error_type, code }
}

/// Seconds a client is told to wait when the provider did not say: a 429 without a number ends a Codex turn at once.
const DEFAULT_WAIT: u64 = 20;

/// The status the API documents for this kind of failure.
pub(in crate::inbound) fn status(kind: FailureKind) -> u16 {
    row(kind).status
}

/// A failure before the stream began, with the status that suits the client.
pub(in crate::inbound) fn with_status(failure: &Failure, status: u16) -> HttpError {
    let wait = wait_seconds(failure);
    let retry_after = match status {
        429 => Some(wait.unwrap_or(DEFAULT_WAIT).max(1)),
        503 if failure.kind != FailureKind::ShuttingDown => wait,
        503 => Some(1),
        _ => None,
    };
    let is_made_final = status == 400 && failure.again == Again::ByNobody && row(failure.kind).status != 400;
    let body = if is_made_final {
        // opencode repeats what calls itself a server's error or a limit, whatever its status.
        error_object(&failure.message, "invalid_request_error", None, "attempts_spent")
    } else {
        failure_object(failure)
    };
    HttpError { status, retry_after, again: failure.again, body }
}

/// The error object of a failure.
pub(in crate::inbound) fn failure_object(failure: &Failure) -> String {
    let row = row(failure.kind);
    error_object(&failure.message, row.error_type, None, row.code)
}

/// The error object of these words.
pub(in crate::inbound) fn error_object(
    message: &str,
    error_type: &str,
    param: Option<&str>,
    code: &str,
) -> String {
    json!({ "error": { "message": message, "type": error_type, "param": param, "code": code } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_field_is_named_where_clients_look_for_it() {
        let error = BadField {
            problem: Problem::WrongType,
            path: Some("stream".to_owned()),
            message: "words".to_owned(),
        };
        let error = bad_request(&error);
        assert_eq!(
            (error.status, error.body.as_str()),
            (
                400,
                r#"{"error":{"message":"words","type":"invalid_request_error","param":"stream","code":"invalid_type"}}"#
            )
        );
    }

    #[test]
    fn a_wait_is_said_where_a_client_looks_for_it() {
        let wait = |kind, status| with_status(&Failure::new(kind, "lab: words"), status).retry_after;
        assert_eq!(wait(FailureKind::RateLimited, 429), Some(DEFAULT_WAIT));
        assert_eq!(
            (wait(FailureKind::Overloaded, 503), wait(FailureKind::ShuttingDown, 503)),
            (None, Some(1))
        );
        assert_eq!(wait(FailureKind::BadRequest, 400), None);
    }
}
