//! Requests of Messages clients, composed and recorded: what is read of them, and what providers get.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod messages_support;

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle};
use latimer_adapters::limitation::Limitations;
use latimer_protocol::messages::legality;
use latimer_protocol::turn::{
    Content, EventSink as _, Item, Note, OpaqueState, ReasoningItem, SealKey, StateOwner, TurnEvent,
};
use latimer_proxy::inbound::messages::request::{MessagesRequest, read};
use latimer_proxy::inbound::messages::request_kind::{RequestKind, play};
use latimer_proxy::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use messages_support::beside;
use proptest::prelude::*;
use serde_json::{Value, json};

const QUIRKS: Quirks = Quirks { reasoning: ReasoningStyle::Effort, echo: Echo::Always, ..Quirks::DEFAULT };

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(240).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn parts(content: &[Content]) -> String {
    let part = |part: &Content| match part {
        Content::Text(text) => format!("{text:?}"),
        Content::Refusal(text) => format!("refusal {text:?}"),
        Content::Image(image) => format!("image {}", image.url),
        Content::File { name, data_url } => format!("file {name:?} {data_url}"),
    };
    content.iter().map(|content| short(&part(content))).collect::<Vec<_>>().join(" | ")
}

/// One item, tool or option a line.
fn shown(parsed: &MessagesRequest) -> String {
    let turn = &parsed.turn;
    let item = |item: &Item| match item {
        Item::Message(message) => format!("{:?} {}", message.role, parts(&message.content)),
        Item::Reasoning(thoughts) => format!("Thoughts {:?} {:?}", thoughts.text, thoughts.opaque),
        Item::Call(call) => format!("Call {} {} {}", call.id, call.name, call.arguments),
        Item::Output(output) => format!("Output {} {}", output.id, parts(&output.content)),
    };
    let mut lines: Vec<String> = turn.items.iter().map(item).collect();
    lines.extend(turn.tools.iter().map(|tool| {
        let schema = tool.parameters.as_ref().map_or("-", |schema| schema.get());
        let schema: String = schema.split_whitespace().collect::<Vec<_>>().join(" ");
        short(&format!("tool {} strict={:?} {schema} {:?}", tool.name, tool.strict, tool.description))
    }));
    lines.push(format!(
        "{} choice={:?} parallel={:?}",
        turn.model, turn.tool_choice, turn.parallel_tool_calls
    ));
    lines.push(format!("max={:?} {:?} {:?}", turn.max_output_tokens, turn.sampling, turn.reasoning));
    lines.push(short(&format!("{:?} conversation={:?}", turn.format, turn.conversation)));
    lines.push(format!("stream={} stops={:?} {:?}", parsed.stream, parsed.stops, parsed.kind));
    lines.extend(parsed.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// Every message and tool of a provider's body on a line, then every other field.
fn shown_body(body: &[u8], notes: &[Note]) -> String {
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    let fields = body.as_object_mut().expect("an object");
    let mut lines = Vec::new();
    for key in ["system", "messages", "tools"] {
        let list = fields.shift_remove(key);
        let values = list.as_ref().and_then(Value::as_array).into_iter().flatten();
        lines.extend(values.map(|value| format!("{key} {}", short(&value.to_string()))));
    }
    lines.extend(fields.iter().map(|(key, value)| format!("{key} = {value}")));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

#[test]
fn composed_requests_are_read() {
    insta::glob!("../../../fixtures/messages_front/requests", "*.request.json", |path| {
        let parsed = read(&std::fs::read(path).expect("readable"), &SealKey::default()).expect("understood");
        beside(path, ".request.json", "", &shown(&parsed));
    });
}

#[test]
fn recorded_requests_are_read_and_reach_providers() {
    insta::glob!("../../../fixtures/messages_front/recorded", "*.request.json", |path| {
        let parsed = read(&std::fs::read(path).expect("readable"), &SealKey::default()).expect("understood");
        beside(path, ".request.json", "", &shown(&parsed));
        let owner = StateOwner::new("lab", &parsed.turn.model);
        let written = latimer_adapters::chat::request::write(&parsed.turn, &QUIRKS, &owner);
        assert!(memchr::memmem::find(&written.body, b"x-anthropic-billing").is_none());
        beside(path, ".request.json", ".chat", &shown_body(&written.body, &written.notes));
        let mut turn = parsed.turn;
        turn.model = "claude-sonnet-4-5".to_owned();
        let written = latimer_adapters::messages::request::write(&turn, &owner, &Limitations::default());
        assert!(memchr::memmem::find(&written.body, b"x-anthropic-billing").is_none());
        beside(path, ".request.json", ".anthropic", &shown_body(&written.body, &written.notes));
    });
}

fn recorded(name: &str) -> MessagesRequest {
    let path =
        format!("{}/../../fixtures/messages_front/recorded/{name}.request.json", env!("CARGO_MANIFEST_DIR"));
    read(&std::fs::read(path).expect("readable"), &SealKey::default()).expect("understood")
}

#[test]
fn requests_that_clients_make_on_their_own_are_known() {
    let cases = [
        ("claude-code.title-request", RequestKind::Title),
        ("claude-code.title-small-model", RequestKind::Title),
        ("claude-code.web-search-request", RequestKind::Search),
        ("claude-code.subagent-request", RequestKind::Subtask),
        ("claude-code.first-turn", RequestKind::Turn),
        ("claude-code.json-schema-retry", RequestKind::Turn),
        ("claude-code.count-tokens", RequestKind::Turn),
        ("opencode.title", RequestKind::Turn),
        ("sdk.stream", RequestKind::Turn),
    ];
    for (name, want) in cases {
        assert_eq!(recorded(name).kind, want, "{name}");
    }
}

#[test]
fn titles_and_searches_can_be_answered_without_a_provider() {
    for (name, want) in [
        ("claude-code.title-request", "{\"title\":\"X (scenario plain)\"}"),
        ("claude-code.web-search-request", "rust sse"),
    ] {
        let parsed = recorded(name);
        let answer = parsed.kind.local_answer(&parsed.turn).expect("an answer");
        assert!(answer.contains(want), "{answer}");
        let mut writer = MessagesWriter::new(
            WriterSeed::default(),
            MessagesWriterOptions {
                stream: true,
                model: parsed.turn.model,
                ..MessagesWriterOptions::default()
            },
        );
        play(&answer, &mut writer);
        assert_eq!(legality::check(&writer.take()), Vec::<String>::new());
    }
    assert_eq!(
        recorded("claude-code.first-turn").kind.local_answer(&recorded("claude-code.first-turn").turn),
        None
    );
}

/// The last assistant blocks of an answer, sent back as a client does.
fn sent_back(events: &[TurnEvent<'_>], seal: &SealKey) -> Vec<Item> {
    let mut writer = MessagesWriter::new(
        WriterSeed { seal: seal.clone(), ..WriterSeed::default() },
        MessagesWriterOptions::default(),
    );
    events.iter().cloned().for_each(|event| writer.event(event));
    let object: Value = serde_json::from_slice(&writer.take_object()).expect("JSON");
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }, { "role": "assistant", "content": object["content"] }] });
    let mut items = read(body.to_string().as_bytes(), seal).expect("understood").turn.items;
    items.split_off(1)
}

