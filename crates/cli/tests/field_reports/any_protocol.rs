//! Requests of every client and answers of every provider, with texts put in as they stand on the wire.

use serde_json::{Value, json};

use crate::support::field_report::{ClientAnswer, FieldHarness, ProviderAnswer, RuleProvider};
pub(crate) use crate::support::transcript::CLIENTS;

/// The providers' protocols.
pub(crate) const PROVIDERS: [&str; 4] = ["chat", "anthropic", "responses", "gemini"];

/// A stream in which a provider says these pieces of text; each is the inside of a JSON string.
pub(crate) fn says(provider: &str, pieces: &[&str]) -> ProviderAnswer {
    let whole = pieces.concat();
    let events: Vec<String> = match provider {
        "anthropic" => {
            let mut events = vec![
                r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#.to_owned(),
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
            ];
            events.extend(pieces.iter().map(|piece| format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{piece}"}}}}"#)));
            events.push(r#"{"type":"content_block_stop","index":0}"#.to_owned());
            events.push(
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#
                    .to_owned(),
            );
            events.push(r#"{"type":"message_stop"}"#.to_owned());
            events
        }
        "responses" => {
            let item = |text: &str| {
                format!(
                    r#"{{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}}"#
                )
            };
            let mut events = vec![
                r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","model":"m","output":[]}}"#.to_owned(),
                r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","status":"in_progress","content":[]}}"#.to_owned(),
            ];
            events.extend(pieces.iter().map(|piece| format!(r#"{{"type":"response.output_text.delta","output_index":0,"item_id":"msg_1","content_index":0,"delta":"{piece}"}}"#)));
            events.push(format!(
                r#"{{"type":"response.output_item.done","output_index":0,"item":{}}}"#,
                item(&whole)
            ));
            events.push(format!(r#"{{"type":"response.completed","response":{{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{}],"usage":{{"input_tokens":10,"output_tokens":5,"total_tokens":15}}}}}}"#, item(&whole)));
            events
        }
        "gemini" => {
            let mut events: Vec<String> = pieces.iter().map(|piece| format!(r#"{{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{{"text":"{piece}"}}]}}}}]}}"#)).collect();
            events.push(r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12}}"#.to_owned());
            events
        }
        _ => {
            let mut events: Vec<String> = pieces.iter().map(|piece| format!(r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":"{piece}"}},"finish_reason":null}}]}}"#)).collect();
            events.push(r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned());
            events.push("[DONE]".to_owned());
            events
        }
    };
    stream(&events)
}

/// A stream in which a provider calls `shell` with these pieces of arguments; each is the inside of a JSON string, and of the text that
/// is JSON itself. Gemini gets them as the object they are.
pub(crate) fn calls(provider: &str, pieces: &[&str]) -> ProviderAnswer {
    let whole = pieces.concat();
    let events: Vec<String> = match provider {
        "anthropic" => {
            let mut events = vec![
                r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#.to_owned(),
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"shell","input":{}}}"#.to_owned(),
            ];
            events.extend(pieces.iter().map(|piece| format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":"{piece}"}}}}"#)));
            events.push(r#"{"type":"content_block_stop","index":0}"#.to_owned());
            events.push(
                r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}"#
                    .to_owned(),
            );
            events.push(r#"{"type":"message_stop"}"#.to_owned());
            events
        }
        "responses" => {
            let item = |arguments: &str, status: &str| {
                format!(
                    r#"{{"type":"function_call","id":"fc_1","call_id":"call_1","name":"shell","arguments":"{arguments}","status":"{status}"}}"#
                )
            };
            let mut events = vec![
                r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","model":"m","output":[]}}"#.to_owned(),
                format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{}}}"#, item("", "in_progress")),
            ];
            events.extend(pieces.iter().map(|piece| format!(r#"{{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"fc_1","delta":"{piece}"}}"#)));
            events.push(format!(
                r#"{{"type":"response.output_item.done","output_index":0,"item":{}}}"#,
                item(&whole, "completed")
            ));
            events.push(format!(r#"{{"type":"response.completed","response":{{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{}],"usage":{{"input_tokens":10,"output_tokens":5,"total_tokens":15}}}}}}"#, item(&whole, "completed")));
            events
        }
        "gemini" => {
            let arguments = whole.replace("\\\"", "\"").replace("\\\\", "\\");
            vec![format!(
                r#"{{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{{"functionCall":{{"name":"shell","args":{arguments}}}}}]}},"finishReason":"STOP"}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12}}}}"#
            )]
        }
        _ => {
            let mut events = vec![r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"shell","arguments":""}}]},"finish_reason":null}]}"#.to_owned()];
            events.extend(pieces.iter().map(|piece| format!(r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":"{piece}"}}}}]}},"finish_reason":null}}]}}"#)));
            events.push(r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned());
            events.push("[DONE]".to_owned());
            events
        }
    };
    stream(&events)
}

fn stream(events: &[String]) -> ProviderAnswer {
    let named = |event: &String| {
        let kind = event.strip_prefix("{\"type\":\"").and_then(|rest| rest.split('"').next());
        let kind = kind.map_or_else(String::new, |kind| format!("event: {kind}\n"));
        format!("{kind}data: {event}\n\n")
    };
    ProviderAnswer::raw_stream(events.iter().map(named).collect::<String>())
}

/// What a conversation of the tests holds. Texts are the insides of JSON strings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversation<'c> {
    /// What the person says.
    pub(crate) asked: &'c str,
    /// The arguments of a call of `shell`: an object.
    pub(crate) arguments: &'c str,
    /// What the tool printed.
    pub(crate) printed: &'c str,
    /// More fields of the request: JSON fields, each with a comma behind it.
    pub(crate) fields: &'c str,
    /// Whether `shell` is declared.
    pub(crate) has_tools: bool,
}

impl Default for Conversation<'_> {
    fn default() -> Self {
        Self { asked: "go", arguments: "{}", printed: "done", fields: "", has_tools: true }
    }
}

/// A client's request with a call in its history: path and body.
pub(crate) fn request(client: &str, conversation: &Conversation<'_>) -> (&'static str, String) {
    let Conversation { asked, arguments, printed, fields, has_tools } = *conversation;
    let schema = r#"{"type":"object","properties":{"command":{"type":"string"}}}"#;
    let inside = serde_json::to_string(arguments).expect("text");
    match client {
        "responses" => {
            let tools = if has_tools {
                format!(r#""tools":[{{"type":"function","name":"shell","parameters":{schema}}}],"#)
            } else {
                String::new()
            };
            (
                "/v1/responses",
                format!(
                    r#"{{"model":"lab/m1","stream":true,{tools}{fields}"input":[{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{asked}"}}]}},{{"type":"function_call","call_id":"c1","name":"shell","arguments":{inside}}},{{"type":"function_call_output","call_id":"c1","output":"{printed}"}},{{"type":"message","role":"user","content":[{{"type":"input_text","text":"and now?"}}]}}]}}"#
                ),
            )
        }
        "chat" => {
            let tools = if has_tools {
                format!(
                    r#""tools":[{{"type":"function","function":{{"name":"shell","parameters":{schema}}}}}],"#
                )
            } else {
                String::new()
            };
            (
                "/v1/chat/completions",
                format!(
                    r#"{{"model":"lab/m1","stream":true,{tools}{fields}"messages":[{{"role":"user","content":"{asked}"}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"c1","type":"function","function":{{"name":"shell","arguments":{inside}}}}}]}},{{"role":"tool","tool_call_id":"c1","content":"{printed}"}},{{"role":"user","content":"and now?"}}]}}"#
                ),
            )
        }
        "messages" => {
            let tools = if has_tools {
                format!(r#""tools":[{{"name":"shell","input_schema":{schema}}}],"#)
            } else {
                String::new()
            };
            (
                "/v1/messages?beta=true",
                format!(
                    r#"{{"model":"lab/m1","stream":true,"max_tokens":900,{tools}{fields}"messages":[{{"role":"user","content":"{asked}"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"toolu_1","name":"shell","input":{arguments}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"toolu_1","content":"{printed}"}},{{"type":"text","text":"and now?"}}]}}]}}"#
                ),
            )
        }
        _ => {
            let tools = if has_tools {
                format!(
                    r#""tools":[{{"functionDeclarations":[{{"name":"shell","parametersJsonSchema":{schema}}}]}}],"#
                )
            } else {
                String::new()
            };
            (
                "/v1beta/models/lab%2Fm1:streamGenerateContent?alt=sse",
                format!(
                    r#"{{{tools}{fields}"contents":[{{"role":"user","parts":[{{"text":"{asked}"}}]}},{{"role":"model","parts":[{{"functionCall":{{"name":"shell","args":{arguments}}}}}]}},{{"role":"user","parts":[{{"functionResponse":{{"name":"shell","response":{{"output":"{printed}"}}}}}},{{"text":"and now?"}}]}}]}}"#
                ),
            )
        }
    }
}

/// Headers that every client may send and one needs.
pub(crate) fn headers(client: &str) -> &'static str {
    if client == "messages" { "anthropic-version: 2023-06-01\r\n" } else { "" }
}

/// A proxy before a provider that always answers so; `endpoint` are more lines of its configuration.
pub(crate) fn harness(provider: &str, endpoint: &str, answer: ProviderAnswer) -> FieldHarness {
    let rule = RuleProvider::start(move |_| answer.clone());
    FieldHarness::start(rule, provider, "m1", &format!("retries = 0\n{endpoint}"))
}

/// Sends a request and gives the answer and what the provider got for it.
pub(crate) fn ask(harness: &FieldHarness, client: &str, path: &str, body: &str) -> (ClientAnswer, Value) {
    let before = harness.requests().len();
    let answer = harness.ask(path, headers(client), body);
    let requests = harness.requests();
    assert!(requests.len() <= before + 1, "{client}: asked more than once");
    let sent = requests.get(before).map_or(Value::Null, |request| request.body.clone());
    (answer, sent)
}

/// A tool's declaration for the list of a client of the Messages API.
pub(crate) fn tool(name: &str) -> Value {
    json!({ "name": name, "description": name, "input_schema": { "type": "object", "properties": { "q": { "type": "string" } } } })
}
