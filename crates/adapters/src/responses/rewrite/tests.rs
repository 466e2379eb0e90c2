use super::*;

fn rewritten(body: &Value, profile: &Profile) -> Option<(Value, Vec<Note>)> {
    let owner = StateOwner::new("openai", "gpt-5.5").of_account("a");
    let rewritten = rewrite(body.to_string().as_bytes(), "gpt-5.5", profile, &owner, &SealKey::default())?;
    Some((serde_json::from_slice(&rewritten.body).expect("JSON"), rewritten.notes))
}

#[test]
fn what_needs_no_change_goes_out_as_it_came() {
    let body = r#"{"input" : [ {"type":"message","role":"user","content":"żółw"} ], "tools":[{"type":"custom","name":"x"}],"novel":{"a":1.0e3},"model":"alias","stream":false}"#;
    let owner = StateOwner::new("openai", "gpt-5.5");
    let rewritten =
        rewrite(body.as_bytes(), "gpt-5.5", &Profile::OPENAI, &owner, &SealKey::default()).expect("passes");
    assert_eq!(
        String::from_utf8_lossy(&rewritten.body),
        r#"{"model":"gpt-5.5","stream":true,"input":[ {"type":"message","role":"user","content":"żółw"} ],"tools":[{"type":"custom","name":"x"}],"novel":{"a":1.0e3}}"#
    );
    assert_eq!(rewritten.notes, []);
    assert!(
        rewritten.features.has(Limitation::NoCustomTools)
            && !rewritten.features.has(Limitation::NoNamespaces)
    );
}

#[test]
fn state_goes_back_to_its_owner_only() {
    let state = |owner: StateOwner| {
        let text = OpaqueState { owner, data: "gAAAA".into() }.encode(&SealKey::default());
        json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text })
    };
    let own = state(StateOwner::new("openai", "gpt-5.5").of_account("a"));
    let call =
        json!({ "type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}" });
    let output = json!({ "type": "function_call_output", "call_id": "c", "output": "x" });
    let (body, notes) =
        rewritten(&json!({ "input": [own, call, output] }), &Profile::OPENAI).expect("passes");
    assert_eq!(body["input"][0]["encrypted_content"], "gAAAA");
    assert_eq!(body["input"][1]["id"], "fc_1");
    assert!(notes.is_empty());
    let foreign = [
        state(StateOwner::new("openai", "gpt-5.5").of_account("b")),
        state(StateOwner::new("openai", "gpt-6").of_account("a")),
        state(StateOwner::new("xai", "gpt-5.5").of_account("a")),
        json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAAA from nowhere" }),
    ];
    for item in foreign {
        let (body, notes) =
            rewritten(&json!({ "input": [item, call, output] }), &Profile::OPENAI).expect("passes");
        assert_eq!(
            body["input"],
            json!([{ "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" }, output])
        );
        assert_eq!(notes.len(), 1);
    }
}

#[test]
fn a_broken_history_is_mended_where_it_stands() {
    let nameless = json!({ "type": "function_call", "call_id": "c", "name": "", "arguments": "{}" });
    let output = json!({ "type": "function_call_output", "call_id": "c", "output": "unknown tool" });
    let hosted = json!({ "type": "web_search_call", "id": "ws_1", "action": { "query": "herons" } });
    let items = json!([nameless, output, hosted]);
    let tools = json!([{ "type": "web_search" }]);
    let (body, _) = rewritten(&json!({ "input": items, "tools": tools }), &Profile::OPENAI).expect("passes");
    assert_eq!((&body["tools"], &body["input"][1]), (&tools, &hosted), "hosted tools stay");
    assert!(
        body["input"][0]["content"][0]["text"].as_str().is_some_and(|text| text.ends_with("unknown tool"))
    );
    assert!(rewritten(&json!({ "input": items }), &Profile::PLAIN).is_none(), "a foreign server gets words");
    let plain = Profile { plain_items: true, ..Profile::OPENAI };
    let (body, _) = rewritten(&json!({ "input": [hosted] }), &plain).expect("passes");
    assert_eq!(body["input"][0]["content"][0]["text"], "(an item of type `web_search_call`)\nquery: herons");
    let foreign = json!({ "type": "message", "id": "it_0", "role": "assistant", "content": [] });
    let own = json!({ "type": "message", "id": "msg_0", "role": "assistant", "content": [] });
    let (body, _) = rewritten(&json!({ "input": [foreign, own] }), &Profile::OPENAI).expect("passes");
    assert_eq!((body["input"][0].get("id"), &body["input"][1]["id"]), (None, &json!("msg_0")));
}

#[test]
fn what_a_foreign_server_does_not_know_of_tools_is_translated() {
    for tool in [
        json!({ "type": "tool_search" }),
        json!({ "type": "local_shell" }),
        json!({ "type": "function", "name": "f", "defer_loading": true }),
    ] {
        let body = json!({ "input": "x", "tools": [tool], "tool_choice": {} });
        assert!(rewritten(&body, &Profile::PLAIN).is_none(), "{body}");
        let (sent, _) = rewritten(&body, &Profile::OPENAI).expect("passes");
        assert_eq!((&sent["tools"], sent.get("tool_choice")), (&body["tools"], None));
    }
}

#[test]
fn the_chatgpt_backend_gets_what_it_insists_on() {
    let body = json!({
        "model": "x", "input": "hello", "store": true, "temperature": 1, "user": "u", "service_tier": "auto",
        "include": ["web_search_call.action.sources"],
    });
    let (body, notes) = rewritten(&body, &Profile::CHATGPT).expect("passes");
    assert_eq!(
        body,
        json!({
            "model": "gpt-5.5", "stream": true, "store": false,
            "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "hello" }] }],
            "include": ["web_search_call.action.sources", "reasoning.encrypted_content"],
            "instructions": "",
        })
    );
    assert_eq!(notes.len(), 2);
    let (body, _) = rewritten(&json!({ "input": [{ "role": "system", "content": "s" }] }), &Profile::CHATGPT)
        .expect("passes");
    assert_eq!(body["input"][0]["role"], "developer");
}

#[test]
fn tools_that_the_answer_must_undo_are_translated() {
    for tool in
        [json!({ "type": "custom", "name": "x" }), json!({ "type": "namespace", "name": "n", "tools": [] })]
    {
        assert!(rewritten(&json!({ "input": "x", "tools": [tool] }), &Profile::PLAIN).is_none());
    }
    let tools = json!([{ "type": "web_search" }, { "type": "function", "name": "f" }]);
    let (body, notes) = rewritten(&json!({ "input": "x", "tools": tools }), &Profile::PLAIN).expect("passes");
    assert_eq!(body["tools"], json!([{ "type": "function", "name": "f" }]));
    assert_eq!(notes.len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_body_is_rewritten_or_left(text in "[\\[\\]{}:,\"a1 ]{0,60}", input in "[\\[\\]{}:,\"a1 ]{0,30}") {
        for body in [text.clone(), format!("{{\"input\":{input}}}")] {
            let owner = StateOwner::new("o", "m");
            if let Some(rewritten) = rewrite(body.as_bytes(), "m", &Profile::CHATGPT, &owner, &SealKey::default()) {
                proptest::prop_assert!(serde_json::from_slice::<Value>(&rewritten.body).is_ok());
            }
        }
    }
}
