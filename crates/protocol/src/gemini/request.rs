//! What goes to an upstream. Borrowed throughout: a history of a megabyte is written once and never copied before.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The body of `generateContent`. The contents stand before everything that may hold a key of the same name.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiRequest<'a> {
    /// The conversation: strictly alternating, the person first and last.
    pub contents: Vec<GeminiContent<'a>>,
    /// The base prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<GeminiContent<'a>>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<GeminiTools<'a>>,
    /// Whether and what it must call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<GeminiToolConfig<'a>>,
    /// Everything else.
    #[serde(skip_serializing_if = "GeminiGenerationConfig::is_empty")]
    pub generation_config: GeminiGenerationConfig<'a>,
}

/// Whether and what the model must call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiToolConfig<'a> {
    /// The only field there is.
    pub function_calling_config: GeminiFunctionCallingConfig<'a>,
}

/// Whether and what the model must call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiFunctionCallingConfig<'a> {
    /// Whether it must.
    pub mode: GeminiCallingMode,
    /// What it must call; empty for any function.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_function_names: Vec<Cow<'a, str>>,
}

/// Whether the model must call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GeminiCallingMode {
    /// No calls.
    None,
    /// Some call.
    Any,
    /// The model decides, and its calls follow their schemas.
    Validated,
}

/// How the answer is made.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiGenerationConfig<'a> {
    /// The most tokens, thoughts included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The switch for thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_config: Option<GeminiThinkingConfig>,
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
    /// `application/json` for an answer in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_mime_type: Option<&'static str>,
    /// The schema of such an answer, as the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_json_schema: Option<&'a RawValue>,
}

impl GeminiGenerationConfig<'_> {
    /// Nothing is said: the field is left out.
    pub fn is_empty(&self) -> bool {
        self.max_output_tokens.is_none()
            && self.thinking_config.is_none()
            && self.response_mime_type.is_none()
            && self.response_json_schema.is_none()
            && [self.temperature, self.top_p, self.presence_penalty, self.frequency_penalty]
                .iter()
                .all(Option::is_none)
    }
}

/// The switch for thinking, in the form of each family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GeminiThinkingConfig {
    /// Gemini 3.
    #[serde(rename_all = "camelCase")]
    Level {
        /// Whether thoughts are shown.
        include_thoughts: bool,
        /// `minimal`, `low`, `medium` or `high`.
        thinking_level: &'static str,
    },
    /// Gemini 2.5, and every Gemini of Antigravity.
    #[serde(rename_all = "camelCase")]
    Budget {
        /// Whether thoughts are shown.
        include_thoughts: bool,
        /// In tokens; -1 for as many as the model finds right, 0 for none.
        thinking_budget: i32,
    },
    /// A Claude behind this protocol, which wants the names in another spelling.
    Claude {
        /// Whether thoughts are shown.
        include_thoughts: bool,
        /// In tokens.
        thinking_budget: i32,
    },
}

/// One turn of a speaker.
#[derive(Debug, Clone, Serialize)]
pub struct GeminiContent<'a> {
    /// `user` or `model`; the base prompt has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// In order; never empty.
    pub parts: Vec<GeminiPart<'a>>,
}

/// One part; exactly one of the fields besides the signature is there.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiPart<'a> {
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    /// What the model wanted to have run in an earlier turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<GeminiFunctionCall<'a>>,
    /// What a function answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_response: Option<GeminiFunctionResponse<'a>>,
    /// Data that is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_data: Option<GeminiInlineData<'a>>,
    /// Data that is elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_data: Option<GeminiFileData<'a>>,
    /// State that belongs to exactly this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<Cow<'a, str>>,
}

/// Which function the model wanted to have run in an earlier turn, and with what.
#[derive(Debug, Clone, Serialize)]
pub struct GeminiFunctionCall<'a> {
    /// Links it to its response.
    pub id: Cow<'a, str>,
    /// The function.
    pub name: Cow<'a, str>,
    /// The arguments, an object.
    pub args: Cow<'a, RawValue>,
}

/// What a function answered.
#[derive(Debug, Clone, Serialize)]
pub struct GeminiFunctionResponse<'a> {
    /// The call.
    pub id: Cow<'a, str>,
    /// The function.
    pub name: Cow<'a, str>,
    /// An object.
    pub response: Cow<'a, RawValue>,
}

/// Data that is here.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiInlineData<'a> {
    /// Such as `image/png`.
    pub mime_type: &'a str,
    /// In base64.
    pub data: &'a str,
}

/// Data that is elsewhere; the provider fetches it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiFileData<'a> {
    /// Such as `image/png`.
    pub mime_type: &'static str,
    /// The address.
    pub file_uri: &'a str,
}

/// The functions of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiTools<'a> {
    /// In order.
    pub function_declarations: Vec<GeminiFunctionDeclaration<'a>>,
}

/// A function the model may call.
#[derive(Debug, Serialize)]
pub struct GeminiFunctionDeclaration<'a> {
    /// Unique in the request, within the letters and the length that this provider takes.
    pub name: Cow<'a, str>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// The schema of its arguments, in the subset this provider knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}
