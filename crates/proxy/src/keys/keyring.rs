//! All keys of this process: found without a store, counted here, and kept together with the store by a thread of their own.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::live::{LiveUse, OverLimit};
use super::period::Amounts;
use super::secret::{KeyId, PresentedKey};
use super::{KeyRecord, KeyStore, KeyStoreError, KeyUse};
use crate::clock::{self, Clocks};
use crate::sync::{read, write};

/// How often [`Keyring::exchange`] is to be called.
pub const EXCHANGE_INTERVAL: Duration = Duration::from_millis(500);
/// The least time between two looks that requests with unknown keys bring about: guesses shall not wear the store out.
const LOOKUP_INTERVAL: Duration = Duration::from_millis(100);
/// The longest that a request with an unknown key waits for the store: the key may be a moment old.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest wait for the last exchange when the process stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests to look that may wait.
const MAX_LOOKUPS: usize = 64;

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

/// Decides whether a turn of a key may begin, and counts it then. What counts over several nodes at once takes its place.
pub trait Limiter: Send + Sync {
    /// Counts one more turn of the key.
    ///
    /// # Errors
    /// The limit it would be over.
    fn admit<'a>(&'a self, key: &'a ClientKey, at: Clocks) -> BoxFuture<'a, Result<(), OverLimit>>;
}

/// Counts in this process, with what the store says of the others.
struct LocalLimiter;

impl Limiter for LocalLimiter {
    fn admit<'a>(&'a self, key: &'a ClientKey, at: Clocks) -> BoxFuture<'a, Result<(), OverLimit>> {
        Box::pin(std::future::ready(key.live.begin(&key.record.limits, at)))
    }
}

/// One turn of a key; counted as open until it is dropped.
pub struct KeyTurn {
    key: Arc<ClientKey>,
    used: Amounts,
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
        self.key.live.end(&self.key.record.limits, clock::unix_now(), self.used);
    }
}

/// Opens the store; called again after it failed.
pub type OpenStore = Box<dyn FnMut() -> Result<Box<dyn KeyStore>, KeyStoreError> + Send>;

type Keys = HashMap<KeyId, Arc<ClientKey>>;

/// What is asked of the thread.
enum Ask {
    Look(oneshot::Sender<()>),
    /// An error is a sentence.
    Exchange(oneshot::Sender<Result<(), String>>),
    Flush(SyncSender<()>),
}

