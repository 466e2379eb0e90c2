//! Turn events to Chat Completions answers: fixtures in, snapshots out, and every answer is legal.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod script;

use std::fmt::Write as _;

use latimer_adapters::chat::passthrough_reader::ChatPassthroughReader;
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::chat::legality;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink as _, SealKey, TurnEvent};
use latimer_proxy::inbound::chat::request;
use latimer_proxy::inbound::chat::stream::ChatWriter;
use latimer_proxy::inbound::writer::answer::Answer;
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use proptest::prelude::*;
use serde_json::{Value, json};

use script::{any_answer, play};

/// A writer for a request that has these fields besides the necessary ones.
fn writer(fields: &Value, stream: bool) -> (ChatWriter, bool) {
    let mut body =
        json!({ "model": "glm-5", "messages": [{ "role": "user", "content": "go" }], "stream": stream });
    body.as_object_mut().expect("an object").extend(fields.as_object().cloned().unwrap_or_default());
    let (_, wants) = request::read(body.to_string().as_bytes(), &SealKey::default()).expect("a request");
    let seed = WriterSeed {
        random: [7; 16],
        created_at: 1_700_000_000,
        call_ids: ["used".to_owned()].into(),
        ..WriterSeed::default()
    };
    let usage = wants.usage;
    (ChatWriter::new(seed, wants), usage)
}

fn play_all<'l>(writer: &mut ChatWriter, lines: impl IntoIterator<Item = &'l str>) {
    for line in lines {
        if line == "alive" { writer.keep_alive() } else { play(writer, line) }
    }
}

