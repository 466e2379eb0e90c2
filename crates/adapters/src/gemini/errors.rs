//! What a refusal of this protocol means: its `status`, the reasons in its `details`, and the words. Pure.

use std::time::Duration;

use latimer_protocol::failure::{Failure, Kind};
use serde_json::Value;

use crate::errors;

/// Reasons and words, in lower case, and what they mean. The first row that fits counts.
const WORDS: [(&str, Kind); 19] = [
    ("insufficient_g1_credits_balance", Kind::QuotaExhausted),
    ("limit: 0", Kind::QuotaExhausted),
    ("violation of terms of service", Kind::Forbidden),
    ("validation_required", Kind::Forbidden),
    ("account_disabled", Kind::Forbidden),
    ("invalid_grant", Kind::Unauthorized),
    ("token revoked", Kind::Unauthorized),
    ("model_capacity_exhausted", Kind::Overloaded),
    ("no capacity available", Kind::Overloaded),
    ("perday", Kind::WindowExhausted),
    ("daily", Kind::WindowExhausted),
    ("quota_exhausted", Kind::WindowExhausted),
    ("quotaresetdelay", Kind::WindowExhausted),
    ("rate_limit_exceeded", Kind::RateLimited),
    ("perminute", Kind::RateLimited),
    ("input token count", Kind::ContextLength),
    ("exceeds the maximum number of tokens", Kind::ContextLength),
    ("no longer supported", Kind::BadRequest),
    ("service_disabled", Kind::Forbidden),
];
/// The words that matter for each status.
const FIT: [(u16, &[Kind]); 6] = [
    (400, &[Kind::ContextLength, Kind::Unauthorized, Kind::BadRequest]),
    (401, &[Kind::Unauthorized]),
    (403, &[Kind::Forbidden]),
    (429, &[Kind::QuotaExhausted, Kind::Overloaded, Kind::WindowExhausted, Kind::RateLimited]),
    (503, &[Kind::Overloaded]),
    (529, &[Kind::Overloaded]),
];
/// A window of a minute is no window.
const SHORT: Duration = Duration::from_secs(300);

/// Turns an answer that is not 2xx into a failure.
pub fn classify(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    endpoint: &str,
    model: &str,
) -> Failure {
    let lower = String::from_utf8_lossy(body).to_ascii_lowercase();
    let mut failure = errors::classify(status, retry_after, body, endpoint, model);
    let fits = FIT.iter().find(|(known, _)| *known == status).map_or(&[][..], |(_, kinds)| kinds);
    if let Some((_, kind)) = WORDS.iter().find(|(word, kind)| fits.contains(kind) && lower.contains(word)) {
        failure.kind = *kind;
    }
    if failure.kind == Kind::WindowExhausted && failure.retry_after.is_some_and(|wait| wait <= SHORT) {
        failure.kind = Kind::RateLimited;
    }
    if let Some(link) = validation_link(body) {
        failure.message = format!("{} (open this to go on: {link})", failure.message);
    }
    failure
}

/// A top-level `error` in a stream.
pub fn in_stream(raw: &str, endpoint: &str, model: &str) -> Failure {
    let error = serde_json::from_str::<Value>(raw).unwrap_or_default();
    let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let body = format!("{{\"error\":{raw}}}");
    let wait = errors::retry_after(None, body.as_bytes(), 0);
    let failure = classify(status.unwrap_or(500), wait, body.as_bytes(), endpoint, model);
    Failure { status: None, ..failure }
}

/// Where the provider wants a person to confirm something.
fn validation_link(body: &[u8]) -> Option<String> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let error = value.get(0).unwrap_or(&value).get("error")?;
    let details = error.get("details")?.as_array()?;
    let reason = |detail: &Value| detail.get("reason").and_then(Value::as_str).map(str::to_ascii_uppercase);
    let detail = details.iter().find(|detail| reason(detail).as_deref() == Some("VALIDATION_REQUIRED"))?;
    let link = ["validation_url", "validationUrl", "link"]
        .iter()
        .find_map(|name| detail.get("metadata")?.get(*name)?.as_str())?;
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"');
    (link.starts_with("https://") && link.len() < 500 && link.chars().all(is_plain)).then(|| link.to_owned())
}

