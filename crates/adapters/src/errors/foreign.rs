//! What comes with status 200 and is no part of the protocol: a failure in words of its own, an answer in an envelope, or something
//! that only the end of the answer shows to have been a failure. Pure.

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;

use super::words::RefusalWords;
use super::{ErrorContext, classify_words};

/// Names under which others put an answer.
const ENVELOPES: [&str; 9] =
    ["data", "result", "response", "body", "completion", "payload", "output", "answer", "message"];
/// Names of what went wrong.
const ERRORS: [&str; 7] = ["error", "errors", "err", "exception", "failure", "error_msg", "errmsg"];
/// Names of a code that says whether it did.
const CODES: [&str; 8] =
    ["code", "status_code", "statusCode", "error_code", "errorCode", "err_code", "errcode", "ret"];
/// Codes of what went well, in lower case.
const GOOD_CODES: [&str; 7] = ["0", "ok", "success", "succeeded", "completed", "none", ""];
/// Statuses of what went wrong, in lower case.
const BAD_STATES: [&str; 6] = ["error", "fail", "failed", "failure", "rejected", "denied"];
/// Words of what may pass, in lower case. Without them, and without a status that says so, a document is a refusal that lasts.
const PASSING: [&str; 17] = [
    "busy",
    "overload",
    "try again",
    "retry",
    "timeout",
    "timed out",
    "later",
    "unavailable",
    "internal",
    "capacity",
    "temporar",
    "unknown error",
    "upstream",
    "server error",
    "繁忙",
    "稍后",
    "超时",
];

/// What a document is that the protocol does not have.
#[derive(Debug)]
pub(crate) enum ForeignDocument {
    /// It says that something went wrong.
    Failure(Failure),
    /// An answer of the protocol stands inside of it.
    Envelope(Value),
    /// Perhaps a sign of life. If the answer ends without another word, this was the reason.
    Unclear(Failure),
}

/// Looks at a document. `is_answer` tells whether an object is an answer of the protocol.
pub(crate) fn document(
    text: &str,
    is_answer: impl Fn(&Value) -> bool,
    endpoint: &str,
    model: &str,
) -> ForeignDocument {
    let value = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    if let Some(answer) = envelope(&value, &is_answer, 0) {
        return ForeignDocument::Envelope(answer.clone());
    }
    // An event of another type may speak of anything: only what it says of itself counts.
    let is_event = value.get("type").and_then(Value::as_str).is_some_and(|kind| !BAD_STATES.contains(&kind));
    let has_failed = if is_event {
        has_error(&value)
    } else {
        has_failed(&value) || value.as_object().into_iter().flatten().any(|(_, child)| has_failed(child))
    };
    let failure = failure_of(text, &value, endpoint, model);
    if has_failed { ForeignDocument::Failure(failure) } else { ForeignDocument::Unclear(failure) }
}

/// The failure of an event that is called an error, or of a line that is none of the protocol.
pub(crate) fn failure(text: &str, endpoint: &str, model: &str) -> Failure {
    let value = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    failure_of(text, &value, endpoint, model)
}

fn failure_of(text: &str, value: &Value, endpoint: &str, model: &str) -> Failure {
    let words = RefusalWords::of(text);
    let by_code =
        words.codes.iter().find_map(|code| code.parse::<u16>().ok().filter(|code| (400..600).contains(code)));
    let lower = words.lower();
    let has_words = !words.message.is_empty();
    let context = ErrorContext::new(by_code.unwrap_or(502), text.as_bytes(), endpoint, model)
        .with_retry_after(super::retry_after(None, text.as_bytes(), 0));
    let mut failure = classify_words(&context, words);
    failure.status = by_code;
    let is_unknown =
        by_code.is_none() && matches!(failure.kind, FailureKind::Overloaded | FailureKind::UpstreamError);
    if is_unknown {
        let may_pass = !value.is_object() || !has_words || PASSING.iter().any(|word| lower.contains(word));
        failure.kind = if may_pass { FailureKind::UpstreamError } else { FailureKind::BadRequest };
    }
    failure
}

fn envelope<'v>(value: &'v Value, is_answer: &impl Fn(&Value) -> bool, depth: usize) -> Option<&'v Value> {
    if depth > 2 {
        return None;
    }
    ENVELOPES.iter().filter_map(|name| value.get(*name)).find_map(|inner| {
        let inner = inner.get(0).unwrap_or(inner);
        if is_answer(inner) { Some(inner) } else { envelope(inner, is_answer, depth + 1) }
    })
}

