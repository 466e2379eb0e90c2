//! What a refusal teaches about an endpoint: a wording becomes a [`Limitation`], and that changes how the next request is written.
//! Pure; the wordings are a table.
//!
//! Only a refusal of the request itself teaches (400, 415, 422 and the like), only about something that the request made use
//! of, and never from a text so long that it may quote the person.

use std::collections::BTreeSet;
use std::fmt;

/// One thing an endpoint cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limitation {
    /// Content must be one string, not a list of parts.
    TextContent,
    /// Images are not seen: a note stands in their place.
    NoImages,
    /// Tools are not taken.
    NoTools,
    /// `tool_choice` is only `auto`.
    AutoToolChoice,
    /// `parallel_tool_calls` is not known.
    NoParallelCalls,
    /// `strict` is not known.
    NoStrict,
    /// The switch for thinking is not known.
    NoReasoning,
    /// Earlier thoughts must not come back.
    NoThoughts,
    /// Earlier thoughts must come back with their calls.
    ThoughtsWithCalls,
    /// Signatures of thoughts are refused: they are left out, or replaced where they must be there.
    NoSignatures,
    /// `temperature`, `top_p` and penalties are not taken.
    NoSampling,
    /// `stream_options` is not known.
    NoStreamOptions,
    /// The limit on tokens is called `max_completion_tokens`.
    MaxCompletionTokens,
    /// There is no limit on tokens.
    NoTokenLimit,
    /// JSON by schema is not known.
    NoJsonSchema,
    /// Keys and marks for caches are not known.
    NoCacheKey,
    /// The role `developer` is not known.
    SystemRole,
    /// Messages in the structured form are not taken (Command Code).
    StringMode,
    /// Freeform tools are not taken (Responses).
    NoCustomTools,
    /// Tools of the provider's own are not taken (Responses).
    NoHostedTools,
    /// Namespaces of tools are not taken (Responses).
    NoNamespaces,
    /// A client's own request is not taken as it is (Messages): it is translated.
    NoOwnRequests,
    /// Of the items of a history only the plain ones are taken (Responses).
    PlainItems,
}

/// What a request makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u32);

impl Features {
    /// The limitations that would change a request.
    pub fn of(limitations: impl IntoIterator<Item = Limitation>) -> Self {
        limitations.into_iter().fold(Self::default(), Self::and)
    }

    /// The same, and this.
    #[must_use]
    pub fn and(self, limitation: Limitation) -> Self {
        Self(self.0 | 1 << limitation as u32)
    }

    /// Whether this limitation would change the request.
    pub fn has(self, limitation: Limitation) -> bool {
        self.0 & 1 << limitation as u32 != 0
    }
}

/// What an endpoint taught about a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limitations(BTreeSet<Limitation>);

impl Limitations {
    /// Limitations that are known, learned or configured.
    pub fn new(limitations: impl IntoIterator<Item = Limitation>) -> Self {
        Self(limitations.into_iter().collect())
    }

    /// Whether this limitation is known.
    pub fn has(&self, limitation: Limitation) -> bool {
        self.0.contains(&limitation)
    }

    /// Adds one that was learned; false when it was known.
    pub fn add(&mut self, limitation: Limitation) -> bool {
        self.0.insert(limitation)
    }

