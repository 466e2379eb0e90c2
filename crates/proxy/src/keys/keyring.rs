//! All keys of this process: found without a store, counted here, and kept together with the store by a thread of their own.

mod ask;
mod ring;
mod thread;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use self::ask::Ask;
use self::ring::Ring;
use self::thread::KeyringThread;
use super::live::{First, LiveUse, OverLimit};
use super::nodes::{Counting, Reach};
use super::period::Amounts;
use super::secret::PresentedKey;
use super::{KeyRecord, KeyStore, KeyStoreError};
use crate::clock::Clocks;

/// How often [`Keyring::exchange`] is to be called.
pub const EXCHANGE_INTERVAL: Duration = Duration::from_millis(500);
/// The longest that a request with an unknown key waits for the store: the key may be a moment old.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that a turn waits for the word of other nodes: longer than a near database needs, and too short to be noticed.
const ANSWER_WAIT: Duration = Duration::from_millis(15);
/// How often a turn that would be over a limit asks, where the end of another one may be on its way.
const ADMISSION_TRIES: u32 = 4;
/// The longest wait for the last exchange when the process stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// What may be asked of the thread at once.
const MAX_ASKS: usize = 64;

/// A key, and what is used of it.
#[derive(Debug)]
pub struct ClientKey {
    /// As it is kept.
    pub record: KeyRecord,
    /// What is used of it in this process; the same through every change of the record.
    pub live: Arc<LiveUse>,
}

/// Why a key opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyProblem {
    /// There is no such key, or it has another secret by now.
    Unknown,
    /// It was revoked. The name it had.
    Revoked(String),
    /// Its time is over. The name it has.
    Expired(String),
    /// Nobody knows: the store could not be read yet.
    Unreadable,
}

/// What the credentials of a request are, as far as client keys go.
#[derive(Debug, Clone)]
pub enum KeyLookup {
    /// No client key.
    Nothing,
    /// One that opens.
    Key(Arc<ClientKey>),
    /// One that does not.
    Refused(KeyProblem),
}

/// One turn of a key; counted as open until it is dropped.
pub struct KeyTurn {
    key: Arc<ClientKey>,
    used: Amounts,
    ring: Arc<Ring>,
}

impl KeyTurn {
    /// Whose turn it is.
    pub fn key(&self) -> &Arc<ClientKey> {
        &self.key
    }

    /// What the turn used is known now.
    pub fn spend(&mut self, tokens: u64, micro_usd: u64) {
        self.used = Amounts { requests: 0, tokens, micro_usd };
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        let limits = &self.key.record.limits;
        self.key.live.end(limits, self.ring.clocks().unix, self.used);
        self.ring.tell_of_end(limits);
    }
}

/// Opens the store; called again after it failed.
pub type OpenStore = Box<dyn FnMut() -> Result<Box<dyn KeyStore>, KeyStoreError> + Send>;

/// All keys.
pub struct Keyring {
    ring: Arc<Ring>,
    /// `None` where there is no store.
    asks: Option<SyncSender<Ask>>,
}

impl Keyring {
    /// The keys of a store; without one there are none.
    pub fn new(store: Option<OpenStore>) -> Self {
        Self::start(store, None)
    }

    /// The keys of a store that this node shares with others.
    pub fn shared(store: OpenStore) -> Self {
        Self::shared_waiting(store, ANSWER_WAIT)
    }

    /// The same where a turn waits so long for the word of other nodes at most.
    pub(crate) fn shared_waiting(store: OpenStore, wait: Duration) -> Self {
        Self::start(Some(store), Some(wait))
    }

    fn start(store: Option<OpenStore>, wait: Option<Duration>) -> Self {
        let (asks, asked) = sync_channel(MAX_ASKS);
        let ring = Arc::new(Ring::new(wait, asks.clone()));
        let started = store.and_then(|open| {
            let thread = KeyringThread::new(Arc::clone(&ring), open);
            let spawned =
                std::thread::Builder::new().name("keys".to_owned()).spawn(move || thread.work(&asked));
            spawned.inspect_err(|error| tracing::warn!(event = "keys.unavailable", error = %error)).ok()
        });
        Self { ring, asks: started.map(|_| asks) }
    }

    /// What these credentials are. A key that is not known is looked for in the store, for a moment.
    pub async fn find(&self, credentials: impl Iterator<Item = &str>) -> KeyLookup {
        let mut credentials = credentials;
        let Some(presented) = credentials.find_map(PresentedKey::read) else { return KeyLookup::Nothing };
        let id = presented.id();
        let mut key = self.ring.key(&id).filter(|key| presented.is(&key.record.proof));
        if key.is_none() {
            self.look().await;
            key = self.ring.key(&id).filter(|key| presented.is(&key.record.proof));
        }
        let Some(key) = key else {
            let is_read = self.asks.is_none() || self.ring.is_read();
            return KeyLookup::Refused(if is_read { KeyProblem::Unknown } else { KeyProblem::Unreadable });
        };
        match problem(&key.record, self.ring.clocks().unix) {
            Some(problem) => KeyLookup::Refused(problem),
            None => KeyLookup::Key(key),
        }
    }

