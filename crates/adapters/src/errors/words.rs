//! The words of a refusal, wherever a provider puts them: codes, the field that is meant, and what is said. Pure.

use latimer_protocol::secret::redact;
use serde_json::Value;

/// How much of a provider's message is shown, in characters.
const MAX_MESSAGE_LEN: usize = 1000;
/// How deep words are looked for.
const MAX_DEPTH: usize = 8;

/// Names of what is said, the best first. From the bodies of providers: OpenAI, Google, `FastAPI` (`detail`, `msg`), `MiniMax` (`status_msg`),
/// Baidu and iFlytek (`error_msg`), Moonshot and gateways in front of others.
const MESSAGE: [&str; 22] = [
    "message",
    "msg",
    "detail",
    "details",
    "error_msg",
    "err_msg",
    "errmsg",
    "errorMessage",
    "error_message",
    "status_msg",
    "statusMessage",
    "error_description",
    "description",
    "reason",
    "explanation",
    "failure",
    "title",
    "info",
    "text",
    "error",
    "err",
    "cause",
];
/// Names of codes.
const CODE: [&str; 12] = [
    "code",
    "type",
    "status",
    "error",
    "error_code",
    "errorCode",
    "err_code",
    "errcode",
    "status_code",
    "statusCode",
    "error_type",
    "errorType",
];
/// Names of the field that is meant.
const PARAM: [&str; 5] = ["param", "parameter", "field", "path", "loc"];
/// Names whose text says nothing about what went wrong.
const NO_WORDS: [&str; 12] = [
    "id",
    "object",
    "model",
    "type",
    "request_id",
    "requestId",
    "trace_id",
    "traceId",
    "created",
    "role",
    "timestamp",
    "path",
];

/// What a refusal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalWords {
    /// Codes, types and names of statuses, as they are spelt.
    pub codes: Vec<String>,
    /// The field that is meant, where the provider names it apart from its words: `reasoning.effort`, `tools[0].type`.
    pub param: Option<String>,
    /// What is said: on one line, without markup, control characters and credentials, at most 1000 characters. Empty where nothing is.
    pub message: String,
    /// How long that was before it was cleaned, in bytes.
    pub length: usize,
}

impl RefusalWords {
    /// The words of a body: JSON of any shape, a web page, or plain text.
    pub fn of(body: &str) -> Self {
        let value = serde_json::from_str::<Value>(body).unwrap_or(Value::Null);
        if value.is_null() {
            return Self { message: clean(body), length: body.len(), ..Self::default() };
        }
        Self::of_value(&value)
    }

    /// The words of a document.
    pub(crate) fn of_value(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let beside = value.get("message").and_then(Value::as_str);
        // An `error` of one word is a code, where a message stands beside it.
        let bare = error.as_str().filter(|error| beside.is_none() || error.contains(char::is_whitespace));
        let said = |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let message = error
            .get("message")
            .and_then(said)
            .or_else(|| bare.map(str::to_owned))
            .or_else(|| beside.map(str::to_owned))
            .or_else(|| value.get("detail").and_then(said))
            .or_else(|| located(value))
            .or_else(|| deep_message(value))
            .unwrap_or_default();
        let inner = error.pointer("/metadata/raw").and_then(Value::as_str).map(|raw| Self::of(raw).message);
        let message = match inner.filter(|inner| !inner.is_empty() && !message.contains(inner.as_str())) {
            Some(inner) => format!("{message}: {inner}"),
            None => unwrapped(message),
        };
        let mut codes: Vec<String> =
            error.as_str().filter(|_| bare.is_none()).map(str::to_owned).into_iter().collect();
        collect_codes(error, 0, &mut codes);
        if !std::ptr::eq(error, value) {
            collect_codes(value, 0, &mut codes);
        }
        Self {
            codes,
            param: param(error).or_else(|| param(value)),
            message: clean(&message),
            length: message.len(),
        }
    }

    /// Codes in quotation marks, then the field, then the words, in lower case: what tables of wordings are matched against.
    pub(crate) fn lower(&self) -> String {
        let mut text = String::new();
        for code in self.codes.iter().chain(&self.param) {
            text.push('"');
            text.push_str(code);
            text.push_str("\" ");
        }
        text.push_str(&self.message);
        text.to_lowercase()
    }

