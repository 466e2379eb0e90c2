//! OpenAI Codex: told everything on its command line, the models in a file of latimer's own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use latimer_proxy::config::Protocol;
use toml_edit::{InlineTable, Value};

use super::client::{DirectTarget, KEY_VARIABLE, LaunchContext, LaunchedClient, PROJECT_HEADER};
use crate::codex_catalog;
use crate::environment::TOKEN_VARIABLE;

/// OpenAI Codex.
pub(super) struct Codex;

impl LaunchedClient for Codex {
    fn program(&self) -> &'static str {
        "codex"
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @openai/codex"
    }

    fn resume_hint(&self) -> &'static str {
        "resume --last"
    }

    fn configure(&self, command: &mut Command, context: &LaunchContext<'_>) -> anyhow::Result<()> {
        let catalog = codex_catalog::write(context.state_dir, context.config, Some(context.model))?;
        command.args(overrides(settings(context, &catalog)));
        if let Some(token) = context.token {
            command.env(TOKEN_VARIABLE, token.expose());
        }
        Ok(())
    }

    fn own_protocol(&self) -> Option<Protocol> {
        Some(Protocol::Responses)
    }

    fn configure_direct(&self, command: &mut Command, target: &DirectTarget<'_>) {
        command.args(overrides(direct_settings(target)));
        command.env(KEY_VARIABLE, target.key.expose());
    }
}

/// What Codex is told, as keys and values of its configuration.
pub(super) fn settings(context: &LaunchContext<'_>, catalog: &Path) -> Vec<(&'static str, Value)> {
    let mut pairs: Vec<(&'static str, Value)> = vec![
        ("model", context.model.into()),
        ("model_provider", "latimer".into()),
        ("model_catalog_json", catalog.to_string_lossy().into_owned().into()),
        // Not "OpenAI" or "Azure": those names switch on compaction by the provider.
        ("model_providers.latimer.name", "latimer".into()),
        ("model_providers.latimer.base_url", format!("{}/v1", context.url).into()),
        ("model_providers.latimer.wire_api", "responses".into()),
        // Hosted search cannot run on a foreign provider; offering it would only be refused.
        ("web_search", "disabled".into()),
    ];
    if context.config.server.websocket {
        pairs.push(("model_providers.latimer.supports_websockets", true.into()));
    }
    if !context.project.is_empty() {
        let mut headers = InlineTable::new();
        headers.insert(PROJECT_HEADER, context.project.into());
        pairs.push(("model_providers.latimer.http_headers", headers.into()));
    }
    if context.token.is_some() {
        pairs.push(("model_providers.latimer.env_key", TOKEN_VARIABLE.into()));
    }
    if let Some(effort) = context.effort {
        pairs.push(("model_reasoning_effort", effort.name().into()));
    }
    pairs
}

/// What Codex is told of a provider that it asks itself.
fn direct_settings(target: &DirectTarget<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("model", target.model.into()),
        ("model_provider", "direct".into()),
        ("model_providers.direct.name", target.endpoint.name.as_str().into()),
        ("model_providers.direct.base_url", target.endpoint.base_url.as_str().into()),
        ("model_providers.direct.wire_api", "responses".into()),
        ("model_providers.direct.env_key", KEY_VARIABLE.into()),
    ]
}

/// Configuration overrides for the command line.
fn overrides(pairs: Vec<(&'static str, Value)>) -> impl Iterator<Item = OsString> {
    pairs.into_iter().flat_map(|(key, value)| ["-c".into(), format!("{key}={}", literal(&value)).into()])
}

/// A value as TOML on one line. JSON's escapes of texts are a subset of TOML's.
fn literal(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string().trim().to_owned(), |text| serde_json::Value::from(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::launch::client::tests::{Configured, configured};

    fn configured_client(config: &str) -> Configured {
        let dir = tempfile::tempdir().expect("a directory");
        configured(&Codex, dir.path(), config)
    }

    #[test]
    fn the_client_hears_of_the_websocket_where_there_is_one() {
        let has_websocket = |config: &str| {
            let flag = "model_providers.latimer.supports_websockets=true";
            configured_client(config).args.iter().any(|arg| arg == flag)
        };
        assert!(has_websocket("[server]\nwebsocket = true\n"));
        assert!(!has_websocket("[server]\nwebsocket = false\n"));
    }

    #[test]
    fn the_token_is_not_on_the_command_line() {
        let configured_client = configured_client("");
        let args = configured_client.args.join(" ");
        assert!(args.contains("model_providers.latimer.env_key=\"LATIMER_TOKEN\""), "{args}");
        assert!(args.contains("model_providers.latimer.base_url=\"http://127.0.0.1:1/v1\""), "{args}");
        let header = "model_providers.latimer.http_headers={ x-latimer-project = \"my%20app\" }";
        assert!(args.contains(header), "{args}");
        assert!(!args.contains("bearer") && !configured_client.args.iter().any(|arg| arg == "t"), "{args}");
        assert_eq!(configured_client.variable("LATIMER_TOKEN"), Some("t"));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(literal(&"a/\"b\"".into()), "\"a/\\\"b\\\"\"");
        assert_eq!(literal(&true.into()), "true");
    }
}
