//! The same output of a model, as each upstream protocol streams it.

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};

/// The upstream protocols.
pub(crate) const UPSTREAMS: [&str; 5] = ["chat", "anthropic", "responses", "gemini", "command_code"];
/// A part of a model's output.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    Reasoning(&'static str),
    Text(&'static str),
    /// A name and its arguments.
    Call(&'static str, Value),
    /// A call of a tool that takes a text.
    CustomCall(&'static str, &'static str),
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Length,
    Filter,
    /// The provider breaks off, in words.
    Broken,
}

fn call_parts(output: &Output) -> Option<(&'static str, Value)> {
    match output {
        Output::Call(name, arguments) => Some((name, arguments.clone())),
        Output::CustomCall(name, input) => Some((name, json!({ "input": input }))),
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

/// An answer with this output, in the syntax of this upstream protocol.
pub(crate) fn script(upstream: &str, outputs: &[Output], end: Ending) -> ScriptedAnswer {
    match upstream {
        "chat" => chat(outputs, end),
        "anthropic" => anthropic(outputs, end),
        "responses" => responses(outputs, end),
        "gemini" => gemini(outputs, end),
        _ => command_code(outputs, end),
    }
}

fn chat(outputs: &[Output], end: Ending) -> ScriptedAnswer {
    let chunk = |delta: Value, reason: Value| json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    let mut calls = 0;
    for output in outputs {
        let delta = match output {
            Output::Reasoning(text) => json!({ "reasoning_content": text }),
            Output::Text(text) => json!({ "content": text }),
            Output::Call(..) | Output::CustomCall(..) => {
                let (name, arguments) = call_parts(output).expect("a call");
                calls += 1;
                json!({ "tool_calls": [{ "index": calls - 1, "id": format!("call_{calls}"), "type": "function", "function": { "name": name, "arguments": arguments.to_string() } }] })
            }
        };
        events.push(chunk(delta, Value::Null));
    }
    let reason = match end {
        Ending::Complete if calls > 0 => "tool_calls",
        Ending::Complete => "stop",
        Ending::Length => "length",
        Ending::Filter => "content_filter",
        Ending::Broken => {
            events.push(json!({ "error": { "message": "the model broke", "code": 500 } }));
            return frames(events);
        }
    };
    events.push(chunk(json!({}), json!(reason)));
    frames(events)
}

fn anthropic(outputs: &[Output], end: Ending) -> ScriptedAnswer {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 4, "output_tokens": 1 } } }),
    ];
    for (index, output) in outputs.iter().enumerate() {
        let (block, delta) = match output {
            Output::Reasoning(text) => (
                json!({ "type": "thinking", "thinking": "", "signature": "" }),
                json!({ "type": "thinking_delta", "thinking": text }),
            ),
            Output::Text(text) => {
                (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text }))
            }
            Output::Call(..) | Output::CustomCall(..) => {
                let (name, arguments) = call_parts(output).expect("a call");
                (
                    json!({ "type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {} }),
                    json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }),
                )
            }
        };
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        if matches!(output, Output::Reasoning(_)) {
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": { "type": "signature_delta", "signature": "c2ln" } }));
        }
        if end != Ending::Broken || index + 1 < outputs.len() {
            events.push(json!({ "type": "content_block_stop", "index": index }));
        }
    }
    let calls = outputs.iter().any(|output| call_parts(output).is_some());
    let reason = match end {
        Ending::Complete if calls => "tool_use",
        Ending::Complete => "end_turn",
        Ending::Length => "max_tokens",
        Ending::Filter => "refusal",
        Ending::Broken => {
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

fn responses(outputs: &[Output], end: Ending) -> ScriptedAnswer {
    let mut events =
        vec![json!({ "type": "response.created", "response": { "id": "resp_up", "status": "in_progress" } })];
    let mut items = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let (item, delta) = match output {
            Output::Reasoning(text) => (
                json!({ "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": text }] }),
                json!({ "type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": index, "summary_index": 0, "delta": text }),
            ),
            Output::Text(text) => (
                json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": text, "annotations": [] }] }),
                json!({ "type": "response.output_text.delta", "item_id": "msg_1", "output_index": index, "content_index": 0, "delta": text }),
            ),
            // Tools that take a text go out as functions, so they are called as such.
            Output::Call(..) | Output::CustomCall(..) => {
                let (name, arguments) = call_parts(output).expect("a call");
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
        if end != Ending::Broken || index + 1 < outputs.len() {
            events.push(json!({ "type": "response.output_item.done", "output_index": index, "item": item }));
        }
        items.push(item);
    }
    let usage = json!({ "input_tokens": 4, "output_tokens": 2, "total_tokens": 6 });
    let (kind, status, more) = match end {
        Ending::Complete => ("response.completed", "completed", json!({})),
        Ending::Length => (
            "response.incomplete",
            "incomplete",
            json!({ "incomplete_details": { "reason": "max_output_tokens" } }),
        ),
        Ending::Filter => (
            "response.incomplete",
            "incomplete",
            json!({ "incomplete_details": { "reason": "content_filter" } }),
        ),
        Ending::Broken => (
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

fn gemini(outputs: &[Output], end: Ending) -> ScriptedAnswer {
    let piece = |parts: Value| json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "index": 0 }] });
    let mut events: Vec<Value> = outputs
        .iter()
        .map(|output| {
            piece(match output {
                Output::Reasoning(text) => json!([{ "text": text, "thought": true }]),
                Output::Text(text) => json!([{ "text": text }]),
                Output::Call(..) | Output::CustomCall(..) => {
                    let (name, arguments) = call_parts(output).expect("a call");
                    json!([{ "functionCall": { "name": name, "args": arguments } }])
                }
            })
        })
        .collect();
    let reason = match end {
        Ending::Complete => "STOP",
        Ending::Length => "MAX_TOKENS",
        Ending::Filter => "SAFETY",
        Ending::Broken => {
            events.push(
                json!({ "error": { "code": 500, "message": "the model broke", "status": "INTERNAL" } }),
            );
            return frames(events);
        }
    };
    events.push(json!({ "candidates": [{ "content": { "role": "model", "parts": [] }, "finishReason": reason, "index": 0 }], "usageMetadata": { "promptTokenCount": 4, "candidatesTokenCount": 2 } }));
    frames(events)
}

fn command_code(outputs: &[Output], end: Ending) -> ScriptedAnswer {
    let mut events = vec![json!({ "type": "start" })];
    let mut calls = 0;
    for output in outputs {
        events.push(match output {
            Output::Reasoning(text) => json!({ "type": "reasoning-delta", "id": "r", "text": text }),
            Output::Text(text) => json!({ "type": "text-delta", "id": "t", "text": text }),
            Output::Call(..) | Output::CustomCall(..) => {
                let (name, arguments) = call_parts(output).expect("a call");
                calls += 1;
                json!({ "type": "tool-call", "toolCallId": format!("call_{calls}"), "toolName": name, "input": arguments })
            }
        });
    }
    let reason = match end {
        Ending::Complete if calls > 0 => "tool-calls",
        Ending::Complete => "stop",
        Ending::Length => "length",
        Ending::Filter => "content-filter",
        Ending::Broken => {
            events.push(json!({ "type": "error", "error": { "message": "the model broke" } }));
            "error"
        }
    };
    if end != Ending::Broken {
        events.push(json!({ "type": "finish", "finishReason": reason, "totalUsage": { "inputTokens": 4, "outputTokens": 2 } }));
    }
    let line = |event: Value| Step::raw(format!("{event}\n"));
    ScriptedAnswer::steps(events.into_iter().map(line)).content_type("application/x-ndjson")
}
