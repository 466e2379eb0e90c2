//! The conversation as Chat Completions messages. Pure.

use std::borrow::Cow;

use latimer_protocol::chat::request::{
    ChatCall, ChatCallFunction, ChatContent, ChatFile, ChatImageUrl, ChatMessage, ChatPart,
};
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, Note, ReasoningItem, Role, StateOwner, TurnRequest,
};
use serde_json::Value;

use super::quirks::{Echo, Quirks};
use crate::arguments;
use crate::pairing::{NO_OUTPUT, PairedItem, orphan_text, pair};
use crate::tool_names::ToolNames;
use crate::wording;

/// All messages of a turn, in the order and with the roles that the provider takes. `owner` is whose opaque state may go out;
/// `preamble` stands before everything else.
pub(super) fn messages<'a>(
    turn: &'a TurnRequest,
    quirks: &Quirks,
    owner: &StateOwner,
    names: &ToolNames,
    preamble: Option<&str>,
    notes: &mut Vec<Note>,
) -> Vec<ChatMessage<'a>> {
    let mut writer = ChatMessageWriter {
        quirks,
        owner,
        names,
        messages: Vec::with_capacity(turn.items.len() + 1),
        thoughts: Vec::new(),
        images: Vec::new(),
    };
    writer.messages.extend(preamble.map(|text| ChatMessage {
        role: "system",
        content: ChatContent::Text(Cow::Owned(text.to_owned())),
        ..ChatMessage::default()
    }));
    for step in pair(&turn.items, notes) {
        writer.step(step);
    }
    writer.flush_images();
    let mut messages = arrange(writer.messages, quirks);
    if !messages.iter().any(|message| message.role == "user") {
        notes.push(Note::request("a turn of the person's was put in: the conversation had none"));
        put_user_in(&mut messages);
    }
    messages
}

/// Templates of some models refuse a conversation in which the person says nothing.
fn put_user_in(messages: &mut Vec<ChatMessage<'_>>) {
    let place = messages.iter().take_while(|message| !matches!(message.role, "assistant" | "tool")).count();
    let text = if place == messages.len() { wording::CONTINUE } else { wording::CONVERSATION_SO_FAR };
    let content = ChatContent::Text(Cow::Borrowed(text));
    messages.insert(place, ChatMessage { role: "user", content, ..ChatMessage::default() });
}

struct ChatMessageWriter<'a, 'n> {
    quirks: &'n Quirks,
    owner: &'n StateOwner,
    names: &'n ToolNames,
    messages: Vec<ChatMessage<'a>>,
    /// Thoughts that wait for the assistant message they belong to.
    thoughts: Vec<&'a ReasoningItem>,
    /// Pictures of tool outputs that wait for the end of the run of outputs.
    images: Vec<ChatPart<'a>>,
}

