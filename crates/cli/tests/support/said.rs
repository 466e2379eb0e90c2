//! What a model says, in the words of every upstream; and what a client of every protocol hears of it.

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};

/// The protocols behind.
pub(crate) const UPSTREAMS: [&str; 5] = ["chat", "anthropic", "responses", "gemini", "command_code"];
/// The protocols in front.
pub(crate) const CLIENTS: [&str; 4] = ["responses", "chat", "messages", "gemini"];

/// One thing a model says.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Thought(&'static str),
    Text(&'static str),
    /// A name and its arguments.
    Call(&'static str, Value),
    /// A call of a tool that takes a text.
    Custom(&'static str, &'static str),
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Well,
    Length,
    Filter,
    /// The provider breaks off, in words.
    Broken,
}

/// What a client heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Heard {
    pub(crate) thought: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) end: String,
}

fn call_of(say: &Say) -> Option<(&'static str, Value)> {
    match say {
        Say::Call(name, arguments) => Some((name, arguments.clone())),
        Say::Custom(name, input) => Some((name, json!({ "input": input }))),
        _ => None,
    }
}

fn frames(events: Vec<Value>) -> ScriptedAnswer {
    let frame = |event: Value| {
        let name = event["type"].as_str().map_or(String::new(), |name| format!("event: {name}\n"));
        Step::raw(format!("{name}data: {event}\n\n"))
    };
    ScriptedAnswer::steps(events.into_iter().map(frame))
}

/// The answer of an upstream.
pub(crate) fn answer(upstream: &str, says: &[Say], end: End) -> ScriptedAnswer {
    match upstream {
        "chat" => chat(says, end),
        "anthropic" => anthropic(says, end),
        "responses" => responses(says, end),
        "gemini" => gemini(says, end),
        _ => command_code(says, end),
    }
}

fn chat(says: &[Say], end: End) -> ScriptedAnswer {
    let chunk = |delta: Value, reason: Value| json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    let mut calls = 0;
    for say in says {
        let delta = match say {
            Say::Thought(text) => json!({ "reasoning_content": text }),
            Say::Text(text) => json!({ "content": text }),
            Say::Call(..) | Say::Custom(..) => {
                let (name, arguments) = call_of(say).expect("a call");
                calls += 1;
                json!({ "tool_calls": [{ "index": calls - 1, "id": format!("call_{calls}"), "type": "function", "function": { "name": name, "arguments": arguments.to_string() } }] })
            }
        };
        events.push(chunk(delta, Value::Null));
    }
    let reason = match end {
        End::Well if calls > 0 => "tool_calls",
        End::Well => "stop",
        End::Length => "length",
        End::Filter => "content_filter",
        End::Broken => {
            events.push(json!({ "error": { "message": "the model broke", "code": 500 } }));
            return frames(events);
        }
    };
    events.push(chunk(json!({}), json!(reason)));
    frames(events)
}

fn anthropic(says: &[Say], end: End) -> ScriptedAnswer {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 4, "output_tokens": 1 } } }),
    ];
    for (index, say) in says.iter().enumerate() {
        let (block, delta) = match say {
            Say::Thought(text) => (
                json!({ "type": "thinking", "thinking": "", "signature": "" }),
                json!({ "type": "thinking_delta", "thinking": text }),
            ),
            Say::Text(text) => {
                (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text }))
            }
            Say::Call(..) | Say::Custom(..) => {
                let (name, arguments) = call_of(say).expect("a call");
                (
                    json!({ "type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {} }),
                    json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }),
                )
            }
        };
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        if matches!(say, Say::Thought(_)) {
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": { "type": "signature_delta", "signature": "c2ln" } }));
        }
        if end != End::Broken || index + 1 < says.len() {
            events.push(json!({ "type": "content_block_stop", "index": index }));
        }
    }
    let calls = says.iter().any(|say| call_of(say).is_some());
    let reason = match end {
        End::Well if calls => "tool_use",
        End::Well => "end_turn",
        End::Length => "max_tokens",
        End::Filter => "refusal",
        End::Broken => {
            events.push(
                json!({ "type": "error", "error": { "type": "api_error", "message": "the model broke" } }),
            );
            return frames(events);
        }
    };
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null }, "usage": { "output_tokens": 2 } }));
    events.push(json!({ "type": "message_stop" }));
    frames(events)
}

