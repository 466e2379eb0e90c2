//! What an answer's thoughts hold that was meant for the answer.
//!
//! Some models never end their thoughts: the call stands in them, and nothing follows. While an answer may still follow, thoughts are
//! thoughts: from the first call in them on they wait, and go on to the client as they came once the answer begins. When the answer
//! ends without having begun, the calls are made and only their markup is left out.

use latimer_protocol::turn::{EventSink, TurnEvent};
use toolcall_parser::{Call, Event, ProblemKind};

use super::follow_up::Suspected;

/// The most of the thoughts, in bytes, that waits for the answer to begin.
const MAX_WAITING: usize = 256 << 10;
/// Tags that stand around thoughts in a text.
const TAGS: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// The thoughts of one answer.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    /// There are any.
    begun: bool,
    calls: Vec<Call>,
    /// Why the last thing that looked like a call is none.
    problem: Option<ProblemKind>,
    /// What has come since the first call, as it came.
    whole: String,
    /// The same without the markup of calls.
    plain: String,
}

impl Thoughts {
    /// Takes in what the parser makes of the thoughts, and shows what need not wait.
    pub(super) fn event(&mut self, event: &Event<'_>, sink: &mut dyn EventSink) {
        let text = match event {
            Event::Text(text) | Event::Stray(text) | Event::Reasoning(text) => {
                self.begun |= !text.trim().is_empty();
                if self.calls.is_empty() {
                    return sink.event(TurnEvent::Reasoning(text));
                }
                self.plain.push_str(text);
                text
            }
            Event::Markup(text) => text,
            Event::Request { text, .. } => text,
            Event::CallEnded { call, text, .. } => {
                self.begun = true;
                self.calls.push((*call).clone());
                text
            }
            Event::Cut { problem, text } => {
                self.begun = true;
                self.problem = Some(problem.kind);
                text
            }
            Event::Problem(problem) => {
                self.problem = Some(problem.kind);
                return;
            }
            Event::CallStarted { .. } | Event::CallArguments { .. } | Event::CallRefused { .. } => return,
        };
        if self.calls.is_empty() {
            return sink.event(TurnEvent::Reasoning(text));
        }
        self.whole.push_str(text);
        if self.whole.len() > MAX_WAITING {
            self.release(sink);
        }
    }

    /// The answer begins, or the thoughts are signed: what waited is shown as it came.
    pub(super) fn release(&mut self, sink: &mut dyn EventSink) {
        self.plain.clear();
        if !self.whole.is_empty() {
            sink.event(TurnEvent::Reasoning(&std::mem::take(&mut self.whole)));
        }
    }

    /// The answer ended without having begun: its calls, behind what else waited.
    pub(super) fn take_calls(&mut self, sink: &mut dyn EventSink) -> Vec<Call> {
        let plain = std::mem::take(&mut self.plain);
        if self.calls.is_empty() {
            self.release(sink);
        } else if !plain.trim().is_empty() {
            sink.event(TurnEvent::Reasoning(&plain));
        }
        self.whole.clear();
        std::mem::take(&mut self.calls)
    }

    /// For the thoughts of the answer to the question that the client does not see.
    pub(super) fn asked_about(&self) -> Self {
        Self { begun: self.begun, ..Self::default() }
    }

    /// What the model is asked for when there is nothing but thoughts.
    pub(super) fn suspected(&self) -> Option<Suspected> {
        self.begun.then(|| self.problem.map_or(Suspected::Answer, Suspected::Call))
    }
}

/// What stands between the tags of a text that is nothing but thoughts. They need not be closed.
pub(super) fn inside(text: &str) -> Option<&str> {
    let text = text.trim();
    TAGS.iter().find_map(|(open, close)| {
        let inside = text.strip_prefix(open)?;
        match inside.split_once(close) {
            Some((inside, rest)) => rest.is_empty().then_some(inside),
            None => Some(inside),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn only_a_text_that_is_all_thoughts_is_thoughts() {
        assert_eq!(inside("<think>a\nb</think>\n"), Some("a\nb"));
        assert_eq!(inside("\n<thinking>a"), Some("a"));
        for text in ["", "a", "a<think>b</think>", "<think>a</think>b", "<think>a</think><think>b</think>c"] {
            assert_eq!(inside(text), None, "{text}");
        }
    }
}
