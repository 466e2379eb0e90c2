//! K10: a failure that comes with status 200 keeps its words.

use serde_json::json;

use super::fronts::{PROVIDERS, fronts, words};
use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

#[test]
fn the_reports() {
    for (name, told, requests) in [
        ("K10-envelope-with-200", "request parameters are wrong", 1),
        ("K10-no-balance-with-200", "insufficient balance", 1),
        ("K10-error-event-in-the-stream", "tokens per minute reached", 1),
    ] {
        let report = FieldReport::load(name);
        let harness = report.start("", |_| false);
        report.ask(&harness, &report.request()).assert_failed(told);
        assert_eq!(harness.requests().len(), requests, "{name}");
    }
    let report = FieldReport::load("K10-error-beside-the-response");
    let harness = report.start("retries = 0", |_| false);
    report.ask(&harness, &report.request()).assert_failed("out of room");
}

#[test]
fn words_reach_every_client_from_every_provider() {
    let line = |text: &str| ProviderAnswer::raw_stream(text.to_owned());
    let answers: [(&str, ProviderAnswer); 9] = [
        (
            "no such model",
            ProviderAnswer::json(200, &json!({ "error_code": 17, "error_msg": "no such model" })),
        ),
        (
            "the key is wrong",
            ProviderAnswer::json(200, &json!({ "success": false, "data": { "info": "the key is wrong" } })),
        ),
        (
            "not enough balance",
            ProviderAnswer::json(200, &json!({ "header": { "code": 11, "message": "not enough balance" } })),
        ),
        (
            "deep down",
            ProviderAnswer::json(200, &json!({ "errors": [{ "a": { "b": { "detail": "deep down" } } }] })),
        ),
        ("not for you", line("event: error\ndata: not for you\n\n")),
        ("not today", line("event: error\ndata: {\"why\":{\"reason\":\"not today\"}}\n\n")),
        ("no such model here", line("data: no such model here\n\n")),
        ("the account has no balance", line("the account has no balance\n")),
        ("余额不足", ProviderAnswer::json(200, &json!({ "code": "1113", "msg": "余额不足" }))),
    ];
    for protocol in PROVIDERS {
        for (told, answer) in answers.clone() {
            let provider = RuleProvider::start(move |_| answer.clone());
            let harness = FieldHarness::start(provider, protocol, "m1", "retries = 0");
            for front in fronts(900) {
                let answer = front.ask(&harness);
                let failed = answer.failure.as_ref().is_some_and(|(_, message)| message.contains(told));
                assert!(failed, "{} before {protocol}: {told:?} is not told: {answer:?}", front.name);
            }
        }
    }
}

#[test]
fn what_lasts_is_asked_once() {
    for message in
        ["no such model: m1", "Invalid API key provided", "insufficient balance", "invalid parameters"]
    {
        for protocol in PROVIDERS {
            let answer = ProviderAnswer::json(200, &json!({ "code": 30001, "message": message }));
            let provider = RuleProvider::start(move |_| answer.clone());
            let harness = FieldHarness::start(provider, protocol, "m1", "");
            let [codex, ..] = fronts(900);
            codex.ask(&harness).assert_failed(message);
            assert_eq!(harness.requests().len(), 1, "{protocol}: {message}");
        }
    }
}

#[test]
fn an_answer_in_an_envelope_is_opened() {
    let completion = json!({ "id": "c", "object": "chat.completion", "choices": [{ "index": 0, "message": { "role": "assistant", "content": "inside" }, "finish_reason": "stop" }] });
    let message = json!({ "id": "m", "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "inside" }], "stop_reason": "end_turn" });
    let response = json!({ "id": "r", "object": "response", "status": "completed", "output": [{ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "inside" }] }] });
    let content =
        json!({ "candidates": [{ "content": { "parts": [{ "text": "inside" }] }, "finishReason": "STOP" }] });
    for (protocol, answer) in PROVIDERS.into_iter().zip([completion, message, response, content]) {
        for envelope in [json!({ "code": 0, "data": answer }), json!({ "success": true, "result": answer })] {
            let told = ProviderAnswer::json(200, &envelope);
            let provider = RuleProvider::start(move |_| told.clone());
            let harness = FieldHarness::start(provider, protocol, "m1", "");
            for front in fronts(900) {
                let answer = front.ask(&harness);
                answer.assert_completed();
                assert_eq!(answer.transcript.text, "inside", "{} before {protocol}: {answer:?}", front.name);
            }
        }
    }
}

#[test]
fn what_began_ends_as_a_failure() {
    for protocol in PROVIDERS {
        // The answer without its end, then words.
        let whole = String::from_utf8(words(protocol, "Half").body).expect("text");
        let events: Vec<&str> = whole.split_inclusive("\n\n").collect();
        let begun = match protocol {
            "anthropic" | "responses" => events[..3].concat(),
            "gemini" => {
                events[0].replace("\"finishReason\":\"STOP\",", "").replace(",\"finishReason\":\"STOP\"", "")
            }
            _ => events[0].to_owned(),
        };
        for end in ["event: error\ndata: {\"message\":\"broke in the middle\"}\n\n", "broke in the middle\n"]
        {
            let body = format!("{begun}{end}");
            let provider = RuleProvider::start(move |_| ProviderAnswer::raw_stream(body.clone()));
            let harness = FieldHarness::start(provider, protocol, "m1", "");
            for front in fronts(900) {
                let answer = front.ask(&harness);
                assert_eq!(answer.transcript.text, "Half", "{} before {protocol}: {answer:?}", front.name);
                let told =
                    answer.failure.as_ref().is_some_and(|(_, told)| told.contains("broke in the middle"));
                assert!(told, "{} before {protocol}: {end:?}: {answer:?}", front.name);
            }
        }
    }
}
