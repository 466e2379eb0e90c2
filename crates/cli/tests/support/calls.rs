//! Calls in the words of every provider's protocol, asked for by every client's.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::field_report::{ClientAnswer, FieldHarness, ProviderAnswer, RuleProvider};

/// The protocols of providers.
pub(crate) const PROVIDERS: [&str; 5] = ["chat", "anthropic", "responses", "gemini", "command_code"];
/// The protocols of clients.
pub(crate) const CLIENTS: [&str; 4] = ["responses", "chat", "messages", "gemini"];

/// A call of a tool, its arguments in these pieces.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedCall {
    pub(crate) name: &'static str,
    pub(crate) pieces: Vec<String>,
}

impl ScriptedCall {
    pub(crate) fn new<T: Into<String>>(name: &'static str, pieces: impl IntoIterator<Item = T>) -> Self {
        Self { name, pieces: pieces.into_iter().map(Into::into).collect() }
    }
}

/// An answer that is this call and nothing else.
pub(crate) fn answer(provider: &str, call: &ScriptedCall) -> ProviderAnswer {
    match provider {
        "chat" => chat(call),
        "anthropic" => anthropic(call),
        "responses" => responses(call, "function_call", "arguments"),
        "gemini" => gemini(call),
        _ => command_code(call),
    }
}

fn chat(ScriptedCall { name, pieces }: &ScriptedCall) -> ProviderAnswer {
    let chunk = |delta: Value, reason: Value| json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let call = |call: Value| json!({ "tool_calls": [call] });
    let mut events = vec![chunk(
        call(
            json!({ "index": 0, "id": "c1", "type": "function", "function": { "name": name, "arguments": "" } }),
        ),
        Value::Null,
    )];
    events.extend(
        pieces
            .iter()
            .map(|piece| chunk(call(json!({ "index": 0, "function": { "arguments": piece } })), Value::Null)),
    );
    events.push(chunk(json!({}), json!("tool_calls")));
    events.push(json!("data: [DONE]\n\n"));
    ProviderAnswer::stream(&events)
}

fn anthropic(ScriptedCall { name, pieces }: &ScriptedCall) -> ProviderAnswer {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": { "input_tokens": 4, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "t1", "name": name, "input": {} } }),
    ];
    events.extend(pieces.iter().map(|piece| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": piece } })));
    events.extend([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null }, "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ]);
    ProviderAnswer::stream(&events)
}

/// The same with an item of another type and another field for its text.
pub(crate) fn responses(call: &ScriptedCall, kind: &str, field: &str) -> ProviderAnswer {
    let ScriptedCall { name, pieces } = call;
    let item = |text: &str, status: &str| json!({ "type": kind, "id": "i1", "call_id": "c1", "name": name, field: text, "status": status });
    let event = if kind == "function_call" { "function_call_arguments" } else { "custom_tool_call_input" };
    let whole = pieces.concat();
    let mut events = vec![
        json!({ "type": "response.created", "response": { "id": "r", "object": "response", "status": "in_progress", "output": [] } }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item("", "in_progress") }),
    ];
    events.extend(pieces.iter().map(|piece| json!({ "type": format!("response.{event}.delta"), "item_id": "i1", "output_index": 0, "delta": piece })));
    events.extend([
        json!({ "type": format!("response.{event}.done"), "item_id": "i1", "output_index": 0, field: whole }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item(&whole, "completed") }),
        json!({ "type": "response.completed", "response": { "id": "r", "object": "response", "status": "completed", "model": "m", "output": [item(&whole, "completed")], "usage": { "input_tokens": 4, "output_tokens": 2, "total_tokens": 6 } } }),
    ]);
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    ProviderAnswer::stream(&events)
}

