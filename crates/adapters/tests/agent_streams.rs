//! Lines of agents to turn events: fixtures in, one line per event out, whole and in pieces.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod streams;

use latimer_adapters::agents::settings::Activity;
use latimer_adapters::claude_code::stream::{AnswerShape, ClaudeCodeReader};
use latimer_adapters::codex_app_server::stream::AppServerReader;
use latimer_adapters::codex_exec::stream::CodexExecReader;
use latimer_adapters::opencode::stream::OpenCodeReader;
use latimer_adapters::reader::{BodyEnd, Reader, ReaderContext};
use latimer_protocol::jsonl::LineDecoder;
use latimer_protocol::turn::EventSink;
use proptest::prelude::*;

fn context() -> ReaderContext {
    ReaderContext { endpoint: "lab".into(), model: "m".into(), ..ReaderContext::default() }
}

/// What a reader makes of a body that arrives in pieces of this size.
fn read(mut reader: Box<dyn Reader>, bytes: &[u8], size: usize, sink: &mut dyn EventSink) {
    let mut lines = LineDecoder::new(1 << 26);
    for piece in bytes.chunks(size.max(1)) {
        lines.push(piece, &mut |line| reader.push(line, sink)).expect("short lines");
    }
    lines.finish(&mut |line| reader.push(line, sink));
    reader.finish(BodyEnd::Clean, sink);
}

fn exec() -> Box<dyn Reader> {
    Box::new(CodexExecReader::new(context(), Activity::Summary))
}

#[test]
fn codex_exec_fixtures() {
    insta::glob!("../../../fixtures/agents/codex_exec", "*.jsonl", |path| {
        streams::check_fixture(path, |bytes, size, sink| read(exec(), bytes, size, sink));
    });
}

proptest! {
    #[test]
    fn whatever_codex_exec_says_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("{\"type\":\"turn.started\"}\n"),
            Just("{\"type\":\"item.started\",\"item\":{\"type\":\"command_execution\",\"command\":\"ls\"}}\n"),
            Just("{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"a\"}}\n"),
            Just("{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"\"}}\n"),
            Just("{\"type\":\"error\",\"message\":\"Reconnecting\"}\n"),
            Just("{\"type\":\"turn.failed\",\"error\":{\"message\":\"no\"}}\n"),
            Just("{\"type\":\"turn.completed\",\"usage\":null}\n"),
            Just("{\"type\":\"latimer/exit\",\"success\":true,\"answer\":\"x\"}\n"),
            Just("{\"type\":\"latimer/exit\",\"exit\":\"signal 9\"}\n"),
            Just("{\"type\":7}\n"), Just("[]\n"), Just("\u{fffd}\n"),
        ], 0..12),
    ) {
        let bytes = pieces.concat();
        let ends = streams::count_ends(|sink| read(exec(), bytes.as_bytes(), 7, sink));
        prop_assert_eq!(ends, 1);
    }
}

fn app_server() -> Box<dyn Reader> {
    Box::new(AppServerReader::new(context(), Activity::Summary))
}

#[test]
fn codex_app_server_fixtures() {
    insta::glob!("../../../fixtures/agents/codex_app_server", "*.jsonl", |path| {
        streams::check_fixture(path, |bytes, size, sink| read(app_server(), bytes, size, sink));
    });
}

#[test]
fn a_line_of_20_mb_is_read() {
    let text = "x".repeat(20 << 20);
    let line = format!(
        "{{\"method\":\"item/completed\",\"params\":{{\"item\":{{\"type\":\"agentMessage\",\"id\":\"m\",\"text\":\"{text}\"}}}}}}\n\
         {{\"method\":\"turn/completed\",\"params\":{{\"turn\":{{\"status\":\"completed\"}}}}}}\n"
    );
    let mut shown = 0;
    let mut count = |event: latimer_protocol::turn::TurnEvent<'_>| {
        if let latimer_protocol::turn::TurnEvent::Text(text) = event {
            shown += text.len();
        }
    };
    read(app_server(), line.as_bytes(), 1 << 16, &mut count);
    assert_eq!(shown, text.len());
}

