//! The Gemini side: a large request of the Gemini CLI, and the pieces of an answer.

use divan::counter::{BytesCount, ItemsCount};
use latimer_protocol::turn::{EventSink as _, FinishReason, SealKey, TurnEvent};
use latimer_proxy::inbound::gemini::names::Names;
use latimer_proxy::inbound::gemini::request::read;
use latimer_proxy::inbound::gemini::stream::{Form, GeminiWriter, GeminiWriterOptions};
use latimer_proxy::inbound::tokens;
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};

const COUNT: usize = 1024;
const RECORDED: &str = include_str!("../../../fixtures/gemini_front/recorded-tool-result-turn.request.json");

fn main() {
    divan::main();
}

/// The recorded request of a tool round trip, its history repeated until it has about 500 kB.
fn large() -> String {
    let mut request: serde_json::Value = serde_json::from_str(RECORDED).unwrap_or_default();
    let history = request["contents"].as_array().cloned().unwrap_or_default();
    let mut size = request.to_string().len();
    let mut turn = 0;
    while size < 500_000 {
        for content in &history {
            let text = content.to_string().replace("\"run_shell_command_", &format!("\"{turn}_"));
            size += text.len();
            if let (Some(contents), Ok(content)) =
                (request["contents"].as_array_mut(), serde_json::from_str(&text))
            {
                contents.push(content);
            }
        }
        turn += 1;
    }
    request.to_string()
}

#[divan::bench]
fn read_500_kb(bencher: divan::Bencher<'_, '_>) {
    let body = large();
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        read("m", divan::black_box(body.as_bytes()), &SealKey::default())
            .map(|parsed| parsed.turn.items.len())
    });
}

#[divan::bench]
fn count_500_kb(bencher: divan::Bencher<'_, '_>) {
    let body = large();
    let Ok(parsed) = read("m", body.as_bytes(), &SealKey::default()) else { return };
    bencher.counter(BytesCount::of_str(&body)).bench(|| tokens::count(divan::black_box(&parsed.turn)));
}

/// One answer of 1,024 deltas of one kind.
#[divan::bench(args = ["text", "reasoning", "arguments", "text in an array", "text in an object"])]
fn write_deltas(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let form = match kind {
        "text in an array" => Form::Array,
        "text in an object" => Form::Object,
        _ => Form::Events,
    };
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let options = GeminiWriterOptions { model: "m".to_owned(), form, thoughts: true, input_tokens: 0 };
        let mut writer = GeminiWriter::new(WriterSeed::default(), options, Names::default());
        if kind == "arguments" {
            writer.event(TurnEvent::CallStarted { slot: 0, id: Some("c"), name: "run_shell_command" });
        }
        let mut size = 0;
        for _ in 0..COUNT {
            writer.event(match kind {
                "reasoning" => TurnEvent::Reasoning("sixteen bytes.. "),
                "arguments" => TurnEvent::CallArguments { slot: 0, json: " 16 bytes of it " },
                _ => TurnEvent::Text("sixteen bytes.. "),
            });
            size += writer.out().len();
            writer.discard();
        }
        writer.event(TurnEvent::Finished(FinishReason::Stop));
        size + writer.take().len()
    });
}