impl<'a> ChatMessageWriter<'a, '_> {
    fn step(&mut self, step: PairedItem<'a>) {
        if !matches!(step, PairedItem::Output(..)) {
            self.flush_images();
        }
        match step {
            PairedItem::Item(Item::Message(message)) => self.message(message),
            PairedItem::Item(Item::Reasoning(reasoning)) => self.thoughts.push(reasoning),
            PairedItem::Item(_) => {}
            PairedItem::Call(call, id) => self.call(call, id),
            PairedItem::Output(output, id) => self.output(output, id),
            PairedItem::Orphan(output) => self.orphan_text(output),
        }
    }

    fn message(&mut self, message: &'a Message) {
        let content = content(&message.content, self.quirks.images);
        if matches!(&content, ChatContent::Text(text) if text.is_empty()) {
            return;
        }
        if message.role != Role::Assistant {
            self.flush_thoughts();
            let role = match message.role {
                Role::System if self.quirks.developer_role => "developer",
                Role::System => "system",
                _ => "user",
            };
            return self.messages.push(ChatMessage { role, content, ..ChatMessage::default() });
        }
        let mut wire = ChatMessage { role: "assistant", content, ..ChatMessage::default() };
        self.attach_thoughts(&mut wire, self.quirks.echo != Echo::WithCalls);
        self.messages.push(wire);
    }

    fn call(&mut self, call: &'a Call, id: String) {
        let wire = ChatCall {
            id: self.id(id),
            kind: "function",
            function: ChatCallFunction {
                name: Cow::Owned(self.names.allowed_name(&call.name).into_owned()),
                arguments: arguments::object_text(&call.arguments),
            },
        };
        let extends = self.messages.last().is_some_and(|last| last.role == "assistant");
        if !extends {
            let content = if self.quirks.null_content {
                ChatContent::Null
            } else {
                ChatContent::Text(Cow::Borrowed(""))
            };
            self.messages.push(ChatMessage { role: "assistant", content, ..ChatMessage::default() });
        }
        let Some(mut last) = self.messages.pop() else { return };
        self.attach_thoughts(&mut last, true);
        last.tool_calls.push(wire);
        self.messages.push(last);
    }

    fn output(&mut self, output: Option<&'a CallOutput>, id: String) {
        let parts = output.map_or(&[][..], |output| output.content.as_slice());
        let mut text = join_text(parts);
        let images: Vec<ChatPart<'a>> = parts.iter().filter_map(image_part).collect();
        let content = if images.is_empty() {
            if output.is_none() {
                text = Cow::Borrowed(NO_OUTPUT);
            }
            ChatContent::Text(text)
        } else if !self.quirks.images {
            ChatContent::Text(without_images(parts))
        } else if self.quirks.tool_images {
            content(parts, true)
        } else {
            if text.is_empty() {
                text = Cow::Borrowed("(an image; it follows in the next message)");
            }
            self.images.extend(images);
            ChatContent::Text(text)
        };
        let tool_call_id = Some(self.id(id));
        self.messages.push(ChatMessage { role: "tool", content, tool_call_id, ..ChatMessage::default() });
    }

    fn orphan_text(&mut self, output: &'a CallOutput) {
        let text = orphan_text(output);
        self.messages.push(ChatMessage {
            role: "user",
            content: ChatContent::Text(Cow::Owned(text)),
            ..ChatMessage::default()
        });
    }

    /// Pictures of a run of outputs go into one user message behind it.
    fn flush_images(&mut self) {
        if self.images.is_empty() {
            return;
        }
        let mut parts = vec![ChatPart::Text { text: Cow::Borrowed("Images from the tool output above:") }];
        parts.append(&mut self.images);
        self.messages.push(ChatMessage {
            role: "user",
            content: ChatContent::Parts(parts),
            ..ChatMessage::default()
        });
    }

    /// Thoughts that no message claimed belong to nothing the provider knows.
    fn flush_thoughts(&mut self) {
        self.thoughts.clear();
    }

    fn attach_thoughts(&mut self, wire: &mut ChatMessage<'a>, wanted: bool) {
        if !wanted || self.thoughts.is_empty() {
            return;
        }
        let thoughts = std::mem::take(&mut self.thoughts);
        let text = || {
            thoughts
                .iter()
                .map(|item| item.text.as_str())
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("\n\n")
        };
        match self.quirks.echo {
            Echo::Never => {}
            Echo::WithCalls | Echo::Always => wire.reasoning_content = Some(text()),
            Echo::Details => {
                // Only what this provider and model made goes back to it.
                let own = thoughts
                    .iter()
                    .filter_map(|item| item.opaque.as_ref())
                    .filter(|opaque| opaque.owner == *self.owner);
                let details: Vec<Value> = own
                    .filter_map(|opaque| serde_json::from_str::<Vec<Value>>(&opaque.data).ok())
                    .flatten()
                    .collect();
                if details.is_empty() {
                    wire.reasoning = Some(text()).filter(|text| !text.is_empty());
                } else {
                    wire.reasoning_details = Some(Value::Array(details));
                }
            }
        }
    }

    /// Nine alphanumerics where the provider insists: the same id always gives the same nine.
    fn id(&self, id: String) -> Cow<'a, str> {
        if !self.quirks.nine_character_call_ids
            || (id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            return Cow::Owned(id);
        }
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut hash = wording::fnv1a(wording::FNV_SEED, id.bytes());
        let nine = std::iter::repeat_with(|| {
            let letter = ALPHABET.get((hash % 62) as usize).copied().unwrap_or(b'A');
            hash /= 62;
            char::from(letter)
        });
        Cow::Owned(nine.take(9).collect())
    }
}

