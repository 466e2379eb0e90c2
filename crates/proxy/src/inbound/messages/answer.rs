//! What a Messages client gets: the events of the [`Writer`], or an upstream's own, which pass through `PassthroughWriter`.
//!
//! An upstream's own events only come for a request that wants a stream: one object is always made by the writer.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent};

use super::pass::PassthroughWriter;
use super::stream::Writer;

/// The answer to one request.
///
/// Invariant: once anything of either kind was written, nothing of the other kind is.
pub struct Answer {
    writer: Writer,
    pass: PassthroughWriter,
}

impl Answer {
    /// An answer by this writer, unless frames come.
    pub fn new(writer: Writer) -> Self {
        let pass = writer.pass();
        Self { writer, pass }
    }

    /// Bytes that are ready for the client.
    pub fn out(&self) -> &[u8] {
        if self.pass.has_any() { self.pass.out() } else { self.writer.out() }
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        if self.pass.has_any() { self.pass.take() } else { self.writer.take() }
    }

    /// Throws the bytes away: the client wants one object at the end.
    pub fn discard(&mut self) {
        self.writer.discard();
        self.pass.discard();
    }

    /// True once the terminal event was written.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished() || self.pass.is_finished()
    }

    /// The time, in Unix seconds. A message holds none; other protocols' answers do.
    pub fn set_now(&mut self, now: u64) {
        self.writer.set_now(now);
    }

    /// Keeps the client waiting. `frames` says that the upstream's own events are expected: then nothing may be begun.
    pub fn keep_alive(&mut self, frames: bool) {
        if frames || self.pass.begun() { self.pass.keep_alive() } else { self.writer.keep_alive() }
    }

    /// Ends the answer with a failure.
    pub fn fail(&mut self, failure: &Failure) {
        if self.pass.has_shown() {
            self.pass.fail(failure);
        } else {
            self.pass.give_up();
            self.writer.fail(failure);
        }
    }

    /// Why the message failed, if the writer had to end it so: a client that wants one object then gets a status instead.
    pub fn failure(&self) -> Option<&Failure> {
        self.writer.failure()
    }

    /// The message as one JSON object; for a client that did not ask for a stream.
    pub fn into_object(self) -> Vec<u8> {
        self.writer.into_object()
    }
}

impl EventSink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Frame(frame) => self.pass.frame(&frame),
            TurnEvent::Finished(reason) if self.pass.has_shown() => match reason {
                FinishReason::Failed(failure) => self.pass.fail(&failure),
                _ => self.pass.finish(),
            },
            // The tap counts along, and its frames say it themselves: the writer must not begin for it.
            TurnEvent::Usage(_) if self.pass.has_any() => {}
            event => {
                // Another attempt, or an end before anything was shown: what was held back is nobody's any more.
                if matches!(event, TurnEvent::Started | TurnEvent::Finished(_)) {
                    self.pass.give_up();
                }
                self.writer.event(event);
            }
        }
    }
}
