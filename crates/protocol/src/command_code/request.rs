//! What goes to an upstream. Borrowed throughout.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The body of `alpha/generate`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandCodeRequest<'a> {
    /// The turn itself; stands first, before everything that may hold a key of the same name.
    pub params: CommandCodeParams<'a>,
    /// What the vendor's own client says of its surroundings: nothing here.
    pub config: Value,
    /// Of the vendor's own client.
    pub memory: &'static str,
    /// Of the vendor's own client.
    pub taste: &'static str,
    /// Of the vendor's own client.
    pub skills: &'static str,
    /// A UUID, the same for a whole conversation.
    pub thread_id: String,
}

/// The turn.
#[derive(Debug, Serialize)]
pub struct CommandCodeParams<'a> {
    /// The conversation.
    pub messages: Vec<CommandCodeMessage<'a>>,
    /// The model's name.
    pub model: &'a str,
    /// Always true.
    pub stream: bool,
    /// The most tokens.
    pub max_tokens: u64,
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The base prompt, in the structured form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the model may call; empty in the form of plain strings.
    pub tools: Vec<CommandCodeTool<'a>>,
    /// How hard to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<&'a str>,
}

/// What one speaker says, or what a tool answered.
#[derive(Debug, Clone, Serialize)]
pub struct CommandCodeMessage<'a> {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// A string, or blocks.
    pub content: CommandCodeContent<'a>,
}

/// What a message holds.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum CommandCodeContent<'a> {
    /// The form of plain strings.
    Text(Cow<'a, str>),
    /// The structured form.
    Blocks(Vec<CommandCodeBlock<'a>>),
}

/// A piece of a message.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CommandCodeBlock<'a> {
    /// Words.
    Text {
        /// The words.
        text: Cow<'a, str>,
    },
    /// A picture.
    Image {
        /// `data:` or `https:`.
        image: &'a str,
    },
    /// A call.
    ToolUse {
        /// Links it to its result.
        id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// The arguments, an object.
        input: Cow<'a, RawValue>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call.
        tool_use_id: Cow<'a, str>,
        /// The words.
        content: Cow<'a, str>,
    },
}

/// A tool the model may call.
#[derive(Debug, Serialize)]
pub struct CommandCodeTool<'a> {
    /// Unique in the request; calls use it.
    pub name: Cow<'a, str>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// The schema of its arguments.
    pub input_schema: Cow<'a, RawValue>,
}
