//! What the configuration file says to the watchdog: its `[watchdog]` part, and the rules beside it. Only here do the proxy's part and
//! this one meet.

use std::path::{Path, PathBuf};

use latimer_watchdog::settings::{Settings, SettingsFile};
use serde::Deserialize;

use crate::configuration::{Configuration, read_text};
use crate::terminal::LinesError;

/// The file, as far as it concerns the watchdog.
#[derive(Debug, Default, Deserialize)]
struct ConfigurationFile {
    #[serde(default)]
    watchdog: SettingsFile,
}

/// The settings in a configuration text.
///
/// # Errors
/// Every problem of the part, one in each text.
pub(crate) fn read(text: &str) -> Result<Settings, Vec<String>> {
    let file: ConfigurationFile = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        vec![format!("line {line}: watchdog: {}", error.message().trim())]
    })?;
    Settings::raise(&file.watchdog)
        .map_err(|problems| problems.into_iter().map(|problem| problem.to_string()).collect())
}

/// The settings of a configuration that was read.
///
/// # Errors
/// The file cannot be read again, or every problem of the part.
pub(crate) fn of(configuration: &Configuration) -> anyhow::Result<Settings> {
    let text = configuration.path.as_deref().map(read_text).transpose()?.unwrap_or_default();
    read(&text).map_err(|problems| LinesError::new("the configuration cannot be used", problems).into())
}

/// The rules that go with a configuration file: beside it.
pub(crate) fn rules_path(config: &Path) -> PathBuf {
    config.with_file_name("watchdog-rules.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_read_and_its_problems_are_told() {
        assert_eq!(read("[server]\nlisten = \"127.0.0.1:1\"\n"), Ok(Settings::default()));
        let settings = read("[watchdog]\ntier3 = false\n").expect("settings");
        assert!(!settings.tier3);
        let unknown = read("[watchdog]\ntier4 = false\n").expect_err("unknown");
        assert!(unknown[0].contains("tier4") && unknown[0].starts_with("line 2"), "{unknown:?}");
        let wrong = read("[watchdog]\nnotify = \"loud\"\nmemory_limit = \"x\"\n").expect_err("wrong");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn the_rules_stand_beside_the_configuration() {
        assert_eq!(rules_path(Path::new("/etc/l/config.toml")), Path::new("/etc/l/watchdog-rules.toml"));
    }
}
