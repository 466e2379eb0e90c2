//! Holds back a failure while nothing was shown, so that the client never learns of an attempt that is made again.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, PassthroughFrame, TurnEvent, Usage};

/// Said where a filter refused an answer before a word of it, without an explanation: an empty answer would be taken for a success, or
/// asked for again.
const FILTERED: &str = "The provider's filter refused to answer this, without saying why.";

/// The tokens of a turn that may take several answers, and whether it has said anything.
#[derive(Debug, Default)]
pub(super) struct UsageSum {
    /// Words or a call were handed out.
    has_words: bool,
    /// Of the answers before this one.
    before: Usage,
    /// Of those and of this one, once it said so.
    total: Option<Usage>,
}

impl UsageSum {
    /// The answer is gone on with in another one, whose tokens are added.
    pub(super) fn next_answer(&mut self) {
        self.before = self.total.take().unwrap_or(self.before);
    }

    /// The answer counts for nothing: it is asked for again.
    pub(super) fn forget_answer(&mut self) {
        self.total = None;
        self.has_words = false;
    }

    fn add(&mut self, usage: Usage) -> Usage {
        *self.total.insert(self.before.plus(usage))
    }
}

/// Stands between an answer and the client's writer.
pub(super) struct Gate<'s> {
    sink: &'s mut dyn EventSink,
    usage: &'s mut UsageSum,
    pub(super) seen: Seen,
}

/// What passed a gate, and what it held back.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Something semantic passed: the client has seen something of the answer.
    pub(super) is_shown: bool,
    /// The client's writer has begun.
    pub(super) is_started: bool,
    /// The failure that was held back.
    pub(super) failure: Option<Failure>,
    /// How the answer ended, where that was handed out.
    pub(super) finish: Option<FinishReason>,
}

impl<'s> Gate<'s> {
    /// Before the client saw anything: a failure is held back.
    pub(super) fn holding(sink: &'s mut dyn EventSink, usage: &'s mut UsageSum) -> Self {
        Self { sink, usage, seen: Seen::default() }
    }

    /// After the client saw something: everything passes.
    pub(super) fn open(sink: &'s mut dyn EventSink, usage: &'s mut UsageSum) -> Self {
        Self { sink, usage, seen: Seen { is_shown: true, ..Seen::default() } }
    }
}

impl EventSink for Gate<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        let seen = &mut self.seen;
        seen.is_shown |= event.is_semantic();
        match event {
            TurnEvent::Finished(FinishReason::Failed(failure)) if !seen.is_shown => {
                seen.failure = Some(failure);
            }
            TurnEvent::Finished(reason) => {
                if reason == FinishReason::ContentFilter && !self.usage.has_words {
                    seen.is_shown = true;
                    self.sink.event(TurnEvent::Refusal(FILTERED));
                }
                seen.finish = Some(reason.clone());
                self.sink.event(TurnEvent::Finished(reason));
            }
            TurnEvent::Usage(usage) => self.sink.event(TurnEvent::Usage(self.usage.add(usage))),
            TurnEvent::Started => {
                seen.is_started = true;
                self.sink.event(TurnEvent::Started);
            }
            event @ (TurnEvent::Text(_)
            | TurnEvent::Refusal(_)
            | TurnEvent::CallStarted { .. }
            | TurnEvent::Frame(PassthroughFrame { semantic: true, .. })) => {
                self.usage.has_words = true;
                self.sink.event(event);
            }
            event => self.sink.event(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::failure::FailureKind;
    use latimer_protocol::turn::RecordedEvents;

    use super::*;

    fn broken() -> TurnEvent<'static> {
        TurnEvent::Finished(FinishReason::Failed(Failure::new(FailureKind::Interrupted, "broken")))
    }

    #[test]
    fn a_failure_is_held_back_until_something_was_shown() {
        let (mut sink, mut usage) = (RecordedEvents::default(), UsageSum::default());
        let mut gate = Gate::holding(&mut sink, &mut usage);
        gate.event(TurnEvent::Started);
        gate.event(broken());
        assert!(gate.seen.is_started && !gate.seen.is_shown && gate.seen.failure.is_some());
        let mut gate = Gate::holding(&mut sink, &mut usage);
        gate.event(TurnEvent::Text("a"));
        gate.event(broken());
        assert!(gate.seen.is_shown && gate.seen.failure.is_none() && gate.seen.finish.is_some());
        let mut gate = Gate::open(&mut sink, &mut usage);
        gate.event(broken());
        assert!(gate.seen.failure.is_none());
        let failed = "finished failed interrupted \"broken\"";
        assert_eq!(sink.lines, ["started", "text \"a\"", failed, failed]);
    }

    #[test]
    fn an_answer_that_a_filter_refused_before_a_word_says_so() {
        let filtered = || TurnEvent::Finished(FinishReason::ContentFilter);
        let (mut sink, mut usage) = (RecordedEvents::default(), UsageSum::default());
        let mut gate = Gate::holding(&mut sink, &mut usage);
        gate.event(TurnEvent::Reasoning("hm"));
        gate.event(filtered());
        assert!(gate.seen.is_shown && gate.seen.failure.is_none());
        let mut usage = UsageSum::default();
        Gate::holding(&mut sink, &mut usage).event(TurnEvent::Refusal("Not this."));
        Gate::open(&mut sink, &mut usage).event(filtered());
        let told = format!("refusal {FILTERED:?}");
        let want = [
            "reasoning \"hm\"",
            &told,
            "finished content_filter",
            "refusal \"Not this.\"",
            "finished content_filter",
        ];
        assert_eq!(sink.lines, want);
    }

    #[test]
    fn tokens_of_answers_that_go_on_are_added_and_later_counts_replace_earlier_ones() {
        let tokens = |output| Usage { output: Some(output), ..Usage::default() };
        let (mut sink, mut usage) = (RecordedEvents::default(), UsageSum::default());
        for count in [3, 5] {
            Gate::open(&mut sink, &mut usage).event(TurnEvent::Usage(tokens(count)));
        }
        usage.next_answer();
        Gate::open(&mut sink, &mut usage).event(TurnEvent::Usage(tokens(1)));
        usage.forget_answer();
        usage.next_answer();
        Gate::open(&mut sink, &mut usage).event(TurnEvent::Usage(tokens(2)));
        assert_eq!(sink.lines, ["usage out=3", "usage out=5", "usage out=6", "usage out=7"]);
    }
}