fn responses(says: &[Say], end: End) -> ScriptedAnswer {
    let mut events =
        vec![json!({ "type": "response.created", "response": { "id": "resp_up", "status": "in_progress" } })];
    let mut items = Vec::new();
    for (index, say) in says.iter().enumerate() {
        let (item, delta) = match say {
            Say::Thought(text) => (
                json!({ "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": text }] }),
                json!({ "type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": index, "summary_index": 0, "delta": text }),
            ),
            Say::Text(text) => (
                json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": text, "annotations": [] }] }),
                json!({ "type": "response.output_text.delta", "item_id": "msg_1", "output_index": index, "content_index": 0, "delta": text }),
            ),
            // Tools that take a text go out as functions, so they are called as such.
            Say::Call(..) | Say::Custom(..) => {
                let (name, arguments) = call_of(say).expect("a call");
                let (id, arguments) = (format!("fc_{index}"), arguments.to_string());
                (
                    json!({ "type": "function_call", "id": id, "call_id": format!("call_{index}"), "name": name, "arguments": arguments, "status": "completed" }),
                    json!({ "type": "response.function_call_arguments.delta", "item_id": id, "output_index": index, "delta": arguments }),
                )
            }
        };
        let mut added = item.clone();
        for (name, empty) in [("arguments", json!("")), ("content", json!([])), ("summary", json!([]))] {
            if added.get(name).is_some() {
                added[name] = empty;
            }
        }
        events.push(json!({ "type": "response.output_item.added", "output_index": index, "item": added }));
        events.push(delta);
        if end != End::Broken || index + 1 < says.len() {
            events.push(json!({ "type": "response.output_item.done", "output_index": index, "item": item }));
        }
        items.push(item);
    }
    let usage = json!({ "input_tokens": 4, "output_tokens": 2, "total_tokens": 6 });
    let (kind, status, more) = match end {
        End::Well => ("response.completed", "completed", json!({})),
        End::Length => (
            "response.incomplete",
            "incomplete",
            json!({ "incomplete_details": { "reason": "max_output_tokens" } }),
        ),
        End::Filter => (
            "response.incomplete",
            "incomplete",
            json!({ "incomplete_details": { "reason": "content_filter" } }),
        ),
        End::Broken => (
            "response.failed",
            "failed",
            json!({ "error": { "code": "server_error", "message": "the model broke" } }),
        ),
    };
    let mut response =
        json!({ "id": "resp_up", "object": "response", "status": status, "output": items, "usage": usage });
    for (name, value) in more.as_object().expect("an object") {
        response[name] = value.clone();
    }
    events.push(json!({ "type": kind, "response": response }));
    frames(events)
}

fn gemini(says: &[Say], end: End) -> ScriptedAnswer {
    let piece = |parts: Value| json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "index": 0 }] });
    let mut events: Vec<Value> = says
        .iter()
        .map(|say| {
            piece(match say {
                Say::Thought(text) => json!([{ "text": text, "thought": true }]),
                Say::Text(text) => json!([{ "text": text }]),
                Say::Call(..) | Say::Custom(..) => {
                    let (name, arguments) = call_of(say).expect("a call");
                    json!([{ "functionCall": { "name": name, "args": arguments } }])
                }
            })
        })
        .collect();
    let reason = match end {
        End::Well => "STOP",
        End::Length => "MAX_TOKENS",
        End::Filter => "SAFETY",
        End::Broken => {
            events.push(
                json!({ "error": { "code": 500, "message": "the model broke", "status": "INTERNAL" } }),
            );
            return frames(events);
        }
    };
    events.push(json!({ "candidates": [{ "content": { "role": "model", "parts": [] }, "finishReason": reason, "index": 0 }], "usageMetadata": { "promptTokenCount": 4, "candidatesTokenCount": 2 } }));
    frames(events)
}

fn command_code(says: &[Say], end: End) -> ScriptedAnswer {
    let mut events = vec![json!({ "type": "start" })];
    let mut calls = 0;
    for say in says {
        events.push(match say {
            Say::Thought(text) => json!({ "type": "reasoning-delta", "id": "r", "text": text }),
            Say::Text(text) => json!({ "type": "text-delta", "id": "t", "text": text }),
            Say::Call(..) | Say::Custom(..) => {
                let (name, arguments) = call_of(say).expect("a call");
                calls += 1;
                json!({ "type": "tool-call", "toolCallId": format!("call_{calls}"), "toolName": name, "input": arguments })
            }
        });
    }
    let reason = match end {
        End::Well if calls > 0 => "tool-calls",
        End::Well => "stop",
        End::Length => "length",
        End::Filter => "content-filter",
        End::Broken => {
            events.push(json!({ "type": "error", "error": { "message": "the model broke" } }));
            "error"
        }
    };
    if end != End::Broken {
        events.push(json!({ "type": "finish", "finishReason": reason, "totalUsage": { "inputTokens": 4, "outputTokens": 2 } }));
    }
    let line = |event: Value| Step::raw(format!("{event}\n"));
    ScriptedAnswer::steps(events.into_iter().map(line)).content_type("application/x-ndjson")
}

