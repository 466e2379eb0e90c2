//! What a model is told of this set-up: findings, the configuration without its secrets, the last failures. Bounded, and nothing of a
//! conversation.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use latimer_protocol::secret::redact;
use latimer_protocol::status::TurnReport;
use latimer_proxy::config::Config;
use latimer_proxy::store::turn_rows::TurnQuery;
use serde_json::{Value, json};

use crate::clock;
use crate::config_file::masked_lines;
use crate::configuration::{PathArgs, read_text};
use crate::environment::home;
use crate::turn_source::TurnSource;

/// The most of the configuration that is told, in bytes.
const MAX_CONFIG_BYTES: usize = 32 << 10;
/// The most of the doctor's findings, in bytes.
const MAX_FINDINGS_BYTES: usize = 24 << 10;
/// The most failures.
const MAX_FAILURES: usize = 10;
/// The most of one reason, in characters.
const MAX_REASON_CHARS: usize = 300;
/// How long the doctor may take.
const DOCTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether it is done.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What is known.
pub(super) struct Facts {
    /// For the model.
    pub(super) document: Value,
    /// The endpoints of the file; empty where it cannot be used.
    pub(super) endpoints: Vec<String>,
}

impl Facts {
    /// Looks at everything. What cannot be looked at is said as such.
    ///
    /// # Errors
    /// There is no place for a configuration.
    pub(super) fn gather(paths: &PathArgs) -> anyhow::Result<Self> {
        let path = paths.config_target()?;
        let read = paths.configuration();
        let problems = read.as_ref().err().map(|error| told(&format!("{error:#}"), MAX_REASON_CHARS * 4));
        let config = read.as_ref().ok().map(|read| &read.loaded.config);
        let endpoints = config.map_or_else(Vec::new, |config| {
            config.endpoints.iter().chain(&config.disabled).map(|known| known.name.to_string()).collect()
        });
        let document = json!({
            "latimer": env!("CARGO_PKG_VERSION"),
            "doctor": doctor(paths),
            "problems": problems,
            "endpoints": config.map(states),
            "configuration": config_text(&path),
            "last_failures": failures(paths),
        });
        Ok(Self { document, endpoints })
    }
}

/// What each endpoint lacks.
fn states(config: &Config) -> Value {
    let state = |endpoint: &latimer_proxy::config::Endpoint| {
        json!({
            "name": endpoint.name.as_str(),
            "protocol": endpoint.protocol.name(),
            "enabled": endpoint.is_enabled,
            "has_key": !endpoint.keys.is_empty(),
            "missing": endpoint.missing_keys.iter().map(|missing| told(missing, MAX_REASON_CHARS)).collect::<Vec<_>>(),
            "login": endpoint.login.map(latimer_proxy::config::Login::name),
        })
    };
    config.endpoints.iter().chain(&config.disabled).map(state).collect()
}

/// The file with stars in the place of its secrets, also of those that only look like some.
fn config_text(path: &Path) -> Value {
    match read_text(path) {
        Ok(text) => {
            let lines: Vec<String> = masked_lines(&text).iter().map(|line| redact(line)).collect();
            Value::from(without_home(cut(&lines.join("\n"), MAX_CONFIG_BYTES).to_owned()))
        }
        Err(_) => Value::Null,
    }
}

/// The last turns that failed, without anything of their conversations.
fn failures(paths: &PathArgs) -> Value {
    let wanted = TurnQuery { limit: MAX_FAILURES, errors: true, ..TurnQuery::default() };
    let Ok(source) = TurnSource::find(paths) else { return Value::Null };
    let Ok(page) = source.page(&wanted) else { return Value::Null };
    let turns = page.data.into_iter().take(MAX_FAILURES);
    // A page has a line of each; its attempts are asked for.
    turns.map(|turn| failure(&source.turn(&turn.id).ok().flatten().unwrap_or(turn))).collect()
}

fn failure(turn: &TurnReport) -> Value {
    json!({
        "client": told(&turn.client, MAX_REASON_CHARS),
        "asked": told(&turn.asked, MAX_REASON_CHARS),
        "answered": told(&format!("{}/{}", turn.endpoint, turn.model), MAX_REASON_CHARS),
        "finish": turn.finish,
        "failure": turn.failure.as_ref().and_then(|failure| serde_json::to_value(failure).ok()).map(clean),
        "attempts": turn.attempts.len(),
        "notes": turn.notes.iter().take(8).filter_map(|note| serde_json::to_value(note).ok()).map(clean).collect::<Vec<_>>(),
    })
}

/// A document whose texts hold no secret and are short.
fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::from(told(&text, MAX_REASON_CHARS)),
        Value::Array(items) => items.into_iter().take(32).map(clean).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, clean(value))).collect(),
        other => other,
    }
}

/// What `latimer doctor` finds; nothing where there is no such command, or where it takes too long.
fn doctor(paths: &PathArgs) -> Value {
    let Ok(program) = std::env::current_exe() else { return Value::Null };
    let mut command = Command::new(program);
    command.args(["doctor", "--json"]).args(paths.flags());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return Value::Null };
    let Some(stdout) = child.stdout.take() else { return Value::Null };
    // A thread of its own: a child that fills the pipe would never end.
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(MAX_FINDINGS_BYTES as u64).read_to_end(&mut bytes);
        bytes
    });
    let began_at = clock::now();
    while matches!(child.try_wait(), Ok(None)) {
        if began_at.elapsed() > DOCTOR_TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let bytes = reader.join().unwrap_or_default();
    serde_json::from_slice(&bytes).map_or(Value::Null, clean)
}

/// A text without secrets and without the person's name in its paths, cut.
fn told(text: &str, max_chars: usize) -> String {
    without_home(redact(text)).chars().take(max_chars).collect()
}

fn without_home(text: String) -> String {
    let home = home().map(|home| home.to_string_lossy().into_owned());
    match home.filter(|home| home.len() > 1) {
        Some(home) => text.replace(&home, "~"),
        None => text,
    }
}

/// The first bytes of a text, whole characters.
fn cut(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_hold_no_secret() {
        assert_eq!((cut("añb", 2), cut("añb", 3), cut("a", 9)), ("a", "añ", "a"));
        let said =
            clean(json!({ "message": "Bearer sk-numbat0123456789abcdef", "list": ["x".repeat(1000)] }));
        assert!(!said.to_string().contains("numbat"), "{said}");
        assert_eq!(said["list"][0].as_str().map(str::len), Some(MAX_REASON_CHARS));
    }
}
