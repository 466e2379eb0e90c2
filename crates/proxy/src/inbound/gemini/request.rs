//! `POST /v1beta/models/{model}:generateContent` and its kin, read into a turn. Pure.
//!
//! Names are taken in both spellings, `systemInstruction` and `system_instruction`. What nobody knows is passed over; what has no
//! equal is lowered or left out with a note; what would change the answer's meaning is refused, and the error names the field.

use latimer_protocol::turn::{Content, Item, Message, Role, Seal, TurnRequest};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::config::{self, Generation};
use super::contents::{self, Items};
use super::error::BadRequest;
use super::names::Names;
use super::read::{At, field, given, list, wrong_type};
use super::tools;
use crate::inbound::tokens;

/// A request, understood.
#[derive(Debug)]
pub struct Parsed {
    /// What is asked; the model is still as the client wrote it.
    pub turn: TurnRequest,
    /// What was lowered or dropped, for the log.
    pub notes: Vec<String>,
    /// The functions' names, for the way back.
    pub names: Names,
    /// The client wants to see the thoughts.
    pub thoughts: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
}

/// The body's fields, untouched.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow, alias = "system_instruction")]
    system_instruction: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, alias = "tool_config")]
    tool_config: Option<&'a RawValue>,
    #[serde(borrow, alias = "generation_config")]
    generation_config: Option<&'a RawValue>,
    #[serde(borrow, alias = "safety_settings")]
    safety_settings: Option<&'a RawValue>,
    #[serde(borrow, alias = "cached_content")]
    cached_content: Option<&'a RawValue>,
    #[serde(borrow, alias = "generate_content_request")]
    generate_content_request: Option<&'a RawValue>,
}

/// Reads a body of `:generateContent` or `:streamGenerateContent`. `model` is the name in the path, with or without `models/` in
/// front; the seal opens the carriers of provider state that latimer made.
pub fn read(model: &str, body: &[u8], seal: &Seal) -> Result<Parsed, BadRequest> {
    let wire: Body<'_> = serde_json::from_slice(body).map_err(|error| bad_json(body, &error))?;
    read_body(model, &wire, seal)
}

/// Reads a body of `:countTokens`, which holds contents alone or a whole request.
pub fn read_count(model: &str, body: &[u8], seal: &Seal) -> Result<Parsed, BadRequest> {
    let wire: Body<'_> = serde_json::from_slice(body).map_err(|error| bad_json(body, &error))?;
    match given(wire.generate_content_request) {
        Some(inner) => {
            let at = At::root("generateContentRequest");
            let inner: Body<'_> =
                serde_json::from_str(inner.get()).map_err(|_| wrong_type(inner, &at, "an object"))?;
            read_body(model, &inner, seal)
        }
        None => read_body(model, &wire, seal),
    }
}

/// The answer of `:countTokens`.
pub fn count_answer(parsed: &Parsed) -> String {
    serde_json::json!({ "totalTokens": parsed.input_tokens }).to_string()
}

fn read_body(model: &str, wire: &Body<'_>, seal: &Seal) -> Result<Parsed, BadRequest> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    if model.is_empty() {
        return Err(BadRequest {
            field: Some("model".to_owned()),
            message: "the path names no model; POST /v1beta/models/{model}:generateContent".to_owned(),
        });
    }
    if given(wire.cached_content).is_some() {
        return Err(BadRequest::at(
            &At::root("cachedContent"),
            format_args!(
                "names a cache at Google, and latimer keeps none; send the whole conversation as `contents`"
            ),
        ));
    }
    let mut notes = Vec::new();
    let mut names = Names::default();
    let mut turn = TurnRequest { model: model.to_owned(), ..TurnRequest::default() };
    if wire.safety_settings.is_some_and(|raw| !matches!(raw.get(), "null" | "[]")) {
        notes.push("`safetySettings` mean nothing to this upstream and were left out".to_owned());
    }
    tools::declare(wire.tools, &mut names, &mut turn.tools, &mut notes)?;
    turn.tool_choice = tools::choice(wire.tool_config, &names, &mut turn.tools, &mut notes)?;
    let Generation { thoughts, words } = config::read(wire.generation_config, &mut turn, &mut notes)?;
    let mut items = Items::new(&names, &mut notes, seal);
    if let Some(raw) = given(wire.system_instruction) {
        items.system(raw, &At::root("systemInstruction"))?;
    }
    contents(wire.contents, &mut items)?;
    turn.items = items.finish();
    if let Some(words) = words {
        let message = Message { role: Role::System, content: vec![Content::Text(words)] };
        turn.items.insert(0, Item::Message(message));
    }
    let input_tokens = tokens::count(&turn);
    Ok(Parsed { turn, notes, names, thoughts, input_tokens })
}

fn contents(raw: Option<&RawValue>, items: &mut Items<'_>) -> Result<(), BadRequest> {
    let at = At::root("contents");
    const WANTED: &str = "a list of contents, each with a role and parts";
    let Some(raw) = given(raw) else {
        return Err(BadRequest::at(&at, format_args!("is missing; send {WANTED}")));
    };
    // Documented only for SDKs, which make a content of it.
    if raw.get().starts_with('"') {
        items.said(field::<String>(Some(raw), &at, "a string")?.unwrap_or_default());
        return Ok(());
    }
    let all: Vec<contents::Wire<'_>> = list(Some(raw), &at, WANTED)?;
    if all.is_empty() {
        return Err(BadRequest::at(&at, format_args!("is empty; send {WANTED}")));
    }
    for (place, content) in all.iter().enumerate() {
        items.content(content, &at.index(place))?;
    }
    Ok(())
}

fn bad_json(body: &[u8], error: &serde_json::Error) -> BadRequest {
    const WANTED: &str = "a JSON object with `contents`";
    let message = if body.trim_ascii().is_empty() {
        format!("the request body is empty; send {WANTED}")
    } else if error.is_data() && error.to_string().starts_with("duplicate field") {
        "the request body has a field twice, perhaps in both spellings".to_owned()
    } else if error.is_data() {
        format!("the request body should be {WANTED}")
    } else {
        format!("the request body is not valid JSON at line {} column {}", error.line(), error.column())
    };
    BadRequest { field: None, message }
}
