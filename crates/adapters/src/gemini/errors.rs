//! What a refusal of this protocol means: its `status`, the reasons in its `details`, and the words. Pure.

use std::time::Duration;

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;

use crate::errors::{self, CHECK_KEY, ErrorContext};

/// Statuses, a word of the refusal in lower case, and what both mean together. The first row that fits counts.
const RULES: [(&[u16], &str, FailureKind); 21] = [
    (&[429], "insufficient_g1_credits_balance", FailureKind::QuotaExhausted),
    (&[429], "limit: 0", FailureKind::QuotaExhausted),
    (&[429, 500, 503, 529], "model_capacity_exhausted", FailureKind::Overloaded),
    (&[429, 500, 503, 529], "model_capacity_exceeded", FailureKind::Overloaded),
    (&[429, 500, 503, 529], "no capacity available", FailureKind::Overloaded),
    (&[429], "perday", FailureKind::WindowExhausted),
    (&[429], "per day", FailureKind::WindowExhausted),
    (&[429], "daily", FailureKind::WindowExhausted),
    (&[429], "quota_exhausted", FailureKind::WindowExhausted),
    (&[429], "perminute", FailureKind::RateLimited),
    (&[429], "rate_limit_exceeded", FailureKind::RateLimited),
    (&[400], "api_key_invalid", FailureKind::Unauthorized),
    (&[400], "invalid_grant", FailureKind::Unauthorized),
    (&[400], "user location is not supported", FailureKind::Forbidden),
    (&[400], "input token count", FailureKind::ContextLength),
    (&[400], "exceeds the maximum number of tokens", FailureKind::ContextLength),
    (&[400, 404], "no longer supported", FailureKind::BadRequest),
    (&[403], "violation of terms of service", FailureKind::Forbidden),
    (&[403], "validation_required", FailureKind::Forbidden),
    (&[403], "account_disabled", FailureKind::Forbidden),
    (&[403], "service_disabled", FailureKind::Forbidden),
];
/// Names of statuses, for errors in a stream that have no number.
const STATUSES: [(&str, u16); 9] = [
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("RESOURCE_EXHAUSTED", 429),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];
/// The one sentence that stands in every 429 of the native API, whichever limit it was.
const ANY_LIMIT: &str = "exceeded your current quota";
/// A longer wait is no burst.
const SHORT: Duration = Duration::from_secs(300);
/// How long a limit by the minute lasts, where nothing says so.
const MINUTE: Duration = Duration::from_secs(60);

/// Turns an answer that is not 2xx into a failure.
pub fn classify(context: &ErrorContext<'_>) -> Failure {
    let ErrorContext { status, body, endpoint, model, .. } = *context;
    let refusal = ErrorBody::of(body);
    let mut failure = errors::classify(context);
    let rule = RULES.iter().find(|(statuses, word, _)| statuses.contains(&status) && refusal.has(word));
    let kind = rule.map(|(_, _, kind)| *kind);
    match status {
        429 => limited(&mut failure, kind, &refusal),
        404 if kind.is_none() && refusal.has_google_shape => {
            failure.kind = FailureKind::ModelNotFound;
            let words = errors::error_text(body);
            failure.message =
                format!("{endpoint}: model `{model}` is not offered here ({})", words.trim()).into();
        }
        _ => failure.kind = kind.unwrap_or(failure.kind),
    }
    if failure.kind == FailureKind::Unauthorized && !failure.message.ends_with(CHECK_KEY) {
        failure.message.push_str(CHECK_KEY);
    }
    if let Some(link) = refusal.validation_link.filter(|_| failure.kind == FailureKind::Forbidden) {
        failure.message.push_str(&format!(" (open this to go on: {link})"));
    }
    failure
}

