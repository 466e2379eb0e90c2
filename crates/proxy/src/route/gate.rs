//! Holds back a failure while nothing was shown, so that the client never learns of an attempt that is made again.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent, Usage};

/// Stands between an answer and the client's writer.
pub(super) struct Gate<'s> {
    sink: &'s mut dyn EventSink,
    /// Something semantic passed.
    pub(super) shown: bool,
    /// The client's writer has begun.
    pub(super) writer_started: bool,
    /// The failure that was held back.
    pub(super) failure: Option<Failure>,
    /// How the answer ended, when that was handed out.
    pub(super) end: Option<FinishReason>,
    /// What the answers before this one used, and what they used together with this one.
    spent: Usage,
    pub(super) used: Option<Usage>,
}

impl<'s> Gate<'s> {
    pub(super) fn new(sink: &'s mut dyn EventSink, shown: bool, spent: Usage, used: Option<Usage>) -> Self {
        Self { sink, shown, writer_started: false, failure: None, end: None, spent, used }
    }
}

impl EventSink for Gate<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        self.shown |= event.is_semantic();
        match event {
            TurnEvent::Finished(FinishReason::Failed(failure)) if !self.shown => self.failure = Some(failure),
            TurnEvent::Finished(reason) => {
                self.end = Some(reason.clone());
                self.sink.event(TurnEvent::Finished(reason));
            }
            TurnEvent::Usage(usage) => {
                let usage = self.spent.plus(usage);
                self.used = Some(usage);
                self.sink.event(TurnEvent::Usage(usage));
            }
            TurnEvent::Started => {
                self.writer_started = true;
                self.sink.event(TurnEvent::Started);
            }
            event => self.sink.event(event),
        }
    }
}
