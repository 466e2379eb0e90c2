//! What Claude Code is told, all of it in its environment.

use std::process::Command;

use super::Told;

/// Names by which Claude Code asks for a model of its own, beside the one it was told.
const ALIASES: [&str; 4] = [
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];
/// The same for small questions.
const SMALL: [&str; 2] = ["ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"];

pub(super) fn tell(client: &mut Command, told: &Told<'_>) {
    // It adds `/v1/messages` itself.
    client.env("ANTHROPIC_BASE_URL", told.url);
    client.env("ANTHROPIC_AUTH_TOKEN", told.key());
    // With both set it would send the person's own key along.
    client.env_remove("ANTHROPIC_API_KEY");
    // A block of the system prompt that changes with every session, for billing; it would make prompt caches cold.
    client.env("CLAUDE_CODE_ATTRIBUTION_HEADER", "0");
    for name in ALIASES {
        client.env(name, told.model);
    }
    for name in SMALL {
        client.env(name, told.small_model);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use latimer_protocol::secret::Secret;
    use latimer_proxy::config::parse;

    #[test]
    fn a_key_of_the_persons_is_not_sent_along() {
        let token = Secret::new("t");
        let config = parse::load("", &|_| None, &|_| Ok(String::new())).expect("an empty one is fine").config;
        let told = Told {
            url: "http://127.0.0.1:1",
            model: "m",
            small_model: "s",
            token: Some(&token),
            config: &config,
            state_dir: Path::new("/state"),
        };
        let mut client = Command::new("claude");
        tell(&mut client, &told);
        let env: Vec<(String, Option<String>)> = client
            .get_envs()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.map(|value| value.to_string_lossy().into_owned()))
            })
            .collect();
        let value =
            |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_deref());
        assert_eq!(value("ANTHROPIC_API_KEY"), Some(None), "taken out");
        assert_eq!(value("ANTHROPIC_AUTH_TOKEN"), Some(Some("t")));
        assert_eq!(value("ANTHROPIC_SMALL_FAST_MODEL"), Some(Some("s")));
        assert_eq!(client.get_args().count(), 0, "nothing on the command line");
    }
}
