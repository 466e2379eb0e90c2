//! What a refusal of Command Code means. Pure.

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::{Value, json};

use crate::errors::{self, ErrorContext};

/// Wordings of a model that cannot promise to keep nothing, in lower case.
const RETENTION: [&str; 4] = ["zero data retention", "zero-data-retention", "zero retention", "zdr"];
/// Words of a refusal that somebody could pay for, in lower case.
const PLAN: [&str; 6] = ["plan", "plans", "subscription", "subscribe", "credit", "credits"];

/// Turns an answer that is not 2xx into a failure.
pub fn classify(context: &ErrorContext<'_>) -> Failure {
    let (status, body) = (context.status, context.body);
    let mut failure = errors::classify(context);
    let lower = errors::error_text(body).to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // A refusal of the request itself may quote the person, so its words are not looked at for this.
    if status != 400 && has(&["upgrade_required", "upgrade required"]) {
        failure.kind = FailureKind::Forbidden;
        let wanted =
            wanted(body).map_or_else(String::new, |version| format!("; it wants {version} or newer"));
        failure.message.push_str(&format!(
            " (the provider calls this client too old{wanted}: raise `options.command_code_version` of the endpoint)"
        ));
    } else if status == 403 && names_a_plan(&lower) {
        failure.kind = FailureKind::QuotaExhausted;
    } else if status == 422 && has(&RETENTION) {
        failure.message.push_str(
            " (the endpoint asks that nothing is kept: switch `options.zero_retention` off, or use a model that offers it)",
        );
    }
    failure
}

/// Whole words only: an explanation is no plan.
fn names_a_plan(lower: &str) -> bool {
    lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| PLAN.contains(&word))
}

/// An `error` event, in any shape.
pub fn stream_error(raw: &str, endpoint: &str, model: &str) -> Failure {
    let value = serde_json::from_str::<Value>(raw).unwrap_or_default();
    let status = ["statusCode", "status", "code"].iter().find_map(|name| value.get(*name)?.as_u64());
    let status =
        status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
    let body = json!({ "error": value }).to_string();
    let context = ErrorContext::new(status.unwrap_or(500), body.as_bytes(), endpoint, model);
    Failure { status: None, ..classify(&context) }
}

/// The version the server asks for, where it says one.
fn wanted(body: &[u8]) -> Option<String> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let places = [&value, value.get("error").unwrap_or(&Value::Null)];
    let named = ["minimumVersion", "minVersion", "requiredVersion", "minimum_version", "required_version"];
    let version = places.iter().find_map(|place| named.iter().find_map(|name| place.get(*name)?.as_str()))?;
    let is_version =
        version.len() < 30 && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    is_version.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let cases = [
            (
                403,
                r#"{"error":{"code":"upgrade_required","message":"Please upgrade","minimumVersion":"1.4.0"}}"#,
                FailureKind::Forbidden,
            ),
            (
                403,
                r#"{"error":{"message":"Your plan does not include this model"}}"#,
                FailureKind::QuotaExhausted,
            ),
            (403, r#"{"error":{"message":"See the explanation"}}"#, FailureKind::Forbidden),
            (402, r#"{"error":{"message":"Top up"}}"#, FailureKind::QuotaExhausted),
            (422, r#"{"error":{"message":"ZDR is not available for this model"}}"#, FailureKind::BadRequest),
            (
                400,
                r#"{"error":{"message":"invalid: \"what is upgrade required?\""}}"#,
                FailureKind::BadRequest,
            ),
            (401, r#"{"error":{"message":"bad key"}}"#, FailureKind::Unauthorized),
            (
                400,
                r#"{"error":{"message":"params.messages[0].content: expected string, received array"}}"#,
                FailureKind::BadRequest,
            ),
            (429, r#"{"error":{"message":"slow down"}}"#, FailureKind::RateLimited),
            (503, "", FailureKind::Overloaded),
        ];
        for (status, body, want) in cases {
            assert_eq!(
                classify(&ErrorContext::new(status, body.as_bytes(), "lab", "m")).kind,
                want,
                "{status} {body}"
            );
        }
        let message = classify(&ErrorContext::new(403, cases[0].1.as_bytes(), "lab", "m")).message;
        assert!(message.contains("1.4.0") && message.contains("options.command_code_version"), "{message}");
        let other =
            classify(&ErrorContext::new(422, br#"{"error":"zero retention unavailable"}"#, "lab", "m"))
                .message;
        assert!(other.contains("options.zero_retention"), "{other}");
        assert_eq!(stream_error(r#"{"code":"upgrade_required"}"#, "lab", "m").kind, FailureKind::Forbidden);
        assert_eq!(stream_error("\"boom\"", "lab", "m").message, "lab: boom");
        assert_eq!(
            stream_error(r#"{"statusCode":429,"message":"slow"}"#, "lab", "m").kind,
            FailureKind::RateLimited
        );
    }
}
