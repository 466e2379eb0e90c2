//! OpenAI Codex: told everything on its command line, the models in a file of latimer's own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::client::{LaunchContext, LaunchedClient};
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
        command.args(overrides(context, &catalog));
        if let Some(token) = context.token {
            command.env(TOKEN_VARIABLE, token.expose());
        }
        Ok(())
    }
}

/// Configuration overrides for the command line. Values are TOML.
fn overrides(context: &LaunchContext<'_>, catalog: &Path) -> Vec<OsString> {
    let mut pairs = vec![
        ("model", quote(context.model)),
        ("model_provider", quote("latimer")),
        ("model_catalog_json", quote(&catalog.to_string_lossy())),
        // Not "OpenAI" or "Azure": those names switch on compaction by the provider.
        ("model_providers.latimer.name", quote("latimer")),
        ("model_providers.latimer.base_url", quote(&format!("{}/v1", context.url))),
        ("model_providers.latimer.wire_api", quote("responses")),
        // Hosted search cannot run on a foreign provider; offering it would only be refused.
        ("web_search", quote("disabled")),
    ];
    if context.config.server.websocket {
        pairs.push(("model_providers.latimer.supports_websockets", "true".to_owned()));
    }
    if context.token.is_some() {
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
        assert!(!args.contains("bearer") && !configured_client.args.iter().any(|arg| arg == "t"), "{args}");
        assert_eq!(configured_client.variable("LATIMER_TOKEN"), Some("t"));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote("a/\"b\""), "\"a/\\\"b\\\"\"");
    }
}
