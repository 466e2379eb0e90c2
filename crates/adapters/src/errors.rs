//! What a provider's refusal means: status, body and headers to a [`Failure`]. Pure; the wordings are tables.

pub(crate) mod foreign;
mod overflow;
pub mod tokens;
mod waits;
mod words;

pub(crate) use tokens::has as has_word;
pub(crate) use waits::length;
pub use waits::{in_words, retry_after};
pub use words::RefusalWords;
pub(crate) use words::explanation;

use std::time::Duration;

use latimer_protocol::failure::{Again, Failure, FailureKind};
use serde_json::Value;

/// Wordings of too many requests at once, in lower case; 1302 is Z.ai's code.
const CONCURRENCY: [&str; 6] =
    ["concurren", "simultaneous", "parallel requests", "in flight", "requests at the same time", "\"1302\""];

/// Wordings of an allowance that comes back by itself, in lower case; 1304 and 1308 are Z.ai's codes.
const WINDOW: [&str; 15] = [
    "usage_limit_reached",
    "usage limit",
    "session limit",
    "daily limit",
    "weekly limit",
    "hourly limit",
    "per day",
    "perday",
    "free-models-per-day",
    "quota will reset",
    "quotaresetdelay",
    "limit resets",
    "resets in",
    "\"1304\"",
    "\"1308\"",
];
/// A longer wait is no burst.
const LONG_WAIT: Duration = Duration::from_secs(300);

/// Wordings of used-up credit, in lower case; 1113 is Z.ai's code.
const QUOTA: [&str; 18] = [
    "insufficient_quota",
    "insufficient balance",
    "insufficient_balance",
    "insufficient credit",
    "insufficient funds",
    "exceeded your current quota",
    "out of credits",
    "credit balance is too low",
    "balance is not enough",
    "not enough balance",
    "no balance",
    "account balance",
    "\"1113\"",
    "payment required",
    "requires more credits",
    "arrearage",
    "余额不足",
    "欠费",
];

/// Wordings of an unknown model, in lower case.
const MODEL: [&str; 11] = [
    "model_not_found",
    "model not found",
    "model does not exist",
    "model not exist",
    "unknown model",
    "no such model",
    "is not a valid model",
    "invalid model",
    "unsupported model",
    "模型不存在",
    "model is not found",
];

/// Wordings of a key that is not taken, in lower case.
const KEY: [&str; 12] = [
    "invalid_api_key",
    "invalid api key",
    "incorrect api key",
    "api key is invalid",
    "api key not valid",
    "invalid x-api-key",
    "authentication_error",
    "authentication failed",
    "unauthorized",
    "invalid token",
    "鉴权失败",
    "无效的令牌",
];

/// Wordings of too many requests or tokens in a short time, in lower case.
const RATE: [&str; 7] =
    ["rate limit", "rate_limit", "too many requests", "per minute", "请求过于频繁", "限流", "请求频率"];

/// Wordings of a request that is refused for what it says, in lower case; 1301 is Z.ai's code.
const POLICY: [&str; 15] = [
    "content_policy",
    "content policy",
    "content_filter",
    "content management policy",
    "responsible ai",
    "responsibleai",
    "usage policy",
    "cyber_policy",
    "data_inspection_failed",
    "inappropriate content",
    "flagged as potentially violating",
    "prohibited_content",
    "\"1301\"",
    "敏感",
    "违规",
];

/// Wordings of a request that will be refused as often as it is sent, in lower case.
const INVALID: [&str; 9] = [
    "invalid_request_error",
    "invalid request",
    "invalid param",
    "invalid_param",
    "invalid argument",
    "parameters are wrong",
    "parameter is wrong",
    "bad request",
    "参数错误",
];

/// Status to kind, where the words do not say better.
const STATUS: [(u16, FailureKind); 14] = [
    (400, FailureKind::BadRequest),
    (401, FailureKind::Unauthorized),
    (402, FailureKind::QuotaExhausted),
    (403, FailureKind::Forbidden),
    (404, FailureKind::BadRequest),
    (408, FailureKind::Timeout),
    (409, FailureKind::BadRequest),
    (410, FailureKind::ModelNotFound),
    (413, FailureKind::BadRequest),
    (422, FailureKind::BadRequest),
    (429, FailureKind::RateLimited),
    (502, FailureKind::Overloaded),
    (503, FailureKind::Overloaded),
    (529, FailureKind::Overloaded),
];

/// Refusals that a person has to know apart: status, words, code.
const CAUSES: [(u16, &str, &str); 4] = [
    (403, "upgrade_required", "upgrade_required"),
    (426, "", "upgrade_required"),
    (403, "error code: 1010", "bot_filter"),
    (403, "error 1010", "bot_filter"),
];

/// What to do about a key that is not taken.
pub(crate) const CHECK_KEY: &str = " (check the endpoint's api_key)";

/// A refusal and what is known of the request: all that a protocol needs to say what it means.
#[derive(Debug, Clone, Copy)]
pub struct ErrorContext<'a> {
    /// The HTTP status, or the one that an error's own code stands for.
    pub status: u16,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// The body of the refusal, as far as it was read.
    pub body: &'a [u8],
    /// The endpoint's name, for the message.
    pub endpoint: &'a str,
    /// The model that was asked for; empty where none was.
    pub model: &'a str,
}

