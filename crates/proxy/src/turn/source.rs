//! Where the events of a turn come from: attempts on the endpoints, a summary of the history, or a text of our own.

use std::task::{Context, Poll};

use latimer_protocol::turn::EventSink;

use crate::compactor::Compactor;
use crate::inbound::messages::request_kind::play;
use crate::route::attempt::{Attempts, Progress};

/// Produces the events of a turn.
pub(super) enum EventSource {
    /// A model answers.
    Attempts(Box<Attempts>),
    /// A model makes a summary of the history.
    Compactor(Box<Compactor>),
    /// A text that needs no model; `None` once it was handed out.
    Local(Option<String>),
    /// What a test makes happen.
    #[cfg(test)]
    Scripted(tests::Script),
}

impl EventSource {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<Progress> {
        match self {
            Self::Attempts(attempts) => attempts.poll(cx, sink),
            Self::Compactor(compactor) => compactor.poll(cx, sink),
            Self::Local(answer) => {
                play(&answer.take().unwrap_or_default(), sink);
                Poll::Ready(Progress::Ended)
            }
            #[cfg(test)]
            Self::Scripted(script) => script(cx, sink),
        }
    }

    /// The attempts under way, where a model is asked.
    pub(super) fn attempts(&self) -> Option<&Attempts> {
        match self {
            Self::Attempts(attempts) => Some(attempts),
            Self::Compactor(compactor) => Some(compactor.attempts()),
            Self::Local(_) => None,
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }

    /// Whether the answer is expected to be the upstream's own frames.
    pub(super) fn passes(&self) -> bool {
        self.attempts().is_some_and(Attempts::is_passthrough)
    }

    /// The client's writer begins to tell of a wait, if it still may.
    pub(super) fn begin_writer_for_wait(&mut self) -> bool {
        let Self::Attempts(attempts) = self else { return false };
        let may = attempts.lets_writer_begin();
        if may {
            attempts.writer_started();
        }
        may
    }

    /// The client's writer has begun a stream of its own: from now on answers are translated, and no frame is passed on.
    pub(super) fn writer_started(&mut self) {
        if let Self::Attempts(attempts) = self {
            attempts.writer_started();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::task::Waker;

    use latimer_protocol::turn::TurnEvent;

    use super::*;

    /// Stands for an upstream: what each poll hands to the sink, and what comes of it.
    pub(in crate::turn) type Script =
        Box<dyn FnMut(&mut Context<'_>, &mut dyn EventSink) -> Poll<Progress> + Send>;

    /// Collects text, and counts ends.
    #[derive(Default)]
    struct Heard(String, usize);

    impl EventSink for Heard {
        fn event(&mut self, event: TurnEvent<'_>) {
            match event {
                TurnEvent::Text(text) => self.0.push_str(text),
                TurnEvent::Finished(_) => self.1 += 1,
                _ => {}
            }
        }
    }

    #[test]
    fn a_text_of_our_own_is_the_whole_answer() {
        let mut source = EventSource::Local(Some("{\"isNewTopic\":false}".to_owned()));
        let mut heard = Heard::default();
        let progress = source.poll(&mut Context::from_waker(Waker::noop()), &mut heard);
        assert!(matches!(progress, Poll::Ready(Progress::Ended)));
        assert_eq!((heard.0.as_str(), heard.1), ("{\"isNewTopic\":false}", 1));
        assert!(!source.passes() && source.attempts().is_none(), "no model is asked");
    }
}