impl Ask {
    fn answer(self, exchanged: &Result<(), String>) {
        match self {
            Self::Look(done) => {
                let _ = done.send(());
            }
            Self::Exchange(done) => {
                let _ = done.send(exchanged.clone());
            }
            Self::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// All keys.
pub struct Keyring {
    keys: Arc<RwLock<Arc<Keys>>>,
    limiter: Box<dyn Limiter>,
    /// `None` where there is no store.
    asks: Option<SyncSender<Ask>>,
}

impl Keyring {
    /// The keys of a store; without one there are none.
    pub fn new(store: Option<OpenStore>) -> Self {
        let keys = Arc::<RwLock<Arc<Keys>>>::default();
        let asks = store.and_then(|open| {
            let (asks, asked) = sync_channel(MAX_LOOKUPS);
            let thread =
                KeyringThread { keys: Arc::clone(&keys), open, store: None, looked_at: None, said: false };
            let spawned =
                std::thread::Builder::new().name("keys".to_owned()).spawn(move || thread.work(&asked));
            spawned.inspect_err(|error| tracing::warn!(event = "keys.unavailable", error = %error)).ok()?;
            Some(asks)
        });
        Self { keys, limiter: Box::new(LocalLimiter), asks }
    }

    /// What these credentials are. A key that is not known is looked for in the store, for a moment.
    pub async fn find(&self, credentials: impl Iterator<Item = &str>) -> KeyLookup {
        let mut credentials = credentials;
        let Some(presented) = credentials.find_map(PresentedKey::read) else { return KeyLookup::Nothing };
        let id = presented.id();
        let mut key = self.key(&id).filter(|key| presented.is(&key.record.proof));
        if key.is_none() {
            self.look().await;
            key = self.key(&id).filter(|key| presented.is(&key.record.proof));
        }
        let Some(key) = key else { return KeyLookup::Refused(KeyProblem::Unknown) };
        match problem(&key.record, clock::unix_now()) {
            Some(problem) => KeyLookup::Refused(problem),
            None => KeyLookup::Key(key),
        }
    }

    /// Begins a turn of a key, as the key is by now: a connection may be older than its revocation.
    ///
    /// # Errors
    /// The key opens nothing any more, or it would be over a limit.
    pub async fn admit(&self, key: &ClientKey) -> Result<KeyTurn, Denied> {
        let at = Clocks::now();
        let key = self.key(&key.record.id).ok_or(Denied::Key(KeyProblem::Unknown))?;
        if let Some(problem) = problem(&key.record, at.unix) {
            return Err(Denied::Key(problem));
        }
        self.limiter.admit(&key, at).await.map_err(|over| Denied::Limit(key.record.name.clone(), over))?;
        Ok(KeyTurn { key, used: Amounts::default() })
    }

    /// Every key that is not revoked, in the order of their names.
    pub fn active(&self) -> Vec<Arc<ClientKey>> {
        let keys = Arc::clone(&read(&self.keys));
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

    fn key(&self, id: &KeyId) -> Option<Arc<ClientKey>> {
        read(&self.keys).get(id).cloned()
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

/// What the thread holds.
struct KeyringThread {
    keys: Arc<RwLock<Arc<Keys>>>,
    open: OpenStore,
    store: Option<Box<dyn KeyStore>>,
    looked_at: Option<Instant>,
    /// It was said that the store cannot be used.
    said: bool,
}

impl KeyringThread {
    fn work(mut self, asked: &Receiver<Ask>) {
        let _ = self.exchange();
        while let Ok(ask) = asked.recv() {
            if !matches!(ask, Ask::Look(_)) {
                let exchanged = self.exchange();
                ask.answer(&exchanged);
                continue;
            }
            let early = self.looked_at.map(|at| LOOKUP_INTERVAL.saturating_sub(at.elapsed()));
            std::thread::sleep(early.unwrap_or_default());
            // Everything that was asked meanwhile is answered by the same look.
            let more: Vec<Ask> = asked.try_iter().collect();
            self.looked_at = Some(clock::now());
            let exchanged = self.exchange();
            std::iter::once(ask).chain(more).for_each(|ask| ask.answer(&exchanged));
        }
        let _ = self.exchange();
    }

    /// Takes up changed keys and exchanges what was used. A store that fails is opened anew the next time; keys that are known go on. An
    /// error is a sentence.
    fn exchange(&mut self) -> Result<(), String> {
        let Err(error) = self.try_exchange() else {
            if std::mem::take(&mut self.said) {
                tracing::info!(event = "keys.back");
            }
            return Ok(());
        };
        self.store = None;
        for key in read(&self.keys).values() {
            key.live.take_back();
        }
        let is_used = !read(&self.keys).is_empty();
        if is_used && !std::mem::replace(&mut self.said, true) {
            tracing::warn!(event = "keys.unavailable", error = %error, note = "keys that are known go on with what was known of them last");
        }
        Err(error.to_string())
    }

    fn try_exchange(&mut self) -> Result<(), KeyStoreError> {
        let mut changed = false;
        if self.store.is_none() {
            self.store = Some((self.open)()?);
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        if let Some(records) = store.changed()? {
            changed = true;
            take_up(&self.keys, records);
        }
        let keys = Arc::clone(&read(&self.keys));
        let now = clock::unix_now();
        let mut used = Vec::new();
        for (id, key) in keys.iter() {
            let sent = key.live.send(&key.record.limits, now, changed && key.record.revoked_at.is_none());
            used.extend(sent.into_iter().map(|(window, amounts)| KeyUse {
                key: id.clone(),
                window,
                amounts,
            }));
        }
        if used.is_empty() {
            return Ok(());
        }
        for total in store.exchange(&used)? {
            if let Some(key) = keys.get(&total.key) {
                key.live.settle(total.window, total.amounts);
            }
        }
        Ok(())
    }
}

/// Takes up the keys of the store. What is counted of a key goes on.
fn take_up(keys: &RwLock<Arc<Keys>>, records: Vec<KeyRecord>) {
    let before = Arc::clone(&read(keys));
    let now: Keys = records
        .into_iter()
        .map(|record| {
            let key = match before.get(&record.id) {
                Some(same) if same.record == record => Arc::clone(same),
                Some(old) => Arc::new(ClientKey { record, live: Arc::clone(&old.live) }),
                None => Arc::new(ClientKey { record, live: Arc::default() }),
            };
            (key.record.id.clone(), key)
        })
        .collect();
    *write(keys) = Arc::new(now);
}

#[cfg(test)]
mod tests;
