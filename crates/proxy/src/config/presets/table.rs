//! The rows.

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle, ToolChoiceSupport};
use latimer_adapters::repair::RepairLevel;
use latimer_adapters::responses::profile::Profile;

use super::Preset;
use crate::config::{History, Login, Protocol};

const PLAIN: Quirks = Quirks::DEFAULT;
const EFFORT: Quirks = Quirks { reasoning: ReasoningStyle::Effort, ..PLAIN };
const LOCAL: Quirks = Quirks { reasoning: ReasoningStyle::ChatTemplate, ..PLAIN };
const ROUTER: Quirks = Quirks { reasoning: ReasoningStyle::OpenRouter, echo: Echo::Details, ..PLAIN };
const KIMI: Quirks = Quirks { reasoning: ReasoningStyle::ThinkingObject, echo: Echo::WithCalls, ..PLAIN };
/// Refuses whatever it does not know.
const STRICT: Quirks = Quirks { reasoning: ReasoningStyle::Effort, parallel_tool_calls: false, ..PLAIN };
const OPENAI: Quirks = Quirks {
    reasoning: ReasoningStyle::Effort,
    max_completion_tokens: true,
    developer_role: true,
    single_system: false,
    prompt_cache_key: true,
    ..PLAIN
};
const ZEN: Quirks = Quirks { echo: Echo::WithCalls, session_header: Some("x-opencode-session"), ..PLAIN };
/// What long histories are cut to where a provider fails on them.
const SHORT: History =
    History { new_outputs: Some(8000), old_outputs: Some(3000), newest: 6, max_items: None, adaptive: true };
/// What Google's logins are given of old outputs.
const GOOGLE: History = History {
    new_outputs: Some(20_000),
    old_outputs: Some(3000),
    newest: 6,
    max_items: None,
    adaptive: false,
};

const fn row(
    name: &'static str,
    base_url: &'static str,
    key_env: &'static str,
    models: &'static [&'static str],
    quirks: Quirks,
) -> Preset {
    Preset {
        name,
        protocol: Protocol::Chat,
        base_url,
        key_env: Some(key_env),
        login: None,
        models,
        quirks,
        profile: Profile::PLAIN,
        repair: RepairLevel::Parse,
        hosts: &[],
        history: History::WHOLE,
    }
}

const fn local(name: &'static str, base_url: &'static str, quirks: Quirks) -> Preset {
    Preset { key_env: None, ..row(name, base_url, "", &[], quirks) }
}

/// A server of the Responses protocol: its own events go through as they are.
const fn responses(
    name: &'static str,
    base_url: &'static str,
    key_env: &'static str,
    models: &'static [&'static str],
    profile: Profile,
) -> Preset {
    let row = row(name, base_url, key_env, models, PLAIN);
    Preset { protocol: Protocol::Responses, profile, repair: RepairLevel::WhereTranslated, ..row }
}

const fn anthropic(
    name: &'static str,
    base_url: &'static str,
    key_env: &'static str,
    models: &'static [&'static str],
) -> Preset {
    Preset { protocol: Protocol::Messages, ..row(name, base_url, key_env, models, PLAIN) }
}

/// A provider that is used with a login and has no keys.
const fn account(
    name: &'static str,
    protocol: Protocol,
    base_url: &'static str,
    login: Login,
    models: &'static [&'static str],
    history: History,
) -> Preset {
    Preset { protocol, key_env: None, login: Some(login), history, ..row(name, base_url, "", models, PLAIN) }
}

