//! What Codex is told: everything on its command line, the models in a file of latimer's own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use latimer_proxy::config::state;
use latimer_proxy::inbound::models;

use super::{TOKEN_VARIABLE, Told};
use crate::codex_texts::codex_texts;

pub(super) fn tell(client: &mut Command, told: &Told<'_>) -> anyhow::Result<()> {
    let catalog = told.state_dir.join("codex-catalog.json");
    let text = models::codex_catalog(told.config, &codex_texts(), Some(told.model));
    state::write_private(&catalog, text.as_bytes()).context("writing the model catalog")?;
    client.args(overrides(told.url, told.model, &catalog, told.token.is_some()));
    if let Some(token) = told.token {
        client.env(TOKEN_VARIABLE, token.expose());
    }
    Ok(())
}

/// What Codex is told on its command line. Values are TOML.
fn overrides(url: &str, model: &str, catalog: &Path, with_token: bool) -> Vec<OsString> {
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

    #[test]
    fn the_token_is_not_on_the_command_line() {
        let args =
            overrides("http://127.0.0.1:4180", "a/\"b\"", Path::new("/state/codex-catalog.json"), true);
        let text: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert!(text.contains(&"model=\"a/\\\"b\\\"\"".to_owned()), "{text:?}");
        assert!(text.contains(&"model_providers.latimer.env_key=\"LATIMER_TOKEN\"".to_owned()), "{text:?}");
        assert!(!text.iter().any(|arg| arg.contains("bearer")), "{text:?}");
    }
}