/// Whether an object says by itself that something went wrong.
fn has_failed(value: &Value) -> bool {
    let is_bad_state = |value: &Value| {
        value.as_str().is_some_and(|state| BAD_STATES.contains(&state.to_ascii_lowercase().as_str()))
            || value.as_u64().is_some_and(|status| (400..600).contains(&status))
    };
    has_error(value)
        || says(value, &["success", "ok"], |value| *value == Value::Bool(false))
        || says(value, &["type", "status", "event", "state"], is_bad_state)
}

/// Whether an error stands in an object, or the code of one.
fn has_error(value: &Value) -> bool {
    let is_something = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) => true,
    };
    let is_good = |code: i64| code == 0 || (200..300).contains(&code);
    let is_bad_code = |value: &Value| match value {
        Value::Number(number) => !number.as_i64().is_some_and(is_good),
        Value::String(text) => {
            !text.parse().is_ok_and(is_good) && !GOOD_CODES.contains(&text.to_ascii_lowercase().as_str())
        }
        _ => false,
    };
    says(value, &ERRORS, is_something) || says(value, &CODES, is_bad_code)
}

/// Whether one of these fields of an object says so.
fn says(value: &Value, names: &[&str], so: impl Fn(&Value) -> bool) -> bool {
    names.iter().filter_map(|name| value.get(*name)).any(so)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_completion(value: &Value) -> bool {
        value.get("choices").is_some_and(Value::is_array)
    }

    #[test]
    fn failures_that_come_with_200() {
        let cases = [
            (
                r#"{"code":30001,"message":"request parameters are wrong","success":false}"#,
                FailureKind::BadRequest,
                "lab: request parameters are wrong",
            ),
            (
                r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
                FailureKind::QuotaExhausted,
                "lab: insufficient balance",
            ),
            (
                r#"{"header":{"code":10013,"message":"the input was refused"}}"#,
                FailureKind::BadRequest,
                "lab: the input was refused",
            ),
            (
                r#"{"error":{"message":"no such model: m"}}"#,
                FailureKind::ModelNotFound,
                "lab: no such model: m (asked for model `m`; ids are case-sensitive)",
            ),
            (r#"{"success":false,"msg":"system busy"}"#, FailureKind::UpstreamError, "lab: system busy"),
            (
                r#"{"code":"InvalidApiKey","message":"Invalid API key provided"}"#,
                FailureKind::Unauthorized,
                "lab: Invalid API key provided (check the endpoint's api_key)",
            ),
            (r#"{"status":503,"message":"down for now"}"#, FailureKind::Overloaded, "lab: down for now"),
            (r#"{"errcode":429,"errmsg":"slow down"}"#, FailureKind::RateLimited, "lab: slow down"),
            (
                r#"{"type":"error","why":{"it":"the longest text"}}"#,
                FailureKind::BadRequest,
                "lab: the longest text",
            ),
            (r#"{"code":1261,"message":"Prompt 超长"}"#, FailureKind::ContextLength, "lab: Prompt 超长"),
        ];
        for (text, kind, message) in cases {
            let ForeignDocument::Failure(failure) = document(text, is_completion, "lab", "m") else {
                panic!("no failure: {text}");
            };
            assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{text}");
        }
    }

    #[test]
    fn answers_in_envelopes_and_signs_of_life() {
        for text in [
            r#"{"data":{"choices":[]}}"#,
            r#"{"code":0,"result":{"choices":[]},"message":"ok"}"#,
            r#"{"code":200,"data":{"output":{"choices":[]}}}"#,
            r#"{"result":[{"choices":[]}]}"#,
        ] {
            let found = document(text, is_completion, "lab", "m");
            assert!(matches!(found, ForeignDocument::Envelope(_)), "{text}: {found:?}");
        }
        for text in [
            r#"{"type":"tool_status","status":"failed"}"#,
            r#"{"type":"ping"}"#,
            r#"{"status":"processing","message":"queued"}"#,
            "{}",
            r#"{"code":0}"#,
        ] {
            let found = document(text, is_completion, "lab", "m");
            assert!(matches!(found, ForeignDocument::Unclear(_)), "{text}: {found:?}");
        }
        let line = failure("upstream gone: insufficient balance", "lab", "m");
        assert_eq!(
            (line.kind, line.message.as_str()),
            (FailureKind::QuotaExhausted, "lab: upstream gone: insufficient balance")
        );
    }
}
