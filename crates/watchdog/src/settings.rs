//! The `[watchdog]` part of the configuration file: as written, then with its meaning. All mistakes are listed together.

use std::time::Duration;

use latimer_protocol::quantity::{duration, size};
use serde::{Deserialize, Serialize};

/// The settings with their meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The watchdog runs at all.
    pub enabled: bool,
    /// The table of rules is applied.
    pub tier1: bool,
    /// What helped before is applied.
    pub tier2: bool,
    /// A model may be asked, within the budget; also needs [`DiagnosisSettings::endpoint`].
    pub tier3: bool,
    /// A proxy that is gone or hangs is started again without asking.
    pub auto_restart: bool,
    /// Turns are sent to another provider without asking; otherwise it is proposed.
    pub auto_switch_provider: bool,
    /// Between two looks at the health document.
    pub health_interval: Duration,
    /// Resident memory of the proxy that calls for a replacement, in bytes.
    pub memory_limit: u64,
    /// Resident memory of a client that a person is told of, in bytes.
    pub client_memory_alert: u64,
    /// Which alerts reach the desktop.
    pub notify: Notify,
    /// The model that may be asked.
    pub diagnosis: DiagnosisSettings,
}

/// Which alerts reach the desktop. The log has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// All of them.
    All,
    /// Warnings and what is urgent.
    Important,
    /// None.
    None,
}

/// The model that may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagnosisSettings {
    /// An endpoint of the configuration; nobody is asked without one.
    pub endpoint: Option<String>,
    /// The model; the endpoint's own default without one.
    pub model: Option<String>,
    /// What a month may cost, in millionths of a US dollar.
    pub monthly_budget_micros: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            tier1: true,
            tier2: true,
            tier3: true,
            auto_restart: true,
            auto_switch_provider: false,
            health_interval: Duration::from_millis(500),
            memory_limit: 1 << 30,
            client_memory_alert: 4 << 30,
            notify: Notify::Important,
            diagnosis: DiagnosisSettings { endpoint: None, model: None, monthly_budget_micros: 2_000_000 },
        }
    }
}

/// The part of the file as a person wrote it. What is absent has its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsFile {
    /// See [`Settings::enabled`].
    pub enabled: Option<bool>,
    /// See [`Settings::tier1`].
    pub tier1: Option<bool>,
    /// See [`Settings::tier2`].
    pub tier2: Option<bool>,
    /// See [`Settings::tier3`].
    pub tier3: Option<bool>,
    /// See [`Settings::auto_restart`].
    pub auto_restart: Option<bool>,
    /// See [`Settings::auto_switch_provider`].
    pub auto_switch_provider: Option<bool>,
    /// A duration such as `1s` or `500ms`.
    pub health_interval: Option<String>,
    /// A size such as `1GiB`.
    pub memory_limit: Option<String>,
    /// A size such as `4GiB`.
    pub client_memory_alert: Option<String>,
    /// `all`, `important` or `none`.
    pub notify: Option<String>,
    /// The table `[watchdog.diagnosis]`.
    pub diagnosis: Option<DiagnosisSettingsFile>,
}

