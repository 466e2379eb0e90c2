//! Refusals: failures and bad requests as HTTP answers and as codes inside a stream.
//!
//! Codex retries almost everything and hides some messages, so it gets the status that makes it show the cause once; every
//! other client gets the status the API documents.

use latimer_protocol::failure::{Failure, FailureKind};

use crate::inbound::client_behaviour::ClientBehaviour;
use crate::inbound::wire::http_error::{HttpError, final_status};
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

/// A failure before the stream began.
pub fn failure_error(failure: &Failure, client: &ClientBehaviour) -> HttpError {
    let documented =
        if client.has_own_error_table { row(failure.kind).codex_status } else { status(failure.kind) };
    with_status(failure, final_status(documented, failure, client))
}

/// What the client has seen of an answer when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing of the model's: latimer has tried what it could.
    Nothing,
    /// A part, which nobody but the client can ask for again.
    Part,
}

/// `error.code` of `response.failed`. Codex repeats a turn by this code.
pub(super) fn stream_code(kind: FailureKind, codex: bool, shown: Shown) -> &'static str {
    let row = row(kind);
    match (codex, shown, kind) {
        (false, ..) => row.stream_code,
        (true, Shown::Part, _) | (true, _, FailureKind::ShuttingDown | FailureKind::ContextLength) => {
            row.codex_stream_code
        }
        (true, Shown::Nothing, _) => FINAL,
    }
}

/// The code that ends a turn of Codex with our words.
const FINAL: &str = "invalid_prompt";

/// `error.message` of `response.failed`. Codex reads its delay from the words.
pub(super) fn stream_message(failure: &Failure, codex: bool, shown: Shown) -> String {
    match (failure.kind, failure.retry_after) {
        (FailureKind::RateLimited | FailureKind::ConcurrencyLimited, Some(wait))
            if codex && shown == Shown::Part =>
        {
            format!("{} (try again in {}s)", failure.message, wait.as_secs().max(1))
        }
        _ => failure.message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_behaviour::{ANY_CLIENT, CODEX};
    use std::time::Duration;

    #[test]
    fn codex_is_never_sent_what_it_hides_or_repeats_in_vain() {
        for kind in FailureKind::all() {
            assert!([400, 429, 503].contains(&row(kind).codex_status), "{kind:?}");
            let failure = Failure::new(kind, "lab: words");
            let error = failure_error(&failure, &CODEX);
            assert!(error.body.contains("lab: words"));
            assert_eq!(
                error.status == 429,
                error.retry_after.is_some_and(|wait| wait > 1),
                "a bare 429 ends the turn: {kind:?}"
            );
        }
    }

    #[test]
    fn codex_asks_again_only_for_what_it_has_seen_a_part_of() {
        for kind in FailureKind::all() {
            let code = stream_code(kind, true, Shown::Nothing);
            let ends = [FINAL, "context_length_exceeded"].contains(&code);
            assert_eq!(ends, kind != FailureKind::ShuttingDown, "{kind:?}: {code}");
        }
        assert_eq!(stream_code(FailureKind::Interrupted, true, Shown::Part), "server_error");
        let failure = Failure {
            retry_after: Some(Duration::from_secs(9)),
            ..Failure::new(FailureKind::RateLimited, "slow down")
        };
        assert_eq!(stream_message(&failure, true, Shown::Nothing), "slow down");
        assert_eq!(stream_message(&failure, true, Shown::Part), "slow down (try again in 9s)");
    }

    #[test]
    fn waits_are_rounded_up() {
        let failure = Failure {
            retry_after: Some(Duration::from_millis(1500)),
            ..Failure::new(FailureKind::RateLimited, "slow down")
        };
        assert_eq!(failure_error(&failure, &CODEX).retry_after, Some(2));
        assert_eq!(failure_error(&failure, &ANY_CLIENT).retry_after, Some(2));
    }
}
