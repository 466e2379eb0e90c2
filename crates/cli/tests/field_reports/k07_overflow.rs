//! K7: an overflow is told as one, in the client's own protocol, after one request.

use serde_json::json;

use super::fronts::{Front, fronts, refusal};
use crate::support::field_report::{ClientAnswer, FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

fn assert_overflow(name: &str, answer: &ClientAnswer) {
    let (code, message) = answer.failure.clone().unwrap_or_default();
    match name {
        "Messages" => {
            assert!(
                answer.status == 400 && message.to_ascii_lowercase().contains("prompt is too long"),
                "{name}: {answer:?}"
            );
        }
        "Gemini" => assert!(answer.body.contains("CONTEXT_LENGTH_EXCEEDED"), "{name}: {answer:?}"),
        _ => assert_eq!(code, "context_length_exceeded", "{name}: {answer:?}"),
    }
}

#[test]
fn the_reports() {
    for (name, client) in [
        ("K07-overflow-local-server", "Codex"),
        ("K07-overflow-prompt-length", "Codex"),
        ("K07-overflow-range", "Messages"),
        ("K07-overflow-token-limit", "Messages"),
    ] {
        let report = FieldReport::load(name);
        let harness = report.start("", |_| false);
        let answer = report.ask(&harness, &report.request());
        assert_overflow(client, &answer);
        assert_eq!(harness.requests().len(), 1, "{name}");
    }
}

#[test]
fn every_client_is_told_whatever_the_status_and_the_place() {
    let wording = "The conversation has 140000 tokens, which is over the context window of 131072";
    let chinese = "输入长度超过模型的上下文长度";
    let event = |data: &str| ProviderAnswer::raw_stream(format!("event: error\ndata: {data}\n\n"));
    let answers: [(&str, ProviderAnswer); 8] = [
        ("400", refusal("chat", 400, wording)),
        ("413", refusal("chat", 413, "Prompt is too long")),
        ("422", refusal("chat", 422, wording)),
        ("500", refusal("chat", 500, chinese)),
        ("a document", ProviderAnswer::json(200, &json!({ "code": 20015, "message": wording }))),
        ("an event", event(&json!({ "message": chinese }).to_string())),
        ("a chunk", ProviderAnswer::stream(&[json!({ "error": { "message": wording } })])),
        ("a line", ProviderAnswer::raw_stream(format!("error: {wording}\n"))),
    ];
    for (place, answer) in answers {
        let provider = RuleProvider::start(move |_| answer.clone());
        let harness = FieldHarness::start(provider, "chat", "m1", "");
        let fronts: [Front; 5] = fronts(900);
        for front in &fronts {
            let answer = front.ask(&harness);
            let (code, message) = answer.failure.clone().unwrap_or_default();
            assert!(!code.is_empty() || !message.is_empty(), "{place} {}: {answer:?}", front.name);
            assert_overflow(front.name, &answer);
        }
        assert_eq!(harness.requests().len(), fronts.len(), "{place}: each client's turn is asked once");
    }
}

#[test]
fn what_is_no_overflow_is_not_told_as_one() {
    for wording in [
        "Request too large for model `m1` on tokens per minute (TPM): Limit 6000, Requested 9000",
        "Invalid 'tools[0].function.description': string too long. Expected a string with maximum length 1024.",
        "Too many tools: the request has 140, at most 128 are allowed",
    ] {
        let provider = RuleProvider::start(move |_| refusal("chat", 413, wording));
        let harness = FieldHarness::start(provider, "chat", "m1", "");
        for front in fronts(900) {
            let answer = front.ask(&harness);
            answer.assert_failed(wording.split(':').next().unwrap_or_default());
            let told = answer.body.to_ascii_lowercase();
            assert!(
                !told.contains("context_length_exceeded") && !told.contains("prompt is too long"),
                "{told}"
            );
        }
    }
}
