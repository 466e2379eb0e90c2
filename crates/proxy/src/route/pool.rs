//! The keys and accounts of one endpoint, and the cooldown of each.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_adapters::credential::Credential;
use latimer_protocol::failure::Failure;
use latimer_protocol::secret::Secret;

use super::keys::Keys;
use super::memory::Memory;
use crate::accounts::{self, Account, Places};
use crate::clock::Clocks;
use crate::config::Login;
use crate::sync::lock;

/// How often the accounts of a login are read again.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

/// One key or account of an endpoint.
#[derive(Debug, Clone)]
pub struct PoolEntry {
    /// What people call it.
    pub id: String,
    /// Who it is, the same in every release and order: state of providers is bound to it, and its cooldown is kept under it.
    pub fingerprint: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Key(Credential),
    Account(Arc<Account>),
}

/// The keys and accounts of one endpoint.
#[derive(Debug)]
pub struct Pool {
    inner: Mutex<Inner>,
    login: Option<Login>,
    places: Option<Arc<Places>>,
    keys: Vec<Secret>,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Inner {
    entries: Vec<PoolEntry>,
    keys: Keys,
    reloaded_at: Instant,
}

impl PoolEntry {
    fn key(number: usize, secret: &Secret) -> Self {
        let id = format!("key-{number}");
        let credential = Credential::api_key(&id, secret.clone());
        Self { fingerprint: secret.fingerprint(), source: Source::Key(credential), id }
    }

    fn account(account: &Arc<Account>) -> Self {
        let id = account.id().to_owned();
        Self { fingerprint: Secret::new(&id).fingerprint(), source: Source::Account(Arc::clone(account)), id }
    }

    /// A credential that can be sent now.
    ///
    /// # Errors
    /// An account's token has ended and could not be refreshed.
    pub async fn credential(&self) -> Result<Credential, Failure> {
        match &self.source {
            Source::Key(credential) => Ok(credential.clone()),
            Source::Account(account) => account.credential(Clocks::now().unix).await,
        }
    }

    /// The project of an account, which its first use found.
    pub fn set_project(&self, project: String) {
        if let Source::Account(account) = &self.source {
            account.set_project(project);
        }
    }

    /// Another credential of the same entry, after the provider refused this one; `None` for a key, which stays what it is.
    pub async fn renew(&self, refused: &Credential) -> Option<Result<Credential, Failure>> {
        match &self.source {
            Source::Key(_) => None,
            Source::Account(account) => Some(account.renew(refused, Clocks::now().unix).await),
        }
    }
}

impl Pool {
    /// A pool of these keys and of the accounts of this login; cooldowns go on where they stood.
    pub fn new(
        keys: &[Secret],
        login: Option<Login>,
        places: Option<Arc<Places>>,
        memory: Arc<Memory>,
        now: Instant,
    ) -> Self {
        let inner = Inner { entries: Vec::new(), keys: Keys::with_cooldowns(Vec::new()), reloaded_at: now };
        let pool = Self { inner: Mutex::new(inner), login, places, keys: keys.to_vec(), memory };
        pool.reload(&mut lock(&pool.inner), now);
        pool
    }

    /// Lists the keys and reads the accounts.
    fn reload(&self, inner: &mut Inner, now: Instant) {
        let keys = self.keys.iter().enumerate().map(|(place, secret)| PoolEntry::key(place + 1, secret));
        let mut entries: Vec<PoolEntry> = keys.collect();
        if let (Some(login), Some(places)) = (self.login, &self.places) {
            let found = accounts::load(login, places);
            for problem in &found.problems {
                tracing::warn!(event = "account.broken", login = login.name(), problem);
            }
            entries.extend(found.accounts.iter().map(PoolEntry::account));
        }
        inner.reloaded_at = now;
        let names =
            |entries: &[PoolEntry]| entries.iter().map(|entry| entry.fingerprint.clone()).collect::<Vec<_>>();
        if names(&entries) == names(&inner.entries) && !entries.is_empty() {
            return;
        }
        let cooldowns = entries.iter().map(|entry| self.memory.key_cooldown(&entry.fingerprint)).collect();
        inner.keys = Keys::with_cooldowns(cooldowns);
        inner.entries = entries;
    }

    /// The entry to use now, and its place; `None` for an empty pool.
    pub fn pick(&self, now: Instant) -> Option<(usize, PoolEntry)> {
        let mut inner = lock(&self.inner);
        if self.login.is_some()
            && (inner.entries.is_empty()
                || now.saturating_duration_since(inner.reloaded_at) > RELOAD_INTERVAL)
        {
            self.reload(&mut inner, now);
        }
        let place = inner.keys.pick(now)?;
        inner.entries.get(place).cloned().map(|entry| (place, entry))
    }

    /// Begins the cooldown of an entry that failed, and says whether another one is ready now.
    pub fn failed(&self, place: usize, failure: &Failure, now: Instant) -> bool {
        let mut inner = lock(&self.inner);
        let other = inner.keys.failed(place, failure, now);
        if let (Some(entry), Some(until)) = (inner.entries.get(place), inner.keys.cooldown_end(place, now)) {
            self.memory.set_key_cooldown(&entry.fingerprint, Some(until));
        }
        other
    }

    /// What [`Pool::failed`] will say, without noting anything.
    pub fn another_ready(&self, place: usize, failure: &Failure, now: Instant) -> bool {
        lock(&self.inner).keys.another_ready(place, failure, now)
    }

    /// An entry worked: its cooldown is over.
    pub fn succeeded(&self, place: usize) {
        let mut inner = lock(&self.inner);
        if inner.keys.succeeded(place)
            && let Some(entry) = inner.entries.get(place)
        {
            self.memory.set_key_cooldown(&entry.fingerprint, None);
        }
    }

    /// Whether an entry is ready, or none is needed.
    pub fn is_ready(&self, now: Instant) -> bool {
        let inner = lock(&self.inner);
        inner.entries.is_empty() || inner.keys.cooling_down(now) < inner.entries.len()
    }

    /// How many entries there are, and how many are cooling down.
    pub fn counts(&self, now: Instant) -> (usize, usize) {
        let inner = lock(&self.inner);
        (inner.entries.len(), inner.keys.cooling_down(now))
    }

    /// Every entry's name, and the seconds that are left of its cooldown.
    pub fn cooldowns(&self, now: Instant) -> Vec<(String, Option<u64>)> {
        let inner = lock(&self.inner);
        let left =
            |place| inner.keys.cooldown_end(place, now).map(|until| until.duration_since(now).as_secs());
        inner.entries.iter().enumerate().map(|(place, entry)| (entry.id.clone(), left(place))).collect()
    }
}
