//! The Gemini CLI: told address and key in its environment, and the kind of its login in a settings file of latimer's
//! own, which goes before the person's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::client::{LaunchContext, LaunchedClient};

/// The variable that names the settings that go before all others.
const SETTINGS_VARIABLE: &str = "GEMINI_CLI_SYSTEM_SETTINGS_PATH";
/// Where those settings are without it.
const DEFAULT_SETTINGS: &str = if cfg!(target_os = "macos") {
    "/Library/Application Support/GeminiCli/settings.json"
} else {
    "/etc/gemini-cli/settings.json"
};
/// Variables that would choose another login.
const OTHER_LOGINS: [&str; 4] =
    ["GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_ACCESS_TOKEN"];

/// Models that the CLI asks for by itself for its larger questions, by the strings of 0.61: compressing a conversation, looking twice
/// whether it turns in a circle, and what `auto` and `pro` stand for.
const LARGE_MODELS: [&str; 7] = [
    "auto",
    "pro",
    "gemini-2.5-pro",
    "gemini-3-pro-preview",
    "gemini-3.1-pro-preview",
    "gemini-3.1-pro-preview-customtools",
    "gemini-3.5-pro",
];
/// Those for its smaller ones: choosing a model, mending edits, summaries, searching, completing a prompt.
const SMALL_MODELS: [&str; 11] = [
    "flash",
    "flash-lite",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-3-flash",
    "gemini-3-flash-preview",
    "gemini-3.1-flash-lite",
    "gemini-3.1-flash-lite-preview",
    "gemini-3.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.5-flash-preview",
];

/// Google's Gemini CLI.
pub(super) struct GeminiCli;

impl LaunchedClient for GeminiCli {
    fn program(&self) -> &'static str {
        "gemini"
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @google/gemini-cli"
    }

    fn resume_hint(&self) -> &'static str {
        "--resume"
    }

    fn configure(&self, command: &mut Command, context: &LaunchContext<'_>) -> anyhow::Result<()> {
        let existing =
            std::env::var_os(SETTINGS_VARIABLE).map_or_else(|| DEFAULT_SETTINGS.into(), PathBuf::from);
        if let Some(open) = first_open_to_others(context.state_dir) {
            bail!(
                "the Gemini CLI passes over settings below `{}`, which others can write to; give --state-dir another place",
                open.display()
            );
        }
        let path = context.state_dir.join("gemini-settings.json");
        latimer_files::write(&path, settings(&existing, context).to_string().as_bytes())
            .context("writing the settings for the Gemini CLI")?;
        command.env(SETTINGS_VARIABLE, path);
        command.env("GOOGLE_GEMINI_BASE_URL", context.url);
        command.env("GEMINI_API_KEY", context.key());
        command.env("GEMINI_MODEL", context.model);
        for name in OTHER_LOGINS {
            command.env_remove(name);
        }
        Ok(())
    }
}

/// The first folder on the way that somebody else could put a file into.
fn first_open_to_others(dir: &Path) -> Option<&Path> {
    let is_open =
        |path: &&Path| std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o022 != 0);
    dir.ancestors().find(is_open)
}

/// What the machine's administrator has set, with a login by key: without it the CLI refuses an address of one's own. And with the
/// launch's models in the place of those that the CLI asks for by itself.
fn settings(existing: &Path, context: &LaunchContext<'_>) -> Value {
    let text = std::fs::read_to_string(existing).unwrap_or_default();
    let mut settings: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let mut security = take_object(&mut settings, "security");
    let mut auth = take_object(&mut security, "auth");
    auth.insert("selectedType".to_owned(), json!("gemini-api-key"));
    security.insert("auth".to_owned(), Value::Object(auth));
    settings.insert("security".to_owned(), Value::Object(security));
    let mut models = take_object(&mut settings, "modelConfigs");
    let mut overrides = match models.remove("customOverrides") {
        Some(Value::Array(overrides)) => overrides,
        _ => Vec::new(),
    };
    overrides.extend(own_models(context));
    models.insert("customOverrides".to_owned(), Value::Array(overrides));
    settings.insert("modelConfigs".to_owned(), Value::Object(models));
    Value::Object(settings)
}

