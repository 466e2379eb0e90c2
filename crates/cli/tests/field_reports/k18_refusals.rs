//! K18: a provider's refusal is said once, with its words.

use serde_json::{Value, json};

use super::fronts::{PROVIDERS, fronts};
use crate::support::field_report::{ClientAnswer, FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

/// Whether the client shows these words: of an answer, or of a failure.
fn shows(answer: &ClientAnswer, words: &str) -> bool {
    answer.transcript.text.contains(words)
        || answer.failure.as_ref().is_some_and(|(_, message)| message.contains(words))
        || (answer.body.contains("\"refusal\":") && answer.body.contains(words))
}

/// Codex ends a turn by itself only on these (`codex-client`, what it does about errors).
fn is_final_for_codex(answer: &ClientAnswer) -> bool {
    let code = answer.failure.as_ref().map(|(code, _)| code.as_str());
    answer.body.contains("\"type\":\"response.completed\"")
        || code == Some("invalid_prompt")
        || answer.status == 400
}

#[test]
fn the_report() {
    let report = FieldReport::load("K18-refusal-before-a-word");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    assert!(shows(&answer, "This request looks like an attack."), "{answer:?}");
    assert!(is_final_for_codex(&answer), "{answer:?}");
    assert_eq!(harness.requests().len(), 1);
}

/// How a provider of this protocol refuses before a word, with this explanation or without one.
fn refusals(protocol: &str, why: Option<&str>) -> Vec<ProviderAnswer> {
    let events: Vec<Value> = match protocol {
        "anthropic" => vec![
            json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "content": [], "model": "m1", "usage": { "input_tokens": 5, "output_tokens": 0 } } }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "refusal", "stop_details": { "type": "refusal", "explanation": why } }, "usage": { "output_tokens": 0 } }),
            json!({ "type": "message_stop" }),
        ],
        "responses" => vec![
            json!({ "type": "response.created", "response": { "id": "r", "object": "response", "status": "in_progress", "output": [] } }),
            json!({ "type": "response.incomplete", "response": { "id": "r", "object": "response", "status": "incomplete", "output": [], "incomplete_details": { "reason": "content_filter", "explanation": why } } }),
        ],
        "gemini" => vec![
            json!({ "promptFeedback": { "blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": why } }),
        ],
        _ => vec![
            json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "role": "assistant" }, "finish_reason": "content_filter", "content_filter_details": { "explanation": why } }] }),
            json!("data: [DONE]\n\n"),
        ],
    };
    let mut answers = vec![ProviderAnswer::stream(&events)];
    if let Some(why) = why {
        let message = format!("{why} (content policy)");
        let error = json!({ "error": { "message": message, "code": "content_policy_violation" } });
        answers.push(ProviderAnswer::json(400, &error));
        answers.push(ProviderAnswer::json(200, &error));
        answers.push(ProviderAnswer::raw_stream(format!("event: error\ndata: {error}\n\n")));
    }
    answers
}

#[test]
fn every_client_shows_why_every_provider_refused() {
    for protocol in PROVIDERS {
        for why in [Some("That is dangerous."), None] {
            for (place, refusal) in refusals(protocol, why).into_iter().enumerate() {
                let provider = RuleProvider::start(move |_| refusal.clone());
                let harness = FieldHarness::start(provider, protocol, "m1", "");
                for front in fronts(900) {
                    let before = harness.requests().len();
                    let answer = front.ask(&harness);
                    let told =
                        format!("{} before {protocol}, {why:?}, refusal {place}: {answer:?}", front.name);
                    // A client that speaks the provider's own protocol gets its own events.
                    let is_own = protocol == "anthropic" && front.name == "Messages"
                        || protocol == "responses" && front.name == "Responses";
                    assert!(is_own || shows(&answer, why.unwrap_or("filter")), "{told}");
                    assert_eq!(harness.requests().len(), before + 1, "asked once: {told}");
                    if front.name == "Codex" {
                        assert!(is_final_for_codex(&answer), "{told}");
                    }
                }
            }
        }
    }
}
