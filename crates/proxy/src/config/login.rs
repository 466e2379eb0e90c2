//! Which accounts an endpoint can use.

/// A kind of account, as one logs into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Login {
    /// A Google account, as the Gemini CLI uses it.
    Google,
    /// A Google account, as Antigravity uses it.
    Antigravity,
    /// A Codebuff account.
    Codebuff,
    /// A Claude subscription.
    Anthropic,
    /// A Command Code account.
    CommandCode,
    /// A ChatGPT subscription, as Codex uses it.
    ChatGpt,
}

impl Login {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Google, Self::Antigravity, Self::Codebuff, Self::Anthropic, Self::CommandCode, Self::ChatGpt];

    /// As written in the file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Antigravity => "antigravity",
            Self::Codebuff => "codebuff",
            Self::Anthropic => "anthropic",
            Self::CommandCode => "command-code",
            Self::ChatGpt => "chatgpt",
        }
    }

    /// The login of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|login| login.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use latimer_adapters::auth::provider::PROVIDERS;

    use super::*;

    #[test]
    fn every_login_is_found_by_its_name_and_by_no_other() {
        for login in Login::ALL {
            assert_eq!(Login::from_name(login.name()), Some(login));
        }
        assert_eq!(Login::ALL.map(Login::name).into_iter().collect::<HashSet<_>>().len(), Login::ALL.len());
        for unknown in ["", "Google", "google ", "claude", "command_code"] {
            assert_eq!(Login::from_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_provider_with_a_login_is_a_login_of_the_file() {
        for provider in PROVIDERS {
            assert!(Login::from_name(provider.name).is_some(), "{}", provider.name);
        }
    }
}
