//! The conversation as alternating turns of blocks. Pure.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latimer_protocol::messages::request::{MessagesBlockParam, MessagesMessage, MessagesSource};
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, Note, ReasoningItem, Role, StateOwner,
};
use serde_json::value::RawValue;

use crate::arguments;
use crate::limitation::{Limitation, Limitations};
use crate::pairing::{NO_OUTPUT, PairedItem, orphan_text};
use crate::tool_names::ToolNames;
use crate::wording;

/// Pictures the provider sees.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// How calls of the history go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallForm {
    /// As blocks.
    Blocks,
    /// As words: the provider takes no tools.
    Words,
}

/// Collects the turns.
pub(super) struct MessagesWriter<'a, 'n> {
    owner: &'n StateOwner,
    names: &'n ToolNames,
    images: bool,
    signatures: bool,
    calls: CallForm,
    notes: &'n mut Vec<Note>,
    messages: Vec<MessagesMessage<'a>>,
}

impl<'a, 'n> MessagesWriter<'a, 'n> {
    pub(super) fn new(
        owner: &'n StateOwner,
        names: &'n ToolNames,
        limitations: &Limitations,
        notes: &'n mut Vec<Note>,
    ) -> Self {
        let images = !limitations.has(Limitation::NoImages);
        let signatures = !limitations.has(Limitation::NoSignatures);
        let calls = if limitations.has(Limitation::NoTools) { CallForm::Words } else { CallForm::Blocks };
        Self { owner, names, images, signatures, calls, notes, messages: Vec::new() }
    }

    pub(super) fn step(&mut self, step: PairedItem<'a>) {
        match step {
            PairedItem::Item(Item::Message(message)) => self.message(message),
            PairedItem::Item(Item::Reasoning(thoughts)) => self.thoughts(thoughts),
            PairedItem::Item(_) => {}
            PairedItem::Call(call, id) => self.call(call, &id),
            PairedItem::Output(output, id) => self.output(output, &id),
            PairedItem::Orphan(output) => {
                self.push(
                    "user",
                    MessagesBlockParam::Text { text: orphan_text(output).into(), cache_control: None },
                );
            }
        }
    }

    /// The turns; never empty, the person first and last.
    pub(super) fn finish(mut self) -> Vec<MessagesMessage<'a>> {
        // Thoughts alone are no turn: an answer that was cut off before its first word.
        self.messages.retain(|message| {
            !message.content.iter().all(|block| matches!(block, MessagesBlockParam::Own(_)))
        });
        let mut turns: Vec<MessagesMessage<'a>> = Vec::with_capacity(self.messages.len() + 2);
        for message in self.messages {
            match turns.last_mut() {
                Some(last) if last.role == message.role => last.content.extend(message.content),
                _ => turns.push(message),
            }
        }
        let says = |text: &'static str| MessagesMessage {
            role: "user",
            content: vec![MessagesBlockParam::Text { text: text.into(), cache_control: None }],
        };
        if turns.first().is_none_or(|first| first.role != "user") {
            turns.insert(0, says(wording::CONVERSATION_SO_FAR));
        }
        if turns.last().is_some_and(|last| last.role == "assistant") {
            self.notes.push(Note::request(
                "the conversation ended with the model's own words; it was asked to continue",
            ));
            turns.push(says(wording::CONTINUE));
        }
        turns
    }

    fn push(&mut self, role: &'static str, block: MessagesBlockParam<'a>) {
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.content.push(block),
            _ => self.messages.push(MessagesMessage { role, content: vec![block] }),
        }
    }

    fn message(&mut self, message: &'a Message) {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        for part in &message.content {
            match part {
                Content::Text(_) | Content::Refusal(_) => {
                    if let Some(block) = text(part) {
                        self.push(role, block);
                    }
                }
                Content::Image(_) | Content::File { .. } => {
                    let block = self.image_or_note(part);
                    self.push(role, block);
                }
            }
        }
    }

    /// Thoughts go back only to the one who made them, as they were.
    fn thoughts(&mut self, thoughts: &'a ReasoningItem) {
        let own = thoughts.opaque.as_ref().filter(|opaque| opaque.owner == *self.owner && self.signatures);
        let raw = own.and_then(|opaque| serde_json::from_str::<Box<RawValue>>(&opaque.data).ok());
        match raw {
            Some(raw) => self.push("assistant", MessagesBlockParam::Own(raw)),
            None if thoughts.opaque.is_some() => {
                self.notes.push(Note::request("thoughts of another model or provider were left out"));
            }
            None => {}
        }
    }

    fn call(&mut self, call: &'a Call, id: &str) {
        if self.calls == CallForm::Words {
            let text = format!("(I called the tool `{}` with {})", call.name, call.arguments);
            return self
                .push("assistant", MessagesBlockParam::Text { text: text.into(), cache_control: None });
        }
        let block = MessagesBlockParam::ToolUse {
            id: safe_id(id),
            name: Cow::Owned(self.names.allowed_name(&call.name).into_owned()),
            input: arguments::object(&call.arguments),
        };
        self.push("assistant", block);
    }

    fn output(&mut self, output: Option<&'a CallOutput>, id: &str) {
        let parts = output.map_or(&[][..], |output| output.content.as_slice());
        let mut content: Vec<MessagesBlockParam<'a>> = Vec::new();
        for part in parts {
            match part {
                Content::Text(_) | Content::Refusal(_) => content.extend(text(part)),
                Content::Image(_) | Content::File { .. } => content.push(self.image_or_note(part)),
            }
        }
        if output.is_none() {
            content.push(MessagesBlockParam::Text { text: NO_OUTPUT.into(), cache_control: None });
        }
        if self.calls == CallForm::Words {
            let text = Cow::Borrowed("The tool answered:");
            self.push("user", MessagesBlockParam::Text { text, cache_control: None });
            return content.into_iter().for_each(|block| self.push("user", block));
        }
        let block = MessagesBlockParam::ToolResult {
            tool_use_id: safe_id(id),
            content,
            is_error: output.is_none(),
            cache_control: None,
        };
        self.push("user", block);
    }

    /// A picture or a file, or words in its place.
    fn image_or_note(&mut self, part: &'a Content) -> MessagesBlockParam<'a> {
        let block = if self.images { image_block(part) } else { None };
        block.unwrap_or_else(|| {
            self.notes.push(Note::request(wording::IMAGE_NOTE));
            MessagesBlockParam::Text { text: wording::IMAGE_PLACEHOLDER.into(), cache_control: None }
        })
    }
}

