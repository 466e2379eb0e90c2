//! K5: limits on output tokens are learned from refusals.

use super::fronts::{PROVIDERS, asked_for, fronts, refusal, words};
use crate::support::field_report::{FieldHarness, FieldReport, RuleProvider};

#[test]
fn the_limit_is_read_and_remembered() {
    let report = FieldReport::load("K05-more-tokens-than-the-model-gives");
    let mut harness = report.start("", |body| asked_for("chat", body).is_some_and(|tokens| tokens > 12_288));
    report.ask(&harness, &report.request()).assert_completed();
    report.ask(&harness, &report.second_request()).assert_completed();
    harness.restart();
    report.ask(&harness, &report.second_request()).assert_completed();
    let asked: Vec<Option<u64>> =
        harness.requests().iter().map(|request| asked_for("chat", &request.body)).collect();
    assert_eq!(asked, [Some(32_000), Some(12_288), Some(12_288), Some(12_288)]);
}

#[test]
fn the_window_is_remembered_and_not_what_was_left_of_it() {
    let report = FieldReport::load("K05-window-minus-prompt");
    let harness = report.start("", |body| asked_for("chat", body).is_some_and(|tokens| tokens > 23_768));
    report.ask(&harness, &report.request()).assert_completed();
    assert_eq!(asked_for("chat", &harness.requests()[1].body), Some(23_768));
    let learned = std::fs::read_to_string(harness.dir.join("state/learned.json")).expect("learned");
    assert!(learned.contains("32768") && !learned.contains("23768"), "{learned}");
    report.ask(&harness, &report.second_request()).assert_completed();
}

#[test]
fn every_client_gets_an_answer_from_every_provider() {
    let wordings = [
        (400, "max_tokens: 32000 > 8000, which is the maximum allowed number of output tokens for m1"),
        (422, "The maximum output of this model is 8000 tokens, but max_tokens is 32000"),
        (400, "max_tokens参数非法。取值范围：[1, 8000]"),
        (500, "maxOutputTokens must be between 1 and 8000"),
        (
            400,
            "This model's maximum context length is 9000 tokens. However, you requested 33000 tokens (1000 in the messages, 32000 in the completion).",
        ),
    ];
    for protocol in PROVIDERS {
        for (status, wording) in wordings {
            let provider = RuleProvider::start(move |request| {
                let is_too_much = asked_for(protocol, &request.body).is_some_and(|tokens| tokens > 8000);
                if is_too_much { refusal(protocol, status, wording) } else { words(protocol, "ok") }
            });
            let harness = FieldHarness::start(provider, protocol, "m1", "");
            for front in fronts(32_000) {
                let answer = front.ask(&harness);
                assert_eq!(
                    answer.transcript.text, "ok",
                    "{} before {protocol}: {wording}: {answer:?}",
                    front.name
                );
            }
            let asked = harness.requests().len();
            assert!(asked <= 6, "{protocol}: {wording}: {asked} requests for five turns");
        }
    }
}

#[test]
fn a_key_sets_it_beforehand() {
    for protocol in PROVIDERS {
        let provider = RuleProvider::start(move |_| words(protocol, "ok"));
        let harness = FieldHarness::start(
            provider,
            protocol,
            "other",
            "[[endpoint]]\nname = \"unused\"\nbase_url = \"http://127.0.0.1:1\"",
        );
        let path = harness.dir.join("latimer.toml");
        let config = std::fs::read_to_string(&path).expect("a configuration");
        std::fs::write(&path, config.replace("id = \"other\"", "id = \"m1\", max_output = 5000"))
            .expect("written");
        let mut harness = harness;
        harness.restart();
        for front in fronts(32_000) {
            front.ask(&harness).assert_completed();
        }
        let requests = harness.requests();
        assert!(
            requests.iter().all(|request| asked_for(protocol, &request.body) == Some(5000)),
            "{protocol}: {requests:?}"
        );
    }
}
