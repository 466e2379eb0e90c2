//! Content of a message: a string, or a list of parts. Some editors send parts of the Messages API to the Chat path; they are
//! read as what they mean. Pure.

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{Content, Image};
use latimer_protocol::words;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::field::{elements, given, object, optional, optional_object, raw_fields, required};
use crate::inbound::wire::media::is_reachable;
use crate::inbound::wire::path::Path;
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

raw_fields! {
    /// A part of any type, of this protocol or of the Messages API.
    struct PartFields {
        type,
        text,
        refusal,
        image_url,
        detail,
        file,
        thinking,
        source,
        id,
        name,
        input,
        tool_use_id,
        content,
    }
}

/// An object that says of what type it is.
pub(super) fn is_part(raw: &RawValue) -> bool {
    serde_json::from_str::<PartFields<'_>>(raw.get()).is_ok_and(|part| part.kind.is_some())
}

/// Reads `content`, which stands at `at`.
///
/// # Errors
/// When it is neither a string nor parts, or a part lacks what makes it one.
pub(super) fn read(raw: Option<&RawValue>, at: &Path<'_>, notes: &mut Notes) -> Result<Parts, BadField> {
    let mut parts = Parts::default();
    let Some(raw) = given(raw) else { return Ok(parts) };
    // One part without its list, as some programs send it.
    if raw.get().starts_with(['"', '{']) {
        part(raw, at, &mut parts, notes)?;
        return Ok(parts);
    }
    for (place, raw) in elements(raw, at, "a string or a list of parts")?.into_iter().enumerate() {
        part(raw, &at.index(place), &mut parts, notes)?;
    }
    Ok(parts)
}

fn part(raw: &RawValue, at: &Path<'_>, parts: &mut Parts, notes: &mut Notes) -> Result<(), BadField> {
    if raw.get().starts_with('"') {
        parts.content.extend(optional(Some(raw), at, "a string")?.map(Content::Text));
        return Ok(());
    }
    let fields: PartFields<'_> = object(raw, at)?;
    match fields.kind.as_deref().unwrap_or("text") {
        "text" | "input_text" | "output_text" => {
            parts.content.extend(optional(fields.text, &at.field("text"), "a string")?.map(Content::Text));
        }
        "refusal" => {
            let refusal = optional(fields.refusal, &at.field("refusal"), "a string")?;
            parts.content.extend(refusal.map(Content::Refusal));
        }
        "image_url" | "input_image" => parts.content.push(image(&fields, at)?),
        "image" => parts.content.push(source(&fields, at)?),
        "file" => parts.content.push(file(&fields, at)?),
        "thinking" | "reasoning" => {
            // Mistral puts a list of parts where others put words.
            let words = read(fields.thinking.or(fields.text), at, notes)?;
            words.content.iter().for_each(|part| {
                if let Content::Text(text) = part {
                    parts.thoughts.push_str(text);
                }
            });
        }
        "tool_use" => {
            let id: String = required(fields.id, &at.field("id"), "a string")?;
            let name = required(fields.name, &at.field("name"), "a string")?;
            let arguments = fields.input.map_or("{}", RawValue::get).to_owned();
            parts.calls.push((CallId::from(id), name, arguments));
        }
        "tool_result" => {
            let id: String = required(fields.tool_use_id, &at.field("tool_use_id"), "a string")?;
            let inner = read(fields.content, &at.field("content"), notes)?;
            parts.outputs.push((CallId::from(id), inner.content));
        }
        kind @ ("input_audio" | "audio" | "video_url" | "input_video") => {
            let what = format_args!(
                "is a part of type `{kind}`; sound and film cannot be passed on, send words or pictures"
            );
            return Err(BadField::at(at, Problem::Unsupported, what));
        }
        other => {
            // What can be read of it is words: of hosted tools, and of tomorrow.
            let fields = serde_json::from_str::<Map<String, Value>>(raw.get()).unwrap_or_default();
            let texts = words::texts(&fields);
            if !texts.is_empty() {
                parts.content.extend(texts.into_iter().map(Content::Text));
                return Ok(());
            }
            notes.add_once(format!("a content part of type `{}` was left out", shown(other, MAX_WORD)));
        }
    }
    Ok(())
}

