//! What a refusal teaches about an endpoint: a wording becomes a [`Lesson`], a lesson changes how the next request is written.
//! Pure; the wordings are a table.
//!
//! Only a refusal of the request itself teaches (400, 415, 422 and the like), only about something that the request made use
//! of, and never from a text so long that it may quote the person.

use std::collections::BTreeSet;
use std::fmt;

/// One thing an endpoint cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lesson {
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
}

/// What a request makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u32);

impl Features {
    /// These lessons would change the request.
    pub fn of(lessons: impl IntoIterator<Item = Lesson>) -> Self {
        lessons.into_iter().fold(Self::default(), Self::and)
    }

    /// The same, and this.
    #[must_use]
    pub fn and(self, lesson: Lesson) -> Self {
        Self(self.0 | 1 << lesson as u32)
    }

    /// Whether this lesson would change the request.
    pub fn has(self, lesson: Lesson) -> bool {
        self.0 & 1 << lesson as u32 != 0
    }
}

/// What an endpoint taught about a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lessons(BTreeSet<Lesson>);

impl Lessons {
    /// These lessons.
    pub fn new(lessons: impl IntoIterator<Item = Lesson>) -> Self {
        Self(lessons.into_iter().collect())
    }

    /// Whether it was learned.
    pub fn has(&self, lesson: Lesson) -> bool {
        self.0.contains(&lesson)
    }

    /// Adds one; false when it was known.
    pub fn add(&mut self, lesson: Lesson) -> bool {
        self.0.insert(lesson)
    }

    /// All of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Lesson> + '_ {
        self.0.iter().copied()
    }

    /// True when nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Code and meaning of each lesson.
const LESSONS: [(Lesson, &str, &str); 22] = [
    (Lesson::TextContent, "text_content", "message content is sent as one string"),
    (Lesson::NoImages, "no_images", "images are replaced by a note"),
    (Lesson::NoTools, "no_tools", "tools are left out"),
    (Lesson::AutoToolChoice, "auto_tool_choice", "tool_choice is left out unless it is auto"),
    (Lesson::NoParallelCalls, "no_parallel_calls", "parallel_tool_calls is left out"),
    (Lesson::NoStrict, "no_strict", "strict is left out"),
    (Lesson::NoReasoning, "no_reasoning", "the switch for thinking is left out"),
    (Lesson::NoThoughts, "no_thoughts", "earlier thoughts are left out"),
    (Lesson::ThoughtsWithCalls, "thoughts_with_calls", "earlier thoughts are sent back with their calls"),
    (Lesson::NoSignatures, "no_signatures", "signatures of earlier thoughts are left out"),
    (Lesson::NoSampling, "no_sampling", "temperature, top_p and penalties are left out"),
    (Lesson::NoStreamOptions, "no_stream_options", "stream_options is left out"),
    (
        Lesson::MaxCompletionTokens,
        "max_completion_tokens",
        "the token limit is sent as max_completion_tokens",
    ),
    (Lesson::NoTokenLimit, "no_token_limit", "the token limit is left out"),
    (Lesson::NoJsonSchema, "no_json_schema", "a JSON schema is put into words"),
    (Lesson::NoCacheKey, "no_cache_key", "keys and marks for caches are left out"),
    (Lesson::SystemRole, "system_role", "developer texts are sent as system texts"),
    (Lesson::StringMode, "string_mode", "messages are sent as plain strings"),
    (Lesson::NoCustomTools, "no_custom_tools", "freeform tools are sent as functions"),
    (Lesson::NoHostedTools, "no_hosted_tools", "the provider's own tools are left out"),
    (Lesson::NoNamespaces, "no_namespaces", "namespaces of tools are flattened"),
    (Lesson::NoOwnRequests, "no_own_requests", "the client's requests are translated and not passed on"),
];

impl Lesson {
    /// The name used in files and logs, the same for every release.
    pub fn code(self) -> &'static str {
        LESSONS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// What is done about it, for people.
    pub fn meaning(self) -> &'static str {
        LESSONS.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// The lesson of this code.
    pub fn from_code(code: &str) -> Option<Self> {
        LESSONS.iter().find(|row| row.1 == code).map(|row| row.0)
    }
}