/// What a client heard in a stream of its protocol; the payloads are JSON after `data: `.
pub(crate) fn heard(client: &str, stream: &str) -> Heard {
    let events: Vec<Value> = stream
        .lines()
        // An error of Google's stands bare on its line.
        .map(|line| line.strip_prefix("data: ").unwrap_or(line))
        .filter_map(|data| serde_json::from_str(data.trim()).ok())
        .collect();
    match client {
        "responses" => heard_responses(&events),
        "chat" => heard_chat(&events),
        "messages" => heard_messages(&events),
        _ => heard_gemini(&events),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments))
}

fn heard_responses(events: &[Value]) -> Heard {
    let mut heard = Heard::default();
    for event in events {
        match text(&event["type"]) {
            "response.output_text.delta" => heard.text.push_str(text(&event["delta"])),
            "response.reasoning_summary_text.delta" => heard.thought.push_str(text(&event["delta"])),
            "response.output_item.done" => {
                let item = &event["item"];
                match text(&item["type"]) {
                    "function_call" => {
                        heard.calls.push((text(&item["name"]).to_owned(), parsed(text(&item["arguments"]))));
                    }
                    "custom_tool_call" => {
                        heard.calls.push((text(&item["name"]).to_owned(), item["input"].clone()));
                    }
                    _ => {}
                }
            }
            "response.completed" => {
                if heard.calls.is_empty() { "stop" } else { "calls" }.clone_into(&mut heard.end);
            }
            "response.incomplete" => {
                let length = event["response"]["incomplete_details"]["reason"] == "max_output_tokens";
                if length { "length" } else { "filter" }.clone_into(&mut heard.end);
            }
            "response.failed" => "error".clone_into(&mut heard.end),
            _ => {}
        }
    }
    heard
}

fn heard_chat(events: &[Value]) -> Heard {
    let mut heard = Heard::default();
    let mut arguments: Vec<(String, String, bool)> = Vec::new();
    for event in events {
        if event.get("error").is_some() {
            "error".clone_into(&mut heard.end);
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        heard.text.push_str(text(&delta["content"]));
        heard.thought.push_str(text(&delta["reasoning_content"]));
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
        .clone_into(&mut heard.end);
    }
    heard.calls = arguments
        .into_iter()
        .map(|(name, arguments, custom)| (name, if custom { json!(arguments) } else { parsed(&arguments) }))
        .collect();
    heard
}

fn heard_messages(events: &[Value]) -> Heard {
    let mut heard = Heard::default();
    let mut open: Option<(String, String)> = None;
    for event in events {
        let delta = &event["delta"];
        match text(&event["type"]) {
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                open = Some((text(&event["content_block"]["name"]).to_owned(), String::new()));
            }
            "content_block_delta" => match text(&delta["type"]) {
                "text_delta" => heard.text.push_str(text(&delta["text"])),
                "thinking_delta" => heard.thought.push_str(text(&delta["thinking"])),
                "input_json_delta" => {
                    if let Some((_, arguments)) = &mut open {
                        arguments.push_str(text(&delta["partial_json"]));
                    }
                }
                _ => {}
            },
            "content_block_stop" => {
                heard.calls.extend(open.take().map(|(name, arguments)| (name, parsed(&arguments))));
            }
            "message_delta" => match text(&delta["stop_reason"]) {
                "end_turn" => "stop",
                "tool_use" => "calls",
                "max_tokens" => "length",
                "refusal" => "filter",
                other => other,
            }
            .clone_into(&mut heard.end),
            "error" => "error".clone_into(&mut heard.end),
            _ => {}
        }
    }
    heard
}

fn heard_gemini(events: &[Value]) -> Heard {
    let mut heard = Heard::default();
    for event in events {
        if event.get("error").is_some() {
            "error".clone_into(&mut heard.end);
        }
        let candidate = &event["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            if let Some(call) = part.get("functionCall") {
                heard.calls.push((text(&call["name"]).to_owned(), call["args"].clone()));
            } else if part["thought"] == true {
                heard.thought.push_str(text(&part["text"]));
            } else {
                heard.text.push_str(text(&part["text"]));
            }
        }
        match text(&candidate["finishReason"]) {
            "STOP" if heard.calls.is_empty() => "stop",
            "STOP" => "calls",
            "MAX_TOKENS" => "length",
            "SAFETY" | "PROHIBITED_CONTENT" => "filter",
            "" => continue,
            other => other,
        }
        .clone_into(&mut heard.end);
    }
    heard
}
