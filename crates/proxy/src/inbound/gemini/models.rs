//! `GET /v1beta/models`: what there is, in Google's words.

use serde_json::{Value, json};

use crate::config::{Config, Endpoint, Model};
use crate::inbound::models;

/// `GET /v1beta/models`: everything of which whoever asks may know, on one page.
pub fn list(config: &Config, is_shown: &dyn Fn(&str) -> bool) -> String {
    let models: Vec<Value> = models::names(config)
        .into_iter()
        .filter(|(name, _, _)| is_shown(name))
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
    if let Some(most) = model.max_output {
        entry["outputTokenLimit"] = json!(most);
    }
    if let Some(thinks) = model.reasoning {
        entry["thinking"] = json!(thinks);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\napi_key = \"k\"\n\
            models = [{ id = \"big\", context_window = 1000, max_output = 100 }, \"vendor/small:free\"]\n\
            [[endpoint]]\nname = \"far\"\nbase_url = \"https://far.test\"\napi_key = \"k\"\nmodels = [\"big\"]\n";
        crate::config::parse::load(text, &|_| None, &|_| Ok(String::new())).expect("a configuration").config
    }

    #[test]
    fn every_model_has_its_own_name_and_is_found_by_it() {
        let config = config();
        let list: Value = serde_json::from_str(&list(&config, &|_| true)).expect("JSON");
        let names: Vec<&str> = list["models"]
            .as_array()
            .expect("models")
            .iter()
            .filter_map(|model| model["name"].as_str())
            .collect();
        assert_eq!(names, ["models/big", "models/vendor/small:free", "models/far/big"]);
        for name in names {
            let found: Value = serde_json::from_str(&one(&config, name).expect(name)).expect("JSON");
            assert_eq!(found["name"], name);
        }
        let big: Value = serde_json::from_str(&one(&config, "lab/big").expect("found")).expect("JSON");
        assert_eq!((&big["displayName"], &big["inputTokenLimit"]), (&json!("big"), &json!(1000)));
        assert_eq!(big["outputTokenLimit"], 100);
        assert_eq!(one(&config, "models/gone"), None);
    }
}
