//! Claude Code: told everything in its environment.

use std::process::Command;

use super::client::{LaunchContext, LaunchedClient};

/// Variables by which Claude Code asks for a model of its own, beside the one it was told.
const MODEL_VARIABLES: [&str; 4] = [
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];
/// The same for small questions.
const SMALL_MODEL_VARIABLES: [&str; 2] = ["ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"];

/// Anthropic's Claude Code.
pub(super) struct ClaudeCode;

impl LaunchedClient for ClaudeCode {
    fn program(&self) -> &'static str {
        "claude"
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @anthropic-ai/claude-code"
    }

    fn resume_hint(&self) -> &'static str {
        "--continue"
    }

    fn configure(&self, command: &mut Command, context: &LaunchContext<'_>) -> anyhow::Result<()> {
        // It adds `/v1/messages` itself.
        command.env("ANTHROPIC_BASE_URL", context.url);
        command.env("ANTHROPIC_AUTH_TOKEN", context.key());
        // With both set it would send the person's own key along.
        command.env_remove("ANTHROPIC_API_KEY");
        // A block of the system prompt that changes with every session, for billing; it would make prompt caches cold.
        command.env("CLAUDE_CODE_ATTRIBUTION_HEADER", "0");
        for name in MODEL_VARIABLES {
            command.env(name, context.model);
        }
        for name in SMALL_MODEL_VARIABLES {
            command.env(name, context.small_model);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::command::launch::client::tests::configured;

    #[test]
    fn a_key_of_the_persons_is_not_sent_along() {
        let configured_client = configured(&ClaudeCode, Path::new("/state"), "");
        assert_eq!(configured_client.variable("ANTHROPIC_API_KEY"), Some(""), "taken out");
        assert_eq!(configured_client.variable("ANTHROPIC_AUTH_TOKEN"), Some("t"));
        assert_eq!(configured_client.variable("ANTHROPIC_BASE_URL"), Some("http://127.0.0.1:1"));
        assert_eq!(configured_client.variable("ANTHROPIC_MODEL"), Some("m"));
        assert_eq!(configured_client.variable("ANTHROPIC_SMALL_FAST_MODEL"), Some("s"));
        assert!(configured_client.args.is_empty(), "nothing on the command line");
    }
}