/// Which limit a 429 is about: the name of the limit first, then the length of the wait.
fn limited(failure: &mut Failure, kind: Option<FailureKind>, refusal: &ErrorBody) {
    let wait = failure.retry_after;
    let is_long = wait.is_some_and(|wait| wait > SHORT);
    let is_any_limit = failure.kind == FailureKind::QuotaExhausted && refusal.has(ANY_LIMIT);
    failure.kind = match kind {
        Some(FailureKind::RateLimited) | None if is_long => FailureKind::WindowExhausted,
        Some(kind) => kind,
        None if failure.kind == FailureKind::QuotaExhausted && !is_any_limit => FailureKind::QuotaExhausted,
        None if wait.is_some() => FailureKind::RateLimited,
        None if is_any_limit => FailureKind::WindowExhausted,
        None => failure.kind,
    };
    match failure.kind {
        // The free tier names a wait of seconds beside a limit of a day: it would be asked in vain again and again.
        FailureKind::WindowExhausted | FailureKind::QuotaExhausted if !is_long => failure.retry_after = None,
        FailureKind::RateLimited if wait.is_none() && refusal.has("perminute") => {
            failure.retry_after = Some(MINUTE);
        }
        _ => {}
    }
}

/// A top-level `error` in a stream.
pub fn stream_error(raw: &str, endpoint: &str, model: &str) -> Failure {
    let error = serde_json::from_str::<Value>(raw).unwrap_or_default();
    let number = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let name = error.get("status").and_then(Value::as_str).unwrap_or_default();
    let named = || STATUSES.iter().find(|(known, _)| *known == name).map(|(_, status)| *status);
    let body = errors::error_body(raw);
    let status = number.or_else(named).unwrap_or(500);
    let context = ErrorContext::new(status, &body, endpoint, model)
        .with_retry_after(errors::retry_after(None, &body, 0));
    Failure { status: None, ..classify(&context) }
}

/// What counts of a refusal. Fields that only repeat where the request went are left out: hosts are called `daily`, too.
struct ErrorBody {
    /// Status, message, reasons and names of limits, in lower case; the whole body where it is not Google's.
    text: String,
    /// It has the shape of Google's errors.
    has_google_shape: bool,
    /// Where a person is to confirm something.
    validation_link: Option<String>,
}

impl ErrorBody {
    fn of(body: &[u8]) -> Self {
        let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let Some(error) =
            value.get(0).unwrap_or(&value).get("error").filter(|error| error.get("message").is_some())
        else {
            let text = String::from_utf8_lossy(body).to_ascii_lowercase();
            return Self { text, has_google_shape: false, validation_link: None };
        };
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let violations =
            details().filter_map(|detail| detail.get("violations")?.as_array()).flatten().flat_map(
                |violation| ["quotaId", "quotaMetric"].into_iter().filter_map(|name| violation.get(name)),
            );
        let words = [error.get("status"), error.get("message")].into_iter().flatten();
        let reasons = details()
            .flat_map(|detail| [detail.get("reason"), detail.pointer("/metadata/quota_limit")])
            .flatten();
        let texts: Vec<&str> = words.chain(reasons).chain(violations).filter_map(Value::as_str).collect();
        Self {
            text: texts.join("\n").to_ascii_lowercase().replace("daily-cloudcode", "cloudcode"),
            has_google_shape: error.get("status").is_some() || error.get("details").is_some(),
            validation_link: validation_link(&details().collect::<Vec<_>>()),
        }
    }

    /// Whether the word stands there, and is not the beginning of a longer number.
    fn has(&self, word: &str) -> bool {
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        self.text.match_indices(word).any(|(at, _)| !goes_on(self.text.get(at + word.len()..).unwrap_or("")))
    }
}

/// Where the provider wants a person to confirm something: in the reason's own fields, or in the links beside it.
fn validation_link(details: &[&Value]) -> Option<String> {
    let is_wanted = |detail: &&&Value| {
        let reason = detail.get("reason").and_then(Value::as_str).unwrap_or_default();
        reason.eq_ignore_ascii_case("VALIDATION_REQUIRED")
    };
    let detail = details.iter().find(is_wanted)?;
    let named = ["validation_link", "validation_url", "validationUrl", "link"]
        .iter()
        .find_map(|name| detail.get("metadata")?.get(*name)?.as_str());
    let beside = || details.iter().find_map(|detail| detail.get("links")?.get(0)?.get("url")?.as_str());
    let link = named.or_else(beside)?;
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"');
    (link.starts_with("https://") && link.len() < 500 && link.chars().all(is_plain)).then(|| link.to_owned())
}

