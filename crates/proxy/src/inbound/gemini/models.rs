//! `GET /v1beta/models`: what there is, in Google's words.

use serde_json::{Value, json};

use crate::config::{Config, Endpoint, Model};
use crate::inbound::models;

/// `GET /v1beta/models`: everything on one page.
pub fn list(config: &Config) -> String {
    let models: Vec<Value> = models::names(config)
        .into_iter()
        .map(|(name, endpoint, model)| entry(&name, endpoint, model))
        .collect();
    json!({ "models": models }).to_string()
}

/// `GET /v1beta/models/{id}`, with or without `models/` in front.
pub fn one(config: &Config, id: &str) -> Option<String> {
    let id = id.strip_prefix("models/").unwrap_or(id);
    let (_, endpoint, model) = models::find(config, id)?;
    Some(entry(id, endpoint, model).to_string())
}

fn entry(name: &str, endpoint: &Endpoint, model: &Model) -> Value {
    let mut entry = json!({
        "name": format!("models/{name}"),
        "baseModelId": name,
        "version": "001",
        "displayName": model.id,
        "description": format!("{} of {}", model.id, endpoint.name.as_str()),
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    });
    if let Some(window) = model.context_window {
        entry["inputTokenLimit"] = json!(window);
    }
    if let Some(thinks) = model.reasoning {
        entry["thinking"] = json!(thinks);
    }
    entry
}
