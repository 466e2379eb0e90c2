//! K14: patches in whatever a model wrapped them.

use serde_json::{Value, json};

use crate::support::calls::{
    CLIENTS, PROVIDERS, ScriptedCall, added_up, answer, ask, calls_of_object, responses, start,
};
use crate::support::field_report::FieldReport;

const BODY: &str = "*** Update File: a.md\n@@\n ```\n-*** End Patch\n+*** Begin Patch\n *** End Patch\n ```";

fn right() -> String {
    format!("*** Begin Patch\n{BODY}\n*** End Patch")
}

fn decorated() -> String {
    format!("*** Begin Patch ***\n{BODY}\n*** End Patch ***")
}

#[test]
fn the_report() {
    let report = FieldReport::load("K14-decorated-patch");
    let harness = report.start("", |_| false);
    let answer = report.ask(&harness, &report.request());
    answer.assert_completed();
    let patch = "*** Begin Patch\n*** Update File: a.txt\n@@\n-old\n+new\n*** End Patch";
    assert_eq!(answer.calls(), [("apply_patch".to_owned(), json!(patch))]);
}

fn cases() -> Vec<Vec<String>> {
    let (right, decorated) = (right(), decorated());
    let fenced = format!("Here it is:\n```patch\n{right}\n```\nDone.");
    let shell = format!("apply_patch <<'EOF'\n{decorated}\nEOF\n");
    let windows = right.replace('\n', "\r\n");
    let escaped = decorated.replace('\n', "\\n");
    let whole = |value: Value| vec![value.to_string()];
    vec![
        whole(json!({ "input": right })),
        whole(json!({ "input": decorated })),
        whole(json!({ "input": fenced })),
        whole(json!({ "input": shell })),
        whole(json!({ "input": windows })),
        whole(json!({ "input": escaped })),
        whole(json!({ "patch": decorated })),
        whole(json!({ "arguments": decorated })),
        whole(json!({ "arguments": { "input": decorated } })),
        whole(json!({ "command": ["apply_patch", decorated] })),
        whole(json!({ "command": ["bash", "-lc", shell] })),
        whole(json!({ "input": json!({ "input": decorated }).to_string() })),
        whole(json!(decorated)),
        whole(json!({ "input": decorated })).into_iter().chain(["}".to_owned()]).collect(),
        decorated.split_inclusive(' ').map(str::to_owned).collect(),
    ]
}

#[test]
fn every_client_on_every_provider() {
    let all = cases();
    for provider in PROVIDERS {
        let answers = all
            .iter()
            .map(|pieces| vec![answer(provider, &ScriptedCall::new("apply_patch", pieces.clone()))]);
        let harness = start(provider, answers.collect(), "repair = \"parse\"");
        for (place, pieces) in all.iter().enumerate() {
            for client in CLIENTS {
                let what = format!("{client} on {provider}: {pieces:?}");
                let freeform = matches!(client, "responses" | "chat");
                let want = if freeform { json!(right()) } else { json!({ "patch": right() }) };
                let want = [("apply_patch".to_owned(), want)];
                let streamed = ask(&harness, client, place, true);
                streamed.assert_completed();
                assert_eq!(streamed.calls(), want, "{what}");
                if freeform {
                    assert_eq!(added_up(&streamed), [right()], "{what}");
                }
                let object = ask(&harness, client, place, false);
                assert_eq!(calls_of_object(client, &object.body), want, "{what}: {}", object.body);
            }
        }
    }
}

#[test]
fn a_responses_providers_own_freeform_call_is_put_right_on_its_way_through() {
    let call = |text: &str| {
        responses(&ScriptedCall::new("apply_patch", text.split_inclusive('\n')), "custom_tool_call", "input")
    };
    let harness =
        start("responses", vec![vec![call(&decorated())], vec![call(&right())]], "preset = \"openai\"");
    for case in 0..2 {
        let streamed = ask(&harness, "responses", case, true);
        streamed.assert_completed();
        assert_eq!(streamed.calls(), [("apply_patch".to_owned(), json!(right()))]);
        assert_eq!(added_up(&streamed), [right()]);
        let object = ask(&harness, "responses", case, false);
        assert_eq!(calls_of_object("responses", &object.body), [("apply_patch".to_owned(), json!(right()))]);
    }
}

#[test]
fn what_is_no_patch_for_certain_is_not_touched() {
    let half = format!("*** Begin Patch ***\n{BODY}");
    let two = format!("{}\n{}", right(), right().replace("a.md", "b.md"));
    for text in [half, two, "no patch".to_owned()] {
        let call = ScriptedCall::new("apply_patch", [json!({ "input": text }).to_string()]);
        let harness = start("chat", vec![vec![answer("chat", &call)]], "");
        assert_eq!(ask(&harness, "responses", 0, true).calls(), [("apply_patch".to_owned(), json!(text))]);
    }
}
