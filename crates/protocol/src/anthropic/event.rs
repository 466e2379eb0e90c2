//! What an upstream sends: events of a stream, or one whole message.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::chunk::{Count, List, Object, Text};

/// One event of a stream; a whole message has the fields of [`Event::content`] and below.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Event<'a> {
    /// `message_start`, `content_block_delta` and so on; `message` for a whole message.
    #[serde(default, rename = "type")]
    pub kind: Text<'a>,
    /// Which block an event is about.
    #[serde(default)]
    pub index: Count,
    /// The message that begins, with the tokens it read.
    #[serde(default)]
    pub message: Object<Head>,
    /// The block that begins.
    #[serde(default)]
    pub content_block: Object<Block<'a>>,
    /// A piece of a block, or how the message ended.
    #[serde(default)]
    pub delta: Object<Delta<'a>>,
    /// Tokens so far.
    #[serde(default)]
    pub usage: Object<WireUsage>,
    /// A failure, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
    /// All blocks of a whole message.
    #[serde(default)]
    pub content: List<Block<'a>>,
    /// How a whole message ended.
    #[serde(default)]
    pub stop_reason: Text<'a>,
}

/// The beginning of a message.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct Head {
    /// Tokens read.
    #[serde(default)]
    pub usage: Object<WireUsage>,
}

/// A block at its beginning, or a whole one.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Block<'a> {
    /// `text`, `thinking`, `redacted_thinking`, `tool_use`, `server_tool_use` and others.
    #[serde(default, rename = "type")]
    pub kind: Text<'a>,
    /// Words.
    #[serde(default)]
    pub text: Text<'a>,
    /// Thoughts.
    #[serde(default)]
    pub thinking: Text<'a>,
    /// Proves that the thoughts are the provider's.
    #[serde(default)]
    pub signature: Text<'a>,
    /// Thoughts that are not shown.
    #[serde(default)]
    pub data: Text<'a>,
    /// Links a call to its result.
    #[serde(default)]
    pub id: Text<'a>,
    /// The tool.
    #[serde(default)]
    pub name: Text<'a>,
    /// The arguments, whole; `{}` at the beginning of a streamed call.
    #[serde(default, borrow)]
    pub input: Option<&'a RawValue>,
}

/// A piece of a block, or how the message ended.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Delta<'a> {
    /// Words.
    #[serde(default)]
    pub text: Text<'a>,
    /// Arguments, JSON text.
    #[serde(default)]
    pub partial_json: Text<'a>,
    /// Thoughts.
    #[serde(default)]
    pub thinking: Text<'a>,
    /// Proves that the thoughts are the provider's.
    #[serde(default)]
    pub signature: Text<'a>,
    /// Why the message ended.
    #[serde(default)]
    pub stop_reason: Text<'a>,
}

/// Tokens, as this provider counts them: cached input is not part of `input_tokens`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct WireUsage {
    /// Input that was neither read from nor written to a cache.
    #[serde(default)]
    pub input_tokens: Count,
    /// Input written to a cache.
    #[serde(default)]
    pub cache_creation_input_tokens: Count,
    /// Input read from a cache.
    #[serde(default)]
    pub cache_read_input_tokens: Count,
    /// Output, thoughts included.
    #[serde(default)]
    pub output_tokens: Count,
}