fn content(parts: &[Content], images: bool) -> ChatContent<'_> {
    if parts.iter().all(|part| matches!(part, Content::Text(_) | Content::Refusal(_))) {
        return ChatContent::Text(join_text(parts));
    }
    if !images {
        return ChatContent::Text(without_images(parts));
    }
    let wire = parts.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => {
            (!text.is_empty()).then_some(ChatPart::Text { text: Cow::Borrowed(text) })
        }
        other => image_part(other),
    });
    ChatContent::Parts(wire.collect())
}

fn join_text(parts: &[Content]) -> Cow<'_, str> {
    let mut texts = parts.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        Content::Image(_) | Content::File { .. } => None,
    });
    let Some(first) = texts.next() else { return Cow::Borrowed("") };
    texts.fold(Cow::Borrowed(first), |joined, text| Cow::Owned(format!("{joined}\n{text}")))
}

fn without_images(parts: &[Content]) -> Cow<'_, str> {
    let texts: Vec<&str> = parts
        .iter()
        .map(|part| match part {
            Content::Text(text) | Content::Refusal(text) => text.as_str(),
            Content::Image(_) | Content::File { .. } => wording::IMAGE_PLACEHOLDER,
        })
        .collect();
    Cow::Owned(texts.join("\n"))
}

fn image_part(part: &Content) -> Option<ChatPart<'_>> {
    match part {
        Content::Image(image) => Some(ChatPart::ImageUrl {
            image_url: ChatImageUrl {
                url: &image.url,
                // `original` is OpenAI's alone.
                detail: image
                    .detail
                    .as_deref()
                    .map(|detail| if detail == "original" { "high" } else { detail }),
            },
        }),
        Content::File { name, data_url } => {
            Some(ChatPart::File { file: ChatFile { filename: name.as_deref(), file_data: data_url } })
        }
        Content::Text(_) | Content::Refusal(_) => None,
    }
}

/// System texts to where the provider takes them, and strict alternation where it insists.
fn arrange<'a>(messages: Vec<ChatMessage<'a>>, quirks: &Quirks) -> Vec<ChatMessage<'a>> {
    let mut arranged: Vec<ChatMessage<'a>> = Vec::with_capacity(messages.len());
    for mut message in messages {
        let is_system = matches!(message.role, "system" | "developer");
        let leading = arranged.iter().all(|earlier| matches!(earlier.role, "system" | "developer"));
        if is_system && quirks.single_system && !leading {
            message.role = "user";
        }
        let merges = (is_system && quirks.single_system && leading) || quirks.alternate_roles;
        match arranged.last_mut() {
            Some(last)
                if merges
                    && last.role == message.role
                    && message.role != "tool"
                    && last.tool_calls.is_empty() =>
            {
                append(&mut last.content, message.content);
                last.tool_calls = message.tool_calls;
            }
            _ => arranged.push(message),
        }
    }
    arranged
}

fn append<'a>(content: &mut ChatContent<'a>, more: ChatContent<'a>) {
    let parts = |content: ChatContent<'a>| match content {
        ChatContent::Null => Vec::new(),
        ChatContent::Text(text) => vec![ChatPart::Text { text }],
        ChatContent::Parts(parts) => parts,
    };
    *content = match (std::mem::take(content), more) {
        (ChatContent::Null, more) => more,
        (content, ChatContent::Null) => content,
        (ChatContent::Text(first), ChatContent::Text(second)) => {
            ChatContent::Text(Cow::Owned(format!("{first}\n\n{second}")))
        }
        (first, second) => ChatContent::Parts(parts(first).into_iter().chain(parts(second)).collect()),
    };
}
