//! What the Gemini CLI is told: its address and key in its environment, and the kind of its login in a settings file of latimer's
//! own, which goes before the person's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use latimer_proxy::config::state;
use serde_json::{Map, Value, json};

use super::Told;

/// The variable that names the settings that go before all others, and where they are without it.
const SETTINGS: &str = "GEMINI_CLI_SYSTEM_SETTINGS_PATH";
const USUAL: &str = if cfg!(target_os = "macos") {
    "/Library/Application Support/GeminiCli/settings.json"
} else {
    "/etc/gemini-cli/settings.json"
};
/// Variables that would choose another login.
const OTHER_LOGINS: [&str; 4] =
    ["GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_ACCESS_TOKEN"];

pub(super) fn tell(client: &mut Command, told: &Told<'_>) -> anyhow::Result<()> {
    let existing = std::env::var_os(SETTINGS).map_or_else(|| PathBuf::from(USUAL), PathBuf::from);
    if let Some(open) = open_to_others(told.state_dir) {
        bail!(
            "the Gemini CLI passes over settings below `{}`, which others can write to; give --state-dir another place",
            open.display()
        );
    }
    let path = told.state_dir.join("gemini-settings.json");
    state::write_private(&path, settings(&existing).to_string().as_bytes())
        .context("writing the settings for the Gemini CLI")?;
    client.env(SETTINGS, path);
    client.env("GOOGLE_GEMINI_BASE_URL", told.url);
    client.env("GEMINI_API_KEY", told.key());
    client.env("GEMINI_MODEL", told.model);
    for name in OTHER_LOGINS {
        client.env_remove(name);
    }
    Ok(())
}

/// The first folder on the way that somebody else could put a file into.
fn open_to_others(dir: &Path) -> Option<&Path> {
    let is_open =
        |path: &&Path| std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o022 != 0);
    dir.ancestors().find(is_open)
}

/// What the machine's administrator has set, with a login by key: without it the CLI refuses an address of one's own.
fn settings(existing: &Path) -> Value {
    let text = std::fs::read_to_string(existing).unwrap_or_default();
    let mut settings: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let mut security = taken(&mut settings, "security");
    let mut auth = taken(&mut security, "auth");
    auth.insert("selectedType".to_owned(), json!("gemini-api-key"));
    security.insert("auth".to_owned(), Value::Object(auth));
    settings.insert("security".to_owned(), Value::Object(security));
    Value::Object(settings)
}

/// An object out of its place; an empty one where there is none.
fn taken(fields: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
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
        let dir = std::env::temp_dir().join(format!("latimer-gemini-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join("settings.json");
        std::fs::write(&path, r#"{"security":{"auth":{"useExternal":true}},"tools":{"sandbox":false}}"#)
            .expect("written");
        let with = settings(&path);
        std::fs::remove_dir_all(&dir).expect("removed");
        let want = json!({ "security": { "auth": { "useExternal": true, "selectedType": "gemini-api-key" } }, "tools": { "sandbox": false } });
        assert_eq!(with, want);
        assert_eq!(settings(&path), json!({ "security": { "auth": { "selectedType": "gemini-api-key" } } }));
    }
}