/// `{"image_url": {"url", "detail"}}`; the bare URL of other protocols is the same.
fn image(part: &PartFields<'_>, at: &Path<'_>) -> Result<Content, BadField> {
    raw_fields! { struct ImageUrlFields { url, detail } }
    let at = at.field("image_url");
    let (url, detail, at_url) = match part.image_url {
        Some(raw) if raw.get().starts_with('{') => {
            let fields: ImageUrlFields<'_> = object(raw, &at)?;
            (fields.url, fields.detail, at.field("url"))
        }
        raw => (raw, part.detail, at),
    };
    let url: Option<String> = optional(url, &at_url, "a string")?;
    let url = url
        .filter(|url| is_reachable(url))
        .ok_or_else(|| BadField::invalid(&at_url, "should be a data: or https: URL"))?;
    Ok(Content::Image(Image { url, detail: optional(detail, &at.field("detail"), "a string")? }))
}

/// The picture of the Messages API.
fn source(part: &PartFields<'_>, at: &Path<'_>) -> Result<Content, BadField> {
    #[derive(Deserialize)]
    struct SourceFields {
        media_type: Option<String>,
        data: Option<String>,
        url: Option<String>,
    }
    let at = at.field("source");
    let url = match optional_object(part.source, &at)? {
        Some(SourceFields { media_type: Some(kind), data: Some(data), .. }) => {
            format!("data:{kind};base64,{data}")
        }
        Some(SourceFields { url: Some(url), .. }) => url,
        _ => return Err(BadField::at(&at, Problem::Unsupported, "should hold the picture, or its URL")),
    };
    Ok(Content::Image(Image { url, detail: None }))
}

/// `{"file": {"filename", "file_data"}}`.
fn file(part: &PartFields<'_>, at: &Path<'_>) -> Result<Content, BadField> {
    raw_fields! { struct FileFields { filename, file_data } }
    let at = at.field("file");
    let fields: FileFields<'_> = optional_object(part.file, &at)?.unwrap_or_default();
    let at_data = at.field("file_data");
    let data: Option<String> = optional(fields.file_data, &at_data, "a string")?;
    let data_url = data.filter(|data| data.starts_with("data:")).ok_or_else(|| {
        let what = "should be a data: URL; files by id are not known here";
        BadField::at(&at_data, Problem::Unsupported, what)
    })?;
    Ok(Content::File { name: optional(fields.filename, &at.field("filename"), "a string")?, data_url })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Path<'static> = Path::bracketed("content");

    fn parts(json: &str) -> Result<(Parts, Notes), BadField> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        let mut notes = Notes::default();
        read(Some(&raw), &AT, &mut notes).map(|parts| (parts, notes))
    }

    #[test]
    fn parts_of_the_messages_api_are_read_as_what_they_mean() {
        let (parts, notes) = parts(
            r#"["a",{"text":"b"},{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},
                {"type":"tool_use","id":"1","name":"f"},{"type":"tool_result","tool_use_id":"1","content":"c"},
                {"type":"image","source":{"media_type":"image/png","data":"AA=="}},{"type":"novel"},{"type":"novel"}]"#,
        )
        .expect("parts");
        assert_eq!((parts.content.len(), parts.thoughts.as_str()), (3, "hm"));
        assert_eq!((parts.calls.len(), parts.outputs.len(), notes.len()), (1, 1, 1));
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused_by_name() {
        for (json, path, words) in [
            (r#"[{"type":"input_audio"}]"#, "content[0]", "sound and film"),
            (
                r#"[{"type":"image_url","image_url":{"url":"x"}}]"#,
                "content[0].image_url.url",
                "data: or https:",
            ),
            (r#"[{"type":"image_url","image_url":"x"}]"#, "content[0].image_url", "data: or https:"),
            (r#"[{"type":"file","file":{"file_id":"f"}}]"#, "content[0].file.file_data", "files by id"),
            (r#"[{"type":"tool_use","id":"1"}]"#, "content[0].name", "is missing"),
        ] {
            let error = parts(json).expect_err(json);
            assert_eq!(error.path.as_deref(), Some(path), "{json}");
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
}
