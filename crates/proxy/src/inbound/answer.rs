//! The answer to a turn in the client's protocol: one of the writers, behind one face.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, TurnEvent};

use super::{chat, gemini, messages, responses};

/// What a client gets.
pub enum Answer {
    /// A Responses client.
    Responses(Box<responses::answer::Answer>),
    /// A Chat Completions client.
    Chat(Box<chat::answer::Answer>),
    /// A Messages client.
    Messages(Box<messages::answer::Answer>),
    /// A Gemini client.
    Gemini(Box<gemini::stream::Writer>),
}

/// The same call on whichever it is.
macro_rules! each {
    ($answer:expr, $writer:ident => $call:expr) => {
        match $answer {
            Answer::Responses($writer) => $call,
            Answer::Chat($writer) => $call,
            Answer::Messages($writer) => $call,
            Answer::Gemini($writer) => $call,
        }
    };
}

impl Answer {
    /// Bytes that are ready for the client.
    pub fn out(&self) -> &[u8] {
        each!(self, writer => writer.out())
    }

    /// Takes the bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        each!(self, writer => writer.take())
    }

    /// Throws the bytes away: the client wants one object at the end.
    pub fn discard(&mut self) {
        each!(self, writer => writer.discard());
    }

    /// True once the terminal event was written.
    pub fn is_finished(&self) -> bool {
        each!(self, writer => writer.is_finished())
    }

    /// The time, in Unix seconds.
    pub fn set_now(&mut self, now: u64) {
        each!(self, writer => writer.set_now(now));
    }

    /// Keeps the client waiting. `frames` says that the upstream's own events are expected: then nothing may be begun.
    pub fn keep_alive(&mut self, frames: bool) {
        match self {
            Self::Responses(writer) => writer.keep_alive(frames),
            Self::Messages(writer) => writer.keep_alive(frames),
            Self::Chat(writer) => writer.keep_alive(),
            Self::Gemini(writer) => writer.keep_alive(),
        }
    }

    /// Ends the answer with a failure.
    pub fn fail(&mut self, failure: &Failure) {
        each!(self, writer => writer.fail(failure));
    }

    /// How the answer failed where only its writer could know, as with a call that came out broken.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Chat(writer) => writer.failure(),
            Self::Messages(writer) => writer.failure(),
            Self::Responses(_) | Self::Gemini(_) => None,
        }
    }

    /// What is kept of the answer, to be gone on with; once it is over and well.
    pub fn kept(&self) -> Option<responses::answer::StoredResponse> {
        if let Self::Responses(writer) = self { writer.kept() } else { None }
    }

    /// The answer as one JSON object; for a client that did not ask for a stream.
    pub fn into_object(self) -> Vec<u8> {
        each!(self, writer => writer.into_object())
    }
}

impl EventSink for Answer {
    fn event(&mut self, event: TurnEvent<'_>) {
        each!(self, writer => writer.event(event));
    }
}
