//! Turns made by hand, and their bodies made readable.
#![allow(dead_code, reason = "each test file uses its part")]

use latimer_adapters::gemini::request::{FlavourLimits, write};
use latimer_adapters::limitation::Limitations;
use latimer_adapters::prepared_request::EncodedRequest;
use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Image, Item, Message, OpaqueState, ReasoningItem, Role, StateOwner,
    TurnRequest,
};
use serde_json::{Value, json};

/// With a key.
pub(crate) const NATIVE: FlavourLimits = FlavourLimits { urls: true, token_limit: true, edit_nudge: false };
/// With the login of Antigravity.
pub(crate) const ANTIGRAVITY: FlavourLimits =
    FlavourLimits { urls: false, token_limit: false, edit_nudge: false };
/// A model that wants signatures.
pub(crate) const GEMINI: &str = "gemini-3-flash";

/// Words of somebody.
pub(crate) fn said(role: Role, text: &str) -> Item {
    Item::Message(Message { role, content: vec![Content::Text(text.into())] })
}

/// Words of the person.
pub(crate) fn user(text: &str) -> Item {
    said(Role::User, text)
}

/// Words of the model.
pub(crate) fn model(text: &str) -> Item {
    said(Role::Assistant, text)
}

/// A call of `exec`.
pub(crate) fn call(id: &str, arguments: &str) -> Item {
    Item::Call(Call { id: CallId::from(id), name: "exec".into(), arguments: arguments.into() })
}

/// What it answered.
pub(crate) fn output(id: &str, text: &str) -> Item {
    Item::Output(CallOutput { id: CallId::from(id), content: vec![Content::Text(text.into())] })
}

/// State of this owner on a part of this kind.
pub(crate) fn state_of(owner: &str, on: &str, signature: &str) -> Item {
    let data = json!({ "on": on, "signature": signature }).to_string();
    let opaque = Some(OpaqueState { owner: StateOwner::new("lab", owner), data });
    Item::Reasoning(ReasoningItem { text: "thoughts never go back".into(), opaque })
}

/// State of our own.
pub(crate) fn state(on: &str, signature: &str) -> Item {
    state_of(GEMINI, on, signature)
}

/// A turn of these items.
pub(crate) fn turn(items: Vec<Item>) -> TurnRequest {
    TurnRequest { model: GEMINI.into(), items, ..TurnRequest::default() }
}

/// The body, and what was noted about it.
pub(crate) fn written(
    turn: &TurnRequest,
    takes: FlavourLimits,
    limitations: &Limitations,
) -> (Value, EncodedRequest) {
    let written = write(turn, &turn.model, takes, &StateOwner::new("lab", &turn.model), limitations);
    (serde_json::from_slice(&written.body).expect("JSON"), written)
}

/// The body alone.
pub(crate) fn body(turn: &TurnRequest, takes: FlavourLimits) -> Value {
    written(turn, takes, &Limitations::default()).0
}

/// One word a part: `u"text"`, `m"text"~signature`, `call(id)~signature`, `out(id)response`.
pub(crate) fn shown(body: &Value) -> String {
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

/// What a history looks like on the wire.
#[track_caller]
pub(crate) fn becomes(items: Vec<Item>, want: &[&str]) {
    assert_eq!(shown(&body(&turn(items), NATIVE)), want.join("\n"));
}

/// A picture at this URL.
pub(crate) fn picture(url: &str) -> Content {
    Content::Image(Image { url: url.into(), detail: None })
}
