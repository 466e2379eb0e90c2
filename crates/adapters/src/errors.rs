//! What a provider's refusal means: status, body and headers to a [`Failure`]. Pure; the wordings are tables.

mod waits;

pub use waits::{in_words, retry_after};

use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::secret::redact;
use serde_json::Value;

/// How much of a provider's message is shown, in characters.
const MAX_MESSAGE_LEN: usize = 1000;

/// Wordings of a history that is too long, in lower case.
const CONTEXT: [&str; 14] = [
    "context_length_exceeded",
    "maximum context length",
    "context length exceeded",
    "context window",
    "too many tokens",
    "prompt is too long",
    "input is too long",
    "input length exceeds",
    "exceeds the maximum number of tokens",
    "reduce the length of the messages",
    "exceeds model's maximum",
    "exceed context limit",
    "longer than the model's context",
    "token count exceeds",
];

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
const QUOTA: [&str; 10] = [
    "insufficient_quota",
    "insufficient balance",
    "insufficient credits",
    "insufficient funds",
    "exceeded your current quota",
    "out of credits",
    "credit balance is too low",
    "\"1113\"",
    "payment required",
    "requires more credits",
];

/// Wordings of an unknown model, in lower case.
const MODEL: [&str; 7] = [
    "model_not_found",
    "model not found",
    "model does not exist",
    "unknown model",
    "no such model",
    "is not a valid model",
    "invalid model",
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
    let ErrorContext { status, retry_after, body, endpoint, model } = *context;
    let text = ErrorText::of(&String::from_utf8_lossy(body));
    let lower = format!("\"{}\" {}", text.code, text.message).to_ascii_lowercase();
    let retry_after = retry_after.or_else(|| if status == 429 { in_words(&lower) } else { None });
    let long = retry_after.is_some_and(|wait| wait > LONG_WAIT);
    let has = |table: &[&str]| table.iter().any(|wording| lower.contains(wording));
    let by_status = STATUS.iter().find(|(known, _)| *known == status).map(|(_, kind)| *kind);
    let kind = match (status, by_status) {
        (400 | 413 | 422 | 500, _) if has(&CONTEXT) => FailureKind::ContextLength,
        (400 | 402 | 403 | 429, _) if has(&QUOTA) => FailureKind::QuotaExhausted,
        (429, _) if long || has(&WINDOW) => FailureKind::WindowExhausted,
        (429, _) if has(&CONCURRENCY) => FailureKind::ConcurrencyLimited,
        (404, _) if has(&MODEL) || lower.contains("model") => FailureKind::ModelNotFound,
        (400, _) if has(&MODEL) => FailureKind::ModelNotFound,
        (_, Some(kind)) => kind,
        (500..=599, None) => FailureKind::UpstreamError,
        (300..=399, None) => FailureKind::UpstreamError,
        _ => FailureKind::BadRequest,
    };
    let hint = hint(status, kind, &lower, model);
    let shown =
        if text.message.is_empty() { format!("HTTP {status} without a message") } else { text.message };
    let cause = CAUSES.iter().find(|(known, word, _)| *known == status && lower.contains(word));
    Failure {
        kind,
        message: format!("{endpoint}: {shown}{hint}"),
        status: Some(status),
        retry_after,
        cause: cause.map(|(_, _, code)| *code),
    }
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
    let text = ErrorText::of(&String::from_utf8_lossy(body));
    format!("{} {}", text.code, text.message)
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

/// What the body of a refusal says.
struct ErrorText {
    code: String,
    message: String,
}

impl ErrorText {
    /// `error.message`, a bare `message` or `detail`, the first of a list of those, or the text itself.
    fn of(text: &str) -> Self {
        let value = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        let value = value.get(0).unwrap_or(&value);
        let error = value.get("error").unwrap_or(value);
        let field = |name: &str| match error.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let detail = || {
            let first = value.get("detail").and_then(|detail| detail.get(0))?;
            Some(format!(
                "{} {}",
                first.get("msg")?.as_str()?,
                first.get("loc").map(Value::to_string).unwrap_or_default()
            ))
        };
        let inner = error.pointer("/metadata/raw").and_then(Value::as_str).map(|raw| Self::of(raw).message);
        let beside = value.get("message").and_then(Value::as_str);
        // An `error` of one word is a code, where a message stands beside it.
        let bare = error.as_str().filter(|error| beside.is_none() || error.contains(char::is_whitespace));
        let message = field("message")
            .or_else(|| bare.map(str::to_owned))
            .or_else(|| beside.map(str::to_owned))
            .or_else(|| value.get("detail").and_then(Value::as_str).map(str::to_owned))
            .or_else(detail)
            .unwrap_or_else(|| if value.is_null() { text.to_owned() } else { String::new() });
        let message = match inner.filter(|inner| !inner.is_empty() && !message.contains(inner.as_str())) {
            Some(inner) => format!("{message}: {inner}"),
            None => message,
        };
        let codes = ["code", "type", "status"].iter().filter_map(|name| field(name));
        let code = error.as_str().filter(|_| bare.is_none()).map(str::to_owned).into_iter().chain(codes);
        let code = code.collect::<Vec<_>>().join(" ");
        Self { code, message: clean(&message) }
    }
}

/// Without markup, control characters and credentials, on one line, and short.
fn clean(text: &str) -> String {
    let mut out = String::new();
    let mut inside_tag = false;
    let is_markup = text.trim_start().starts_with('<');
    for c in text.chars() {
        match c {
            '<' if is_markup => inside_tag = true,
            '>' if inside_tag => {
                inside_tag = false;
                out.push(' ');
            }
            _ if inside_tag => {}
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
        if out.len() > 8 * MAX_MESSAGE_LEN {
            break;
        }
    }
    let joined = out.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    redact(&joined).chars().take(MAX_MESSAGE_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_wordings() {
        let cases: [(u16, &str, FailureKind, &str); 17] = [
            (
                400,
                r#"{"error":{"message":"bad temperature"}}"#,
                FailureKind::BadRequest,
                "lab: bad temperature",
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"Unknown name"}}]"#,
                FailureKind::BadRequest,
                "lab: Unknown name",
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#,
                FailureKind::ContextLength,
                "lab: This model's maximum context length is 8192 tokens",
            ),
            (
                413,
                r#"{"error":{"message":"prompt is too long"}}"#,
                FailureKind::ContextLength,
                "lab: prompt is too long",
            ),
            (
                401,
                r#"{"error":{"message":"Incorrect API key provided: sk-abcdef123456"}}"#,
                FailureKind::Unauthorized,
                "lab: Incorrect API key provided: *** (check the endpoint's api_key)",
            ),
            (
                402,
                r#"{"error":{"message":"Insufficient Balance"}}"#,
                FailureKind::QuotaExhausted,
                "lab: Insufficient Balance",
            ),
            (
                403,
                "<html><body>error code: 1010</body></html>",
                FailureKind::Forbidden,
                "lab: error code: 1010 (the provider's filter turned this program away; a `User-Agent` under the endpoint's headers may help)",
            ),
            (
                404,
                r#"{"error":{"message":"The model `x` does not exist"}}"#,
                FailureKind::ModelNotFound,
                "lab: The model `x` does not exist (asked for model `m`; ids are case-sensitive)",
            ),
            (
                404,
                "404 page not found",
                FailureKind::BadRequest,
                "lab: 404 page not found (nothing at this address; check the endpoint's base_url)",
            ),
            (
                410,
                "",
                FailureKind::ModelNotFound,
                "lab: HTTP 410 without a message (asked for model `m`; ids are case-sensitive)",
            ),
            (
                422,
                r#"{"detail":[{"loc":["body","x"],"msg":"field required"}]}"#,
                FailureKind::BadRequest,
                r#"lab: field required ["body","x"]"#,
            ),
            (429, r#"{"error":{"message":"slow down"}}"#, FailureKind::RateLimited, "lab: slow down"),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
                FailureKind::QuotaExhausted,
                "lab: You exceeded your current quota",
            ),
            (500, "oops", FailureKind::UpstreamError, "lab: oops"),
            (503, "", FailureKind::Overloaded, "lab: HTTP 503 without a message"),
            (
                302,
                "",
                FailureKind::UpstreamError,
                "lab: HTTP 302 without a message (redirects are never followed; check the endpoint's base_url)",
            ),
            (
                529,
                r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"busy\"}}"}}}"#,
                FailureKind::Overloaded,
                "lab: Provider returned error: busy",
            ),
        ];
        for (status, body, kind, message) in cases {
            let failure = classify(&ErrorContext::new(status, body.as_bytes(), "lab", "m"));
            assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{status} {body}");
        }
    }
    #[test]
    fn four_kinds_of_too_many_requests() {
        let cases: [(u16, &str, FailureKind, &str); 4] = [
            (
                429,
                r#"{"error":{"code":"1302","message":"High concurrency usage of this API"}}"#,
                FailureKind::ConcurrencyLimited,
                "lab: High concurrency usage of this API",
            ),
            (
                429,
                r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached"}}"#,
                FailureKind::WindowExhausted,
                "lab: The usage limit has been reached",
            ),
            (429, r#"{"error":"Try again in 2h5m"}"#, FailureKind::WindowExhausted, "lab: Try again in 2h5m"),
            (
                429,
                r#"{"error":{"code":"1113","message":"Please recharge"}}"#,
                FailureKind::QuotaExhausted,
                "lab: Please recharge",
            ),
        ];
        for (status, body, kind, message) in cases {
            let failure = classify(&ErrorContext::new(status, body.as_bytes(), "lab", "m"));
            assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{status} {body}");
        }
    }
}
