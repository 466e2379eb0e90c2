//! Checks a whole answer of `generateContent` or `streamGenerateContent` against the grammar of the API, and against what its
//! SDKs make of it.
//!
//! Every test that makes the proxy emit an answer runs it through here, whatever else it looks at. Stricter than Google's own
//! streams where a client was seen to break:
//!
//! - no comment lines and no `event:` lines: the SDKs for Python and JavaScript take them for broken JSON;
//! - every piece has a content with parts: the chats of the SDKs forget a whole turn over one piece without;
//! - an error stands bare at the very end, with nothing behind: behind `data:` one SDK passes over it.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// What an answer may end with.
const FINISH: [&str; 17] = [
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
];
/// The names of errors, each with the statuses it may come with.
const STATUSES: [(&str, &[u64]); 12] = [
    ("INVALID_ARGUMENT", &[400]),
    ("FAILED_PRECONDITION", &[400]),
    ("OUT_OF_RANGE", &[400]),
    ("UNAUTHENTICATED", &[401]),
    ("PERMISSION_DENIED", &[403]),
    ("NOT_FOUND", &[404]),
    ("ABORTED", &[409]),
    ("RESOURCE_EXHAUSTED", &[429]),
    ("CANCELLED", &[499]),
    ("INTERNAL", &[500]),
    ("UNAVAILABLE", &[502, 503]),
    ("DEADLINE_EXCEEDED", &[504]),
];

/// Everything that is illegal in an event stream (`alt=sse`); empty for a legal one.
pub fn check(bytes: &[u8]) -> Vec<String> {
    let mut checker = Checker::default();
    let Ok(text) = std::str::from_utf8(bytes) else { return vec!["the stream is not UTF-8".to_owned()] };
    let mut rest = text;
    while let Some((frame, behind)) = rest.split_once("\n\n") {
        match frame.strip_prefix("data: ") {
            Some(data) if !data.contains('\n') => checker.piece(data),
            _ => checker.fault("a frame is not one line of data"),
        }
        rest = behind;
    }
    if !rest.is_empty() {
        checker.last_words(rest);
    }
    checker.finish()
}

/// Everything that is illegal in the other form of a stream, one JSON array; empty for a legal one.
pub fn check_array(bytes: &[u8]) -> Vec<String> {
    let mut checker = Checker::default();
    let pieces: Vec<Value> = match serde_json::from_slice(bytes) {
        Ok(pieces) => pieces,
        Err(error) => return vec![format!("the stream is not a JSON array: {error}")],
    };
    for piece in pieces {
        match piece {
            Value::Object(fields) if fields.contains_key("error") => checker.error(&fields),
            piece => checker.response(&piece),
        }
    }
    checker.finish()
}

/// Everything that is illegal in a whole answer or a whole error; empty for a legal one.
pub fn check_object(bytes: &[u8]) -> Vec<String> {
    let mut checker = Checker::default();
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) if fields.contains_key("error") => checker.error(&fields),
        Ok(value) => checker.response(&value),
        Err(error) => checker.fault(format!("the answer is not JSON: {error}")),
    }
    checker.finish()
}

#[derive(Default)]
struct Checker {
    faults: Vec<String>,
    pieces: usize,
    /// The finish reason, or `error`.
    terminal: Option<String>,
    response_id: Option<Value>,
    model: Option<Value>,
    call_ids: HashSet<String>,
}