#[test]
fn thoughts_come_back_as_they_went() {
    let opaque =
        OpaqueState { owner: StateOwner::new("lab", "m"), data: "{\"type\":\"thinking\"}".to_owned() };
    let seal = SealKey::from_secret(b"ours");
    let stop = TurnEvent::Finished(latimer_protocol::turn::FinishReason::Stop);
    let signed = [
        TurnEvent::Reasoning("hm"),
        TurnEvent::ReasoningState(opaque.clone()),
        TurnEvent::Text("a"),
        stop.clone(),
    ];
    let thoughts = |text: &str, opaque: Option<OpaqueState>| {
        Item::Reasoning(ReasoningItem { text: text.to_owned(), opaque })
    };
    assert_eq!(sent_back(&signed, &seal)[0], thoughts("hm", Some(opaque.clone())));
    let hidden = [TurnEvent::ReasoningState(opaque.clone()), TurnEvent::Text("a"), stop.clone()];
    assert_eq!(sent_back(&hidden, &seal)[0], thoughts("", Some(opaque)));
    // Without state the words come back: some providers want to read them again.
    let plain = [TurnEvent::Reasoning("hm"), TurnEvent::Text("a"), stop];
    assert_eq!(sent_back(&plain, &seal)[0], thoughts("hm", None));
}

#[test]
fn a_call_comes_back_as_it_went() {
    let events = [
        TurnEvent::CallStarted { slot: 0, id: Some("functions.Bash:0"), name: "Bash" },
        TurnEvent::CallArguments { slot: 0, json: "{\"command\": \"ls\"}" },
        TurnEvent::CallEnded { slot: 0 },
        TurnEvent::Finished(latimer_protocol::turn::FinishReason::ToolCalls),
    ];
    let items = sent_back(&events, &SealKey::default());
    let Item::Call(call) = &items[0] else { panic!("{items:?}") };
    assert_eq!((call.id.as_str(), call.name.as_str()), ("functions.Bash:0", "Bash"));
    assert_eq!(serde_json::from_str::<Value>(&call.arguments).expect("JSON"), json!({ "command": "ls" }));
}

/// Values that look like parts of a request, so that the readers of every field are reached.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        prop_oneof![
            Just("text"),
            Just("image"),
            Just("document"),
            Just("tool_use"),
            Just("tool_result"),
            Just("thinking"),
            Just("redacted_thinking"),
            Just("web_search_tool_result"),
            Just("base64"),
            Just("url"),
            Just("content"),
            Just("user"),
            Just("assistant"),
            Just("system"),
            Just("https://x"),
            Just(""),
            Just("latimer2.a.b.c"),
            Just("ż"),
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = prop_oneof![
            Just("type"),
            Just("role"),
            Just("content"),
            Just("text"),
            Just("source"),
            Just("data"),
            Just("url"),
            Just("id"),
            Just("name"),
            Just("input"),
            Just("tool_use_id"),
            Just("is_error"),
            Just("thinking"),
            Just("signature"),
            Just("media_type"),
            Just("title"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_value_is_read_or_refused_with_words(
        blocks in proptest::collection::vec(any_value(), 0..4),
        role in prop_oneof![Just("user"), Just("assistant"), Just("system")],
        field in prop_oneof![Just("system"), Just("tools"), Just("tool_choice"), Just("thinking"), Just("output_config"), Just("metadata"), Just("stop_sequences")],
        value in any_value(),
    ) {
        let mut body = json!({ "model": "m", "messages": [{ "role": role, "content": blocks }] });
        body[field] = value;
        match read(body.to_string().as_bytes(), &SealKey::default()) {
            Ok(parsed) => {
                let written = latimer_adapters::chat::request::write(&parsed.turn, &QUIRKS, &StateOwner::default());
                prop_assert!(serde_json::from_slice::<Value>(&written.body).is_ok());
            }
            Err(error) => {
                let param = error.path.clone().unwrap_or_default();
                prop_assert!(param.starts_with("messages") || param.starts_with(field), "{}", error.message);
                prop_assert!(error.message.len() > param.len() + 2, "{}", error.message);
            }
        }
    }
}
