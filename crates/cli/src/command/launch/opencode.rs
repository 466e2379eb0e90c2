//! opencode: told a configuration in its environment, which goes before its files and changes none of them.

use std::process::Command;

use latimer_proxy::config::{Model, Origin};
use latimer_proxy::inbound::models;
use serde_json::{Map, Value, json};

use super::client::{LaunchContext, LaunchedClient, PROJECT_HEADER};
use crate::environment::TOKEN_VARIABLE;

/// Tokens of a context window where neither the configuration nor a preset says how many.
const DEFAULT_CONTEXT_WINDOW: u64 = 128_000;
/// Tokens that most models may write in one answer.
const DEFAULT_OUTPUT_LIMIT: u64 = 32_000;

/// The opencode agent.
pub(super) struct Opencode;

impl LaunchedClient for Opencode {
    fn program(&self) -> &'static str {
        "opencode"
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g opencode-ai"
    }

    fn resume_hint(&self) -> &'static str {
        "--continue"
    }

    fn configure(&self, command: &mut Command, context: &LaunchContext<'_>) -> anyhow::Result<()> {
        command.env("OPENCODE_CONFIG_CONTENT", configuration(context).to_string());
        command.env(TOKEN_VARIABLE, context.key());
        Ok(())
    }
}

fn configuration(context: &LaunchContext<'_>) -> Value {
    let mut listed: Map<String, Value> = models::names(context.config)
        .into_iter()
        .map(|(name, _, model)| (name.clone(), model_entry(&name, model)))
        .collect();
    for model in [context.model, context.small_model] {
        let known =
            context.config.route(model).ok().and_then(|(endpoint, id)| endpoint.known_model(&id).cloned());
        listed.entry(model).or_insert_with(|| model_entry(model, &known.unwrap_or_default()));
    }
    let mut options =
        json!({ "baseURL": format!("{}/v1", context.url), "apiKey": format!("{{env:{TOKEN_VARIABLE}}}") });
    if !context.project.is_empty() {
        options["headers"] = json!({ PROJECT_HEADER: context.project });
    }
    json!({
        "$schema": "https://opencode.ai/config.json",
        "model": format!("latimer/{}", context.model),
        "small_model": format!("latimer/{}", context.small_model),
        "provider": { "latimer": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "latimer",
            // The name of a variable: the configuration may be shown, the token not.
            "options": options,
            "models": listed,
        } },
    })
}

/// A model in opencode's words. What nobody knows is left out: opencode has its own ideas then, and shows no cost.
fn model_entry(name: &str, model: &Model) -> Value {
    let window = model.context_window.unwrap_or(DEFAULT_CONTEXT_WINDOW);
    let most = match (model.max_output, model.max_output_origin) {
        (Some(most), Origin::File) => most,
        (Some(most), Origin::Table) => most.min(DEFAULT_OUTPUT_LIMIT),
        (None, _) => DEFAULT_OUTPUT_LIMIT,
    };
    let mut entry =
        json!({ "name": name, "limit": { "context": window, "output": most.min(window / 2).max(1) } });
    for (field, said) in
        [("reasoning", model.reasoning), ("tool_call", model.tools), ("attachment", model.images)]
    {
        if let Some(said) = said {
            entry[field] = json!(said);
        }
    }
    if let Some(images) = model.images {
        let input: &[&str] = if images { &["text", "image"] } else { &["text"] };
        entry["modalities"] = json!({ "input": input, "output": ["text"] });
    }
    if model.price.is_known() {
        let price = models::price(model.price);
        let cached = if price["cached"].is_null() { &price["input"] } else { &price["cached"] };
        entry["cost"] = json!({ "input": price["input"], "output": price["output"], "cache_read": cached });
    }
    entry
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::command::launch::client::tests::configured;

    #[test]
    fn what_the_table_knows_of_a_preset_is_told() {
        let config = "[[endpoint]]\nname = \"a\"\npreset = \"opencode-zen\"\nmodels = [\"big-pickle\", { id = \"claude-sonnet-4-6\", price = { input = 1, output = 2 } }]\n";
        let configured_client = configured(&Opencode, Path::new("/state"), config);
        let text = configured_client.variable("OPENCODE_CONFIG_CONTENT").expect("a configuration");
        let value: Value = serde_json::from_str(text).expect("JSON");
        let models = &value["provider"]["latimer"]["models"];
        let free = json!({ "input": 0.0, "output": 0.0, "cache_read": 0.0 });
        assert_eq!(models["big-pickle"]["cost"], free);
        assert_eq!(models["big-pickle"]["attachment"], false);
        let claude = &models["claude-sonnet-4-6"];
        assert_eq!(
            (&claude["tool_call"], &claude["modalities"]["input"]),
            (&json!(true), &json!(["text", "image"]))
        );
        assert_eq!(claude["limit"], json!({ "context": 1_000_000, "output": 32_000 }));
        assert_eq!(
            claude["cost"],
            json!({ "input": 1.0, "output": 2.0, "cache_read": 1.0 }),
            "as the file has it"
        );
    }

    #[test]
    fn the_models_are_listed_and_the_token_is_only_named() {
        let config = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{ id = \"listed\", context_window = 8000 }]\n";
        let configured_client = configured(&Opencode, Path::new("/state"), config);
        let text = configured_client.variable("OPENCODE_CONFIG_CONTENT").expect("a configuration");
        let value: Value = serde_json::from_str(text).expect("JSON");
        let provider = &value["provider"]["latimer"];
        assert_eq!(provider["options"]["baseURL"], "http://127.0.0.1:1/v1");
        assert_eq!(provider["options"]["apiKey"], "{env:LATIMER_TOKEN}");
        let limits = &provider["models"]["listed"]["limit"];
        assert_eq!((&limits["context"], &limits["output"]), (&json!(8000), &json!(4000)));
        assert_eq!(provider["models"]["listed"].get("cost"), None, "nobody knows it");
        assert!(provider["models"]["m"].is_object() && provider["models"]["s"].is_object());
        assert_eq!((&value["model"], &value["small_model"]), (&json!("latimer/m"), &json!("latimer/s")));
        assert_eq!(configured_client.variable("LATIMER_TOKEN"), Some("t"));
    }
}