/// Every preset, the best known first.
pub const PRESETS: [Preset; 41] = [
    responses(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        &["gpt-5.5", "gpt-6-sol", "gpt-5.4-mini"],
        Profile::OPENAI,
    ),
    row("openai-chat", "https://api.openai.com/v1", "OPENAI_API_KEY", &["gpt-5.5", "gpt-5.4-mini"], OPENAI),
    Preset {
        key_env: None,
        login: Some(Login::ChatGpt),
        ..responses("chatgpt", "https://chatgpt.com/backend-api/codex", "", &["gpt-5.5"], Profile::CHATGPT)
    },
    Preset {
        login: Some(Login::Anthropic),
        ..anthropic(
            "anthropic",
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY",
            &["claude-sonnet-4-6", "claude-opus-4-6", "claude-haiku-4-5"],
        )
    },
    Preset {
        protocol: Protocol::ByModel,
        models: &[
            "glm-5.1",
            "glm-5",
            "kimi-k2.6",
            "minimax-m2.7",
            "deepseek-v4-flash-free",
            "qwen3.6-plus",
            "gemini-3-flash",
            "gemini-3.1-pro",
            "claude-sonnet-4-6",
            "claude-opus-4-6",
            "claude-haiku-4-5",
            "big-pickle",
        ],
        profile: Profile::PLAIN,
        ..row("opencode-zen", "https://opencode.ai/zen/v1", "OPENCODE_API_KEY", &[], ZEN)
    },
    Preset {
        protocol: Protocol::ByModel,
        models: &[
            "glm-5.1",
            "kimi-k2.6",
            "mimo-v2.5-pro",
            "minimax-m2.7",
            "minimax-m2.5",
            "qwen3.6-plus",
            "deepseek-v4-pro",
            "deepseek-v4-flash",
        ],
        ..row("opencode-go", "https://opencode.ai/zen/go/v1", "OPENCODE_API_KEY", &[], ZEN)
    },
    anthropic(
        "opencode-zen-anthropic",
        "https://opencode.ai/zen/v1",
        "OPENCODE_API_KEY",
        &["claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"],
    ),
    anthropic(
        "opencode-go-anthropic",
        "https://opencode.ai/zen/go/v1",
        "OPENCODE_API_KEY",
        &["minimax-m2.7", "minimax-m2.5"],
    ),
    Preset {
        protocol: Protocol::CommandCode,
        login: Some(Login::CommandCode),
        repair: RepairLevel::Assist,
        ..row(
            "command-code",
            "https://api.commandcode.ai",
            "COMMAND_CODE_API_KEY",
            &[
                "deepseek/deepseek-v4-flash",
                "deepseek/deepseek-v4-pro",
                "anthropic:claude-sonnet-4-6",
                "moonshotai/Kimi-K2.6",
                "zai-org/GLM-5.1",
                "MiniMaxAI/MiniMax-M2.7",
                "stepfun/Step-3.5-Flash",
                "google/gemini-3.1-flash-lite",
            ],
            PLAIN,
        )
    },
    Preset {
        quirks: Quirks {
            echo: Echo::WithCalls,
            least_tokens: Some(latimer_adapters::codebuff::LEAST_TOKENS),
            ..PLAIN
        },
        ..account(
            "codebuff",
            Protocol::Codebuff,
            "https://www.codebuff.com",
            Login::Codebuff,
            &[
                "deepseek/deepseek-v4-pro",
                "deepseek/deepseek-v4-flash",
                "moonshotai/kimi-k2.6",
                "minimax/minimax-m2.7",
            ],
            History::WHOLE,
        )
    },
    Preset {
        protocol: Protocol::Gemini,
        ..row(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            "GEMINI_API_KEY",
            &["gemini-3-flash", "gemini-3.1-pro"],
            PLAIN,
        )
    },
    row(
        "gemini-openai",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        &["gemini-3-flash", "gemini-3.1-pro"],
        STRICT,
    ),
    account(
        "gemini-cli",
        Protocol::CodeAssist,
        "https://cloudcode-pa.googleapis.com",
        Login::Google,
        &["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash"],
        GOOGLE,
    ),
    Preset {
        hosts: &["https://daily-cloudcode-pa.googleapis.com", "https://cloudcode-pa.googleapis.com"],
        ..account(
            "antigravity",
            Protocol::Antigravity,
            "https://cloudcode-pa.googleapis.com",
            Login::Antigravity,
            &[
                "gemini-3-flash",
                "gemini-3.5-flash-low",
                "gemini-3.1-pro",
                "claude-sonnet-4.6",
                "claude-opus-4.6-thinking",
                "gpt-oss-120b",
                "gemini-2.5-flash",
                "gemini-2.5-pro",
            ],
            GOOGLE,
        )
    },
    responses("xai-responses", "https://api.x.ai/v1", "XAI_API_KEY", &["grok-4.3"], Profile::XAI),
    row("xai", "https://api.x.ai/v1", "XAI_API_KEY", &[], EFFORT),
    Preset { history: SHORT, ..row("crof", "https://crof.ai/v1", "CROF_API_KEY", &[], PLAIN) },
    Preset {
        history: History { new_outputs: Some(1000), old_outputs: Some(1000), max_items: Some(10), ..SHORT },
        ..row(
            "openadapter",
            "https://api.openadapter.in/v1",
            "OPENADAPTER_API_KEY",
            &["0G-DeepSeek-V3", "0G-DeepSeek-v4-Pro", "0G-GLM-5.1", "0G-Qwen3.6", "0G-Qwen-VL"],
            PLAIN,
        )
    },
    row("command-code-provider", "https://api.commandcode.ai/provider/v1", "COMMANDCODE_API_KEY", &[], PLAIN),
    row(
        "zai",
        "https://api.z.ai/api/coding/paas/v4",
        "ZAI_API_KEY",
        &["glm-5.1", "glm-5", "glm-5v-turbo", "glm-4.7", "glm-4.7-flash"],
        Quirks {
            reasoning: ReasoningStyle::ThinkingObject,
            echo: Echo::Always,
            tool_choice: ToolChoiceSupport::AutoOnly,
            parallel_tool_calls: false,
            json_schema: false,
            extra_body: Some("{\"tool_stream\":true}"),
            ..PLAIN
        },
    ),
    row(
        "nvidia-nim",
        "https://integrate.api.nvidia.com/v1",
        "NVIDIA_API_KEY",
        &[],
        // Many models have a closed schema, so nothing extra is sent.
        Quirks { parallel_tool_calls: false, ..PLAIN },
    ),
    row("kilo", "https://api.kilo.ai/api/gateway", "KILO_API_KEY", &["kilo/auto"], ROUTER),
    row("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", &[], ROUTER),
    row(
        "deepseek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        &["deepseek-v4-flash", "deepseek-v4-pro"],
        Quirks {
            reasoning: ReasoningStyle::ThinkingAndEffort,
            echo: Echo::WithCalls,
            json_schema: false,
            ..PLAIN
        },
    ),
    row(
        "mimo",
        "https://token-plan-sgp.xiaomimimo.com/v1",
        "MIMO_API_KEY",
        &["mimo-v2.5-pro", "mimo-v2.5", "mimo-v2-omni"],
        Quirks {
            reasoning: ReasoningStyle::ThinkingAndEffort,
            echo: Echo::WithCalls,
            max_completion_tokens: true,
            ..PLAIN
        },
    ),
    row("ocenza", "https://global.ocenza.com/v1", "OCENZA_API_KEY", &["gpt-oss-120b"], PLAIN),
    row("kimi", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", &["kimi-k2.6", "kimi-k2.7-code"], KIMI),
    row("kimi-coding", "https://api.kimi.com/coding/v1", "KIMI_API_KEY", &["kimi-for-coding"], KIMI),
    row("nous", "https://inference-api.nousresearch.com/v1", "NOUS_API_KEY", &[], PLAIN),
    row(
        "perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_API_KEY",
        &["sonar", "sonar-pro"],
        Quirks { tools: false, alternate_roles: true, ..PLAIN },
    ),
    row("cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", &[], EFFORT),
    row("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN", &[], EFFORT),
    row("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", &[], EFFORT),
    row("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", &[], EFFORT),
    row("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", &[], STRICT),
    row("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", &[], EFFORT),
    row(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        &["mistral-large-latest", "codestral-latest"],
        Quirks { nine_character_call_ids: true, null_content: false, ..PLAIN },
    ),
    row("ollama-cloud", "https://ollama.com/v1", "OLLAMA_API_KEY", &[], EFFORT),
    local("ollama", "http://localhost:11434/v1", EFFORT),
    local("lmstudio", "http://127.0.0.1:1234/v1", LOCAL),
    local("vllm", "http://localhost:8000/v1", LOCAL),
];
