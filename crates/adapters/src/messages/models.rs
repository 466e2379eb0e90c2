//! What the models of this protocol can do, as data. An unknown model is taken for a plain thinking one; refusals teach the rest.

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It does not.
    None,
    /// `thinking: {type: enabled, budget_tokens}`.
    Budget,
    /// `thinking: {type: adaptive}` and `output_config.effort`.
    Adaptive,
}

/// One family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The beginning of its name.
    pub prefix: &'static str,
    /// The most tokens of an answer.
    pub max_tokens: u64,
    /// How it thinks.
    pub thinking: Thinking,
    /// It takes `output_config.format` with a JSON schema.
    pub json_schema: bool,
}

const fn row(prefix: &'static str, max_tokens: u64, thinking: Thinking, json_schema: bool) -> Model {
    Model { prefix, max_tokens, thinking, json_schema }
}

/// The first row whose prefix fits counts.
const MODELS: [Model; 13] = [
    row("claude-3-5", 8192, Thinking::None, false),
    row("claude-3-7", 64_000, Thinking::Budget, false),
    row("claude-3-", 4096, Thinking::None, false),
    row("claude-sonnet-4-5", 64_000, Thinking::Budget, true),
    row("claude-haiku-4-5", 64_000, Thinking::Budget, true),
    row("claude-opus-4-5", 64_000, Thinking::Budget, true),
    row("claude-opus-4-1", 32_000, Thinking::Budget, true),
    // The oldest of a line carry a date, or nothing, instead of a second number.
    row("claude-opus-4-0", 32_000, Thinking::Budget, false),
    row("claude-opus-4-2025", 32_000, Thinking::Budget, false),
    row("claude-sonnet-4-0", 64_000, Thinking::Budget, false),
    row("claude-sonnet-4-2025", 64_000, Thinking::Budget, false),
    row("claude-", 128_000, Thinking::Adaptive, true),
    row("", 131_072, Thinking::Budget, false),
];

/// What is asked for when the client names no limit.
pub const DEFAULT_MAX_TOKENS: u64 = 32_000;

/// What this model can do.
pub fn find(model: &str) -> Model {
    let lower = model.to_ascii_lowercase().replace('.', "-");
    let name = lower.rsplit(['/', ':']).next().unwrap_or(&lower);
    MODELS.into_iter().find(|row| name.starts_with(row.prefix)).unwrap_or(MODELS[MODELS.len() - 1])
}

/// Tokens for thinking, by effort.
pub fn budget(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => 1024,
        "high" => 24_576,
        "xhigh" | "max" => 32_768,
        _ => 8192,
    }
}

/// The effort of an adaptive model, in its own words.
pub fn effort(effort: &str) -> &str {
    match effort {
        "minimal" => "low",
        "xhigh" => "max",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_their_abilities() {
        let cases = [
            ("claude-3-5-haiku-latest", 8192, Thinking::None),
            ("claude-3-haiku-20240307", 4096, Thinking::None),
            ("claude-sonnet-4-20250514", 64_000, Thinking::Budget),
            ("claude-opus-4-1-20250805", 32_000, Thinking::Budget),
            ("claude-sonnet-4-5", 64_000, Thinking::Budget),
            ("anthropic/claude-opus-4.6", 128_000, Thinking::Adaptive),
            ("claude-sonnet-5", 128_000, Thinking::Adaptive),
            ("MiniMax-M2.7", 131_072, Thinking::Budget),
        ];
        for (model, max_tokens, thinking) in cases {
            let found = find(model);
            assert_eq!((found.max_tokens, found.thinking), (max_tokens, thinking), "{model}");
        }
    }
}
