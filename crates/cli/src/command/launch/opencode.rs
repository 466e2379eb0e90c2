//! What opencode is told: a configuration in its environment, which goes before its files and changes none of them.

use std::process::Command;

use latimer_proxy::inbound::models;
use serde_json::{Map, Value, json};

use super::{TOKEN_VARIABLE, Told};

/// Assumed where neither the configuration nor a preset says.
const CONTEXT_WINDOW: u64 = 128_000;
/// What most models may write in one answer.
const OUTPUT: u64 = 32_000;

pub(super) fn tell(client: &mut Command, told: &Told<'_>) {
    client.env("OPENCODE_CONFIG_CONTENT", configuration(told).to_string());
    client.env(TOKEN_VARIABLE, told.key());
}

fn configuration(told: &Told<'_>) -> Value {
    let mut listed: Map<String, Value> = models::names(told.config)
        .into_iter()
        .map(|(name, _, model)| {
            let window = model.context_window.unwrap_or(CONTEXT_WINDOW);
            (name.clone(), entry(&name, window))
        })
        .collect();
    for model in [told.model, told.small_model] {
        listed.entry(model).or_insert_with(|| entry(model, CONTEXT_WINDOW));
    }
    json!({
        "$schema": "https://opencode.ai/config.json",
        "model": format!("latimer/{}", told.model),
        "small_model": format!("latimer/{}", told.small_model),
        "provider": { "latimer": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "latimer",
            // The name of a variable: the configuration may be shown, the token not.
            "options": { "baseURL": format!("{}/v1", told.url), "apiKey": format!("{{env:{TOKEN_VARIABLE}}}") },
            "models": listed,
        } },
    })
}

fn entry(name: &str, window: u64) -> Value {
    json!({ "name": name, "limit": { "context": window, "output": OUTPUT.min(window / 2) } })
}
