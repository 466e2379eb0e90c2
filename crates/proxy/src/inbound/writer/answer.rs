//! The answer to one turn: a writer of the client's protocol and, where an upstream may speak the same one, a pass-through beside it.

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, TurnEvent};

use super::passthrough::{KEEP_ALIVE_COMMENT, Passthrough};
use super::{ClientWriter, StoredResponse};
use crate::inbound::wire::rope::Rope;

/// What a client gets.
///
/// Invariant: once an event of either kind was written, none of the other kind is.
pub struct Answer {
    writer: Box<dyn ClientWriter>,
    passthrough: Option<Box<dyn Passthrough>>,
}

impl Answer {
    /// An answer by this writer.
    pub fn new(writer: impl ClientWriter + 'static) -> Self {
        Self { writer: Box::new(writer), passthrough: None }
    }

    /// An answer by this writer, unless an upstream's own events come.
    pub fn with_passthrough(
        writer: impl ClientWriter + 'static,
        passthrough: impl Passthrough + 'static,
    ) -> Self {
        Self { writer: Box::new(writer), passthrough: Some(Box::new(passthrough)) }
    }

    /// Bytes that are ready for the client, behind the pieces of large events.
    pub fn out(&self) -> &[u8] {
        match &self.passthrough {
            Some(passthrough) if passthrough.frames().is_active() => &passthrough.frames().out,
            _ => self.writer.out(),
        }
    }

    /// Whether pieces of large events are ready. Before the client took them there is no reason to make more.
    pub fn has_pieces(&self) -> bool {
        self.writer.pieces_before_out() > 0
    }

    /// Whether anything is ready.
    pub fn has_out(&self) -> bool {
        self.has_pieces() || !self.out().is_empty()
    }

    /// Takes the first piece that is ready; `None` once there is nothing.
    pub fn pop(&mut self) -> Option<Bytes> {
        match &mut self.passthrough {
            Some(passthrough) if passthrough.frames().is_active() => {
                let out = std::mem::take(&mut passthrough.frames_mut().out);
                (!out.is_empty()).then(|| out.into())
            }
            _ => self.writer.pop(),
        }
    }

    /// Empties what [`Answer::out`] shows, and keeps its room: somebody has a copy.
    pub fn clear_out(&mut self) {
        match &mut self.passthrough {
            Some(passthrough) if passthrough.frames().is_active() => passthrough.frames_mut().out.clear(),
            _ => self.writer.out_mut().clear(),
        }
    }

    /// Takes the bytes that are ready, in one buffer.
    pub fn take(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.pop()).flatten().collect()
    }

    /// Throws the bytes away: the client wants one object at the end.
    pub fn discard(&mut self) {
        self.writer.discard();
        if let Some(passthrough) = &mut self.passthrough {
            passthrough.frames_mut().out.clear();
        }
    }

    /// True once the terminal event was written.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished()
            || self.passthrough.as_ref().is_some_and(|passthrough| passthrough.frames().is_finished())
    }

    /// The time in Unix seconds, told before the answer ends.
    pub fn set_time(&mut self, now: u64) {
        self.writer.set_time(now);
    }

    /// Keeps the client waiting. `expects_frames` says that the upstream's own events are expected: then nothing may be begun, and
    /// before their first one a comment has to do.
    pub fn keep_alive(&mut self, expects_frames: bool) {
        match &mut self.passthrough {
            Some(passthrough) if passthrough.frames().is_shown() => passthrough.keep_alive(),
            Some(passthrough) if expects_frames || passthrough.frames().has_begun() => {
                passthrough.frames_mut().out.extend_from_slice(KEEP_ALIVE_COMMENT);
            }
            _ => self.writer.keep_alive(),
        }
    }

    /// Tells the person that the turn waits. The writer begins: an upstream's own events would come too late from then on.
    pub fn say_wait(&mut self, words: &str) {
        self.leave_to_writer();
        self.writer.say_wait(words);
    }

    /// Ends the answer with a failure.
    pub fn fail(&mut self, failure: &Failure) {
        match &mut self.passthrough {
            Some(passthrough) if passthrough.frames().is_shown() => passthrough.fail(failure),
            _ => {
                self.leave_to_writer();
                self.writer.fail(failure);
            }
        }
    }

    /// How the answer failed where only its writer could know, as with a call that came out broken.
    pub fn failure(&self) -> Option<&Failure> {
        self.writer.failure()
    }

    /// What is stored of the answer, to be continued by a later request; once it has ended well.
    pub fn stored(&self) -> Option<StoredResponse> {
        match self.shown() {
            Some(passthrough) => passthrough.stored(),
            None => self.writer.stored(),
        }
    }

    /// The answer as one JSON object, for a client that did not ask for a stream. Valid once, after the end.
    pub fn take_object(&mut self) -> Rope {
        match self.shown().and_then(Passthrough::object) {
            Some(object) => object.into(),
            None => self.writer.take_object_pieces(),
        }
    }

    /// The pass-through, once the client has seen something of it.
    fn shown(&self) -> Option<&dyn Passthrough> {
        self.passthrough.as_deref().filter(|passthrough| passthrough.frames().is_shown())
    }

    /// Nothing was shown of an upstream's own events: what follows is the writer's, behind a comment that may be waiting.
    fn leave_to_writer(&mut self) {
        if let Some(passthrough) = &mut self.passthrough {
            passthrough.forget();
            let comments = std::mem::take(&mut passthrough.frames_mut().out);
            // Inside of a large event there is no place for one.
            if !comments.is_empty() && self.writer.pieces_before_out() == 0 {
                self.writer.out_mut().splice(0..0, comments);
            }
        }
    }
}

