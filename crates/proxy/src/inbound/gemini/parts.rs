//! Parts that are no words of a conversation: pictures, files, code that ran at Google, and what functions answered. Pure.

use latimer_protocol::turn::{Content, Image};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, given, object, one_or_more, optional, raw_fields, required};
use crate::inbound::wire::media::data_url;
use crate::inbound::wire::path::Path;

raw_fields! {
    /// A part of any kind.
    #[serde(rename_all = "camelCase")]
    pub(super) struct PartFields {
        text,
        thought,
        #[serde(alias = "thought_signature")]
        thought_signature,
        #[serde(alias = "function_call")]
        function_call,
        #[serde(alias = "function_response")]
        function_response,
        #[serde(alias = "inline_data")]
        inline_data,
        #[serde(alias = "file_data")]
        file_data,
        #[serde(alias = "executable_code")]
        executable_code,
        #[serde(alias = "code_execution_result")]
        code_execution_result,
    }
}

raw_fields! {
    /// A call.
    pub(super) struct FunctionCallFields { id, name, args }
}

raw_fields! {
    /// What a function answered.
    pub(super) struct FunctionResponseFields { id, name, response, parts }
}

raw_fields! {
    /// Data that is here, or elsewhere.
    #[serde(rename_all = "camelCase")]
    struct BlobFields {
        #[serde(alias = "mime_type")]
        mime_type,
        data,
        #[serde(alias = "file_uri")]
        file_uri,
        #[serde(alias = "display_name")]
        display_name,
    }
}

raw_fields! {
    /// Code that ran at Google, or what it printed.
    struct CodeFields { code, output }
}

/// What a part shows, when it is neither words nor a call; `None` for a kind that nobody knows.
pub(super) fn content(
    part: &PartFields<'_>,
    at: &Path<'_>,
    notes: &mut Notes,
) -> Result<Option<Content>, BadField> {
    if let Some(raw) = given(part.inline_data) {
        return inline(raw, &at.field("inlineData")).map(Some);
    }
    if let Some(raw) = given(part.file_data) {
        return file(raw, &at.field("fileData"), notes).map(Some);
    }
    if let Some(raw) = given(part.executable_code) {
        let at = at.field("executableCode");
        let fields: CodeFields<'_> = object(raw, &at)?;
        let code: String = required(fields.code, &at.field("code"), "a string")?;
        return Ok(Some(Content::Text(format!("Code that was run:\n```\n{code}\n```\n"))));
    }
    if let Some(raw) = given(part.code_execution_result) {
        let at = at.field("codeExecutionResult");
        let fields: CodeFields<'_> = object(raw, &at)?;
        let output: String = optional(fields.output, &at.field("output"), "a string")?.unwrap_or_default();
        return Ok(Some(Content::Text(format!("What it printed:\n```\n{output}\n```\n"))));
    }
    Ok(None)
}

/// Data that is here: a picture, or a file.
fn inline(raw: &RawValue, at: &Path<'_>) -> Result<Content, BadField> {
    let blob: BlobFields<'_> = object(raw, at)?;
    let data: Word<'_> = required(blob.data, &at.field("data"), "base64 text")?;
    let mime: Word<'_> = required(blob.mime_type, &at.field("mimeType"), "a media type")?;
    let url = data_url(&mime, &data);
    if mime.starts_with("image/") {
        return Ok(Content::Image(Image { url, detail: None }));
    }
    let name = optional(blob.display_name, &at.field("displayName"), "a string")?;
    Ok(Content::File { name, data_url: url })
}

/// Data that is elsewhere. Pictures have addresses upstream too; everything else is at Google, or would have to be fetched.
fn file(raw: &RawValue, at: &Path<'_>, notes: &mut Notes) -> Result<Content, BadField> {
    let blob: BlobFields<'_> = object(raw, at)?;
    let uri: String = required(blob.file_uri, &at.field("fileUri"), "an address")?;
    let mime: Option<Word<'_>> = optional(blob.mime_type, &at.field("mimeType"), "a media type")?;
    let at_google = uri.starts_with("https://generativelanguage.googleapis.com/");
    let is_picture = mime.as_deref().is_some_and(|mime| mime.starts_with("image/"));
    if uri.starts_with("https://") && is_picture && !at_google {
        return Ok(Content::Image(Image { url: uri, detail: None }));
    }
    notes.add("a file that is given by its address was replaced by a note: latimer fetches none");
    Ok(Content::Text(format!("(a file stood here that could not be passed on: {uri})")))
}

/// What a function answered: its text, then the pictures and files beside it.
pub(super) fn output(
    fields: &FunctionResponseFields<'_>,
    at: &Path<'_>,
    notes: &mut Notes,
) -> Result<Vec<Content>, BadField> {
    let mut content = Vec::new();
    if let Some(raw) = given(fields.response) {
        content.push(Content::Text(answer(raw)));
    }
    let at = at.field("parts");
    let parts: Vec<PartFields<'_>> = one_or_more(fields.parts, &at, "a list of parts")?;
    for (place, part) in parts.iter().enumerate() {
        let at = at.index(place);
        if let Some(text) = optional::<String>(part.text, &at.field("text"), "a string")? {
            content.push(Content::Text(text));
        } else if let Some(other) = self::content(part, &at, notes)? {
            content.push(other);
        } else {
            notes.add("a part of a function's answer was left out: nobody knows its kind");
        }
    }
    Ok(content)
}

/// The words of an answer. This protocol takes objects only, so clients wrap words in one; everything else is its JSON.
fn answer(raw: &RawValue) -> String {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct WrappedText {
        #[serde(alias = "result", alias = "content")]
        output: String,
    }
    let text = raw.get();
    let words = match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<WrappedText>(text).ok().map(|wrapped| wrapped.output),
        Some(b'"') => serde_json::from_str::<String>(text).ok(),
        _ => None,
    };
    words.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_out_of_their_wrapper_and_errors_stay_errors() {
        for (text, want) in [
            (r#"{"output":"a\nb"}"#, "a\nb"),
            (r#"{"result":"a"}"#, "a"),
            (r#"{ "result": 7 }"#, r#"{ "result": 7 }"#),
            (r#"{"error":"no such file"}"#, r#"{"error":"no such file"}"#),
            (r#"{"output":"a","exit_code":1}"#, r#"{"output":"a","exit_code":1}"#),
            ("\"bare\"", "bare"),
            ("[1]", "[1]"),
            ("{}", "{}"),
        ] {
            let raw = RawValue::from_string(text.to_owned()).expect("JSON");
            assert_eq!(answer(&raw), want);
        }
    }
}
