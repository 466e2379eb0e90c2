//! Which list of which catalogue a preset's models stand in. A preset is a row.

/// What a price of nothing means in a provider's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Billing {
    /// Tokens are paid for; nothing means that nobody knows.
    Metered,
    /// Tokens are paid for; nothing means free.
    ZeroIsFree,
    /// A subscription or a login: a price for tokens would be a guess.
    Plan,
}

/// How much of a provider's list is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// Every chat model.
    All,
    /// Families that write code, and what is free: lists of hundreds.
    Families,
}

/// Where one preset's facts come from.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) preset: &'static str,
    /// The provider in the npm catalogue; empty for none.
    pub(super) catalog: &'static str,
    /// `litellm_provider` in the other one; empty for none.
    pub(super) litellm: &'static str,
    pub(super) billing: Billing,
    pub(super) selection: Selection,
    /// These models alone; empty for all.
    pub(super) only: &'static [&'static str],
    /// Names of a model besides the one in the catalogue: ours, and theirs.
    pub(super) aliases: &'static [(&'static str, &'static str)],
}

const fn row(preset: &'static str, catalog: &'static str, litellm: &'static str) -> Provider {
    Provider {
        preset,
        catalog,
        litellm,
        billing: Billing::Metered,
        selection: Selection::All,
        only: &[],
        aliases: &[],
    }
}

const fn plan(preset: &'static str, catalog: &'static str, litellm: &'static str) -> Provider {
    Provider { billing: Billing::Plan, ..row(preset, catalog, litellm) }
}

/// Presets that serve the same models as another one.
pub(super) const SAME: [(&str, &str); 6] = [
    ("openai-chat", "openai"),
    ("opencode-zen-anthropic", "opencode-zen"),
    ("opencode-go-anthropic", "opencode-go"),
    ("gemini-openai", "gemini"),
    ("xai-responses", "xai"),
    ("command-code-provider", "command-code"),
];

/// The presets of `crates/proxy/src/config/presets/table.rs` that a catalogue knows.
pub(super) const PROVIDERS: [Provider; 27] = [
    row("openai", "openai", "openai"),
    plan("chatgpt", "openai-codex", "chatgpt"),
    row("anthropic", "anthropic", "anthropic"),
    Provider { billing: Billing::ZeroIsFree, ..row("opencode-zen", "opencode-zen", "") },
    plan("opencode-go", "opencode-go", "opencode_go"),
    Provider {
        aliases: &[
            ("anthropic:claude-sonnet-4-6", "claude-sonnet-4-6"),
            ("zai-org/GLM-5.1", "zai-org/GLM-5.1"),
            ("stepfun/Step-3.5-Flash", "stepfun/Step-3.5-Flash"),
        ],
        ..row("command-code", "commandcode", "")
    },
    Provider {
        only: &[
            "deepseek/deepseek-v4-pro",
            "deepseek/deepseek-v4-flash",
            "moonshotai/kimi-k2.6",
            "minimax/minimax-m2.7",
        ],
        ..plan("codebuff", "openrouter", "")
    },
    Provider {
        aliases: &[
            ("gemini-3-flash", "gemini-3-flash-preview"),
            ("gemini-3.1-pro", "gemini-3.1-pro-preview"),
        ],
        ..row("gemini", "google", "gemini")
    },
    Provider {
        aliases: &[
            ("gemini-3-flash", "gemini-3-flash-preview"),
            ("gemini-3.1-pro", "gemini-3.1-pro-preview"),
        ],
        ..plan("gemini-cli", "google-gemini-cli", "")
    },
    Provider {
        aliases: &[
            ("claude-sonnet-4.6", "claude-sonnet-4-6"),
            ("claude-opus-4.6-thinking", "claude-opus-4-6"),
            ("gemini-3.5-flash-low", "gemini-3.5-flash"),
        ],
        ..plan("antigravity", "google-antigravity", "")
    },
    row("xai", "xai", "xai"),
    plan("zai", "zai", "zai"),
    Provider { selection: Selection::Families, ..row("nvidia-nim", "nvidia", "") },
    Provider { selection: Selection::Families, ..row("kilo", "kilo", "") },
    Provider { selection: Selection::Families, ..row("openrouter", "openrouter", "") },
    row("deepseek", "deepseek", "deepseek"),
    plan("mimo", "xiaomi-token-plan-sgp", ""),
    row("kimi", "moonshot", "moonshot"),
    plan("kimi-coding", "kimi-code", ""),
    Provider { only: &["sonar", "sonar-pro", "sonar-reasoning-pro"], ..row("perplexity", "", "perplexity") },
    row("cohere", "", "cohere_chat"),
    Provider { selection: Selection::Families, ..row("huggingface", "huggingface", "") },
    Provider { selection: Selection::Families, ..row("together", "together", "together_ai") },
    row("groq", "groq", "groq"),
    row("cerebras", "cerebras", "cerebras"),
    row("fireworks", "fireworks", ""),
    row("mistral", "mistral", "mistral"),
];

/// Words in the names of models that no coding agent talks to.
pub(super) const NO_CHAT: [&str; 31] = [
    "image",
    "tts",
    "transcri",
    "embed",
    "rerank",
    "realtime",
    "audio",
    "-live",
    "robotics",
    "flux",
    "voxtral",
    "moderation",
    "deep-research",
    "computer-use",
    "ocr",
    "imagine",
    "tab_",
    "sora",
    "whisper",
    "search-preview",
    "ft:",
    "safeguard",
    "guard",
    "speech",
    "banana",
    "lyria",
    "video",
    "daybreak",
    "experimental",
    "-exp",
    "-beta",
];

/// Beginnings of names, behind the vendor and in small letters, that are kept of a long list.
pub(super) const FAMILIES: [&str; 25] = [
    "claude-opus-4.",
    "claude-opus-5",
    "claude-sonnet-4.",
    "claude-sonnet-5",
    "claude-haiku-4.",
    "claude-fable-5",
    "gpt-5.",
    "gpt-6",
    "gpt-oss-",
    "gemini-2.5-",
    "gemini-3",
    "deepseek-v3.2",
    "deepseek-v4",
    "glm-4.7",
    "glm-5",
    "kimi-k2.",
    "kimi-k3",
    "minimax-m2",
    "minimax-m3",
    "qwen3.",
    "qwen3-coder",
    "grok-4",
    "mimo-v2",
    "devstral",
    "mistral-large",
];
