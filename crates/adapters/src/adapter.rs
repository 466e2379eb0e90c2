//! The closed set of upstream protocols, and the one match over it.

use latimer_protocol::failure::Failure;
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::TurnRequest;

use crate::chat::{self, Chat};
use crate::drive::TurnStream;

/// One configured upstream. The set is known at compile time: the compiler lists what a new protocol needs.
pub enum Adapter {
    /// OpenAI Chat Completions.
    Chat(Chat),
}

/// A turn in the upstream's words, ready to be sent as often as needed.
#[derive(Clone)]
pub enum Prepared {
    /// For [`Adapter::Chat`].
    Chat(chat::Prepared),
}

impl Prepared {
    /// How many bytes go to the upstream.
    pub fn body_len(&self) -> usize {
        match self {
            Self::Chat(prepared) => prepared.body_len(),
        }
    }

    /// The same turn, after the model said one thing and was answered another.
    pub fn with_exchange(&self, said: &str, answer: &str) -> Option<Self> {
        match self {
            Self::Chat(prepared) => prepared.with_exchange(said, answer).map(Self::Chat),
        }
    }

    /// Lowered or dropped things a log should show.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Chat(prepared) => &prepared.notes,
        }
    }
}

impl Adapter {
    /// Translates the turn once, for all attempts. CPU work only.
    pub fn prepare(&self, turn: &TurnRequest) -> Prepared {
        match self {
            Self::Chat(chat) => Prepared::Chat(chat.prepare(turn)),
        }
    }

    /// Sends the turn with this key. Returns once the upstream accepted it; its events are still to come.
    /// Dropping the stream, or this future, stops the upstream's work.
    pub async fn open(&self, prepared: &Prepared, key: Option<&Secret>) -> Result<TurnStream, Failure> {
        match (self, prepared) {
            (Self::Chat(chat), Prepared::Chat(prepared)) => chat.open(prepared, key).await,
        }
    }
}
