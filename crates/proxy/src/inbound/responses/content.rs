//! What a message or an output holds: a string, or a list of parts. Pure.

use latimer_protocol::turn::{Content, Image};
use latimer_protocol::words::is_plain;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::field::{given, objects, optional, raw_fields};
use crate::inbound::wire::media::is_reachable;
use crate::inbound::wire::path::Path;
use crate::text::{MAX_WORD, shown};

raw_fields! {
    /// A content part of any type.
    pub(super) struct ContentPartFields { type, text, encrypted_content, refusal, image_url, detail, file_data, filename }
}

/// Reads a content, which stands at `at`.
///
/// # Errors
/// When it is neither a string nor a list of parts, or a picture or a file is not there.
pub(super) fn read(
    raw: Option<&RawValue>,
    at: &Path<'_>,
    notes: &mut Notes,
) -> Result<Vec<Content>, BadField> {
    let Some(raw) = given(raw) else { return Ok(Vec::new()) };
    if raw.get().starts_with('"') {
        return Ok(vec![Content::Text(optional(Some(raw), at, "a string")?.unwrap_or_default())]);
    }
    let parts: Vec<ContentPartFields<'_>> = objects(raw, at, "a string or a list of parts")?;
    let mut content = Vec::with_capacity(parts.len());
    for (place, fields) in parts.iter().enumerate() {
        content.extend(part(fields, &at.index(place), notes)?);
    }
    Ok(content)
}

fn part(part: &ContentPartFields<'_>, at: &Path<'_>, notes: &mut Notes) -> Result<Option<Content>, BadField> {
    Ok(match part.kind.as_deref().unwrap_or("input_text") {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            optional(part.text, &at.field("text"), "a string")?.map(Content::Text)
        }
        "refusal" => optional(part.refusal, &at.field("refusal"), "a string")?.map(Content::Refusal),
        "input_image" | "image_url" => Some(image(part, &at.field("image_url"))?),
        "input_file" => Some(file(part, at)?),
        // Parts of agents' messages, and of tomorrow: what can be read of them is words.
        other => {
            let read =
                |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
            let text = read(part.text).or_else(|| read(part.encrypted_content).filter(|text| is_plain(text)));
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                return Ok(Some(Content::Text(text)));
            }
            notes.add(format!("a content part of type `{}` was left out", shown(other, MAX_WORD)));
            None
        }
    })
}

fn image(part: &ContentPartFields<'_>, at: &Path<'_>) -> Result<Content, BadField> {
    let url: Option<String> = match part.image_url {
        // Chat clients write an object around the URL.
        Some(raw) if raw.get().starts_with('{') => {
            let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            value.get("url").and_then(Value::as_str).map(str::to_owned)
        }
        raw => optional(raw, at, "a string")?,
    };
    let url = url.filter(|url| is_reachable(url)).ok_or_else(|| {
        let what = "should be a data: or https: URL; files by id are not known here";
        BadField::at(at, Problem::Unsupported, what)
    })?;
    Ok(Content::Image(Image { url, detail: optional(part.detail, at, "a string")? }))
}

fn file(part: &ContentPartFields<'_>, at: &Path<'_>) -> Result<Content, BadField> {
    let at_data = at.field("file_data");
    let data_url: Option<String> = optional(part.file_data, &at_data, "a string")?;
    let name = optional(part.filename, &at.field("filename"), "a string")?;
    data_url.map(|data_url| Content::File { name, data_url }).ok_or_else(|| {
        BadField::unsupported(&at_data, "files are taken inline only; send `file_data` as a data: URL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Path<'static> = Path::bracketed("content");

    fn content(json: &str) -> Result<Vec<Content>, BadField> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        read(Some(&raw), &AT, &mut Notes::default())
    }

    #[test]
    fn pictures_and_files_have_to_be_there() {
        let parts = content(
            r#"[{"type":"image_url","image_url":{"url":"https://example.org/a.png"}},{"text":"a"},{"type":"novel"},{"type":"input_file","file_data":"data:,x","filename":"x"}]"#,
        );
        assert_eq!(parts.expect("parts").len(), 3);
        let error = content(r#"[{"type":"input_image","image_url":"file-1"}]"#).expect_err("by id");
        assert_eq!(
            (error.problem, error.path.as_deref()),
            (Problem::Unsupported, Some("content[0].image_url"))
        );
        let error = content(r#"[{"type":"input_file","file_id":"f"}]"#).expect_err("by id");
        assert_eq!(error.path.as_deref(), Some("content[0].file_data"));
        assert_eq!(
            content("7").expect_err("a number").message,
            "`content` should be a string or a list of parts, and a number was sent"
        );
    }
}
