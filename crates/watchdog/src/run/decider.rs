//! The decider: the pure state with its files, the rules in use, and the recording of its signals.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::action::Order;
use crate::decide::{State, decide};
use crate::files::RotatingLog;
use crate::ids::ActionId;
use crate::record;
use crate::rules::file::RulesInUse;
use crate::settings::Settings;
use crate::signal::Signal;
use crate::simulate::RecordedSignal;
use crate::time::Time;

/// What outlives the watchdog, in the state directory.
pub const RECORD_FILE: &str = "incidents.json";
/// What was heard, for `latimer-watchdog simulate`, in the state directory.
pub const SIGNALS_FILE: &str = "signals.jsonl";
/// Between two tries to write the record, while it changes.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);
/// Of the signals that come every second and are fine, one in so many is recorded.
const ROUTINE_SAMPLE_RATE: u64 = 30;

/// Reads the settings anew; `Err` says why the newer ones cannot be used.
pub type ReadSettings = Box<dyn Fn() -> Result<Settings, String> + Send>;

/// Where a decider finds its settings and rules.
pub struct Sources {
    /// Reads the `[watchdog]` part of the configuration.
    pub settings: ReadSettings,
    /// The rules file; it need not be there.
    pub rules: Option<PathBuf>,
}

/// What decides, with what it remembers.
pub struct Decider {
    state: State,
    sources: Sources,
    rules: RulesInUse,
    record_path: PathBuf,
    saved: u64,
    last_try: Option<Time>,
    recording: RotatingLog,
    routine_count: u64,
}

impl Decider {
    /// A decider that remembers what the state directory holds. A record that is broken is set aside, and said so.
    pub fn new(settings: Settings, sources: Sources, state_dir: &Path, now: Time) -> Self {
        let record_path = state_dir.join(RECORD_FILE);
        let loaded = record::load(&record_path, now);
        if let Some(problem) = &loaded.problem {
            tracing::warn!(event = "incidents.not_read", said = %problem);
        }
        let mut rules = RulesInUse::default();
        take_up(&mut rules, sources.rules.as_deref());
        let state = State::new(settings, rules.rules.clone(), loaded.record);
        Self {
            saved: state.record().changes(),
            state,
            sources,
            rules,
            record_path,
            last_try: None,
            recording: RotatingLog::open(state_dir.join(SIGNALS_FILE)),
            routine_count: 0,
        }
    }

    /// What is to be done now.
    pub fn hear(&mut self, signal: Signal, now: Time) -> Vec<Order> {
        if signal == Signal::ConfigChanged {
            self.reread();
        }
        self.record_signal(&signal, now);
        let orders = decide(&mut self.state, signal, now);
        if self.last_try.is_none_or(|last_try| now.since(last_try) >= SAVE_INTERVAL) {
            self.save(now);
        }
        orders
    }

    /// Whether an alert offers something under this number now.
    pub fn is_offered(&self, id: ActionId) -> bool {
        self.state.is_offered(id)
    }

    /// After this time it wants to be told of the time.
    pub fn wake_in(&self) -> Option<Duration> {
        self.state.wake_in()
    }

    /// Writes down what changed and must not be lost.
    pub fn save(&mut self, now: Time) {
        let changes = self.state.record().changes();
        if changes == self.saved {
            return;
        }
        self.last_try = Some(now);
        match self.state.record().save(&self.record_path) {
            Ok(()) => self.saved = changes,
            Err(error) => tracing::warn!(event = "incidents.not_written", error = %error),
        }
    }

    /// Everything that is known, for a person or a program.
    pub fn export(&self, now: Time) -> Value {
        let mut value = serde_json::to_value(self.state.export(now)).unwrap_or_default();
        let refused: Vec<String> = self.rules.refused.iter().map(ToString::to_string).collect();
        value["rules_refused"] = json!(refused);
        value
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        self.state.settings()
    }

    /// The model that may be asked, as the proxy knows it.
    pub fn diagnosing_model(&self) -> Option<String> {
        let diagnosis = &self.state.settings().diagnosis;
        let endpoint = diagnosis.endpoint.as_ref()?;
        Some(diagnosis.model.as_ref().map_or_else(|| endpoint.clone(), |model| format!("{endpoint}/{model}")))
    }

