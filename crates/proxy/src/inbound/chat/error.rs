//! Saying no to a Chat Completions client: as an HTTP answer, or as an object inside a stream.

use latimer_protocol::failure::{Failure, Kind};

use crate::inbound::wire::openai_error::{failure_object, status, with_status};

use crate::inbound::wire::http_error::HttpError;

/// A failure before the stream began.
///
/// Clients of this protocol repeat every 429 and 5xx, some of them without an end. So what lasts is said with another 4xx; and a
/// key that the provider refuses is never a 401, which a client would take for its own.
pub fn failure_error(failure: &Failure) -> HttpError {
    let status = match failure.kind {
        Kind::Unauthorized | Kind::Forbidden => 403,
        Kind::QuotaExhausted => 402,
        // The answer is as large the next time.
        Kind::TooLarge => 424,
        kind => status(kind),
    };
    with_status(failure, status)
}

/// A failure inside a stream. There is no `choices` beside it: readers that know both shapes would take it for a piece of the
/// answer, and a turn that failed for one that ended well.
pub(super) fn stream_error(failure: &Failure) -> String {
    failure_object(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_lasts_is_not_repeated() {
        let cases = [
            (Kind::BadRequest, 400),
            (Kind::Unauthorized, 403),
            (Kind::Forbidden, 403),
            (Kind::ModelNotFound, 404),
            (Kind::ContextLength, 400),
            (Kind::RateLimited, 429),
            (Kind::WindowExhausted, 429),
            (Kind::QuotaExhausted, 402),
            (Kind::Overloaded, 503),
            (Kind::UpstreamError, 502),
            (Kind::Timeout, 504),
            (Kind::TooLarge, 424),
            (Kind::ShuttingDown, 503),
            (Kind::Internal, 500),
        ];
        for (kind, status) in cases {
            let error = failure_error(&Failure::new(kind, "lab: words"));
            assert_eq!(error.status, status, "{kind:?}");
            assert_eq!(error.retry_after.is_some(), status == 429 || kind == Kind::ShuttingDown, "{kind:?}");
            let body: Value = serde_json::from_str(&error.body).expect("JSON");
            assert_eq!(body["error"]["message"], "lab: words");
            assert!(body["error"]["type"].is_string() && body["error"]["code"].is_string());
            assert!(body["error"]["param"].is_null() && body.get("choices").is_none());
        }
    }
}
