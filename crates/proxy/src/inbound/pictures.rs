//! Pictures of a request under the type that their bytes show, and a note in the place of one that nobody can read: for what a
//! conversation holds once comes again in every turn. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use latimer_adapters::fields::Fields;
use latimer_protocol::picture::{PictureCheck, PictureFault, check};
use latimer_protocol::turn::{Content, Item};
use memchr::memmem;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::notes::Notes;

/// Fields of a request that hold its conversation, in the protocols whose requests may go out as they came.
const CONVERSATIONS: [&str; 2] = ["messages", "input"];
/// Deeper values are not looked at.
const MAX_DEPTH: usize = 32;

/// Corrects the pictures of a conversation. Whether any was wrong: then the request as it came has to be corrected too.
pub(crate) fn correct(items: &mut [Item], notes: &mut Notes) -> bool {
    let mut any = false;
    for item in items {
        let content = match item {
            Item::Message(message) => &mut message.content,
            Item::Output(output) => &mut output.content,
            Item::Call(_) | Item::Reasoning(_) => continue,
        };
        for part in content {
            any |= correct_part(part, notes);
        }
    }
    any
}

fn correct_part(part: &mut Content, notes: &mut Notes) -> bool {
    match part {
        Content::Image(image) => match check(&image.url) {
            PictureCheck::Right => return false,
            PictureCheck::Renamed(url) => image.url = url,
            PictureCheck::Broken(fault) => *part = Content::Text(note(fault)),
        },
        Content::File { data_url, .. } if data_url.starts_with("data:image/") => match check(data_url) {
            PictureCheck::Renamed(url) => *data_url = url,
            PictureCheck::Right | PictureCheck::Broken(_) => return false,
        },
        Content::File { .. } | Content::Text(_) | Content::Refusal(_) => return false,
    }
    notes.add_once(
        "a picture went out under the type of its bytes, or was replaced by a note: nobody could read it",
    );
    true
}

/// What stands in the place of a picture that nobody can read.
fn note(fault: PictureFault) -> String {
    format!("(a picture stood here that cannot be read: {fault})")
}

/// The request as it came with its pictures corrected. Messages without such a picture stay byte for byte.
pub(crate) fn corrected_body(body: &Bytes) -> Bytes {
    let Ok(Fields(fields)) = serde_json::from_slice(body) else { return body.clone() };
    let fields = fields.iter().map(|(name, value)| {
        let is_conversation = CONVERSATIONS.contains(&name.as_ref());
        let value = if is_conversation { corrected_list(value) } else { Cow::Borrowed(value.get()) };
        format!("{}:{value}", Value::from(name.as_ref()))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(",")).into()
}

fn corrected_list(list: &RawValue) -> Cow<'_, str> {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
        return Cow::Borrowed(list.get());
    };
    let elements = elements.into_iter().map(|raw| {
        if memmem::find(raw.get().as_bytes(), b"base64").is_none() {
            return Cow::Borrowed(raw.get());
        }
        let mut value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        if correct_value(&mut value, 0) { Cow::Owned(value.to_string()) } else { Cow::Borrowed(raw.get()) }
    });
    Cow::Owned(format!("[{}]", elements.collect::<Vec<_>>().join(",")))
}

/// Corrects the pictures below a value of any protocol; whether there was one.
fn correct_value(value: &mut Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::Array(values) => {
            values.iter_mut().fold(false, |any, value| correct_value(value, depth + 1) | any)
        }
        Value::Object(fields) => {
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
            let words = if kind == "input_image" { "input_text" } else { "text" };
            // What a model wrote into a call is its own.
            if matches!(kind, "tool_use" | "server_tool_use") {
                return false;
            }
            let checked = match kind {
                "image" => fields.get_mut("source").and_then(correct_source),
                "image_url" | "input_image" => fields.get_mut("image_url").and_then(correct_url),
                _ => {
                    let values = fields.values_mut();
                    return values.fold(false, |any, value| correct_value(value, depth + 1) | any);
                }
            };
            if let Some(PictureCheck::Broken(fault)) = checked {
                *value = json!({ "type": words, "text": note(fault) });
            }
            checked.is_some()
        }
        _ => false,
    }
}