impl fmt::Display for Lesson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A wording in lower case and what it teaches: all words of a row must be there. The first row that fits a feature of the
/// request wins.
const WORDINGS: [(&[&str], Lesson); 62] = [
    (&["expected string", "received array"], Lesson::StringMode),
    (&["must be passed back"], Lesson::ThoughtsWithCalls),
    (&["reasoning_content", "is missing"], Lesson::ThoughtsWithCalls),
    (&["missing reasoning_content"], Lesson::ThoughtsWithCalls),
    (&["invalid", "signature", "thinking"], Lesson::NoSignatures),
    (&["thought_signature"], Lesson::NoSignatures),
    (&["thought signature"], Lesson::NoSignatures),
    (&["encrypted content"], Lesson::NoThoughts),
    (&["encrypted_content"], Lesson::NoThoughts),
    (&["reasoning_content"], Lesson::NoThoughts),
    (&["reasoning_details"], Lesson::NoThoughts),
    (&["'reasoning' is unsupported"], Lesson::NoThoughts),
    (&["image_url"], Lesson::NoImages),
    (&["input_image"], Lesson::NoImages),
    (&["support", "image"], Lesson::NoImages),
    (&["image input"], Lesson::NoImages),
    (&["images are not"], Lesson::NoImages),
    (&["vision"], Lesson::NoImages),
    (&["content", "must be a string"], Lesson::TextContent),
    (&["content", "expected a string"], Lesson::TextContent),
    (&["content", "should be a valid string"], Lesson::TextContent),
    (&["custom", "tool"], Lesson::NoCustomTools),
    (&["'custom'"], Lesson::NoCustomTools),
    (&["\"custom\""], Lesson::NoCustomTools),
    (&["namespace"], Lesson::NoNamespaces),
    (&["web_search"], Lesson::NoHostedTools),
    (&["image_generation"], Lesson::NoHostedTools),
    (&["tool_search"], Lesson::NoHostedTools),
    (&["local_shell"], Lesson::NoHostedTools),
    (&["parallel_tool_calls"], Lesson::NoParallelCalls),
    (&["tool_choice"], Lesson::AutoToolChoice),
    (&["stream_options"], Lesson::NoStreamOptions),
    (&["max_completion_tokens", "instead"], Lesson::MaxCompletionTokens),
    (&["max_tokens", "unsupported"], Lesson::MaxCompletionTokens),
    (&["max_tokens", "not supported"], Lesson::MaxCompletionTokens),
    (&["max_output_tokens"], Lesson::NoTokenLimit),
    (&["response_format"], Lesson::NoJsonSchema),
    (&["json_schema"], Lesson::NoJsonSchema),
    (&["response mime type"], Lesson::NoJsonSchema),
    (&["responsejsonschema"], Lesson::NoJsonSchema),
    (&["prompt_cache"], Lesson::NoCacheKey),
    (&["cache_control"], Lesson::NoCacheKey),
    (&["strict"], Lesson::NoStrict),
    (&["reasoning"], Lesson::NoReasoning),
    (&["thinking"], Lesson::NoReasoning),
    (&["chat_template"], Lesson::NoReasoning),
    (&["temperature"], Lesson::NoSampling),
    (&["top_p"], Lesson::NoSampling),
    (&["penalty"], Lesson::NoSampling),
    (&["developer", "role"], Lesson::SystemRole),
    (&["tool", "support"], Lesson::NoTools),
    (&["function calling", "not enabled"], Lesson::NoTools),
    (&["extra inputs"], Lesson::NoOwnRequests),
    (&["unexpected role"], Lesson::NoOwnRequests),
    (&["role", "system"], Lesson::NoOwnRequests),
    (&["anthropic-beta"], Lesson::NoOwnRequests),
    (&["context_management"], Lesson::NoOwnRequests),
    (&["output_config"], Lesson::NoOwnRequests),
    (&["thinking"], Lesson::NoOwnRequests),
    (&["tools"], Lesson::NoOwnRequests),
    (&["unknown", "field"], Lesson::NoOwnRequests),
    (&["not supported"], Lesson::NoOwnRequests),
];

