//! Checks a whole Chat Completions stream, or one completion, against the grammar and the laws of the API and of its clients.
//!
//! Every test that makes the proxy emit a stream runs it through here, whatever else it looks at.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Why an answer may end.
const REASONS: [&str; 5] = ["stop", "tool_calls", "function_call", "length", "content_filter"];

/// Everything that is illegal in a stream; empty for a legal one.
///
/// `bytes` is the whole body: comments and frames of one `data:` line each, the last one `data: [DONE]`. `usage` says that the
/// request asked for it.
pub fn check(bytes: &[u8], usage: bool) -> Vec<String> {
    let mut checker = Checker { wants_usage: usage, ..Checker::default() };
    let Ok(text) = std::str::from_utf8(bytes) else { return vec!["the stream is not UTF-8".to_owned()] };
    let mut done_marks = 0;
    for frame in text.split_terminator("\n\n") {
        if frame.starts_with(':') {
            continue;
        }
        if done_marks > 0 {
            checker.fault("something follows [DONE]");
        }
        match frame.strip_prefix("data: ") {
            Some("[DONE]") => done_marks += 1,
            Some(data) if !data.contains(['\n', '\r']) => checker.data(data),
            _ => checker.fault("a frame that is not one data line"),
        }
    }
    if done_marks != 1 {
        checker.fault(format!("[DONE] came {done_marks} times"));
    }
    if !text.ends_with("\n\n") {
        checker.fault("the stream does not end with an empty line");
    }
    checker.finish()
}

/// Everything that is illegal in a completion, the answer to a request without `stream`.
pub fn check_object(bytes: &[u8]) -> Vec<String> {
    let mut checker = Checker::default();
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return vec!["not JSON".to_owned()] };
    if value.get("error").is_some() {
        checker.error(&value);
        return checker.faults;
    }
    checker.envelope(&value, "chat.completion");
    checker.usage(&value["usage"]);
    let choice = &value["choices"][0];
    if value["choices"].as_array().map(Vec::len) != Some(1) || choice["index"] != 0 {
        checker.fault("not one choice");
    }
    let message = &choice["message"];
    let text = |key: &str| message.get(key).is_some_and(|text| text.is_string() || text.is_null());
    if message["role"] != "assistant" || !text("content") || !text("refusal") {
        checker.fault("the message lacks its role, its content or its refusal");
    }
    if message.get("tool_calls").is_some_and(|calls| calls.as_array().is_none_or(Vec::is_empty)) {
        checker.fault("tool_calls is not a list with something in it");
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        checker.begin_call(call, false);
    }
    if let Some(call) = message.get("function_call") {
        checker.first_form(call, false);
    }
    checker.details(message);
    checker.reason(&choice["finish_reason"]);
    checker.faults
}

#[derive(Default)]
struct Checker {
    wants_usage: bool,
    faults: Vec<String>,
    chunks: u64,
    /// What all chunks have in common.
    common: Option<[Value; 3]>,
    calls: Vec<Call>,
    ids: HashSet<String>,
    /// Calls have the API's first form.
    first_form: bool,
    details: HashSet<u64>,
    /// What ended the answer.
    terminal: Option<String>,
    usage_chunks: u32,
}

struct Call {
    custom: bool,
    text: String,
}