/// A block of words; `None` for blank ones, which the provider refuses.
pub(super) fn text(part: &Content) -> Option<MessagesBlockParam<'_>> {
    let (Content::Text(text) | Content::Refusal(text)) = part else { return None };
    (!text.trim().is_empty())
        .then(|| MessagesBlockParam::Text { text: Cow::Borrowed(text), cache_control: None })
}

fn image_block(part: &Content) -> Option<MessagesBlockParam<'_>> {
    match part {
        Content::Image(image) => {
            let source = match data_url(&image.url) {
                Some((media_type, data)) if IMAGE_TYPES.contains(&media_type) => {
                    MessagesSource::Base64 { media_type, data }
                }
                Some(_) => return None,
                None if image.url.starts_with("https://") => MessagesSource::Url { url: &image.url },
                None => return None,
            };
            Some(MessagesBlockParam::Image { source, cache_control: None })
        }
        Content::File { name, data_url: url } => {
            let (media_type, data) = data_url(url)?;
            let source = match media_type {
                "application/pdf" => MessagesSource::Base64 { media_type, data },
                media_type if media_type.starts_with("text/") || media_type == "application/json" => {
                    MessagesSource::Text {
                        media_type: "text/plain",
                        data: String::from_utf8(STANDARD.decode(data).ok()?).ok()?,
                    }
                }
                media_type if IMAGE_TYPES.contains(&media_type) => {
                    let source = MessagesSource::Base64 { media_type, data };
                    return Some(MessagesBlockParam::Image { source, cache_control: None });
                }
                _ => return None,
            };
            Some(MessagesBlockParam::Document { source, title: name.as_deref(), cache_control: None })
        }
        Content::Text(_) | Content::Refusal(_) => None,
    }
}

/// `data:<media type>[;…];base64,<data>`.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    Some((kind.split(';').next().unwrap_or(kind), data))
}

/// Ids hold letters, digits, `_` and `-`. A changed one gets a hash, so that two do not become one.
fn safe_id<'s>(id: &str) -> Cow<'s, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.chars().all(fits) {
        return Cow::Owned(id.to_owned());
    }
    let hash = wording::fnv1a(wording::FNV_SEED, id.bytes());
    let fitting: String = id.chars().map(|c| if fits(c) { c } else { '_' }).take(40).collect();
    Cow::Owned(format!("{fitting}_{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_safe_and_stay_apart() {
        assert_eq!(safe_id("call_1-A"), "call_1-A");
        let (a, b) = (safe_id("call:1"), safe_id("call.1"));
        assert!(a.starts_with("call_1_") && b.starts_with("call_1_") && a != b, "{a} {b}");
        assert!(!safe_id("").is_empty());
    }

    #[test]
    fn data_urls() {
        assert_eq!(data_url("data:image/png;base64,AA"), Some(("image/png", "AA")));
        assert_eq!(data_url("data:text/plain;charset=utf-8;base64,AA"), Some(("text/plain", "AA")));
        for url in ["https://x/y.png", "data:,x", "data:image/png,x", ""] {
            assert_eq!(data_url(url), None, "{url}");
        }
    }
}
