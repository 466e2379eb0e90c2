//! The providers latimer knows by name. A provider is a row: its quirks are data, never code.
//!
//! Addresses and models age; the file overrides any of it.

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle, ToolChoiceSupport};

/// One provider.
#[derive(Debug, Clone)]
pub struct Preset {
    /// As written in the file.
    pub name: &'static str,
    /// Where its Chat Completions are.
    pub base_url: &'static str,
    /// The variable its key usually stands in; `None` for servers that need no key.
    pub key_env: Option<&'static str>,
    /// Models to begin with.
    pub models: &'static [&'static str],
    /// What it does differently.
    pub quirks: Quirks,
}

const PLAIN: Quirks = Quirks::DEFAULT;
const EFFORT: Quirks = Quirks { reasoning: ReasoningStyle::Effort, ..PLAIN };
const LOCAL: Quirks = Quirks { reasoning: ReasoningStyle::ChatTemplate, ..PLAIN };
const ROUTER: Quirks = Quirks { reasoning: ReasoningStyle::OpenRouter, echo: Echo::Details, ..PLAIN };
const KIMI: Quirks = Quirks { reasoning: ReasoningStyle::ThinkingObject, echo: Echo::WithCalls, ..PLAIN };
/// Refuses whatever it does not know.
const STRICT: Quirks = Quirks { reasoning: ReasoningStyle::Effort, parallel_tool_calls: false, ..PLAIN };

const fn row(
    name: &'static str,
    base_url: &'static str,
    key_env: &'static str,
    models: &'static [&'static str],
    quirks: Quirks,
) -> Preset {
    Preset { name, base_url, key_env: Some(key_env), models, quirks }
}

const fn local(name: &'static str, base_url: &'static str, quirks: Quirks) -> Preset {
    Preset { name, base_url, key_env: None, models: &[], quirks }
}

/// Every preset that speaks Chat Completions.
pub const PRESETS: [Preset; 30] = [
    row(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        &["gpt-4o", "gpt-4o-mini"],
        Quirks {
            reasoning: ReasoningStyle::Effort,
            max_completion_tokens: true,
            developer_role: true,
            single_system: false,
            prompt_cache_key: true,
            ..PLAIN
        },
    ),
    row(
        "opencode-zen",
        "https://opencode.ai/zen/v1",
        "OPENCODE_API_KEY",
        &[
            "glm-5.1",
            "glm-5",
            "kimi-k2.6",
            "minimax-m2.7",
            "deepseek-v4-flash-free",
            "qwen3.6-plus",
            "big-pickle",
        ],
        Quirks { echo: Echo::WithCalls, session_header: Some("x-opencode-session"), ..PLAIN },
    ),
    row(
        "opencode-go",
        "https://opencode.ai/zen/go/v1",
        "OPENCODE_API_KEY",
        &["glm-5.1", "kimi-k2.6", "mimo-v2.5-pro", "qwen3.6-plus", "deepseek-v4-pro", "deepseek-v4-flash"],
        Quirks { echo: Echo::WithCalls, session_header: Some("x-opencode-session"), ..PLAIN },
    ),
    row("command-code-provider", "https://api.commandcode.ai/provider/v1", "COMMANDCODE_API_KEY", &[], PLAIN),
    row("crof", "https://crof.ai/v1", "CROF_API_KEY", &[], PLAIN),
    row(
        "openadapter",
        "https://api.openadapter.in/v1",
        "OPENADAPTER_API_KEY",
        &["0G-DeepSeek-V3", "0G-DeepSeek-v4-Pro", "0G-GLM-5.1", "0G-Qwen3.6", "0G-Qwen-VL"],
        PLAIN,
    ),
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
        &["deepseek-chat", "deepseek-reasoner", "deepseek-v4-flash", "deepseek-v4-pro"],
        Quirks {
            reasoning: ReasoningStyle::ThinkingAndEffort,
            echo: Echo::WithCalls,
            json_schema: false,
            ..PLAIN
        },
    ),
    row(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        &["gemini-2.5-flash", "gemini-2.5-pro"],
        STRICT,
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
    row("kimi", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", &["kimi-k2.6", "kimi-k2.5"], KIMI),
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
    row("xai", "https://api.x.ai/v1", "XAI_API_KEY", &[], EFFORT),
    row("ollama-cloud", "https://ollama.com/v1", "OLLAMA_API_KEY", &[], EFFORT),
    local("ollama", "http://localhost:11434/v1", EFFORT),
    local("lmstudio", "http://127.0.0.1:1234/v1", LOCAL),
    local("vllm", "http://localhost:8000/v1", LOCAL),
];

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    static TABLE: [Preset; 30] = PRESETS;
    TABLE.iter().find(|preset| preset.name == name)
}

/// All names, in the order of the table.
pub fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raise::load;

    #[test]
    fn every_row_makes_an_endpoint() {
        for preset in &PRESETS {
            assert_eq!(
                PRESETS.iter().filter(|other| other.name == preset.name).count(),
                1,
                "{}",
                preset.name
            );
            let text = format!("[[endpoint]]\nname = \"x\"\npreset = \"{}\"\n", preset.name);
            let env = |name: &str| (Some(name) == preset.key_env).then(|| "key".to_owned());
            let loaded = load(&text, &env, &|_| Err(std::io::ErrorKind::NotFound.into())).expect(preset.name);
            let endpoint = loaded.config.endpoints.first().expect("one endpoint");
            assert_eq!(endpoint.base_url, preset.base_url);
            assert_eq!(endpoint.keys.len(), usize::from(preset.key_env.is_some()), "{}", preset.name);
            assert!(preset.base_url.starts_with("https://") == preset.key_env.is_some(), "{}", preset.name);
            if let Some(extra) = preset.quirks.extra_body {
                serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(extra).expect(preset.name);
            }
        }
    }
}
