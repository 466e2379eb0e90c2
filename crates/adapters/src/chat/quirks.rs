//! What a Chat Completions provider does differently, as data. The writer and the reader look at these fields and never at
//! a provider's name. The table of providers is in the proxy's presets.

use crate::limitation::{Limitation, Limitations};

/// The differences of one provider. [`Quirks::DEFAULT`] is a plain, modern, permissive server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    /// How thinking is switched.
    pub reasoning: ReasoningStyle,
    /// Which earlier thoughts the provider wants back.
    pub echo: Echo,
    /// Send `max_completion_tokens` instead of `max_tokens`.
    pub max_completion_tokens: bool,
    /// System texts keep the role `developer`.
    pub developer_role: bool,
    /// Only one system message, at the start; later system texts become user messages.
    pub single_system: bool,
    /// `content: null` beside `tool_calls` is accepted; otherwise it is `""`.
    pub null_content: bool,
    /// `stream_options` is accepted.
    pub stream_options: bool,
    /// Tools are accepted at all.
    pub tools: bool,
    /// `parallel_tool_calls` is accepted.
    pub parallel_tool_calls: bool,
    /// Which values of `tool_choice` are accepted.
    pub tool_choice: ToolChoiceSupport,
    /// `temperature`, `top_p` and penalties are accepted.
    pub sampling: bool,
    /// Tool call ids must be exactly nine alphanumerics.
    pub nine_character_call_ids: bool,
    /// `response_format` of type `json_schema` is accepted; otherwise `json_object` plus the schema in the prompt.
    pub json_schema: bool,
    /// `prompt_cache_key` is accepted.
    pub prompt_cache_key: bool,
    /// User and assistant messages must alternate strictly.
    pub alternate_roles: bool,
    /// Images are seen; otherwise a note stands in their place.
    pub images: bool,
    /// Images inside a tool's output are accepted; otherwise they move to a user message behind it.
    pub tool_images: bool,
    /// The least limit on tokens that is sent.
    pub least_tokens: Option<u64>,
    /// Extra top-level fields, as a JSON object.
    pub extra_body: Option<&'static str>,
    /// A header that carries one stable value per conversation.
    pub session_header: Option<&'static str>,
    /// Longest tool name.
    pub max_tool_name: usize,
}

/// How thinking is switched on, off and up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningStyle {
    /// Send nothing.
    None,
    /// `reasoning_effort: "<level>"`.
    Effort,
    /// `thinking: {"type": "enabled" | "disabled"}`.
    ThinkingObject,
    /// `thinking` as above and `reasoning_effort` beside it.
    ThinkingAndEffort,
    /// `enable_thinking: true | false`.
    EnableThinking,
    /// `chat_template_kwargs: {"enable_thinking": true | false}`.
    ChatTemplate,
    /// `reasoning: {"effort": "<level>"}` or `{"enabled": false}`.
    OpenRouter,
}

/// Which earlier thoughts go back to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// None: the field is refused or useless.
    Never,
    /// `reasoning_content` on assistant messages that carry tool calls.
    WithCalls,
    /// `reasoning_content` on every assistant message.
    Always,
    /// `reasoning_details` unchanged where latimer has them, else `reasoning` text.
    Details,
}

/// Which values of `tool_choice` a provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoiceSupport {
    /// All of them.
    Full,
    /// Only `auto`; anything else is left out.
    AutoOnly,
}

impl Quirks {
    /// The same, after what the endpoint taught.
    #[must_use]
    pub fn after(&self, limitations: &Limitations) -> Self {
        let mut quirks = self.clone();
        for limitation in limitations.iter() {
            match limitation {
                Limitation::NoImages => quirks.images = false,
                // Only parts that are no text make a list of parts.
                Limitation::TextContent => (quirks.images, quirks.tool_images) = (false, false),
                Limitation::NoTools => quirks.tools = false,
                Limitation::AutoToolChoice => quirks.tool_choice = ToolChoiceSupport::AutoOnly,
                Limitation::NoParallelCalls => quirks.parallel_tool_calls = false,
                Limitation::NoReasoning => quirks.reasoning = ReasoningStyle::None,
                Limitation::NoThoughts => quirks.echo = Echo::Never,
                Limitation::ThoughtsWithCalls => quirks.echo = Echo::WithCalls,
                Limitation::NoSampling => quirks.sampling = false,
                Limitation::NoStreamOptions => quirks.stream_options = false,
                Limitation::MaxCompletionTokens => quirks.max_completion_tokens = true,
                Limitation::NoJsonSchema => quirks.json_schema = false,
                Limitation::NoCacheKey => quirks.prompt_cache_key = false,
                Limitation::SystemRole => quirks.developer_role = false,
                // Not part of this protocol.
                Limitation::NoStrict
                | Limitation::NoSignatures
                | Limitation::NoTokenLimit
                | Limitation::StringMode
                | Limitation::NoCustomTools
                | Limitation::NoHostedTools
                | Limitation::NoNamespaces
                | Limitation::NoOwnRequests
                | Limitation::PlainItems => {}
            }
        }
        quirks
    }

    /// A plain server that takes what the public documentation of Chat Completions describes.
    pub const DEFAULT: Self = Self {
        reasoning: ReasoningStyle::None,
        echo: Echo::Never,
        max_completion_tokens: false,
        developer_role: false,
        single_system: true,
        null_content: true,
        stream_options: true,
        tools: true,
        parallel_tool_calls: true,
        tool_choice: ToolChoiceSupport::Full,
        sampling: true,
        nine_character_call_ids: false,
        json_schema: true,
        prompt_cache_key: false,
        alternate_roles: false,
        images: true,
        tool_images: false,
        least_tokens: None,
        extra_body: None,
        session_header: None,
        max_tool_name: 64,
    };
}
