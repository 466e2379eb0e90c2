//! What goes to an upstream. Borrowed throughout: a history of a megabyte is written once and never copied before.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The body of `POST /chat/completions`. Absent fields are not sent: several providers refuse what they do not know.
#[derive(Debug, Default, Serialize)]
pub struct ChatRequest<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The conversation.
    pub messages: Vec<ChatMessage<'a>>,
    /// Whether to stream.
    pub stream: bool,
    /// Asks for usage in the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<ChatStreamOptions>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ChatTool<'a>>,
    /// Whether and what it must call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ChatToolChoice<'a>>,
    /// Whether several calls are welcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// The most tokens, in the older spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The most tokens, in the newer spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u64>,
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// The shape of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ChatResponseFormat<'a>>,
    /// A key for the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_key: Option<&'a str>,
    /// Fields only this provider knows.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, Value>,
    /// How hard to think, as OpenAI spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<&'a str>,
    /// Whether to think, as `DeepSeek`, Z.ai and Moonshot spell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ChatThinking>,
    /// Whether to think, as Alibaba and `SiliconFlow` spell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_thinking: Option<bool>,
    /// Whether to think, as servers of vLLM and `SGLang` spell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template_kwargs: Option<ChatTemplateKwargs>,
    /// Whether to think and how hard, as OpenRouter spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ChatReasoning<'a>>,
}

/// Whether and what the model must call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatToolChoice<'a> {
    /// The model decides.
    Auto,
    /// No calls.
    None,
    /// Some call.
    Required,
    /// A call of this function.
    #[serde(untagged)]
    Function(ChatFunctionChoice<'a>),
}

/// The one function that must be called.
#[derive(Debug, Clone, Serialize)]
pub struct ChatFunctionChoice<'a> {
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Which one.
    pub function: ChatFunctionName<'a>,
}

/// A function by its name.
#[derive(Debug, Clone, Serialize)]
pub struct ChatFunctionName<'a> {
    /// Which function of `tools` must be called.
    pub name: Cow<'a, str>,
}

/// `{"type": "enabled" | "disabled"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatThinking {
    /// The model thinks.
    Enabled,
    /// It does not.
    Disabled,
}

/// What goes into the template that a server makes the prompt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChatTemplateKwargs {
    /// Whether the model thinks.
    pub enable_thinking: bool,
}

/// OpenRouter's switch for thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ChatReasoning<'a> {
    /// It thinks this hard.
    Effort {
        /// `low`, `medium` or `high`.
        effort: &'a str,
    },
    /// It thinks, or not.
    Enabled {
        /// Whether it does.
        enabled: bool,
    },
}

/// Asks for usage in the stream.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChatStreamOptions {
    /// Always true when sent.
    pub include_usage: bool,
}

/// What one speaker says, the calls it made, or what a tool answered.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChatMessage<'a> {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: &'static str,
    /// Its words and pictures.
    pub content: ChatContent<'a>,
    /// The model's earlier thoughts, where the provider wants them back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// OpenRouter's spelling of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// OpenRouter's structured thoughts, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_details: Option<Value>,
    /// The model's calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ChatCall<'a>>,
    /// Which call a tool message answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<Cow<'a, str>>,
}

/// What a message says.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(untagged)]
pub enum ChatContent<'a> {
    /// `null`, beside calls.
    #[default]
    Null,
    /// Words of one part.
    Text(Cow<'a, str>),
    /// Words and pictures in order.
    Parts(Vec<ChatPart<'a>>),
}

/// A part of a message.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatPart<'a> {
    /// Words.
    Text {
        /// The words.
        text: Cow<'a, str>,
    },
    /// A picture.
    ImageUrl {
        /// Where it is, and how closely to look.
        image_url: ChatImageUrl<'a>,
    },
    /// A file.
    File {
        /// The file.
        file: ChatFile<'a>,
    },
}

/// Where a picture is, and how closely to look.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChatImageUrl<'a> {
    /// `https:` or `data:`.
    pub url: &'a str,
    /// `low`, `high` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

/// A file given inline.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChatFile<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<&'a str>,
    /// A `data:` URL.
    pub file_data: &'a str,
}

/// An earlier call.
#[derive(Debug, Clone, Serialize)]
pub struct ChatCall<'a> {
    /// Links it to its output.
    pub id: Cow<'a, str>,
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The name and the arguments.
    pub function: ChatCallFunction<'a>,
}

/// The name and the arguments of an earlier call.
#[derive(Debug, Clone, Serialize)]
pub struct ChatCallFunction<'a> {
    /// As declared.
    pub name: Cow<'a, str>,
    /// JSON text of an object.
    pub arguments: Cow<'a, str>,
}

/// A declared tool.
#[derive(Debug, Clone, Serialize)]
pub struct ChatTool<'a> {
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What can be called.
    pub function: ChatFunction<'a>,
}

/// A declared function.
#[derive(Debug, Clone, Serialize)]
pub struct ChatFunction<'a> {
    /// Unique in the request.
    pub name: Cow<'a, str>,
    /// For the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// JSON Schema of its arguments.
    pub parameters: Cow<'a, RawValue>,
}

/// The shape of the answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatResponseFormat<'a> {
    /// Some JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// The schema and its name.
        json_schema: ChatJsonSchema<'a>,
    },
}

/// A schema and its name.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChatJsonSchema<'a> {
    /// For the provider.
    pub name: &'a str,
    /// For the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// Whether the provider must enforce it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// The schema, untouched.
    pub schema: &'a RawValue,
}
