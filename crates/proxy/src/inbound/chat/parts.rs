//! Content of a message: a string, or a list of parts. Some editors send parts of the Messages API to the Chat path; they are
//! read as what they mean.

use std::borrow::Cow;

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{Content, Image};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::note;
use crate::inbound::responses::request::{field, wrong_type};
use crate::inbound::wire::openai_error::RequestError;
use crate::text::{MAX_WORD, shown};

/// What a message holds, sorted.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Words, pictures, files.
    pub(super) content: Vec<Content>,
    /// Readable thoughts, joined.
    pub(super) thoughts: String,
    /// Calls: id, name, arguments.
    pub(super) calls: Vec<(CallId, String, String)>,
    /// Outputs of calls.
    pub(super) outputs: Vec<(CallId, Vec<Content>)>,
}

/// A part of any type.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    file: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// An object that says of what type it is.
pub(super) fn is_part(raw: &RawValue) -> bool {
    serde_json::from_str::<Part<'_>>(raw.get()).is_ok_and(|part| part.kind.is_some())
}

/// Reads `content`, which stands at `at`.
pub(super) fn read(raw: Option<&RawValue>, at: &str, notes: &mut Vec<String>) -> Result<Parts, RequestError> {
    let mut parts = Parts::default();
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(parts) };
    if raw.get().starts_with('"') {
        parts.content.extend(field(Some(raw), at, "a string")?.map(Content::Text));
        return Ok(parts);
    }
    // One part without its list, as some programs send it.
    if raw.get().starts_with('{') {
        part(raw, at, &mut parts, notes)?;
        return Ok(parts);
    }
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, at, "a string or a list of parts"))?;
    for (place, raw) in list.into_iter().enumerate() {
        part(raw, &format!("{at}[{place}]"), &mut parts, notes)?;
    }
    Ok(parts)
}

fn part(raw: &RawValue, at: &str, parts: &mut Parts, notes: &mut Vec<String>) -> Result<(), RequestError> {
    if raw.get().starts_with('"') {
        parts.content.extend(field(Some(raw), at, "a string")?.map(Content::Text));
        return Ok(());
    }
    let wire: Part<'_> = serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, at, "an object"))?;
    match wire.kind.as_deref().unwrap_or("text") {
        "text" | "input_text" | "output_text" => {
            parts.content.extend(field(wire.text, &format!("{at}.text"), "a string")?.map(Content::Text));
        }
        "refusal" => {
            parts
                .content
                .extend(field(wire.refusal, &format!("{at}.refusal"), "a string")?.map(Content::Refusal));
        }
        "image_url" | "input_image" => parts.content.push(image(&wire, at)?),
        "image" => parts.content.push(source(&wire, at)?),
        "file" => parts.content.push(file(&wire, at)?),
        "thinking" | "reasoning" => {
            // Mistral puts a list of parts where others put words.
            let words = wire.thinking.or(wire.text);
            let words = read(words, at, notes)?;
            words.content.iter().for_each(|part| {
                if let Content::Text(text) = part {
                    parts.thoughts.push_str(text);
                }
            });
        }
        "tool_use" => {
            let id = text(wire.id, &format!("{at}.id"))?;
            let name = text(wire.name, &format!("{at}.name"))?;
            let arguments = wire.input.map_or("{}", RawValue::get).to_owned();
            parts.calls.push((CallId::from(id), name, arguments));
        }
        "tool_result" => {
            let id = text(wire.tool_use_id, &format!("{at}.tool_use_id"))?;
            let inner = read(wire.content, &format!("{at}.content"), notes)?;
            parts.outputs.push((CallId::from(id), inner.content));
        }
        kind @ ("input_audio" | "audio" | "video_url" | "input_video") => {
            return Err(RequestError {
                code: "unsupported_parameter",
                param: Some(at.to_owned()),
                message: format!(
                    "`{at}` is a part of type `{kind}`; sound and film cannot be passed on, send words or pictures"
                ),
            });
        }
        other => {
            note(notes, &format!("a content part of type `{}` was left out", shown(other, MAX_WORD)));
        }
    }
    Ok(())
}

fn text(raw: Option<&RawValue>, at: &str) -> Result<String, RequestError> {
    field(raw, at, "a string")?.ok_or_else(|| RequestError {
        code: "missing_required_parameter",
        param: Some(at.to_owned()),
        message: format!("`{at}` is missing; it should be a string"),
    })
}

/// `{"image_url": {"url", "detail"}}`; the bare URL of other protocols is the same.
fn image(part: &Part<'_>, at: &str) -> Result<Content, RequestError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        url: Option<&'a RawValue>,
        #[serde(borrow)]
        detail: Option<&'a RawValue>,
    }
    let at = format!("{at}.image_url");
    let (url, detail, at_url) = match part.image_url {
        Some(raw) if raw.get().starts_with('{') => {
            let wire: Wire<'_> =
                serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, &at, "an object"))?;
            (wire.url, wire.detail, format!("{at}.url"))
        }
        raw => (raw, part.detail, at.clone()),
    };
    let url: Option<String> = field(url, &at_url, "a string")?;
    let known = |url: &String| ["data:", "https:", "http:"].iter().any(|scheme| url.starts_with(scheme));
    let url = url.filter(known).ok_or_else(|| RequestError {
        code: "invalid_value",
        param: Some(at_url.clone()),
        message: format!("`{at_url}` should be a data: or https: URL"),
    })?;
    Ok(Content::Image(Image { url, detail: field(detail, &format!("{at}.detail"), "a string")? }))
}

/// The picture of the Messages API.
fn source(part: &Part<'_>, at: &str) -> Result<Content, RequestError> {
    #[derive(Deserialize)]
    struct Wire {
        media_type: Option<String>,
        data: Option<String>,
        url: Option<String>,
    }
    let at = format!("{at}.source");
    let wire: Option<Wire> = field(part.source, &at, "an object")?;
    let url = match wire {
        Some(Wire { media_type: Some(kind), data: Some(data), .. }) => format!("data:{kind};base64,{data}"),
        Some(Wire { url: Some(url), .. }) => url,
        _ => {
            return Err(RequestError {
                code: "unsupported_parameter",
                param: Some(at.clone()),
                message: format!("`{at}` should hold the picture, or its URL"),
            });
        }
    };
    Ok(Content::Image(Image { url, detail: None }))
}

/// `{"file": {"filename", "file_data"}}`.
fn file(part: &Part<'_>, at: &str) -> Result<Content, RequestError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        filename: Option<&'a RawValue>,
        #[serde(borrow)]
        file_data: Option<&'a RawValue>,
    }
    let at = format!("{at}.file");
    let wire: Option<Wire<'_>> = field(part.file, &at, "an object")?;
    let at_data = format!("{at}.file_data");
    let data: Option<String> = field(wire.as_ref().and_then(|wire| wire.file_data), &at_data, "a string")?;
    let data_url = data.filter(|data| data.starts_with("data:")).ok_or_else(|| RequestError {
        code: "unsupported_parameter",
        param: Some(at_data.clone()),
        message: format!("`{at_data}` should be a data: URL; files by id are not known here"),
    })?;
    let name = wire.and_then(|wire| wire.filename);
    Ok(Content::File { name: field(name, &format!("{at}.filename"), "a string")?, data_url })
}
