//! Claude Code: told everything in its environment.

use std::process::Command;

use super::client::{DirectTarget, LaunchContext, LaunchedClient, PROJECT_HEADER};
use super::model::{ModelLimits, model_limits};
use crate::environment::env;
use latimer_proxy::config::{Origin, Protocol};

/// Variables by which Claude Code asks for a model of its own, beside the one it was told.
const MODEL_VARIABLES: [&str; 4] = [
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];
/// The same for small questions.
const SMALL_MODEL_VARIABLES: [&str; 2] = ["ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"];

/// Tokens that Claude Code asks for where it knows nothing of a model; most models may write as many in one answer.
const USUAL_OUTPUT_TOKENS: u64 = 32_000;
/// Of the window, one part in so many is left for the answer.
const OUTPUT_SHARE: u64 = 4;
/// Variables by which Claude Code is told a window. Version 2.1.197 takes the first for every model whose name does not begin with
/// `claude-`, and for those only where compaction is switched off; the second is at least 100,000 to it, and never more than the first.
const WINDOW_VARIABLES: [&str; 2] = ["CLAUDE_CODE_MAX_CONTEXT_TOKENS", "CLAUDE_CODE_AUTO_COMPACT_WINDOW"];
/// The variable by which it is told how much to ask for. What it asks for is kept out of the window.
const OUTPUT_VARIABLE: &str = "CLAUDE_CODE_MAX_OUTPUT_TOKENS";

/// Headers that are sent besides, a line each.
const HEADERS_VARIABLE: &str = "ANTHROPIC_CUSTOM_HEADERS";

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
        // What the person has set stays: a header for each line.
        let headers = env(HEADERS_VARIABLE).map_or_else(String::new, |own| format!("{own}\n"));
        if !context.project.is_empty() {
            command.env(HEADERS_VARIABLE, format!("{headers}{PROJECT_HEADER}: {}", context.project));
        }
        for name in MODEL_VARIABLES {
            command.env(name, context.model);
        }
        for name in SMALL_MODEL_VARIABLES {
            command.env(name, context.small_model);
        }
        for (name, value) in variables(model_limits(context.config, context.model)) {
            // What the person has set is meant.
            if env(name).is_none() {
                command.env(name, value.to_string());
            }
        }
        Ok(())
    }

    fn own_protocol(&self) -> Option<Protocol> {
        Some(Protocol::Messages)
    }

    fn configure_direct(&self, command: &mut Command, target: &DirectTarget<'_>) {
        // It adds `/v1/messages` itself.
        let url = target.endpoint.base_url.trim_end_matches('/');
        command.env("ANTHROPIC_BASE_URL", url.strip_suffix("/v1").unwrap_or(url));
        let (set, other) = if target.endpoint.options.bearer_keys {
            ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
        } else {
            ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
        };
        command.env_remove(other);
        command.env(set, target.key.expose());
        for name in MODEL_VARIABLES.into_iter().chain(SMALL_MODEL_VARIABLES) {
            command.env(name, target.model);
        }
    }
}

/// The variables that tell a window and a cap for the answers, with their values in tokens.
fn variables(limits: ModelLimits) -> Vec<(&'static str, u64)> {
    let share = limits.window.map(|window| USUAL_OUTPUT_TOKENS.min(window / OUTPUT_SHARE).max(1));
    let room = |most: u64| limits.window.map_or(most, |window| most.min(window / 2).max(1));
    let known = limits.output.map(|most| match limits.output_origin {
        // Where a person says that a model writes more it may, as long as its window leaves room to read.
        Origin::File => room(most),
        // What it could write at most, nobody asked for: so much of the window would be lost to the conversation.
        Origin::Table => most.min(share.unwrap_or(USUAL_OUTPUT_TOKENS)),
    });
    let windows = WINDOW_VARIABLES.iter().filter_map(|name| Some((*name, limits.window?)));
    windows.chain(known.or(share).map(|cap| (OUTPUT_VARIABLE, cap))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::command::launch::client::tests::configured;

    #[test]
    fn a_known_window_is_told_with_a_cap_below_it() {
        let cases = [
            (32_768, "", 8_192),
            (128_000, "", 32_000),
            (1_000_000, "", 32_000),
            (8_000, "", 2_000),
            (32_768, ", max_output = 4096", 4_096),
            (32_768, ", max_output = 32768", 16_384),
            (1_000_000, ", max_output = 64000", 64_000),
        ];
        for (window, most, cap) in cases {
            let text = format!(
                "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{{ id = \"m\", context_window = {window}{most} }}]\n"
            );
            let configured_client = configured(&ClaudeCode, Path::new("/state"), &text);
            let told = |name: &str| configured_client.variable(name).and_then(|value| value.parse().ok());
            assert_eq!(told("CLAUDE_CODE_MAX_CONTEXT_TOKENS"), Some(window));
            assert_eq!(told("CLAUDE_CODE_AUTO_COMPACT_WINDOW"), Some(window));
            assert_eq!(told("CLAUDE_CODE_MAX_OUTPUT_TOKENS"), Some(cap));
        }
        let limits = |output| ModelLimits { window: Some(200_000), output, output_origin: Origin::Table };
        for (most, cap) in [(None, 32_000), (Some(131_072), 32_000), (Some(4096), 4096)] {
            assert_eq!(
                variables(limits(most)).last(),
                Some(&(OUTPUT_VARIABLE, cap)),
                "{most:?} by the table"
            );
        }
        let unknown = configured(&ClaudeCode, Path::new("/state"), "");
        assert_eq!(unknown.variable("CLAUDE_CODE_MAX_CONTEXT_TOKENS"), None);
    }

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
