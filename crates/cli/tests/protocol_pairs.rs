//! Every client protocol on every upstream protocol: what the model puts out is what the client gets, in a legal stream.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::ScriptedAnswer;
use latimer_protocol::{chat, gemini, messages, responses};
use serde_json::{Value, json};
use support::transcript::{self, CLIENTS, Transcript};
use support::upstream_scripts::{Ending, Output, UPSTREAMS, script};
use support::{Harness, body, dechunk, status};

/// One pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// An output of the model, and what a client must get.
struct Case {
    name: &'static str,
    outputs: Vec<Output>,
    end: Ending,
    transcript: Transcript,
    /// Words that must reach the upstream.
    sends: &'static str,
}

fn case(name: &'static str, outputs: Vec<Output>, end: Ending) -> Case {
    let mut transcript = Transcript::default();
    for output in &outputs {
        match output {
            Output::Reasoning(text) => transcript.reasoning.push_str(text),
            Output::Text(text) => transcript.text.push_str(text),
            Output::Call(name, arguments) => transcript.calls.push(((*name).to_owned(), arguments.clone())),
            Output::CustomCall(name, input) => transcript.calls.push(((*name).to_owned(), json!(input))),
        }
    }
    match end {
        Ending::Complete if transcript.calls.is_empty() => "stop",
        Ending::Complete => "calls",
        Ending::Length => "length",
        Ending::Filter => "filter",
        Ending::Broken => "error",
    }
    .clone_into(&mut transcript.end);
    Case { name, outputs, end, transcript, sends: "" }
}

fn cases() -> Vec<Case> {
    let shell = || Output::Call("shell", json!({ "cmd": "ls -la \"añ\"\n" }));
    vec![
        case("text", vec![Output::Text("Hello"), Output::Text(", añ€𝄞 world")], Ending::Complete),
        case("reasoning", vec![Output::Reasoning("Let me think."), Output::Text("Done.")], Ending::Complete),
        case("one call", vec![Output::Text("I look."), shell()], Ending::Complete),
        case(
            "parallel calls",
            vec![shell(), Output::Call("read", json!({ "path": "a.rs", "line": 3 }))],
            Ending::Complete,
        ),
        case("custom tool", vec![Output::CustomCall("patch", "*** Begin Patch\n\"x\"")], Ending::Complete),
        Case { sends: PIXEL, ..case("image", vec![Output::Text("A pixel.")], Ending::Complete) },
        Case {
            sends: "the_colour",
            ..case("structured output", vec![Output::Text("{\"the_colour\":\"red\"}")], Ending::Complete)
        },
        case("length", vec![Output::Text("Half of")], Ending::Length),
        case("filter", vec![Output::Text("I should")], Ending::Filter),
        case("error after", vec![Output::Text("Half")], Ending::Broken),
    ]
}

/// The request of a client: path and body.
fn request(client: &str, name: &str) -> (String, Value) {
    let shell =
        json!({ "type": "object", "properties": { "cmd": { "type": "string" } }, "required": ["cmd"] });
    let read = json!({ "type": "object", "properties": { "path": { "type": "string" }, "line": { "type": "integer" } }, "required": ["path"] });
    let format = json!({ "type": "object", "properties": { "the_colour": { "type": "string" } }, "required": ["the_colour"], "additionalProperties": false });
    let (image, structured, custom) = (name == "image", name == "structured output", name == "custom tool");
    let url = format!("data:image/png;base64,{PIXEL}");
    match client {
        "responses" => {
            let mut content = vec![json!({ "type": "input_text", "text": "go" })];
            if image {
                content.push(json!({ "type": "input_image", "image_url": url }));
            }
            let mut tools = vec![
                json!({ "type": "function", "name": "shell", "parameters": shell }),
                json!({ "type": "function", "name": "read", "parameters": read }),
            ];
            if custom {
                tools.push(json!({ "type": "custom", "name": "patch" }));
            }
            let mut body = json!({ "model": "m", "stream": true, "input": [{ "type": "message", "role": "user", "content": content }], "tools": tools, "reasoning": { "effort": "low", "summary": "auto" } });
            if structured {
                body["text"] =
                    json!({ "format": { "type": "json_schema", "name": "colours", "schema": format } });
            }
            ("/v1/responses".to_owned(), body)
        }
        "chat" => {
            let mut content = vec![json!({ "type": "text", "text": "go" })];
            if image {
                content.push(json!({ "type": "image_url", "image_url": { "url": url } }));
            }
            let mut tools = vec![
                json!({ "type": "function", "function": { "name": "shell", "parameters": shell } }),
                json!({ "type": "function", "function": { "name": "read", "parameters": read } }),
            ];
            if custom {
                tools.push(json!({ "type": "custom", "custom": { "name": "patch" } }));
            }
            let mut body = json!({ "model": "m", "stream": true, "stream_options": { "include_usage": true }, "messages": [{ "role": "user", "content": content }], "tools": tools });
            if structured {
                body["response_format"] =
                    json!({ "type": "json_schema", "json_schema": { "name": "colours", "schema": format } });
            }
            ("/v1/chat/completions".to_owned(), body)
        }
        "messages" => {
            let mut content = vec![json!({ "type": "text", "text": "go" })];
            if image {
                content.push(json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PIXEL } }));
            }
            let tools =
                json!([{ "name": "shell", "input_schema": shell }, { "name": "read", "input_schema": read }]);
            let mut body = json!({ "model": "m", "stream": true, "max_tokens": 4000, "messages": [{ "role": "user", "content": content }], "tools": tools, "thinking": { "type": "adaptive" } });
            if structured {
                body["output_config"] = json!({ "format": { "type": "json_schema", "schema": format } });
            }
            ("/v1/messages?beta=true".to_owned(), body)
        }
        _ => {
            let mut parts = vec![json!({ "text": "go" })];
            if image {
                parts.push(json!({ "inlineData": { "mimeType": "image/png", "data": PIXEL } }));
            }
            let functions = json!([{ "name": "shell", "parametersJsonSchema": shell }, { "name": "read", "parametersJsonSchema": read }]);
            let mut config = json!({ "thinkingConfig": { "includeThoughts": true } });
            if structured {
                config["responseMimeType"] = json!("application/json");
                config["responseJsonSchema"] = format;
            }
            let body = json!({ "contents": [{ "role": "user", "parts": parts }], "tools": [{ "functionDeclarations": functions }], "generationConfig": config });
            ("/v1beta/models/m:streamGenerateContent?alt=sse".to_owned(), body)
        }
    }
}

