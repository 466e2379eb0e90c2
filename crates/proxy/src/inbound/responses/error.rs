//! Refusals: failures and bad requests as HTTP answers and as codes inside a stream.
//!
//! Codex retries almost everything and hides some messages, so it gets the status that makes it show the cause once; every
//! other client gets the status the API documents.

use latimer_protocol::failure::{Failure, FailureKind};

use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::openai_error::{status, with_status};

/// How one kind of failure is said where the Responses API or Codex differs from what OpenAI documents.
struct Row {
    /// Towards Codex before the stream: the status it shows the message of, with the fewest requests.
    codex_status: u16,
    /// `error.code` of `response.failed`. For Codex `invalid_prompt` ends the turn with our words; `server_error` makes it try again.
    codex_stream_code: &'static str,
    /// The same for clients that accept only the codes the SDK lists.
    stream_code: &'static str,
}

const fn row(kind: FailureKind) -> Row {
    let (codex_status, codex_stream_code, stream_code) = match kind {
        FailureKind::BadRequest => (400, "invalid_prompt", "server_error"),
        FailureKind::Unauthorized => (400, "invalid_prompt", "server_error"),
        FailureKind::Forbidden => (400, "invalid_prompt", "server_error"),
        FailureKind::ModelNotFound => (400, "invalid_prompt", "server_error"),
        FailureKind::ContextLength => (400, "context_length_exceeded", "server_error"),
        FailureKind::RateLimited => (429, "rate_limit_exceeded", "rate_limit_exceeded"),
        FailureKind::ConcurrencyLimited => (429, "rate_limit_exceeded", "rate_limit_exceeded"),
        // 400, not 429: Codex would hide the provider's words behind a text of its own.
        FailureKind::WindowExhausted => (400, "invalid_prompt", "rate_limit_exceeded"),
        FailureKind::QuotaExhausted => (400, "invalid_prompt", "rate_limit_exceeded"),
        FailureKind::Overloaded => (503, "server_error", "server_error"),
        FailureKind::UpstreamError => (503, "server_error", "server_error"),
        FailureKind::Unreachable => (400, "server_error", "server_error"),
        FailureKind::Timeout => (400, "server_error", "server_error"),
        FailureKind::Interrupted => (503, "server_error", "server_error"),
        // The model was asked again: that Codex asks five times more would not make it better.
        FailureKind::BrokenCall => (400, "invalid_prompt", "server_error"),
        FailureKind::TooLarge => (400, "invalid_prompt", "server_error"),
        FailureKind::ShuttingDown => (503, "server_error", "server_error"),
        FailureKind::Internal => (400, "invalid_prompt", "server_error"),
    };
    Row { codex_status, codex_stream_code, stream_code }
}

/// A failure before the stream began. `codex` says that the client is Codex.
pub fn failure_error(failure: &Failure, codex: bool) -> HttpError {
    with_status(failure, if codex { row(failure.kind).codex_status } else { status(failure.kind) })
}

/// `error.code` of `response.failed`.
pub(super) fn stream_code(kind: FailureKind, codex: bool) -> &'static str {
    let row = row(kind);
    if codex { row.codex_stream_code } else { row.stream_code }
}

/// `error.message` of `response.failed`. Codex reads its delay from the words.
pub(super) fn stream_message(failure: &Failure, codex: bool) -> String {
    match (failure.kind, failure.retry_after) {
        (FailureKind::RateLimited | FailureKind::ConcurrencyLimited, Some(wait)) if codex => {
            format!("{} (try again in {}s)", failure.message, wait.as_secs().max(1))
        }
        _ => failure.message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn codex_is_never_sent_what_it_hides_or_repeats_in_vain() {
        for kind in FailureKind::all() {
            assert!([400, 429, 503].contains(&row(kind).codex_status), "{kind:?}");
            let failure = Failure::new(kind, "lab: words");
            let error = failure_error(&failure, true);
            assert!(error.body.contains("lab: words"));
            assert_eq!(
                error.status == 429,
                error.retry_after.is_some_and(|wait| wait > 1),
                "a bare 429 ends the turn: {kind:?}"
            );
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        let failure = Failure {
            retry_after: Some(Duration::from_millis(1500)),
            ..Failure::new(FailureKind::RateLimited, "slow down")
        };
        assert_eq!(failure_error(&failure, true).retry_after, Some(2));
        assert_eq!(failure_error(&failure, false).retry_after, Some(2));
    }
}
