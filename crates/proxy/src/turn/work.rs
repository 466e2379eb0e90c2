//! What answers a turn: attempts on the endpoints, or a summary made of several questions.

use std::task::{Context, Poll};

use latimer_protocol::turn::Sink;

use crate::compactor::Compactor;
use crate::route::attempt::{Attempts, Progress};

/// The source of a turn's events.
pub(super) enum Work {
    /// The turn itself.
    Turn(Box<Attempts>),
    /// A summary of its history.
    Compaction(Box<Compactor>),
}

impl Work {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, sink: &mut dyn Sink) -> Poll<Progress> {
        match self {
            Self::Turn(attempts) => attempts.poll(cx, sink),
            Self::Compaction(compactor) => compactor.poll(cx, sink),
        }
    }

    /// The attempts under way.
    pub(super) fn attempts(&self) -> &Attempts {
        match self {
            Self::Turn(attempts) => attempts,
            Self::Compaction(compactor) => compactor.attempts(),
        }
    }

    /// The client's writer has begun: from now on answers are translated.
    pub(super) fn begun(&mut self) {
        if let Self::Turn(attempts) = self {
            attempts.begun();
        }
    }
}
