//! Answers that come back: what a client sends as history is read as what the upstream said, and latimer's own reader of Gemini
//! upstreams understands latimer's own writer.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod gemini_scripts;

use gemini_scripts::{pieces, play, played};
use latimer_adapters::gemini::stream::{ArgumentRule, GeminiReader};
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::sse::SseDecoder;
use latimer_protocol::turn::{FinishReason, Item, SealKey, TurnEvent};
use latimer_proxy::inbound::gemini::request::read;
use latimer_proxy::inbound::gemini::stream::Form;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The items of a history that ends with these contents of the model.
fn items(contents: Vec<Value>) -> Vec<Item> {
    let mut history = vec![json!({ "role": "user", "parts": [{ "text": "Go." }] })];
    history.extend(contents);
    let tools = json!([{ "functionDeclarations": [{ "name": "read" }, { "name": "mcp.lab:add" }] }]);
    let body = json!({ "contents": history, "tools": tools }).to_string();
    let parsed = read("gemini-3-flash", body.as_bytes(), &SealKey::default()).expect("a request");
    assert!(parsed.notes.is_empty(), "{:?}", parsed.notes);
    parsed.turn.items.into_iter().skip(1).collect()
}

/// An item as a line of a script, as far as one tells.
fn line(item: &Item) -> Vec<String> {
    let quoted = |text: &str| Value::from(text).to_string();
    match item {
        Item::Message(message) => {
            let text = |content: &latimer_protocol::turn::Content| match content {
                latimer_protocol::turn::Content::Text(text) => format!("text {}", quoted(text)),
                other => panic!("{other:?}"),
            };
            message.content.iter().map(text).collect()
        }
        Item::Reasoning(thoughts) => {
            let text = (!thoughts.text.is_empty()).then(|| format!("reasoning {}", quoted(&thoughts.text)));
            let state = thoughts.opaque.as_ref().map(|state| format!("state {}", quoted(&state.data)));
            text.into_iter().chain(state).collect()
        }
        Item::Call(call) => vec![format!("call {} {}", call.name, call.arguments)],
        Item::Output(output) => panic!("{output:?}"),
    }
}

/// A script of whole answers, as upstreams give them, and the lines that must come back.
fn any_answer() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    #[derive(Debug, Clone)]
    enum Said {
        Text(String),
        Thought(String),
        State(String),
        Call(&'static str, String),
    }
    let name = prop_oneof![Just("read"), Just("mcp_lab_add")];
    let word = "[a-c\"\n😀]{1,3}";
    let said = prop_oneof![
        word.prop_map(Said::Text),
        word.prop_map(Said::Thought),
        "[a-c]{1,3}".prop_map(Said::State),
        (name, word).prop_map(|(name, word)| Said::Call(name, json!({ "path": word }).to_string())),
    ];
    proptest::collection::vec(said, 0..8).prop_map(|all| {
        let quoted = |text: &str| Value::from(text).to_string();
        let (mut script, mut want) = (Vec::new(), Vec::<String>::new());
        let mut slot = 0;
        let join = |want: &mut Vec<String>, kind: &str, text: &str| match want.last_mut() {
            Some(last) if last.starts_with(kind) => {
                let said: String = serde_json::from_str(&last[kind.len()..]).expect("a string");
                *last = format!("{kind}{}", quoted(&format!("{said}{text}")));
            }
            _ => want.push(format!("{kind}{}", quoted(text))),
        };
        for said in all {
            match said {
                Said::Text(text) => {
                    script.push(format!("text {}", quoted(&text)));
                    join(&mut want, "text ", &text);
                }
                Said::Thought(text) => {
                    script.push(format!("reasoning {}", quoted(&text)));
                    join(&mut want, "reasoning ", &text);
                }
                Said::State(data) => {
                    script.push(format!("state {}", quoted(&data)));
                    want.push(format!("state {}", quoted(&data)));
                }
                Said::Call(name, arguments) => {
                    script.push(format!("call {slot} c{slot} {name}"));
                    script.push(format!("args {slot} {}", quoted(&arguments)));
                    script.push(format!("end {slot}"));
                    want.push(format!("call {name} {arguments}"));
                    slot += 1;
                }
            }
        }
        script.push("finished stop".to_owned());
        (script, want)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_a_client_sends_back_is_what_was_said((script, want) in any_answer()) {
        for form in [Form::Events, Form::Array, Form::Object] {
            let bytes = played(form, script.iter().map(String::as_str));
            // SDKs keep the content of every piece; one keeps the parts of all pieces in one content.
            let contents: Vec<Value> =
                pieces(form, &bytes).iter().map(|piece| piece["candidates"][0]["content"].clone()).collect();
            let parts: Vec<Value> =
                contents.iter().flat_map(|content| content["parts"].as_array().expect("parts").clone()).collect();
            for contents in [contents, vec![json!({ "role": "model", "parts": parts })]] {
                let back: Vec<String> = items(contents).iter().flat_map(line).collect();
                prop_assert_eq!(&back, &want, "{:?}", form);
            }
        }
    }

    #[test]
    fn the_reader_of_gemini_upstreams_understands_the_writer((script, want) in any_answer()) {
        let bytes = played(Form::Events, script.iter().map(String::as_str));
        let mut said: Vec<String> = Vec::new();
        let mut finished = None;
        let mut sink = |event: TurnEvent<'_>| match event {
            TurnEvent::Text(text) => said.push(format!("text {text}")),
            TurnEvent::Reasoning(text) => said.push(format!("reasoning {text}")),
            TurnEvent::CallStarted { name, .. } => said.push(format!("call {name} ")),
            TurnEvent::CallArguments { json, .. } => said.push(json.to_owned()),
            TurnEvent::Finished(reason) => finished = Some(reason),
            _ => {}
        };
        let mut reader = Box::new(GeminiReader::new(ReaderContext { endpoint: "lab".into(), ..ReaderContext::default() }, ArgumentRule::AsWritten));
        let mut frames = SseDecoder::default();
        frames.push(&bytes, &mut |frame| reader.push(frame.data, &mut sink)).expect("short lines");
        frames.finish(&mut |frame| reader.push(frame.data, &mut sink));
        reader.finish(BodyEnd::Clean, &mut sink);
        let calls = want.iter().any(|line| line.starts_with("call"));
        prop_assert_eq!(finished, Some(if calls { FinishReason::ToolCalls } else { FinishReason::Stop }));
        let mut expected = Vec::new();
        let mut events = |event: TurnEvent<'_>| match event {
            TurnEvent::Text(text) => expected.push(format!("text {text}")),
            TurnEvent::Reasoning(text) => expected.push(format!("reasoning {text}")),
            TurnEvent::CallStarted { name, .. } => expected.push(format!("call {} ", name.replace("mcp_lab_add", "mcp.lab:add"))),
            TurnEvent::CallArguments { json, .. } => expected.push(json.to_owned()),
            _ => {}
        };
        for line in &script {
            play(&mut events, line);
        }
        prop_assert_eq!(said, expected);
    }
}
