//! What a failed response means. Its codes say what a status would; the words are the common ones.

use latimer_protocol::failure::Failure;
use latimer_protocol::responses::event::{ResponsesEvent, ResponsesResponse};
use latimer_protocol::turn::FinishReason;
use serde_json::{Value, json};

use crate::errors::{self, ErrorContext};
use crate::reader::ReaderContext;

/// A code or type of an error in a stream, and the status that goes with it.
const CODES: [(&str, u16); 20] = [
    ("invalid_prompt", 400),
    ("invalid_request_error", 400),
    ("context_length_exceeded", 400),
    ("image_content_policy_violation", 400),
    ("content_policy_violation", 400),
    ("content_filter", 400),
    ("cyber_policy", 400),
    ("invalid_image", 400),
    ("invalid_base64_image", 400),
    ("image_too_large", 400),
    ("authentication_error", 401),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("insufficient_quota", 429),
    ("rate_limit_exceeded", 429),
    ("rate_limit_error", 429),
    ("usage_limit_reached", 429),
    ("usage_not_included", 403),
    ("server_is_overloaded", 503),
    ("slow_down", 503),
];

/// The failure of an `error` event, whose fields stand in `error` or flat.
pub(super) fn event(event: &ResponsesEvent<'_>, context: &ReaderContext) -> Failure {
    let flat = || json!({ "code": event.code.some(), "message": event.message.some() }).to_string();
    let error = event.error.map_or_else(flat, |error| error.get().to_owned());
    failure(&error, context)
}

/// The failure of a response that ended as failed. Some servers put the error beside the response, or flat into the event.
pub(super) fn response(
    response: Option<&ResponsesResponse<'_>>,
    event: &ResponsesEvent<'_>,
    context: &ReaderContext,
) -> Failure {
    let inside = response.and_then(|response| response.error);
    let is_flat = event.code.some().or(event.message.some()).is_some();
    match inside.or(event.error).filter(|error| !matches!(error.get(), "null" | "{}" | "\"\"")) {
        Some(error) => failure(error.get(), context),
        None if is_flat => self::event(event, context),
        None => failure("null", context),
    }
}

/// Why a response is incomplete.
pub(super) fn incomplete(response: Option<&ResponsesResponse<'_>>) -> FinishReason {
    let details = response.and_then(|response| response.incomplete_details.0.as_ref());
    match details.and_then(|details| details.reason.some()) {
        Some("content_filter") => FinishReason::ContentFilter,
        _ => FinishReason::Length,
    }
}

fn failure(error: &str, context: &ReaderContext) -> Failure {
    let value = serde_json::from_str::<Value>(error).unwrap_or_default();
    let codes = ["code", "type"].iter().filter_map(|name| value.get(name)?.as_str());
    let status = codes
        .filter_map(|code| CODES.iter().find(|(known, _)| *known == code))
        .map(|(_, status)| *status)
        .next()
        .unwrap_or(500);
    let body = errors::error_body(error);
    let refusal = ErrorContext::new(status, &body, &context.endpoint, &context.model)
        .with_retry_after(errors::retry_after(None, &body, 0));
    Failure { status: None, ..errors::classify(&refusal) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::failure::FailureKind;

    #[test]
    fn codes_say_what_went_wrong() {
        let cases = [
            (r#"{"code":"context_length_exceeded","message":"too long"}"#, FailureKind::ContextLength),
            (
                r#"{"code":"rate_limit_exceeded","message":"Please try again in 1.5s"}"#,
                FailureKind::RateLimited,
            ),
            (
                r#"{"code":"insufficient_quota","message":"You exceeded your current quota"}"#,
                FailureKind::QuotaExhausted,
            ),
            (
                r#"{"type":"usage_limit_reached","message":"limit","resets_in_seconds":3600}"#,
                FailureKind::WindowExhausted,
            ),
            (r#"{"code":"server_error","message":"oops"}"#, FailureKind::UpstreamError),
            (r#"{"code":"server_is_overloaded"}"#, FailureKind::Overloaded),
            ("null", FailureKind::UpstreamError),
        ];
        for (error, want) in cases {
            assert_eq!(failure(error, &ReaderContext::default()).kind, want, "{error}");
        }
    }
}
