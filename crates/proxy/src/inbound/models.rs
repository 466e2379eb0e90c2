//! Model lists, in one object that pleases every client: OpenAI's list, Anthropic's list, and the catalog Codex reads.

use serde_json::{Value, json};

use crate::config::{Config, Effort, Endpoint, Model, Price, Route};

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

/// `GET /v1/models`: those of which whoever asks may know.
pub fn list(config: &Config, is_shown: &dyn Fn(&str) -> bool) -> String {
    let data: Vec<Value> = names(config)
        .into_iter()
        .filter(|(name, _, _)| is_shown(name))
        .map(|(name, endpoint, model)| entry(&name, endpoint, model))
        .collect();
    let texts = CodexTexts { base_instructions: String::new() };
    json!({
        "object": "list",
        "first_id": data.first().and_then(|first| first.get("id")),
        "last_id": data.last().and_then(|last| last.get("id")),
        "has_more": false,
        "data": data,
        "models": catalog_entries(config, &texts, is_shown),
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
    let mut models = catalog_entries(config, texts, &|_| true);
    if let Some(extra) = extra
        .filter(|extra| !models.iter().any(|model| model.get("slug").and_then(Value::as_str) == Some(extra)))
    {
        let model = Model::named(extra);
        let known = config.route(extra).ok().and_then(|(endpoint, id)| endpoint.known_model(&id));
        models.push(catalog_entry(extra, known.unwrap_or(&model), models.len(), texts));
    }
    json!({ "models": models }).to_string()
}

/// Every model under the name a client asks for: its id where that is enough, `endpoint/id` where an earlier endpoint lists
/// the same id, or a route has the name. Behind them the routes and their other names, each with the target of the smallest window that is
/// known: any of its targets may answer.
pub fn names(config: &Config) -> Vec<(String, &Endpoint, &Model)> {
    let mut names: Vec<(String, &Endpoint, &Model)> = Vec::new();
    for endpoint in &config.endpoints {
        for model in &endpoint.models {
            let taken =
                names.iter().any(|(name, _, _)| *name == model.id) || config.named_route(&model.id).is_some();
            let name = if taken { format!("{}/{}", endpoint.name, model.id) } else { model.id.clone() };
            names.push((name, endpoint, model));
        }
    }
    for route in &config.routes {
        let Some((endpoint, model)) = smallest_target(config, route) else { continue };
        // A pattern is no name that could be asked for.
        let own = std::iter::once(&route.name).chain(route.models.iter().filter(|name| !name.ends_with('*')));
        names.extend(own.map(|name| (name.clone(), endpoint, model)));
    }
    names
}

/// The target of a route whose window is the smallest, of those of which something is known.
fn smallest_target<'c>(config: &'c Config, route: &Route) -> Option<(&'c Endpoint, &'c Model)> {
    let known = route.targets.iter().filter_map(|target| {
        let endpoint = config.endpoints.iter().find(|endpoint| endpoint.name == target.endpoint)?;
        Some((endpoint, endpoint.known_model(&target.model)?))
    });
    known.min_by_key(|(_, model)| model.context_window.unwrap_or(u64::MAX))
}

fn entry(name: &str, endpoint: &Endpoint, model: &Model) -> Value {
    json!({
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": endpoint.name.as_str(),
        "type": "model",
        // A route is no model: it is shown by its own name.
        "display_name": if name.ends_with(&model.id) { &model.id } else { name },
        "created_at": CREATED_AT,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output,
        "reasoning_efforts": effort_names(model),
        "supports_images": model.images,
        "supports_tools": model.tools,
        // Dollars for a million tokens; nothing where nobody knows them.
        "price": model.price.is_known().then(|| price(model.price)),
    })
}

/// The levels that are known of a model, the least first.
pub fn effort_names(model: &Model) -> Vec<&'static str> {
    model.efforts.iter().map(|effort| effort.name()).collect()
}

