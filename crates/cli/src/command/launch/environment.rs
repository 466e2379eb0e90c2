//! What a launched client does not get: keys of providers. latimer holds them, and every command that the client's model runs would see
//! them.

use std::process::Command;

use crate::configuration::{Configuration, read_text};
use crate::environment::variables_of;

/// Variables in which programs expect keys of providers.
const PROVIDER_KEYS: [&str; 46] = [
    "AI_GATEWAY_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CODEX_API_KEY",
    "COHERE_API_KEY",
    "CO_API_KEY",
    "DASHSCOPE_API_KEY",
    "DEEPINFRA_API_KEY",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY",
    "GEMINI_API_KEY",
    "GITHUB_COPILOT_TOKEN",
    "GOOGLE_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GROQ_API_KEY",
    "HF_TOKEN",
    "HUGGINGFACE_API_KEY",
    "HYPERBOLIC_API_KEY",
    "KIMI_API_KEY",
    "LITELLM_API_KEY",
    "MINIMAX_API_KEY",
    "MISTRAL_API_KEY",
    "MODELSCOPE_API_KEY",
    "MOONSHOT_API_KEY",
    "NEBIUS_API_KEY",
    "NOVITA_API_KEY",
    "NVIDIA_API_KEY",
    "OLLAMA_API_KEY",
    "OPENAI_API_KEY",
    "OPENCODE_API_KEY",
    "OPENROUTER_API_KEY",
    "PERPLEXITY_API_KEY",
    "REPLICATE_API_TOKEN",
    "SAMBANOVA_API_KEY",
    "TOGETHER_API_KEY",
    "XAI_API_KEY",
    "ZAI_API_KEY",
    "ZHIPU_API_KEY",
];

/// Takes keys out of the environment of a client, before it is told what it needs. `launch_env` of the configuration names those that
/// stay.
pub(super) fn keep_keys_out(command: &mut Command, configuration: &Configuration) {
    let text = configuration.path.as_deref().and_then(|path| read_text(path).ok()).unwrap_or_default();
    let configured = variables_of(&text);
    let kept = &configuration.loaded.config.launch_env;
    for name in kept_out(&configured, kept) {
        command.env_remove(name);
    }
}

fn kept_out<'n>(configured: &'n [String], kept: &'n [String]) -> impl Iterator<Item = &'n str> {
    // The way out of the network is looked up too, and is no key.
    let is_key = |name: &&str| !name.to_ascii_lowercase().ends_with("_proxy");
    let configured = configured.iter().map(String::as_str).filter(is_key);
    PROVIDER_KEYS.into_iter().chain(configured).filter(|name| !kept.iter().any(|kept| kept == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_out_unless_the_person_wants_them_in() {
        let configured = ["MY_LAB_KEY", "https_proxy", "HTTPS_PROXY"].map(str::to_owned);
        let kept = ["AWS_SECRET_ACCESS_KEY".to_owned()];
        let names: Vec<&str> = kept_out(&configured, &kept).collect();
        for name in ["MY_LAB_KEY", "OPENAI_API_KEY", "AWS_SESSION_TOKEN"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["https_proxy", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "PATH", "GITHUB_TOKEN"] {
            assert!(!names.contains(&name), "{name}");
        }
    }
}
