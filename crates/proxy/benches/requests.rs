//! A long conversation on its way out: 1 MB in 400 items, read, shaped and written in the words of every upstream.

use bytes::Bytes;
use divan::counter::BytesCount;
use latimer_adapters::chat::{self, quirks::Quirks};
use latimer_adapters::command_code;
use latimer_adapters::gemini::request::{self as gemini, FlavourLimits};
use latimer_adapters::limitation::Limitations;
use latimer_adapters::messages;
use latimer_adapters::responses::profile::Profile;
use latimer_adapters::responses::{request as responses, rewrite};
use latimer_protocol::turn::{SealKey, StateOwner, TurnRequest};
use latimer_proxy::config::History;
use latimer_proxy::inbound::responses::body::RequestBody;
use latimer_proxy::inbound::responses::request::read;
use latimer_proxy::route::shape::shape;
use serde_json::{Value, json};

const ITEMS: usize = 400;
const BYTES: usize = 1_000_000;
const RECORDED: &str = include_str!("../../../fixtures/codex/exec-round-trip.request.json");

fn main() {
    divan::main();
}

/// The recorded request with its tools and instructions, and a history of calls with large outputs.
fn body() -> String {
    let mut request: Value = serde_json::from_str(RECORDED).unwrap_or_default();
    let output =
        "a line of what a command said, with \"quotes\" and a tab\t\n".repeat(BYTES / (ITEMS / 4) / 58);
    let mut items = request["input"].as_array().cloned().unwrap_or_default();
    for turn in 0..(ITEMS - items.len()) / 4 {
        let id = format!("call_{turn:08}");
        items.push(json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "go on" }] }));
        items.push(json!({ "type": "function_call", "call_id": id, "name": "exec_command", "arguments": "{\"cmd\":\"ls -la\"}" }));
        items.push(json!({ "type": "function_call_output", "call_id": id, "output": output }));
        items.push(json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "done" }] }));
    }
    request["input"] = json!(items);
    request.to_string()
}

fn turn(body: &str) -> TurnRequest {
    read(body.as_bytes(), &SealKey::default()).map(|parsed| parsed.turn).unwrap_or_default()
}

/// The reader alone: the client's bytes as a turn.
#[divan::bench]
fn read_turn(bencher: divan::Bencher<'_, '_>) {
    let body = body();
    bencher.counter(BytesCount::of_str(&body)).bench(|| turn(divan::black_box(&body)).items.len());
}

/// Everything a stored request costs before it is routed: read, and its input kept for a later answer to go on with.
#[divan::bench]
fn accept(bencher: divan::Bencher<'_, '_>) {
    let body = Bytes::from(body());
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let parsed = RequestBody::parse(divan::black_box(&body)).ok()?;
        let items = parsed.read(&SealKey::default()).map_or(0, |request| request.turn.items.len());
        let input = parsed.stored_input(&body).map(|input| input.len());
        Some((parsed.previous_response_id(), items, parsed.is_stored(), input))
    });
}

/// From the client's bytes to the bytes for a provider, with everything between.
#[divan::bench(args = ["chat", "messages", "responses", "gemini", "command code"])]
fn whole_way(bencher: divan::Bencher<'_, '_>, wire: &str) {
    let body = body();
    let history = History { old_outputs: Some(3000), new_outputs: Some(20_000), newest: 6, ..History::WHOLE };
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        let mut turn = turn(divan::black_box(&body));
        if let Some((items, _)) = shape(&turn.items, &history, None) {
            turn.items = items;
        }
        written(&turn, wire)
    });
}

/// The writers alone, without any shaping: all of the history goes out.
#[divan::bench(args = ["chat", "messages", "responses", "gemini", "command code"])]
fn write(bencher: divan::Bencher<'_, '_>, wire: &str) {
    let body = body();
    let turn = turn(&body);
    bencher.counter(BytesCount::of_str(&body)).bench(|| written(divan::black_box(&turn), wire));
}

fn written(turn: &TurnRequest, wire: &str) -> usize {
    let (owner, limitations) = (StateOwner::new("lab", "m"), Limitations::default());
    match wire {
        "chat" => chat::request::write(turn, &Quirks::DEFAULT, &owner).body.len(),
        "messages" => messages::request::write(turn, &owner, &limitations).body.len(),
        "responses" => responses::write(turn, &Profile::OPENAI, &owner).body.len(),
        "gemini" => {
            let takes = FlavourLimits { urls: true, token_limit: true, edit_nudge: false };
            gemini::write(turn, "gemini-3-flash", takes, &owner, &limitations).body.len()
        }
        _ => command_code::request::write(turn, true, &limitations, "2026-01-31").body.len(),
    }
}

/// The same protocol on both sides.
#[divan::bench]
fn pass_through(bencher: divan::Bencher<'_, '_>) {
    let body = body();
    let owner = StateOwner::new("lab", "m");
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        let rewritten = rewrite::rewrite(
            divan::black_box(body.as_bytes()),
            "m",
            &Profile::OPENAI,
            &owner,
            &SealKey::default(),
        );
        rewritten.map(|rewritten| rewritten.body.len())
    });
}
