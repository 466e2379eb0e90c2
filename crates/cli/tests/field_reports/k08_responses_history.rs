//! K8: a history from Responses to Responses is mended.

use serde_json::{Value, json};

use super::any_protocol::{PROVIDERS, ask, harness, says};
use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments })
}

fn output(id: &str, text: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": text })
}

fn request(items: &Value) -> String {
    let tools = json!([{ "type": "function", "name": "shell", "parameters": { "type": "object", "properties": {} } }]);
    json!({ "model": "lab/m1", "stream": true, "input": items, "tools": tools }).to_string()
}

#[test]
fn a_call_without_a_name() {
    let has_empty_name = |body: &Value| {
        body["input"].as_array().is_some_and(|items| items.iter().any(|item| item["name"] == ""))
    };
    let report = FieldReport::load("K08-call-without-a-name");
    for profile in ["", "preset = \"openai\""] {
        let harness = report.start(profile, has_empty_name);
        report.ask(&harness, &report.request()).assert_completed();
        let requests = harness.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].text.contains("unknown tool") && requests[0].text.contains("go on"), "{profile}");
    }
}

/// What a strict server of the protocol refuses.
fn violation(body: &Value) -> Option<String> {
    let items = body["input"].as_array()?;
    let ids = |suffix: &str| -> Vec<&str> {
        let of = items.iter().filter(|item| item["type"].as_str().is_some_and(|kind| kind.ends_with(suffix)));
        let mut ids: Vec<&str> = of.filter_map(|item| item["call_id"].as_str()).collect();
        ids.sort_unstable();
        ids
    };
    if ids("_call") != ids("_call_output") {
        return Some(format!("{:?} are called and {:?} answered", ids("_call"), ids("_call_output")));
    }
    items.iter().enumerate().find_map(|(place, item)| {
        let arguments =
            item["arguments"].as_str().map(serde_json::from_str::<serde_json::Map<String, Value>>);
        let is_wrong = item["name"] == "" || arguments.is_some_and(|read| read.is_err());
        is_wrong.then(|| format!("input[{place}] is wrong: {item}"))
    })
}

#[test]
fn broken_histories_of_every_kind() {
    let custom = json!({ "type": "custom_tool_call", "call_id": "p", "name": "apply_patch", "input": "x" });
    let histories = [
        json!([call("a", "shell", "[1]"), output("a", "SAID")]),
        json!([call("a", "shell", "{\"command\":"), output("a", "SAID")]),
        json!([call("a", "shell", ""), output("a", "SAID")]),
        json!([call("a", " ", "{}"), output("a", "SAID")]),
        json!([output("gone", "SAID")]),
        json!([call("a", "shell", "{}"), { "role": "user", "content": "SAID" }]),
        json!([
            call("a", "shell", "{}"),
            output("a", "SAID"),
            call("a", "shell", "{}"),
            output("a", "again")
        ]),
        json!([custom, { "role": "user", "content": "SAID" }]),
        json!([{ "type": "function_call", "call_id": "a", "name": "shell", "arguments": { "x": 1 } }, output("a", "SAID")]),
    ];
    for endpoint in ["", "preset = \"openai\"", "repair = \"parse\""] {
        let harness = harness("responses", endpoint, says("responses", &["ok"]));
        for history in &histories {
            let mut items = history.as_array().expect("items").clone();
            items.insert(0, json!({ "type": "message", "role": "user", "content": "begin" }));
            let (answer, sent) = ask(&harness, "responses", "/v1/responses", &request(&json!(items)));
            answer.assert_completed();
            assert_eq!(violation(&sent), None, "{endpoint}: {history} became {sent}");
            assert!(sent["input"].to_string().contains("SAID"), "{endpoint}: {sent}");
        }
    }
}

/// Items of OpenAI's tools come to another provider as words; OpenAI gets what is sound as it is, beside what had to be mended.
#[test]
fn items_of_hosted_tools() {
    let search = json!({ "type": "web_search_call", "id": "ws_1", "status": "completed", "action": { "type": "search", "query": "HERONS" } });
    let history =
        json!([{ "role": "user", "content": "begin" }, search, call("a", "", "{}"), output("a", "SAID")]);
    for provider in PROVIDERS {
        let harness = harness(provider, "repair = \"off\"", says(provider, &["ok"]));
        let (answer, sent) = ask(&harness, "responses", "/v1/responses", &request(&history));
        answer.assert_completed();
        let text = sent.to_string();
        assert!(text.contains("query: HERONS") && text.contains("SAID"), "{provider}: {sent}");
        assert!(!text.contains("\"web_search_call\""), "{provider}: {sent}");
    }
    let harness = harness("responses", "preset = \"openai\"", says("responses", &["ok"]));
    let (answer, sent) = ask(&harness, "responses", "/v1/responses", &request(&history));
    answer.assert_completed();
    assert_eq!(sent["input"][1], search);
    assert_eq!(violation(&sent), None);
}

/// A refusal that names an item lowers the items of that type, and takes nothing else away.
#[test]
fn a_refusal_that_names_an_item() {
    let refused = |kind: &'static str, param: &'static str| {
        move |body: &Value| {
            let items = body["input"].as_array().cloned().unwrap_or_default();
            let place = items.iter().position(|item| item["type"] == kind && !item[param].is_null());
            place.map(|place| format!("input[{place}].{param}"))
        }
    };
    let search = json!({ "type": "web_search_call", "id": "ws_1", "status": "completed", "action": { "query": "HERONS" } });
    let staged = json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "HERONS" }], "phase": "commentary" });
    for (item, kind, param) in [(search, "web_search_call", "action"), (staged, "message", "phase")] {
        let names = refused(kind, param);
        let provider = RuleProvider::start(move |request| match names(&request.body) {
            Some(param) => ProviderAnswer::json(
                400,
                &json!({ "error": { "message": "Invalid request.", "type": "invalid_request_error", "param": param, "code": "unknown_parameter" } }),
            ),
            None => says("responses", &["ok"]),
        });
        let harness = FieldHarness::start(provider, "responses", "m1", "retries = 0\npreset = \"openai\"");
        let items = json!([{ "role": "user", "content": "begin" }, item]);
        for asked in [2, 1] {
            let before = harness.requests().len();
            harness.ask("/v1/responses", "", &request(&items)).assert_completed();
            let requests = harness.requests();
            assert_eq!(requests.len() - before, asked, "it is remembered: {kind}");
            let sent = &requests.last().expect("sent").body;
            assert!(
                sent["input"].to_string().contains("HERONS") && sent["tools"][0]["name"] == "shell",
                "{sent}"
            );
        }
    }
}
