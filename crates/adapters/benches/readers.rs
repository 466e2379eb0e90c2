//! The readers of the other wires, each alone: payloads in, turn events out. Chat and Gemini have files of their own.

use divan::counter::ItemsCount;
use latimer_adapters::reader::{BodyEnd, Reader, ReaderContext};
use latimer_adapters::{command_code, messages, responses};
use latimer_protocol::turn::TurnEvent;

const COUNT: usize = 1024;

fn main() {
    divan::main();
}

/// One answer: its beginning, and 1,024 times the same piece.
fn drive(
    bencher: divan::Bencher<'_, '_>,
    begin: &[&str],
    piece: &str,
    reader: impl Fn() -> Box<dyn Reader> + Sync,
) {
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let mut reader = reader();
        let mut events = 0usize;
        let mut sink = |event: TurnEvent<'_>| {
            divan::black_box(event);
            events += 1;
        };
        for payload in begin {
            reader.push(payload.as_bytes(), &mut sink);
        }
        for _ in 0..COUNT {
            reader.push(divan::black_box(piece.as_bytes()), &mut sink);
        }
        reader.finish(BodyEnd::Clean, &mut sink);
        events
    });
}

#[divan::bench(args = ["text", "escaped", "thinking", "arguments"])]
fn messages(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (block, delta) = match kind {
        "text" => (r#"{"type":"text","text":""}"#, r#"{"type":"text_delta","text":"sixteen bytes.. "}"#),
        "escaped" => (r#"{"type":"text","text":""}"#, r#"{"type":"text_delta","text":"say \"sixteen\"\n"}"#),
        "thinking" => (
            r#"{"type":"thinking","thinking":""}"#,
            r#"{"type":"thinking_delta","thinking":"sixteen bytes.. "}"#,
        ),
        _ => (
            r#"{"type":"tool_use","id":"c","name":"exec","input":{}}"#,
            r#"{"type":"input_json_delta","partial_json":" 16 bytes of it "}"#,
        ),
    };
    let start = format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
    let piece = format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
    let message = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":4}}}"#;
    drive(bencher, &[message, &start], &piece, || {
        Box::new(messages::stream::MessagesReader::new(ReaderContext::default(), None))
    });
}

fn responses_piece(kind: &str) -> (String, String) {
    let item = match kind {
        "arguments" => r#"{"type":"function_call","id":"fc_1","call_id":"c","name":"exec","arguments":""}"#,
        "thoughts" => r#"{"type":"reasoning","id":"rs_1","summary":[]}"#,
        _ => r#"{"type":"message","id":"msg_1","role":"assistant","content":[]}"#,
    };
    let (event, delta) = match kind {
        "text" => ("response.output_text.delta", r#""sixteen bytes.. ""#),
        "escaped" => ("response.output_text.delta", r#""say \"sixteen\"\n""#),
        "thoughts" => ("response.reasoning_summary_text.delta", r#""sixteen bytes.. ""#),
        _ => ("response.function_call_arguments.delta", r#"" 16 bytes of it ""#),
    };
    (
        format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{item}}}"#),
        format!(
            r#"{{"type":"{event}","sequence_number":7,"item_id":"x_1","output_index":0,"content_index":0,"delta":{delta},"obfuscation":"abcdefgh"}}"#
        ),
    )
}

const CREATED: &str = r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#;

#[divan::bench(args = ["text", "escaped", "thoughts", "arguments"])]
fn responses_translated(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (added, piece) = responses_piece(kind);
    drive(bencher, &[CREATED, &added], &piece, || {
        Box::new(responses::stream::ResponsesReader::new(ReaderContext::default()))
    });
}

/// Bytes through, with an eye on them.
#[divan::bench(args = ["text", "escaped", "thoughts", "arguments"])]
fn responses_through(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (added, piece) = responses_piece(kind);
    drive(bencher, &[CREATED, &added], &piece, || {
        Box::new(responses::passthrough_reader::ResponsesPassthroughReader::new(ReaderContext::default()))
    });
}

#[divan::bench(args = ["text", "escaped", "reasoning", "arguments"])]
fn command_code_lines(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let piece = match kind {
        "text" => r#"{"type":"text-delta","id":"t","text":"sixteen bytes.. "}"#,
        "escaped" => r#"{"type":"text-delta","id":"t","text":"say \"sixteen\"\n"}"#,
        "reasoning" => r#"{"type":"reasoning-delta","id":"t","text":"sixteen bytes.. "}"#,
        _ => r#"{"type":"tool-input-delta","id":"c","delta":" 16 bytes of it "}"#,
    };
    let start = r#"{"type":"tool-input-start","id":"c","toolName":"exec"}"#;
    let begin: &[&str] = if kind == "arguments" { &[start] } else { &[] };
    drive(bencher, begin, piece, || {
        Box::new(command_code::stream::CommandCodeReader::new(ReaderContext::default(), None))
    });
}
