//! What an endpoint cannot do, and what a request makes use of: a [`Limitation`] changes how the next request is written. Which
//! refusal teaches which is told in [`crate::teaching`]. Pure.

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

    /// Every limitation there is.
    pub fn all() -> impl Iterator<Item = Self> {
        LIMITATIONS.iter().map(|row| row.0)
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
}