/// This protocol has objects where others have their text: what is none comes as a text.
fn gemini(ScriptedCall { name, pieces }: &ScriptedCall) -> ProviderAnswer {
    let whole = pieces.concat();
    let arguments = serde_json::from_str::<Value>(&whole).unwrap_or_else(|_| json!(whole));
    ProviderAnswer::stream(&[
        json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "functionCall": { "name": name, "args": arguments } }] }, "index": 0 }] }),
        json!({ "candidates": [{ "content": { "role": "model", "parts": [] }, "finishReason": "STOP", "index": 0 }], "usageMetadata": { "promptTokenCount": 4, "candidatesTokenCount": 2 } }),
    ])
}

fn command_code(ScriptedCall { name, pieces }: &ScriptedCall) -> ProviderAnswer {
    let mut events =
        vec![json!({ "type": "start" }), json!({ "type": "tool-input-start", "id": "c1", "toolName": name })];
    events
        .extend(pieces.iter().map(|piece| json!({ "type": "tool-input-delta", "id": "c1", "delta": piece })));
    events.extend([
        json!({ "type": "tool-call", "toolCallId": "c1", "toolName": name, "input": pieces.concat() }),
        json!({ "type": "finish", "finishReason": "tool-calls", "totalUsage": { "inputTokens": 4, "outputTokens": 2 } }),
    ]);
    let lines = events.iter().fold(String::new(), |lines, event| lines + &event.to_string() + "\n");
    ProviderAnswer { content_type: "application/x-ndjson", ..ProviderAnswer::raw_stream(lines) }
}

/// A proxy before a provider of this protocol. Which answers a request gets is said by a word in it, `case-NUMBER`; the last answer repeats.
pub(crate) fn start(
    provider: &'static str,
    answers: Vec<Vec<ProviderAnswer>>,
    endpoint: &str,
) -> FieldHarness {
    let mut asked: HashMap<(usize, String), usize> = HashMap::new();
    let rule = RuleProvider::start(move |request| {
        let (_, behind) = request.text.split_once("case-").expect("a case");
        let mut words = behind.split(|c: char| !c.is_ascii_alphanumeric());
        let case: usize = words.next().and_then(|word| word.parse().ok()).expect("a number");
        let client = words.next().unwrap_or_default().to_owned();
        let times = asked.entry((case, client)).or_default();
        let answer = &answers[case][(*times).min(answers[case].len() - 1)];
        *times += 1;
        answer.clone()
    });
    FieldHarness::start(rule, provider, "m1", endpoint)
}

/// Asks for a case.
pub(crate) fn ask(harness: &FieldHarness, client: &str, case: usize, stream: bool) -> ClientAnswer {
    let shell = json!({ "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] });
    let read = json!({ "type": "object", "properties": { "path": { "type": "string" }, "pages": { "type": "string" } }, "required": ["path"] });
    let text =
        json!({ "type": "object", "properties": { "patch": { "type": "string" } }, "required": ["patch"] });
    let (go, codex) = (
        format!("case-{case} {client}{stream}"),
        "originator: codex_exec\r\nuser-agent: codex_exec/0.171.0 (Debian 12.0.0; x86_64) dumb\r\n",
    );
    let grammar = "start: \"*** Begin Patch\" /(.|\\n)+/";
    match client {
        "responses" => {
            let format = json!({ "type": "grammar", "syntax": "lark", "definition": grammar });
            let tools = json!([
                { "type": "function", "name": "shell", "parameters": shell },
                { "type": "function", "name": "read", "parameters": read },
                { "type": "custom", "name": "apply_patch", "description": "edits", "format": format },
                { "type": "custom", "name": "exec", "description": "runs code" },
            ]);
            let body = json!({ "model": "lab/m1", "stream": stream, "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": go }] }], "tools": tools });
            harness.ask("/v1/responses", codex, &body.to_string())
        }
        "chat" => {
            let format = json!({ "type": "grammar", "grammar": { "syntax": "lark", "definition": grammar } });
            let function = |name: &str, parameters: &Value| json!({ "type": "function", "function": { "name": name, "parameters": parameters } });
            let tools = json!([
                function("shell", &shell),
                function("read", &read),
                { "type": "custom", "custom": { "name": "apply_patch", "description": "edits", "format": format } },
                { "type": "custom", "custom": { "name": "exec", "description": "runs code" } },
            ]);
            let body = json!({ "model": "lab/m1", "stream": stream, "messages": [{ "role": "user", "content": go }], "tools": tools });
            harness.ask("/v1/chat/completions", "", &body.to_string())
        }
        "messages" => {
            let tool = |name: &str, schema: &Value| json!({ "name": name, "input_schema": schema });
            let tools = json!([tool("shell", &shell), tool("read", &read), tool("apply_patch", &text)]);
            let body = json!({ "model": "lab/m1", "stream": stream, "max_tokens": 900, "messages": [{ "role": "user", "content": go }], "tools": tools });
            harness.ask("/v1/messages?beta=true", "", &body.to_string())
        }
        _ => {
            let tool = |name: &str, schema: &Value| json!({ "name": name, "parametersJsonSchema": schema });
            let tools = json!([{ "functionDeclarations": [tool("shell", &shell), tool("read", &read), tool("apply_patch", &text)] }]);
            let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": go }] }], "tools": tools });
            let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            harness.ask(&format!("/v1beta/models/lab/m1:{method}"), "", &body.to_string())
        }
    }
}