/// The stream with one chunk a line, without what all chunks have in common.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let Some(data) = line.strip_prefix("data: ") else { return line.to_owned() };
        let Ok(value) = serde_json::from_str::<Value>(data) else { return data.to_owned() };
        let choice = &value["choices"][0];
        match choice["finish_reason"].as_str() {
            _ if !choice.is_object() => short(&value).to_string(),
            Some(reason) => format!("finish {reason}"),
            None => short(&choice["delta"]).to_string(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Sealed state is long, and differs with the seal.
fn short(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        for key in ["id", "object", "created", "model"] {
            object.shift_remove(key);
        }
    }
    for detail in value["reasoning_details"].as_array_mut().into_iter().flatten() {
        assert!(detail["data"].as_str().is_some_and(|data| data.starts_with("latimer2.")));
        detail["data"] = "(sealed)".into();
    }
    if value["reasoning_details"].is_null()
        && let Some(object) = value.as_object_mut()
    {
        object.shift_remove("reasoning_details");
    }
    value
}

#[test]
fn scripts_give_legal_answers() {
    insta::glob!("../../../fixtures/chat_front", "*.events", |path| {
        let script = std::fs::read_to_string(path).expect("readable");
        let fields = script.lines().find_map(|line| line.strip_prefix('#'));
        let fields: Value = serde_json::from_str(fields.unwrap_or("{}")).expect("JSON behind the #");
        let lines = || script.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));

        let (mut stream, usage) = writer(&fields, true);
        play_all(&mut stream, lines());
        let bytes = stream.take();
        let mut text = shown(&bytes);
        assert_eq!(legality::check(&bytes, usage), Vec::<String>::new(), "{}\n{text}", path.display());

        let (mut whole, _) = writer(&fields, false);
        play_all(&mut whole, lines());
        assert!(whole.take().is_empty() && whole.is_finished());
        let object = whole.take_object();
        assert_eq!(legality::check_object(&object), Vec::<String>::new(), "{}", path.display());
        let mut object: Value = serde_json::from_slice(&object).expect("JSON");
        if object["choices"].is_array() {
            object["choices"][0]["message"] = short(&object["choices"][0]["message"]);
        }
        let _ = write!(text, "\n\n{}", short(&object));

        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().expect("a folder"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_snapshot_suffix();
        let name = path.file_name().expect("named").to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

#[test]
fn a_stopped_turn_ends_legally_wherever_it_is() {
    let script = [
        "started",
        "reasoning \"hm\"",
        "text \"a\"",
        "call 0 c1 bash",
        "args 0 \"{\\\"cmd\\\"\"",
        "call 1 c2 apply_patch",
    ];
    for length in 0..=script.len() {
        let (mut writer, _) = writer(&json!({}), true);
        play_all(&mut writer, script.into_iter().take(length));
        writer.fail(&Failure::new(FailureKind::ShuttingDown, "stopped"));
        writer.fail(&Failure::new(FailureKind::Internal, "twice"));
        writer.keep_alive();
        assert!(writer.failure().is_some_and(|failure| failure.kind == FailureKind::ShuttingDown));
        let bytes = writer.take();
        assert_eq!(legality::check(&bytes, false), Vec::<String>::new(), "{length} {}", shown(&bytes));
    }
}

#[test]
fn the_bytes_of_a_delta_do_not_grow_with_the_answer() {
    let (mut writer, _) = writer(&json!({}), true);
    writer.event(TurnEvent::Text("warm"));
    writer.discard();
    writer.event(TurnEvent::Text("first"));
    let length = writer.out().len();
    writer.discard();
    for _ in 0..100 {
        writer.event(TurnEvent::Text("again"));
        assert_eq!(writer.out().len(), length);
        writer.discard();
    }
}

#[test]
fn usage_behind_a_stop_sequence_still_reaches_one_object() {
    let (mut writer, _) = writer(&json!({ "stop": "END" }), false);
    play_all(&mut writer, ["started", "text \"a END b\""]);
    assert_eq!(writer.finish_reason(), Some("stop"), "before the upstream says anything");
    play_all(&mut writer, ["usage", "finished length"]);
    assert_eq!(writer.finish_reason(), Some("stop"));
    let object: Value = serde_json::from_slice(&writer.take_object()).expect("JSON");
    assert_eq!(object["choices"][0]["message"]["content"], "a ");
    assert_eq!(object["usage"]["total_tokens"], 19);
}

#[test]
fn the_time_is_that_of_the_beginning() {
    let (mut writer, _) = writer(&json!({}), true);
    writer.set_time(1_800_000_000);
    play(&mut writer, "started");
    writer.set_time(1_900_000_000);
    play(&mut writer, "finished stop");
    let bytes = writer.take();
    assert_eq!(legality::check(&bytes, false), Vec::<String>::new());
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert!(text.contains("\"created\":1800000000") && !text.contains("1900000000"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_gives_a_legal_answer(
        lines in any_answer(&["bash", "apply_patch", "a_b", "unknown"]),
        first_form in any::<bool>(),
        usage in any::<bool>(),
        schema in any::<bool>(),
        stop in prop_oneof![Just(json!(null)), Just(json!("ab")), Just(json!(["b\n", "c😀"]))],
    ) {
        let mut fields = json!({ "stop": stop, "stream_options": { "include_usage": usage } });
        let tools = json!([{ "type": "function", "function": { "name": "bash" } }, { "type": "custom", "custom": { "name": "apply_patch" } }]);
        if first_form {
            fields["functions"] = json!([{ "name": "bash" }]);
        } else {
            fields["tools"] = tools;
        }
        if schema {
            fields["response_format"] =
                json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": {} } });
        }
        let (mut stream, usage) = writer(&fields, true);
        let (mut whole, _) = writer(&fields, false);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        play_all(&mut stream, lines.iter().copied());
        play_all(&mut whole, lines.iter().copied());
        let bytes = stream.take();
        prop_assert_eq!(legality::check(&bytes, usage), Vec::<String>::new(), "{}", shown(&bytes));
        prop_assert_eq!(stream.failure().is_some(), whole.failure().is_some());
        prop_assert!(whole.out().is_empty() && whole.is_finished());
        let object = whole.take_object();
        prop_assert_eq!(legality::check_object(&object), Vec::<String>::new(), "{}", String::from_utf8_lossy(&object));
        prop_assert_eq!(said(&bytes), content(&object), "a stream and an object say the same");
    }
}

/// The words of a stream; `None` when it failed.
fn said(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut said = String::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let Ok(value) = serde_json::from_str::<Value>(data) else { continue };
        if value.get("error").is_some() {
            return None;
        }
        said.push_str(value["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    Some(said)
}

/// The words of a completion; `None` when it failed.
fn content(object: &[u8]) -> Option<String> {
    let object: Value = serde_json::from_slice(object).expect("JSON");
    let message = object["choices"].get(0)?;
    Some(message["message"]["content"].as_str().unwrap_or_default().to_owned())
}

/// A provider's answer, read by its tap, as the client gets it.
fn passed(fields: &Value, lines: &[&str], end: BodyEnd) -> (String, Answer) {
    let (writer, _) = writer(fields, true);
    let mut answer = writer.into_answer();
    let mut tap = Box::new(ChatPassthroughReader::new(ReaderContext::default()));
    for line in lines {
        tap.push(line.as_bytes(), &mut answer);
    }
    tap.finish(end, &mut answer);
    (String::from_utf8(answer.take()).expect("UTF-8"), answer)
}

const ROLE: &str =
    r#"{"id":"u1","created":7,"model":"up","choices":[{"index":0,"delta":{"role":"assistant"}}]}"#;
const WORDS: &str = r#"{"id":"u1","created":7,"model":"up","choices":[{"index":0,"delta":{"content":"hi"},"x_extra":1.0e3}]}"#;
const STOP: &str =
    r#"{"id":"u1","created":7,"model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const TOKENS: &str = r#"{"id":"u1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

#[test]
fn a_providers_own_chunks_are_not_touched() {
    let asked = json!({ "stream_options": { "include_usage": true } });
    let (text, answer) = passed(&asked, &[ROLE, WORDS, STOP, TOKENS, "[DONE]"], BodyEnd::Clean);
    assert_eq!(
        text,
        format!("data: {ROLE}\n\ndata: {WORDS}\n\ndata: {STOP}\n\ndata: {TOKENS}\n\ndata: [DONE]\n\n")
    );
    assert!(answer.is_finished());
    let (text, _) = passed(&json!({}), &[ROLE, WORDS, STOP, TOKENS, "[DONE]"], BodyEnd::Clean);
    assert!(!text.contains("usage"), "not asked for: {text}");
}

#[test]
fn what_a_providers_end_lacks_is_added_in_its_own_envelope() {
    let asked = json!({ "stream_options": { "include_usage": true } });
    let (text, _) = passed(&asked, &[ROLE, WORDS, "[DONE]"], BodyEnd::Clean);
    let end = "data: {\"id\":\"u1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let from = text.find(end).expect("a reason");
    assert!(text[from..].contains("\"choices\":[],\"usage\":{\"prompt_tokens\":"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"));
    let (text, _) = passed(&json!({}), &[ROLE, WORDS], BodyEnd::Clean);
    assert!(
        text.contains("data: {\"error\":{\"message\":") && text.ends_with("}\n\ndata: [DONE]\n\n"),
        "{text}"
    );
}

#[test]
fn a_failure_before_anything_was_shown_is_the_writers() {
    let (text, answer) = passed(&json!({}), &[ROLE, r#"{"error":{"message":"busy"}}"#], BodyEnd::Clean);
    assert!(text.starts_with("data: {\"error\":") && !text.contains("u1"), "{text}");
    assert!(answer.failure().is_some());
    assert_eq!(legality::check(text.as_bytes(), false), Vec::<String>::new());
}

#[test]
fn what_a_failed_attempt_began_is_not_shown() {
    let (writer, _) = writer(&json!({}), true);
    let mut answer = writer.into_answer();
    let mut first = ChatPassthroughReader::new(ReaderContext::default());
    first.push(ROLE.replace("u1", "u0").as_bytes(), &mut answer);
    let mut second = Box::new(ChatPassthroughReader::new(ReaderContext::default()));
    for line in [ROLE, WORDS, STOP] {
        second.push(line.as_bytes(), &mut answer);
    }
    second.finish(BodyEnd::Clean, &mut answer);
    let text = String::from_utf8(answer.take()).expect("UTF-8");
    assert_eq!(text, format!("data: {ROLE}\n\ndata: {WORDS}\n\ndata: {STOP}\n\ndata: [DONE]\n\n"));
}

#[test]
fn state_of_a_provider_passes_sealed() {
    let state = r#"{"id":"u1","created":7,"model":"up","choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"bare","index":0}]}}]}"#;
    let (text, _) = passed(&json!({}), &[ROLE, state, WORDS, STOP], BodyEnd::Clean);
    assert!(!text.contains("bare"), "{text}");
    assert!(
        text.contains("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"latimer2."),
        "{text}"
    );
}

#[test]
fn an_answer_that_is_translated_is_the_writers() {
    let script = ["started", "text \"hi\"", "finished stop"];
    let (mut plain, _) = writer(&json!({}), true);
    play_all(&mut plain, script);
    let (other, _) = writer(&json!({}), true);
    let mut answer = other.into_answer();
    answer.keep_alive(false);
    for line in script {
        play(&mut answer, line);
    }
    let text = String::from_utf8(answer.take()).expect("UTF-8");
    assert_eq!(text, format!(": keep-alive\n\n{}", String::from_utf8(plain.take()).expect("UTF-8")));
}