/// `image_url` as an address or as an object with one. `None` where it was right.
fn correct_url(field: &mut Value) -> Option<PictureCheck> {
    let field = if field.is_object() { field.get_mut("url")? } else { field };
    let checked = check(field.as_str()?);
    if let PictureCheck::Renamed(url) = &checked {
        *field = json!(url);
    }
    (checked != PictureCheck::Right).then_some(checked)
}

/// The `source` of Messages. `None` where it was right.
fn correct_source(source: &mut Value) -> Option<PictureCheck> {
    let text = |key| source.get(key).and_then(Value::as_str);
    if text("type") != Some("base64") {
        return None;
    }
    let url = format!("data:{};base64,{}", text("media_type").unwrap_or_default(), text("data")?);
    let checked = check(&url);
    if let PictureCheck::Renamed(url) = &checked {
        let (head, data) = url.split_once(";base64,")?;
        source["media_type"] = json!(head.trim_start_matches("data:"));
        source["data"] = json!(data);
    }
    (checked != PictureCheck::Right).then_some(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;
    use latimer_protocol::turn::{CallOutput, Image, Message, Role};

    const PNG: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    #[test]
    fn pictures_of_messages_and_of_outputs_are_corrected() {
        let url = |kind: &str, data: &str| format!("data:{kind};base64,{data}");
        let image = |url: String| Content::Image(Image { url, detail: Some("low".to_owned()) });
        let wrong = || {
            vec![
                image(url("image/jpeg", PNG)),
                image(url("image/png", "{}")),
                image("https://x/y.jpg".to_owned()),
            ]
        };
        let mut items = [
            Item::Message(Message { role: Role::User, content: wrong() }),
            Item::Output(CallOutput { id: CallId::from("c"), content: wrong() }),
        ];
        let mut notes = Notes::default();
        assert!(correct(&mut items, &mut notes));
        let right = vec![
            image(url("image/png", PNG)),
            Content::Text("(a picture stood here that cannot be read: it is not base64)".to_owned()),
            image("https://x/y.jpg".to_owned()),
        ];
        let want = [
            Item::Message(Message { role: Role::User, content: right.clone() }),
            Item::Output(CallOutput { id: CallId::from("c"), content: right }),
        ];
        assert_eq!(items, want);
        assert_eq!(notes.len(), 1);
        assert!(!correct(&mut items, &mut notes), "once is enough");
    }

    #[test]
    fn requests_as_they_came_are_corrected_in_every_protocol() {
        let body = |wrong: bool| {
            let kind = if wrong { "image/jpeg" } else { "image/png" };
            let broken = |kind: &str, broken: Value| {
                if wrong {
                    broken
                } else {
                    json!({ "type": kind, "text": "(a picture stood here that cannot be read: it is empty)" })
                }
            };
            let chat = json!([{ "type": "image_url", "image_url": { "url": format!("data:{kind};base64,{PNG}") } }, broken("text", json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64," } }))]);
            let source = json!({ "type": "image", "source": { "type": "base64", "media_type": kind, "data": PNG }, "cache_control": { "type": "ephemeral" } });
            let messages = json!([{ "type": "tool_result", "content": [source] }, { "type": "tool_use", "input": { "type": "image", "source": { "type": "base64", "media_type": "x", "data": PNG } } }, broken("text", json!({ "type": "image", "source": { "type": "base64", "data": "" } }))]);
            let output = json!({ "type": "function_call_output", "output": [{ "type": "input_image", "image_url": format!("data:{kind};base64,{PNG}") }, broken("input_text", json!({ "type": "input_image", "image_url": "data:;base64," }))] });
            format!(
                r#"{{"model":"m","messages":[{{"content" : "base64","n":1.0e3}},{},{}],"input":[{output}],"tools":[1.0e3]}}"#,
                json!({ "role": "user", "content": chat }),
                json!({ "role": "user", "content": messages }),
            )
        };
        let corrected = corrected_body(&body(true).into());
        assert_eq!(String::from_utf8_lossy(&corrected), body(false));
        assert_eq!(corrected_body(&Bytes::from_static(b"[]")), "[]");
    }
}
