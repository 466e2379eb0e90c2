//! Turns to Gemini requests: what goes back of signatures, what becomes of broken histories, and the rules every body obeys.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_adapters::gemini::request::{Takes, Written, with_exchange, write};
use latimer_adapters::learn::{Lesson, Lessons};
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Format, Image, Item, Message, Opaque, Owner, Reasoning, ReasoningItem, Role,
    Tool, ToolChoice, TurnRequest,
};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const NATIVE: Takes = Takes { urls: true, token_limit: true, edit_nudge: false };
const ANTIGRAVITY: Takes = Takes { urls: false, token_limit: false, edit_nudge: false };
const GEMINI: &str = "gemini-3-flash";

fn said(role: Role, text: &str) -> Item {
    Item::Message(Message { role, content: vec![Content::Text(text.into())] })
}

fn user(text: &str) -> Item {
    said(Role::User, text)
}

fn model(text: &str) -> Item {
    said(Role::Assistant, text)
}

fn call(id: &str, arguments: &str) -> Item {
    Item::Call(Call { id: CallId::from(id), name: "exec".into(), arguments: arguments.into() })
}

fn output(id: &str, text: &str) -> Item {
    Item::Output(CallOutput { id: CallId::from(id), content: vec![Content::Text(text.into())] })
}

/// State of this owner on a part of this kind.
fn state_of(owner: &str, on: &str, signature: &str) -> Item {
    let data = json!({ "on": on, "signature": signature }).to_string();
    let opaque = Some(Opaque { owner: Owner::new("lab", owner), data });
    Item::Reasoning(ReasoningItem { text: "thoughts never go back".into(), opaque })
}

fn state(on: &str, signature: &str) -> Item {
    state_of(GEMINI, on, signature)
}

fn turn(items: Vec<Item>) -> TurnRequest {
    TurnRequest { model: GEMINI.into(), items, ..TurnRequest::default() }
}

fn written(turn: &TurnRequest, takes: Takes, lessons: &Lessons) -> (Value, Written) {
    let written = write(turn, &turn.model, takes, &Owner::new("lab", &turn.model), lessons);
    (serde_json::from_slice(&written.body).expect("JSON"), written)
}

fn body(turn: &TurnRequest, takes: Takes) -> Value {
    written(turn, takes, &Lessons::default()).0
}

