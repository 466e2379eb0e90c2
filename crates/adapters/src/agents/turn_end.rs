//! How a turn of an agent ends, whatever its program: by what its reader has read, else by how its lines ended. Pure.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, StreamNote, TurnEvent};
use serde::Deserialize;

use crate::reader::{BodyEnd, Progress};

/// What every reader of an agent knows of the end of its turn.
#[derive(Debug, Default)]
pub(crate) struct TurnEnding {
    /// How it ended, once it has.
    pub(crate) finish: Option<FinishReason>,
    /// The agent did something on this machine: the turn may not be tried anywhere else.
    pub(crate) has_acted: bool,
    /// Why it has failed, where nothing else is said about its end.
    pub(crate) failure: Option<Failure>,
}

impl TurnEnding {
    /// The line, while the turn is not over; one that cannot be read is noted.
    pub(crate) fn line<'l, L: Deserialize<'l>>(&self, data: &'l [u8], sink: &mut dyn EventSink) -> Option<L> {
        if self.finish.is_some() {
            return None;
        }
        let line = serde_json::from_slice(data);
        if line.is_err() {
            sink.event(TurnEvent::Note(StreamNote::UnreadableLine.into()));
        }
        line.ok()
    }

    /// The one end of the turn. `expected` is what its lines should have been: `one of Claude Code`.
    pub(crate) fn emit(self, progress: &Progress, end: BodyEnd, expected: &str, sink: &mut dyn EventSink) {
        let reason = match (self.finish, end) {
            (Some(reason), _) => reason,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => {
                FinishReason::Failed(self.failure.unwrap_or_else(|| progress.interrupted(expected)))
            }
        };
        sink.event(TurnEvent::Finished(match reason {
            FinishReason::Failed(failure) if self.has_acted => FinishReason::Failed(failure.not_again()),
            reason => reason,
        }));
    }
}
