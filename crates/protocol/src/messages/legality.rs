//! Checks a whole Messages stream against the grammar and the laws of the API, and against what Claude Code was seen to need.
//!
//! Every test that makes the proxy emit a stream runs it through here, whatever else it looks at.

use std::collections::HashSet;

use serde_json::{Value, json};

/// Everything that is illegal in a stream; empty for a legal one.
///
/// `bytes` is the whole body: frames of `event:` and `data:` lines. A comment line may stand anywhere.
pub fn check(bytes: &[u8]) -> Vec<String> {
    let mut checker = Checker::default();
    let Ok(text) = std::str::from_utf8(bytes) else { return vec!["the stream is not UTF-8".to_owned()] };
    for frame in text.split_terminator("\n\n") {
        if frame.starts_with(':') {
            continue;
        }
        match frame.split_once('\n') {
            Some((event, data)) => checker.frame(event, data),
            // Claude Code reads nothing at all of a frame without its event line.
            None => checker.fault("a frame without an event line"),
        }
    }
    if !text.ends_with("\n\n") {
        checker.fault("the stream does not end with an empty line");
    }
    checker.finish()
}

/// What may stand in `stop_reason`.
const REASONS: [&str; 7] = [
    "end_turn",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "pause_turn",
    "model_context_window_exceeded",
];
/// Ends that cut an answer, so that its last call may be in pieces.
const CUTS: [&str; 3] = ["max_tokens", "refusal", "model_context_window_exceeded"];
/// What may stand in `error.type`.
const ERRORS: [&str; 10] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

#[derive(Default)]
struct Checker {
    faults: Vec<String>,
    events: u64,
    started: bool,
    blocks: u64,
    open: Option<Open>,
    ids: HashSet<String>,
    calls: u64,
    delta: bool,
    terminal: Option<String>,
}

struct Open {
    index: u64,
    kind: String,
    /// The deltas, joined.
    text: String,
    signed: bool,
}

