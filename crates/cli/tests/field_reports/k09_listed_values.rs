//! K9: the nearest of the values that a refusal lists is taken.

use serde_json::{Value, json};

use super::fronts::words;
use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

#[test]
fn the_effort_that_only_param_names() {
    let report = FieldReport::load("K09-effort-refused-by-param");
    let is_listed = |body: &Value| {
        let effort = body["reasoning"]["effort"].as_str();
        effort.is_none_or(|effort| ["low", "medium", "high", "xhigh"].contains(&effort))
    };
    let mut harness = report.start("", move |body| !is_listed(body));
    report.ask(&harness, &report.request()).assert_completed();
    harness.restart();
    report.ask(&harness, &report.request()).assert_completed();
    let efforts: Vec<String> =
        harness.requests().iter().map(|request| request.body["reasoning"]["effort"].to_string()).collect();
    assert_eq!(efforts, ["\"max\"", "\"xhigh\"", "\"xhigh\""], "and it is remembered");
}

/// What a client wants, what the provider lists, and what is sent in the end.
#[test]
fn values_of_other_fields_and_protocols() {
    type Case = (&'static str, Value, &'static str, Value, Value);
    let ask = |more: Value| {
        let mut body = json!({ "model": "m1", "stream": true, "input": "hi" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let error = |message: &str, param: &str| json!({ "error": { "message": message, "param": param } });
    let cases: [Case; 5] = [
        (
            "responses",
            ask(json!({ "text": { "verbosity": "high" } })),
            "/text/verbosity",
            error("Unsupported value: 'high'. Supported values are: 'medium'.", "text.verbosity"),
            json!("medium"),
        ),
        (
            "responses",
            ask(json!({ "service_tier": "priority" })),
            "/service_tier",
            error("Invalid value. Supported values are: 'default' and 'flex'.", "service_tier"),
            json!("default"),
        ),
        (
            "responses",
            ask(json!({ "service_tier": "priority" })),
            "/service_tier",
            error("Unsupported parameter.", "service_tier"),
            Value::Null,
        ),
        (
            "chat",
            ask(json!({ "temperature": 1.7 })),
            "/temperature",
            error("temperature must be between 0 and 1", "temperature"),
            json!(1),
        ),
        (
            "chat",
            ask(
                json!({ "tool_choice": "required", "tools": [{ "type": "function", "name": "f", "parameters": { "type": "object" } }] }),
            ),
            "/tool_choice",
            json!({ "detail": [{ "loc": ["body", "tool_choice"], "msg": "Input should be 'none' or 'auto'" }] }),
            json!("auto"),
        ),
    ];
    for (protocol, request, place, refusal, want) in cases {
        let (wanted, kept) = (want.clone(), refusal.clone());
        let provider = RuleProvider::start(move |request| {
            let sent = request.body.pointer(place).cloned().unwrap_or_default();
            if sent == wanted { words(protocol, "ok") } else { ProviderAnswer::json(400, &kept) }
        });
        let harness = FieldHarness::start(provider, protocol, "m1", "");
        for _ in 0..2 {
            let answer = harness.ask("/v1/responses", "", &request.to_string());
            assert_eq!(answer.transcript.text, "ok", "{refusal}: {answer:?} {:#?}", harness.requests());
        }
        assert_eq!(harness.requests().len(), 3, "{refusal}: it is refused once");
        assert_eq!(harness.requests()[2].body.pointer(place).cloned().unwrap_or_default(), want);
    }
}
