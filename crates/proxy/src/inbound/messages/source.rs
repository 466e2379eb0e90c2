//! Pictures and files: where their bytes are. Pure.

use latimer_protocol::turn::{Content, Image};
use serde_json::value::RawValue;

use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::field::{Word, object, optional, raw_fields, required};
use crate::inbound::wire::media::{data_url, is_reachable};
use crate::inbound::wire::path::Path;

raw_fields! {
    /// The `source` of a picture or a file.
    struct SourceFields {
        #[serde(rename = "type")]
        source_type,
        media_type,
        data,
        url,
        content,
    }
}

/// A document: a file, or words.
pub(super) enum DocumentContent<'a> {
    /// One part.
    Part(Content),
    /// Blocks of its own, still to be read.
    Blocks(&'a RawValue),
}

fn source<'a>(raw: Option<&'a RawValue>, at: &Path<'_>) -> Result<(SourceFields<'a>, Word<'a>), BadField> {
    let raw = raw.ok_or_else(|| BadField::missing(at, "an object"))?;
    let source: SourceFields<'a> = object(raw, at)?;
    let kind = required(source.source_type, &at.field("type"), "a string")?;
    Ok((source, kind))
}

/// The picture of an `image` block.
///
/// # Errors
/// When its data or its address is not there.
pub(super) fn image(raw: Option<&RawValue>, at: &Path<'_>) -> Result<Content, BadField> {
    let (source, kind) = source(raw, at)?;
    let url = match &*kind {
        "base64" => base64(&source, at)?,
        "url" => address(&source, &at.field("url"))?,
        kind => return Err(unknown_source(kind, at)),
    };
    Ok(Content::Image(Image { url, detail: None }))
}

/// The file of a `document` block.
///
/// # Errors
/// When its data, its words or its address is not there.
pub(super) fn document<'a>(
    raw: Option<&'a RawValue>,
    title: Option<String>,
    at: &Path<'_>,
    notes: &mut Notes,
) -> Result<DocumentContent<'a>, BadField> {
    let (source, kind) = source(raw, at)?;
    Ok(DocumentContent::Part(match &*kind {
        "base64" => Content::File { name: title, data_url: base64(&source, at)? },
        "text" => {
            let text: String = required(source.data, &at.field("data"), "a string")?;
            Content::Text(with_title(title, text))
        }
        "content" => {
            let blocks = source
                .content
                .ok_or_else(|| BadField::missing(&at.field("content"), "a string or a list of blocks"))?;
            return Ok(DocumentContent::Blocks(blocks));
        }
        "url" => {
            // latimer fetches nothing, and the hub has no place for the address of a file.
            notes.add("a document behind an address was replaced by its address");
            let url = address(&source, &at.field("url"))?;
            Content::Text(with_title(title, format!("(a document at {url}; its contents were not sent)")))
        }
        kind => return Err(unknown_source(kind, at)),
    }))
}

fn with_title(title: Option<String>, text: String) -> String {
    match title.filter(|title| !title.is_empty()) {
        Some(title) => format!("{title}\n\n{text}"),
        None => text,
    }
}

fn base64(source: &SourceFields<'_>, at: &Path<'_>) -> Result<String, BadField> {
    let media_type: Word<'_> = required(source.media_type, &at.field("media_type"), "a string")?;
    let data: Word<'_> = required(source.data, &at.field("data"), "a string")?;
    Ok(data_url(&media_type, &data))
}

fn address(source: &SourceFields<'_>, at: &Path<'_>) -> Result<String, BadField> {
    let url: String = required(source.url, at, "a string")?;
    if is_reachable(&url) { Ok(url) } else { Err(BadField::invalid(at, "should be an https: or data: URL")) }
}

fn unknown_source(kind: &str, at: &Path<'_>) -> BadField {
    match kind {
        "file" => {
            let what = "files by id are not known here; send the bytes as base64";
            BadField::at(at, Problem::Unsupported, what)
        }
        _ => BadField::invalid(&at.field("type"), "should be base64, url or text"),
    }
}

/// A title or a name, where there is one.
pub(super) fn title(raw: Option<&RawValue>, at: &Path<'_>) -> Result<Option<String>, BadField> {
    optional(raw, at, "a string")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Path<'static> = Path::dotted("source");

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn a_picture_is_here_or_on_the_web() {
        let url = |json: &str| match image(Some(&raw(json)), &AT) {
            Ok(Content::Image(image)) => image.url,
            Ok(other) => panic!("{other:?}"),
            Err(error) => error.message,
        };
        assert_eq!(
            url(r#"{"type":"base64","media_type":"image/png","data":"AA=="}"#),
            "data:image/png;base64,AA=="
        );
        assert_eq!(url(r#"{"type":"url","url":"https://example.org/a"}"#), "https://example.org/a");
        assert_eq!(
            url(r#"{"type":"url","url":"file:///a"}"#),
            "source.url: should be an https: or data: URL"
        );
        assert_eq!(url(r#"{"type":"novel"}"#), "source.type: should be base64, url or text");
    }

    #[test]
    fn a_document_keeps_its_title() {
        let title = Some("T".to_owned());
        let source = raw(r#"{"type":"text","data":"words"}"#);
        let document = document(Some(&source), title, &AT, &mut Notes::default()).expect("words");
        assert!(matches!(document, DocumentContent::Part(Content::Text(text)) if text == "T\n\nwords"));
    }
}