    /// Codes and words on one line, for those who look for a word in either.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.codes.join(" "), self.message)
    }
}

/// Names of the explanation of a filter, the best first: Anthropic's `stop_details`, Gemini's feedback on a prompt and on a candidate,
/// gateways in front of others.
const EXPLANATION: [&str; 10] = [
    "explanation",
    "blockReasonMessage",
    "block_reason_message",
    "finishMessage",
    "finish_message",
    "stop_message",
    "refusal_message",
    "filter_message",
    "reason_message",
    "message",
];
/// Names of what a filter is about.
const CATEGORY: [&str; 3] = ["category", "blockReason", "block_reason"];

/// Why a filter cut an answer, in the provider's words or by its category; `None` where the event says neither.
pub(crate) fn explanation(event: &str) -> Option<String> {
    let value = serde_json::from_str::<Value>(event).ok()?;
    let said = EXPLANATION.iter().find_map(|name| text_named(&value, name, 0)).map(clean);
    let category = || CATEGORY.iter().find_map(|name| text_named(&value, name, 0)).map(clean);
    said.or_else(|| category().map(|category| format!("The provider's filter refused this ({category}).")))
}

/// The text under this name that lies least deep.
fn text_named<'v>(value: &'v Value, name: &str, depth: usize) -> Option<&'v str> {
    if depth > MAX_DEPTH {
        return None;
    }
    let here = value.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    here.or_else(|| children(value).into_iter().find_map(|(_, child)| text_named(child, name, depth + 1)))
}

/// The first entry of the list that `FastAPI` writes: what is wrong, and where.
fn located(value: &Value) -> Option<String> {
    let first = value.get("detail").and_then(|detail| detail.get(0))?;
    let place = first.get("loc").map(Value::to_string).unwrap_or_default();
    Some(format!("{} {place}", first.get("msg")?.as_str()?))
}

/// The words under the best name that lies least deep; without one, the longest text.
fn deep_message(value: &Value) -> Option<String> {
    let mut level = vec![value];
    for _ in 0..MAX_DEPTH {
        let named = |name: &&str| {
            level.iter().find_map(|value| value.get(*name)?.as_str().filter(|text| !text.trim().is_empty()))
        };
        if let Some(text) = MESSAGE.iter().find_map(named) {
            return Some(text.to_owned());
        }
        level = level.into_iter().flat_map(children).map(|(_, child)| child).collect();
        if level.is_empty() {
            break;
        }
    }
    longest(value, 0).map(str::to_owned)
}

fn children(value: &Value) -> Vec<(&str, &Value)> {
    match value {
        Value::Array(list) => list.iter().map(|child| ("", child)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, child)| (name.as_str(), child)).collect(),
        _ => Vec::new(),
    }
}

fn longest(value: &Value, depth: usize) -> Option<&str> {
    if depth > MAX_DEPTH {
        return None;
    }
    let texts =
        children(value).into_iter().filter(|(name, _)| !NO_WORDS.contains(name)).filter_map(|(_, child)| {
            match child {
                Value::String(text) if !text.trim().is_empty() => Some(text.as_str()),
                child => longest(child, depth + 1),
            }
        });
    texts.max_by_key(|text| text.len())
}

/// A message that is itself the JSON of another refusal, as gateways pass them on.
fn unwrapped(message: String) -> String {
    let Some(start) = message.find('{') else { return message };
    let Some(inner) = message.get(start..).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return message;
    };
    let inner = RefusalWords::of_value(&inner).message;
    if inner.is_empty() {
        return message;
    }
    let before = message.get(..start).unwrap_or_default().trim();
    if before.is_empty() { inner } else { format!("{before} {inner}") }
}

