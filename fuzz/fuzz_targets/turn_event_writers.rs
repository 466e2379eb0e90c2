//! Whatever the order of turn events, every protocol's client gets one legal stream, items never overlap, and no text is lost.
#![no_main]

use latimer_protocol::turn::{FinishReason, SealKey, TurnEvent};
use latimer_protocol::{chat, gemini, messages, responses};
use latimer_proxy::inbound::client_behaviour::{ANY_CLIENT, CODEX};
use latimer_proxy::inbound::gemini::names::Names;
use latimer_proxy::inbound::gemini::stream::{GeminiWriter, GeminiWriterOptions};
use latimer_proxy::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use latimer_proxy::inbound::responses::request::read;
use latimer_proxy::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter, WriterSeed};
use latimer_proxy::inbound::{chat::request, chat::stream::ChatWriter};
use libfuzzer_sys::fuzz_target;

const TOOLS: &[u8] = br#"{"model":"m","input":"go","tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"},{"type":"local_shell"}]}"#;
const CHAT: &[u8] = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"go"}],"tools":[{"type":"custom","custom":{"name":"c"}}]}"#;
const NAMES: [&str; 4] = ["f", "c", "local_shell", "unknown"];
const PIECES: [&str; 8] = ["{\"a\":", "1}", "{}", " ", "[1]", "{\"input\":\"x\\ud83d", "\\ude00\"}", "\"half"];
const TEXTS: [&str; 4] = ["<a>", "<\n>", "<\"\\>", "<\u{1f600}>"];

/// The events that the bytes stand for, as a reader gives them: each slot begins once, in order, and before its pieces.
fn events(bytes: &[u8]) -> Vec<TurnEvent<'static>> {
    let mut slots = 0u32;
    let mut events = Vec::new();
    for byte in bytes {
        let high = usize::from(byte >> 4);
        let slot = u32::from(byte >> 4 & 3);
        let piece = PIECES[high & 7];
        match byte & 7 {
            0 => {
                events.push(TurnEvent::CallStarted { slot: slots, id: None, name: NAMES[high & 3] });
                slots += 1;
            }
            1 | 2 if slots > 0 => {
                events.push(TurnEvent::CallArguments { slot: slots.saturating_sub(1 + u32::from(byte >> 7)), json: piece });
            }
            3 if slot < slots => events.push(TurnEvent::CallEnded { slot }),
            4 | 5 => events.push(TurnEvent::Text(TEXTS[high & 3])),
            6 => events.push(TurnEvent::Reasoning(TEXTS[high & 3])),
            _ => events.push(TurnEvent::Started),
        }
    }
    events
}

/// The texts of the answer in order, without what JSON makes of them.
fn texts(stream: &[u8], place: &str) -> String {
    let text = String::from_utf8_lossy(stream);
    let values = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = values.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    values.filter_map(|value| value.pointer(place)?.as_str().map(str::to_owned)).collect()
}

fn written(mut writer: impl ClientWriter, events: &[TurnEvent<'_>], end: &FinishReason) -> Vec<u8> {
    for event in events {
        writer.event(event.clone());
    }
    writer.event(TurnEvent::Finished(end.clone()));
    assert!(writer.is_finished());
    writer.take()
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let events = events(bytes);
    let end = [FinishReason::Stop, FinishReason::ToolCalls, FinishReason::Length, FinishReason::ContentFilter]
        [usize::from(first & 3)]
    .clone();
    let client = if first & 4 == 0 { &CODEX } else { &ANY_CLIENT };
    let seed = || WriterSeed { client, ..WriterSeed::default() };
    let said: String = events.iter().filter_map(|event| if let TurnEvent::Text(text) = event { Some(*text) } else { None }).collect();
    let no_faults = Vec::<String>::new();

    let parsed = read(TOOLS, &SealKey::default()).expect("the request is fine");
    let options = ResponsesWriterOptions { stream: true, ..ResponsesWriterOptions::default() };
    let out = written(ResponsesWriter::new(seed(), options, &parsed.echo, parsed.tools), &events, &end);
    let shown = String::from_utf8_lossy(&out);
    assert_eq!(responses::legality::check(&out), no_faults, "{shown}");
    // Text is lost only behind a call that came out broken.
    if shown.contains("event: response.completed") && client == &ANY_CLIENT {
        let deltas: String = out
            .split(|byte| *byte == b'\n')
            .filter(|line| line.starts_with(b"data: {\"type\":\"response.output_text.delta\""))
            .map(|line| texts(line, "/delta"))
            .collect();
        assert_eq!(deltas, said, "{shown}");
    }

    let options = MessagesWriterOptions { stream: true, ..MessagesWriterOptions::default() };
    let out = written(MessagesWriter::new(seed(), options), &events, &end);
    let shown = String::from_utf8_lossy(&out);
    assert_eq!(messages::legality::check(&out), no_faults, "{shown}");
    if shown.contains("\"end_turn\"") || shown.contains("\"tool_use\",\"stop_sequence\"") {
        assert_eq!(texts(&out, "/delta/text"), said, "{shown}");
    }

    let (_, options) = request::read(CHAT, &SealKey::default()).expect("the request is fine");
    let out = written(ChatWriter::new(seed(), options), &events, &end);
    let shown = String::from_utf8_lossy(&out);
    assert_eq!(chat::legality::check(&out, false), no_faults, "{shown}");
    if !shown.contains("{\"error\":") && matches!(end, FinishReason::Stop | FinishReason::ToolCalls) {
        assert_eq!(texts(&out, "/choices/0/delta/content"), said, "{shown}");
    }

    let options = GeminiWriterOptions { model: "m".to_owned(), ..GeminiWriterOptions::default() };
    let out = written(GeminiWriter::new(seed(), options, Names::default()), &events, &end);
    assert_eq!(gemini::legality::check(&out), no_faults, "{}", String::from_utf8_lossy(&out));
});