/// Whether a refusal contains this word, in lower case.
pub(super) fn contains(body: &[u8], word: &str) -> bool {
    ErrorBody::of(body).has(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(id: &str) -> String {
        format!(
            r#"{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota","details":[{{"@type":"x.QuotaFailure","violations":[{{"quotaId":"{id}"}}]}}]}}}}"#
        )
    }

    fn reason(reason: &str) -> String {
        format!(
            r#"{{"error":{{"code":1,"message":"m","details":[{{"@type":"x.ErrorInfo","reason":"{reason}","metadata":{{"service":"daily-cloudcode-pa.googleapis.com","validation_url":"https://accounts.test/v"}}}}]}}}}"#
        )
    }

    fn message(text: &str) -> String {
        format!(r#"{{"error":{{"status":"X","message":"{text}"}}}}"#)
    }

    #[test]
    fn refusals_in_googles_words() {
        let cases = [
            (403, reason("VALIDATION_REQUIRED"), FailureKind::Forbidden),
            (403, reason("SERVICE_DISABLED"), FailureKind::Forbidden),
            (
                403,
                message("The account has been disabled for a violation of Terms of Service"),
                FailureKind::Forbidden,
            ),
            (400, reason("API_KEY_INVALID"), FailureKind::Unauthorized),
            (400, message("User location is not supported for the API use."), FailureKind::Forbidden),
            (
                400,
                format!(
                    "[{}]",
                    message("The input token count (1) exceeds the maximum number of tokens allowed")
                ),
                FailureKind::ContextLength,
            ),
            (400, message("Unknown name \\\"x\\\""), FailureKind::BadRequest),
            (400, r#"{"error":"invalid_grant"}"#.to_owned(), FailureKind::Unauthorized),
            (404, message("Requested entity was not found."), FailureKind::ModelNotFound),
            (404, "<html>404</html>".to_owned(), FailureKind::BadRequest),
            (404, message("This version is no longer supported"), FailureKind::BadRequest),
            (401, message("m"), FailureKind::Unauthorized),
            (500, "{}".to_owned(), FailureKind::UpstreamError),
            (503, reason("MODEL_CAPACITY_EXHAUSTED"), FailureKind::Overloaded),
            (503, message("The model is overloaded."), FailureKind::Overloaded),
        ];
        for (status, body, want) in cases {
            let failure = classify(&ErrorContext::new(status, body.as_bytes(), "lab", "x"));
            assert_eq!(failure.kind, want, "{status} {body}");
        }
    }

    #[test]
    fn limits_by_their_name_then_by_their_wait() {
        // As Code Assist writes it: the reason is the same for every limit.
        let by_metadata = r#"{"error":{"message":"m","details":[{"reason":"RATE_LIMIT_EXCEEDED","metadata":{"quota_limit":"Gemini25ProRequestsPerDay"}}]}}"#;
        let cases: [(Option<u64>, String, FailureKind, Option<u64>); 18] = [
            (None, by_metadata.to_owned(), FailureKind::WindowExhausted, None),
            (
                None,
                message(
                    "Quota exceeded for 'Requests per minute' of 'daily-cloudcode-pa.googleapis.com'. Retry in 5s",
                ),
                FailureKind::RateLimited,
                Some(5),
            ),
            (None, quota("GenerateRequestsPerDayPerProject"), FailureKind::WindowExhausted, None),
            // The wait beside a limit of a day is not its end.
            (
                Some(34),
                quota("GenerateRequestsPerDayPerProject-FreeTier"),
                FailureKind::WindowExhausted,
                None,
            ),
            (Some(34), quota("GenerateRequestsPerMinute"), FailureKind::RateLimited, Some(34)),
            (None, quota("GenerateRequestsPerMinute"), FailureKind::RateLimited, Some(60)),
            (Some(20), message("You exceeded your current quota"), FailureKind::RateLimited, Some(20)),
            (None, message("You exceeded your current quota"), FailureKind::WindowExhausted, None),
            (None, message("Please retry in 12s"), FailureKind::RateLimited, Some(12)),
            (Some(5), reason("RATE_LIMIT_EXCEEDED"), FailureKind::RateLimited, Some(5)),
            (None, reason("RATE_LIMIT_EXCEEDED"), FailureKind::RateLimited, None),
            (Some(4000), reason("RATE_LIMIT_EXCEEDED"), FailureKind::WindowExhausted, Some(4000)),
            (Some(4000), reason("QUOTA_EXHAUSTED"), FailureKind::WindowExhausted, Some(4000)),
            (Some(4000), message("slow down"), FailureKind::WindowExhausted, Some(4000)),
            (None, reason("INSUFFICIENT_G1_CREDITS_BALANCE"), FailureKind::QuotaExhausted, None),
            (
                Some(30),
                message("Quota exceeded for metric: x, limit: 0\\nPlease retry"),
                FailureKind::QuotaExhausted,
                None,
            ),
            (
                Some(30),
                message("Quota exceeded for metric: x, limit: 05"),
                FailureKind::RateLimited,
                Some(30),
            ),
            (None, reason("MODEL_CAPACITY_EXHAUSTED"), FailureKind::Overloaded, None),
        ];
        for (wait, body, kind, rests) in cases {
            let failure = classify(
                &ErrorContext::new(429, body.as_bytes(), "lab", "x")
                    .with_retry_after(wait.map(Duration::from_secs)),
            );
            assert_eq!(
                (failure.kind, failure.retry_after),
                (kind, rests.map(Duration::from_secs)),
                "{wait:?} {body}"
            );
        }
    }

    #[test]
    fn people_are_told_what_to_do() {
        let beside = r#"{"error":{"message":"m","details":[{"reason":"VALIDATION_REQUIRED"},{"@type":"x.Help","links":[{"url":"https://accounts.test/help"}]}]}}"#;
        let unsafe_link = r#"{"error":{"message":"m","details":[{"reason":"VALIDATION_REQUIRED","metadata":{"validation_link":"http://x"}}]}}"#;
        let cases = [
            (403, reason("VALIDATION_REQUIRED"), "lab: m (open this to go on: https://accounts.test/v)"),
            (403, beside.to_owned(), "lab: m (open this to go on: https://accounts.test/help)"),
            (403, unsafe_link.to_owned(), "lab: m"),
            (400, reason("API_KEY_INVALID"), "lab: m (check the endpoint's api_key)"),
            (404, message("Not found."), "lab: model `x` is not offered here (X Not found.)"),
        ];
        for (status, body, want) in cases {
            assert_eq!(classify(&ErrorContext::new(status, body.as_bytes(), "lab", "x")).message, want);
        }
    }

    #[test]
    fn errors_in_a_stream() {
        let cases = [
            (r#"{"code":429,"message":"Please retry in 12.3s"}"#, FailureKind::RateLimited, Some(12_300)),
            (r#"{"status":"UNAVAILABLE","message":"busy"}"#, FailureKind::Overloaded, None),
            (r#"{"status":"NEW","message":"?"}"#, FailureKind::UpstreamError, None),
            (r#""oops""#, FailureKind::UpstreamError, None),
            ("7", FailureKind::UpstreamError, None),
        ];
        for (raw, kind, wait) in cases {
            let failure = stream_error(raw, "lab", "x");
            assert_eq!((failure.kind, failure.retry_after), (kind, wait.map(Duration::from_millis)), "{raw}");
        }
    }
}
