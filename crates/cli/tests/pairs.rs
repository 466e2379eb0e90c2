//! Every client protocol on every upstream protocol: what the model says is what the client hears, in a legal stream.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::ScriptedAnswer;
use latimer_protocol::{anthropic, chat, gemini, responses};
use serde_json::{Value, json};
use support::said::{CLIENTS, End, Heard, Say, UPSTREAMS, answer, heard};
use support::{Lab, body, dechunk, status};

/// One pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What is asked, and what the model says to it.
struct Case {
    what: &'static str,
    says: Vec<Say>,
    end: End,
    heard: Heard,
    /// Words that must reach the upstream.
    sends: &'static str,
}

fn case(what: &'static str, says: Vec<Say>, end: End) -> Case {
    let mut heard = Heard::default();
    for say in &says {
        match say {
            Say::Thought(text) => heard.thought.push_str(text),
            Say::Text(text) => heard.text.push_str(text),
            Say::Call(name, arguments) => heard.calls.push(((*name).to_owned(), arguments.clone())),
            Say::Custom(name, input) => heard.calls.push(((*name).to_owned(), json!(input))),
        }
    }
    match end {
        End::Well if heard.calls.is_empty() => "stop",
        End::Well => "calls",
        End::Length => "length",
        End::Filter => "filter",
        End::Broken => "error",
    }
    .clone_into(&mut heard.end);
    Case { what, says, end, heard, sends: "" }
}

fn cases() -> Vec<Case> {
    let shell = || Say::Call("shell", json!({ "cmd": "ls -la \"añ\"\n" }));
    vec![
        case("text", vec![Say::Text("Hello"), Say::Text(", añ€𝄞 world")], End::Well),
        case("reasoning", vec![Say::Thought("Let me think."), Say::Text("Done.")], End::Well),
        case("one call", vec![Say::Text("I look."), shell()], End::Well),
        case(
            "parallel calls",
            vec![shell(), Say::Call("read", json!({ "path": "a.rs", "line": 3 }))],
            End::Well,
        ),
        case("custom tool", vec![Say::Custom("patch", "*** Begin Patch\n\"x\"")], End::Well),
        Case { sends: PIXEL, ..case("image", vec![Say::Text("A pixel.")], End::Well) },
        Case {
            sends: "the_colour",
            ..case("structured output", vec![Say::Text("{\"the_colour\":\"red\"}")], End::Well)
        },
        case("length", vec![Say::Text("Half of")], End::Length),
        case("filter", vec![Say::Text("I should")], End::Filter),
        case("error after", vec![Say::Text("Half")], End::Broken),
    ]
}

/// The request of a client: path and body.
fn request(client: &str, what: &str) -> (String, Value) {
    let shell =
        json!({ "type": "object", "properties": { "cmd": { "type": "string" } }, "required": ["cmd"] });
    let read = json!({ "type": "object", "properties": { "path": { "type": "string" }, "line": { "type": "integer" } }, "required": ["path"] });
    let format = json!({ "type": "object", "properties": { "the_colour": { "type": "string" } }, "required": ["the_colour"], "additionalProperties": false });
    let (image, structured, custom) = (what == "image", what == "structured output", what == "custom tool");
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

fn illegal(client: &str, stream: &str) -> Vec<String> {
    match client {
        "responses" => responses::legality::check(stream.as_bytes()),
        "chat" => chat::legality::check(stream.as_bytes(), true),
        "messages" => anthropic::legality::check(stream.as_bytes()),
        _ => gemini::legality::check(stream.as_bytes()),
    }
}

/// Tools that take a text are known to two protocols.
fn applies(client: &str, case: &Case) -> bool {
    case.what != "custom tool" || matches!(client, "responses" | "chat")
}

fn drive(upstream: &'static str) {
    let all = cases();
    let pairs: Vec<(&str, &Case)> = CLIENTS
        .iter()
        .flat_map(|client| all.iter().map(move |case| (*client, case)))
        .filter(|(client, case)| applies(client, case))
        .collect();
    let mut answers: Vec<ScriptedAnswer> =
        pairs.iter().map(|(_, case)| answer(upstream, &case.says, case.end)).collect();
    answers.extend(
        CLIENTS
            .iter()
            .map(|_| ScriptedAnswer::error(500, json!({ "error": { "message": "the model broke" } }))),
    );
    // Whatever the endpoint's own level is: here everything is translated.
    let endpoint = format!(
        "protocol = \"{upstream}\"\nmodels = [{{ id = \"m\", reasoning = true, images = true }}]\nretries = 0\nresume = 0\nrepair = \"parse\""
    );
    let lab = Lab::configured(&format!("pairs-{upstream}"), answers, "", &endpoint);
    let mut wrong = Vec::new();
    for (place, (client, case)) in pairs.iter().enumerate() {
        let (path, body) = request(client, case.what);
        let answered = lab.post_to(&path, &body.to_string(), "");
        let stream = dechunk(&answered);
        let got = heard(client, &stream);
        let broken = illegal(client, &stream);
        if status(&answered) != 200 || got != case.heard || !broken.is_empty() {
            wrong.push(format!(
                "{client} on {upstream}, {}: wanted {:?}, got {got:?}; {broken:?}; {answered:.3000}",
                case.what, case.heard
            ));
        }
        let sent = lab.requests().get(place).map(|request| request.body.to_string()).unwrap_or_default();
        if !sent.contains(case.sends) {
            wrong.push(format!("{client} on {upstream}, {}: sent {sent:.3000}", case.what));
        }
    }
    for client in CLIENTS {
        let (path, request) = request(client, "text");
        let answered = lab.post_to(&path, &request.to_string(), "");
        let error: Value = serde_json::from_str(body(&answered)).unwrap_or_default();
        let words = error["error"]["message"].as_str().unwrap_or_default();
        if status(&answered) < 500 || !words.contains("the model broke") {
            wrong.push(format!("{client} on {upstream}, error before: {answered}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), pairs.len() + 4, wrong.join("\n\n"));
}

#[test]
fn every_client_on_chat() {
    drive(UPSTREAMS[0]);
}

#[test]
fn every_client_on_messages() {
    drive(UPSTREAMS[1]);
}

#[test]
fn every_client_on_responses() {
    drive(UPSTREAMS[2]);
}

#[test]
fn every_client_on_gemini() {
    drive(UPSTREAMS[3]);
}

#[test]
fn every_client_on_command_code() {
    drive(UPSTREAMS[4]);
}