fn collect_codes(value: &Value, depth: usize, codes: &mut Vec<String>) {
    if depth > 3 {
        return;
    }
    for name in CODE {
        let code = match value.get(name) {
            Some(Value::String(text)) if text.len() <= 80 && !text.contains(char::is_whitespace) => {
                text.clone()
            }
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        if !code.is_empty() && !codes.contains(&code) {
            codes.push(code);
        }
    }
    for (_, child) in children(value) {
        if child.is_object() || child.is_array() {
            collect_codes(child, depth + 1, codes);
        }
    }
}

/// The field that is meant: a name, or the list of steps that `FastAPI` writes behind `body`.
fn param(value: &Value) -> Option<String> {
    let named = PARAM.iter().find_map(|name| match value.get(*name)? {
        Value::String(text) if !text.is_empty() && text.len() <= 200 => Some(text.clone()),
        Value::Array(steps) => steps_of(steps),
        _ => None,
    });
    named.or_else(|| steps_of(value.get("detail")?.get(0)?.get("loc")?.as_array()?))
}

fn steps_of(steps: &[Value]) -> Option<String> {
    let mut path = String::new();
    for step in steps.iter().skip_while(|step| step.as_str() == Some("body")) {
        match step {
            Value::Number(number) => path = format!("{path}[{number}]"),
            Value::String(name) if path.is_empty() => path.push_str(name),
            Value::String(name) => path = format!("{path}.{name}"),
            _ => return None,
        }
    }
    (!path.is_empty()).then_some(path)
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
    fn words_are_found_wherever_they_lie() {
        let cases = [
            (
                r#"{"code":30001,"message":"request parameters are wrong","success":false}"#,
                "request parameters are wrong",
                "30001",
            ),
            (
                r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
                "insufficient balance",
                "1008",
            ),
            (r#"{"error":{"error":{"inner":{"errorMessage":"deep down"}}}}"#, "deep down", ""),
            (r#"{"errors":[{"title":"no such model","code":"E7"}]}"#, "no such model", "E7"),
            (
                r#"{"detail":[{"loc":["body","x"],"msg":"field required"}]}"#,
                r#"field required ["body","x"]"#,
                "",
            ),
            (
                r#"{"a":{"b":{"c":{"why":"the longest text of all"}}},"x":"short"}"#,
                "the longest text of all",
                "",
            ),
            (r#"{"message":"{\"error\":{\"message\":\"inner\",\"code\":\"c\"}}"}"#, "inner", ""),
            (r#"{"error":"invalid_grant","message":"log in again"}"#, "log in again", "invalid_grant"),
            (r#"{"header":{"code":10013,"message":"input audit failed"}}"#, "input audit failed", "10013"),
            ("upstream is gone", "upstream is gone", ""),
            ("<html><p>gone</p></html>", "gone", ""),
            ("{}", "", ""),
        ];
        for (body, message, code) in cases {
            let words = RefusalWords::of(body);
            assert_eq!(words.message, message, "{body}");
            assert_eq!(words.codes.first().map_or("", String::as_str), code, "{body}");
        }
    }

    #[test]
    fn the_field_that_is_meant() {
        let cases = [
            (r#"{"error":{"message":"m","param":"reasoning.effort"}}"#, Some("reasoning.effort")),
            (
                r#"{"detail":[{"loc":["body","messages",0,"content"],"msg":"m"}]}"#,
                Some("messages[0].content"),
            ),
            (r#"{"detail":[{"loc":["body","tool_choice"],"msg":"m"}]}"#, Some("tool_choice")),
            (r#"{"error":{"message":"m","param":null}}"#, None),
        ];
        for (body, want) in cases {
            assert_eq!(RefusalWords::of(body).param.as_deref(), want, "{body}");
        }
    }

    #[test]
    fn a_filter_is_explained_in_the_providers_words() {
        let cases = [
            (
                r#"{"delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"It looks like an attack."}}}"#,
                Some("It looks like an attack."),
            ),
            (
                r#"{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"Not this."}}"#,
                Some("Not this."),
            ),
            (
                r#"{"promptFeedback":{"blockReason":"OTHER"}}"#,
                Some("The provider's filter refused this (OTHER)."),
            ),
            (r#"{"candidates":[{"finishReason":"SAFETY","finishMessage":"No."}]}"#, Some("No.")),
            (r#"{"choices":[{"finish_reason":"content_filter"}]}"#, None),
        ];
        for (event, want) in cases {
            assert_eq!(explanation(event).as_deref(), want, "{event}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_has_short_words(body in "[\\[\\]{}:,\"a-z1 ]{0,200}", text in ".{0,3000}") {
            for body in [body, text] {
                let words = RefusalWords::of(&body);
                proptest::prop_assert!(words.message.chars().count() <= MAX_MESSAGE_LEN);
                let _ = words.lower();
            }
        }
    }
}