/// Whether the next host may answer what this one did not. Nothing is gained elsewhere from a request that is wrong, or an
/// account that is not allowed; `last` says that there is no other host.
pub(super) fn next_host(failure: &Failure, body: &[u8], last: bool) -> bool {
    let lower = String::from_utf8_lossy(body).to_ascii_lowercase();
    match failure.status {
        _ if last => false,
        None => matches!(failure.kind, Kind::Unreachable | Kind::Interrupted | Kind::Timeout),
        Some(404 | 429) => true,
        Some(403) => lower.contains("service_disabled"),
        Some(status) => status >= 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_googles_words() {
        let quota = |id: &str| {
            format!(
                r#"{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded","details":[{{"@type":"x.QuotaFailure","violations":[{{"quotaId":"{id}"}}]}}]}}}}"#
            )
        };
        let reason = |reason: &str| {
            format!(
                r#"{{"error":{{"code":1,"message":"m","details":[{{"@type":"x.ErrorInfo","reason":"{reason}","metadata":{{"validation_url":"https://accounts.test/v"}}}}]}}}}"#
            )
        };
        let cases = [
            (429, quota("GenerateRequestsPerDayPerProject"), Kind::WindowExhausted),
            (429, quota("GenerateRequestsPerMinute"), Kind::RateLimited),
            (429, reason("INSUFFICIENT_G1_CREDITS_BALANCE"), Kind::QuotaExhausted),
            (429, reason("MODEL_CAPACITY_EXHAUSTED"), Kind::Overloaded),
            (503, reason("MODEL_CAPACITY_EXHAUSTED"), Kind::Overloaded),
            (403, reason("VALIDATION_REQUIRED"), Kind::Forbidden),
            (400, r#"[{"error":{"message":"The input token count (1) exceeds the maximum number of tokens allowed"}}]"#.to_owned(), Kind::ContextLength),
            (400, r#"{"error":{"message":"Unknown name \"x\"","status":"INVALID_ARGUMENT"}}"#.to_owned(), Kind::BadRequest),
            (404, r#"{"error":{"message":"models/x is not found"}}"#.to_owned(), Kind::ModelNotFound),
            (401, r#"{"error":{"status":"UNAUTHENTICATED","message":"m"}}"#.to_owned(), Kind::Unauthorized),
            (500, "{}".to_owned(), Kind::UpstreamError),
        ];
        for (status, body, want) in cases {
            let failure = classify(status, None, body.as_bytes(), "lab", "x");
            assert_eq!(failure.kind, want, "{status} {body}");
        }
        let told = classify(403, None, reason("VALIDATION_REQUIRED").as_bytes(), "lab", "x");
        assert!(told.message.contains("https://accounts.test/v"), "{told}");
        assert_eq!(
            in_stream(r#"{"code":429,"message":"Please retry in 12.3s"}"#, "lab", "x").retry_after,
            Some(Duration::from_millis(12_300))
        );
    }

    #[test]
    fn hosts_are_changed_for_what_another_may_do_better() {
        let failure = |status: Option<u16>, kind| Failure { status, ..Failure::new(kind, "") };
        let cases = [
            (Some(404), Kind::ModelNotFound, "", true),
            (Some(429), Kind::RateLimited, "", true),
            (Some(503), Kind::Overloaded, "", true),
            (Some(500), Kind::UpstreamError, "", true),
            (None, Kind::Unreachable, "", true),
            (Some(400), Kind::BadRequest, "", false),
            (Some(401), Kind::Unauthorized, "", false),
            (Some(403), Kind::Forbidden, "permission", false),
            (Some(403), Kind::Forbidden, "SERVICE_DISABLED", true),
        ];
        for (status, kind, body, want) in cases {
            assert_eq!(next_host(&failure(status, kind), body.as_bytes(), false), want, "{status:?} {body}");
            assert!(!next_host(&failure(status, kind), body.as_bytes(), true));
        }
    }
}