/// One word a part: `u"text"`, `m"text"~signature`, `call(id)~signature`, `out(id)response`.
fn shown(body: &Value) -> String {
    let contents = body["contents"].as_array().expect("contents").iter();
    let part = |part: &Value| {
        let what = if let Some(call) = part.get("functionCall") {
            format!(
                "{}({} {})",
                call["name"].as_str().expect("a name"),
                call["id"].as_str().expect("an id"),
                call["args"]
            )
        } else if let Some(response) = part.get("functionResponse") {
            format!(
                "->({} {} {})",
                response["name"].as_str().expect("a name"),
                response["id"].as_str().expect("an id"),
                response["response"]
            )
        } else if let Some(data) = part.get("inlineData") {
            format!("<{}>", data["mimeType"].as_str().expect("a type"))
        } else if let Some(data) = part.get("fileData") {
            format!(
                "<{} {}>",
                data["mimeType"].as_str().expect("a type"),
                data["fileUri"].as_str().expect("a URL")
            )
        } else {
            part["text"].to_string()
        };
        let signature = match part.get("thoughtSignature").and_then(Value::as_str) {
            Some("skip_thought_signature_validator") => "~skip".to_owned(),
            Some(signature) => format!("~{signature}"),
            None => String::new(),
        };
        format!("{what}{signature}")
    };
    let content = |content: &Value| {
        let parts = content["parts"].as_array().expect("parts").iter().map(part).collect::<Vec<_>>();
        format!("{}: {}", content["role"].as_str().expect("a role"), parts.join(" "))
    };
    contents.map(content).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn becomes(items: Vec<Item>, want: &[&str]) {
    assert_eq!(shown(&body(&turn(items), NATIVE)), want.join("\n"));
}

#[test]
fn a_signature_goes_back_on_the_call_it_came_with() {
    becomes(
        vec![
            user("go"),
            state("call", "A"),
            call("1", "{}"),
            state("call", "B"),
            call("2", "{}"),
            output("1", "x"),
            output("2", "y"),
        ],
        &[
            r#"user: "go""#,
            "model: exec(1 {})~A exec(2 {})~B",
            r#"user: ->(exec 1 {"result":"x"}) ->(exec 2 {"result":"y"})"#,
        ],
    );
    becomes(
        vec![
            user("go"),
            state("call", "A"),
            call("1", "{}"),
            call("2", "{}"),
            output("1", "x"),
            output("2", "y"),
        ],
        &[
            r#"user: "go""#,
            "model: exec(1 {})~A exec(2 {})",
            r#"user: ->(exec 1 {"result":"x"}) ->(exec 2 {"result":"y"})"#,
        ],
    );
}

#[test]
fn a_signature_goes_back_on_the_words_it_came_with_or_behind_them() {
    becomes(
        vec![user("go"), model("a"), state("text", "A"), model("b"), state("nothing", "B"), user("on")],
        &[r#"user: "go""#, r#"model: "a"~A "b" ""~B"#, r#"user: "on""#],
    );
    becomes(
        vec![user("go"), model("a"), state("text", "A"), state("text", "B"), user("on")],
        &[r#"user: "go""#, r#"model: "a"~A ""~B"#, r#"user: "on""#],
    );
}

#[test]
fn a_signature_whose_part_is_gone_does_not_go_to_another() {
    // The words it came with were behind the call; they stand behind its output now.
    becomes(
        vec![user("go"), call("1", "{}"), state("nothing", "A"), output("1", "x")],
        &[r#"user: "go""#, "model: exec(1 {})~skip", r#"user: ->(exec 1 {"result":"x"})"#],
    );
    // The call it came with was taken out of the history.
    becomes(
        vec![user("go"), state("call", "A"), output("gone", "x"), call("1", "{}"), output("1", "y")],
        &[
            r#"user: "go" "Output of an earlier tool call that is no longer part of this conversation:\nx""#,
            "model: exec(1 {})~skip",
            r#"user: ->(exec 1 {"result":"y"})"#,
        ],
    );
    becomes(
        vec![user("go"), state("call", "A"), user("wait"), call("1", "{}"), output("1", "y")],
        &[r#"user: "go" "wait""#, "model: exec(1 {})~skip", r#"user: ->(exec 1 {"result":"y"})"#],
    );
}

#[test]
fn foreign_signatures_stay_here() {
    let items = vec![user("go"), state_of("gemini-2.5-pro", "call", "F"), call("1", "{}"), output("1", "x")];
    let (body, written) = written(&turn(items), NATIVE, &Lessons::default());
    assert!(shown(&body).contains("exec(1 {})~skip"), "{}", shown(&body));
    assert!(
        written.notes.iter().any(|note| note.contains("another model or provider")),
        "{:?}",
        written.notes
    );
}

#[test]
fn refused_signatures_are_replaced_on_every_call() {
    let items = || {
        vec![
            user("go"),
            model("a"),
            state("text", "T"),
            state("call", "A"),
            call("1", "{}"),
            call("2", "{}"),
            output("1", "x"),
            output("2", "y"),
        ]
    };
    let lessons = Lessons::new([Lesson::NoSignatures]);
    for name in [GEMINI, "gemini-2.5-pro", "a-name-of-our-own"] {
        let turn = TurnRequest { model: name.into(), ..turn(items()) };
        let (body, written) = written(&turn, NATIVE, &lessons);
        let line = shown(&body).lines().nth(1).expect("the model's turn").to_owned();
        assert_eq!(line, r#"model: "a" exec(1 {})~skip exec(2 {})~skip"#, "{name}");
        assert!(written.features.has(Lesson::NoSignatures));
    }
    let claude = TurnRequest { model: "claude-sonnet-4-6".into(), ..turn(items()) };
    let (body, _) = written(&claude, ANTIGRAVITY, &lessons);
    assert!(!body.to_string().contains("thoughtSignature"), "a Claude has signatures of its own kind");
}

#[test]
fn only_new_models_want_a_signature() {
    for (name, wants) in [(GEMINI, true), ("gemini-2.5-pro", false), ("claude-sonnet-4-6", false)] {
        let turn =
            TurnRequest { model: name.into(), ..turn(vec![user("go"), call("1", "{}"), output("1", "x")]) };
        assert_eq!(shown(&body(&turn, ANTIGRAVITY)).contains("~skip"), wants, "{name}");
    }
}

#[test]
fn broken_histories_become_whole() {
    // Arguments of every kind.
    becomes(
        vec![
            user("go"),
            call("1", "[1]"),
            call("2", "{\"a\":"),
            call("3", ""),
            call("4", r#"{"a":"\ud800"}"#),
        ],
        &[
            r#"user: "go""#,
            r#"model: exec(1 {"value":[1]})~skip exec(2 {"invalid_arguments":"{\"a\":"}) exec(3 {}) exec(4 {"invalid_arguments":"{\"a\":\"\\ud800\"}"})"#,
            r#"user: ->(exec 1 {"error":"no output was recorded"}) ->(exec 2 {"error":"no output was recorded"}) ->(exec 3 {"error":"no output was recorded"}) ->(exec 4 {"error":"no output was recorded"})"#,
        ],
    );
    // Outputs are objects; half a character is text.
    becomes(
        vec![
            user("go"),
            call("1", "{}"),
            output("1", r#"{"ok":true}"#),
            call("2", "{}"),
            output("2", r#"{"x":"\ud800"}"#),
        ],
        &[
            r#"user: "go""#,
            "model: exec(1 {})~skip",
            r#"user: ->(exec 1 {"ok":true})"#,
            "model: exec(2 {})~skip",
            r#"user: ->(exec 2 {"result":"{\"x\":\"\\ud800\"}"})"#,
        ],
    );
    // Nobody speaks first, and the model speaks last.
    becomes(
        vec![model("hi")],
        &[r#"user: "(the conversation so far)""#, r#"model: "hi""#, r#"user: "Please continue.""#],
    );
    becomes(vec![], &[r#"user: "(the conversation so far)""#]);
    // What the person says between a call and its output comes behind the output.
    becomes(
        vec![user("go"), call("1", "{}"), user("hurry"), output("1", "x")],
        &[r#"user: "go""#, "model: exec(1 {})~skip", r#"user: ->(exec 1 {"result":"x"}) "hurry""#],
    );
}

#[test]
fn names_of_tools_that_are_not_declared_any_more_are_made_to_fit() {
    let named =
        |name: &str| Item::Call(Call { id: CallId::from("1"), name: name.into(), arguments: "{}".into() });
    for (name, want) in [("a b!", "a_b_"), ("", "_"), ("7z", "_7z"), ("mcp.x:y-z", "mcp.x:y-z")] {
        let body = body(&turn(vec![user("go"), named(name), output("1", "x")]), NATIVE);
        assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["name"], want);
        assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["name"], want);
    }
}

fn picture(url: &str) -> Content {
    Content::Image(Image { url: url.into(), detail: None })
}

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
    let blind = Lessons::new([Lesson::NoImages]);
    let (body, written) = written(&asked(content()), NATIVE, &blind);
    assert_eq!(shown(&body), format!("user: {}", [NOT_SEEN; 6].join(" ")));
    assert!(!written.features.has(Lesson::NoImages) && written.notes.len() == 6);
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

fn tool(name: &str, schema: Value) -> Tool {
    let parameters = Some(RawValue::from_string(schema.to_string()).expect("JSON"));
    Tool { name: name.into(), description: Some("d".into()), parameters, strict: Some(true) }
}

#[test]
fn tools_of_a_claude_have_a_required_property() {
    let tools = vec![
        tool("none", json!({ "type": "object", "properties": {} })),
        tool("optional", json!({ "type": "object", "properties": { "a": { "type": "string" } } })),
        tool(
            "required",
            json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] }),
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
        tools: vec![tool("a b", json!({}))],
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
    let lessons = Lessons::new([Lesson::NoTools]);
    let (body, _) = written(&asked(ToolChoice::Required), NATIVE, &lessons);
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
            tools: if with_tools { vec![tool("t", json!({}))] } else { Vec::new() },
            ..turn(vec![user("go")])
        };
        let (body, written) = written(&turn, takes, &Lessons::default());
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
        let takes = Takes { edit_nudge, ..NATIVE };
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
    let more = with_exchange(body.to_string().as_bytes(), "half an ans", "go on").expect("a body");
    let more: Value = serde_json::from_slice(&more).expect("JSON");
    let (before, after) = (shown(&body), shown(&more));
    assert_eq!(after, format!("{before}\nmodel: \"half an ans\"\nuser: \"go on\""));
    for broken in ["", "{}", r#"{"contents":7}"#] {
        assert_eq!(with_exchange(broken.as_bytes(), "a", "b"), None);
    }
}

fn any_item() -> impl Strategy<Value = Item> {
    let id = "[123]";
    prop_oneof![
        "[a-z]{0,3}".prop_map(|text| user(&text)),
        "[a-z]{0,3}".prop_map(|text| model(&text)),
        Just(said(Role::System, "s")),
        (id, "(|7|\\{\\}|\\{\"a\":|\\{\"a\":\"\\\\\\\\ud8\"\\}|\\[\\])")
            .prop_map(|(id, args)| call(&id, &args)),
        (id, "(|x|\\{\\}|\\{\"a\"|null)").prop_map(|(id, text)| output(&id, &text)),
        ("(call|text|nothing|new)", "[A-Z]").prop_map(|(on, signature)| state(&on, &signature)),
        Just(state_of("other", "call", "F")),
        Just(Item::Reasoning(ReasoningItem {
            text: "t".into(),
            opaque: Some(Opaque { owner: Owner::new("lab", GEMINI), data: "{".into() })
        })),
        Just(Item::Message(Message { role: Role::User, content: vec![picture("data:image/png;base64,AA")] })),
    ]
}

/// What the provider would refuse.
fn fault(body: &Value) -> Option<String> {
    let mut open: Vec<Value> = Vec::new();
    let mut role = "model";
    for content in body["contents"].as_array()? {
        if content["role"] == role {
            return Some("roles do not alternate".into());
        }
        role = content["role"].as_str()?;
        let parts = content["parts"].as_array()?;
        let key = |of: &Value| json!([of["id"], of["name"]]);
        let answered: Vec<Value> =
            parts.iter().filter_map(|part| part.get("functionResponse")).map(key).collect();
        let first = parts.iter().take_while(|part| part.get("functionResponse").is_some()).count();
        if answered != open || first != answered.len() {
            return Some(format!("calls {open:?} are answered by {answered:?}"));
        }
        open = parts.iter().filter_map(|part| part.get("functionCall")).map(key).collect();
        let mut calls = parts.iter().filter(|part| part.get("functionCall").is_some()).peekable();
        if calls.peek().is_some_and(|first| !first["thoughtSignature"].is_string()) {
            return Some("the first call is not signed".into());
        }
        if !calls.all(|part| part["functionCall"]["args"].is_object()) {
            return Some("arguments are no object".into());
        }
        if parts.is_empty()
            || parts.iter().any(|part| part["text"] == "" && part.get("thoughtSignature").is_none())
        {
            return Some("nothing is said".into());
        }
        if parts.iter().any(|part| part.get("functionResponse").is_some_and(|of| !of["response"].is_object()))
        {
            return Some("a response is no object".into());
        }
    }
    (role != "user" || !open.is_empty()).then(|| "the person does not speak last".into())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_makes_a_body_that_is_taken(items in prop::collection::vec(any_item(), 0..14)) {
        let (body, _) = written(&turn(items), NATIVE, &Lessons::default());
        prop_assert_eq!(fault(&body), None, "{}", shown(&body));
        prop_assert!(!body.to_string().contains("~F"));
    }

    #[test]
    fn each_signature_goes_back_at_most_once(items in prop::collection::vec(any_item(), 0..14)) {
        let sent = |items: &[Item]| items.iter().filter(|item| matches!(item, Item::Reasoning(_))).count();
        let (body, _) = written(&turn(items.clone()), NATIVE, &Lessons::default());
        let parts = body["contents"].as_array().into_iter().flatten().flat_map(|content| content["parts"].as_array()).flatten();
        let own = parts.filter_map(|part| part["thoughtSignature"].as_str()).filter(|signature| signature.len() == 1);
        prop_assert!(own.count() <= sent(&items));
    }
}
