//! The Chat Completions side: a large request of opencode, and the events of an answer on their way back.

use divan::counter::{BytesCount, ItemsCount};
use latimer_protocol::turn::{EventSink as _, FinishReason, SealKey, TurnEvent};
use latimer_proxy::inbound::chat::request::read;
use latimer_proxy::inbound::chat::stream::ChatWriter;
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};

const COUNT: usize = 1024;
const RECORDED: &str = include_str!("../../../fixtures/chat_front/opencode-tool-result-turn.request.json");

fn main() {
    divan::main();
}

/// The recorded request of a tool round trip, its history repeated until it has about 500 kB.
fn large() -> String {
    let mut request: serde_json::Value = serde_json::from_str(RECORDED).unwrap_or_default();
    let history = request["messages"].as_array().cloned().unwrap_or_default();
    let mut size = RECORDED.len();
    let mut turn = 0;
    while size < 500_000 {
        for message in &history {
            let text = message.to_string().replace("\"call_", &format!("\"call_{turn}_"));
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
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        read(divan::black_box(body.as_bytes()), &SealKey::default()).map(|(turn, _)| turn.items.len())
    });
}

/// One answer of 1,024 deltas of one kind.
#[divan::bench(args = ["text", "text-with-stop", "reasoning", "arguments"])]
fn write_deltas(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Ok((_, mut wants)) = read(RECORDED.as_bytes(), &SealKey::default()) else { return };
    if kind == "text-with-stop" {
        wants.stop = vec!["\n\nHuman:".to_owned()];
    }
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let mut writer = ChatWriter::new(WriterSeed::default(), wants.clone());
        if kind == "arguments" {
            writer.event(TurnEvent::CallStarted { slot: 0, id: Some("c"), name: "bash" });
            writer.event(TurnEvent::CallArguments { slot: 0, json: "{" });
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
