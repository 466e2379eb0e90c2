//! `GET /v1/models` for clients that send `anthropic-version`, and the names under which Claude Code lists foreign models.
//!
//! Claude Code's discovery keeps only ids that begin with `claude` or `anthropic`. Other models are listed for it under a name
//! with `claude-` in front, and are known again when a request asks for that name.

use serde_json::{Value, json};

use crate::config::Config;
use crate::inbound::models::names;

/// A fixed date: model entries need one, and latimer does not know when a model was made.
const CREATED_AT: &str = "2023-11-14T22:13:20Z";
/// What the client looks for.
const FAMILIES: [&str; 2] = ["claude", "anthropic"];
/// What is put in front of other names. The second one is for a name whose first alias is another model's name.
const PREFIXES: [&str; 2] = ["claude-", "anthropic-"];

/// The list in Anthropic's shape. `discovery` is for Claude Code, which asks with `User-Agent: claude-code/…`: every name is
/// one that it keeps.
/// Only names of which whoever asks may know.
pub fn list(config: &Config, discovery: bool, is_shown: &dyn Fn(&str) -> bool) -> String {
    let names = names(config);
    let known = |name: &str| names.iter().any(|(known, _, _)| known == name);
    let entries = names.iter().filter(|(name, _, _)| is_shown(name)).filter_map(|(name, endpoint, model)| {
        let id = if discovery { alias(name, known)? } else { name.clone() };
        let display_name = if id == *name { name.clone() } else { format!("{name} ({})", endpoint.name) };
        let mut entry =
            json!({ "type": "model", "id": id, "display_name": display_name, "created_at": CREATED_AT });
        // As Anthropic's own list has them.
        for (field, tokens) in [("max_input_tokens", model.context_window), ("max_tokens", model.max_output)]
        {
            if let Some(tokens) = tokens {
                entry[field] = json!(tokens);
            }
        }
        Some(entry)
    });
    let data: Vec<Value> = entries.collect();
    json!({
        "first_id": data.first().and_then(|first| first.get("id")),
        "last_id": data.last().and_then(|last| last.get("id")),
        "has_more": false,
        "data": data,
    })
    .to_string()
}

/// The name under which Claude Code lists a model; `None` when every such name is another model's. `known` says which names
/// are models.
pub fn alias(name: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    if FAMILIES.iter().any(|family| name.starts_with(family)) {
        return Some(name.to_owned());
    }
    PREFIXES.iter().map(|prefix| format!("{prefix}{name}")).find(|alias| !known(alias))
}

/// The model that a request means: itself, or the one it is an alias of.
pub fn resolve_alias(name: &str, known: impl Fn(&str) -> bool) -> &str {
    if known(name) {
        return name;
    }
    let rest = PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix));
    rest.into_iter().find(|rest| known(rest)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_back() {
        let models = ["glm-5", "claude-sonnet-4-5", "x", "claude-x", "lab/qwen3", "anthropic-y"];
        let known = |name: &str| models.contains(&name);
        for model in models {
            let alias = alias(model, known).expect("a free name");
            assert!(FAMILIES.iter().any(|family| alias.starts_with(family)), "{alias}");
            assert_eq!(resolve_alias(&alias, known), model, "{alias}");
        }
        assert_eq!(alias("x", known).as_deref(), Some("anthropic-x"));
        assert_eq!(resolve_alias("claude-opus-9", known), "claude-opus-9");
        assert_eq!(resolve_alias("nothing", known), "nothing");
    }

    #[test]
    fn claude_code_finds_every_model_and_others_see_plain_names() {
        let text = "[[endpoint]]\nname = \"lab\"\nprotocol = \"chat\"\nbase_url = \"https://lab.example/v1\"\nmodels = [{ id = \"glm-5\", context_window = 9000, max_output = 800 }, \"claude-x\"]";
        let config =
            crate::config::parse::load(text, &|_| None, &|_| Ok(String::new())).expect("fine").config;
        let ids = |discovery: bool| -> Vec<String> {
            let list: Value = serde_json::from_str(&list(&config, discovery, &|_| true)).expect("JSON");
            assert_eq!(
                (&list["first_id"], &list["last_id"]),
                (&list["data"][0]["id"], &list["data"][1]["id"])
            );
            let first = &list["data"][0];
            assert_eq!((&first["max_input_tokens"], &first["max_tokens"]), (&json!(9000), &json!(800)));
            assert_eq!(list["data"][1].get("max_tokens"), None);
            let entries = list["data"].as_array().expect("a list").iter();
            entries.map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
        };
        assert_eq!(ids(false), ["glm-5", "claude-x"]);
        assert_eq!(ids(true), ["claude-glm-5", "claude-x"]);
    }

    #[test]
    fn a_name_without_a_free_alias_is_not_listed() {
        let models = ["x", "claude-x", "anthropic-x"];
        assert_eq!(alias("x", |name| models.contains(&name)), None);
    }
}