/// The arguments that a client has which adds up the pieces of calls, whether or not they have ended.
pub(crate) fn added_up(answer: &ClientAnswer) -> Vec<String> {
    let mut sums: Vec<(u64, String)> = Vec::new();
    let mut add = |index: &Value, piece: &str| {
        let index = index.as_u64().unwrap_or_default();
        match sums.iter_mut().find(|(known, _)| *known == index) {
            Some((_, sum)) => sum.push_str(piece),
            None => sums.push((index, piece.to_owned())),
        }
    };
    let events = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    for event in events.filter_map(|data| serde_json::from_str::<Value>(data).ok()) {
        match event["type"].as_str() {
            Some("response.function_call_arguments.delta" | "response.custom_tool_call_input.delta") => {
                add(&event["output_index"], event["delta"].as_str().unwrap_or_default());
            }
            Some("content_block_delta") if event["delta"]["partial_json"].is_string() => {
                add(&event["index"], event["delta"]["partial_json"].as_str().unwrap_or_default());
            }
            _ => {
                for call in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                    let text = [&call["function"]["arguments"], &call["custom"]["input"]];
                    add(&call["index"], text.iter().find_map(|text| text.as_str()).unwrap_or_default());
                }
            }
        }
    }
    sums.into_iter().map(|(_, sum)| sum).collect()
}

/// The calls of an answer that is one object: names and arguments, or the text of a freeform call.
pub(crate) fn calls_of_object(client: &str, body: &str) -> Vec<(String, Value)> {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let parsed = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_else(|_| json!(text))
    };
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match client {
        "responses" => {
            let items = list(&value["output"]).into_iter();
            let calls = items.filter_map(|item| match item["type"].as_str() {
                Some("function_call") => Some((name(&item["name"]), parsed(&item["arguments"]))),
                Some("custom_tool_call") => Some((name(&item["name"]), item["input"].clone())),
                _ => None,
            });
            calls.collect()
        }
        "chat" => {
            let calls = list(&value["choices"][0]["message"]["tool_calls"]).into_iter();
            let call = |call: Value| match call["type"].as_str() {
                Some("custom") => (name(&call["custom"]["name"]), call["custom"]["input"].clone()),
                _ => (name(&call["function"]["name"]), parsed(&call["function"]["arguments"])),
            };
            calls.map(call).collect()
        }
        "messages" => {
            let blocks = list(&value["content"]).into_iter().filter(|block| block["type"] == "tool_use");
            blocks.map(|block| (name(&block["name"]), block["input"].clone())).collect()
        }
        _ => {
            let parts = list(&value["candidates"][0]["content"]["parts"]).into_iter();
            let call = |part: Value| {
                let call = part.get("functionCall")?;
                Some((name(&call["name"]), call["args"].clone()))
            };
            parts.filter_map(call).collect()
        }
    }
}