fn violations(client: &str, stream: &str) -> Vec<String> {
    match client {
        "responses" => responses::legality::check(stream.as_bytes()),
        "chat" => chat::legality::check(stream.as_bytes(), true),
        "messages" => messages::legality::check(stream.as_bytes()),
        _ => gemini::legality::check(stream.as_bytes()),
    }
}

/// Tools that take a text are known to two protocols.
fn applies(client: &str, case: &Case) -> bool {
    case.name != "custom tool" || matches!(client, "responses" | "chat")
}

fn check_upstream(upstream: &'static str) {
    let all = cases();
    let pairs: Vec<(&str, &Case)> = CLIENTS
        .iter()
        .flat_map(|client| all.iter().map(move |case| (*client, case)))
        .filter(|(client, case)| applies(client, case))
        .collect();
    let mut answers: Vec<ScriptedAnswer> =
        pairs.iter().map(|(_, case)| script(upstream, &case.outputs, case.end)).collect();
    answers.extend(
        CLIENTS
            .iter()
            .map(|_| ScriptedAnswer::error(500, json!({ "error": { "message": "the model broke" } }))),
    );
    // Whatever the endpoint's own level is: here everything is translated.
    let endpoint = format!(
        "protocol = \"{upstream}\"\nmodels = [{{ id = \"m\", reasoning = true, images = true }}]\nretries = 0\nresume = 0\nrepair = \"parse\""
    );
    let harness = Harness::configured(&format!("pairs-{upstream}"), answers, "", &endpoint);
    let mut wrong = Vec::new();
    for (place, (client, case)) in pairs.iter().enumerate() {
        let (path, body) = request(client, case.name);
        let answer = harness.post_to(&path, &body.to_string(), "");
        let stream = dechunk(&answer);
        let transcript = transcript::read(client, &stream);
        let broken = violations(client, &stream);
        if status(&answer) != 200 || transcript != case.transcript || !broken.is_empty() {
            wrong.push(format!(
                "{client} on {upstream}, {}: wanted {:?}, got {transcript:?}; {broken:?}; {answer:.3000}",
                case.name, case.transcript
            ));
        }
        let sent = harness.requests().get(place).map(|request| request.body.to_string()).unwrap_or_default();
        if !sent.contains(case.sends) {
            wrong.push(format!("{client} on {upstream}, {}: sent {sent:.3000}", case.name));
        }
    }
    for client in CLIENTS {
        let (path, request) = request(client, "text");
        let answer = harness.post_to(&path, &request.to_string(), "");
        let error: Value = serde_json::from_str(body(&answer)).unwrap_or_default();
        let words = error["error"]["message"].as_str().unwrap_or_default();
        if status(&answer) < 500 || !words.contains("the model broke") {
            wrong.push(format!("{client} on {upstream}, error before: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), pairs.len() + 4, wrong.join("\n\n"));
}

#[test]
fn every_client_on_chat() {
    check_upstream(UPSTREAMS[0]);
}

#[test]
fn every_client_on_messages() {
    check_upstream(UPSTREAMS[1]);
}

#[test]
fn every_client_on_responses() {
    check_upstream(UPSTREAMS[2]);
}

#[test]
fn every_client_on_gemini() {
    check_upstream(UPSTREAMS[3]);
}

#[test]
fn every_client_on_command_code() {
    check_upstream(UPSTREAMS[4]);
}
