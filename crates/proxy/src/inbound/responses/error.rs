//! Saying no: failures and bad requests as HTTP answers and as codes inside a stream.
//!
//! Codex retries almost everything and hides some messages, so it gets the status that makes it show the cause once; every
//! other client gets the status the API documents.

use latimer_protocol::failure::{Failure, Kind};
use serde_json::json;

/// A request that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    /// `error.code`.
    pub code: &'static str,
    /// The dotted path of the field.
    pub param: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// An HTTP answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// The status.
    pub status: u16,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u64>,
    /// The JSON body.
    pub body: String,
}

/// How one kind of failure is said.
struct Row {
    kind: Kind,
    /// Towards Codex before the stream: the status it shows the message of, with the fewest requests.
    codex_status: u16,
    /// Towards every other client before the stream.
    status: u16,
    /// `error.type`.
    error_type: &'static str,
    /// `error.code` before the stream.
    code: &'static str,
    /// `error.code` of `response.failed`. For Codex `invalid_prompt` ends the turn with our words; `server_error` makes it try again.
    codex_stream_code: &'static str,
    /// The same for clients that accept only the codes the SDK lists.
    stream_code: &'static str,
}

const fn row(
    kind: Kind,
    codex_status: u16,
    status: u16,
    error_type: &'static str,
    code: &'static str,
    codex_stream_code: &'static str,
    stream_code: &'static str,
) -> Row {
    Row { kind, codex_status, status, error_type, code, codex_stream_code, stream_code }
}

const ROWS: [Row; 17] = [
    row(
        Kind::BadRequest,
        400,
        400,
        "invalid_request_error",
        "invalid_value",
        "invalid_prompt",
        "server_error",
    ),
    row(
        Kind::Unauthorized,
        400,
        502,
        "upstream_auth_error",
        "upstream_auth",
        "invalid_prompt",
        "server_error",
    ),
    row(Kind::Forbidden, 400, 502, "upstream_auth_error", "upstream_auth", "invalid_prompt", "server_error"),
    row(
        Kind::ModelNotFound,
        400,
        404,
        "invalid_request_error",
        "model_not_found",
        "invalid_prompt",
        "server_error",
    ),
    row(
        Kind::ContextLength,
        400,
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "context_length_exceeded",
        "server_error",
    ),
    row(
        Kind::RateLimited,
        429,
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_exceeded",
        "rate_limit_exceeded",
    ),
    row(
        Kind::ConcurrencyLimited,
        429,
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_exceeded",
        "rate_limit_exceeded",
    ),
    // 400, not 429: Codex would hide the provider's words behind a text of its own.
    row(
        Kind::WindowExhausted,
        400,
        429,
        "usage_limit_reached",
        "usage_limit_reached",
        "invalid_prompt",
        "rate_limit_exceeded",
    ),
    row(
        Kind::QuotaExhausted,
        400,
        429,
        "insufficient_quota",
        "insufficient_quota",
        "invalid_prompt",
        "rate_limit_exceeded",
    ),
    row(Kind::Overloaded, 503, 503, "server_error", "upstream_overloaded", "server_error", "server_error"),
    row(Kind::UpstreamError, 503, 502, "server_error", "upstream_error", "server_error", "server_error"),
    row(Kind::Unreachable, 400, 502, "server_error", "upstream_unreachable", "server_error", "server_error"),
    row(Kind::Timeout, 400, 504, "server_error", "upstream_timeout", "server_error", "server_error"),
    row(Kind::Interrupted, 503, 502, "server_error", "upstream_error", "server_error", "server_error"),
    row(Kind::TooLarge, 400, 502, "server_error", "upstream_error", "invalid_prompt", "server_error"),
    row(Kind::ShuttingDown, 503, 503, "server_error", "proxy_shutting_down", "server_error", "server_error"),
    row(Kind::Internal, 400, 500, "server_error", "internal_error", "invalid_prompt", "server_error"),
];

/// What a client is told to wait when the provider did not say: a 429 without a number ends a Codex turn at once.
const DEFAULT_WAIT: u64 = 20;

fn find(kind: Kind) -> &'static Row {
    // The last row is that of `Internal`; a test checks that every kind has its own.
    ROWS.iter().find(|row| row.kind == kind).unwrap_or(&ROWS[ROWS.len() - 1])
}

/// A failure before the stream began.
pub fn http_error(failure: &Failure, codex: bool) -> HttpError {
    let row = find(failure.kind);
    with_status(failure, if codex { row.codex_status } else { row.status })
}

/// A failure before the stream began, with a status that another protocol chose.
pub(in crate::inbound) fn with_status(failure: &Failure, status: u16) -> HttpError {
    let asked = failure.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    let retry_after = match status {
        429 => Some(asked.unwrap_or(DEFAULT_WAIT).max(1)),
        503 if failure.kind != Kind::ShuttingDown => asked,
        503 => Some(1),
        _ => None,
    };
    HttpError { status, retry_after, body: error_body(failure) }
}

/// The status the API documents.
pub(in crate::inbound) fn status(kind: Kind) -> u16 {
    find(kind).status
}

/// A failure as OpenAI's protocols write it: `{"error": {…}}`.
pub(in crate::inbound) fn error_body(failure: &Failure) -> String {
    let row = find(failure.kind);
    body(&failure.message, row.error_type, None, row.code)
}

/// True for a failure that may be gone a little later, so that the client should ask again on its own.
pub fn is_passing(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::Overloaded | Kind::UpstreamError | Kind::Interrupted)
}

/// `error.code` of `response.failed`.
pub(super) fn stream_code(kind: Kind, codex: bool) -> &'static str {
    let row = find(kind);
    if codex { row.codex_stream_code } else { row.stream_code }
}

/// `error.message` of `response.failed`. Codex reads its delay from the words.
pub(super) fn stream_message(failure: &Failure, codex: bool) -> String {
    match (failure.kind, failure.retry_after) {
        (Kind::RateLimited | Kind::ConcurrencyLimited, Some(wait)) if codex => {
            format!("{} (try again in {}s)", failure.message, wait.as_secs().max(1))
        }
        _ => failure.message.clone(),
    }
}

impl From<RequestError> for HttpError {
    fn from(error: RequestError) -> Self {
        Self {
            status: 400,
            retry_after: None,
            body: body(&error.message, "invalid_request_error", error.param.as_deref(), error.code),
        }
    }
}

pub(in crate::inbound) fn body(message: &str, error_type: &str, param: Option<&str>, code: &str) -> String {
    json!({ "error": { "message": message, "type": error_type, "param": param, "code": code } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_kind_has_its_row() {
        for kind in Kind::all() {
            assert_eq!(ROWS.iter().filter(|row| row.kind == kind).count(), 1, "{kind:?}");
            assert_eq!(find(kind).kind, kind);
        }
    }

    #[test]
    fn codex_is_never_sent_what_it_hides_or_repeats_in_vain() {
        for row in &ROWS {
            assert!([400, 429, 503].contains(&row.codex_status), "{:?}", row.kind);
            let failure = Failure::new(row.kind, "lab: words");
            let error = http_error(&failure, true);
            assert!(error.body.contains("lab: words"));
            assert_eq!(
                error.status == 429,
                error.retry_after.is_some_and(|wait| wait > 1),
                "a bare 429 ends the turn: {:?}",
                row.kind
            );
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        let failure = Failure {
            retry_after: Some(Duration::from_millis(1500)),
            ..Failure::new(Kind::RateLimited, "slow down")
        };
        assert_eq!(http_error(&failure, true).retry_after, Some(2));
        assert_eq!(http_error(&failure, false).retry_after, Some(2));
    }
}
