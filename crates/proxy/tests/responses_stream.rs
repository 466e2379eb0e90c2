//! Turn events to Responses streams: fixtures in, snapshots out, and every stream is legal.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod script;

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::responses::legality;
use latimer_protocol::turn::SealKey;
use latimer_proxy::inbound::client_behaviour::{ANY_CLIENT, CODEX};
use latimer_proxy::inbound::responses::request;
use latimer_proxy::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use latimer_proxy::inbound::writer::{ClientWriter as _, WriterSeed};
use proptest::prelude::*;

use script::any_answer;

const REQUEST: &str = r#"{"model":"glm-5","stream":true,"input":"go","tools":[
    {"type":"function","name":"exec_command"},{"type":"custom","name":"apply_patch"},{"type":"tool_search"},{"type":"local_shell"},
    {"type":"namespace","name":"mcp__lab","tools":[{"type":"function","name":"add"}]}]}"#;

fn writer(codex: bool) -> ResponsesWriter {
    let parsed = request::read(REQUEST.as_bytes(), &SealKey::default()).expect("a request");
    let seed = WriterSeed {
        random: [7; 16],
        created_at: 1_700_000_000,
        client: if codex { &CODEX } else { &ANY_CLIENT },
        ..WriterSeed::default()
    };
    let options =
        ResponsesWriterOptions { stream: true, input_tokens: 50, ..ResponsesWriterOptions::default() };
    ResponsesWriter::new(seed, options, &parsed.echo, parsed.tools)
}

fn play(writer: &mut ResponsesWriter, line: &str) {
    if line == "alive" { writer.keep_alive() } else { script::play(writer, line) }
}

/// The stream with the bulky snapshots shortened, one event a line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| {
        let Ok(mut value) = serde_json::from_str::<serde_json::Value>(data) else { return data.to_owned() };
        let kind = value["type"].as_str().unwrap_or_default().trim_start_matches("response.").to_owned();
        if let Some(response) = value.get_mut("response").filter(|response| response.is_object()) {
            let short: serde_json::Map<String, serde_json::Value> =
                ["status", "error", "incomplete_details", "usage"]
                    .iter()
                    .filter_map(|key| {
                        Some(((*key).to_owned(), response.get(key).filter(|value| !value.is_null())?.clone()))
                    })
                    .collect();
            *response = short.into();
        }
        let object = value.as_object_mut().expect("an object");
        for key in ["type", "sequence_number", "item_id", "content_index", "summary_index", "logprobs"] {
            object.shift_remove(key);
        }
        format!("{kind} {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn scripts_give_legal_streams() {
    insta::glob!("../../../fixtures/responses", "*.events", |path| {
        let script = std::fs::read_to_string(path).expect("readable");
        for codex in [true, false] {
            let mut writer = writer(codex);
            script
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .for_each(|line| play(&mut writer, line));
            let bytes = writer.take();
            assert_eq!(
                legality::check(&bytes),
                Vec::<String>::new(),
                "{} codex={codex}\n{}",
                path.display(),
                shown(&bytes)
            );
            let name = format!(
                "{}.{}",
                path.file_stem().expect("named").to_string_lossy(),
                if codex { "codex" } else { "other" }
            );
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(path.parent().expect("a folder"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.remove_snapshot_suffix();
            settings.bind(|| insta::assert_snapshot!(name, shown(&bytes)));
        }
    });
}

#[test]
fn a_stopped_turn_ends_legally_wherever_it_is() {
    let script = [
        "started",
        "reasoning \"hm\"",
        "text \"a\"",
        "call 0 c1 exec_command",
        "args 0 \"{\\\"cmd\\\"\"",
        "call 1 c2 mcp__lab__add",
    ];
    for length in 0..=script.len() {
        for codex in [true, false] {
            let mut writer = writer(codex);
            script[..length].iter().for_each(|line| play(&mut writer, line));
            writer.fail(&Failure::new(FailureKind::ShuttingDown, "stopped"));
            writer.fail(&Failure::new(FailureKind::Internal, "twice"));
            let bytes = writer.take();
            assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{length} {}", shown(&bytes));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_gives_a_legal_stream(
        lines in any_answer(&["exec_command", "apply_patch", "mcp__lab__add", "tool_search", "local_shell", "unknown"]),
        codex in any::<bool>(),
    ) {
        let mut writer = writer(codex);
        for line in lines {
            play(&mut writer, &line);
        }
        let bytes = writer.take();
        prop_assert_eq!(legality::check(&bytes), Vec::<String>::new(), "{}", shown(&bytes));
    }
}
