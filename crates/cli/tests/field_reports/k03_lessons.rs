//! K3: what a refusal teaches is about what it names.

use serde_json::Value;

use super::fronts::{fronts, refusal, words};
use crate::support::field_report::{FieldHarness, FieldReport, RuleProvider};

fn has_tools(body: &Value) -> bool {
    body["tools"].as_array().is_some_and(|tools| !tools.is_empty())
}

#[test]
fn a_schema_that_is_refused_takes_no_tools_away() {
    let report = FieldReport::load("K03-a-schema-is-refused");
    let mut harness = report.start("", |_| false);
    report.ask(&harness, &report.request());
    report.ask(&harness, &report.second_request());
    harness.restart();
    report.ask(&harness, &report.second_request()).assert_completed();
    assert!(harness.requests().iter().all(|request| has_tools(&request.body)), "{:#?}", harness.requests());
}

#[test]
fn a_picture_that_is_too_large_takes_no_pictures_away() {
    let report = FieldReport::load("K03-a-picture-is-too-large");
    let mut harness = report.start("", |_| false);
    report.ask(&harness, &report.request()).assert_completed();
    let note = &harness.requests()[1].text;
    assert!(!note.contains("data:image") && note.contains("a picture stood here"), "{note}");
    report.ask(&harness, &report.second_request()).assert_completed();
    harness.restart();
    report.ask(&harness, &report.second_request()).assert_completed();
    let requests = harness.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests[2..].iter().all(|request| request.text.contains("data:image")),
        "it is sent as a picture"
    );
}

#[test]
fn a_wording_about_the_whole_teaches_once_it_helped() {
    let provider = RuleProvider::start(|request| {
        if has_tools(&request.body) {
            refusal("chat", 400, "m1 does not support tools")
        } else {
            words("chat", "ok")
        }
    });
    let mut harness = FieldHarness::start(provider, "chat", "m1", "");
    let [codex, ..] = fronts(900);
    codex.ask(&harness).assert_completed();
    codex.ask(&harness).assert_completed();
    harness.restart();
    codex.ask(&harness).assert_completed();
    let sent: Vec<bool> = harness.requests().iter().map(|request| has_tools(&request.body)).collect();
    assert_eq!(sent, [true, false, false, false], "it is refused once");
}

#[test]
fn what_did_not_help_is_no_lesson() {
    for front in fronts(900) {
        let provider =
            RuleProvider::start(|_| refusal("chat", 400, "m1 does not support tools, and is closed"));
        let harness = FieldHarness::start(provider, "chat", "m1", "");
        front.ask(&harness).assert_failed("does not support tools, and is closed");
        let before = harness.requests().len();
        front.ask(&harness);
        assert!(has_tools(&harness.requests()[before].body), "{}: its tools go out as ever", front.name);
        assert!(!harness.dir.join("state/learned.json").exists(), "{}", front.name);
    }
}
