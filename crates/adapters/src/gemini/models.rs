//! What the models behind this protocol are and how they are told to think, as data and small rules.

use serde_json::{Value, json};

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

/// `thinkingConfig` for an effort; `None` where the model has no such switch.
pub fn thinking(model: &str, effort: &str) -> Option<Value> {
    let is_pro = model.to_ascii_lowercase().contains("pro");
    match family(model) {
        Family::Gemini(30..) => {
            let level = match effort {
                "none" | "minimal" => {
                    if is_pro {
                        "low"
                    } else {
                        "minimal"
                    }
                }
                "xhigh" | "max" => "high",
                "low" | "medium" | "high" => effort,
                _ => "medium",
            };
            Some(json!({ "includeThoughts": effort != "none", "thinkingLevel": level }))
        }
        Family::Gemini(25..) => {
            let budget = match effort {
                "none" => {
                    if is_pro {
                        128
                    } else {
                        0
                    }
                }
                "minimal" => 512,
                "low" => 1024,
                "medium" => 8192,
                "high" | "xhigh" | "max" => 24_576,
                _ => -1,
            };
            Some(json!({ "includeThoughts": effort != "none", "thinkingBudget": budget }))
        }
        Family::Claude if effort != "none" && model.contains("thinking") => {
            Some(json!({ "include_thoughts": true, "thinking_budget": claude_budget(effort) }))
        }
        _ => None,
    }
}

/// Tokens for thinking of a Claude behind this protocol.
pub fn claude_budget(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => 8192,
        "high" | "xhigh" | "max" => 32_768,
        _ => 16_384,
    }
}

/// What Antigravity calls its models, by the names people use. Unknown names pass.
const ALIASES: [(&str, &str); 26] = [
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
    ("claude-opus-4.6", "claude-opus-4-6-thinking"),
    ("claude-opus-4.6-thinking", "claude-opus-4-6-thinking"),
    ("antigravity-claude-opus-4-6-thinking", "claude-opus-4-6-thinking"),
    ("gpt-oss-120b", "gpt-oss-120b-medium"),
];

/// The name Antigravity knows a model by.
pub fn alias(model: &str) -> &str {
    let lower = model.to_ascii_lowercase();
    ALIASES.iter().find(|(name, _)| *name == lower).map_or(model, |(_, alias)| alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_and_switches() {
        let cases = [
            ("gemini-2.0-flash", Family::Gemini(20), json!(null)),
            (
                "gemini-2.5-flash",
                Family::Gemini(25),
                json!({ "includeThoughts": true, "thinkingBudget": 24_576 }),
            ),
            (
                "models/gemini-3.1-pro",
                Family::Gemini(31),
                json!({ "includeThoughts": true, "thinkingLevel": "high" }),
            ),
            (
                "gemini-flash-latest",
                Family::Gemini(30),
                json!({ "includeThoughts": true, "thinkingLevel": "high" }),
            ),
            (
                "claude-opus-4-6-thinking",
                Family::Claude,
                json!({ "include_thoughts": true, "thinking_budget": 32_768 }),
            ),
            ("claude-sonnet-4-6", Family::Claude, json!(null)),
            ("gpt-oss-120b-medium", Family::Other, json!(null)),
        ];
        for (model, want, switch) in cases {
            assert_eq!(family(model), want, "{model}");
            assert_eq!(thinking(model, "high").unwrap_or_default(), switch, "{model}");
        }
        assert_eq!(
            thinking("gemini-2.5-pro", "none"),
            Some(json!({ "includeThoughts": false, "thinkingBudget": 128 }))
        );
        assert_eq!(alias("Gemini 3.1 Pro (High)"), "gemini-3.1-pro-low");
        assert_eq!(alias("gemini-9"), "gemini-9");
    }
}
