//! Trials at scripted providers.

use std::time::Duration;

use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Step};
use serde_json::json;

use super::*;
use crate::config::Protocol;
use crate::config::parse::load;

const PATIENCE: Duration = Duration::from_secs(5);

fn config(base_url: &str, more: &str) -> Config {
    let text = format!("[[endpoint]]\nname = \"lab\"\nbase_url = \"{base_url}\"\n{more}");
    load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into())).expect("a configuration").config
}

async fn trial(answer: ScriptedAnswer, task: TrialTask) -> TrialReport {
    let provider = Provider::start(Scenario::new([answer])).await.expect("a port");
    let config = config(&provider.base_url(), "");
    let trial = Trial::new(&config, &config.endpoints[0], PATIENCE, None).expect("an endpoint");
    trial.turn("m", task).await
}

fn call(arguments: &str) -> ScriptedAnswer {
    ScriptedAnswer::turn([Step::Call {
        id: "c1".to_owned(),
        name: TOOL.to_owned(),
        arguments: arguments.to_owned(),
        pieces: 2,
        gap_us: 0,
        index: 0,
    }])
}

#[tokio::test]
async fn an_answer_is_measured() {
    let report = trial(ScriptedAnswer::text("ready"), TrialTask::Text).await;
    assert!(report.failure.is_none() && report.first_word <= Some(report.whole), "{report:?}");
    assert_eq!((report.text.as_str(), report.call), ("ready", CallVerdict::NotCalled));
}

#[tokio::test]
async fn a_call_is_held_to_what_was_asked() {
    let report = trial(call("{\"word\":\"heron\"}"), TrialTask::Tool).await;
    assert_eq!((report.call, report.failure.is_none()), (CallVerdict::Called, true), "{report:?}");
    let report = trial(call("{\"ward\":1}"), TrialTask::Tool).await;
    assert_eq!(report.call, CallVerdict::WrongArguments, "{report:?}");
    let report = trial(ScriptedAnswer::text("heron"), TrialTask::Tool).await;
    assert_eq!(report.call, CallVerdict::NotCalled);
}

#[tokio::test]
async fn a_refusal_is_told_once_and_nobody_waits() {
    let provider = Provider::start(Scenario::new([ScriptedAnswer::error(
        429,
        json!({"error": {"message": "slow down"}}),
    )]))
    .await
    .expect("a port");
    let config = config(&provider.base_url(), "");
    let trial = Trial::new(&config, &config.endpoints[0], PATIENCE, None).expect("an endpoint");
    let report = trial.turn("m", TrialTask::Text).await;
    assert_eq!(report.failure.expect("a refusal").kind, FailureKind::RateLimited);
    assert_eq!(provider.request_count(), 1);
}

#[tokio::test]
async fn the_protocol_of_an_address_is_found_by_asking() {
    let whole = |body| ScriptedAnswer::whole(body);
    let message = json!({"id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "ready"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    let candidate = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "ready"}]}, "finishReason": "STOP"}]});
    let cases = [
        (ScriptedAnswer::text("ready"), Protocol::Chat),
        (whole(message), Protocol::Messages),
        (whole(candidate), Protocol::Gemini),
    ];
    for (answer, want) in cases {
        let provider = Provider::start(Scenario::new([answer])).await.expect("a port");
        let config = config(&provider.base_url(), "api_key = \"numbat-key\"\n");
        let found = wire::find(&config, &config.endpoints[0], None, PATIENCE, None).await;
        assert_eq!(found.protocol, Some(want), "{found:?}");
        assert!(!found.models.is_empty());
    }
}

#[tokio::test]
async fn where_nobody_answers_the_search_ends_at_once() {
    let config = config("http://127.0.0.1:1/v1", "");
    let found = wire::find(&config, &config.endpoints[0], Some("m"), PATIENCE, None).await;
    assert_eq!((found.protocol, found.refusals.len()), (None, 1), "{found:?}");
}
