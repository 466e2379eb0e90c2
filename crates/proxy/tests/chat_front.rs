//! Requests of Chat Completions clients, to turns and on to every kind of provider.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle};
use latimer_adapters::chat::request::write;
use latimer_adapters::gemini::request::FlavourLimits;
use latimer_adapters::limitation::Limitations;
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, EventSink as _, Item, Message, Note, OpaqueState, ReasoningItem, Role,
    SealKey, StateOwner, TurnEvent, TurnRequest,
};
use latimer_proxy::inbound::chat::request::{ResponseOptions, read};
use latimer_proxy::inbound::chat::stream::ChatWriter;
use latimer_proxy::inbound::wire::openai_error::code;
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use proptest::prelude::*;
use serde_json::{Value, json};

const QUIRKS: Quirks = Quirks { reasoning: ReasoningStyle::Effort, echo: Echo::Always, ..Quirks::DEFAULT };

/// The turn, one item a line, and what the client wants.
fn shown(turn: &TurnRequest, wants: &ResponseOptions) -> String {
    let cut = |line: String| {
        let mut short: String = line.chars().take(300).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short
    };
    let mut lines: Vec<String> = turn.items.iter().map(|item| cut(format!("{item:?}"))).collect();
    lines.extend(turn.tools.iter().map(|tool| cut(format!("{tool:?}"))));
    lines.push(format!(
        "choice {:?} parallel {:?} limit {:?} {:?} {:?}",
        turn.tool_choice, turn.parallel_tool_calls, turn.max_output_tokens, turn.sampling, turn.reasoning
    ));
    lines.push(format!(
        "format {:?} verbosity {:?} conversation {:?}",
        turn.format, turn.verbosity, turn.conversation
    ));
    lines.push(format!(
        "stream {} usage {} first form {} stop {:?} thoughts {} refusals {}",
        wants.stream, wants.usage, wants.legacy, wants.stop, wants.thoughts, wants.refusals
    ));
    lines.extend(wants.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// What a Chat provider gets, one message or tool a line.
fn upstream(body: &[u8], notes: &[Note]) -> String {
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    let fields = body.as_object_mut().expect("an object");
    let mut lines = Vec::new();
    for key in ["messages", "tools"] {
        for value in fields.shift_remove(key).as_ref().and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!("{key} {}", value.to_string().chars().take(300).collect::<String>()));
        }
    }
    lines.extend(fields.iter().map(|(key, value)| format!("{key} = {value}")));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

#[test]
fn requests_become_turns_and_reach_the_provider() {
    insta::glob!("../../../fixtures/chat_front", "*.request.json", |path| {
        let body = std::fs::read(path).expect("readable");
        let (turn, wants) = read(&body, &SealKey::default()).expect("understood");
        let written = write(&turn, &QUIRKS, &StateOwner::new("lab", "m"));
        pairs_are_whole(&serde_json::from_slice(&written.body).expect("JSON"));
        let text = format!("{}\n\n{}", shown(&turn, &wants), upstream(&written.body, &written.notes));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().expect("a folder"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_snapshot_suffix();
        let name = path.file_name().expect("named").to_string_lossy().replace(".json", "");
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

#[test]
fn requests_reach_every_other_kind_of_provider() {
    insta::glob!("../../../fixtures/chat_front", "*.request.json", |path| {
        let body = std::fs::read(path).expect("readable");
        let (turn, _) = read(&body, &SealKey::default()).expect("understood");
        let owner = StateOwner::new("lab", "m");
        let limitations = Limitations::default();
        let anthropic = latimer_adapters::messages::request::write(&turn, &owner, &limitations).body;
        let takes = FlavourLimits { urls: true, token_limit: true, edit_nudge: false };
        let gemini =
            latimer_adapters::gemini::request::write(&turn, "gemini-3-flash", takes, &owner, &limitations)
                .body;
        for (body, key) in [(anthropic, "messages"), (gemini, "contents")] {
            let value: Value = serde_json::from_slice(&body).expect("JSON");
            assert!(value[key].as_array().is_some_and(|list| !list.is_empty()), "{}", path.display());
        }
    });
}

/// What every strict provider checks: each call is answered right behind it, and nothing else is.
fn pairs_are_whole(body: &Value) {
    let mut open: Vec<String> = Vec::new();
    for message in body["messages"].as_array().expect("messages") {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().expect("an id");
            let at = open.iter().position(|known| known == id).expect("an output of an open call");
            open.remove(at);
            continue;
        }
        assert!(open.is_empty(), "a message stands between a call and its output");
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            open.push(call["id"].as_str().expect("an id").to_owned());
            let arguments = call["function"]["arguments"].as_str().expect("text");
            assert!(
                serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object()),
                "{arguments}"
            );
        }
    }
    assert!(open.is_empty(), "a call without an output");
}

#[test]
fn bad_messages_are_named() {
    refused(&[
        ("", "invalid_json", None, "empty"),
        ("[1]", "invalid_json", None, "should be a JSON object"),
        ("{\"model\":\"m\",\n \"messages\":}", "invalid_json", None, "line 2 column 13"),
        ("{\"messages\":[]}", "missing_required_parameter", Some("model"), "`model` is missing"),
        ("{\"model\":7}", "invalid_type", Some("model"), "a number was sent"),
        ("{\"model\":\"m\"}", "missing_required_parameter", Some("messages"), "`messages` is missing"),
        ("{\"model\":\"m\",\"messages\":[]}", "invalid_value", Some("messages"), "empty"),
        ("{\"model\":\"m\",\"messages\":\"hi\"}", "invalid_type", Some("messages"), "a list of messages"),
        ("{\"model\":\"m\",\"messages\":[7]}", "invalid_type", Some("messages[0]"), "an object"),
        (
            "{\"model\":\"m\",\"messages\":[{}]}",
            "missing_required_parameter",
            Some("messages[0].role"),
            "user",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}",
            "invalid_type",
            Some("messages[0].content"),
            "a string or a list of parts",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":7}]}]}",
            "invalid_type",
            Some("messages[0].content[0].text"),
            "a string",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}]}",
            "unsupported_parameter",
            Some("messages[0].content[0]"),
            "sound",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}]}",
            "unsupported_parameter",
            Some("messages[0].content[0].file.file_data"),
            "data: URL",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///a\"}}]}]}",
            "invalid_value",
            Some("messages[0].content[0].image_url.url"),
            "https: URL",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{}}]}]}",
            "missing_required_parameter",
            Some("messages[0].tool_calls[0].function.name"),
            "name of a tool",
        ),
        (
            "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}",
            "missing_required_parameter",
            Some("messages[0].tool_call_id"),
            "the id of the call",
        ),
    ]);
}

