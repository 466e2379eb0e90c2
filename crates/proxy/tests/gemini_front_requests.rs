//! Requests of Gemini clients, recorded and composed: the turn they are read as, and what providers get.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod gemini_scripts;

use std::path::Path;

use gemini_scripts::snapshot;
use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::gemini::request::FlavourLimits;
use latimer_adapters::limitation::Limitations;
use latimer_adapters::responses::profile::Profile;
use latimer_protocol::turn::{Content, Format, Item, OpaqueState, Role, SealKey, StateOwner};
use latimer_proxy::inbound::gemini::request::{GeminiRequest, count_answer, read, read_count};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A turn: an item on a line, then the tools, then every field that says something.
fn shown(parsed: &GeminiRequest) -> String {
    let cut = |text: String| {
        let short: String = text.chars().take(300).collect();
        if short.len() < text.len() { short + "…" } else { short }
    };
    let turn = &parsed.turn;
    let mut lines: Vec<String> = turn.items.iter().map(|item| cut(item_shown(item))).collect();
    for tool in &turn.tools {
        let schema = tool.parameters.as_ref().map_or("-", |schema| schema.get());
        let schema =
            serde_json::from_str::<Value>(schema).map_or("-".to_owned(), |schema| schema.to_string());
        let client = parsed.names.client(&tool.name);
        let name = if client == tool.name { client.to_owned() } else { format!("{} ({client})", tool.name) };
        lines.push(format!("tool {name} {}", cut(schema)));
    }
    lines.push(format!("choice {:?}", turn.tool_choice));
    let sampling = &turn.sampling;
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ];
    lines.extend(numbers.iter().filter_map(|(name, number)| Some(format!("{name} {}", (*number)?))));
    lines.extend(turn.max_output_tokens.map(|most| format!("max_output_tokens {most}")));
    lines.extend(turn.reasoning.effort.iter().map(|effort| format!("effort {effort}")));
    match &turn.format {
        Format::Text => {}
        Format::JsonObject => lines.push("format object".to_owned()),
        Format::JsonSchema { schema, .. } => lines.push(format!("format {}", cut(schema.get().to_owned()))),
    }
    lines.push(format!("thoughts {}", parsed.thoughts));
    lines.push(format!("tokens {}", parsed.input_tokens));
    lines.extend(parsed.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

fn item_shown(item: &Item) -> String {
    let contents = |contents: &[Content]| {
        let part = |content: &Content| match content {
            Content::Text(text) => format!("{text:?}"),
            Content::Refusal(text) => format!("refusal {text:?}"),
            Content::Image(image) => format!("image {}", image.url),
            Content::File { name, data_url } => format!("file {} {data_url}", name.as_deref().unwrap_or("-")),
        };
        contents.iter().map(part).collect::<Vec<_>>().join(" | ")
    };
    match item {
        Item::Message(message) => {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            format!("{role}: {}", contents(&message.content))
        }
        Item::Reasoning(thoughts) => {
            let state = thoughts.opaque.as_ref().map_or("-", |opaque| &opaque.data);
            format!("thoughts: {:?} state {state}", thoughts.text)
        }
        Item::Call(call) => format!("call {}: {} {}", call.id, call.name, call.arguments),
        Item::Output(output) => format!("output {}: {}", output.id, contents(&output.content)),
    }
}

fn parsed(path: &Path) -> GeminiRequest {
    read("gemini-3-flash", &std::fs::read(path).expect("readable"), &SealKey::default()).expect("understood")
}

#[test]
fn requests_become_turns() {
    insta::glob!("../../../fixtures/gemini_front", "*.request.json", |path| {
        snapshot(path, "", &shown(&parsed(path)));
    });
}

/// Every message and tool on a line, then every other field.
fn request_shown(body: &[u8]) -> String {
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    let fields = body.as_object_mut().expect("an object");
    let mut lines = Vec::new();
    for key in ["messages", "tools"] {
        for value in fields.shift_remove(key).as_ref().and_then(Value::as_array).into_iter().flatten() {
            let line: String = value.to_string().chars().take(300).collect();
            lines.push(format!("{key} {line}"));
        }
    }
    lines.extend(fields.iter().map(|(key, value)| format!("{key} = {value}")));
    lines.join("\n")
}

#[test]
fn requests_reach_a_chat_provider() {
    insta::glob!("../../../fixtures/gemini_front", "*.request.json", |path| {
        let turn = parsed(path).turn;
        let written =
            latimer_adapters::chat::request::write(&turn, &Quirks::DEFAULT, &StateOwner::new("lab", "m"));
        calls_are_answered(&serde_json::from_slice(&written.body).expect("JSON"));
        snapshot(path, ".chat", &request_shown(&written.body));
    });
}

/// What Chat providers check: each call is answered before anybody speaks again.
fn calls_are_answered(body: &Value) {
    let mut open: Vec<&str> = Vec::new();
    for message in body["messages"].as_array().expect("messages") {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().expect("an id");
            let at = open.iter().position(|known| *known == id).expect("an output of an open call");
            open.remove(at);
            continue;
        }
        assert!(open.is_empty(), "a message stands between a call and its output");
        open.extend(
            message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|call| call["id"].as_str().expect("an id")),
        );
    }
    assert!(open.is_empty(), "a call without an output");
}

