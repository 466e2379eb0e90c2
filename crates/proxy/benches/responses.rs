//! The Responses side: a large request of Codex on its way to a provider, and the events of an answer on their way back.

use divan::counter::{BytesCount, ItemsCount};
use latimer_adapters::chat::quirks::Quirks;
use latimer_adapters::chat::request::write;
use latimer_protocol::turn::{EventSink as _, FinishReason, SealKey, StateOwner, TurnEvent};
use latimer_proxy::inbound::responses::request::read;
use latimer_proxy::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};

const COUNT: usize = 1024;
const RECORDED: &str = include_str!("../../../fixtures/codex/exec-round-trip.request.json");

fn main() {
    divan::main();
}

/// The recorded request of an exec round trip, its history repeated until it has about 500 kB.
fn large() -> String {
    let mut request: serde_json::Value = serde_json::from_str(RECORDED).unwrap_or_default();
    let history = request["input"].as_array().cloned().unwrap_or_default();
    let mut size = RECORDED.len();
    let mut turn = 0;
    while size < 500_000 {
        for item in &history {
            let text = item.to_string().replace("\"call_", &format!("\"call_{turn}_"));
            size += text.len();
            if let (Some(input), Ok(item)) = (request["input"].as_array_mut(), serde_json::from_str(&text)) {
                input.push(item);
            }
        }
        turn += 1;
    }
    request.to_string()
}

#[divan::bench]
fn read_500_kb(bencher: divan::Bencher<'_, '_>) {
    let body = large();
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| read(divan::black_box(body.as_bytes()), &SealKey::default()).map(|parsed| parsed.stream));
}

#[divan::bench]
fn translate_500_kb(bencher: divan::Bencher<'_, '_>) {
    let body = large();
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        read(divan::black_box(body.as_bytes()), &SealKey::default())
            .map(|parsed| write(&parsed.turn, &Quirks::DEFAULT, &StateOwner::new("lab", "m")).body.len())
    });
}

/// One answer of 1,024 deltas of one kind.
#[divan::bench(args = ["text", "reasoning", "arguments"])]
fn write_deltas(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Ok(parsed) = read(RECORDED.as_bytes(), &SealKey::default()) else { return };
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let mut writer = ResponsesWriter::new(
            WriterSeed::default(),
            ResponsesWriterOptions { stream: true, ..ResponsesWriterOptions::default() },
            &parsed.echo,
            parsed.tools.clone(),
        );
        if kind == "arguments" {
            writer.event(TurnEvent::CallStarted { slot: 0, id: Some("c"), name: "exec_command" });
        }
        let mut size = 0;
        for _ in 0..COUNT {
            writer.event(match kind {
                "text" => TurnEvent::Text("sixteen bytes.. "),
                "reasoning" => TurnEvent::Reasoning("sixteen bytes.. "),
                _ => TurnEvent::CallArguments { slot: 0, json: " 16 bytes of it " },
            });
            size += writer.out().len();
            writer.discard();
        }
        writer.event(TurnEvent::Finished(FinishReason::Stop));
        size + writer.take().len()
    });
}
