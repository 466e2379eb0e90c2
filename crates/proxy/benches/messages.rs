//! The Messages side: a large request of Claude Code on its way in, and the events of an answer on their way out.

use divan::counter::{BytesCount, ItemsCount};
use latimer_protocol::turn::{EventSink as _, FinishReason, SealKey, TurnEvent};
use latimer_proxy::inbound::messages::request::read;
use latimer_proxy::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};

const COUNT: usize = 1024;
const RECORDED: &str =
    include_str!("../../../fixtures/messages_front/recorded/claude-code.tool-result-turn.request.json");

fn main() {
    divan::main();
}

/// The recorded request of a tool's round trip, its history repeated until it has about 500 kB.
fn large() -> String {
    let mut request: serde_json::Value = serde_json::from_str(RECORDED).unwrap_or_default();
    let history = request["messages"].as_array().cloned().unwrap_or_default();
    let mut size = RECORDED.len();
    let mut turn = 0;
    while size < 500_000 {
        for message in &history {
            let text = message.to_string().replace("\"toolu_", &format!("\"toolu_{turn}_"));
            size += text.len();
            if let (Some(messages), Ok(message)) =
                (request["messages"].as_array_mut(), serde_json::from_str(&text))
            {
                messages.push(message);
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

/// One answer of 1,024 deltas of one kind; `watched` is text in which stop words are looked for.
#[divan::bench(args = ["text", "watched", "reasoning", "arguments"])]
fn write_deltas(bencher: divan::Bencher<'_, '_>, kind: &str) {
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let stops = if kind == "watched" { vec!["</stop>".to_owned()] } else { Vec::new() };
        let mut writer = MessagesWriter::new(
            WriterSeed::default(),
            MessagesWriterOptions { stream: true, stops, ..MessagesWriterOptions::default() },
        );
        if kind == "arguments" {
            writer.event(TurnEvent::CallStarted { slot: 0, id: Some("c"), name: "Bash" });
        }
        let mut size = 0;
        for _ in 0..COUNT {
            writer.event(match kind {
                "text" | "watched" => TurnEvent::Text("sixteen bytes.. "),
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
