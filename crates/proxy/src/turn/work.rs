//! What answers a turn: attempts on the endpoints, or a summary made of several questions.

use std::task::{Context, Poll};

use latimer_protocol::turn::EventSink;

use crate::compactor::Compactor;
use crate::inbound::messages::purpose::play;
use crate::route::attempt::{Attempts, Progress};

/// The source of a turn's events.
pub(super) enum Work {
    /// The turn itself.
    Turn(Box<Attempts>),
    /// A summary of its history.
    Compaction(Box<Compactor>),
    /// An answer that needs no model; until it was handed out.
    Known(Option<String>),
}

impl Work {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn EventSink) -> Poll<Progress> {
        match self {
            Self::Turn(attempts) => attempts.poll(cx, sink),
            Self::Compaction(compactor) => compactor.poll(cx, sink),
            Self::Known(answer) => {
                play(&answer.take().unwrap_or_default(), sink);
                Poll::Ready(Progress::Ended)
            }
        }
    }

    /// The attempts under way, where a model is asked.
    pub(super) fn attempts(&self) -> Option<&Attempts> {
        match self {
            Self::Turn(attempts) => Some(attempts),
            Self::Compaction(compactor) => Some(compactor.attempts()),
            Self::Known(_) => None,
        }
    }

    /// Whether the answer is expected to be the upstream's own frames.
    pub(super) fn passes(&self) -> bool {
        self.attempts().is_some_and(Attempts::passes)
    }

    /// The client's writer has begun: from now on answers are translated.
    pub(super) fn writer_started(&mut self) {
        if let Self::Turn(attempts) = self {
            attempts.writer_started();
        }
    }
}
