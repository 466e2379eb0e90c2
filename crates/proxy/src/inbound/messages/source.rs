//! Pictures and files: where their bytes are. Pure.

use std::borrow::Cow;

use latimer_protocol::turn::{Content, Image};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::field::{At, missing, object, optional, required};

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// A document: a file, or words.
pub(super) enum Document<'a> {
    /// One part.
    Part(Content),
    /// Blocks of its own, still to be read.
    Blocks(&'a RawValue),
}

fn source<'a>(raw: Option<&'a RawValue>, at: At<'_>) -> Result<(Source<'a>, Cow<'a, str>), BadRequest> {
    let raw = raw.ok_or_else(|| missing(at, "an object"))?;
    let source: Source<'a> = object(raw, at)?;
    let kind = required(source.kind, at.field("type"), "a string")?;
    Ok((source, kind))
}

/// The picture of an `image` block.
pub(super) fn image(raw: Option<&RawValue>, at: At<'_>) -> Result<Content, BadRequest> {
    let (source, kind) = source(raw, at)?;
    let url = match kind.as_ref() {
        "base64" => data_url(&source, at)?,
        "url" => address(&source, at)?,
        kind => return Err(by_id(kind, at)),
    };
    Ok(Content::Image(Image { url, detail: None }))
}

/// The file of a `document` block.
pub(super) fn document<'a>(
    raw: Option<&'a RawValue>,
    title: Option<String>,
    at: At<'_>,
    notes: &mut Vec<String>,
) -> Result<Document<'a>, BadRequest> {
    let (source, kind) = source(raw, at)?;
    Ok(Document::Part(match kind.as_ref() {
        "base64" => Content::File { name: title, data_url: data_url(&source, at)? },
        "text" => {
            Content::Text(titled(title, &required::<String>(source.data, at.field("data"), "a string")?))
        }
        "content" => {
            let blocks =
                source.content.ok_or_else(|| missing(at.field("content"), "a string or a list of blocks"))?;
            return Ok(Document::Blocks(blocks));
        }
        "url" => {
            // latimer fetches nothing, and the hub has no place for the address of a file.
            notes.push("a document behind an address was replaced by its address".to_owned());
            let url = address(&source, at)?;
            Content::Text(titled(title, &format!("(a document at {url}; its contents were not sent)")))
        }
        kind => return Err(by_id(kind, at)),
    }))
}

fn titled(title: Option<String>, text: &str) -> String {
    title
        .filter(|title| !title.is_empty())
        .map_or_else(|| text.to_owned(), |title| format!("{title}\n\n{text}"))
}

fn data_url(source: &Source<'_>, at: At<'_>) -> Result<String, BadRequest> {
    let media_type: Cow<'_, str> = required(source.media_type, at.field("media_type"), "a string")?;
    let data: Cow<'_, str> = required(source.data, at.field("data"), "a string")?;
    let mut url = String::with_capacity(media_type.len() + data.len() + 13);
    url.push_str("data:");
    url.push_str(&media_type);
    url.push_str(";base64,");
    url.push_str(&data);
    Ok(url)
}

fn address(source: &Source<'_>, at: At<'_>) -> Result<String, BadRequest> {
    let at = at.field("url");
    let url: String = required(source.url, at, "a string")?;
    if ["https://", "http://", "data:"].iter().any(|scheme| url.starts_with(scheme)) {
        Ok(url)
    } else {
        Err(BadRequest::at(at, "should be an https: or data: URL"))
    }
}

fn by_id(kind: &str, at: At<'_>) -> BadRequest {
    match kind {
        "file" => BadRequest::at(at, "files by id are not known here; send the bytes as base64"),
        _ => BadRequest::at(at.field("type"), "should be base64, url or text"),
    }
}

/// A title or a name, where there is one.
pub(super) fn title(raw: Option<&RawValue>, at: At<'_>) -> Result<Option<String>, BadRequest> {
    optional(raw, at, "a string")
}
