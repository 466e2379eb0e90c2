//! What a Responses client gets: the events of the [`Writer`], or an upstream's own, which pass through `PassthroughWriter`.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent};

use super::pass::PassthroughWriter;
use super::stream::Writer;

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The name of the response.
    pub id: String,
    /// Its items, JSON joined by commas.
    pub output: Vec<u8>,
    /// The whole response, a JSON object.
    pub response: Vec<u8>,
}

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
        let pass = PassthroughWriter::new(writer.begin_with());
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
        if self.pass.has_shown() {
            self.pass.fail(failure);
        } else {
            self.pass.give_up();
            self.writer.fail(failure);
        }
    }

    /// What is kept of the answer; once it is over and well.
    pub fn kept(&self) -> Option<StoredResponse> {
        if self.pass.has_shown() { self.pass.kept() } else { self.writer.kept() }
    }

    /// The response as one JSON object; for a client that did not ask for a stream.
    pub fn into_object(self) -> Vec<u8> {
        if self.pass.has_shown() { self.pass.into_object() } else { self.writer.into_object() }
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

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::PassthroughFrame;

    use super::*;
    use crate::inbound::responses::object::Echo;
    use crate::inbound::responses::stream::WriterSeed;
    use crate::inbound::wire::tool_map::ToolMap;

    fn answer() -> Answer {
        let begin = WriterSeed { stream: true, ..WriterSeed::default() };
        Answer::new(Writer::new(begin, &Echo::default(), ToolMap::default()))
    }

    fn frame(answer: &mut Answer, kind: &str, data: &str, semantic: bool) {
        answer.event(TurnEvent::Frame(PassthroughFrame { kind, data, semantic, state_of: None }));
    }

    #[test]
    fn there_is_one_beginning_however_slowly_it_comes() {
        let mut answer = answer();
        answer.event(TurnEvent::Started);
        frame(&mut answer, "response.created", r#"{"response":{"id":"resp_up"}}"#, false);
        assert!(answer.take().is_empty(), "nothing is shown before something is said");
        frame(&mut answer, "response.output_text.delta", "{}", true);
        let out = String::from_utf8(answer.take()).expect("text");
        assert_eq!(out.matches("response.created").count(), 1, "{out}");
    }

    #[test]
    fn another_attempt_may_be_translated() {
        let mut answer = answer();
        answer.event(TurnEvent::Started);
        frame(&mut answer, "response.created", r#"{"response":{"id":"resp_up"}}"#, false);
        answer.event(TurnEvent::Started);
        answer.event(TurnEvent::Text("hi"));
        answer.event(TurnEvent::Finished(FinishReason::Stop));
        let out = String::from_utf8(answer.take()).expect("text");
        assert!(out.contains("\"hi\"") && !out.contains("resp_up"), "{out}");
        assert_eq!(latimer_protocol::responses::legality::check(out.as_bytes()), Vec::<String>::new());
    }
}
