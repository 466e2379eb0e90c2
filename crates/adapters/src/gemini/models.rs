//! What the models behind this protocol are and how they are told to think, as data and small rules.

use latimer_protocol::gemini::request::GeminiThinkingConfig;

/// What a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A Gemini of this generation, in tenths: 25 for 2.5.
    Gemini(u32),
    /// A Claude behind the same protocol.
    Claude,
    /// Anything else.
    Other,
}

/// What this model is.
pub fn family(model: &str) -> Family {
    let lower = model.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    if name.contains("claude") {
        return Family::Claude;
    }
    let Some(rest) = name.strip_prefix("gemini-") else { return Family::Other };
    let version = rest.split('-').next().unwrap_or_default();
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    match (major.parse::<u32>(), minor.parse::<u32>()) {
        (Ok(major), Ok(minor)) => Family::Gemini(major.saturating_mul(10).saturating_add(minor)),
        // `gemini-flash-latest` and the like: the newest there is.
        _ => Family::Gemini(30),
    }
}

impl Family {
    /// Whether calls in its history must carry a signature.
    pub fn wants_signatures(self) -> bool {
        matches!(self, Self::Gemini(30..))
    }

    /// Whether a schema for the answer may stand beside functions.
    pub fn formats_beside_tools(self) -> bool {
        matches!(self, Self::Gemini(30..))
    }
}

/// How each effort is told: the level of a Gemini 3, the same where thinking cannot be off, the budget of a Gemini 2.5, that of
/// a Gemini of Antigravity, and that of a Claude. The last row is for words nobody knows yet.
const EFFORTS: [(&str, &str, &str, i32, i32, i32); 8] = [
    ("none", "minimal", "low", 0, 0, 0),
    ("minimal", "minimal", "low", 512, 2048, 8192),
    ("low", "low", "low", 1024, 2048, 8192),
    ("medium", "medium", "medium", 8192, 8192, 16_384),
    ("high", "high", "high", 24_576, 24_576, 32_768),
    ("xhigh", "high", "high", 24_576, 24_576, 32_768),
    ("max", "high", "high", 24_576, 24_576, 32_768),
    ("", "medium", "medium", -1, 8192, 16_384),
];
/// The least a Pro of 2.5 thinks: it cannot be off.
const LEAST_OF_PRO: i32 = 128;

/// `thinkingConfig` for an effort; `None` where the model has no such switch. `requested` is the name people know the model by.
pub(super) fn thinking(
    requested: &str,
    model: &str,
    effort: &str,
    antigravity: bool,
) -> Option<GeminiThinkingConfig> {
    let (word, level, pro_level, budget, antigravity_budget, claude_budget) =
        *EFFORTS.iter().find(|row| row.0 == effort).or(EFFORTS.last())?;
    let is_on = word != "none";
    let is_pro = model.to_ascii_lowercase().contains("-pro");
    let at_least = |budget: i32| if is_pro && budget == 0 { LEAST_OF_PRO } else { budget };
    match family(model) {
        Family::Gemini(25..) if antigravity => Some(GeminiThinkingConfig::Budget {
            include_thoughts: is_on,
            thinking_budget: at_least(antigravity_budget),
        }),
        Family::Gemini(30..) => {
            let level = if is_pro { pro_level } else { level };
            Some(GeminiThinkingConfig::Level { include_thoughts: is_on, thinking_level: level })
        }
        Family::Gemini(25..) => {
            Some(GeminiThinkingConfig::Budget { include_thoughts: is_on, thinking_budget: at_least(budget) })
        }
        // One id may stand for the thinking and the plain form: then the name that was asked for tells.
        Family::Claude if is_on && [requested, model].iter().any(|name| thinks(name)) => {
            Some(GeminiThinkingConfig::Claude { include_thoughts: true, thinking_budget: claude_budget })
        }
        _ => None,
    }
}

fn thinks(name: &str) -> bool {
    name.to_ascii_lowercase().contains("thinking")
}

/// What Antigravity calls its models, by the names people use. Unknown names pass.
const ALIASES: [(&str, &str); 29] = [
    ("gemini-3.5-flash", "gemini-3-flash"),
    ("gemini-3.5-flash-high", "gemini-3-flash"),
    ("gemini-3.5-flash-medium", "gemini-3-flash"),
    ("gemini-3-flash-preview", "gemini-3-flash"),
    ("antigravity-gemini-3-flash", "gemini-3-flash"),
    ("gemini 3.5 flash (high)", "gemini-3-flash"),
    ("gemini 3.5 flash (medium)", "gemini-3-flash"),
    ("gemini 3.5 flash (low)", "gemini-3.5-flash-low"),
    ("gemini-3-pro", "gemini-3.1-pro-low"),
    ("gemini-3-pro-low", "gemini-3.1-pro-low"),
    ("gemini-3-pro-high", "gemini-3.1-pro-low"),
    ("gemini-3-pro-preview", "gemini-3.1-pro-low"),
    ("gemini-3.1-pro", "gemini-3.1-pro-low"),
    ("gemini-3.1-pro-high", "gemini-3.1-pro-low"),
    ("gemini-3.1-pro-preview", "gemini-3.1-pro-low"),
    ("antigravity-gemini-3-pro", "gemini-3.1-pro-low"),
    ("antigravity-gemini-3.1-pro", "gemini-3.1-pro-low"),
    ("gemini 3.1 pro (high)", "gemini-3.1-pro-low"),
    ("gemini 3.1 pro (low)", "gemini-3.1-pro-low"),
    ("claude-sonnet-4.6", "claude-sonnet-4-6"),
    ("claude-sonnet-4.6-thinking", "claude-sonnet-4-6"),
    ("antigravity-claude-sonnet-4-6", "claude-sonnet-4-6"),
    ("claude sonnet 4.6 (thinking)", "claude-sonnet-4-6"),
    ("claude-opus-4.6", "claude-opus-4-6-thinking"),
    ("claude-opus-4.6-thinking", "claude-opus-4-6-thinking"),
    ("antigravity-claude-opus-4-6-thinking", "claude-opus-4-6-thinking"),
    ("claude opus 4.6 (thinking)", "claude-opus-4-6-thinking"),
    ("gpt-oss-120b", "gpt-oss-120b-medium"),
    ("gpt-oss 120b (medium)", "gpt-oss-120b-medium"),
];