proptest! {
    #[test]
    fn whatever_an_app_server_says_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("{\"method\":\"turn/started\",\"params\":{\"turn\":{\"id\":\"a\",\"status\":{\"type\":\"x\"}}}}\n"),
            Just("{\"method\":\"item/agentMessage/delta\",\"params\":{\"itemId\":\"m\",\"delta\":\"a\"}}\n"),
            Just("{\"method\":\"item/agentMessage/delta\",\"params\":{\"itemId\":7,\"delta\":\"\"}}\n"),
            Just("{\"method\":\"item/reasoning/textDelta\",\"params\":{\"delta\":\"t\"}}\n"),
            Just("{\"method\":\"item/started\",\"params\":{\"item\":{\"type\":\"commandExecution\"}}}\n"),
            Just("{\"method\":\"item/completed\",\"params\":{\"item\":{\"type\":\"agentMessage\",\"id\":\"m\",\"text\":\"a\"}}}\n"),
            Just("{\"method\":\"item/tool/call\",\"id\":1,\"params\":{\"callId\":\"c\",\"tool\":\"f\",\"arguments\":{}}}\n"),
            Just("{\"method\":\"thread/tokenUsage/updated\",\"params\":{\"tokenUsage\":{\"total\":{\"inputTokens\":5},\"last\":null}}}\n"),
            Just("{\"method\":\"error\",\"params\":{\"willRetry\":false,\"error\":\"text\"}}\n"),
            Just("{\"method\":\"turn/completed\",\"params\":{\"turn\":{\"status\":\"failed\"}}}\n"),
            Just("{\"method\":\"turn/completed\",\"params\":{\"turn\":{\"status\":\"completed\",\"items\":7}}}\n"),
            Just("{\"method\":\"latimer/parked\"}\n"),
            Just("{\"method\":\"quite/new\",\"params\":[1]}\n"), Just("{}\n"), Just("no JSON\n"),
        ], 0..12),
    ) {
        let bytes = pieces.concat();
        let ends = streams::count_ends(|sink| read(app_server(), bytes.as_bytes(), 7, sink));
        prop_assert_eq!(ends, 1);
    }
}

fn claude() -> Box<dyn Reader> {
    Box::new(ClaudeCodeReader::new(context(), Activity::Summary, AnswerShape::Text))
}

#[test]
fn claude_code_fixtures() {
    insta::glob!("../../../fixtures/agents/claude_code", "*.jsonl", |path| {
        streams::check_fixture(path, |bytes, size, sink| read(claude(), bytes, size, sink));
    });
}

#[test]
fn an_answer_of_a_shape_is_the_object_alone() {
    let reader = Box::new(ClaudeCodeReader::new(context(), Activity::Off, AnswerShape::Structured));
    let lines = "{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Here it is:\"}}}\n\
                 {\"type\":\"result\",\"subtype\":\"success\",\"result\":\"Here it is:\",\"structured_output\":{\"a\":1}}\n";
    let mut record = latimer_protocol::turn::RecordedEvents::default();
    read(reader, lines.as_bytes(), 7, &mut record);
    assert_eq!(record.lines, ["started", "text \"{\\\"a\\\":1}\"", "finished stop"]);
}

fn opencode() -> Box<dyn Reader> {
    Box::new(OpenCodeReader::new(context(), Activity::Summary))
}

#[test]
fn opencode_fixtures() {
    insta::glob!("../../../fixtures/agents/opencode", "*.jsonl", |path| {
        streams::check_fixture(path, |bytes, size, sink| read(opencode(), bytes, size, sink));
    });
}

proptest! {
    #[test]
    fn whatever_claude_code_and_opencode_say_there_is_one_end(
        pieces in prop::collection::vec(prop_oneof![
            Just("{\"type\":\"system\",\"subtype\":\"init\"}\n"),
            Just("{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"name\":\"Bash\"}}}\n"),
            Just("{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}}\n"),
            Just("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":\"x\"}\n"),
            Just("{\"type\":\"result\",\"subtype\":\"success\",\"usage\":[],\"errors\":{}}\n"),
            Just("{\"type\":\"message.updated\",\"properties\":{\"info\":{\"id\":\"m\",\"role\":\"assistant\"}}}\n"),
            Just("{\"type\":\"message.part.delta\",\"properties\":{\"messageID\":\"m\",\"partID\":\"p\",\"field\":\"text\",\"delta\":\"a\"}}\n"),
            Just("{\"type\":\"message.part.updated\",\"properties\":{\"part\":{\"id\":\"t\",\"messageID\":\"m\",\"type\":\"tool\",\"state\":{\"status\":\"running\"}}}}\n"),
            Just("{\"type\":\"session.status\",\"properties\":{\"status\":{\"type\":\"busy\"}}}\n"),
            Just("{\"type\":\"session.status\",\"properties\":{\"status\":{\"type\":\"retry\",\"attempt\":3}}}\n"),
            Just("{\"type\":\"session.error\",\"properties\":{\"error\":7}}\n"),
            Just("{\"type\":\"session.idle\",\"properties\":{}}\n"),
            Just("{\"type\":null}\n"), Just("[]\n"), Just("no JSON\n"),
        ], 0..12),
    ) {
        let bytes = pieces.concat();
        for reader in [claude(), opencode()] {
            let ends = streams::count_ends(|sink| read(reader, bytes.as_bytes(), 7, sink));
            prop_assert_eq!(ends, 1);
        }
    }
}
