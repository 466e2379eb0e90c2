//! What a server of this protocol takes, as data. The encoder and the rewriter look at these fields and never at a
//! provider's name.

use crate::limitation::{Limitation, Limitations};

/// The differences of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Top-level fields that are refused and can be left out.
    pub refused: &'static [&'static str],
    /// `store` must be false, and encrypted reasoning must be asked for.
    pub stateless: bool,
    /// Freeform tools are taken.
    pub custom_tools: bool,
    /// Namespaces of tools are taken.
    pub namespaces: bool,
    /// Tools of the provider's own (web search and the like) are taken.
    pub hosted_tools: bool,
    /// System texts must have the role `developer`.
    pub developer_role: bool,
    /// Encrypted reasoning is bound to the account that made it.
    pub account_state: bool,
    /// Items hold nothing but what every server takes: fields beside the documented ones are left out, types beside functions and words
    /// are put into words.
    pub plain_items: bool,
    /// Images are seen.
    pub images: bool,
    /// The switch for thinking is known.
    pub reasoning: bool,
    /// `temperature` and `top_p` are taken.
    pub sampling: bool,
    /// `max_output_tokens` is taken.
    pub token_limit: bool,
    /// Earlier thoughts are taken back.
    pub thoughts: bool,
    /// `tool_choice` may demand calls.
    pub forced_calls: bool,
    /// `parallel_tool_calls` is known.
    pub parallel_tool_calls: bool,
    /// `prompt_cache_key` is known.
    pub cache_key: bool,
    /// `strict` is known.
    pub strict: bool,
    /// Headers of the client that go through.
    pub forwards: &'static [&'static str],
}

/// What the ChatGPT backend refuses; it is only ever asked by Codex itself.
const CHATGPT_REFUSES: [&str; 14] = [
    "max_output_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "truncation",
    "user",
    "metadata",
    "previous_response_id",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "context_management",
    "stream_options",
    "background",
];
/// What Codex says of itself to the ChatGPT backend.
const CHATGPT_FORWARDS: [&str; 11] = [
    "originator",
    "user-agent",
    "version",
    "session_id",
    "session-id",
    "thread-id",
    "x-client-request-id",
    "openai-beta",
    "x-codex-turn-metadata",
    "x-codex-beta-features",
    "x-codex-turn-state",
];
/// What xAI's server refuses.
const XAI_REFUSES: [&str; 5] =
    ["stop", "previous_response_id", "safety_identifier", "stream_options", "prompt_cache_retention"];

impl Profile {
    /// OpenAI's own server.
    pub const OPENAI: Self = Self {
        refused: &[],
        stateless: false,
        custom_tools: true,
        namespaces: true,
        hosted_tools: true,
        developer_role: false,
        account_state: true,
        plain_items: false,
        images: true,
        reasoning: true,
        sampling: true,
        token_limit: true,
        thoughts: true,
        forced_calls: true,
        parallel_tool_calls: true,
        cache_key: true,
        strict: true,
        forwards: &["openai-organization", "openai-project"],
    };
    /// The backend of a ChatGPT subscription.
    pub const CHATGPT: Self = Self {
        refused: &CHATGPT_REFUSES,
        stateless: true,
        developer_role: true,
        sampling: false,
        token_limit: false,
        forwards: &CHATGPT_FORWARDS,
        ..Self::OPENAI
    };
    /// xAI.
    pub const XAI: Self = Self {
        refused: &XAI_REFUSES,
        stateless: true,
        custom_tools: false,
        namespaces: false,
        hosted_tools: false,
        forwards: &[],
        ..Self::OPENAI
    };
    /// Any other server: functions and words.
    pub const PLAIN: Self = Self {
        stateless: true,
        custom_tools: false,
        namespaces: false,
        hosted_tools: false,
        account_state: false,
        forwards: &[],
        ..Self::OPENAI
    };

    /// The same, after what the endpoint taught.
    #[must_use]
    pub fn after(&self, limitations: &Limitations) -> Self {
        let mut profile = self.clone();
        for limitation in limitations.iter() {
            match limitation {
                Limitation::NoCustomTools => profile.custom_tools = false,
                Limitation::NoNamespaces => profile.namespaces = false,
                Limitation::NoHostedTools => profile.hosted_tools = false,
                Limitation::NoImages => profile.images = false,
                Limitation::NoReasoning => profile.reasoning = false,
                Limitation::NoSampling => profile.sampling = false,
                Limitation::NoTokenLimit => profile.token_limit = false,
                Limitation::NoThoughts | Limitation::NoSignatures => profile.thoughts = false,
                Limitation::AutoToolChoice => profile.forced_calls = false,
                Limitation::NoParallelCalls => profile.parallel_tool_calls = false,
                Limitation::NoCacheKey => profile.cache_key = false,
                Limitation::NoStrict => profile.strict = false,
                Limitation::PlainItems => profile.plain_items = true,
                // Not part of this protocol.
                Limitation::TextContent
                | Limitation::NoTools
                | Limitation::ThoughtsWithCalls
                | Limitation::NoStreamOptions
                | Limitation::MaxCompletionTokens
                | Limitation::NoJsonSchema
                | Limitation::SystemRole
                | Limitation::StringMode
                | Limitation::NoOwnRequests => {}
            }
        }
        profile
    }

    /// The top-level fields that must not be sent.
    pub(super) fn drops(&self, field: &str) -> bool {
        let table = [
            ("reasoning", self.reasoning),
            ("temperature", self.sampling),
            ("top_p", self.sampling),
            ("max_output_tokens", self.token_limit),
            ("parallel_tool_calls", self.parallel_tool_calls),
            ("prompt_cache_key", self.cache_key),
        ];
        self.refused.contains(&field) || table.iter().any(|(name, taken)| *name == field && !taken)
    }
}
