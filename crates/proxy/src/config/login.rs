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
