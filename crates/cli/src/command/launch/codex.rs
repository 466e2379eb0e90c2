//! What Codex is told: everything on its command line, the models in a file of latimer's own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use latimer_proxy::config::{Config, state};
use latimer_proxy::inbound::models;

use super::{TOKEN_VARIABLE, Told};
use crate::codex_texts::codex_texts;

/// The model catalog in the state directory; generated, so it may be generated again.
pub(crate) const CATALOG: &str = "codex-catalog.json";

pub(super) fn tell(client: &mut Command, told: &Told<'_>) -> anyhow::Result<()> {
    let catalog = write_catalog(told.state_dir, told.config, Some(told.model))?;
    let websocket = told.config.server.websocket;
    client.args(overrides(told.url, told.model, &catalog, told.token.is_some(), websocket));
    if let Some(token) = told.token {
        client.env(TOKEN_VARIABLE, token.expose());
    }
    Ok(())
}

/// Writes the model catalog that Codex is given.
pub(crate) fn write_catalog(
    state_dir: &Path,
    config: &Config,
    model: Option<&str>,
) -> anyhow::Result<PathBuf> {
    let catalog = state_dir.join(CATALOG);
    let text = models::codex_catalog(config, &codex_texts(), model);
    state::write_private(&catalog, text.as_bytes()).context("writing the model catalog")?;
    Ok(catalog)
}

/// What Codex is told on its command line. Values are TOML.
fn overrides(url: &str, model: &str, catalog: &Path, with_token: bool, websocket: bool) -> Vec<OsString> {
    let mut pairs = vec![
        ("model", quote(model)),
        ("model_provider", quote("latimer")),
        ("model_catalog_json", quote(&catalog.to_string_lossy())),
        // Not "OpenAI" or "Azure": those names switch on compaction by the provider.
        ("model_providers.latimer.name", quote("latimer")),
        ("model_providers.latimer.base_url", quote(&format!("{url}/v1"))),
        ("model_providers.latimer.wire_api", quote("responses")),
        // Hosted search cannot run on a foreign provider; offering it would only be refused.
        ("web_search", quote("disabled")),
    ];
    if websocket {
        pairs.push(("model_providers.latimer.supports_websockets", "true".to_owned()));
    }
    if with_token {
        pairs.push(("model_providers.latimer.env_key", quote(TOKEN_VARIABLE)));
    }
    pairs.into_iter().flat_map(|(key, value)| ["-c".into(), format!("{key}={value}").into()]).collect()
}

/// A TOML basic string. JSON's escapes are a subset of TOML's.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(with_token: bool, websocket: bool) -> Vec<String> {
        let catalog = Path::new("/state/codex-catalog.json");
        let args = overrides("http://127.0.0.1:4180", "a/\"b\"", catalog, with_token, websocket);
        args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_client_hears_of_the_websocket_where_there_is_one() {
        let speaks =
            |text: Vec<String>| text.contains(&"model_providers.latimer.supports_websockets=true".to_owned());
        assert!(speaks(told(true, true)) && !speaks(told(true, false)));
    }

    #[test]
    fn the_token_is_not_on_the_command_line() {
        let text = told(true, false);
        assert!(text.contains(&"model=\"a/\\\"b\\\"\"".to_owned()), "{text:?}");
        assert!(text.contains(&"model_providers.latimer.env_key=\"LATIMER_TOKEN\"".to_owned()), "{text:?}");
        assert!(!text.iter().any(|arg| arg.contains("bearer")), "{text:?}");
    }
}