#[test]
fn bad_fields_are_named() {
    refused(&[
        ("\"n\":2", "unsupported_parameter", Some("n"), "one answer"),
        ("\"logprobs\":true", "unsupported_parameter", Some("logprobs"), "leave this field out"),
        ("\"top_logprobs\":3", "unsupported_parameter", Some("top_logprobs"), "leave this field out"),
        ("\"modalities\":[\"text\",\"audio\"]", "unsupported_parameter", Some("modalities"), "text"),
        ("\"temperature\":\"hot\"", "invalid_type", Some("temperature"), "a number, and a string was sent"),
        ("\"max_tokens\":1.5", "invalid_type", Some("max_tokens"), "a whole number"),
        ("\"stop\":[1]", "invalid_type", Some("stop"), "a list of strings"),
        ("\"stream\":\"yes\"", "invalid_type", Some("stream"), "true or false"),
        (
            "\"stream\":true,\"stream_options\":{\"include_usage\":1}",
            "invalid_type",
            Some("stream_options.include_usage"),
            "true or false",
        ),
        ("\"tools\":{}", "invalid_type", Some("tools"), "a list"),
        (
            "\"tools\":[{\"type\":\"function\",\"function\":{}}]",
            "missing_required_parameter",
            Some("tools[0].function.name"),
            "needs a name",
        ),
        ("\"tool_choice\":\"sometimes\"", "invalid_value", Some("tool_choice"), "auto, none, required"),
        (
            "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"x\"}}",
            "invalid_value",
            Some("tool_choice"),
            "not declared",
        ),
        (
            "\"response_format\":{\"type\":\"yaml\"}",
            "invalid_value",
            Some("response_format.type"),
            "json_schema",
        ),
        (
            "\"response_format\":{\"type\":\"json_schema\"}",
            "missing_required_parameter",
            Some("response_format.json_schema"),
            "schema",
        ),
        ("\"reasoning_effort\":3", "invalid_type", Some("reasoning_effort"), "a string"),
    ]);
}

/// Reads bodies, or fields beside those that must be there; and expects this code, this field and these words.
fn refused(cases: &[(&str, &str, Option<&str>, &str)]) {
    let user = r#""model":"m","messages":[{"role":"user","content":"hi"}]"#;
    for (body, want, param, words) in cases {
        let body = if body.starts_with('"') { format!("{{{user},{body}}}") } else { (*body).to_owned() };
        let error = read(body.as_bytes(), &SealKey::default()).expect_err(&body);
        assert_eq!(
            (code(error.problem), error.path.as_deref()),
            (*want, *param),
            "{body}: {}",
            error.message
        );
        assert!(error.message.contains(words), "{body}: {}", error.message);
    }
}