impl Checker {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(format!("piece {}: {}", self.pieces, fault.into()));
    }

    fn piece(&mut self, data: &str) {
        match serde_json::from_str::<Value>(data) {
            Ok(value) => self.response(&value),
            Err(error) => self.fault(format!("data is not JSON: {error}")),
        }
    }

    /// What stands behind the last empty line.
    fn last_words(&mut self, text: &str) {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(fields)) => self.error(&fields),
            _ => self.fault("the stream ends with something that is no error"),
        }
    }

    fn end(&mut self, terminal: &str) {
        if let Some(earlier) = self.terminal.replace(terminal.to_owned()) {
            self.fault(format!("{terminal} follows {earlier}"));
        }
    }

    fn error(&mut self, fields: &Map<String, Value>) {
        self.end("error");
        if fields.len() != 1 {
            self.fault("something stands beside an error");
        }
        let error = fields.get("error").cloned().unwrap_or_default();
        let known = STATUSES.iter().find(|(name, _)| error["status"] == *name);
        if !known.is_some_and(|(_, codes)| error["code"].as_u64().is_some_and(|code| codes.contains(&code))) {
            self.fault(format!("an error of code {} and status {}", error["code"], error["status"]));
        }
        if error["message"].as_str().is_none_or(str::is_empty) {
            self.fault("an error without a message");
        }
        let details =
            error.get("details").map_or(Some(&[][..]), |details| details.as_array().map(Vec::as_slice));
        let typed = |detail: &Value| {
            detail["@type"].as_str().is_some_and(|name| name.starts_with("type.googleapis.com/google.rpc."))
        };
        if !details.is_some_and(|details| details.iter().all(typed)) {
            self.fault("the details of an error are not a list of typed objects");
        }
    }

    fn response(&mut self, value: &Value) {
        const KEYS: [&str; 5] =
            ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"];
        let Some(fields) = value.as_object() else { return self.fault("a piece is not an object") };
        if let Some(terminal) = &self.terminal {
            let fault = format!("something follows {terminal}");
            self.fault(fault);
        }
        for key in fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            self.fault(format!("an unknown field {key}"));
        }
        for key in ["modelVersion", "responseId"] {
            if value[key].as_str().is_none_or(str::is_empty) {
                self.fault(format!("{key} is missing"));
            }
        }
        if self.response_id.get_or_insert_with(|| value["responseId"].clone()) != &value["responseId"]
            || self.model.get_or_insert_with(|| value["modelVersion"].clone()) != &value["modelVersion"]
        {
            self.fault("the response's id or model changed");
        }
        if let Some(usage) = fields.get("usageMetadata") {
            self.usage(usage);
        }
        match value["candidates"].as_array().map(Vec::as_slice) {
            Some([candidate]) => self.candidate(candidate, fields.contains_key("usageMetadata")),
            _ => self.fault("a piece has not one candidate"),
        }
        self.pieces += 1;
    }

    fn candidate(&mut self, candidate: &Value, has_usage: bool) {
        const KEYS: [&str; 4] = ["content", "finishReason", "finishMessage", "index"];
        let fields = candidate.as_object();
        if fields.is_none_or(|fields| fields.keys().any(|key| !KEYS.contains(&key.as_str()))) {
            self.fault(format!("a candidate with unknown fields: {candidate}"));
        }
        if candidate["index"] != 0 {
            self.fault("a candidate's index is not 0");
        }
        if candidate["content"]["role"] != "model" {
            self.fault("a content is not the model's");
        }
        match candidate["content"]["parts"].as_array() {
            Some(parts) if !parts.is_empty() => parts.iter().for_each(|part| self.part(part)),
            _ => self.fault("a content without parts"),
        }
        match &candidate["finishReason"] {
            Value::Null if candidate.get("finishMessage").is_some() => {
                self.fault("a finish message without a finish reason");
            }
            Value::Null => {}
            Value::String(reason) if FINISH.contains(&reason.as_str()) => {
                self.end(&reason.clone());
                if !has_usage {
                    self.fault("the last piece has no usage");
                }
            }
            other => self.fault(format!("a finish reason {other}")),
        }
    }

    fn part(&mut self, part: &Value) {
        const KEYS: [&str; 4] = ["text", "functionCall", "thought", "thoughtSignature"];
        let Some(fields) = part.as_object() else { return self.fault("a part is not an object") };
        if fields.keys().any(|key| !KEYS.contains(&key.as_str())) {
            self.fault(format!("a part with unknown fields: {part}"));
        }
        let call = fields.get("functionCall");
        match (fields.get("text"), call) {
            (Some(Value::String(_)), None) => {}
            (None, Some(call)) => self.call(call),
            _ => self.fault(format!("a part is not either a text or a call: {part}")),
        }
        if fields.get("thought").is_some_and(|thought| *thought != true || call.is_some()) {
            self.fault(format!("a thought that is none: {part}"));
        }
        if fields.get("thoughtSignature").is_some_and(|signature| !is_base64(signature)) {
            self.fault("a signature is not base64");
        }
    }

    fn call(&mut self, call: &Value) {
        let fields = call.as_object();
        if fields
            .is_none_or(|fields| fields.keys().any(|key| !["id", "name", "args"].contains(&key.as_str())))
        {
            self.fault(format!("a call with unknown fields: {call}"));
        }
        if call["name"].as_str().is_none_or(str::is_empty) || !call["args"].is_object() {
            self.fault(format!("a call without a name, or whose arguments are not an object: {call}"));
        }
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        if id.is_empty() || !self.call_ids.insert(id) {
            self.fault("a call's id is empty or was used before");
        }
    }

    fn usage(&mut self, usage: &Value) {
        let fields = usage.as_object();
        if fields.is_none_or(|fields| fields.values().any(|value| !value.is_u64())) {
            self.fault(format!("a usage that is not made of numbers: {usage}"));
        }
        let count = |key: &str| usage[key].as_u64();
        let sum = ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"]
            .iter()
            .fold(0u64, |sum, key| sum.saturating_add(count(key).unwrap_or(0)));
        if count("promptTokenCount").is_none() || count("totalTokenCount") != Some(sum) {
            self.fault(format!("a usage that does not add up: {usage}"));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.terminal.is_none() {
            self.fault("the answer has no end");
        }
        self.faults
    }
}

