//! Saying no to a Chat Completions client: as an HTTP answer, or as an object inside a stream.

use latimer_protocol::failure::{Failure, FailureKind};

use crate::inbound::wire::openai_error::{failure_object, status, with_status};

use crate::inbound::client_behaviour::ClientBehaviour;
use crate::inbound::wire::http_error::{HttpError, final_status};

/// A failure before the stream began.
///
/// Clients of this protocol repeat every 429 and 5xx, some of them without an end. So what lasts is said with another 4xx; and a
/// key that the provider refuses is never a 401, which a client would take for its own.
pub fn failure_error(failure: &Failure, client: &ClientBehaviour) -> HttpError {
    let status = match failure.kind {
        FailureKind::Unauthorized | FailureKind::Forbidden => 403,
        FailureKind::QuotaExhausted => 402,
        // The answer is as large the next time.
        FailureKind::TooLarge => 424,
        kind => status(kind),
    };
    with_status(failure, final_status(status, failure, client))
}

/// A failure inside a stream. There is no `choices` beside it: readers that know both shapes would take it for a piece of the
/// answer, and a turn that failed for one that ended well.
pub(super) fn stream_error(failure: &Failure) -> String {
    failure_object(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_behaviour::OPENCODE;
    use serde_json::Value;

    #[test]
    fn what_lasts_is_not_repeated() {
        let cases = [
            (FailureKind::BadRequest, 400),
            (FailureKind::Unauthorized, 403),
            (FailureKind::Forbidden, 403),
            (FailureKind::ModelNotFound, 404),
            (FailureKind::ContextLength, 400),
            (FailureKind::RateLimited, 429),
            (FailureKind::WindowExhausted, 429),
            (FailureKind::QuotaExhausted, 402),
            (FailureKind::Overloaded, 503),
            (FailureKind::UpstreamError, 502),
            (FailureKind::Timeout, 504),
            (FailureKind::TooLarge, 424),
            (FailureKind::ShuttingDown, 503),
            (FailureKind::Internal, 500),
        ];
        for (kind, status) in cases {
            let error = failure_error(&Failure::new(kind, "lab: words"), &OPENCODE);
            assert_eq!(error.status, status, "{kind:?}");
            assert_eq!(
                error.retry_after.is_some(),
                status == 429 || kind == FailureKind::ShuttingDown,
                "{kind:?}"
            );
            let body: Value = serde_json::from_str(&error.body).expect("JSON");
            assert_eq!(body["error"]["message"], "lab: words");
            assert!(body["error"]["type"].is_string() && body["error"]["code"].is_string());
            assert!(body["error"]["param"].is_null() && body.get("choices").is_none());
        }
    }
}