impl Checker {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(format!("event {}: {}", self.events, fault.into()));
    }

    fn frame(&mut self, event_line: &str, data_line: &str) {
        let Some(data) = data_line.strip_prefix("data: ") else {
            return self.fault("a frame without a data line");
        };
        let value: Value = match serde_json::from_str(data) {
            Ok(value) => value,
            Err(error) => return self.fault(format!("data is not JSON: {error}")),
        };
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        if event_line.strip_prefix("event: ") != Some(&kind) {
            self.fault(format!("`{event_line}` carries type {kind}"));
        }
        if let Some(terminal) = &self.terminal {
            let fault = format!("{kind} follows {terminal}");
            self.fault(fault);
        }
        if !self.started && !matches!(kind.as_str(), "message_start" | "error") {
            self.fault(format!("{kind} comes before message_start"));
        }
        if self.delta && !matches!(kind.as_str(), "message_stop" | "error" | "ping") {
            self.fault(format!("{kind} follows message_delta"));
        }
        match kind.as_str() {
            "message_start" => self.start(&value["message"]),
            "content_block_start" => self.block(&value),
            "content_block_delta" => self.piece(&value),
            "content_block_stop" => self.block_stop(&value),
            "message_delta" => self.message_delta(&value),
            "message_stop" => self.stop(),
            "error" => self.error(&value["error"]),
            "ping" => {}
            other => self.fault(format!("an event of type {other}")),
        }
        self.events += 1;
    }

    fn start(&mut self, message: &Value) {
        if std::mem::replace(&mut self.started, true) {
            self.fault("message_start twice");
        }
        let well = message["id"].as_str().is_some_and(|id| id.starts_with("msg_") && id.len() > 8)
            && message["type"] == "message"
            && message["role"] == "assistant"
            && message["model"].is_string()
            && message["content"] == json!([])
            && message.get("stop_reason") == Some(&Value::Null)
            && message.get("stop_sequence") == Some(&Value::Null);
        if !well {
            self.fault(format!("message_start with {message}"));
        }
        self.usage(&message["usage"], &["input_tokens", "output_tokens"]);
    }

    /// The SDKs raise an error when a count they read is not there.
    fn usage(&mut self, usage: &Value, keys: &[&str]) {
        for key in keys.iter().filter(|key| !usage[**key].is_u64()) {
            self.fault(format!("usage without {key}"));
        }
    }

    fn block(&mut self, value: &Value) {
        if self.open.is_some() {
            self.fault("a block begins while another is open");
        }
        if value["index"].as_u64() != Some(self.blocks) {
            self.fault(format!("index {} for block {}", value["index"], self.blocks));
        }
        let block = &value["content_block"];
        let kind = block["type"].as_str().unwrap_or_default().to_owned();
        let filled = |key: &str| block[key].as_str().is_some_and(|text| !text.is_empty());
        let well = match kind.as_str() {
            "text" => block["text"] == "",
            "thinking" => block["thinking"] == "" && block["signature"] == "",
            "redacted_thinking" => filled("data"),
            // Claude Code ignores an input that stands here.
            "tool_use" => filled("id") && filled("name") && block["input"] == json!({}),
            _ => false,
        };
        if !well {
            self.fault(format!("a block begins as {block}"));
        }
        if kind == "tool_use" && !self.ids.insert(block["id"].as_str().unwrap_or_default().to_owned()) {
            self.fault("a call id was used before");
        }
        self.open = Some(Open { index: self.blocks, kind, text: String::new(), signed: false });
        self.blocks += 1;
    }

    fn piece(&mut self, value: &Value) {
        let Some(mut open) = self.open.take() else { return self.fault("a delta outside of a block") };
        if value["index"].as_u64() != Some(open.index) {
            self.fault("a delta names another block");
        }
        let delta = &value["delta"];
        let kind = delta["type"].as_str().unwrap_or_default();
        let field = match (open.kind.as_str(), kind) {
            ("text", "text_delta") => "text",
            ("thinking", "thinking_delta") => "thinking",
            ("thinking", "signature_delta") => "signature",
            ("tool_use", "input_json_delta") => "partial_json",
            (block, delta) => {
                let fault = format!("{delta} inside of a {block}");
                self.fault(fault);
                "text"
            }
        };
        let text = delta[field].as_str().unwrap_or_default();
        if text.is_empty() || open.signed {
            self.fault("a delta is empty, or follows the signature");
        }
        if field == "signature" {
            open.signed = true;
        } else {
            open.text.push_str(text);
        }
        self.open = Some(open);
    }

    fn block_stop(&mut self, value: &Value) {
        let Some(open) = self.open.take() else { return self.fault("a block ends that is not open") };
        if value["index"].as_u64() != Some(open.index) {
            self.fault("an end names another block");
        }
        match open.kind.as_str() {
            "tool_use" => {
                self.calls += 1;
                if !serde_json::from_str::<Value>(&open.text).is_ok_and(|input| input.is_object()) {
                    self.fault("a call ends whose deltas are not a JSON object");
                }
            }
            "text" if open.text.is_empty() => self.fault("an empty block of text"),
            "thinking" if open.text.is_empty() && !open.signed => self.fault("an empty block of thoughts"),
            _ => {}
        }
    }

    fn message_delta(&mut self, value: &Value) {
        let delta = &value["delta"];
        let reason = delta["stop_reason"].as_str().unwrap_or_default();
        if !REASONS.contains(&reason) {
            self.fault(format!("stop_reason {}", delta["stop_reason"]));
        }
        if delta["stop_sequence"].is_string() != (reason == "stop_sequence") {
            self.fault("stop_sequence does not fit the stop_reason");
        }
        if (reason == "tool_use" && self.calls == 0) || (reason == "end_turn" && self.calls > 0) {
            let fault = format!("{reason} after {} calls", self.calls);
            self.fault(fault);
        }
        if let Some(open) = self.open.take()
            && (open.kind != "tool_use" || !CUTS.contains(&reason))
        {
            self.fault(format!("the message ends with an open block of {}", open.kind));
        }
        self.usage(&value["usage"], &["output_tokens"]);
        self.delta = true;
    }

    fn stop(&mut self) {
        if !self.delta {
            self.fault("message_stop without message_delta");
        }
        self.terminal = Some("message_stop".to_owned());
    }

    fn error(&mut self, error: &Value) {
        let known = error["type"].as_str().is_some_and(|kind| ERRORS.contains(&kind));
        if !known || !error["message"].is_string() {
            self.fault(format!("an error that says {error}"));
        }
        if self.open.as_ref().is_some_and(|open| open.kind != "tool_use") {
            self.fault("words that are not closed before an error are lost");
        }
        self.terminal = Some("error".to_owned());
    }

    fn finish(mut self) -> Vec<String> {
        if self.terminal.is_none() {
            self.fault("there is no terminal event");
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01234567\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}}}\n\n";
    const BLOCK: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    const PIECE: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    const BLOCK_STOP: &str =
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
    const DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}\n\n";
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    #[test]
    fn a_legal_stream_has_no_faults() {
        let stream = [START, ": a comment\n\n", BLOCK, PIECE, BLOCK_STOP, DELTA, STOP].concat();
        assert_eq!(check(stream.as_bytes()), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_left_out_is_missed() {
        let all = [START, BLOCK, PIECE, BLOCK_STOP, DELTA, STOP];
        for place in 0..all.len() {
            let stream: String =
                all.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, event)| *event).collect();
            assert!(!check(stream.as_bytes()).is_empty(), "without {}", all[place]);
        }
        for place in 0..all.len() {
            let mut twice = all.to_vec();
            twice.insert(place, all[place]);
            if all[place] != PIECE {
                assert!(!check(twice.concat().as_bytes()).is_empty(), "twice {}", all[place]);
            }
        }
    }

    #[test]
    fn nonsense_is_illegal() {
        for stream in
            ["", "data: {\"type\":\"message_stop\"}\n\n", ": only a comment\n\n", "event: ping\ndata: {}\n\n"]
        {
            assert!(!check(stream.as_bytes()).is_empty(), "{stream:?}");
        }
    }
}
