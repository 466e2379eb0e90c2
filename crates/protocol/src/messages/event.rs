//! What an upstream sends: events of a stream, or one whole message.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{LenientCount, LenientList, LenientObject, LenientText};

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagesEventKind {
    /// `message_start`.
    MessageStart,
    /// `content_block_start`.
    BlockStart,
    /// `content_block_delta`.
    BlockDelta,
    /// `content_block_stop`.
    BlockStop,
    /// `message_delta`.
    MessageDelta,
    /// `message_stop`.
    MessageStop,
    /// `message`: a whole message, from a server that does not stream.
    Message,
    /// Anything else, and nothing at all.
    Other,
}

impl MessagesEventKind {
    /// The kind of this name.
    pub fn of(name: &str) -> Self {
        match name {
            "message_start" => Self::MessageStart,
            "content_block_start" => Self::BlockStart,
            "content_block_delta" => Self::BlockDelta,
            "content_block_stop" => Self::BlockStop,
            "message_delta" => Self::MessageDelta,
            "message_stop" => Self::MessageStop,
            "message" => Self::Message,
            _ => Self::Other,
        }
    }
}

/// One event of a stream; a whole message has the fields of [`MessagesEvent::content`] and below.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct MessagesEvent<'a> {
    /// `message_start`, `content_block_delta` and so on; `message` for a whole message.
    #[serde(default, rename = "type")]
    pub kind: LenientText<'a>,
    /// Which block an event is about.
    #[serde(default)]
    pub index: LenientCount,
    /// The message that begins, with the tokens it read.
    #[serde(default)]
    pub message: LenientObject<MessagesStart>,
    /// The block that begins.
    #[serde(default)]
    pub content_block: LenientObject<MessagesBlock<'a>>,
    /// A piece of a block, or how the message ended.
    #[serde(default)]
    pub delta: LenientObject<MessagesDelta<'a>>,
    /// Tokens so far.
    #[serde(default)]
    pub usage: LenientObject<MessagesUsage>,
    /// A failure, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
    /// All blocks of a whole message.
    #[serde(default)]
    pub content: LenientList<MessagesBlock<'a>>,
    /// How a whole message ended.
    #[serde(default)]
    pub stop_reason: LenientText<'a>,
}

/// The beginning of a message.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct MessagesStart {
    /// Tokens read.
    #[serde(default)]
    pub usage: LenientObject<MessagesUsage>,
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagesBlockKind {
    /// `text`.
    Text,
    /// `thinking`.
    Thinking,
    /// `redacted_thinking`.
    RedactedThinking,
    /// `tool_use`.
    ToolUse,
    /// Anything else, and nothing at all.
    Other,
}

impl MessagesBlockKind {
    /// The kind of this name.
    pub fn of(name: &str) -> Self {
        match name {
            "text" => Self::Text,
            "thinking" => Self::Thinking,
            "redacted_thinking" => Self::RedactedThinking,
            "tool_use" => Self::ToolUse,
            _ => Self::Other,
        }
    }
}

/// A block at its beginning, or a whole one.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct MessagesBlock<'a> {
    /// `text`, `thinking`, `redacted_thinking`, `tool_use`, `server_tool_use` and others.
    #[serde(default, rename = "type")]
    pub kind: LenientText<'a>,
    /// Words.
    #[serde(default)]
    pub text: LenientText<'a>,
    /// Thoughts.
    #[serde(default)]
    pub thinking: LenientText<'a>,
    /// Proves that the thoughts are the provider's.
    #[serde(default)]
    pub signature: LenientText<'a>,
    /// Thoughts that are not shown.
    #[serde(default)]
    pub data: LenientText<'a>,
    /// Links a call to its result.
    #[serde(default)]
    pub id: LenientText<'a>,
    /// The tool.
    #[serde(default)]
    pub name: LenientText<'a>,
    /// The arguments, whole; `{}` at the beginning of a streamed call.
    #[serde(default, borrow)]
    pub input: Option<&'a RawValue>,
}

/// A piece of a block, or how the message ended.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct MessagesDelta<'a> {
    /// Words.
    #[serde(default)]
    pub text: LenientText<'a>,
    /// Arguments, JSON text.
    #[serde(default)]
    pub partial_json: LenientText<'a>,
    /// Thoughts.
    #[serde(default)]
    pub thinking: LenientText<'a>,
    /// Proves that the thoughts are the provider's.
    #[serde(default)]
    pub signature: LenientText<'a>,
    /// Why the message ended.
    #[serde(default)]
    pub stop_reason: LenientText<'a>,
}

/// Tokens, as this provider counts them: cached input is not part of `input_tokens`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct MessagesUsage {
    /// Input that was neither read from nor written to a cache.
    #[serde(default)]
    pub input_tokens: LenientCount,
    /// Input written to a cache.
    #[serde(default)]
    pub cache_creation_input_tokens: LenientCount,
    /// Input read from a cache.
    #[serde(default)]
    pub cache_read_input_tokens: LenientCount,
    /// Output, thoughts included.
    #[serde(default)]
    pub output_tokens: LenientCount,
}
