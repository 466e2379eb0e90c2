//! K23: an optional argument that is an empty text is left out.

use serde_json::json;

use crate::support::calls::{CLIENTS, PROVIDERS, ScriptedCall, answer, ask, start};
use crate::support::field_report::FieldReport;

#[test]
fn the_report() {
    let report = FieldReport::load("K23-optional-argument-filled-with-nothing");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    assert_eq!(answer.calls(), [("Read".to_owned(), json!({ "file_path": "/a" }))]);
}

#[test]
fn an_optional_argument_that_is_an_empty_text_is_left_out_and_a_required_one_never() {
    let call = |text: &str| ScriptedCall::new("read", [text]);
    for provider in PROVIDERS {
        for level in ["", "repair = \"off\""] {
            let texts = ["{\"path\":\"/a\",\"pages\":\"\"}", "{\"path\":\"\",\"pages\":\"1\"}"];
            let answers = texts.iter().map(|text| vec![answer(provider, &call(text))]).collect();
            let harness = start(provider, answers, level);
            for client in CLIENTS {
                let (optional, required) = (ask(&harness, client, 0, true), ask(&harness, client, 1, true));
                let want = if level.is_empty() {
                    json!({ "path": "/a" })
                } else {
                    json!({ "path": "/a", "pages": "" })
                };
                assert_eq!(optional.calls(), [("read".to_owned(), want)], "{client} on {provider} {level}");
                assert_eq!(required.calls(), [("read".to_owned(), json!({ "path": "", "pages": "1" }))]);
            }
        }
    }
}
