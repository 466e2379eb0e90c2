//! The Codex desktop app, with a folder of its own for everything that it keeps: the person's own app and its settings stay as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use toml_edit::{DocumentMut, Item, Table, Value};

use super::client::{LaunchContext, LaunchedClient};
use super::codex::settings;
use crate::environment::{TOKEN_VARIABLE, home};
use crate::{codex_catalog, config_value};

/// Where the app is on macOS, below `/` and below the home directory.
const MACOS_PROGRAM: &str = "Applications/Codex.app/Contents/MacOS/Codex";
/// Its folder in the state directory.
const FOLDER: &str = "codex-desktop";

/// OpenAI's Codex as a desktop app.
pub(super) struct CodexDesktop;

impl LaunchedClient for CodexDesktop {
    fn program(&self) -> &'static str {
        "codex-desktop"
    }

    fn install_hint(&self) -> &'static str {
        "https://developers.openai.com/codex/app"
    }

    fn missing(&self) -> String {
        format!(
            "the Codex desktop app is not found: it is neither `codex-desktop` on PATH nor /{MACOS_PROGRAM}. {} has it, --program names it; `latimer launch codex` runs Codex in the terminal",
            self.install_hint()
        )
    }

    fn usual_places(&self) -> Vec<PathBuf> {
        let own = home().map(|home| home.join(MACOS_PROGRAM));
        own.into_iter().chain([Path::new("/").join(MACOS_PROGRAM)]).collect()
    }

    fn resume_hint(&self) -> &'static str {
        ""
    }

    fn configure(&self, command: &mut Command, context: &LaunchContext<'_>) -> anyhow::Result<()> {
        let catalog = codex_catalog::write(context.state_dir, context.config, Some(context.model))?;
        let folder = context.state_dir.join(FOLDER);
        let (codex_home, data) = (folder.join("codex"), folder.join("data"));
        for dir in [&folder, &codex_home, &data] {
            latimer_files::prepare(dir).with_context(|| format!("making `{}`", dir.display()))?;
        }
        let path = codex_home.join("config.toml");
        let text = written(&std::fs::read_to_string(&path).unwrap_or_default(), &settings(context, &catalog));
        latimer_files::write(&path, text.as_bytes())
            .with_context(|| format!("writing `{}`", path.display()))?;
        command.env("CODEX_HOME", &codex_home);
        let mut flag = std::ffi::OsString::from("--user-data-dir=");
        flag.push(&data);
        command.arg(flag);
        if let Some(token) = context.token {
            command.env(TOKEN_VARIABLE, token.expose());
        }
        Ok(())
    }
}

/// The app's settings with what a launch says; what the app itself has written stays. A file that is broken is begun anew: it is
/// latimer's own.
fn written(existing: &str, settings: &[(&'static str, Value)]) -> String {
    let mut document: DocumentMut = existing.parse().unwrap_or_default();
    for (key, value) in settings {
        let names: Vec<&str> = key.split('.').collect();
        set(document.as_table_mut(), &names, value);
    }
    document.to_string()
}

/// Puts a value at a path, whatever stood on the way.
fn set(table: &mut Table, path: &[&str], value: &Value) {
    match path {
        [] => {}
        [last] => config_value::put(table, last, value.clone()),
        [name, rest @ ..] => {
            let mut below = if let Some(Item::Table(below)) = table.remove(name) {
                below
            } else {
                let mut below = Table::new();
                below.set_implicit(true);
                below
            };
            set(&mut below, rest, value);
            table.insert(name, Item::Table(below));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::launch::client::tests::configured;

    #[test]
    fn everything_is_in_a_folder_of_its_own_and_the_token_in_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let own = dir.path().join("codex-desktop/codex");
        std::fs::create_dir_all(&own).expect("made");
        std::fs::write(own.join("config.toml"), "# the app's\nmodel = \"old\"\n[tui]\ntheme = \"dark\"\n")
            .expect("written");
        let configured = configured(&CodexDesktop, dir.path(), "");
        assert_eq!(configured.variable("CODEX_HOME"), own.to_str());
        assert_eq!(
            configured.args,
            [format!("--user-data-dir={}", dir.path().join("codex-desktop/data").display())]
        );
        assert_eq!(configured.variable("LATIMER_TOKEN"), Some("t"));
        let text = std::fs::read_to_string(own.join("config.toml")).expect("settings");
        let settings: toml::Table = text.parse().expect("TOML");
        assert_eq!(settings["model"].as_str(), Some("m"));
        assert_eq!(settings["tui"]["theme"].as_str(), Some("dark"), "what the app wrote stays");
        let provider = &settings["model_providers"]["latimer"];
        assert_eq!(provider["base_url"].as_str(), Some("http://127.0.0.1:1/v1"));
        assert_eq!(provider["env_key"].as_str(), Some("LATIMER_TOKEN"));
        assert!(text.starts_with("# the app's\n") && !text.contains("\"t\""), "{text}");
    }
}
