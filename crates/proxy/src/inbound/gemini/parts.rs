//! Parts that are no words of a conversation: pictures, files, code that ran at Google, and what functions answered.

use std::borrow::Cow;

use latimer_protocol::turn::{Content, Image};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::read::{At, field, given, list, object, required};

/// A part of any kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thought: Option<&'a RawValue>,
    #[serde(borrow, alias = "thought_signature")]
    pub(super) thought_signature: Option<&'a RawValue>,
    #[serde(borrow, alias = "function_call")]
    pub(super) function_call: Option<&'a RawValue>,
    #[serde(borrow, alias = "function_response")]
    pub(super) function_response: Option<&'a RawValue>,
    #[serde(borrow, alias = "inline_data")]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow, alias = "file_data")]
    file_data: Option<&'a RawValue>,
    #[serde(borrow, alias = "executable_code")]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow, alias = "code_execution_result")]
    code_execution_result: Option<&'a RawValue>,
}

/// A call.
#[derive(Deserialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
}

/// What a function answered.
#[derive(Deserialize)]
pub(super) struct FunctionResponse<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    #[serde(borrow, alias = "mime_type")]
    mime_type: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, alias = "file_uri")]
    file_uri: Option<&'a RawValue>,
    #[serde(borrow, alias = "display_name")]
    display_name: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Code<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

/// What a part shows, when it is neither words nor a call; `None` for a kind that nobody knows.
pub(super) fn content(
    part: &Part<'_>,
    at: &At<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Content>, BadRequest> {
    if let Some(raw) = given(part.inline_data) {
        return inline(raw, &at.field("inlineData")).map(Some);
    }
    if let Some(raw) = given(part.file_data) {
        return file(raw, &at.field("fileData"), notes).map(Some);
    }
    if let Some(raw) = given(part.executable_code) {
        let at = at.field("executableCode");
        let code: Code<'_> = object(raw, &at)?;
        let code: Cow<'_, str> = required(code.code, &at.field("code"), "a string")?;
        return Ok(Some(Content::Text(format!("Code that was run:\n```\n{code}\n```\n"))));
    }
    if let Some(raw) = given(part.code_execution_result) {
        let at = at.field("codeExecutionResult");
        let code: Code<'_> = object(raw, &at)?;
        let output: Cow<'_, str> = field(code.output, &at.field("output"), "a string")?.unwrap_or_default();
        return Ok(Some(Content::Text(format!("What it printed:\n```\n{output}\n```\n"))));
    }
    Ok(None)
}

/// Data that is here: a picture, or a file.
fn inline(raw: &RawValue, at: &At<'_>) -> Result<Content, BadRequest> {
    let blob: Blob<'_> = object(raw, at)?;
    let data: Cow<'_, str> = required(blob.data, &at.field("data"), "base64 text")?;
    let mime: Cow<'_, str> = required(blob.mime_type, &at.field("mimeType"), "a media type")?;
    let mut url = String::with_capacity(mime.len() + data.len() + 13);
    url.push_str("data:");
    url.push_str(&mime);
    url.push_str(";base64,");
    // The alphabet for URLs is taken here and by few others.
    if data.contains(['-', '_']) {
        url.extend(data.chars().map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        }));
    } else {
        url.push_str(&data);
    }
    if mime.starts_with("image/") {
        return Ok(Content::Image(Image { url, detail: None }));
    }
    let name = field(blob.display_name, &at.field("displayName"), "a string")?;
    Ok(Content::File { name, data_url: url })
}

/// Data that is elsewhere. Pictures have addresses upstream too; everything else is at Google, or would have to be fetched.
fn file(raw: &RawValue, at: &At<'_>, notes: &mut Vec<String>) -> Result<Content, BadRequest> {
    let blob: Blob<'_> = object(raw, at)?;
    let uri: String = required(blob.file_uri, &at.field("fileUri"), "an address")?;
    let mime: Option<Cow<'_, str>> = field(blob.mime_type, &at.field("mimeType"), "a media type")?;
    let at_google = uri.starts_with("https://generativelanguage.googleapis.com/");
    let is_picture = mime.as_deref().is_some_and(|mime| mime.starts_with("image/"));
    if uri.starts_with("https://") && is_picture && !at_google {
        return Ok(Content::Image(Image { url: uri, detail: None }));
    }
    notes.push("a file that is given by its address was replaced by a note: latimer fetches none".to_owned());
    Ok(Content::Text(format!("(a file stood here that could not be passed on: {uri})")))
}

/// What a function answered: its text, then the pictures and files beside it.
pub(super) fn output(
    wire: &FunctionResponse<'_>,
    at: &At<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<Content>, BadRequest> {
    let mut content = Vec::new();
    if let Some(raw) = given(wire.response) {
        content.push(Content::Text(answer(raw)));
    }
    let at = at.field("parts");
    let parts: Vec<Part<'_>> = list(wire.parts, &at, "a list of parts")?;
    for (place, part) in parts.iter().enumerate() {
        let at = at.index(place);
        if let Some(text) = field::<String>(part.text, &at.field("text"), "a string")? {
            content.push(Content::Text(text));
        } else if let Some(seen) = self::content(part, &at, notes)? {
            content.push(seen);
        } else {
            notes.push("a part of a function's answer was left out: nobody knows its kind".to_owned());
        }
    }
    Ok(content)
}

/// The words of an answer. This protocol takes objects only, so clients wrap words in one; everything else is its JSON.
fn answer(raw: &RawValue) -> String {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped {
        #[serde(alias = "result", alias = "content")]
        output: String,
    }
    let text = raw.get();
    let words = match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<Wrapped>(text).ok().map(|wrapped| wrapped.output),
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