/// The table `[watchdog.diagnosis]` as a person wrote it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosisSettingsFile {
    /// See [`DiagnosisSettings::endpoint`].
    pub endpoint: Option<String>,
    /// See [`DiagnosisSettings::model`].
    pub model: Option<String>,
    /// US dollars a month; 0 asks only models that cost nothing.
    pub monthly_budget: Option<f64>,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingsProblem {
    /// The path of the key, such as `watchdog.memory_limit`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Settings {
    /// What a file means.
    ///
    /// # Errors
    ///
    /// Every key that means nothing, not only the first.
    pub fn raise(file: &SettingsFile) -> Result<Self, Vec<SettingsProblem>> {
        let mut problems = Vec::new();
        let settings = raise(file, &mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

fn raise(file: &SettingsFile, problems: &mut Vec<SettingsProblem>) -> Settings {
    let standard = Settings::default();
    let mut wrong = |key: &str, message: &str| {
        problems.push(SettingsProblem { key: format!("watchdog.{key}"), message: message.to_owned() });
    };
    let mut health_interval = standard.health_interval;
    if let Some(text) = &file.health_interval {
        match duration(text) {
            Some(value) if (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&value) => {
                health_interval = value;
            }
            Some(_) => wrong("health_interval", "is between `100ms` and `60s`"),
            None => wrong("health_interval", "is a duration such as `1s` or `500ms`"),
        }
    }
    let mut bytes = |key: &str, text: Option<&String>, default: u64| match text.map(|text| size(text)) {
        None => default,
        Some(Some(value)) if value >= 32 << 20 => value,
        Some(Some(_)) => {
            wrong(key, "is at least `32MiB`; below that every process is over it");
            default
        }
        Some(None) => {
            wrong(key, "is a size such as `1GiB` or `512MiB`");
            default
        }
    };
    let memory_limit = bytes("memory_limit", file.memory_limit.as_ref(), standard.memory_limit);
    let client_memory_alert =
        bytes("client_memory_alert", file.client_memory_alert.as_ref(), standard.client_memory_alert);
    let notify = match file.notify.as_deref() {
        None => standard.notify,
        Some("all") => Notify::All,
        Some("important") => Notify::Important,
        Some("none") => Notify::None,
        Some(_) => {
            wrong("notify", "is `all`, `important` or `none`");
            standard.notify
        }
    };
    let written = file.diagnosis.clone().unwrap_or_default();
    let mut name = |key: &str, text: Option<String>| {
        let usable = |text: &str| !text.trim().is_empty() && !text.chars().any(char::is_control);
        if text.as_deref().is_some_and(|text| !usable(text)) {
            wrong(key, "is a name, or is left out");
            return None;
        }
        text
    };
    let endpoint = name("diagnosis.endpoint", written.endpoint);
    let model = name("diagnosis.model", written.model);
    let mut monthly_budget_micros = standard.diagnosis.monthly_budget_micros;
    match written.monthly_budget {
        None => {}
        // NaN and infinities are outside of every range.
        Some(dollars) if (0.0..=10_000.0).contains(&dollars) => monthly_budget_micros = micros(dollars),
        Some(_) => wrong("diagnosis.monthly_budget", "is between 0 and 10000 US dollars"),
    }
    Settings {
        enabled: file.enabled.unwrap_or(standard.enabled),
        tier1: file.tier1.unwrap_or(standard.tier1),
        tier2: file.tier2.unwrap_or(standard.tier2),
        tier3: file.tier3.unwrap_or(standard.tier3),
        auto_restart: file.auto_restart.unwrap_or(standard.auto_restart),
        auto_switch_provider: file.auto_switch_provider.unwrap_or(standard.auto_switch_provider),
        health_interval,
        memory_limit,
        client_memory_alert,
        notify,
        diagnosis: DiagnosisSettings { endpoint, model, monthly_budget_micros },
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked before")]
fn micros(dollars: f64) -> u64 {
    (dollars * 1_000_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_means_the_defaults() {
        assert_eq!(Settings::raise(&SettingsFile::default()), Ok(Settings::default()));
        let settings = Settings::default();
        assert!(settings.auto_restart && !settings.auto_switch_provider, "a switch is proposed, not made");
        assert_eq!(settings.diagnosis.monthly_budget_micros, 2_000_000);
    }

    #[test]
    fn what_is_written_counts() {
        let text = "tier3 = false\nhealth_interval = \"500ms\"\nmemory_limit = \"512MiB\"\nclient_memory_alert = \"8GiB\"\n\
            notify = \"all\"\nauto_switch_provider = true\n[diagnosis]\nendpoint = \"ollama\"\nmodel = \"small\"\nmonthly_budget = 0.5\n";
        let settings = Settings::raise(&toml::from_str(text).expect("TOML")).expect("settings");
        assert!(!settings.tier3 && settings.auto_switch_provider);
        assert_eq!(settings.health_interval, Duration::from_millis(500));
        assert_eq!((settings.memory_limit, settings.client_memory_alert), (512 << 20, 8 << 30));
        assert_eq!(settings.notify, Notify::All);
        assert_eq!(settings.diagnosis.endpoint.as_deref(), Some("ollama"));
        assert_eq!(settings.diagnosis.monthly_budget_micros, 500_000);
    }

    #[test]
    fn every_mistake_is_listed() {
        let text = "health_interval = \"fast\"\nmemory_limit = \"1MiB\"\nclient_memory_alert = \"much\"\nnotify = \"loud\"\n\
            [diagnosis]\nendpoint = \"\"\nmodel = \"a\\nb\"\nmonthly_budget = nan\n";
        let problems = Settings::raise(&toml::from_str(text).expect("TOML")).expect_err("wrong");
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let want = [
            "watchdog.health_interval",
            "watchdog.memory_limit",
            "watchdog.client_memory_alert",
            "watchdog.notify",
            "watchdog.diagnosis.endpoint",
            "watchdog.diagnosis.model",
            "watchdog.diagnosis.monthly_budget",
        ];
        assert_eq!(keys, want);
        let outside =
            [("health_interval", "10ms"), ("health_interval", "2m"), ("memory_limit", "99999999999GiB")];
        for (key, value) in outside {
            let file = toml::from_str(&format!("{key} = \"{value}\"")).expect("TOML");
            assert_eq!(Settings::raise(&file).expect_err("outside").len(), 1, "{key} = {value}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<SettingsFile>("auto_restrat = true").is_err());
    }
}
