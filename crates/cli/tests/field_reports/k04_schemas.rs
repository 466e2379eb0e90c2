//! K4: every schema is an object at its root.

use serde_json::{Value, json};

use crate::support::field_report::{FieldHarness, FieldReport, ProviderAnswer, RuleProvider};

/// The schemas of a request's tools, wherever its protocol keeps them.
fn schemas(body: &Value) -> Vec<&Value> {
    let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = Vec::new();
    for tool in tools {
        for tool in tool["functionDeclarations"].as_array().map_or(std::slice::from_ref(tool), Vec::as_slice)
        {
            let places = [&tool["function"]["parameters"], &tool["input_schema"], &tool["parameters"]];
            all.extend(places.into_iter().find(|schema| !schema.is_null()));
        }
    }
    all
}

/// What providers refuse: a root that is no plain object, and something beside a reference.
fn is_refused(body: &Value) -> bool {
    fn has_company(value: &Value) -> bool {
        match value {
            Value::Array(values) => values.iter().any(has_company),
            Value::Object(fields) => {
                (fields.contains_key("$ref") && fields.len() > 1) || fields.values().any(has_company)
            }
            _ => false,
        }
    }
    let unions = ["oneOf", "anyOf", "allOf", "$ref"];
    schemas(body).into_iter().any(|schema| {
        schema["type"] != "object"
            || unions.iter().any(|key| schema.get(*key).is_some())
            || has_company(schema)
    })
}

/// Whether names and values are seen in what went out.
fn shows(schema: &Value, names: &[&str], values: &[&str]) -> bool {
    let properties = schema["properties"].as_object().expect("properties");
    let text = schema["properties"].to_string();
    names.iter().all(|name| properties.contains_key(*name))
        && values.iter().all(|value| text.contains(&format!("\"{value}\"")))
}

#[test]
fn the_reports_are_answered_at_once() {
    for name in ["K04-union-at-the-root-chat", "K04-union-at-the-root-anthropic"] {
        let report = FieldReport::load(name);
        let harness = report.start("", is_refused);
        report.ask(&harness, &report.request()).assert_completed();
        let requests = harness.requests();
        assert_eq!(requests.len(), 1);
        let schema = schemas(&requests[0].body)[0];
        assert!(shows(schema, &["mode", "day", "id"], &["create", "drop", "mon", "tue"]), "{schema}");
        assert_eq!(schema["required"], json!(["mode"]));
    }
}

/// A request of each client protocol with one tool that has this schema.
fn requests(schema: &Value) -> [(&'static str, String, Value); 4] {
    let said = "go on";
    let model = "lab/m1";
    [
        (
            "responses",
            "/v1/responses".to_owned(),
            json!({ "model": model, "stream": true, "input": said, "tools": [{ "type": "function", "name": "plan", "parameters": schema }] }),
        ),
        (
            "chat",
            "/v1/chat/completions".to_owned(),
            json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": said }], "tools": [{ "type": "function", "function": { "name": "plan", "parameters": schema } }] }),
        ),
        (
            "messages",
            "/v1/messages".to_owned(),
            json!({ "model": model, "stream": true, "max_tokens": 100, "messages": [{ "role": "user", "content": said }], "tools": [{ "name": "plan", "input_schema": schema }] }),
        ),
        (
            "gemini",
            format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            json!({ "contents": [{ "role": "user", "parts": [{ "text": said }] }], "tools": [{ "functionDeclarations": [{ "name": "plan", "parametersJsonSchema": schema }] }] }),
        ),
    ]
}

#[test]
fn every_client_and_every_provider_gets_one_object() {
    let object = json!({ "type": "object", "properties": { "mode": { "const": "create" }, "day": { "$ref": "#/$defs/day" } }, "required": ["mode", "day"] });
    let other = json!({ "properties": { "mode": { "enum": ["drop", "keep"] }, "id": { "type": "string" } }, "required": ["mode"] });
    let day = json!({ "day": { "type": "string", "enum": ["mon", "tue"] } });
    let schemas_tried = [
        json!({ "oneOf": [object, { "type": "null" }, { "anyOf": [other] }], "$defs": day }),
        json!({ "type": ["object", "null"], "anyOf": [{ "$ref": "#/$defs/one" }, other], "$defs": { "day": day["day"], "one": object } }),
        json!({ "allOf": [{ "properties": { "day": { "$ref": "#/$defs/day", "type": "string", "description": "when" }, "mode": { "enum": ["create", "drop", "keep"] } }, "required": ["mode"] }, { "properties": { "id": { "$ref": "#/$defs/gone" } } }], "$defs": day }),
        json!({ "$ref": "#/definitions/root", "definitions": { "root": { "oneOf": [object, other] } }, "$defs": day }),
    ];
    for protocol in ["chat", "anthropic", "responses", "gemini"] {
        let provider = RuleProvider::start(move |request| {
            if is_refused(&request.body) {
                let error =
                    json!({ "error": { "message": "invalid schema", "type": "invalid_request_error" } });
                return ProviderAnswer::json(400, &error);
            }
            ProviderAnswer::ok(protocol)
        });
        let harness = FieldHarness::start(provider, protocol, "m1", "");
        for schema in &schemas_tried {
            for (client, path, body) in requests(schema) {
                harness.ask(&path, "", &body.to_string()).assert_completed();
                let asked = harness.requests();
                let sent = &asked.last().expect("asked").body;
                let [sent] = schemas(sent)[..] else { panic!("{client} to {protocol}: {sent}") };
                let seen = shows(sent, &["mode", "day", "id"], &["create", "drop", "keep"]);
                assert!(seen && sent.to_string().contains("\"tue\""), "{client} to {protocol}: {sent}");
                assert_eq!(sent["required"], json!(["mode"]), "{client} to {protocol}: {sent}");
            }
        }
        assert_eq!(harness.requests().len(), 4 * schemas_tried.len(), "each was asked once");
    }
}