#[test]
fn requests_reach_every_other_provider() {
    insta::glob!("../../../fixtures/gemini_front", "*.request.json", |path| {
        let turn = parsed(path).turn;
        let (owner, limitations) = (StateOwner::new("lab", "m"), Limitations::default());
        let takes = FlavourLimits { urls: true, token_limit: true, edit_nudge: false };
        let bodies = [
            latimer_adapters::messages::request::write(&turn, &owner, &limitations).body,
            latimer_adapters::gemini::request::write(&turn, "gemini-3-flash", takes, &owner, &limitations)
                .body,
            latimer_adapters::responses::request::write(&turn, &Profile::PLAIN, &owner).body,
        ];
        for body in bodies {
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            // What stands in for a signature means something to Google alone, and latimer's own adapter writes it anew.
            let contents = body.get("contents").is_none().then(|| body.to_string());
            assert!(!contents.unwrap_or_default().contains("skip_thought_signature_validator"));
        }
    });
}

#[test]
fn bad_requests_say_where_and_what() {
    let cases = [
        ("", None, "empty"),
        ("[1]", None, "should be a JSON object"),
        ("{\"contents\":\n}", None, "line 2 column 1"),
        ("{\"toolConfig\":{},\"tool_config\":{},\"contents\":\"x\"}", None, "twice"),
        ("{}", Some("contents"), "is missing"),
        ("{\"contents\":[]}", Some("contents"), "is empty"),
        ("{\"contents\":7}", Some("contents"), "a number was sent"),
        ("{\"contents\":[7]}", Some("contents[0]"), "should be an object"),
        ("{\"contents\":[{\"role\":7}]}", Some("contents[0].role"), "should be a string"),
        ("{\"contents\":[{\"parts\":\"x\"}]}", Some("contents[0].parts"), "a list of parts"),
        (
            "{\"contents\":[{\"parts\":[{\"text\":[]}]}]}",
            Some("contents[0].parts[0].text"),
            "a list was sent",
        ),
        (
            "{\"contents\":[{\"parts\":[{\"functionCall\":{\"args\":{}}}]}]}",
            Some("contents[0].parts[0].functionCall.name"),
            "is missing",
        ),
        (
            "{\"contents\":[{\"parts\":[{\"functionResponse\":{\"parts\":[{\"inlineData\":{\"data\":\"\"}}]}}]}]}",
            Some("contents[0].parts[0].functionResponse.parts[0].inlineData.mimeType"),
            "is missing",
        ),
        ("{\"contents\":\"x\",\"systemInstruction\":7}", Some("systemInstruction"), "a content with parts"),
        ("{\"contents\":\"x\",\"cachedContent\":\"cachedContents/1\"}", Some("cachedContent"), "keeps none"),
        (
            "{\"contents\":\"x\",\"generationConfig\":{\"topP\":\"x\"}}",
            Some("generationConfig.topP"),
            "a number",
        ),
        (
            "{\"contents\":\"x\",\"generationConfig\":{\"candidateCount\":2}}",
            Some("generationConfig.candidateCount"),
            "should be 1",
        ),
        (
            "{\"contents\":\"x\",\"generationConfig\":{\"responseModalities\":[\"AUDIO\"]}}",
            Some("generationConfig.responseModalities"),
            "should hold TEXT",
        ),
        (
            "{\"contents\":\"x\",\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":\"much\"}}}",
            Some("generationConfig.thinkingConfig.thinkingBudget"),
            "a whole number",
        ),
        (
            "{\"contents\":\"x\",\"tools\":[{\"functionDeclarations\":[{\"description\":\"?\"}]}]}",
            Some("tools[0].functionDeclarations[0].name"),
            "is missing",
        ),
        (
            "{\"contents\":\"x\",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"SOME\"}}}",
            Some("toolConfig.functionCallingConfig.mode"),
            "should be AUTO",
        ),
        (
            "{\"contents\":\"x\",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"gone\"]}}}",
            Some("toolConfig.functionCallingConfig.allowedFunctionNames"),
            "no function that is declared",
        ),
    ];
    for (body, field, words) in cases {
        let error = read("m", body.as_bytes(), &SealKey::default()).expect_err(body);
        assert_eq!(error.path.as_deref(), field, "{body}");
        assert!(error.message.contains(words), "{body}: {}", error.message);
    }
    assert_eq!(
        read("models/", b"{}", &SealKey::default()).expect_err("no model").path.as_deref(),
        Some("model")
    );
    assert_eq!(
        read("models/m", b"{\"contents\":\"x\"}", &SealKey::default()).expect("a request").turn.model,
        "m"
    );
}

