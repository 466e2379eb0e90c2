//! Whether a refusal is about a picture, and which one.

use serde_json::Value;

use super::{Certainty, Refusal, Teaching};
use crate::errors::{self, has_word};
use crate::limitation::Limitation;

/// The pictures that a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// It does not say which.
    All,
    /// The one at this place among all pictures of the request, counted from 0.
    Nth(usize),
}

/// Words for pictures and their forms in many languages, in lower case; parts of words count where a language joins them.
const WORDS: [&str; 34] = [
    "image",
    "images",
    "image_url",
    "input_image",
    "inline_data",
    "inlinedata",
    "picture",
    "pictures",
    "photo",
    "png",
    "jpeg",
    "jpg",
    "gif",
    "webp",
    "base64",
    "media type",
    "media_type",
    "mime type",
    "mime_type",
    "mimetype",
    "pixels",
    "vision",
    "image_parse_error",
    "invalid_image",
    "invalid_base64_image",
    "image_too_large",
    "unsupported_image",
    "data uri",
    "data url",
    "bild",
    "bilder",
    "imagen",
    "immagine",
    "imagem",
];
const PARTS: [&str; 22] = [
    "图片",
    "图像",
    "圖片",
    "画像",
    "이미지",
    "изображени",
    "картинк",
    "obraz",
    "obráz",
    "afbeelding",
    "görsel",
    "resim",
    "hình ảnh",
    "gambar",
    "εικόνα",
    "תמונה",
    "صورة",
    "รูปภาพ",
    "तस्वीर",
    "छवि",
    "зображення",
    "kép",
];
/// Refusals that say nothing at all. Gemini has the first one for a picture that it cannot read.
const VAGUE: [&str; 7] = [
    "contains an invalid argument",
    "invalid argument",
    "bad request",
    "invalid input",
    "invalid content",
    "malformed content",
    "unprocessable",
];
/// A longer refusal says something.
const MAX_VAGUE_LEN: usize = 80;

/// A refusal of pictures, where the request has some: in words that speak of them, or in words that say nothing, or not in a language
/// that is read here. That it was the picture shows when the request without it is taken.
pub(super) fn of(refusal: &Refusal<'_>) -> Option<Teaching> {
    if !refusal.features().has(Limitation::NoImages) && !has_picture(refusal.body()) {
        return None;
    }
    let nth = place(&format!("{} {}", refusal.param(), refusal.words.message))
        .and_then(|path| nth(refusal.body(), &path));
    let pictures = Teaching::Pictures(nth.map_or(Pictures::All, Pictures::Nth));
    let is_meant = speaks_of_pictures(&refusal.lower) || nth.is_some() || is_vague(refusal);
    (is_meant && !errors::is_policy(&refusal.lower)).then_some(pictures)
}

fn speaks_of_pictures(lower: &str) -> bool {
    has_word(lower, &WORDS) || PARTS.iter().any(|part| lower.contains(part))
}

fn is_vague(refusal: &Refusal<'_>) -> bool {
    let message = refusal.words.message.to_lowercase();
    let letters = |is_wanted: fn(&char) -> bool| {
        message.chars().filter(|c| c.is_alphabetic()).filter(is_wanted).count()
    };
    let is_foreign = letters(|c| !c.is_ascii()) > letters(char::is_ascii);
    let says_nothing = message.len() <= MAX_VAGUE_LEN && VAGUE.iter().any(|words| message.contains(words));
    refusal.certainty == Certainty::Certain && refusal.param().is_empty() && (is_foreign || says_nothing)
}

/// Whether a written request holds a picture, whatever protocol it is of.
pub(crate) fn has_picture(body: &str) -> bool {
    ["\"image_url\"", "\"input_image\"", "\"image\"", "\"inlineData\"", "\"inline_data\"", "\"fileData\""]
        .iter()
        .any(|name| memchr::memmem::find(body.as_bytes(), name.as_bytes()).is_some())
}

/// A name, or a place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathStep {
    Name(String),
    Index(usize),
}

/// The path in a text that leads into a list: `messages.0.content.1.image_url`, `input[2].content[0]`, `messages.[0].content`.
fn place(text: &str) -> Option<Vec<PathStep>> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '$' | '/');
    text.split(|c: char| !is_path(c)).find_map(|word| {
        let steps: Vec<PathStep> = word
            .split(['.', '[', ']', '/'])
            .filter(|step| !step.is_empty() && *step != "$" && *step != "body" && *step != "params")
            .map(|step| step.parse().map_or_else(|_| PathStep::Name(step.to_owned()), PathStep::Index))
            .collect();
        let starts = matches!(steps.first(), Some(PathStep::Name(name)) if ["messages", "input", "contents"].contains(&name.as_str()));
        (starts && steps.iter().any(|step| matches!(step, PathStep::Index(_)))).then_some(steps)
    })
}

/// Which picture of the request stands at this path, or below it where there is only one.
fn nth(body: &str, path: &[PathStep]) -> Option<usize> {
    let value: Value = serde_json::from_str(body).ok()?;
    let root = value.get("params").filter(|params| params.get("messages").is_some()).unwrap_or(&value);
    let mut at = root;
    let mut before = 0;
    for step in path {
        let next = match step {
            PathStep::Name(name) => at.get(name.as_str()),
            PathStep::Index(index) => {
                let list = at.as_array()?;
                before += list.iter().take(*index).map(count).sum::<usize>();
                list.get(*index)
            }
        };
        match next {
            Some(next) => at = next,
            // A name of the provider's own, such as the type of the part.
            None if matches!(step, PathStep::Name(_)) => break,
            None => return None,
        }
        if is_picture(at) {
            return Some(before);
        }
    }
    (count(at) == 1).then_some(before)
}

/// How many pictures a part of a request holds.
fn count(value: &Value) -> usize {
    if is_picture(value) {
        return 1;
    }
    match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn is_picture(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_image = |name: &str| {
        value.get(name).is_some_and(|data| {
            let mime = data.get("mimeType").or(data.get("mime_type")).and_then(Value::as_str);
            mime.is_none_or(|mime| mime.starts_with("image/"))
        })
    };
    matches!(kind, "image" | "image_url" | "input_image")
        || ["inlineData", "inline_data", "fileData", "file_data"].iter().any(|name| is_image(name))
}
