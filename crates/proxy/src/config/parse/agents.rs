//! `[agents]`: what holds for all endpoints that are agents.

use std::path::PathBuf;

use crate::config::read::{ProblemCollector, Table};
use crate::config::{AgentsSettings, schema};

/// Most of what the number of programs may be.
const MAX_CHILDREN: u32 = 1024;

pub(super) fn settings(root: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> AgentsSettings {
    let mut settings = AgentsSettings::default();
    let Some(table) = root.table("agents", notes) else { return settings };
    table.only(&schema::AGENTS, notes);
    if let Some(value) = table.get("dir")
        && let Some(text) = value.string(notes)
    {
        let path = PathBuf::from(text);
        if path.is_absolute() {
            settings.dir = Some(path);
        } else {
            notes.problem(value.span, &value.path, "should be an absolute path");
        }
    }
    if let Some(children) = table.number_in("children", 1..=MAX_CHILDREN, notes) {
        settings.children = children as usize;
    }
    settings
}

#[cfg(test)]
mod tests {
    use crate::config::parse::load;

    fn problems(text: &str) -> Vec<String> {
        let loaded = load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        let problems = loaded.err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_holds_for_all_agents_is_read() {
        let loaded = load("[agents]\ndir = \"/srv/agents\"\nchildren = 3\n", &|_| None, &|_| {
            Err(std::io::ErrorKind::NotFound.into())
        });
        let agents = loaded.expect("a configuration").config.agents;
        assert_eq!((agents.children, agents.folder("/s".as_ref())), (3, "/srv/agents".into()));
        assert_eq!(super::AgentsSettings::default().folder("/s".as_ref()), std::path::Path::new("/s/agents"));
        for (text, word) in [("dir = \"relative\"", "absolute"), ("children = 0", "children"), ("x = 1", "x")]
        {
            let problems = problems(&format!("[agents]\n{text}\n"));
            assert!(problems.len() == 1 && problems[0].contains(word), "{text}: {problems:?}");
        }
    }
}