/// Thoughts, words, state and calls of one answer, out to the client and back with its next request: each is where it stood.
#[test]
fn an_answer_comes_back_as_it_was() {
    let state = |data: &str| OpaqueState {
        owner: StateOwner::new("lab", "m").of_account("a"),
        data: data.to_owned(),
    };
    let asked = json!({
        "model": "m", "messages": [{ "role": "user", "content": "go" }],
        "tools": [{ "type": "function", "function": { "name": "bash" } }, { "type": "custom", "custom": { "name": "patch" } }],
    });
    let seal = SealKey::from_secret(b"secret");
    let (_, wants) = read(asked.to_string().as_bytes(), &seal).expect("a request");
    let seed = WriterSeed { random: [1; 16], seal: seal.clone(), ..WriterSeed::default() };
    let mut writer = ChatWriter::new(seed, wants);
    for event in [
        TurnEvent::Reasoning("hm"),
        TurnEvent::ReasoningState(state("before everything")),
        TurnEvent::Text("Looking."),
        TurnEvent::ReasoningState(state("behind the words")),
        TurnEvent::CallStarted { slot: 0, id: Some("c0"), name: "bash" },
        TurnEvent::CallArguments { slot: 0, json: "{\"x\":1}" },
        TurnEvent::CallEnded { slot: 0 },
        TurnEvent::ReasoningState(state("between the calls")),
        TurnEvent::CallStarted { slot: 1, id: Some("c1"), name: "patch" },
        TurnEvent::CallArguments { slot: 1, json: "{\"input\":\"*** \\\"a\\\"\"}" },
        TurnEvent::CallEnded { slot: 1 },
        TurnEvent::ReasoningState(state("last")),
        TurnEvent::Finished(latimer_protocol::turn::FinishReason::ToolCalls),
    ] {
        writer.event(event);
    }
    let object: Value = serde_json::from_slice(&writer.take_object()).expect("JSON");
    let mut next = asked.clone();
    next["messages"].as_array_mut().expect("messages").extend([
        object["choices"][0]["message"].clone(),
        json!({ "role": "tool", "tool_call_id": "c0", "content": "ok" }),
        json!({ "role": "tool", "tool_call_id": "c1", "content": "done" }),
    ]);
    let (turn, wants) = read(next.to_string().as_bytes(), &seal).expect("a request");
    let thought = |text: &str, data: &str| {
        Item::Reasoning(ReasoningItem { text: text.to_owned(), opaque: Some(state(data)) })
    };
    let call = |id: &str, name: &str, arguments: &str| {
        Item::Call(Call { id: CallId::from(id), name: name.to_owned(), arguments: arguments.to_owned() })
    };
    let said =
        |role: Role, text: &str| Item::Message(Message { role, content: vec![Content::Text(text.into())] });
    let output = |id: &str, text: &str| {
        Item::Output(CallOutput { id: CallId::from(id), content: vec![Content::Text(text.into())] })
    };
    assert_eq!(
        turn.items,
        [
            said(Role::User, "go"),
            thought("hm", "before everything"),
            said(Role::Assistant, "Looking."),
            thought("", "behind the words"),
            call("c0", "bash", "{\"x\":1}"),
            thought("", "between the calls"),
            call("c1", "patch", "{\"input\":\"*** \\\"a\\\"\"}"),
            thought("", "last"),
            output("c0", "ok"),
            output("c1", "done"),
        ]
    );
    assert_eq!(wants.notes[..], [] as [String; 0]);
    let (stranger, wants) =
        read(next.to_string().as_bytes(), &SealKey::from_secret(b"other")).expect("a request");
    assert!(
        stranger.items.iter().all(|item| !matches!(item, Item::Reasoning(item) if item.opaque.is_some()))
    );
    assert_eq!(wants.notes.len(), 1, "{:?}", wants.notes);
}

/// JSON with the API's words in wrong places.
fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 44] = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "tool_call_id",
        "custom",
        "input",
        "function_call",
        "functions",
        "tools",
        "tool_choice",
        "allowed_tools",
        "mode",
        "response_format",
        "json_schema",
        "schema",
        "stop",
        "stream",
        "stream_options",
        "include_usage",
        "reasoning",
        "reasoning_details",
        "reasoning_content",
        "data",
        "effort",
        "thinking",
        "user",
        "assistant",
        "tool",
        "system",
        "n",
        "file",
        "tool_use",
        "tool_result",
        "parameters",
    ];
    let word = prop::sample::select(WORDS.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_with_words(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = read(&body, &SealKey::default()) {
            prop_assert!(!error.message.is_empty());
        }
    }

    #[test]
    fn any_json_is_refused_with_words_or_becomes_a_legal_request(
        messages in prop::collection::vec(any_json(), 1..6),
        extra in any_json(),
        role in prop::sample::select(vec!["user", "assistant", "tool", "system", "function"]),
    ) {
        let mut messages = messages;
        for message in &mut messages {
            if let Some(message) = message.as_object_mut() {
                message.insert("role".to_owned(), role.into());
            }
        }
        let mut body = extra.as_object().cloned().unwrap_or_default();
        body.insert("model".to_owned(), "m".into());
        body.insert("messages".to_owned(), messages.into());
        match read(Value::from(body).to_string().as_bytes(), &SealKey::default()) {
            Err(error) => prop_assert!(!error.message.is_empty()),
            Ok((turn, _)) => {
                let written = write(&turn, &QUIRKS, &StateOwner::new("lab", "m"));
                pairs_are_whole(&serde_json::from_slice(&written.body).expect("JSON"));
            }
        }
    }
}