/// Base64 as SDKs in strict languages take it: the standard alphabet, padded, and not empty.
fn is_base64(value: &Value) -> bool {
    use base64::Engine as _;
    let decoded = value.as_str().map(|text| base64::engine::general_purpose::STANDARD.decode(text));
    decoded.is_some_and(|bytes| bytes.is_ok_and(|bytes| !bytes.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = r#""modelVersion":"m","responseId":"r"}"#;

    fn piece(candidate: &str) -> String {
        format!(r#"{{"candidates":[{{{candidate},"index":0}}],{END}"#)
    }

    fn with_usage(candidate: &str) -> String {
        let usage = r#"{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3}"#;
        format!(r#"{{"candidates":[{{{candidate},"index":0}}],"usageMetadata":{usage},{END}"#)
    }

    fn content(parts: &str) -> String {
        format!(r#""content":{{"parts":[{parts}],"role":"model"}}"#)
    }

    fn finish(parts: &str) -> String {
        with_usage(&format!(r#"{},"finishReason":"STOP""#, content(parts)))
    }

    const ERROR: &str = r#"{"error":{"code":503,"message":"cut","status":"UNAVAILABLE"}}"#;

    #[test]
    fn legal_answers_have_no_faults() {
        let text = piece(&content(r#"{"text":"a","thought":true}"#));
        let call = finish(r#"{"functionCall":{"id":"c","name":"f","args":{}},"thoughtSignature":"YQ=="}"#);
        for (body, array) in [
            (format!("data: {text}\n\ndata: {call}\n\n"), format!("[{text},\n{call}]")),
            (format!("data: {text}\n\n{ERROR}"), format!("[{text},{ERROR}]")),
            (ERROR.to_owned(), format!("[{ERROR}]")),
        ] {
            assert_eq!(check(body.as_bytes()), Vec::<String>::new(), "{body}");
            assert_eq!(check_array(array.as_bytes()), Vec::<String>::new(), "{array}");
        }
        for object in [call.as_str(), ERROR] {
            assert_eq!(check_object(object.as_bytes()), Vec::<String>::new(), "{object}");
        }
    }

    #[test]
    fn each_law_is_checked() {
        let last = finish(r#"{"text":""}"#);
        let text = piece(&content(r#"{"text":"a"}"#));
        let part = |part: &str| format!("data: {}\n\ndata: {last}\n\n", piece(&content(part)));
        let cases = [
            (String::new(), "no end"),
            (format!("data: {text}\n\n"), "no end"),
            (format!(": alive\n\ndata: {last}\n\n"), "one line of data"),
            (format!("event: x\ndata: {last}\n\n"), "one line of data"),
            (format!("data: {last}\n\ndata: {last}\n\n"), "follows STOP"),
            (format!("data: {last}\n\n{ERROR}"), "error follows STOP"),
            (format!("data: {text}\n\ndata: {ERROR}\n\n"), "unknown field error"),
            (format!("data: {text}\n\n{ERROR}\n\n"), "one line of data"),
            (format!("data: {text}\n\n[DONE]"), "no error"),
            (format!("data: {{{END}\n\ndata: {last}\n\n"), "not one candidate"),
            (format!("data: {}\n\n", last.replace("\"STOP\"", "\"DONE\"")), "finish reason"),
            (
                format!("data: {}\n\n", last.replace("\"totalTokenCount\":3", "\"totalTokenCount\":4")),
                "add up",
            ),
            (format!("data: {text}\n\ndata: {}\n\n", last.replace("\"r\"", "\"s\"")), "changed"),
            (
                format!(
                    "data: {}\n\n",
                    piece(&format!("{},\"finishReason\":\"STOP\"", content(r#"{"text":""}"#)))
                ),
                "no usage",
            ),
            (part(""), "without parts"),
            (part(r#"{"text":7}"#), "either a text or a call"),
            (part(r#"{"thought":true}"#), "either a text or a call"),
            (part(r#"{"text":"","thoughtSignature":"a.b"}"#), "not base64"),
            (part(r#"{"functionCall":{"id":"c","name":"f","args":"{}"}}"#), "not an object"),
            (part(r#"{"functionCall":{"name":"f","args":{}}}"#), "id is empty"),
            (
                part(
                    r#"{"functionCall":{"id":"c","name":"f","args":{}}},{"functionCall":{"id":"c","name":"f","args":{}}}"#,
                ),
                "used before",
            ),
            (ERROR.replace("503", "200"), "code 200"),
        ];
        for (body, want) in cases {
            let faults = check(body.as_bytes());
            assert!(faults.iter().any(|fault| fault.contains(want)), "{want}: {faults:?}\n{body}");
        }
    }
}