    /// Begins a turn of a key, as the key is by now: a connection may be older than its revocation.
    ///
    /// # Errors
    /// The key opens nothing any more, or it would be over a limit.
    pub async fn admit(&self, key: &ClientKey) -> Result<KeyTurn, Denied> {
        let at = self.ring.clocks();
        let key = self.ring.key(&key.record.id).ok_or(Denied::Key(KeyProblem::Unknown))?;
        if let Some(problem) = problem(&key.record, at.unix) {
            return Err(Denied::Key(problem));
        }
        let admitted = match self.ring.reach() {
            Reach::Alone => key.live.begin(&key.record.limits, at),
            reach => self.admit_with_nodes(&key, at, reach).await,
        };
        admitted.map_err(|over| Denied::Limit(key.record.name.clone(), over))?;
        Ok(KeyTurn { key, used: Amounts::default(), ring: Arc::clone(&self.ring) })
    }

    /// The same where other nodes count too. They are waited for near a limit only, and never for long.
    ///
    /// # Errors
    /// The limit it would be over.
    async fn admit_with_nodes(&self, key: &ClientKey, at: Clocks, reach: Reach) -> Result<(), OverLimit> {
        let limits = &key.record.limits;
        let mut tries = 1;
        loop {
            let over = match key.live.first(limits, at, reach) {
                First::Begun => {
                    self.ring.tell_of(limits);
                    return Ok(());
                }
                First::Over(over) => over,
                First::Wants(question) => match self.ask_nodes(key, question).await {
                    Ok(()) => return Ok(()),
                    Err(over) => over,
                },
            };
            // A client that sends its next turn to another node may be faster than the word that the one before has ended.
            if !over.may_end_soon() || tries == ADMISSION_TRIES || !matches!(reach, Reach::All(_)) {
                return Err(over);
            }
            tries += 1;
            tokio::time::sleep(ANSWER_WAIT).await;
        }
    }

    /// Asks the other nodes whether a turn that wants to begin may.
    ///
    /// # Errors
    /// The limit it would be over.
    async fn ask_nodes(&self, key: &ClientKey, question: u64) -> Result<(), OverLimit> {
        let wanting = Wanting { key, ring: &self.ring, is_decided: false };
        self.ring.ask(Ask::Claim);
        if tokio::time::timeout(self.ring.wait(), key.live.answered(question)).await.is_err() {
            self.ring.found(false, None);
        }
        wanting.decide()
    }

    /// How limits are counted; `None` where there are no other nodes.
    pub fn counting(&self) -> Option<Counting> {
        self.ring.counting()
    }

    /// Has changes looked for at once. Never waits.
    pub fn look_soon(&self) -> impl Fn() + Send + Sync + 'static {
        let ring = Arc::clone(&self.ring);
        move || ring.ask(Ask::Changed)
    }

    /// Every key that is not revoked, in the order of their names.
    pub fn active(&self) -> Vec<Arc<ClientKey>> {
        let keys = self.ring.keys();
        let mut keys: Vec<_> = keys.values().filter(|key| key.record.revoked_at.is_none()).cloned().collect();
        keys.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        keys
    }

    /// Takes up changed keys, and exchanges what was used with the store.
    ///
    /// # Errors
    /// The store cannot be used: a sentence. Keys that are known go on.
    pub async fn exchange(&self) -> Result<(), String> {
        let Some(asks) = &self.asks else { return Ok(()) };
        let (done, wait) = oneshot::channel();
        asks.try_send(Ask::Exchange(done)).map_err(|_| "too many wait for the store of keys".to_owned())?;
        wait.await.unwrap_or_else(|_| Err("the thread of the keys has ended".to_owned()))
    }

    /// Waits until the store has everything that was used, a moment at most.
    pub fn flush(&self) {
        let Some(asks) = &self.asks else { return };
        let (done, wait) = sync_channel(1);
        if asks.try_send(Ask::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIMEOUT);
        }
    }

    async fn look(&self) {
        let Some(asks) = &self.asks else { return };
        let (done, wait) = oneshot::channel();
        match asks.try_send(Ask::Look(done)) {
            Ok(()) => {
                let _ = tokio::time::timeout(LOOKUP_TIMEOUT, wait).await;
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// A turn that wants to begin; it does not when nobody waits for it any more.
struct Wanting<'k> {
    key: &'k ClientKey,
    ring: &'k Ring,
    is_decided: bool,
}

impl Wanting<'_> {
    fn decide(mut self) -> Result<(), OverLimit> {
        self.is_decided = true;
        let decided = self.key.live.decide(&self.key.record.limits, self.ring.clocks(), self.ring.reach());
        self.ring.tell_of(&self.key.record.limits);
        decided
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            self.key.live.withdraw();
            self.ring.tell_of(&self.key.record.limits);
        }
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.ring.end();
    }
}

/// Why no turn begins for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The key opens nothing.
    Key(KeyProblem),
    /// The key of this name would be over a limit.
    Limit(String, OverLimit),
}

fn problem(record: &KeyRecord, now_unix: u64) -> Option<KeyProblem> {
    if record.revoked_at.is_some() {
        return Some(KeyProblem::Revoked(record.name.clone()));
    }
    record.expires_at.filter(|at| *at <= now_unix).map(|_| KeyProblem::Expired(record.name.clone()))
}

#[cfg(test)]
mod tests;
