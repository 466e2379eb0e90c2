//! Checks a whole Responses stream against the grammar and the laws of the API.
//!
//! Every test that makes the proxy emit a stream runs it through here, whatever else it looks at.

use std::collections::HashSet;

use serde_json::Value;

/// Everything that is illegal in a stream; empty for a legal one.
///
/// `bytes` is the whole body: frames of `event:` and `data:` lines, the last one `data: [DONE]`.
pub fn check(bytes: &[u8]) -> Vec<String> {
    let mut checker = Checker::default();
    let Ok(text) = std::str::from_utf8(bytes) else { return vec!["the stream is not UTF-8".to_owned()] };
    let mut done_marks = 0;
    for frame in text.split_terminator("\n\n") {
        if frame.starts_with(':') {
            continue;
        }
        if done_marks > 0 {
            checker.fault("something follows [DONE]");
        }
        match frame.split_once('\n') {
            None if frame == "data: [DONE]" => done_marks += 1,
            Some((event, data)) => checker.frame(event, data),
            None => checker.fault("a frame without an event line"),
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

#[derive(Default)]
struct Checker {
    faults: Vec<String>,
    sequence: u64,
    response_id: Option<String>,
    terminal: Option<String>,
    items: u64,
    open: Option<Open>,
    done: Vec<Value>,
    ids: HashSet<String>,
}

struct Open {
    index: u64,
    item: Value,
    /// Text of the open part, and whether there is one.
    part: Option<String>,
    /// The deltas of the item, joined; parts are joined by nothing, there is one at a time.
    text: String,
    text_done: bool,
    parts: u64,
}

impl Checker {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(format!("event {}: {}", self.sequence, fault.into()));
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
        if value["sequence_number"].as_u64() != Some(self.sequence) {
            self.fault(format!("sequence_number is {}", value["sequence_number"]));
        }
        if let Some(terminal) = &self.terminal {
            let fault = format!("{kind} follows {terminal}");
            self.fault(fault);
        }
        self.event(&kind, &value);
        self.sequence += 1;
    }

    fn event(&mut self, kind: &str, value: &Value) {
        match (self.sequence, kind) {
            (0, "response.created") | (1, "response.in_progress" | "response.queued") => {}
            (0 | 1, _) => self.fault(format!("{kind} comes too early")),
            _ => {}
        }
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.snapshot(value);
                if value["response"]["status"] != "in_progress"
                    || value["response"]["output"] != Value::Array(Vec::new())
                {
                    self.fault("an early snapshot is not in progress and empty");
                }
                if kind == "response.created" && self.sequence > 0 {
                    self.fault("created twice");
                }
            }
            "response.output_item.added" => self.added(value),
            "response.output_item.done" => self.item_done(value),
            "response.completed" | "response.incomplete" | "response.failed" => self.terminal(kind, value),
            _ => self.inner(kind, value),
        }
    }

    fn snapshot(&mut self, value: &Value) {
        const KEYS: [&str; 29] = [
            "id",
            "object",
            "created_at",
            "completed_at",
            "status",
            "background",
            "error",
            "incomplete_details",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "metadata",
            "model",
            "output",
            "parallel_tool_calls",
            "previous_response_id",
            "prompt_cache_key",
            "reasoning",
            "safety_identifier",
            "service_tier",
            "store",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_logprobs",
            "top_p",
            "truncation",
            "usage",
        ];
        let response = &value["response"];
        for key in KEYS {
            if response.get(key).is_none() {
                self.fault(format!("the response has no `{key}`"));
            }
        }
        let id = response["id"].as_str().unwrap_or_default().to_owned();
        if !id.starts_with("resp_") || id.len() < 29 {
            self.fault(format!("response id {id}"));
        }
        if self.response_id.get_or_insert_with(|| id.clone()) != &id {
            self.fault("the response id changed");
        }
    }

    fn added(&mut self, value: &Value) {
        if self.open.is_some() {
            self.fault("an item is added while another is open");
        }
        let item = value["item"].clone();
        if value["output_index"].as_u64() != Some(self.items) {
            self.fault(format!("output_index {} for item {}", value["output_index"], self.items));
        }
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        if id.is_empty() || !self.ids.insert(id) {
            self.fault("an item id is empty or was used before");
        }
        let empty = match item["type"].as_str().unwrap_or_default() {
            "message" => item["content"] == Value::Array(Vec::new()),
            "reasoning" => item["summary"] == Value::Array(Vec::new()),
            "function_call" => item["arguments"] == "" && named(&item),
            "custom_tool_call" => item["input"] == "" && named(&item),
            "tool_search_call" | "local_shell_call" => item["call_id"].is_string(),
            "compaction" => item["encrypted_content"].is_string(),
            other => {
                self.faults.push(format!("an item of type {other}"));
                true
            }
        };
        if !empty {
            self.fault(format!("an added item is not empty, or has no name: {item}"));
        }
        self.open = Some(Open {
            index: self.items,
            item,
            part: None,
            text: String::new(),
            text_done: false,
            parts: 0,
        });
        self.items += 1;
    }

    fn inner(&mut self, kind: &str, value: &Value) {
        let Some(mut open) = self.open.take() else {
            return self.fault(format!("{kind} outside of an item"));
        };
        if value["item_id"] != open.item["id"] || value["output_index"].as_u64() != Some(open.index) {
            self.fault(format!("{kind} names another item"));
        }
        let item_type = open.item["type"].as_str().unwrap_or_default().to_owned();
        let fits = match kind {
            "response.content_part.added" | "response.content_part.done" => item_type == "message",
            "response.output_text.delta"
            | "response.output_text.done"
            | "response.refusal.delta"
            | "response.refusal.done" => item_type == "message",
            "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done" => {
                item_type == "reasoning"
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_summary_text.done" => {
                item_type == "reasoning"
            }
            "response.function_call_arguments.delta" | "response.function_call_arguments.done" => {
                item_type == "function_call"
            }
            "response.custom_tool_call_input.delta" | "response.custom_tool_call_input.done" => {
                item_type == "custom_tool_call"
            }
            _ => false,
        };
        if !fits {
            self.fault(format!("{kind} inside of a {item_type}"));
        }
        if kind.ends_with("part.added") {
            let at =
                value.get("content_index").or_else(|| value.get("summary_index")).and_then(Value::as_u64);
            if open.part.is_some() || at != Some(open.parts) {
                self.fault("a part is out of order");
            }
            open.parts += 1;
            open.part = Some(String::new());
            open.text_done = false;
        } else if kind.strip_suffix("delta").is_some() {
            let delta = value["delta"].as_str().unwrap_or_default();
            if delta.is_empty() || open.text_done {
                self.fault("a delta is empty, or follows its done");
            }
            if kind == "response.output_text.delta" && !value["logprobs"].is_array() {
                self.fault("a text delta without logprobs");
            }
            open.text.push_str(delta);
            match &mut open.part {
                Some(part) => part.push_str(delta),
                None if matches!(item_type.as_str(), "message" | "reasoning") => {
                    self.fault("a delta outside of a part");
                }
                None => {}
            }
        } else if kind.ends_with("part.done") {
            let part = &value["part"];
            let text = part.get("text").or_else(|| part.get("refusal")).and_then(Value::as_str);
            if text != open.part.as_deref() || !open.text_done {
                self.fault("a part's text is not its deltas");
            }
            open.part = None;
        } else {
            let text = ["text", "refusal", "arguments", "input"]
                .iter()
                .find_map(|key| value.get(key))
                .and_then(Value::as_str);
            let want = open.part.as_deref().unwrap_or(&open.text);
            if text != Some(want) || open.text_done {
                self.fault(format!("{kind} is not the deltas joined"));
            }
            if kind == "response.function_call_arguments.done" && !value["name"].is_string() {
                self.fault("arguments.done without a name");
            }
            open.text_done = true;
        }
        self.open = Some(open);
    }

    fn item_done(&mut self, value: &Value) {
        let Some(open) = self.open.take() else { return self.fault("an item is done that is not open") };
        let item = &value["item"];
        for key in ["id", "type", "call_id", "name", "namespace"] {
            if item.get(key) != open.item.get(key) {
                self.fault(format!("`{key}` changed between added and done"));
            }
        }
        if value["output_index"].as_u64() != Some(open.index) || open.part.is_some() {
            self.fault("an item is done at another index, or with an open part");
        }
        let text = match item["type"].as_str().unwrap_or_default() {
            "message" => joined(&item["content"]),
            "reasoning" => joined(&item["summary"]),
            "function_call" => item["arguments"].as_str().unwrap_or_default().to_owned(),
            "custom_tool_call" => item["input"].as_str().unwrap_or_default().to_owned(),
            _ => open.text.clone(),
        };
        if text != open.text {
            self.fault("a done item's text is not its deltas");
        }
        let whole = item["status"] != "incomplete";
        if item["type"] == "function_call" && whole {
            let arguments = serde_json::from_str::<Value>(&text);
            if !arguments.is_ok_and(|arguments| arguments.is_object()) || !open.text_done {
                self.fault("a call is done whose arguments are not a JSON object");
            }
        }
        self.done.push(item.clone());
    }

    fn terminal(&mut self, kind: &str, value: &Value) {
        self.snapshot(value);
        let response = &value["response"];
        let status = kind.trim_start_matches("response.");
        if response["status"] != status {
            self.fault(format!("{kind} with status {}", response["status"]));
        }
        if let Some(open) = self.open.take() {
            // A call that was cut may stay without a done: clients run whatever is done.
            let cut_call = open.item["call_id"].is_string();
            if !cut_call || status == "completed" {
                self.fault("the stream ends with an open item");
            }
        }
        if response["output"] != Value::Array(self.done.clone()) {
            self.fault("the last snapshot is not the done items");
        }
        if let Some(place) = self.done.iter().position(|item| item["status"] == "incomplete")
            && (status == "completed" || place + 1 != self.done.len())
        {
            self.fault("an incomplete item that is not the last one of a broken response");
        }
        let well = match status {
            "completed" => response["error"].is_null() && response["completed_at"].is_u64(),
            "failed" => response["error"]["code"].is_string() && response["error"]["message"].is_string(),
            _ => response["incomplete_details"]["reason"].is_string(),
        };
        if !well {
            self.fault(format!("{kind} without its details"));
        }
        for key in ["input_tokens", "output_tokens", "total_tokens"] {
            if !response["usage"][key].is_u64() {
                self.fault(format!("usage without {key}"));
            }
        }
        self.terminal = Some(kind.to_owned());
    }

    fn finish(mut self) -> Vec<String> {
        if self.terminal.is_none() {
            self.fault("there is no terminal event");
        }
        self.faults
    }
}

fn named(item: &Value) -> bool {
    let given = |key: &str| item[key].as_str().is_some_and(|text| !text.is_empty());
    given("name") && given("call_id")
}

fn joined(parts: &Value) -> String {
    let text = |part: &Value| {
        part.get("text").or_else(|| part.get("refusal")).and_then(Value::as_str).map(str::to_owned)
    };
    parts.as_array().into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_illegal() {
        for stream in
            ["", "data: [DONE]\n\n", "event: response.created\ndata: {}\n\n", ": only a comment\n\n"]
        {
            assert!(!check(stream.as_bytes()).is_empty(), "{stream:?}");
        }
    }
}
