//! What goes to an upstream of this protocol when a turn is translated. Borrowed throughout.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// The body of `POST /v1/responses`. The input stands before everything that may hold a key of the same name.
#[derive(Debug, Serialize)]
pub struct ResponsesRequest<'a> {
    /// The model's name.
    pub model: &'a str,
    /// Always true: answers are read as they come.
    pub stream: bool,
    /// Always false: latimer relies on no memory of a provider.
    pub store: bool,
    /// The conversation.
    pub input: Vec<ResponsesItem<'a>>,
    /// The base prompt; some servers insist on the field.
    pub instructions: String,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ResponsesTool<'a>>,
    /// Whether and what it must call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ResponsesToolChoice<'a>>,
    /// Whether several calls are welcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// Effort and summary of thoughts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ResponsesReasoning<'a>>,
    /// Shape and length of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<ResponsesText<'a>>,
    /// What to send besides the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<&'static str>,
    /// The most tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// A key for the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_key: Option<&'a str>,
}

/// Whether and what the model must call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponsesToolChoice<'a> {
    /// The model decides.
    Auto,
    /// No calls.
    None,
    /// Some call.
    Required,
    /// A call of this function.
    #[serde(untagged)]
    Function(ResponsesFunctionChoice<'a>),
}

/// The one function that must be called.
#[derive(Debug, Clone, Serialize)]
pub struct ResponsesFunctionChoice<'a> {
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The function's name.
    pub name: Cow<'a, str>,
}

/// How hard to think, and what of it is shown.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ResponsesReasoning<'a> {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, or a word of tomorrow.
    pub effort: &'a str,
    /// `auto`: as much of a summary as the model gives.
    pub summary: &'static str,
}

/// Shape and length of the answer.
#[derive(Debug, Clone, Serialize)]
pub struct ResponsesText<'a> {
    /// The shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ResponsesTextFormat<'a>>,
    /// `low`, `medium` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<&'a str>,
}

/// The shape of an answer that is not any text.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponsesTextFormat<'a> {
    /// One JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// The schema's name.
        name: &'a str,
        /// As the client wrote it.
        schema: &'a RawValue,
        /// What the answer is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        /// Whether the answer must follow the schema exactly.
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

/// One item of the conversation.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponsesItem<'a> {
    /// Somebody said something.
    Message {
        /// `developer`, `system`, `user` or `assistant`.
        role: &'static str,
        /// The parts.
        content: Vec<ResponsesPart<'a>>,
    },
    /// The model thought something.
    Reasoning {
        /// Readable thoughts.
        summary: Vec<ResponsesPart<'a>>,
        /// The provider's own state.
        encrypted_content: &'a str,
    },
    /// The model called a tool.
    FunctionCall {
        /// Links the call to its output.
        call_id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// The arguments, JSON text.
        arguments: Cow<'a, str>,
    },
    /// A tool answered.
    FunctionCallOutput {
        /// The call.
        call_id: Cow<'a, str>,
        /// Text, or parts where there are pictures.
        output: ResponsesCallOutput<'a>,
    },
}

/// What a tool answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ResponsesCallOutput<'a> {
    /// Words.
    Text(Cow<'a, str>),
    /// Words and pictures.
    Parts(Vec<ResponsesPart<'a>>),
}

/// A part of an item.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponsesPart<'a> {
    /// Words of the person or the operator.
    InputText {
        /// The words.
        text: Cow<'a, str>,
    },
    /// Words of the model.
    OutputText {
        /// The words.
        text: Cow<'a, str>,
    },
    /// The model refused.
    Refusal {
        /// In these words.
        refusal: &'a str,
    },
    /// Readable thoughts.
    SummaryText {
        /// The thoughts.
        text: &'a str,
    },
    /// A picture.
    InputImage {
        /// Where it is.
        image_url: &'a str,
        /// How closely to look.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
    /// A file.
    InputFile {
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        /// A data URL.
        file_data: &'a str,
    },
}

/// A tool the model may call.
#[derive(Debug, Serialize)]
pub struct ResponsesTool<'a> {
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Unique in the request, `[A-Za-z0-9_-]{1,64}`.
    pub name: Cow<'a, str>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// The schema of its arguments.
    pub parameters: Cow<'a, RawValue>,
    /// Absent would mean strict here, so it is always said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}
