//! What went wrong, whose fault it is, and what to try next.
//!
//! An adapter classifies its own errors into a [`FailureKind`]; routing reads only [`Failure::retry`]; each client protocol turns
//! the kind into its own status and error shape. The message is for the person at the terminal and never holds user text
//! or a credential.

use std::time::Duration;

use crate::secret::CleanText;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The request cannot be answered as it was sent.
    Client,
    /// The provider refused or broke.
    Upstream,
    /// Nothing reached the provider, or the way back broke.
    Network,
    /// latimer itself.
    Ours,
}

/// What may be tried next. Only ever acted on before the client saw anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again gives the same answer.
    Never,
    /// The same key may work a little later.
    Same,
    /// Another key of the pool may work now; the same key may work later.
    NextKey,
    /// Another key of the pool may work; this one will not.
    OtherKeyOnly,
}

/// Who may ask the same again, once a failure reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Again {
    /// The client may: nobody has tried again yet, or it waits as long as the provider asked for.
    #[default]
    ByClient,
    /// Nobody: latimer has spent its own attempts, and the client's would be so many times as many.
    ByNobody,
}

/// The kinds of failure there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The provider calls the request malformed (400, 404 path, 409, 413, 422).
    BadRequest,
    /// The key is missing, wrong or not allowed here (401).
    Unauthorized,
    /// The key is right but the plan, region or client is not (403).
    Forbidden,
    /// The provider does not know the model (404, 410).
    ModelNotFound,
    /// The history is longer than the model's context window.
    ContextLength,
    /// Too many requests in a short time (429): gone after seconds.
    RateLimited,
    /// Too many requests at once (429): gone when one of them ends.
    ConcurrencyLimited,
    /// The allowance of a window (an hour, a day, a week) is used up (429): gone when the window ends.
    WindowExhausted,
    /// Credit is used up (402, some 429): gone when somebody pays.
    QuotaExhausted,
    /// The provider is busy (503, 529).
    Overloaded,
    /// The provider broke (5xx, an answer that is not its protocol).
    UpstreamError,
    /// No connection could be made: refused, DNS, TLS.
    Unreachable,
    /// A limit on connecting, on the first byte or on silence ran out.
    Timeout,
    /// The answer ended before the provider said it was finished.
    Interrupted,
    /// The model made a call whose arguments are no JSON object, and the same when it was asked again.
    BrokenCall,
    /// The answer broke a stated limit (line, header or total size).
    TooLarge,
    /// latimer is shutting down.
    ShuttingDown,
    /// A bug of latimer.
    Internal,
}

impl FailureKind {
    /// Every kind there is.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::BadRequest,
            Self::Unauthorized,
            Self::Forbidden,
            Self::ModelNotFound,
            Self::ContextLength,
            Self::RateLimited,
            Self::ConcurrencyLimited,
            Self::WindowExhausted,
            Self::QuotaExhausted,
            Self::Overloaded,
            Self::UpstreamError,
            Self::Unreachable,
            Self::Timeout,
            Self::Interrupted,
            Self::BrokenCall,
            Self::TooLarge,
            Self::ShuttingDown,
            Self::Internal,
        ]
        .into_iter()
    }

    /// Who is to blame, and what to try next.
    const fn row(self) -> (Blame, Retry) {
        match self {
            Self::BadRequest => (Blame::Client, Retry::Never),
            Self::Unauthorized => (Blame::Upstream, Retry::OtherKeyOnly),
            Self::Forbidden => (Blame::Upstream, Retry::OtherKeyOnly),
            Self::ModelNotFound => (Blame::Client, Retry::Never),
            Self::ContextLength => (Blame::Client, Retry::Never),
            Self::RateLimited => (Blame::Upstream, Retry::NextKey),
            Self::ConcurrencyLimited => (Blame::Upstream, Retry::NextKey),
            Self::WindowExhausted => (Blame::Upstream, Retry::OtherKeyOnly),
            Self::QuotaExhausted => (Blame::Upstream, Retry::OtherKeyOnly),
            Self::Overloaded => (Blame::Upstream, Retry::NextKey),
            Self::UpstreamError => (Blame::Upstream, Retry::Same),
            Self::Unreachable => (Blame::Network, Retry::Same),
            Self::Timeout => (Blame::Network, Retry::Never),
            Self::Interrupted => (Blame::Network, Retry::Same),
            Self::BrokenCall => (Blame::Upstream, Retry::Never),
            Self::TooLarge => (Blame::Upstream, Retry::Never),
            Self::ShuttingDown => (Blame::Ours, Retry::Never),
            Self::Internal => (Blame::Ours, Retry::Never),
        }
    }

    /// The name used in logs, the same for every release.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ModelNotFound => "model_not_found",
            Self::ContextLength => "context_length_exceeded",
            Self::RateLimited => "rate_limited",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::WindowExhausted => "window_exhausted",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::UpstreamError => "upstream_error",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::BrokenCall => "broken_call",
            Self::TooLarge => "too_large",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }
}

/// One failure, ready to be routed on, shown to a person, or written in a client's protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// One or two sentences for the person at the terminal; cleaned of markup and credentials, at most 2 kB.
    pub message: CleanText,
    /// The provider's HTTP status, when it answered with one.
    pub status: Option<u16>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// A finer code of the cause, where one is known: `tls`, `dns`, `upgrade_required`, `bot_filter`.
    pub cause: Option<&'static str>,
    /// Who may ask the same again.
    pub again: Again,
}

/// The cause of a failure for want of room: waiting is what the client does next, not the proxy.
pub const QUEUE_FULL: &str = "queue_full";
/// The cause of a failure that lasts until a person does something on this machine.
pub const NOT_INSTALLED: &str = "not_installed";
/// The cause of a failure in an agent's words that say nothing known: the same agent would do the same work again for the same words.
pub const UNEXPLAINED: &str = "unexplained";
/// The cause of a failure of an agent that had begun to act: nobody may do the same again unasked.
pub const HAS_ACTED: &str = "has_acted";

impl Failure {
    /// The same, of an agent that had begun to act.
    #[must_use]
    pub fn not_again(self) -> Self {
        Self { cause: Some(HAS_ACTED), ..self }
    }

    /// Whether asking the same upstream at once is pointless.
    pub fn is_for_later(&self) -> bool {
        matches!(self.cause, Some(QUEUE_FULL | NOT_INSTALLED | UNEXPLAINED | HAS_ACTED))
    }

    /// Whether what was asked has been done in part, so that nobody else may be asked either.
    pub fn has_acted(&self) -> bool {
        self.cause == Some(HAS_ACTED)
    }

    /// A failure of this kind with this message.
    pub fn new(kind: FailureKind, message: impl Into<CleanText>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            retry_after: None,
            cause: None,
            again: Again::default(),
        }
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        self.kind.row().0
    }

    /// What may be tried next, before the client saw anything.
    pub fn retry(&self) -> Retry {
        self.kind.row().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_the_last_kind_is_among_all() {
        let codes: BTreeSet<_> = FailureKind::all().map(FailureKind::code).collect();
        // The kinds are numbered from zero, so a kind that `all` leaves out shows here.
        assert_eq!(codes.len(), FailureKind::Internal as usize + 1);
    }
}
