//! Messages: words that one agent, person or program leaves for another.

use serde::{Deserialize, Serialize};

use super::names::{MAX_NAME, words};

/// The longest message, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The most unread messages of one recipient.
pub const MAX_UNREAD: u64 = 10_000;

words! {
    /// Where a message stands. It only goes forward.
    MessageState {
        /// Nobody has it.
        Unread = "unread",
        /// Its taker has it.
        Delivered = "delivered",
        /// Its taker says that it was read.
        Read = "read",
    }
}

/// A message that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// Who sends it.
    pub from: String,
    /// For whom it is: a profile, or any name under which somebody takes.
    pub to: String,
    /// The words.
    pub body: String,
}

/// A message as it is kept. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentMessage {
    /// Its number; later ones are higher.
    pub id: u64,
    /// Who sent it.
    pub from: String,
    /// For whom it is.
    pub to: String,
    /// The words.
    pub body: String,
    /// Where it stands.
    pub state: MessageState,
    /// The run that it was given to.
    pub run: Option<String>,
    /// When it was sent.
    pub at: u64,
    /// When it was taken.
    pub delivered: Option<u64>,
}

/// Whether this may name a sender or a recipient: letters, digits, `.`, `_`, `-`, `:`, `@`, at most 64.
pub fn is_correspondent(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'@');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_fine)
}