impl EventSink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        let Some(passthrough) = &mut self.passthrough else { return self.writer.event(event) };
        match event {
            TurnEvent::Frame(frame) => passthrough.frame(&frame),
            TurnEvent::Finished(reason) if passthrough.frames().is_shown() => passthrough.finish(&reason),
            event => {
                let is_absorbed = passthrough.absorb(&event);
                match event {
                    TurnEvent::Started => passthrough.forget(),
                    TurnEvent::Finished(_) => self.leave_to_writer(),
                    _ => {}
                }
                if !is_absorbed {
                    self.writer.event(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::failure::FailureKind;
    use latimer_protocol::turn::{FinishReason, PassthroughFrame};

    use super::super::passthrough::FrameBuffer;
    use super::*;

    /// Writes the event's line.
    #[derive(Default)]
    struct Lines(Vec<u8>);

    impl EventSink for Lines {
        fn event(&mut self, event: TurnEvent<'_>) {
            self.0.extend_from_slice(format!("{event}\n").as_bytes());
        }
    }

    impl ClientWriter for Lines {
        fn out(&self) -> &[u8] {
            &self.0
        }

        fn out_mut(&mut self) -> &mut Vec<u8> {
            &mut self.0
        }

        fn is_finished(&self) -> bool {
            self.0.ends_with(b"failed\n")
        }

        fn keep_alive(&mut self) {
            self.0.extend_from_slice(b"ping\n");
        }

        fn write_failure(&mut self, _: &Failure) {
            self.0.extend_from_slice(b"failed\n");
        }

        fn take_object(&mut self) -> Vec<u8> {
            b"{}".to_vec()
        }
    }

    #[derive(Default)]
    struct Frames(FrameBuffer);

    impl Passthrough for Frames {
        fn frames(&self) -> &FrameBuffer {
            &self.0
        }

        fn frames_mut(&mut self) -> &mut FrameBuffer {
            &mut self.0
        }

        fn frame(&mut self, frame: &PassthroughFrame<'_>) {
            if frame.semantic {
                self.0.show();
            }
            self.0.push_data(frame.data);
        }

        fn finish(&mut self, _: &FinishReason) {
            self.0.finish();
        }

        fn fail(&mut self, _: &Failure) {
            self.0.finish();
        }

        fn keep_alive(&mut self) {
            self.0.push_data("ping");
        }
    }

    fn frame(answer: &mut Answer, data: &str, semantic: bool) {
        answer.event(TurnEvent::Frame(PassthroughFrame { kind: "k", data, semantic, state_of: None }));
    }

    fn taken(answer: &mut Answer) -> String {
        String::from_utf8(answer.take()).expect("text")
    }

    #[test]
    fn the_writer_is_silent_while_events_are_held_back() {
        let mut answer = Answer::with_passthrough(Lines::default(), Frames::default());
        answer.event(TurnEvent::Started);
        frame(&mut answer, "1", false);
        answer.keep_alive(true);
        assert_eq!(taken(&mut answer), ": keep-alive\n\n");
        frame(&mut answer, "2", true);
        answer.keep_alive(true);
        assert_eq!(taken(&mut answer), "data: 1\n\ndata: 2\n\ndata: ping\n\n");
        answer.event(TurnEvent::Finished(FinishReason::Stop));
        assert!(answer.is_finished() && taken(&mut answer).is_empty());
    }

    #[test]
    fn an_attempt_that_showed_nothing_leaves_the_answer_to_the_writer() {
        let mut answer = Answer::with_passthrough(Lines::default(), Frames::default());
        frame(&mut answer, "1", false);
        answer.event(TurnEvent::Started);
        answer.event(TurnEvent::Text("a"));
        answer.keep_alive(false);
        assert_eq!(taken(&mut answer), "started\ntext \"a\"\nping\n");
        assert_eq!(answer.take_object().into_vec(), b"{}");
    }

    #[test]
    fn a_failure_behind_a_comment_is_not_lost() {
        let mut answer = Answer::with_passthrough(Lines::default(), Frames::default());
        answer.keep_alive(true);
        answer.fail(&Failure::new(FailureKind::Timeout, "silence"));
        assert!(answer.is_finished());
        assert_eq!(taken(&mut answer), ": keep-alive\n\nfailed\n");
    }

    #[test]
    fn without_a_pass_through_everything_is_the_writers() {
        let mut answer = Answer::new(Lines::default());
        answer.keep_alive(true);
        frame(&mut answer, "1", true);
        assert_eq!(taken(&mut answer), "ping\nframe k 1\n");
        answer.event(TurnEvent::Text("a"));
        answer.discard();
        assert!(answer.out().is_empty() && answer.failure().is_none() && answer.stored().is_none());
    }
}