impl<'a> ErrorContext<'a> {
    /// A refusal that names no wait.
    pub fn new(status: u16, body: &'a [u8], endpoint: &'a str, model: &'a str) -> Self {
        Self { status, retry_after: None, body, endpoint, model }
    }

    /// The same with another status: the one that the refusal's own code stands for.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with the wait that the provider asked for.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }
}

/// How a protocol turns a refusal into a failure: [`classify`], or the function of the same name in its own `errors` module.
pub type Classify = fn(&ErrorContext<'_>) -> Failure;

/// Turns an answer that is not 2xx into a failure, by its status and the common wordings.
pub fn classify(context: &ErrorContext<'_>) -> Failure {
    let words = RefusalWords::of(&String::from_utf8_lossy(context.body));
    classify_words(context, words)
}

/// The same for words that were read already.
fn classify_words(context: &ErrorContext<'_>, words: RefusalWords) -> Failure {
    let ErrorContext { status, retry_after, endpoint, model, .. } = *context;
    let lower = words.lower();
    let retry_after = retry_after.or_else(|| if status == 429 { in_words(&lower) } else { None });
    let long = retry_after.is_some_and(|wait| wait > LONG_WAIT);
    let has = |table: &[&str]| table.iter().any(|wording| lower.contains(wording));
    let by_status = STATUS.iter().find(|(known, _)| *known == status).map(|(_, kind)| *kind);
    let kind = match (status, by_status) {
        _ if overflow::is_overflow(status, &words) => FailureKind::ContextLength,
        (400 | 402 | 403 | 429 | 500 | 502, _) if has(&QUOTA) => FailureKind::QuotaExhausted,
        (400 | 403 | 422 | 500 | 502, _) if has(&POLICY) => FailureKind::BadRequest,
        (429, _) if long || has(&WINDOW) => FailureKind::WindowExhausted,
        (429, _) if has(&CONCURRENCY) => FailureKind::ConcurrencyLimited,
        (404, _) if has(&MODEL) || lower.contains("model") => FailureKind::ModelNotFound,
        (400 | 500 | 502, _) if has(&MODEL) => FailureKind::ModelNotFound,
        // Gateways and streams have these for what others refuse with a status of its own.
        (500 | 502, _) if has(&KEY) => FailureKind::Unauthorized,
        (500 | 502, _) if has(&RATE) => FailureKind::RateLimited,
        (500 | 502, _) if has(&INVALID) => FailureKind::BadRequest,
        (_, Some(kind)) => kind,
        (500..=599, None) => FailureKind::UpstreamError,
        (300..=399, None) => FailureKind::UpstreamError,
        _ => FailureKind::BadRequest,
    };
    let hint = hint(status, kind, &lower, model);
    let code = || words.codes.iter().find(|code| code.parse::<u64>().is_err());
    let shown = match (words.message.is_empty(), code()) {
        (false, _) => words.message,
        (true, Some(code)) => format!("{code} (without a message)"),
        (true, None) => format!("HTTP {status} without a message"),
    };
    let cause = CAUSES.iter().find(|(known, word, _)| *known == status && lower.contains(word));
    Failure {
        kind,
        message: format!("{endpoint}: {shown}{hint}").into(),
        status: Some(status),
        retry_after,
        cause: cause.map(|(_, _, code)| *code),
        again: Again::default(),
    }
}

/// Whether a refusal in lower case is for what a request says.
pub(crate) fn is_policy(lower: &str) -> bool {
    POLICY.iter().any(|wording| lower.contains(wording))
}

/// A top-level `error` in a stream, or in a 200 that is none.
pub fn stream_error(raw: &str, endpoint: &str, model: &str) -> Failure {
    let value = serde_json::from_str::<Value>(raw).unwrap_or(Value::Null);
    let code = value.get("code").or_else(|| value.get("status")).and_then(Value::as_u64);
    let status = code.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    let body = error_body(raw);
    let mut failure = classify(&ErrorContext::new(status.unwrap_or(502), &body, endpoint, model));
    if status.is_none() && failure.kind == FailureKind::Overloaded {
        failure.kind = FailureKind::UpstreamError;
    }
    failure.status = status;
    failure
}

/// The error of a stream as the body that a refusal would have.
pub(crate) fn error_body(raw: &str) -> Vec<u8> {
    format!("{{\"error\":{raw}}}").into_bytes()
}

/// The provider's codes and message, without markup and credentials.
pub fn error_text(body: &[u8]) -> String {
    RefusalWords::of(&String::from_utf8_lossy(body)).line()
}

/// What to do next, where the provider's own words do not say.
fn hint(status: u16, kind: FailureKind, lower: &str, model: &str) -> String {
    match kind {
        FailureKind::Unauthorized => CHECK_KEY.to_owned(),
        FailureKind::Forbidden if lower.contains("1010") => {
            " (the provider's filter turned this program away; a `User-Agent` under the endpoint's headers may help)".to_owned()
        }
        FailureKind::ModelNotFound => format!(" (asked for model `{model}`; ids are case-sensitive)"),
        FailureKind::BadRequest if status == 404 => " (nothing at this address; check the endpoint's base_url)".to_owned(),
        _ if (300..400).contains(&status) => " (redirects are never followed; check the endpoint's base_url)".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