/// A price in US dollars for a million tokens.
pub fn price(price: Price) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "a price has few digits")]
    let dollars = |millionths: u64| millionths as f64 / 1e6;
    json!({
        "input": price.input.map(dollars),
        "cached": price.cached.map(dollars),
        "output": price.output.map(dollars),
    })
}

fn catalog_entries(config: &Config, texts: &CodexTexts, is_shown: &dyn Fn(&str) -> bool) -> Vec<Value> {
    names(config)
        .into_iter()
        .filter(|(name, _, _)| is_shown(name))
        .enumerate()
        .map(|(place, (name, _, model))| catalog_entry(&name, model, place, texts))
        .collect()
}

/// One entry, with the fields Codex 0.169 cannot do without and those that change what it offers the model.
fn catalog_entry(name: &str, model: &Model, place: usize, texts: &CodexTexts) -> Value {
    let efforts = codex_efforts(model);
    let levels: Vec<Value> = efforts
        .iter()
        .filter_map(|effort| Some(json!({ "effort": effort.name(), "description": description(*effort)? })))
        .collect();
    let mut entry = json!({
        "slug": name,
        "display_name": name,
        "supported_reasoning_levels": levels,
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
    let usual = efforts.iter().find(|effort| **effort == Effort::Medium).or(efforts.last());
    if let (Some(usual), Some(entry)) = (usual, entry.as_object_mut()) {
        entry.insert("default_reasoning_level".to_owned(), json!(usual.name()));
    }
    entry
}

/// What Codex offers: the levels that are known, else the three that are usual where it is only known that a model thinks.
fn codex_efforts(model: &Model) -> Vec<Effort> {
    if model.reasoning != Some(true) {
        return Vec::new();
    }
    let known: Vec<Effort> =
        model.efforts.iter().copied().filter(|effort| description(*effort).is_some()).collect();
    if known.is_empty() { vec![Effort::Low, Effort::Medium, Effort::High] } else { known }
}

/// What stands beside a level in Codex's menu; `None` for those that Codex 0.171 has no word for: it would refuse the catalog.
fn description(effort: Effort) -> Option<&'static str> {
    Some(match effort {
        Effort::Max => return None,
        Effort::None => "Does not think",
        Effort::Minimal => "Hardly thinks",
        Effort::Low => "Answers sooner",
        Effort::Medium => "The usual balance",
        Effort::High => "Thinks longer",
        Effort::XHigh => "Thinks longest",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::config_of;

    const FILE: &str = r#"
[[endpoint]]
name = "a"
base_url = "https://a.test"
models = ["m", { id = "seer", context_window = 200000, reasoning = true, images = true }]
[[endpoint]]
name = "b"
base_url = "https://b.test"
models = ["m", { id = "blind", reasoning = false, images = false }, "lab/x"]
[[endpoint]]
name = "c"
base_url = "https://c.test"
"#;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    fn texts() -> CodexTexts {
        CodexTexts { base_instructions: "You are careful.".to_owned() }
    }

    #[test]
    fn a_name_that_is_taken_is_said_with_its_endpoint() {
        let config = config_of(FILE);
        let names: Vec<String> = names(&config).into_iter().map(|(name, _, _)| name).collect();
        assert_eq!(names, ["m", "seer", "b/m", "blind", "lab/x"]);
        for name in &names {
            let (endpoint, model) = config.route(name).expect("every name that is listed leads somewhere");
            let (found, listed, id) = find(&config, name).expect(name);
            assert_eq!(
                (&found, listed.name.as_str(), &id.id),
                (name, endpoint.name.as_str(), &model),
                "{name}"
            );
        }
    }

    #[test]
    fn every_model_is_found_by_its_whole_name_too() {
        let config = config_of(FILE);
        let found = |id: &str| find(&config, id).map(|(name, endpoint, _)| (name, endpoint.name.to_string()));
        assert_eq!(found("a/m"), Some(("m".to_owned(), "a".to_owned())));
        assert_eq!(found("b/m"), Some(("b/m".to_owned(), "b".to_owned())));
        assert_eq!(found("b/lab/x"), Some(("lab/x".to_owned(), "b".to_owned())));
        for unknown in ["", "n", "c/m", "b/seer", "a", "a/", "am"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
        assert_eq!(parsed(&one(&config, "b/blind").expect("listed"))["id"], "b/blind", "as it was asked for");
        assert_eq!(one(&config, "n"), None);
    }

    #[test]
    fn one_object_is_a_list_for_every_client() {
        let config = config_of(FILE);
        let list = parsed(&list(&config, &|_| true));
        assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
        assert_eq!((&list["first_id"], &list["last_id"]), (&json!("m"), &json!("lab/x")));
        let ids = |entries: &Value, field: &str| -> Vec<Value> {
            entries.as_array().expect("a list").iter().map(|entry| entry[field].clone()).collect()
        };
        assert_eq!(ids(&list["data"], "id"), ids(&list["models"], "slug"));
        assert_eq!(ids(&list["data"], "owned_by"), ["a", "a", "b", "b", "b"]);
        assert_eq!(list["data"][1]["context_window"], 200_000);
        assert_eq!(list["data"][1], parsed(&one(&config, "seer").expect("listed")));
        let one = parsed(&super::list(&config, &|name| name == "seer"));
        assert_eq!(
            (ids(&one["data"], "id"), ids(&one["models"], "slug")),
            (vec![json!("seer")], vec![json!("seer")])
        );
        let none = parsed(&super::list(&config_of(""), &|_| true));
        assert_eq!((&none["data"], &none["first_id"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn the_catalog_says_what_the_file_says_and_guesses_kindly() {
        let config = config_of(FILE);
        let catalog = parsed(&codex_catalog(&config, &texts(), None));
        let entry = |slug: &str| {
            let all = catalog["models"].as_array().expect("a list").iter();
            all.clone().find(|entry| entry["slug"] == slug).expect(slug).clone()
        };
        let seer = entry("seer");
        assert_eq!(
            (&seer["context_window"], &seer["default_reasoning_level"]),
            (&json!(200_000), &json!("medium"))
        );
        assert_eq!(seer["supported_reasoning_levels"].as_array().map(Vec::len), Some(3));
        assert_eq!(entry("blind")["input_modalities"], json!(["text"]));
        for slug in ["blind", "m"] {
            assert_eq!(entry(slug)["supported_reasoning_levels"], json!([]), "{slug}");
            assert!(entry(slug).get("default_reasoning_level").is_none(), "{slug}");
        }
        let plain = entry("m");
        assert_eq!(
            (&plain["context_window"], &plain["input_modalities"]),
            (&json!(CONTEXT_WINDOW), &json!(["text", "image"]))
        );
        assert_eq!(plain["base_instructions"], "You are careful.");
        let priorities: Vec<u64> = catalog["models"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|entry| entry["priority"].as_u64())
            .collect();
        assert_eq!(priorities, [1, 2, 3, 4, 5], "the order of the file");
    }

    #[test]
    fn a_model_that_is_launched_by_name_is_in_the_catalog_once() {
        let config = config_of(&format!("default_endpoint = \"c\"\n{FILE}"));
        let entries = |extra: &str| -> Vec<Value> {
            let catalog = parsed(&codex_catalog(&config, &texts(), Some(extra)));
            catalog["models"].as_array().expect("a list").clone()
        };
        assert_eq!(entries("seer").len(), 5, "it is there already");
        let whole = entries("a/seer");
        let last = whole.last().expect("an entry");
        assert_eq!(
            (whole.len(), &last["slug"], &last["context_window"]),
            (6, &json!("a/seer"), &json!(200_000)),
            "what is known of it"
        );
        let foreign = entries("nobody-lists-this");
        let last = foreign.last().expect("an entry");
        assert_eq!(
            (foreign.len(), &last["slug"], &last["priority"]),
            (6, &json!("nobody-lists-this"), &json!(6))
        );
    }
}
