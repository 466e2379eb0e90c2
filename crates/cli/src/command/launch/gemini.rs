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
        latimer_files::write(&path, settings(&existing).to_string().as_bytes())
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

/// What the machine's administrator has set, with a login by key: without it the CLI refuses an address of one's own.
fn settings(existing: &Path) -> Value {
    let text = std::fs::read_to_string(existing).unwrap_or_default();
    let mut settings: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let mut security = take_object(&mut settings, "security");
    let mut auth = take_object(&mut security, "auth");
    auth.insert("selectedType".to_owned(), json!("gemini-api-key"));
    security.insert("auth".to_owned(), Value::Object(auth));
    settings.insert("security".to_owned(), Value::Object(security));
    Value::Object(settings)
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

    #[test]
    fn what_an_administrator_set_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("settings.json");
        std::fs::write(&path, r#"{"security":{"auth":{"useExternal":true}},"tools":{"sandbox":false}}"#)
            .expect("written");
        let with = settings(&path);
        std::fs::remove_file(&path).expect("removed");
        let want = json!({ "security": { "auth": { "useExternal": true, "selectedType": "gemini-api-key" } }, "tools": { "sandbox": false } });
        assert_eq!(with, want);
        assert_eq!(settings(&path), json!({ "security": { "auth": { "selectedType": "gemini-api-key" } } }));
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