/// The launch's models for the names that the CLI knows, but for those that the configuration has an answer for.
fn own_models(context: &LaunchContext<'_>) -> Vec<Value> {
    let config = context.config;
    let is_configured = |name: &str| {
        config.named_route(name).is_some()
            || config.endpoints.iter().flat_map(|endpoint| &endpoint.models).any(|model| model.id == name)
    };
    let large = LARGE_MODELS.iter().map(|name| (*name, context.model));
    let small = SMALL_MODELS.iter().map(|name| (*name, context.small_model));
    let unknown = large.chain(small).filter(|(name, _)| !is_configured(name));
    unknown
        .map(|(name, model)| json!({ "match": { "model": name }, "modelConfig": { "model": model } }))
        .collect()
}

/// An object out of its place; an empty one where there is none.
fn take_object(fields: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match fields.remove(name) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    /// The settings of a launch for `m` and the small model `s`.
    fn settings_of(dir: &Path, config: &str, existing: &str) -> Value {
        let path = dir.join("system.json");
        std::fs::write(&path, existing).expect("written");
        let config = load_text(config).expect("a configuration").config;
        let context = LaunchContext {
            url: "http://127.0.0.1:1",
            model: "m",
            small_model: "s",
            effort: None,
            token: None,
            config: &config,
            state_dir: dir,
            project: "",
        };
        settings(&path, &context)
    }

    fn asked_instead<'s>(settings: &'s Value, name: &str) -> Option<&'s str> {
        let all = settings["modelConfigs"]["customOverrides"].as_array()?;
        all.iter().find(|one| one["match"]["model"] == name)?["modelConfig"]["model"].as_str()
    }

    #[test]
    fn what_an_administrator_set_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let theirs = r#"{"security":{"auth":{"useExternal":true}},"tools":{"sandbox":false},"modelConfigs":{"customOverrides":[{"match":{"model":"theirs"},"modelConfig":{"model":"x"}}]}}"#;
        let settings = settings_of(dir.path(), "", theirs);
        assert_eq!(
            settings["security"]["auth"],
            json!({ "useExternal": true, "selectedType": "gemini-api-key" })
        );
        assert_eq!(settings["tools"], json!({ "sandbox": false }));
        assert_eq!(asked_instead(&settings, "theirs"), Some("x"));
        let alone = settings_of(dir.path(), "", "no JSON");
        assert_eq!(alone["security"], json!({ "auth": { "selectedType": "gemini-api-key" } }));
    }

    #[test]
    fn what_the_cli_asks_for_by_itself_leads_to_the_launchs_models() {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = settings_of(dir.path(), "", "");
        assert_eq!(asked_instead(&settings, "gemini-3.5-flash-lite"), Some("s"));
        assert_eq!(asked_instead(&settings, "gemini-2.5-pro"), Some("m"));
        let google =
            "[[endpoint]]\nname = \"g\"\nbase_url = \"https://g.test\"\nmodels = [\"gemini-2.5-pro\"]\n";
        let settings = settings_of(dir.path(), google, "");
        assert_eq!(asked_instead(&settings, "gemini-2.5-pro"), None, "the configuration has it");
        assert_eq!(asked_instead(&settings, "gemini-2.5-flash"), Some("s"));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_found_on_the_way() {
        let dir = tempfile::tempdir().expect("a directory");
        let (open, inner) = (dir.path().join("open"), dir.path().join("open/inner"));
        std::fs::create_dir_all(&inner).expect("made");
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o700)).expect("set");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).expect("set");
        assert_eq!(first_open_to_others(&inner), Some(open.as_path()));
    }
}