impl Checker {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(format!("chunk {}: {}", self.chunks, fault.into()));
    }

    fn data(&mut self, data: &str) {
        let value: Value = match serde_json::from_str(data) {
            Ok(value) => value,
            Err(error) => return self.fault(format!("data is not JSON: {error}")),
        };
        if let Some(terminal) = self.terminal.clone()
            && (terminal == "error" || value["choices"] != Value::Array(Vec::new()))
        {
            self.fault(format!("something follows {terminal}"));
        }
        if value.get("error").is_some() {
            self.error(&value);
            self.terminal = Some("error".to_owned());
        } else {
            self.chunk(&value);
        }
        self.chunks += 1;
    }

    fn error(&mut self, value: &Value) {
        let error = &value["error"];
        for key in ["message", "type", "code"] {
            if error[key].as_str().is_none_or(str::is_empty) {
                self.fault(format!("an error without `{key}`"));
            }
        }
        if error.get("param").is_none() {
            self.fault("an error without `param`");
        }
        // Some readers would take it for a piece of the answer.
        if value.get("choices").is_some() {
            self.fault("an error with choices");
        }
    }

    fn envelope(&mut self, value: &Value, object: &str) {
        if value["object"] != object {
            self.fault(format!("object is {}", value["object"]));
        }
        let id = value["id"].as_str().unwrap_or_default();
        if id.len() < 20 || !id.starts_with("chatcmpl-") {
            self.fault(format!("id {id}"));
        }
        if !value["created"].is_u64() || !value["model"].is_string() {
            self.fault("created or model is missing");
        }
        let common = ["id", "created", "model"].map(|key| value[key].clone());
        if self.common.get_or_insert_with(|| common.clone()) != &common {
            self.fault("id, created or model changed");
        }
    }

    fn chunk(&mut self, value: &Value) {
        self.envelope(value, "chat.completion.chunk");
        let Some(choices) = value["choices"].as_array() else { return self.fault("a chunk without choices") };
        let [choice] = choices.as_slice() else {
            if !choices.is_empty() || !self.wants_usage || self.terminal.is_none() {
                self.fault("a chunk without its one choice");
            }
            self.usage(&value["usage"]);
            self.usage_chunks += 1;
            return;
        };
        if self.wants_usage != value.get("usage").is_some_and(Value::is_null) || value["usage"].is_object() {
            self.fault("usage stands, or is missing, in a chunk of the answer");
        }
        if choice["index"] != 0 {
            self.fault("a second choice");
        }
        let Some(delta) = choice["delta"].as_object() else { return self.fault("a choice without a delta") };
        self.delta(delta);
        if !choice["finish_reason"].is_null() {
            if !delta.is_empty() {
                self.fault("the last chunk says more than the reason");
            }
            self.reason(&choice["finish_reason"]);
            self.terminal = choice["finish_reason"].as_str().map(str::to_owned);
        } else if delta.is_empty() {
            self.fault("a chunk that says nothing");
        }
    }

    fn delta(&mut self, delta: &Map<String, Value>) {
        if (self.chunks == 0) != (delta.get("role").is_some_and(|role| role == "assistant")) {
            self.fault("the role stands in the first chunk, and only there");
        }
        for key in ["content", "refusal", "reasoning_content"] {
            let Some(text) = delta.get(key) else { continue };
            if text.as_str().is_none_or(|text| text.is_empty() && self.chunks > 0) {
                self.fault(format!("a piece of `{key}` is empty or no text"));
            }
        }
        for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let Some(index) = call["index"].as_u64() else {
                self.fault("a call without an index");
                continue;
            };
            match usize::try_from(index).unwrap_or(usize::MAX) {
                index if index == self.calls.len() => self.begin_call(call, true),
                index if index < self.calls.len() => self.go_on(index, call),
                _ => self.fault("calls are not numbered one by one from 0"),
            }
        }
        if let Some(call) = delta.get("function_call") {
            self.first_form(call, true);
        }
        self.details(&Value::Object(delta.clone()));
        if let Some(key) = delta.keys().find(|key| {
            ![
                "role",
                "content",
                "refusal",
                "reasoning_content",
                "reasoning_details",
                "tool_calls",
                "function_call",
            ]
            .contains(&key.as_str())
        }) {
            self.fault(format!("a delta with `{key}`"));
        }
    }

    /// The first piece of a call, or the whole of it outside of a stream.
    fn begin_call(&mut self, call: &Value, streams: bool) {
        let custom = call["type"] == "custom";
        let (inner, field) =
            if custom { (&call["custom"], "input") } else { (&call["function"], "arguments") };
        if !custom && call["type"] != "function" {
            self.fault(format!("a call of type {}", call["type"]));
        }
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        if id.is_empty() || id.len() > 64 || !self.ids.insert(id) {
            self.fault("a call's id is empty, too long, or was used before");
        }
        if inner["name"].as_str().is_none_or(str::is_empty) {
            self.fault("a call without a name");
        }
        match inner[field].as_str() {
            Some("") if streams => {}
            Some(_) if !streams => {}
            _ => self.fault("a call does not begin with empty arguments"),
        }
        let text = inner[field].as_str().unwrap_or_default().to_owned();
        self.calls.push(Call { custom, text });
    }

    fn go_on(&mut self, index: usize, call: &Value) {
        let known = call.as_object().is_some_and(|call| {
            call.keys().all(|key| ["index", "function", "custom"].contains(&key.as_str()))
        });
        let Some(open) = self.calls.get_mut(index) else { return };
        let inner = if open.custom { &call["custom"]["input"] } else { &call["function"]["arguments"] };
        let named = call["function"].get("name").or_else(|| call["custom"].get("name")).is_some();
        let piece = inner.as_str().unwrap_or_default();
        open.text.push_str(piece);
        if piece.is_empty() || !known || named {
            self.fault("a later piece of a call holds more, or less, than a piece of its arguments");
        }
    }

    fn first_form(&mut self, call: &Value, streams: bool) {
        let text = call["arguments"].as_str();
        let named = call["name"].as_str().is_some_and(|name| !name.is_empty());
        match self.calls.first_mut() {
            None if named && (!streams || text == Some("")) => {
                self.first_form = true;
                self.calls.push(Call { custom: false, text: text.unwrap_or_default().to_owned() });
            }
            Some(open) if self.first_form && call.get("name").is_none() => {
                open.text.push_str(text.unwrap_or_default());
                if text.is_none_or(str::is_empty) {
                    self.fault("a piece of arguments is empty");
                }
            }
            _ => self.fault("a call of the first form has its name once, and is alone"),
        }
    }

    fn details(&mut self, delta: &Value) {
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            let fresh = detail["index"].as_u64().is_some_and(|index| self.details.insert(index));
            if !fresh || !detail["type"].is_string() || !detail["id"].is_string() {
                self.fault("a reasoning detail lacks its type, its id, or an index of its own");
            }
        }
    }

    fn reason(&mut self, reason: &Value) {
        let reason = reason.as_str().unwrap_or_default();
        if !REASONS.contains(&reason) {
            self.fault(format!("finish_reason {reason}"));
        }
        let cut = matches!(reason, "length" | "content_filter");
        let want = match (self.calls.is_empty(), self.first_form) {
            (true, _) => "stop",
            (false, false) => "tool_calls",
            (false, true) => "function_call",
        };
        if !cut && reason != want {
            self.fault(format!("finish_reason {reason}, and the calls say {want}"));
        }
        let is_object = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
        if !cut && self.calls.iter().any(|call| !call.custom && !is_object(&call.text)) {
            self.fault("a call may be run whose arguments are not a JSON object");
        }
    }

    fn usage(&mut self, usage: &Value) {
        let number = |key: &str| usage[key].as_u64();
        let (input, output) = (number("prompt_tokens"), number("completion_tokens"));
        match (input, output, number("total_tokens")) {
            (Some(input), Some(output), Some(total)) if total == input.saturating_add(output) => {}
            _ => self.fault("usage lacks a number, or does not add up"),
        }
    }

    fn finish(mut self) -> Vec<String> {
        match &self.terminal {
            None => self.fault("there is no end"),
            Some(terminal) if terminal != "error" && self.usage_chunks != u32::from(self.wants_usage) => {
                self.fault(format!("usage came {} times", self.usage_chunks));
            }
            Some(_) => {}
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "data: {\"id\":\"chatcmpl-00000000000000000000\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";

    fn chunk(delta: &str, reason: &str) -> String {
        BEGIN.replace("\"role\":\"assistant\",\"content\":\"\"", delta).replace("null", reason)
    }

    #[test]
    fn the_shortest_answer_is_legal() {
        let stream = format!("{BEGIN}: a comment\n\n{}data: [DONE]\n\n", chunk("", "\"stop\""));
        assert_eq!(check(stream.as_bytes(), false), Vec::<String>::new());
        assert!(!check(stream.as_bytes(), true).is_empty(), "usage was asked for");
    }

    #[test]
    fn nonsense_is_illegal() {
        let end = format!("{}data: [DONE]\n\n", chunk("", "\"stop\""));
        let call = "\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]";
        let streams = [
            String::new(),
            "data: [DONE]\n\n".to_owned(),
            ": only a comment\n\n".to_owned(),
            format!("{BEGIN}{}data: [DONE]\n\n", chunk("\"content\":\"a\"", "null")),
            format!("{}{end}", chunk("\"content\":\"no role\"", "null")),
            format!("{BEGIN}{}{end}", chunk("\"content\":\"\"", "null")),
            format!("{BEGIN}{}{end}", chunk(call, "null")),
            format!("{BEGIN}{}{}", chunk(call, "null"), end.replace("stop", "tool_calls")),
            format!("{BEGIN}{0}{0}{1}", chunk(call, "null"), end.replace("stop", "length")),
            format!("{BEGIN}{end}{end}"),
            format!("{BEGIN}data: {{\"error\":{{\"message\":\"m\"}}}}\n\ndata: [DONE]\n\n"),
            format!("event: x\n{BEGIN}{end}"),
            format!("{BEGIN}{}", end.replace("chatcmpl-0", "chatcmpl-1")),
        ];
        for stream in streams {
            assert!(!check(stream.as_bytes(), false).is_empty(), "{stream}");
        }
        for object in ["", "{}", "{\"error\":{}}", "{\"choices\":[{\"message\":{\"role\":\"assistant\"}}]}"] {
            assert!(!check_object(object.as_bytes()).is_empty(), "{object}");
        }
    }
}