#[test]
fn counts_are_for_contents_alone_and_for_whole_requests() {
    let seal = SealKey::default();
    let count = |body: &Value| {
        let answer = count_answer(&read_count("m", body.to_string().as_bytes(), &seal).expect("a request"));
        serde_json::from_str::<Value>(&answer).expect("JSON")["totalTokens"].as_u64().expect("a number")
    };
    let contents =
        json!([{ "role": "user", "parts": [{ "text": "How many tokens are these words, about?" }] }]);
    let alone = count(&json!({ "contents": contents }));
    assert!((10..20).contains(&alone), "{alone}");
    let whole = json!({ "generateContentRequest": {
        "model": "models/m",
        "contents": contents,
        "systemInstruction": { "parts": [{ "text": "Be brief." }] },
        "tools": [{ "functionDeclarations": [{ "name": "read", "description": "Reads a file." }] }],
    }});
    assert!(count(&whole) > alone + 15, "{}", count(&whole));
}

#[test]
fn state_is_read_where_it_was_written_and_only_with_our_seal() {
    let seal = SealKey::from_secret(b"ours");
    let state = |data: &str| OpaqueState { owner: StateOwner::new("lab", "m"), data: data.to_owned() };
    let sealed =
        latimer_protocol::gemini::signature::seal(&[state("after-text"), state("before-call")], &seal);
    let body = json!({ "contents": [
        { "role": "user", "parts": [{ "text": "Go." }] },
        { "role": "model", "parts": [
            { "text": "hm", "thought": true }, { "text": "I look." },
            { "functionCall": { "id": "c1", "name": "f", "args": {} }, "thoughtSignature": sealed },
        ]},
    ]});
    let items = |seal: &SealKey| {
        let parsed = read("m", body.to_string().as_bytes(), seal).expect("a request");
        let items: Vec<String> = parsed.turn.items.iter().map(item_shown).collect();
        (items, parsed.notes)
    };
    let (ours, notes) = items(&seal);
    let want = [
        "user: \"Go.\"",
        "thoughts: \"hm\" state -",
        "assistant: \"I look.\"",
        "thoughts: \"\" state after-text",
        "thoughts: \"\" state before-call",
        "call c1: f {}",
    ];
    assert_eq!((ours.as_slice(), notes.len()), (want.map(str::to_owned).as_slice(), 0));
    let (theirs, notes) = items(&SealKey::from_secret(b"theirs"));
    assert_eq!((theirs.len(), notes.len()), (4, 1));
}

/// JSON that looks like a request, with values of every type in every place.
fn any_request() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("user"),
        Just("model"),
        Just("function"),
        Just("OBJECT"),
        Just("ANY"),
        Just("read"),
        Just("image/png"),
        Just("application/json"),
        Just("aGk="),
    ];
    let keys = prop_oneof![
        Just("role"),
        Just("parts"),
        Just("text"),
        Just("thought"),
        Just("thoughtSignature"),
        Just("functionCall"),
        Just("functionResponse"),
        Just("inlineData"),
        Just("file_data"),
        Just("id"),
        Just("name"),
        Just("args"),
        Just("response"),
        Just("mimeType"),
        Just("data"),
        Just("fileUri"),
        Just("functionDeclarations"),
        Just("parameters"),
        Just("type"),
        Just("properties"),
        Just("nullable"),
        Just("functionCallingConfig"),
        Just("mode"),
        Just("responseSchema"),
        Just("thinkingConfig"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(6, 48, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    });
    let top = prop_oneof![
        Just("contents"),
        Just("contents"),
        Just("systemInstruction"),
        Just("tools"),
        Just("tool_config"),
        Just("generationConfig"),
    ];
    proptest::collection::vec((top, value), 1..5)
        .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_request_is_understood_or_refused_with_words(request in any_request()) {
        match read("m", request.to_string().as_bytes(), &SealKey::default()) {
            Ok(parsed) => {
                let written = latimer_adapters::chat::request::write(&parsed.turn, &Quirks::DEFAULT, &StateOwner::new("lab", "m"));
                calls_are_answered(&serde_json::from_slice(&written.body).expect("JSON"));
            }
            Err(error) => prop_assert!(!error.message.is_empty()),
        }
    }

    #[test]
    fn any_bytes_are_understood_or_refused_with_words(body in proptest::collection::vec(any::<u8>(), 0..64), text in "\\PC{0,64}") {
        for body in [&body, text.as_bytes()] {
            for read in [read, read_count] {
                if let Err(error) = read("m", body, &SealKey::default()) {
                    prop_assert!(!error.message.is_empty());
                }
            }
        }
    }
}
