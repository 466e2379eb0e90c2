//! The newest lines of this process's log, for whoever looks at the page. The log itself is written elsewhere; here it is only
//! remembered.

use std::collections::VecDeque;
use std::sync::Mutex;

use latimer_protocol::secret::redact_known;
use serde::Serialize;

use crate::clock;
use crate::sync::lock;
use crate::text;

/// Lines that are remembered.
const MAX_LINES: usize = 1000;
/// Lines that are shown at once.
const MAX_SHOWN: usize = 300;
/// Characters of a line.
const MAX_TEXT: usize = 600;

/// How grave a line is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What happens.
    Info,
    /// What happens, in detail.
    Debug,
}

impl Level {
    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        [("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)]
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, level)| level)
    }
}

/// What was logged at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How grave it is.
    pub level: Level,
    /// What it tells of, such as `turn.done`.
    pub event: String,
    /// Its fields.
    pub text: String,
}

/// The lines, the oldest first. Of the process: so is its log.
static LINES: Mutex<VecDeque<LogLine>> = Mutex::new(VecDeque::new());

/// Remembers a line, and forgets the oldest one of too many.
pub fn remember(level: Level, event: String, fields: &str) {
    let line = LogLine {
        at_ms: clock::unix_millis(),
        level,
        event,
        // What else must not be seen is taken out when somebody looks: hardly anybody does.
        text: redact_known(cut(fields)).into_owned(),
    };
    let mut lines = lock(&LINES);
    if lines.len() == MAX_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// As much of a line's fields as may be shown, whatever the length of its characters.
fn cut(fields: &str) -> &str {
    let end = (0..=fields.len().min(4 * MAX_TEXT)).rev().find(|at| fields.is_char_boundary(*at));
    fields.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The newest lines that are at least so grave, the newest first.
pub fn lines(level: Level) -> Vec<LogLine> {
    let mut lines: Vec<LogLine> =
        lock(&LINES).iter().rev().filter(|line| line.level <= level).take(MAX_SHOWN).cloned().collect();
    for line in &mut lines {
        line.text = text::shown(&line.text, MAX_TEXT);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lines_are_forgotten_and_light_ones_left_out() {
        for number in 0..MAX_LINES + 5 {
            remember(Level::Info, format!("e{number}"), "a=1\u{1b}[2J");
        }
        remember(Level::Warn, "grave".to_owned(), "");
        assert_eq!(lock(&LINES).len(), MAX_LINES);
        assert_eq!(lines(Level::Warn).iter().filter(|line| line.event == "grave").count(), 1);
        let newest = lines(Level::Debug);
        assert!(newest.len() == MAX_SHOWN && newest.iter().all(|line| !line.text.contains('\u{1b}')));
        assert_eq!((Level::from_name("warn"), Level::from_name("loud")), (Some(Level::Warn), None));
    }
}
