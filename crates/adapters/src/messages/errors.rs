//! What a refusal of this protocol means. Its own `error.type` says more than the status; the words are the common ones.

use latimer_protocol::failure::Failure;
use serde::Deserialize;

use crate::errors::{self, ErrorContext};

/// `error.type`, and the status that goes with it.
const TYPES: [(&str, u16); 10] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 503),
    ("overloaded_error", 529),
];

#[derive(Deserialize)]
struct ErrorEnvelope {
    error: ErrorType,
}

#[derive(Deserialize)]
struct ErrorType {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Turns an answer that is not 2xx into a failure.
pub fn classify(context: &ErrorContext<'_>) -> Failure {
    let status = context.status;
    let by_type = serde_json::from_slice::<ErrorEnvelope>(context.body)
        .ok()
        .and_then(|body| status_of(body.error.kind.as_deref()));
    // A gateway's status may be less exact than the words it passes on; a success is no status for a refusal.
    let exact = by_type.filter(|by_type| *by_type != 400 || !(400..500).contains(&status)).unwrap_or(status);
    Failure { status: Some(status), ..errors::classify(&context.with_status(exact)) }
}

/// An `error` event in a stream.
pub fn stream_error(raw: &str, endpoint: &str, model: &str) -> Failure {
    let error = serde_json::from_str::<ErrorType>(raw).ok();
    let status = error.and_then(|error| status_of(error.kind.as_deref())).unwrap_or(500);
    let body = errors::error_body(raw);
    Failure { status: None, ..errors::classify(&ErrorContext::new(status, &body, endpoint, model)) }
}

fn status_of(kind: Option<&str>) -> Option<u16> {
    TYPES.iter().find(|(name, _)| Some(*name) == kind).map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::failure::FailureKind;

    #[test]
    fn types_say_more_than_statuses() {
        let cases = [
            (
                400,
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum",
                FailureKind::ContextLength,
            ),
            (400, "invalid_request_error", "max_tokens: too large", FailureKind::BadRequest),
            (
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API.",
                FailureKind::QuotaExhausted,
            ),
            (401, "authentication_error", "invalid x-api-key", FailureKind::Unauthorized),
            (403, "permission_error", "not for you", FailureKind::Forbidden),
            (404, "not_found_error", "model: claude-9", FailureKind::ModelNotFound),
            (429, "rate_limit_error", "slow down", FailureKind::RateLimited),
            (
                429,
                "rate_limit_error",
                "This would exceed your account's weekly limit",
                FailureKind::WindowExhausted,
            ),
            (529, "overloaded_error", "Overloaded", FailureKind::Overloaded),
            (500, "overloaded_error", "Overloaded", FailureKind::Overloaded),
            (500, "api_error", "Internal server error", FailureKind::UpstreamError),
            (504, "timeout_error", "too slow", FailureKind::Overloaded),
        ];
        for (status, kind, message, want) in cases {
            let body = serde_json::json!({ "type": "error", "error": { "type": kind, "message": message } });
            let body = body.to_string();
            let failure = classify(&ErrorContext::new(status, body.as_bytes(), "lab", "claude-9"));
            assert_eq!((failure.kind, failure.status), (want, Some(status)), "{status} {message}");
        }
        assert_eq!(
            stream_error(r#"{"type":"overloaded_error","message":"busy"}"#, "lab", "m").kind,
            FailureKind::Overloaded
        );
        assert_eq!(stream_error("7", "lab", "m").kind, FailureKind::UpstreamError);
    }
}