/// A longer text may quote the person, and teaches nothing.
const LONGEST: usize = 600;

/// What a refusal teaches about a request with these features.
pub fn lesson(status: u16, message: &str, features: Features) -> Option<Lesson> {
    if !matches!(status, 400 | 404 | 415 | 422 | 501) || message.len() > LONGEST {
        return None;
    }
    let lower = message.to_ascii_lowercase();
    WORDINGS
        .iter()
        .find(|(words, lesson)| features.has(*lesson) && words.iter().all(|word| lower.contains(word)))
        .map(|(_, lesson)| *lesson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lesson_has_one_row_and_a_code_of_its_own() {
        for (place, (lesson, code, _)) in LESSONS.iter().enumerate() {
            assert_eq!(*lesson as usize, place, "{code} stands where its number says");
            assert_eq!(Lesson::from_code(code), Some(*lesson));
            assert_eq!(LESSONS.iter().filter(|row| row.1 == *code).count(), 1);
        }
    }

    #[test]
    fn refusals_in_providers_words() {
        let all = Features::of(LESSONS.iter().map(|row| row.0));
        let cases: [(u16, &str, Option<Lesson>); 25] = [
            (
                400,
                "Failed to deserialize: messages[1].content[0]: unknown variant `image_url`, expected `text`",
                Some(Lesson::NoImages),
            ),
            (404, "No endpoints found that support image input", Some(Lesson::NoImages)),
            (
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some(Lesson::MaxCompletionTokens),
            ),
            (
                400,
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
                Some(Lesson::ThoughtsWithCalls),
            ),
            (400, "property 'reasoning_content' is unsupported", Some(Lesson::NoThoughts)),
            (400, "Unknown name \"parallel_tool_calls\": Cannot find field.", Some(Lesson::NoParallelCalls)),
            (422, "tool_choice: Input should be 'auto'", Some(Lesson::AutoToolChoice)),
            (400, "Unrecognized request argument supplied: stream_options", Some(Lesson::NoStreamOptions)),
            (400, "This response_format type is unavailable now", Some(Lesson::NoJsonSchema)),
            (
                400,
                "messages.1.content.0: Invalid `signature` in `thinking` block",
                Some(Lesson::NoSignatures),
            ),
            (
                400,
                "Function call is missing a thought_signature in functionCall parts.",
                Some(Lesson::NoSignatures),
            ),
            (
                400,
                "Function calling with a response mime type: 'application/json' is unsupported",
                Some(Lesson::NoJsonSchema),
            ),
            (400, "Function calling is not enabled for models/gemma-3", Some(Lesson::NoTools)),
            (400, "Penalty is not enabled for models/gemini-2.5-pro", Some(Lesson::NoSampling)),
            (400, "params.messages[0].content: expected string, received array", Some(Lesson::StringMode)),
            (400, "registry.ollama.ai/library/gemma does not support tools", Some(Lesson::NoTools)),
            (400, "Invalid value: 'custom'. Supported values are: 'function'", Some(Lesson::NoCustomTools)),
            (
                400,
                "Unsupported value: 'temperature' does not support 0.2 with this model.",
                Some(Lesson::NoSampling),
            ),
            (400, "reasoning_effort is not supported by this model", Some(Lesson::NoReasoning)),
            (400, "messages: Unexpected role \"system\".", Some(Lesson::NoOwnRequests)),
            (400, "output_config: Extra inputs are not permitted", Some(Lesson::NoOwnRequests)),
            (500, "Unknown name \"parallel_tool_calls\"", None),
            (429, "temperature too high, cool down", None),
            (401, "tool_choice", None),
            (400, "bad request", None),
        ];
        for (status, message, want) in cases {
            assert_eq!(lesson(status, message, all), want, "{status} {message}");
        }
        let long = format!("invalid: {} tool_choice", "x".repeat(LONGEST));
        assert_eq!(lesson(400, &long, all), None, "it may quote the person");
        let plain = Features::default().and(Lesson::NoSampling);
        assert_eq!(lesson(400, "tool_choice is wrong", plain), None, "the request had no tool_choice");
    }
}