/// The name Antigravity knows a model by.
pub fn alias(model: &str) -> &str {
    let lower = model.to_ascii_lowercase();
    ALIASES.iter().find(|(name, _)| *name == lower).map_or(model, |(_, alias)| alias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What goes over the wire; null where there is no switch.
    fn wire(requested: &str, model: &str, effort: &str, antigravity: bool) -> Value {
        serde_json::to_value(thinking(requested, model, effort, antigravity)).expect("JSON")
    }

    #[test]
    fn generations() {
        let cases = [
            ("gemini-2.0-flash", Family::Gemini(20)),
            ("gemini-2.5-flash", Family::Gemini(25)),
            ("models/gemini-3.1-pro", Family::Gemini(31)),
            ("gemini-flash-latest", Family::Gemini(30)),
            ("claude-opus-4-6-thinking", Family::Claude),
            ("gpt-oss-120b-medium", Family::Other),
            ("", Family::Other),
        ];
        for (model, want) in cases {
            assert_eq!(family(model), want, "{model}");
        }
    }

    #[test]
    fn thinking_by_model_and_effort() {
        let level = |on: bool, level: &str| json!({ "includeThoughts": on, "thinkingLevel": level });
        let budget = |on: bool, budget: i32| json!({ "includeThoughts": on, "thinkingBudget": budget });
        let claude = |budget: i32| json!({ "include_thoughts": true, "thinking_budget": budget });
        let cases = [
            ("gemini-3-flash", "none", false, level(false, "minimal")),
            ("gemini-3-flash", "xhigh", false, level(true, "high")),
            ("gemini-3.1-pro", "minimal", false, level(true, "low")),
            ("gemini-3.1-pro", "medium", false, level(true, "medium")),
            ("gemini-2.5-flash", "none", false, budget(false, 0)),
            ("gemini-2.5-pro", "none", false, budget(false, 128)),
            ("gemini-2.5-pro", "low", false, budget(true, 1024)),
            ("gemini-2.5-flash", "tomorrow", false, budget(true, -1)),
            ("gemini-2.0-flash", "high", false, Value::Null),
            ("gemini-3-flash", "low", true, budget(true, 2048)),
            ("gemini-3.1-pro-low", "high", true, budget(true, 24_576)),
            ("gemini-3.1-pro-low", "none", true, budget(false, 128)),
            ("gemini-2.5-flash", "medium", true, budget(true, 8192)),
            ("claude-opus-4-6-thinking", "low", true, claude(8192)),
            ("claude-opus-4-6-thinking", "max", true, claude(32_768)),
            ("claude-opus-4-6-thinking", "none", true, Value::Null),
            ("claude-sonnet-4-6", "high", true, Value::Null),
            ("gpt-oss-120b-medium", "high", true, Value::Null),
        ];
        for (model, effort, antigravity, want) in cases {
            let got = wire(model, model, effort, antigravity);
            assert_eq!(got, want, "{model} {effort} {antigravity}");
        }
        let requested = wire("claude-sonnet-4.6-thinking", "claude-sonnet-4-6", "medium", true);
        assert_eq!(requested, claude(16_384), "the name that was asked for tells");
    }

    #[test]
    fn names_of_antigravity() {
        let cases = [
            ("Gemini 3.5 Flash (High)", "gemini-3-flash"),
            ("gemini-3.5-flash-low", "gemini-3.5-flash-low"),
            ("Gemini 3.1 Pro (High)", "gemini-3.1-pro-low"),
            ("gemini-3-pro", "gemini-3.1-pro-low"),
            ("Claude Sonnet 4.6 (Thinking)", "claude-sonnet-4-6"),
            ("Claude Opus 4.6 (Thinking)", "claude-opus-4-6-thinking"),
            ("GPT-OSS 120B (Medium)", "gpt-oss-120b-medium"),
            ("gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
            ("gemini-9", "gemini-9"),
        ];
        for (name, want) in cases {
            assert_eq!(alias(name), want, "{name}");
        }
        for (name, sent) in ALIASES {
            assert_eq!(name, name.to_ascii_lowercase(), "names are looked up in lower case");
            assert_eq!(alias(sent), sent, "an alias of an alias");
        }
    }
}
