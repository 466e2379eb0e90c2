//! What else of a turn goes into a Gemini request: pictures, tools, the shape of the answer, how to think.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod gemini_turns;

use gemini_turns::{
    ANTIGRAVITY, GEMINI, NATIVE, becomes, body, call, output, picture, said, shown, turn, user, written,
};
use latimer_adapters::gemini::request::FlavourLimits;
use latimer_adapters::limitation::{Limitation, Limitations};
use latimer_adapters::prepared_request::{EncodedRequest, WireProtocol};
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    CallOutput, Content, Format, Item, Message, Reasoning, Role, StateOwner, Tool, ToolChoice, TurnRequest,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[test]
fn pictures_and_files() {
    let content = || {
        vec![
            picture("data:image/png;base64,AA"),
            Content::File { name: None, data_url: "data:application/pdf;base64,AA".into() },
            picture("https://x.test/a.webp?b=c.png"),
            picture("https://x.test/a"),
            picture("data:;base64,AA"),
            picture("data:image/svg+xml,<svg/>"),
        ]
    };
    let asked = |content| turn(vec![Item::Message(Message { role: Role::User, content })]);
    const NOT_SEEN: &str = "\"(an image or a file stood here; this model does not see such things)\"";
    let native = format!(
        "user: <image/png> <application/pdf> <image/webp https://x.test/a.webp?b=c.png> <image/jpeg https://x.test/a> {NOT_SEEN} {NOT_SEEN}"
    );
    assert_eq!(shown(&body(&asked(content()), NATIVE)), native);
    let login = format!("user: <image/png> <application/pdf> {NOT_SEEN} {NOT_SEEN} {NOT_SEEN} {NOT_SEEN}");
    assert_eq!(shown(&body(&asked(content()), ANTIGRAVITY)), login, "a login fetches nothing");
    let blind = Limitations::new([Limitation::NoImages]);
    let (body, written) = written(&asked(content()), NATIVE, &blind);
    assert_eq!(shown(&body), format!("user: {}", [NOT_SEEN; 6].join(" ")));
    assert!(!written.features.has(Limitation::NoImages) && written.notes.len() == 6);
}

#[test]
fn pictures_of_outputs_follow_all_outputs() {
    let seen = |id: &str| {
        let content = vec![Content::Text("seen".into()), picture("data:image/png;base64,AA")];
        Item::Output(CallOutput { id: CallId::from(id), content })
    };
    becomes(
        vec![user("go"), call("1", "{}"), call("2", "{}"), seen("1"), output("2", "y"), user("and?")],
        &[
            r#"user: "go""#,
            "model: exec(1 {})~skip exec(2 {})",
            r#"user: ->(exec 1 {"result":"seen"}) ->(exec 2 {"result":"y"}) <image/png> "and?""#,
        ],
    );
}

fn tool(name: &str, schema: &Value) -> Tool {
    let parameters = Some(RawValue::from_string(schema.to_string()).expect("JSON"));
    Tool { name: name.into(), description: Some("d".into()), parameters, strict: Some(true) }
}

