//! What a configuration says of all agents together.

use std::path::{Path, PathBuf};

use latimer_adapters::agents::child;

/// What holds for all endpoints that are agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentsSettings {
    /// Below it every agent has its folder; `None` for `agents` in the state directory.
    pub dir: Option<PathBuf>,
    /// How many of their programs run at once.
    pub children: usize,
}

impl Default for AgentsSettings {
    fn default() -> Self {
        Self { dir: None, children: child::USUAL_MAX }
    }
}

impl AgentsSettings {
    /// The folder below which every agent has its own.
    pub fn folder(&self, state_dir: &Path) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| state_dir.join("agents"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_live_in_the_state_directory_unless_the_file_says_where() {
        let mut settings = AgentsSettings::default();
        assert_eq!(settings.folder(Path::new("/s")), Path::new("/s/agents"));
        settings.dir = Some("/srv/agents".into());
        assert_eq!(settings.folder(Path::new("/s")), Path::new("/srv/agents"));
    }
}