    /// All of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Limitation> + '_ {
        self.0.iter().copied()
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Code and meaning of each limitation.
const LIMITATIONS: [(Limitation, &str, &str); 23] = [
    (Limitation::TextContent, "text_content", "message content is sent as one string"),
    (Limitation::NoImages, "no_images", "images are replaced by a note"),
    (Limitation::NoTools, "no_tools", "tools are left out"),
    (Limitation::AutoToolChoice, "auto_tool_choice", "tool_choice is left out unless it is auto"),
    (Limitation::NoParallelCalls, "no_parallel_calls", "parallel_tool_calls is left out"),
    (Limitation::NoStrict, "no_strict", "strict is left out"),
    (Limitation::NoReasoning, "no_reasoning", "the switch for thinking is left out"),
    (Limitation::NoThoughts, "no_thoughts", "earlier thoughts are left out"),
    (Limitation::ThoughtsWithCalls, "thoughts_with_calls", "earlier thoughts are sent back with their calls"),
    (Limitation::NoSignatures, "no_signatures", "signatures of earlier thoughts are left out"),
    (Limitation::NoSampling, "no_sampling", "temperature, top_p and penalties are left out"),
    (Limitation::NoStreamOptions, "no_stream_options", "stream_options is left out"),
    (
        Limitation::MaxCompletionTokens,
        "max_completion_tokens",
        "the token limit is sent as max_completion_tokens",
    ),
    (Limitation::NoTokenLimit, "no_token_limit", "the token limit is left out"),
    (Limitation::NoJsonSchema, "no_json_schema", "a JSON schema is put into words"),
    (Limitation::NoCacheKey, "no_cache_key", "keys and marks for caches are left out"),
    (Limitation::SystemRole, "system_role", "developer texts are sent as system texts"),
    (Limitation::StringMode, "string_mode", "messages are sent as plain strings"),
    (Limitation::NoCustomTools, "no_custom_tools", "freeform tools are sent as functions"),
    (Limitation::NoHostedTools, "no_hosted_tools", "the provider's own tools are left out"),
    (Limitation::NoNamespaces, "no_namespaces", "namespaces of tools are flattened"),
    (Limitation::NoOwnRequests, "no_own_requests", "the client's requests are translated and not passed on"),
    (Limitation::PlainItems, "plain_items", "items of foreign types are put into words"),
];

impl Limitation {
    /// The name used in files and logs, the same for every release.
    pub fn code(self) -> &'static str {
        LIMITATIONS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// What is done about it, for people.
    pub fn meaning(self) -> &'static str {
        LIMITATIONS.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// The limitation of this code; `None` for one that this release does not know.
    pub fn from_code(code: &str) -> Option<Self> {
        LIMITATIONS.iter().find(|row| row.1 == code).map(|row| row.0)
    }
}

impl fmt::Display for Limitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A wording in lower case and what it teaches: all words of a row must be there. The first row that fits a feature of the
/// request wins.
const WORDINGS: [(&[&str], Limitation); 62] = [
    (&["expected string", "received array"], Limitation::StringMode),
    (&["must be passed back"], Limitation::ThoughtsWithCalls),
    (&["reasoning_content", "is missing"], Limitation::ThoughtsWithCalls),
    (&["missing reasoning_content"], Limitation::ThoughtsWithCalls),
    (&["invalid", "signature", "thinking"], Limitation::NoSignatures),
    (&["thought_signature"], Limitation::NoSignatures),
    (&["thought signature"], Limitation::NoSignatures),
    (&["encrypted content"], Limitation::NoThoughts),
    (&["encrypted_content"], Limitation::NoThoughts),
    (&["reasoning_content"], Limitation::NoThoughts),
    (&["reasoning_details"], Limitation::NoThoughts),
    (&["'reasoning' is unsupported"], Limitation::NoThoughts),
    (&["image_url"], Limitation::NoImages),
    (&["input_image"], Limitation::NoImages),
    (&["support", "image"], Limitation::NoImages),
    (&["image input"], Limitation::NoImages),
    (&["images are not"], Limitation::NoImages),
    (&["vision"], Limitation::NoImages),
    (&["content", "must be a string"], Limitation::TextContent),
    (&["content", "expected a string"], Limitation::TextContent),
    (&["content", "should be a valid string"], Limitation::TextContent),
    (&["custom", "tool"], Limitation::NoCustomTools),
    (&["'custom'"], Limitation::NoCustomTools),
    (&["\"custom\""], Limitation::NoCustomTools),
    (&["namespace"], Limitation::NoNamespaces),
    (&["web_search"], Limitation::NoHostedTools),
    (&["image_generation"], Limitation::NoHostedTools),
    (&["tool_search"], Limitation::NoHostedTools),
    (&["local_shell"], Limitation::NoHostedTools),
    (&["parallel_tool_calls"], Limitation::NoParallelCalls),
    (&["tool_choice"], Limitation::AutoToolChoice),
    (&["stream_options"], Limitation::NoStreamOptions),
    (&["max_completion_tokens", "instead"], Limitation::MaxCompletionTokens),
    (&["max_tokens", "unsupported"], Limitation::MaxCompletionTokens),
    (&["max_tokens", "not supported"], Limitation::MaxCompletionTokens),
    (&["max_output_tokens"], Limitation::NoTokenLimit),
    (&["response_format"], Limitation::NoJsonSchema),
    (&["json_schema"], Limitation::NoJsonSchema),
    (&["response mime type"], Limitation::NoJsonSchema),
    (&["responsejsonschema"], Limitation::NoJsonSchema),
    (&["prompt_cache"], Limitation::NoCacheKey),
    (&["cache_control"], Limitation::NoCacheKey),
    (&["strict"], Limitation::NoStrict),
    (&["reasoning"], Limitation::NoReasoning),
    (&["thinking"], Limitation::NoReasoning),
    (&["chat_template"], Limitation::NoReasoning),
    (&["temperature"], Limitation::NoSampling),
    (&["top_p"], Limitation::NoSampling),
    (&["penalty"], Limitation::NoSampling),
    (&["developer", "role"], Limitation::SystemRole),
    (&["tool", "support"], Limitation::NoTools),
    (&["function calling", "not enabled"], Limitation::NoTools),
    (&["extra inputs"], Limitation::NoOwnRequests),
    (&["unexpected role"], Limitation::NoOwnRequests),
    (&["role", "system"], Limitation::NoOwnRequests),
    (&["anthropic-beta"], Limitation::NoOwnRequests),
    (&["context_management"], Limitation::NoOwnRequests),
    (&["output_config"], Limitation::NoOwnRequests),
    (&["thinking"], Limitation::NoOwnRequests),
    (&["tools"], Limitation::NoOwnRequests),
    (&["unknown", "field"], Limitation::NoOwnRequests),
    (&["not supported"], Limitation::NoOwnRequests),
];

/// A longer text may quote the person, and teaches nothing.
const MAX_MESSAGE_LEN: usize = 600;

/// What a refusal teaches about a request with these features.
pub fn learn(status: u16, message: &str, features: Features) -> Option<Limitation> {
    if !matches!(status, 400 | 404 | 415 | 422 | 501) || message.len() > MAX_MESSAGE_LEN {
        return None;
    }
    let lower = message.to_ascii_lowercase();
    WORDINGS
        .iter()
        .find(|(words, limitation)| {
            features.has(*limitation) && words.iter().all(|word| lower.contains(word))
        })
        .map(|(_, limitation)| *limitation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limitation_has_one_row_and_a_code_of_its_own() {
        for (place, (limitation, code, _)) in LIMITATIONS.iter().enumerate() {
            assert_eq!(*limitation as usize, place, "{code} stands where its number says");
            assert_eq!(Limitation::from_code(code), Some(*limitation));
            assert_eq!(LIMITATIONS.iter().filter(|row| row.1 == *code).count(), 1);
        }
    }

    #[test]
    fn refusals_in_providers_words() {
        let all = Features::of(LIMITATIONS.iter().map(|row| row.0));
        let cases: [(u16, &str, Option<Limitation>); 25] = [
            (
                400,
                "Failed to deserialize: messages[1].content[0]: unknown variant `image_url`, expected `text`",
                Some(Limitation::NoImages),
            ),
            (404, "No endpoints found that support image input", Some(Limitation::NoImages)),
            (
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some(Limitation::MaxCompletionTokens),
            ),
            (
                400,
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
                Some(Limitation::ThoughtsWithCalls),
            ),
            (400, "property 'reasoning_content' is unsupported", Some(Limitation::NoThoughts)),
            (
                400,
                "Unknown name \"parallel_tool_calls\": Cannot find field.",
                Some(Limitation::NoParallelCalls),
            ),
            (422, "tool_choice: Input should be 'auto'", Some(Limitation::AutoToolChoice)),
            (
                400,
                "Unrecognized request argument supplied: stream_options",
                Some(Limitation::NoStreamOptions),
            ),
            (400, "This response_format type is unavailable now", Some(Limitation::NoJsonSchema)),
            (
                400,
                "messages.1.content.0: Invalid `signature` in `thinking` block",
                Some(Limitation::NoSignatures),
            ),
            (
                400,
                "Function call is missing a thought_signature in functionCall parts.",
                Some(Limitation::NoSignatures),
            ),
            (
                400,
                "Function calling with a response mime type: 'application/json' is unsupported",
                Some(Limitation::NoJsonSchema),
            ),
            (400, "Function calling is not enabled for models/gemma-3", Some(Limitation::NoTools)),
            (400, "Penalty is not enabled for models/gemini-2.5-pro", Some(Limitation::NoSampling)),
            (
                400,
                "params.messages[0].content: expected string, received array",
                Some(Limitation::StringMode),
            ),
            (400, "registry.ollama.ai/library/gemma does not support tools", Some(Limitation::NoTools)),
            (
                400,
                "Invalid value: 'custom'. Supported values are: 'function'",
                Some(Limitation::NoCustomTools),
            ),
            (
                400,
                "Unsupported value: 'temperature' does not support 0.2 with this model.",
                Some(Limitation::NoSampling),
            ),
            (400, "reasoning_effort is not supported by this model", Some(Limitation::NoReasoning)),
            (400, "messages: Unexpected role \"system\".", Some(Limitation::NoOwnRequests)),
            (400, "output_config: Extra inputs are not permitted", Some(Limitation::NoOwnRequests)),
            (500, "Unknown name \"parallel_tool_calls\"", None),
            (429, "temperature too high, cool down", None),
            (401, "tool_choice", None),
            (400, "bad request", None),
        ];
        for (status, message, want) in cases {
            assert_eq!(learn(status, message, all), want, "{status} {message}");
        }
        let long = format!("invalid: {} tool_choice", "x".repeat(MAX_MESSAGE_LEN));
        assert_eq!(learn(400, &long, all), None, "it may quote the person");
        let plain = Features::default().and(Limitation::NoSampling);
        assert_eq!(learn(400, "tool_choice is wrong", plain), None, "the request had no tool_choice");
    }
}