#[test]
fn tools_of_a_claude_have_a_required_property() {
    let tools = vec![
        tool("none", &json!({ "type": "object", "properties": {} })),
        tool("optional", &json!({ "type": "object", "properties": { "a": { "type": "string" } } })),
        tool(
            "required",
            &json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] }),
        ),
    ];
    let asked =
        |name: &str| TurnRequest { model: name.into(), tools: tools.clone(), ..turn(vec![user("go")]) };
    let required = |body: &Value| {
        let functions = body["tools"][0]["functionDeclarations"].as_array().expect("functions").clone();
        functions.iter().map(|function| function["parameters"]["required"].clone()).collect::<Vec<_>>()
    };
    let claude = body(&asked("claude-sonnet-4-6"), ANTIGRAVITY);
    assert_eq!(required(&claude), [json!(["_"]), json!(["_"]), json!(["a"])]);
    assert_eq!(claude["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    assert_eq!(claude["generationConfig"]["maxOutputTokens"], 64_000);
    let gemini = body(&asked(GEMINI), ANTIGRAVITY);
    assert_eq!(required(&gemini), [json!(null), json!(null), json!(["a"])]);
    assert_eq!((&gemini["toolConfig"], &gemini["generationConfig"]), (&json!(null), &json!(null)));
}

#[test]
fn what_must_be_called() {
    let asked = |tool_choice| TurnRequest {
        tools: vec![tool("a b", &json!({}))],
        tool_choice,
        ..turn(vec![user("go")])
    };
    let cases = [
        (ToolChoice::Auto, json!(null)),
        (ToolChoice::None, json!({ "mode": "NONE" })),
        (ToolChoice::Required, json!({ "mode": "ANY" })),
        (ToolChoice::Function("a b".into()), json!({ "mode": "ANY", "allowedFunctionNames": ["a_b_0"] })),
        (ToolChoice::Function("gone".into()), json!(null)),
    ];
    for (choice, want) in cases {
        assert_eq!(
            body(&asked(choice.clone()), NATIVE)["toolConfig"]["functionCallingConfig"],
            want,
            "{choice:?}"
        );
    }
    let limitations = Limitations::new([Limitation::NoTools]);
    let (body, _) = written(&asked(ToolChoice::Required), NATIVE, &limitations);
    assert_eq!((&body["tools"], &body["toolConfig"]), (&json!(null), &json!(null)));
}

#[test]
fn the_shape_of_the_answer() {
    let schema = RawValue::from_string(r#"{"type":"object"}"#.into()).expect("JSON");
    let format = Format::JsonSchema { name: "x".into(), description: None, schema, strict: None };
    // Model, flavour, with tools, and whether the schema goes out as one.
    let cases = [
        (GEMINI, NATIVE, true, true),
        ("gemini-2.5-pro", NATIVE, false, true),
        ("gemini-2.5-pro", NATIVE, true, false),
        (GEMINI, ANTIGRAVITY, false, false),
        ("claude-sonnet-4-6", ANTIGRAVITY, false, false),
    ];
    for (name, takes, with_tools, as_schema) in cases {
        let turn = TurnRequest {
            model: name.into(),
            format: format.clone(),
            tools: if with_tools { vec![tool("t", &json!({}))] } else { Vec::new() },
            ..turn(vec![user("go")])
        };
        let (body, written) = written(&turn, takes, &Limitations::default());
        let config = &body["generationConfig"];
        assert_eq!(config["responseJsonSchema"].is_object(), as_schema, "{name} {with_tools}");
        assert_eq!(config["responseMimeType"].is_string(), as_schema, "{name} {with_tools}");
        let in_words = body["systemInstruction"].to_string().contains("JSON Schema");
        assert_eq!((in_words, written.notes.is_empty()), (!as_schema, as_schema), "{name} {with_tools}");
    }
}

#[test]
fn what_antigravity_wants_otherwise() {
    let asked = TurnRequest {
        reasoning: Reasoning { effort: Some("low".into()) },
        max_output_tokens: Some(100),
        ..turn(vec![said(Role::System, "rules"), said(Role::System, ""), user("go")])
    };
    let native = body(&asked, NATIVE);
    assert_eq!(native["systemInstruction"], json!({ "parts": [{ "text": "rules" }] }));
    assert_eq!(
        native["generationConfig"],
        json!({ "maxOutputTokens": 100, "thinkingConfig": { "includeThoughts": true, "thinkingLevel": "low" } })
    );
    let antigravity = body(&asked, ANTIGRAVITY);
    assert_eq!(antigravity["systemInstruction"], json!({ "role": "user", "parts": [{ "text": "rules" }] }));
    assert_eq!(
        antigravity["generationConfig"],
        json!({ "thinkingConfig": { "includeThoughts": true, "thinkingBudget": 2048 } })
    );
    let thinking = TurnRequest { model: "claude-opus-4-6-thinking".into(), ..asked };
    assert_eq!(
        body(&thinking, ANTIGRAVITY)["generationConfig"],
        json!({ "maxOutputTokens": 64_000, "thinkingConfig": { "include_thoughts": true, "thinking_budget": 8192 } }),
        "the answer needs room behind the thoughts"
    );
}

#[test]
fn the_nudge_is_for_edits_and_for_the_system_text() {
    let nudged = |text: &str, edit_nudge| {
        let takes = FlavourLimits { edit_nudge, ..NATIVE };
        body(&turn(vec![user(text)]), takes)["systemInstruction"].to_string().contains("with the tools")
    };
    assert!(nudged("Please fix the test", true));
    assert!(!nudged("What is a prefix?", true) && !nudged("Please fix the test", false));
}

#[test]
fn an_exchange_goes_to_the_end() {
    let body = body(
        &turn(vec![user("\"contents\":[1]"), call("1", r#"{"contents":[2]}"#), output("1", "x")]),
        NATIVE,
    );
    let with_exchange = |body: &str, assistant: &str, user: &str| {
        let encoded = EncodedRequest { body: body.into(), ..EncodedRequest::default() };
        encoded.prepare(WireProtocol::Gemini, "m", StateOwner::default()).with_exchange(assistant, user)
    };
    let more = with_exchange(&body.to_string(), "half an ans", "go on").expect("a body");
    let more: Value = serde_json::from_slice(&more.body).expect("JSON");
    let (before, after) = (shown(&body), shown(&more));
    assert_eq!(after, format!("{before}\nmodel: \"half an ans\"\nuser: \"go on\""));
    for broken in ["", "{}", r#"{"contents":7}"#] {
        assert!(with_exchange(broken, "a", "b").is_none(), "{broken}");
    }
}
