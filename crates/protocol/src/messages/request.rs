//! What goes to an upstream. Borrowed throughout: a history of a megabyte is written once and never copied before.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// The body of `POST /v1/messages`. The messages stand before everything that may hold a key of the same name.
#[derive(Debug, Default, Serialize)]
pub struct MessagesRequest<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The most tokens of the answer; the one number this protocol insists on.
    pub max_tokens: u64,
    /// Whether to stream.
    pub stream: bool,
    /// The conversation: strictly alternating, the person first.
    pub messages: Vec<MessagesMessage<'a>>,
    /// Base prompt and rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<MessagesBlockParam<'a>>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<MessagesTool<'a>>,
    /// Whether and what it must call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<MessagesToolChoice<'a>>,
    /// The switch for thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<MessagesThinking>,
    /// Effort, and the shape of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<MessagesOutputConfig<'a>>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
}

/// Whether and what the model must call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessagesToolChoice<'a> {
    /// The model decides.
    Auto {
        /// One call at a time.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    /// Some call.
    Any {
        /// One call at a time.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    /// A call of this tool.
    Tool {
        /// The tool's name.
        name: Cow<'a, str>,
        /// One call at a time.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    /// No calls.
    None,
}

/// The switch for thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessagesThinking {
    /// Within a budget, which counts as part of the answer.
    Enabled {
        /// In tokens, at least 1024 and less than `max_tokens`.
        budget_tokens: u64,
    },
    /// As much as the model finds right; how hard is said in [`MessagesOutputConfig::effort`].
    Adaptive,
    /// Not at all.
    Disabled,
}

/// Effort, and the shape of the answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MessagesOutputConfig<'a> {
    /// `low`, `medium`, `high` or `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'a str>,
    /// The shape of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<MessagesOutputFormat<'a>>,
}

/// The shape of an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessagesOutputFormat<'a> {
    /// JSON of this schema.
    JsonSchema {
        /// The schema, as the client wrote it.
        schema: &'a RawValue,
    },
}

/// One turn of a speaker.
#[derive(Debug, Clone, Serialize)]
pub struct MessagesMessage<'a> {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// Its blocks, in order; never empty.
    pub content: Vec<MessagesBlockParam<'a>>,
}

/// A piece of a turn.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessagesBlockParam<'a> {
    /// Words; never empty.
    Text {
        /// The words.
        text: Cow<'a, str>,
        /// The prefix up to here is worth caching.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<MessagesCacheControl>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: MessagesSource<'a>,
        /// The prefix up to here is worth caching.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<MessagesCacheControl>,
    },
    /// A file.
    Document {
        /// Where it is.
        source: MessagesSource<'a>,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        /// The prefix up to here is worth caching.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<MessagesCacheControl>,
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
        /// The blocks; none for an empty output.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<MessagesBlockParam<'a>>,
        /// The tool failed, or its output is lost.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        /// The prefix up to here is worth caching.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<MessagesCacheControl>,
    },
    /// A block of the provider's own, as it was: thoughts with their signature.
    #[serde(untagged)]
    Own(Box<RawValue>),
}

/// A mark for the provider's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MessagesCacheControl {
    /// Always `ephemeral`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// Where a picture or a file is.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessagesSource<'a> {
    /// Here.
    Base64 {
        /// Such as `image/png`.
        media_type: &'a str,
        /// The bytes.
        data: &'a str,
    },
    /// There.
    Url {
        /// The address; the provider fetches it.
        url: &'a str,
    },
    /// Here, as words.
    Text {
        /// Always `text/plain`.
        media_type: &'static str,
        /// The words.
        data: String,
    },
}

/// A tool the model may call.
#[derive(Debug, Serialize)]
pub struct MessagesTool<'a> {
    /// Unique in the request, `[A-Za-z0-9_-]{1,128}`.
    pub name: Cow<'a, str>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// The schema of its arguments, an object.
    pub input_schema: Cow<'a, RawValue>,
    /// The prefix up to here is worth caching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<MessagesCacheControl>,
}
