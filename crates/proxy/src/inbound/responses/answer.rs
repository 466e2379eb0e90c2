//! What a Responses client gets: the events of the [`Writer`], or an upstream's own, which pass through `Pass`.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{FinishReason, Sink, TurnEvent};

use super::pass::Pass;
use super::stream::Writer;

/// The answer to one request.
///
/// Invariant: once anything of either kind was written, nothing of the other kind is.
pub struct Answer {
    writer: Writer,
    pass: Pass,
}

impl Answer {
    /// An answer by this writer, unless frames come.
    pub fn new(writer: Writer) -> Self {
        let pass = Pass::new(writer.begin_with());
        Self { writer, pass }
    }

    /// Bytes that are ready for the client.
    pub fn out(&self) -> &[u8] {
        if self.pass.begun() { self.pass.out() } else { self.writer.out() }
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        if self.pass.begun() { self.pass.take() } else { self.writer.take() }
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

    /// The time for `completed_at`, in Unix seconds.
    pub fn set_now(&mut self, now: u64) {
        self.writer.set_now(now);
    }

    /// Keeps the client waiting. `frames` says that the upstream's own events are expected: then nothing may be begun.
    pub fn keep_alive(&mut self, frames: bool) {
        if frames || self.pass.begun() { self.pass.keep_alive() } else { self.writer.keep_alive() }
    }

    /// Ends the answer with a failure.
    pub fn fail(&mut self, failure: &Failure) {
        if self.pass.has_shown() { self.pass.fail(failure) } else { self.writer.fail(failure) }
    }

    /// The response's id and its items, JSON joined by commas; once it is over and well.
    pub fn kept(&self) -> Option<(String, Vec<u8>)> {
        if self.pass.has_shown() {
            return self.pass.kept();
        }
        self.writer.kept().map(|(id, items)| (id, items.to_vec()))
    }

    /// The response as one JSON object; for a client that did not ask for a stream.
    pub fn into_object(self) -> Vec<u8> {
        if self.pass.has_shown() { self.pass.into_object() } else { self.writer.into_object() }
    }
}

impl Sink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Frame(frame) => self.pass.frame(&frame),
            TurnEvent::Finished(reason) if self.pass.has_shown() => match reason {
                FinishReason::Failed(failure) => self.pass.fail(&failure),
                _ => self.pass.finish(),
            },
            event => self.writer.event(event),
        }
    }
}
