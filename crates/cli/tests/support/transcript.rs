//! What a client of each protocol reads in a stream.

use serde_json::{Value, json};

/// The client protocols.
pub(crate) const CLIENTS: [&str; 4] = ["responses", "chat", "messages", "gemini"];

/// A stream as a client understands it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Transcript {
    pub(crate) reasoning: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) end: String,
}

/// Reads a stream of this client protocol; the payloads are JSON after `data: `.
pub(crate) fn read(client: &str, stream: &str) -> Transcript {
    let events: Vec<Value> = stream
        .lines()
        // An error of Google's stands bare on its line.
        .map(|line| line.strip_prefix("data: ").unwrap_or(line))
        .filter_map(|data| serde_json::from_str(data.trim()).ok())
        .collect();
    match client {
        "responses" => read_responses(&events),
        "chat" => read_chat(&events),
        "messages" => read_messages(&events),
        _ => read_gemini(&events),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments))
}

fn read_responses(events: &[Value]) -> Transcript {
    let mut transcript = Transcript::default();
    for event in events {
        match text(&event["type"]) {
            "response.output_text.delta" => transcript.text.push_str(text(&event["delta"])),
            "response.reasoning_summary_text.delta" => transcript.reasoning.push_str(text(&event["delta"])),
            "response.output_item.done" => {
                let item = &event["item"];
                match text(&item["type"]) {
                    "function_call" => {
                        transcript
                            .calls
                            .push((text(&item["name"]).to_owned(), parsed(text(&item["arguments"]))));
                    }
                    "custom_tool_call" => {
                        transcript.calls.push((text(&item["name"]).to_owned(), item["input"].clone()));
                    }
                    _ => {}
                }
            }
            "response.completed" => {
                if transcript.calls.is_empty() { "stop" } else { "calls" }.clone_into(&mut transcript.end);
            }
            "response.incomplete" => {
                let length = event["response"]["incomplete_details"]["reason"] == "max_output_tokens";
                if length { "length" } else { "filter" }.clone_into(&mut transcript.end);
            }
            "response.failed" => "error".clone_into(&mut transcript.end),
            _ => {}
        }
    }
    transcript
}

fn read_chat(events: &[Value]) -> Transcript {
    let mut transcript = Transcript::default();
    let mut arguments: Vec<(String, String, bool)> = Vec::new();
    for event in events {
        if event.get("error").is_some() {
            "error".clone_into(&mut transcript.end);
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        transcript.text.push_str(text(&delta["content"]));
        transcript.reasoning.push_str(text(&delta["reasoning_content"]));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let place = usize::try_from(call["index"].as_u64().unwrap_or(0)).unwrap_or(0);
            let custom = call["type"] == "custom";
            let function = if call.get("custom").is_some() { &call["custom"] } else { &call["function"] };
            if place == arguments.len() {
                arguments.push((text(&function["name"]).to_owned(), String::new(), custom));
            }
            let piece =
                if call.get("custom").is_some() { &function["input"] } else { &function["arguments"] };
            arguments[place].1.push_str(text(piece));
        }
        match text(&choice["finish_reason"]) {
            "stop" => "stop",
            "tool_calls" => "calls",
            "length" => "length",
            "content_filter" => "filter",
            _ => continue,
        }
        .clone_into(&mut transcript.end);
    }
    transcript.calls = arguments
        .into_iter()
        .map(|(name, arguments, custom)| (name, if custom { json!(arguments) } else { parsed(&arguments) }))
        .collect();
    transcript
}

fn read_messages(events: &[Value]) -> Transcript {
    let mut transcript = Transcript::default();
    let mut open: Option<(String, String)> = None;
    for event in events {
        let delta = &event["delta"];
        match text(&event["type"]) {
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                open = Some((text(&event["content_block"]["name"]).to_owned(), String::new()));
            }
            "content_block_delta" => match text(&delta["type"]) {
                "text_delta" => transcript.text.push_str(text(&delta["text"])),
                "thinking_delta" => transcript.reasoning.push_str(text(&delta["thinking"])),
                "input_json_delta" => {
                    if let Some((_, arguments)) = &mut open {
                        arguments.push_str(text(&delta["partial_json"]));
                    }
                }
                _ => {}
            },
            "content_block_stop" => {
                transcript.calls.extend(open.take().map(|(name, arguments)| (name, parsed(&arguments))));
            }
            "message_delta" => match text(&delta["stop_reason"]) {
                "end_turn" => "stop",
                "tool_use" => "calls",
                "max_tokens" => "length",
                "refusal" => "filter",
                other => other,
            }
            .clone_into(&mut transcript.end),
            "error" => "error".clone_into(&mut transcript.end),
            _ => {}
        }
    }
    transcript
}

fn read_gemini(events: &[Value]) -> Transcript {
    let mut transcript = Transcript::default();
    for event in events {
        if event.get("error").is_some() {
            "error".clone_into(&mut transcript.end);
        }
        let candidate = &event["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            if let Some(call) = part.get("functionCall") {
                transcript.calls.push((text(&call["name"]).to_owned(), call["args"].clone()));
            } else if part["thought"] == true {
                transcript.reasoning.push_str(text(&part["text"]));
            } else {
                transcript.text.push_str(text(&part["text"]));
            }
        }
        match text(&candidate["finishReason"]) {
            "STOP" if transcript.calls.is_empty() => "stop",
            "STOP" => "calls",
            "MAX_TOKENS" => "length",
            "SAFETY" | "PROHIBITED_CONTENT" => "filter",
            "" => continue,
            other => other,
        }
        .clone_into(&mut transcript.end);
    }
    transcript
}
