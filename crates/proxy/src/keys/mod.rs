//! Keys for people: who may ask for which models, how much, and what was used of it.
//!
//! A **client key** opens turns and the list of its models, and nothing else: it is another thing than the token of the state
//! directory, which is the owner's. [`secret`] says how a key is written and how it is kept, [`limits`] what it may use, [`scope`]
//! which models it may ask for, [`live`] counts, [`keyring`] knows all keys of this process and follows the store beside it.
//!
//! Where keys are kept is somebody else's affair: a [`KeyStore`]. A request asks no store: keys are at hand, and what was used is
//! exchanged with the store twice a second, so that several processes on one store count together and a revocation reaches all. Where
//! nodes share a store, they tell each other at once of what is limited, and ask each other near a limit ([`nodes`]).

mod bucket;
pub mod copy;
pub mod keyring;
pub mod limits;
pub mod live;
pub mod nodes;
pub mod over_limit;
pub mod period;
pub mod scope;
pub mod secret;

use std::io;

use self::limits::Limits;
use self::nodes::{Heard, KeyNow};
use self::period::{Amounts, LimitWindow};
use self::scope::ModelScope;
use self::secret::{KeyId, KeyProof};

/// The longest name of a key, in characters.
const MAX_NAME: usize = 64;

/// A key as it is kept. Nothing in it opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The part of the key that is no secret; stays through a rotation.
    pub id: KeyId,
    /// Whose it is, as the owner calls them. Of keys that are not revoked no two have the same.
    pub name: String,
    /// What the secret is compared with.
    pub proof: KeyProof,
    /// The models it may ask for.
    pub models: ModelScope,
    /// What it may use.
    pub limits: Limits,
    /// Since when there is it, in Unix seconds.
    pub created_at: u64,
    /// From when on it opens nothing, in Unix seconds.
    pub expires_at: Option<u64>,
    /// Since when its newest secret holds, in Unix seconds, where there was an older one.
    pub rotated_at: Option<u64>,
    /// Since when it is revoked, in Unix seconds.
    pub revoked_at: Option<u64>,
}

/// What was used in one window of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Whose it is.
    pub key: KeyId,
    /// The time.
    pub window: LimitWindow,
    /// How much.
    pub amounts: Amounts,
}

/// Why a store of keys did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// It cannot be read or written.
    #[error("the keys cannot be read or written: {0}")]
    Unavailable(String),
    /// Another key has the name.
    #[error(
        "there is a key named `{0}` already; take another name, or `latimer keys revoke {0}` or `latimer keys rotate {0}`"
    )]
    NameTaken(String),
    /// No key has the name.
    #[error("there is no key named `{0}`; `latimer keys list` shows all")]
    Unknown(String),
    /// The key was revoked before.
    #[error(
        "the key `{0}` is revoked, and cannot come back; `latimer keys create --name {0}` makes a new one"
    )]
    Revoked(String),
}

impl From<io::Error> for KeyStoreError {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Where keys are kept, and what was used of them by all processes. Its calls may block: they are made on a thread that may.
pub trait KeyStore: Send {
    /// Every key, revoked ones too; `None` while nothing has changed since the last call.
    ///
    /// # Errors
    /// The store cannot be read.
    fn changed(&mut self) -> Result<Option<Vec<KeyRecord>>, KeyStoreError>;

    /// Every key, revoked ones too, in the order in which they were made.
    ///
    /// # Errors
    /// The store cannot be read.
    fn all(&mut self) -> Result<Vec<KeyRecord>, KeyStoreError>;

    /// Adds what this process used, all of it or nothing, and answers what all processes used in the same windows.
    ///
    /// # Errors
    /// The store cannot be written; nothing was added.
    fn exchange(&mut self, used: &[KeyUse]) -> Result<Vec<KeyUse>, KeyStoreError>;

    /// The same for a store of many nodes, which also tell each other what holds now.
    ///
    /// # Errors
    /// As [`KeyStore::exchange`].
    fn exchange_with_nodes(&mut self, used: &[KeyUse], now: &[KeyNow]) -> Result<Heard, KeyStoreError> {
        debug_assert!(now.is_empty(), "nobody else is there to hear it");
        Ok(Heard { uses: self.exchange(used)?, ..Heard::default() })
    }

    /// What was used of a key in every window that is kept.
    ///
    /// # Errors
    /// The store cannot be read.
    fn used(&mut self, key: &KeyId) -> Result<Vec<KeyUse>, KeyStoreError>;

    /// Adds a key.
    ///
    /// # Errors
    /// The name is taken, or the store cannot be written.
    fn add(&mut self, record: &KeyRecord) -> Result<(), KeyStoreError>;

    /// Gives a key another secret; the old one opens nothing any more.
    ///
    /// # Errors
    /// There is no such key, it is revoked, or the store cannot be written.
    fn rotate(&mut self, name: &str, proof: &KeyProof, now_unix: u64) -> Result<KeyRecord, KeyStoreError>;

    /// Revokes a key for good.
    ///
    /// # Errors
    /// There is no such key, it is revoked already, or the store cannot be written.
    fn revoke(&mut self, name: &str, now_unix: u64) -> Result<KeyRecord, KeyStoreError>;
}

/// Whether a key may have this name: it stands in logs, in labels of metrics and on command lines.
pub fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(is_plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_plain_word() {
        for name in ["anna", "ci-2", "anna.b@example.org", "7"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-x", "a b", "a\"b", "a/b", "é", "a\n", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
