//! The same turn as clients of four protocols ask for it, and answers as providers of four protocols give them.

use serde_json::{Value, json};

use crate::support::field_report::{ClientAnswer, FieldHarness, ProviderAnswer};

/// Codex says who it is by these headers.
pub(crate) const CODEX: &str =
    "originator: codex_exec\r\nuser-agent: codex_exec/0.171.0 (Debian 12.0.0; x86_64) dumb\r\n";

/// The protocols of providers, as an endpoint's `protocol`.
pub(crate) const PROVIDERS: [&str; 4] = ["chat", "anthropic", "responses", "gemini"];

/// One turn of a client.
pub(crate) struct Front {
    pub(crate) name: &'static str,
    path: &'static str,
    headers: &'static str,
    pub(crate) body: Value,
}

impl Front {
    pub(crate) fn ask(&self, harness: &FieldHarness) -> ClientAnswer {
        harness.ask(self.path, self.headers, &self.body.to_string())
    }
}

/// A short question that asks for so many tokens at most, in each client protocol and as Codex. It declares one tool.
pub(crate) fn fronts(max_output: u64) -> [Front; 5] {
    let schema = json!({ "type": "object", "properties": { "command": { "type": "string" } } });
    let front = |name, path, headers, body| Front { name, path, headers, body };
    let responses = json!({
        "model": "m1", "stream": true, "max_output_tokens": max_output, "input": "hi",
        "tools": [{ "type": "function", "name": "shell", "parameters": schema }],
    });
    [
        front("Codex", "/v1/responses", CODEX, responses.clone()),
        front("Responses", "/v1/responses", "", responses),
        front(
            "Chat",
            "/v1/chat/completions",
            "",
            json!({
                "model": "m1", "stream": true, "max_tokens": max_output, "messages": [{ "role": "user", "content": "hi" }],
                "tools": [{ "type": "function", "function": { "name": "shell", "parameters": schema } }],
            }),
        ),
        front(
            "Messages",
            "/v1/messages",
            "anthropic-version: 2023-06-01\r\n",
            json!({
                "model": "m1", "stream": true, "max_tokens": max_output, "messages": [{ "role": "user", "content": "hi" }],
                "tools": [{ "name": "shell", "input_schema": schema }],
            }),
        ),
        front(
            "Gemini",
            "/v1beta/models/m1:streamGenerateContent?alt=sse",
            "",
            json!({
                "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }],
                "generationConfig": { "maxOutputTokens": max_output },
                "tools": [{ "functionDeclarations": [{ "name": "shell", "parameters": schema }] }],
            }),
        ),
    ]
}

/// How many tokens of an answer a provider of this protocol was asked for.
pub(crate) fn asked_for(protocol: &str, body: &Value) -> Option<u64> {
    match protocol {
        "responses" => body["max_output_tokens"].as_u64(),
        "gemini" => body["generationConfig"]["maxOutputTokens"].as_u64(),
        _ => body["max_tokens"].as_u64().or(body["max_completion_tokens"].as_u64()),
    }
}

/// A refusal in the shape of this protocol.
pub(crate) fn refusal(protocol: &str, status: u16, message: &str) -> ProviderAnswer {
    let body = match protocol {
        "anthropic" => {
            json!({ "type": "error", "error": { "type": "invalid_request_error", "message": message } })
        }
        "gemini" => {
            json!({ "error": { "code": status, "message": message, "status": "INVALID_ARGUMENT" } })
        }
        _ => json!({ "error": { "message": message, "type": "invalid_request_error" } }),
    };
    ProviderAnswer::json(status, &body)
}

/// An answer of these words.
pub(crate) fn words(protocol: &str, text: &str) -> ProviderAnswer {
    let events = match protocol {
        "anthropic" => vec![
            json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "content": [], "model": "m1", "usage": { "input_tokens": 5, "output_tokens": 0 } } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 3 } }),
            json!({ "type": "message_stop" }),
        ],
        "responses" => {
            let item = json!({ "type": "message", "id": "it_0", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": text, "annotations": [] }] });
            let response = |status: &str, output: Value| json!({ "id": "resp_1", "object": "response", "status": status, "model": "m1", "output": output, "usage": { "input_tokens": 5, "output_tokens": 3, "total_tokens": 8 } });
            vec![
                json!({ "type": "response.created", "sequence_number": 0, "response": response("in_progress", json!([])) }),
                json!({ "type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": { "type": "message", "id": "it_0", "role": "assistant", "status": "in_progress", "content": [] } }),
                json!({ "type": "response.output_text.delta", "sequence_number": 2, "output_index": 0, "item_id": "it_0", "content_index": 0, "delta": text }),
                json!({ "type": "response.output_item.done", "sequence_number": 3, "output_index": 0, "item": item }),
                json!({ "type": "response.completed", "sequence_number": 4, "response": response("completed", json!([item])) }),
            ]
        }
        "gemini" => vec![json!({
            "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] }, "finishReason": "STOP" }],
            "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 3 },
        })],
        _ => vec![
            json!({ "id": "c1", "object": "chat.completion.chunk", "model": "m1", "choices": [{ "index": 0, "delta": { "role": "assistant", "content": text }, "finish_reason": null }] }),
            json!({ "id": "c1", "object": "chat.completion.chunk", "model": "m1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }),
            json!("data: [DONE]\n\n"),
        ],
    };
    ProviderAnswer::stream(&events)
}
