//! `POST /v1beta/models/{model}:generateContent` and its kin, read into a turn. Pure. Source: the API reference of
//! `models.generateContent`, and what the Gemini CLI was recorded to send (`fixtures/gemini_front`).
//!
//! Names are taken in both spellings, `systemInstruction` and `system_instruction`. What nobody knows is passed over; what has no
//! equal is lowered or left out with a note; what would change the answer's meaning is refused, and the error names the field.

use latimer_protocol::turn::{Content, Item, Message, Role, SealKey, TurnRequest};
use serde_json::value::RawValue;

use super::config::{self, GenerationOptions};
use super::contents::{ContentFields, ContentReader};
use super::names::Names;
use super::tools;
use crate::inbound::notes::Notes;
use crate::inbound::tokens;
use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::field::{body as body_fields, given, object, one_or_more, optional, raw_fields};
use crate::inbound::wire::path::Path;

/// A request of a Gemini client, understood.
#[derive(Debug)]
pub struct GeminiRequest {
    /// What is asked; the model is still as the client wrote it.
    pub turn: TurnRequest,
    /// What was lowered or left out, for the log.
    pub notes: Notes,
    /// The functions' names, for the way back.
    pub names: Names,
    /// The client wants to see the thoughts.
    pub thoughts: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
}

raw_fields! {
    /// The body's fields, untouched.
    #[serde(rename_all = "camelCase")]
    struct BodyFields {
        contents,
        #[serde(alias = "system_instruction")]
        system_instruction,
        tools,
        #[serde(alias = "tool_config")]
        tool_config,
        #[serde(alias = "generation_config")]
        generation_config,
        #[serde(alias = "safety_settings")]
        safety_settings,
        #[serde(alias = "cached_content")]
        cached_content,
        #[serde(alias = "generate_content_request")]
        generate_content_request,
    }
}

/// Reads a body of `:generateContent` or `:streamGenerateContent`. `model` is the name in the path, with or without `models/` in
/// front; the seal opens the carriers of provider state that latimer made.
///
/// # Errors
/// When the body is no JSON object, or a field is missing, of the wrong type, or asks for what latimer cannot give.
pub fn read(model: &str, body: &[u8], seal: &SealKey) -> Result<GeminiRequest, BadField> {
    let fields: BodyFields<'_> = body_fields(body).map_err(|error| bad_json(body, &error))?;
    read_body(model, &fields, seal)
}

/// Reads a body of `:countTokens`, which holds contents alone or a whole request.
///
/// # Errors
/// As [`read`].
pub fn read_count(model: &str, body: &[u8], seal: &SealKey) -> Result<GeminiRequest, BadField> {
    let fields: BodyFields<'_> = body_fields(body).map_err(|error| bad_json(body, &error))?;
    match given(fields.generate_content_request) {
        Some(inner) => {
            let at = Path::bracketed("generateContentRequest");
            let inner: BodyFields<'_> = object(inner, &at)?;
            read_body(model, &inner, seal)
        }
        None => read_body(model, &fields, seal),
    }
}

/// The answer of `:countTokens`.
pub fn count_answer(parsed: &GeminiRequest) -> String {
    serde_json::json!({ "totalTokens": parsed.input_tokens }).to_string()
}

fn read_body(model: &str, fields: &BodyFields<'_>, seal: &SealKey) -> Result<GeminiRequest, BadField> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    if model.is_empty() {
        let message = "the path names no model; POST /v1beta/models/{model}:generateContent";
        return Err(BadField {
            problem: Problem::Missing,
            path: Some("model".to_owned()),
            message: message.to_owned(),
        });
    }
    if given(fields.cached_content).is_some() {
        return Err(BadField::invalid(
            &Path::bracketed("cachedContent"),
            "names a cache at Google, and latimer keeps none; send the whole conversation as `contents`",
        ));
    }
    let mut notes = Notes::default();
    let mut names = Names::default();
    let mut turn = TurnRequest { model: model.to_owned(), ..TurnRequest::default() };
    if fields.safety_settings.is_some_and(|raw| !matches!(raw.get(), "null" | "[]")) {
        notes.add("`safetySettings` mean nothing to this upstream and were left out");
    }
    tools::declare(fields.tools, &mut names, &mut turn.tools, &mut notes)?;
    turn.tool_choice = tools::choice(fields.tool_config, &names, &mut turn.tools, &mut notes)?;
    let GenerationOptions { thoughts, words } =
        config::read(fields.generation_config, &mut turn, &mut notes)?;
    let mut items = ContentReader::new(&names, &mut notes, seal);
    if let Some(raw) = given(fields.system_instruction) {
        items.system(raw, &Path::bracketed("systemInstruction"))?;
    }
    contents(fields.contents, &mut items)?;
    turn.items = items.finish();
    if let Some(words) = words {
        let message = Message { role: Role::System, content: vec![Content::Text(words)] };
        turn.items.insert(0, Item::Message(message));
    }
    let input_tokens = tokens::count(&turn);
    Ok(GeminiRequest { turn, notes, names, thoughts, input_tokens })
}

fn contents(raw: Option<&RawValue>, items: &mut ContentReader<'_>) -> Result<(), BadField> {
    let at = Path::bracketed("contents");
    const WANTED: &str = "a list of contents, each with a role and parts";
    let Some(raw) = given(raw) else {
        return Err(BadField::not_sent(&at, WANTED));
    };
    // Documented only for SDKs, which make a content of it.
    if raw.get().starts_with('"') {
        items.user_text(optional::<String>(Some(raw), &at, "a string")?.unwrap_or_default());
        return Ok(());
    }
    let all: Vec<ContentFields<'_>> = one_or_more(Some(raw), &at, WANTED)?;
    if all.is_empty() {
        return Err(BadField::invalid(&at, format_args!("is empty; send {WANTED}")));
    }
    for (place, content) in all.iter().enumerate() {
        items.content(content, &at.index(place))?;
    }
    Ok(())
}

fn bad_json(body: &[u8], error: &serde_json::Error) -> BadField {
    let mut refusal = BadField::not_json(body, error, "`contents`");
    if error.is_data() && error.to_string().starts_with("duplicate field") {
        "the request body has a field twice, perhaps in both spellings".clone_into(&mut refusal.message);
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_in_both_spellings_is_refused() {
        let body = br#"{"contents":"a","toolConfig":{},"tool_config":{}}"#;
        let error = read("m", body, &SealKey::default()).expect_err("twice");
        let words = "the request body has a field twice, perhaps in both spellings";
        assert_eq!((error.path, error.message.as_str()), (None, words));
    }

    #[test]
    fn a_count_takes_contents_alone_or_a_whole_request() {
        for body in [r#"{"contents":"a"}"#, r#"{"generateContentRequest":{"contents":"a"}}"#] {
            let request = read_count("models/m", body.as_bytes(), &SealKey::default()).expect(body);
            assert_eq!((request.turn.model.as_str(), request.turn.items.len()), ("m", 1));
            assert!(count_answer(&request).starts_with("{\"totalTokens\":"));
        }
        let error =
            read_count("m", br#"{"generateContentRequest":[]}"#, &SealKey::default()).expect_err("a list");
        assert_eq!(error.message, "`generateContentRequest` should be an object, and a list was sent");
    }
}