    /// Takes up changed settings and rules; what cannot be used is said, and what was in use stays.
    fn reread(&mut self) {
        match (self.sources.settings)() {
            Ok(settings) => self.state.set_settings(settings),
            Err(why) => tracing::warn!(event = "settings.refused", why = %why),
        }
        if take_up(&mut self.rules, self.sources.rules.as_deref()) {
            self.state.set_rules(self.rules.rules.clone());
        }
    }

    /// Records what was heard. Of a quiet day only a sample is kept, so that the night before is still there.
    fn record_signal(&mut self, signal: &Signal, now: Time) {
        if is_routine(signal) {
            self.routine_count += 1;
            if self.routine_count % ROUTINE_SAMPLE_RATE != 1 {
                return;
            }
        }
        if let Some(line) = (RecordedSignal { at: now, signal: signal.clone() }).line() {
            self.recording.line(&line);
        }
    }
}

fn is_routine(signal: &Signal) -> bool {
    match signal {
        Signal::Health(_) | Signal::ProbeOk(_) | Signal::ClientMemory(_) => true,
        Signal::Proxy(event) => event.fault.is_none() && event.failure.is_none() && event.cause.is_none(),
        _ => false,
    }
}

/// True when the rules in use are those of the file, or of no file.
fn take_up(rules: &mut RulesInUse, path: Option<&Path>) -> bool {
    // A file that is not there means the table as it is.
    let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let taken = rules.take_up(&text);
    if !taken {
        let why: Vec<String> = rules.refused.iter().map(ToString::to_string).collect();
        tracing::warn!(event = "rules.refused", why = %why.join("; "));
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{HealthReading, PersonRequest, ProxyExit};

    fn decider(dir: &Path) -> Decider {
        let sources =
            Sources { settings: Box::new(|| Ok(Settings::default())), rules: Some(dir.join("rules.toml")) };
        Decider::new(Settings::default(), sources, dir, Time::from_secs(1000))
    }

    #[test]
    fn what_was_seen_survives_and_a_broken_file_is_set_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut first = decider(dir.path());
        first.hear(Signal::Person(PersonRequest::Start), Time::from_secs(1000));
        first.hear(
            Signal::Health(HealthReading { pid: 7, ..HealthReading::default() }),
            Time::from_secs(1001),
        );
        let exit = ProxyExit { pid: 7, signal: Some(9), ..ProxyExit::default() };
        first.hear(Signal::ProxyExited(exit), Time::from_secs(1002));
        first.save(Time::from_secs(1003));
        let incidents = decider(dir.path()).export(Time::from_secs(1004))["incidents"].clone();
        assert_eq!(incidents.as_array().map(Vec::len), Some(1), "{incidents}");
        std::fs::write(dir.path().join(RECORD_FILE), "\0").expect("written");
        let afresh = decider(dir.path()).export(Time::from_secs(1004));
        assert_eq!(afresh["incidents"], json!([]));
        let aside = dir.path().join("incidents.json.corrupt-1000");
        assert_eq!(std::fs::read(aside).expect("kept"), b"\0");
    }

    #[test]
    fn a_broken_rules_file_changes_nothing_and_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut decider = decider(dir.path());
        std::fs::write(dir.path().join("rules.toml"), "[[rule]]\nfault = \"A1\"\nthreshold = \"many\"\n")
            .expect("written");
        decider.hear(Signal::ConfigChanged, Time::from_secs(1001));
        let export = decider.export(Time::from_secs(1001));
        assert!(
            !export["rules_refused"].as_array().expect("a list").is_empty(),
            "{}",
            export["rules_refused"]
        );
        assert_eq!(
            export["rules"].as_array().map(Vec::len),
            Some(crate::rules::Rules::default().rows().len())
        );
    }

    #[test]
    fn a_quiet_day_is_recorded_as_a_sample() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut decider = decider(dir.path());
        for second in 0..90 {
            decider.hear(Signal::Health(HealthReading::default()), Time::from_secs(1000 + second));
        }
        let text = std::fs::read_to_string(dir.path().join(SIGNALS_FILE)).expect("recorded");
        assert_eq!(text.lines().count(), 3);
    }
}
