//! What a Chat Completions client gets: the chunks of the [`Writer`], or a provider's own, which pass through `PassthroughWriter`.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, TurnEvent};

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
        if self.pass.has_shown() { self.pass.out() } else { self.writer.out() }
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        if self.pass.has_shown() { self.pass.take() } else { self.writer.take() }
    }

    /// Throws the bytes away: the client wants one object at the end.
    pub fn discard(&mut self) {
        self.writer.discard();
    }

    /// True once the terminal event was written.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished() || self.pass.is_finished()
    }

    /// Why the answer ended, where its writer ended it well.
    pub fn finish_reason(&self) -> Option<&'static str> {
        self.writer.finish_reason()
    }

    /// How the answer failed where only its writer could know, as with a call that came out broken.
    pub fn failure(&self) -> Option<&Failure> {
        self.writer.failure()
    }

    /// The time, in Unix seconds.
    pub fn set_now(&mut self, now: u64) {
        self.writer.set_now(now);
    }

    /// Keeps the client waiting, with a comment: it begins nothing, whatever is expected.
    pub fn keep_alive(&mut self) {
        if self.pass.has_shown() { self.pass.keep_alive() } else { self.writer.keep_alive() }
    }

    /// Ends the answer with a failure.
    pub fn fail(&mut self, failure: &Failure) {
        if self.pass.has_shown() { self.pass.fail(failure) } else { self.writer.fail(failure) }
    }

    /// The completion as one JSON object; for a client that did not ask for a stream. Nothing passes through to such a client.
    pub fn into_object(self) -> Vec<u8> {
        self.writer.into_object()
    }
}

impl EventSink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Frame(frame) => self.pass.frame(&frame),
            TurnEvent::ReasoningState(opaque) if self.pass.has_begun() => self.pass.state(&opaque),
            TurnEvent::Usage(usage) => {
                self.pass.usage(usage);
                self.writer.event(TurnEvent::Usage(usage));
            }
            TurnEvent::Finished(reason) if self.pass.has_shown() => self.pass.finish(&reason),
            // Whether chunks will pass is not known yet. The writer begins by itself with the first thing it has to say.
            TurnEvent::Started => self.pass.again(),
            event => self.writer.event(event),
        }
    }
}
