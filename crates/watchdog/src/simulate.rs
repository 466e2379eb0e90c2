//! Plays a recorded night again: what would have been done, when and why. A changed rule can be tried on last week's log.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Order};
use crate::decide::{State, decide};
use crate::signal::{Outcome, Signal};
use crate::time::Time;

/// Between two recorded signals, time is let pass in steps of this length.
const MAX_REPLAY_STEP: Duration = Duration::from_secs(60);
/// Never more steps than these between two signals: a gap in a log may be a year.
const MAX_STEPS: u32 = 24 * 60;
/// An order may lead to others at once; never more than this many rounds.
const MAX_ROUNDS: usize = 16;

/// One line of a recording: a signal and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedSignal {
    /// When it was sensed.
    pub at: Time,
    /// What was sensed.
    #[serde(flatten)]
    pub signal: Signal,
}

impl RecordedSignal {
    /// The line, without its end. A tick is not worth one: time passes by itself in a replay.
    pub fn line(&self) -> Option<String> {
        if self.signal == Signal::Tick {
            return None;
        }
        serde_json::to_string(self).ok()
    }
}

/// One order of a replay, and what led to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayedOrder {
    /// When.
    pub at: Time,
    /// The line of the recording, counted from 1; none when only time passed.
    pub line: Option<usize>,
    /// The signal of that line.
    pub signal: Option<&'static str>,
    /// What was ordered, as it would have been given.
    pub order: Order,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// Why not.
    pub error: String,
}

/// What a replay came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Signals that were read.
    pub signals: usize,
    /// Orders, in order.
    pub did: Vec<ReplayedOrder>,
    /// Lines that were left out.
    pub bad: Vec<BadLine>,
}

impl Replay {
    /// How often each action was ordered.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for did in &self.did {
            *counts.entry(did.order.action.name()).or_default() += 1;
        }
        counts
    }
}

impl fmt::Display for Replay {
    /// One line for each order, then a summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for did in &self.did {
            writeln!(f, "{did}")?;
        }
        for bad in &self.bad {
            writeln!(f, "line {} was left out: {}", bad.line, bad.error)?;
        }
        let counts: Vec<_> = self.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
        write!(f, "{} signals, {} orders: {}", self.signals, self.did.len(), counts.join(", "))
    }
}

impl fmt::Display for ReplayedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Order { id, fault, by, why, action } = &self.order;
        write!(f, "{} ", self.at)?;
        match (self.line, self.signal) {
            (Some(line), Some(signal)) => write!(f, "{line:>4} {signal}")?,
            _ => write!(f, "   . time")?,
        }
        let fault = fault.map(|fault| format!("{fault} ")).unwrap_or_default();
        write!(f, " -> {id} {fault}{} {}", by.name(), action.name())?;
        match action {
            Action::Announce { id, at, action } => write!(f, " {id} at {at}: {}", action.name())?,
            Action::Alert(alert) => {
                return write!(f, " {:?}: {} | run: {}", alert.level, alert.what, alert.run);
            }
            Action::Start { safe_mode: true } | Action::Restart { safe_mode: true, .. } => {
                write!(f, " in safe mode")?;
            }
            Action::Wait { for_ms, .. } => write!(f, " {for_ms} ms")?,
            _ => {}
        }
        write!(f, " | {why}")
    }
}

/// Plays a recording: JSON lines of [`RecordedSignal`]. Empty lines and lines that begin with `#` are comments; a line that cannot be
/// read is left out and said so.
///
/// Every order is taken as carried out at once. What was recorded of outcomes is left out: they answer the orders of that
/// night, not of this one. An answer of a model answers the question that is open now.
pub fn replay(text: &str, state: &mut State) -> Replay {
    let mut replay = Replay::default();
    let mut last: Option<Time> = None;
    let mut question = None;
    for (number, line) in text.lines().enumerate().map(|(place, line)| (place + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let recorded: RecordedSignal = match serde_json::from_str(line) {
            Ok(recorded) => recorded,
            Err(error) => {
                replay.bad.push(BadLine { line: number, error: error.to_string() });
                continue;
            }
        };
        replay.signals += 1;
        let RecordedSignal { at, mut signal } = recorded;
        if let Some(last) = last {
            pass(state, last, at, &mut question, &mut replay);
        }
        last = Some(at);
        match &mut signal {
            Signal::Outcome(_) => continue,
            Signal::Diagnosis(diagnosis) => diagnosis.id = question.unwrap_or(diagnosis.id),
            _ => {}
        }
        feed(state, signal, at, Some(number), &mut question, &mut replay);
    }
    // What was on its way at the end is let come out.
    if let Some(last) = last {
        pass(state, last, last.plus(MAX_REPLAY_STEP), &mut question, &mut replay);
    }
    replay
}

type OpenQuestion = Option<crate::ids::ActionId>;

/// Lets the time pass between two signals.
fn pass(state: &mut State, from: Time, to: Time, question: &mut OpenQuestion, replay: &mut Replay) {
    let mut at = from;
    for _ in 0..MAX_STEPS {
        let wait =
            state.wake_in().unwrap_or(MAX_REPLAY_STEP).min(MAX_REPLAY_STEP).max(Duration::from_millis(1));
        at = at.plus(wait);
        if at >= to {
            return;
        }
        feed(state, Signal::Tick, at, None, question, replay);
    }
}

fn feed(
    state: &mut State,
    signal: Signal,
    at: Time,
    line: Option<usize>,
    question: &mut OpenQuestion,
    replay: &mut Replay,
) {
    let name = line.map(|_| signal.name());
    let mut orders = decide(state, signal, at);
    for _ in 0..MAX_ROUNDS {
        let mut next = Vec::new();
        for order in orders {
            if matches!(order.action, Action::Diagnose(_)) {
                *question = Some(order.id);
            }
            let done = Outcome { id: order.id, done: true, error: None };
            next.extend(decide(state, Signal::Outcome(done), at));
            replay.did.push(ReplayedOrder { at, line, signal: name, order });
        }
        if next.is_empty() {
            return;
        }
        orders = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::rules::Rules;
    use crate::settings::Settings;
    use crate::signal::{PersonRequest, ProxyExit};

    fn state() -> State {
        State::new(Settings::default(), Rules::default(), Record::default())
    }

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let signals = [
            Signal::Person(PersonRequest::Start),
            Signal::Tick,
            Signal::ProxyExited(ProxyExit { code: Some(1), ..ProxyExit::default() }),
        ];
        let lines: Vec<_> = signals
            .into_iter()
            .filter_map(|signal| RecordedSignal { at: Time::from_secs(1_700_000_000), signal }.line())
            .collect();
        assert_eq!(lines.len(), 2, "a tick is no line");
        let replay = replay(&lines.join("\n"), &mut state());
        assert_eq!((replay.signals, replay.bad.len()), (2, 0), "{replay}\n{lines:?}");
        assert_eq!(replay.counts().get("start"), Some(&2), "{replay}");
    }

    #[test]
    fn bad_lines_are_said_and_gaps_are_short() {
        let text = "# a comment\n\nno json\n{\"at\":1}\n{\"at\":1000,\"signal\":\"person\",\"said\":\"start\"}\n\
            {\"at\":99999999999999,\"signal\":\"proxy_exited\",\"code\":1}\n{\"at\":5,\"signal\":\"tick\"}\n";
        let replay = replay(text, &mut state());
        assert_eq!(replay.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(replay.signals, 3);
        assert!(replay.to_string().contains("line 3 was left out"));
    }
}
