//! The standing instructions that an agent is given. Pure.

use super::settings::AgentSettings;

/// What an agent without tools is told where a client tells it nothing: without any, Codex would be given its own prompt of 17 kB, which
/// speaks of tools that it does not have.
const PLAIN: &str = "You are a helpful assistant. Answer the user directly, in text.";

/// The instructions of a turn; `None` where the agent's own stand.
pub fn for_agent(text: &str, settings: &AgentSettings) -> Option<String> {
    if !text.trim().is_empty() {
        return Some(text.to_owned());
    }
    (!settings.safety.own_tools).then(|| PLAIN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::settings::AgentProgram;

    #[test]
    fn an_agent_with_tools_keeps_its_own_unless_a_client_says_more() {
        let mut settings = AgentSettings::usual(AgentProgram::CodexExec);
        assert_eq!(for_agent(" \n", &settings).as_deref(), Some(PLAIN));
        assert_eq!(for_agent("be brief", &settings).as_deref(), Some("be brief"));
        settings.safety.own_tools = true;
        assert_eq!(for_agent("", &settings), None);
    }
}
