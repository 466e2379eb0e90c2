//! What an agent's words about a failure mean: the one place for all four programs. Pure.
//!
//! An agent tells of its model's refusals in sentences of its own. The HTTP status counts, where one is told beside the words or stands in
//! them; then what the words speak of. Words that speak of nothing known are the provider's failure in just these words, and nobody asks
//! the same agent the same again for them.

use latimer_protocol::failure::{self, Failure, FailureKind};

use crate::errors::{CHECK_KEY, ErrorContext, classify, in_words};

/// What an agent said, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// In its words.
    pub words: &'a str,
    /// The HTTP status of its model, where it tells it beside the words.
    pub status: Option<u16>,
    /// The endpoint's name, for the message.
    pub endpoint: &'a str,
    /// The model that was asked for.
    pub model: &'a str,
    /// What `latimer login` calls the agent.
    pub login: &'a str,
}

/// Before what a status stands in a sentence, in lower case.
const BEFORE_STATUS: [&str; 5] = ["last status", "unexpected status", "api error", "rejected", "status"];

/// What words speak of, in lower case, the surest first. Recorded from Codex 0.169 and 0.171, Claude Code 2.1.197 and opencode 1.18.33 in
/// front of scripted refusals; the words of latimer's own refusals are among them, since its routes may stand behind an agent.
const WORDS: [(FailureKind, &[&str]); 14] = [
    (
        FailureKind::Unauthorized,
        &[
            "not logged in",
            "/login",
            "login required",
            "log in again",
            "please log in",
            "sign in again",
            "failed to authenticate",
            "authentication",
            "unauthorized",
            "wrong key",
            "invalid key",
            "api key",
            "api_key",
            "refresh token",
        ],
    ),
    (
        FailureKind::ContextLength,
        &["context window", "context length", "context_length", "prompt is too long", "maximum context"],
    ),
    (
        FailureKind::ModelNotFound,
        &["issue with the selected model", "model not found", "model_not_found", "ids are case-sensitive"],
    ),
    (FailureKind::QuotaExhausted, &["check your plan and billing", "insufficient_quota", "credit balance"]),
    (FailureKind::WindowExhausted, &["usage limit", "usage_limit", "quota exceeded"]),
    (FailureKind::RateLimited, &["rate limit", "rate_limit", "too many requests"]),
    (FailureKind::Forbidden, &["forbidden", "access denied", "permission_error", "not have access"]),
    (
        FailureKind::BadRequest,
        &["content_filter", "content policy", "content_policy", "usage policy", "leads back to an agent"],
    ),
    (
        FailureKind::Overloaded,
        &["high demand", "at capacity", "overloaded", "server is busy", "service unavailable"],
    ),
    (
        FailureKind::Unreachable,
        &["connection refused", "error sending request", "unable to connect", "econnrefused", "enotfound"],
    ),
    // Of a program that begins anew with all that was said.
    (FailureKind::Interrupted, &["no conversation found", "stream closed before", "connection closed"]),
    (FailureKind::Timeout, &["timed out", "timeout"]),
    (FailureKind::UpstreamError, &["server-side issue", "internal server error", "bad gateway"]),
    (FailureKind::Interrupted, &["stream disconnected", "connection reset", "socket hang up"]),
];

impl Refusal<'_> {
    /// What it means, with the command that mends it where a person has to do something.
    pub fn failure(&self) -> Failure {
        let status = self.status.or_else(|| status_in(self.words));
        // A body that Codex passes on is that of a 400.
        let status = status.or_else(|| self.words.trim_start().starts_with('{').then_some(400));
        let failure = match status {
            Some(status) => self.by_status(status),
            None => self.by_words(),
        };
        self.with_remedy(failure)
    }

    fn by_status(&self, status: u16) -> Failure {
        let context = ErrorContext::new(status, self.words.as_bytes(), self.endpoint, self.model);
        let failure = classify(&context);
        // The address is the agent's affair: what it asks there for and does not find is its model.
        if status == 404 && failure.kind == FailureKind::BadRequest {
            return Failure { kind: FailureKind::ModelNotFound, message: self.message().into(), ..failure };
        }
        failure
    }

    fn by_words(&self) -> Failure {
        let lower = self.words.to_lowercase();
        let known = WORDS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word)));
        if let Some((kind, _)) = known {
            let retry_after = in_words(&lower);
            return Failure { retry_after, ..Failure::new(*kind, self.message()) };
        }
        // What gateways say in front of models that are known by their own words.
        let common = classify(&ErrorContext::new(502, self.words.as_bytes(), self.endpoint, self.model));
        if common.kind != FailureKind::Overloaded {
            return Failure { status: None, ..common };
        }
        let cause = Some(failure::UNEXPLAINED);
        Failure { cause, ..Failure::new(FailureKind::UpstreamError, self.message()) }
    }

    fn message(&self) -> String {
        format!("{}: {}", self.endpoint, self.words)
    }

    /// A refusal that a person mends, with the command, in the place of words about a key that an agent does not have.
    pub fn with_remedy(&self, failure: Failure) -> Failure {
        let Self { endpoint, login, model, .. } = self;
        let remedy = match failure.kind {
            FailureKind::Unauthorized | FailureKind::Forbidden => {
                format!(" (run `latimer login {login} --endpoint {endpoint}`, or check `agent.provider`)")
            }
            FailureKind::ModelNotFound if !failure.message.contains("(asked for model") => {
                format!(" (asked for model `{model}`; see `agent.model` and `agent.provider`)")
            }
            _ => return failure,
        };
        let words = failure.message.as_str().replace(CHECK_KEY, "");
        Failure { message: format!("{words}{remedy}").into(), ..failure }
    }
}

/// The HTTP status in `unexpected status 401 Unauthorized: …`, `API Error: 500 …` or `Request rejected (429)`.
fn status_in(words: &str) -> Option<u16> {
    let lower = words.to_ascii_lowercase();
    BEFORE_STATUS.iter().find_map(|before| {
        let (_, rest) = lower.split_once(before)?;
        let digits: String =
            rest.trim_start_matches([':', ' ', '(']).chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|status| (400..600).contains(status))
    })
}

#[cfg(test)]
mod tests;
