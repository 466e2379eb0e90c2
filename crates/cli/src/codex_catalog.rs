//! The model catalog that Codex is given (`model_catalog_json`), generated into the state directory.
//!
//! `latimer launch codex` writes it, and the watchdog writes it again when an alert asks for that.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use latimer_proxy::config::Config;
use latimer_proxy::inbound::models::{self, CodexTexts};

/// The catalog's name in the state directory.
const FILE: &str = "codex-catalog.json";

/// Where the catalog of this state directory is, whether or not it was written.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Writes the catalog: every model of the configuration, and `extra`, a model that is asked for by name and listed nowhere.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(state_dir: &Path, config: &Config, extra: Option<&str>) -> anyhow::Result<PathBuf> {
    let path = path(state_dir);
    let text = models::codex_catalog(config, &texts(), extra);
    latimer_files::write(&path, text.as_bytes())
        .with_context(|| format!("writing the model catalog `{}`", path.display()))?;
    Ok(path)
}

/// The base prompt of models that Codex does not know. A catalog entry cannot do without one, and the prompts Codex brings along
/// introduce the model as one of OpenAI's.
fn texts() -> CodexTexts {
    CodexTexts { base_instructions: include_str!("codex_instructions.md").trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load_text;

    #[test]
    fn the_catalog_lists_configured_models_and_the_one_asked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"listed\"]\n";
        let config = load_text(text).expect("a configuration").config;
        let written = write(dir.path(), &config, Some("a/asked")).expect("written");
        assert_eq!(written, path(dir.path()));
        let catalog: serde_json::Value =
            serde_json::from_slice(&std::fs::read(written).expect("read")).expect("JSON");
        let models = catalog["models"].as_array().expect("models");
        let slugs: Vec<_> = models.iter().filter_map(|model| model["slug"].as_str()).collect();
        assert_eq!(slugs, ["listed", "a/asked"]);
        for model in models {
            assert_eq!(model["base_instructions"], texts().base_instructions, "{model}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let config = load_text("").expect("a configuration").config;
        let error = write(Path::new("/nowhere/at/all"), &config, None).expect_err("no directory");
        assert!(format!("{error:#}").contains("/nowhere/at/all/codex-catalog.json"), "{error:#}");
    }
}
