//! Model lists, in one object that pleases every client: OpenAI's list, Anthropic's list, and the catalog Codex reads.

use serde_json::{Value, json};

use crate::config::{Config, Endpoint, Model};

/// A fixed date: model entries need one, and latimer does not know when a model was made.
const CREATED: u64 = 1_700_000_000;
const CREATED_AT: &str = "2023-11-14T22:13:20Z";
/// Assumed where neither the configuration nor a preset says; what most current models offer.
const CONTEXT_WINDOW: u64 = 128_000;

/// What Codex is told of a model's tools and texts; everything else comes from the configuration.
#[derive(Debug, Clone)]
pub struct CodexTexts {
    /// The base prompt of every model.
    pub base_instructions: String,
}

/// `GET /v1/models`.
pub fn list(config: &Config) -> String {
    let data: Vec<Value> =
        names(config).into_iter().map(|(name, endpoint, model)| entry(&name, endpoint, model)).collect();
    let texts = CodexTexts { base_instructions: String::new() };
    json!({
        "object": "list",
        "first_id": data.first().and_then(|first| first.get("id")),
        "last_id": data.last().and_then(|last| last.get("id")),
        "has_more": false,
        "data": data,
        "models": catalog_entries(config, &texts),
    })
    .to_string()
}

/// `GET /v1/models/{id}`.
pub fn one(config: &Config, id: &str) -> Option<String> {
    find(config, id).map(|(_, endpoint, model)| entry(id, endpoint, model).to_string())
}

/// The model that goes by this name; also by `endpoint/id` where its id alone would do.
pub fn find<'c>(config: &'c Config, id: &str) -> Option<(String, &'c Endpoint, &'c Model)> {
    let known = names(config);
    let is_explicit = |endpoint: &Endpoint, model: &Model| {
        id.strip_prefix(endpoint.name.as_str()).and_then(|rest| rest.strip_prefix('/')) == Some(&model.id)
    };
    let place = known
        .iter()
        .position(|(name, _, _)| name == id)
        .or_else(|| known.iter().position(|(_, endpoint, model)| is_explicit(endpoint, model)))?;
    known.into_iter().nth(place)
}

/// A model's name without the window that Claude Code writes behind it, as in `NAME[1m]`; a model or a route that is really called so keeps
/// its name.
pub fn without_window<'n>(config: &Config, name: &'n str) -> &'n str {
    let is_window = |window: &str| {
        let digits = window.strip_suffix(['k', 'K', 'm', 'M']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some((bare, window)) = name.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else {
        return name;
    };
    let is_cut = is_window(window)
        && !bare.is_empty()
        && find(config, name).is_none()
        && config.named_route(name).is_none();
    if is_cut { bare } else { name }
}

/// The file for Codex's `model_catalog_json`: every listed model, and `extra`, the one a launch asks for by name.
pub fn codex_catalog(config: &Config, texts: &CodexTexts, extra: Option<&str>) -> String {
    let mut models = catalog_entries(config, texts);
    if let Some(extra) = extra
        .filter(|extra| !models.iter().any(|model| model.get("slug").and_then(Value::as_str) == Some(extra)))
    {
        let price = crate::config::Price::default();
        let model =
            Model { id: extra.to_owned(), context_window: None, reasoning: None, images: None, price };
        let known = config
            .route(extra)
            .ok()
            .and_then(|(endpoint, id)| endpoint.models.iter().find(|model| model.id == id));
        models.push(catalog_entry(extra, known.unwrap_or(&model), models.len(), texts));
    }
    json!({ "models": models }).to_string()
}

/// Every model under the name a client asks for: its id where that is enough, `endpoint/id` where an earlier endpoint lists
/// the same id.
pub fn names(config: &Config) -> Vec<(String, &Endpoint, &Model)> {
    let mut names: Vec<(String, &Endpoint, &Model)> = Vec::new();
    for endpoint in &config.endpoints {
        for model in &endpoint.models {
            let taken = names.iter().any(|(name, _, _)| *name == model.id);
            let name = if taken { format!("{}/{}", endpoint.name, model.id) } else { model.id.clone() };
            names.push((name, endpoint, model));
        }
    }
    names
}

fn entry(name: &str, endpoint: &Endpoint, model: &Model) -> Value {
    json!({
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": endpoint.name.as_str(),
        "type": "model",
        "display_name": model.id,
        "created_at": CREATED_AT,
        "context_window": model.context_window,
    })
}

fn catalog_entries(config: &Config, texts: &CodexTexts) -> Vec<Value> {
    names(config)
        .into_iter()
        .enumerate()
        .map(|(place, (name, _, model))| catalog_entry(&name, model, place, texts))
        .collect()
}

/// One entry, with the fields Codex 0.169 cannot do without and those that change what it offers the model.
fn catalog_entry(name: &str, model: &Model, place: usize, texts: &CodexTexts) -> Value {
    let efforts: Vec<Value> = if model.reasoning == Some(true) {
        [("low", "Answers sooner"), ("medium", "The usual balance"), ("high", "Thinks longer")]
            .into_iter()
            .map(|(effort, description)| json!({ "effort": effort, "description": description }))
            .collect()
    } else {
        Vec::new()
    };
    let mut entry = json!({
        "slug": name,
        "display_name": name,
        "supported_reasoning_levels": efforts,
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": true,
        "priority": place + 1,
        "support_verbosity": false,
        "truncation_policy": { "mode": "bytes", "limit": 10_000 },
        "experimental_supported_tools": [],
        "context_window": model.context_window.unwrap_or(CONTEXT_WINDOW),
        "apply_patch_tool_type": "freeform",
        // Told the truth, Codex replaces pictures by words itself and nothing is dropped on the way.
        "input_modalities": if model.images == Some(false) { json!(["text"]) } else { json!(["text", "image"]) },
        "base_instructions": texts.base_instructions,
    });
    if model.reasoning == Some(true)
        && let Some(entry) = entry.as_object_mut()
    {
        entry.insert("default_reasoning_level".to_owned(), json!("medium"));
    }
    entry
}
