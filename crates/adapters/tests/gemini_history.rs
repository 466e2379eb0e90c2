//! Histories to Gemini requests: what goes back of signatures, what becomes of broken ones, and the rules every body obeys.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod gemini_turns;

use gemini_turns::{
    ANTIGRAVITY, GEMINI, NATIVE, becomes, body, call, model, output, picture, said, shown, state, state_of,
    turn, user, written,
};
use latimer_adapters::limitation::{Limitation, Limitations};
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, Item, Message, OpaqueState, ReasoningItem, Role, StateOwner, TurnRequest,
};
use proptest::prelude::*;
use serde_json::{Value, json};

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
    let (body, written) = written(&turn(items), NATIVE, &Limitations::default());
    assert!(shown(&body).contains("exec(1 {})~skip"), "{}", shown(&body));
    assert!(
        written.notes.iter().any(|note| note.to_string().contains("another model or provider")),
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
    let limitations = Limitations::new([Limitation::NoSignatures]);
    for name in [GEMINI, "gemini-2.5-pro", "a-name-of-our-own"] {
        let turn = TurnRequest { model: name.into(), ..turn(items()) };
        let (body, written) = written(&turn, NATIVE, &limitations);
        let line = shown(&body).lines().nth(1).expect("the model's turn").to_owned();
        assert_eq!(line, r#"model: "a" exec(1 {})~skip exec(2 {})~skip"#, "{name}");
        assert!(written.features.has(Limitation::NoSignatures));
    }
    let claude = TurnRequest { model: "claude-sonnet-4-6".into(), ..turn(items()) };
    let (body, _) = written(&claude, ANTIGRAVITY, &limitations);
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
            r#"model: exec(1 {"value":[1]})~skip exec(2 {"invalid_arguments":"{\"a\":"}) exec(3 {}) exec(4 {"a":"�"})"#,
            r#"user: ->(exec 1 {"error":"no output was recorded"}) ->(exec 2 {"error":"no output was recorded"}) ->(exec 3 {"error":"no output was recorded"}) ->(exec 4 {"error":"no output was recorded"})"#,
        ],
    );
    // Outputs go as text, also those that are JSON: its keys may be refused.
    becomes(
        vec![
            user("go"),
            call("1", "{}"),
            output("1", r##"{"a":{"$ref":"#/defs/x"}}"##),
            call("2", "{}"),
            output("2", r#"{"x":"\ud800"}"#),
        ],
        &[
            r#"user: "go""#,
            "model: exec(1 {})~skip",
            r##"user: ->(exec 1 {"result":"{\"a\":{\"$ref\":\"#/defs/x\"}}"})"##,
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
    for (name, want) in [("a b!", "a_b_"), ("7z", "_7z"), ("mcp.x:y-z", "mcp.x:y-z")] {
        let body = body(&turn(vec![user("go"), named(name), output("1", "x")]), NATIVE);
        assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["name"], want);
        assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["name"], want);
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
            opaque: Some(OpaqueState { owner: StateOwner::new("lab", GEMINI), data: "{".into() })
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
        let (body, _) = written(&turn(items), NATIVE, &Limitations::default());
        prop_assert_eq!(fault(&body), None, "{}", shown(&body));
        prop_assert!(!body.to_string().contains("~F"));
    }

    #[test]
    fn each_signature_goes_back_at_most_once(items in prop::collection::vec(any_item(), 0..14)) {
        let sent = |items: &[Item]| items.iter().filter(|item| matches!(item, Item::Reasoning(_))).count();
        let (body, _) = written(&turn(items.clone()), NATIVE, &Limitations::default());
        let contents = body["contents"].as_array().into_iter().flatten();
        let parts = contents.filter_map(|content| content["parts"].as_array()).flatten();
        let own = parts.filter_map(|part| part["thoughtSignature"].as_str()).filter(|signature| signature.len() == 1);
        prop_assert!(own.count() <= sent(&items));
    }
}
