//! The keys and accounts of one endpoint, and the cooldown of each.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use latimer_adapters::credential::Credential;
use latimer_protocol::failure::Failure;
use latimer_protocol::secret::{Secret, fingerprint};

use super::keys::Keys;
use super::memory::Memory;
use super::quota::{LowQuota, QuotaOwner};
use super::rest::{Cooldown, Rest};
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
    /// What other nodes had told of keys when the cooldowns were looked at.
    told: u64,
}

impl PoolEntry {
    fn key(number: usize, secret: &Secret) -> Self {
        let id = format!("key-{number}");
        let credential = Credential::api_key(&id, secret.clone());
        Self { fingerprint: secret.fingerprint(), source: Source::Key(credential), id }
    }

    fn account(account: &Arc<Account>) -> Self {
        let id = account.id().to_owned();
        Self { fingerprint: fingerprint(&id), source: Source::Account(Arc::clone(account)), id }
    }

    /// Whose allowances it has, on this endpoint.
    pub fn owner<'o>(&'o self, endpoint: &'o str) -> QuotaOwner<'o> {
        QuotaOwner { fingerprint: &self.fingerprint, endpoint, account: &self.id }
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

    /// Refreshes an account's token that ends soon.
    ///
    /// # Errors
    /// It could not be refreshed.
    pub async fn keep_fresh(&self) -> Result<(), Failure> {
        match &self.source {
            Source::Key(_) => Ok(()),
            Source::Account(account) => account.keep_fresh(Clocks::now().unix).await,
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
        let (keys_told, none) = (memory.keys_told(), Keys::with_cooldowns(Vec::new()));
        let inner = Inner { entries: Vec::new(), keys: none, reloaded_at: now, told: keys_told };
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

    /// The entries, with the cooldowns that other nodes told of.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        let mut inner = lock(&self.inner);
        let told = self.memory.keys_told();
        if inner.told != told {
            inner.told = told;
            let Inner { entries, keys, .. } = &mut *inner;
            for (place, entry) in entries.iter().enumerate() {
                keys.set_cooldown(place, self.memory.key_cooldown(&entry.fingerprint));
            }
        }
        inner
    }

    /// The entry to use now, and its place; `None` for an empty pool.
    pub fn pick(&self, now: Instant) -> Option<(usize, PoolEntry)> {
        let mut inner = self.inner();
        if self.login.is_some()
            && (inner.entries.is_empty()
                || now.saturating_duration_since(inner.reloaded_at) > RELOAD_INTERVAL)
        {
            self.reload(&mut inner, now);
        }
        let inner = &mut *inner;
        let is_low = |place: usize| inner.entries.get(place).is_some_and(|entry| self.is_low(entry));
        let place = inner.keys.pick(now, is_low)?;
        inner.entries.get(place).cloned().map(|entry| (place, entry))
    }

    fn is_low(&self, entry: &PoolEntry) -> bool {
        self.memory.quotas.low(&entry.fingerprint, None, Clocks::now().unix).is_some()
    }

    /// The allowance of which little is left, where that is so of every entry that does not rest; the largest of them.
    pub fn low(&self, model: &str, at: Clocks) -> Option<LowQuota> {
        let inner = lock(&self.inner);
        let ready = (0..inner.entries.len()).filter(|place| inner.keys.cooldown(*place, at.now).is_none());
        let ready = ready.filter_map(|place| inner.entries.get(place));
        let low: Option<Vec<LowQuota>> =
            ready.map(|entry| self.memory.quotas.low(&entry.fingerprint, Some(model), at.unix)).collect();
        low?.into_iter().max_by(|a, b| a.percent.total_cmp(&b.percent))
    }

    /// Every entry.
    pub fn entries(&self) -> Vec<PoolEntry> {
        lock(&self.inner).entries.clone()
    }

    /// Begins the cooldown of an entry that failed, and says whether another one is ready now.
    pub fn failed(&self, place: usize, failure: &Failure, now: Instant) -> bool {
        let mut inner = self.inner();
        let other = inner.keys.failed(place, failure, now);
        if let (Some(entry), Some(cooldown)) = (inner.entries.get(place), inner.keys.cooldown(place, now)) {
            self.memory.set_key_cooldown(&entry.fingerprint, Some(cooldown));
        }
        other
    }

    /// What [`Pool::failed`] will say, without noting anything.
    pub fn another_ready(&self, place: usize, failure: &Failure, now: Instant) -> bool {
        self.inner().keys.another_ready(place, failure, now)
    }

    /// An entry worked: its cooldown is over.
    pub fn succeeded(&self, place: usize) {
        let mut inner = self.inner();
        if inner.keys.succeeded(place)
            && let Some(entry) = inner.entries.get(place)
        {
            self.memory.set_key_cooldown(&entry.fingerprint, None);
        }
    }

    /// Whether an entry is ready, or none is needed.
    pub fn is_ready(&self, now: Instant) -> bool {
        let inner = self.inner();
        inner.entries.is_empty() || inner.keys.cooling_down(now) < inner.entries.len()
    }

    /// How many entries there are, and how many are cooling down.
    pub fn counts(&self, now: Instant) -> (usize, usize) {
        let inner = self.inner();
        (inner.entries.len(), inner.keys.cooling_down(now))
    }

    /// Whether there is neither a key nor an account.
    pub fn is_empty(&self) -> bool {
        lock(&self.inner).entries.is_empty()
    }

    /// The cooldown of the key or account that is ready first, where all of them rest.
    pub fn first_cooldown(&self, now: Instant) -> Option<Cooldown> {
        self.inner().keys.first_cooldown(now)
    }

    /// Until the first key or account is ready, where all of them rest.
    pub fn rest(&self, now: Instant) -> Option<Rest> {
        self.first_cooldown(now).map(|first| Rest { until: first.until, why: "all of its keys rest" })
    }

    /// Every cooldown is over; how many there were.
    pub fn end_cooldowns(&self) -> usize {
        let mut inner = self.inner();
        for entry in &inner.entries {
            self.memory.set_key_cooldown(&entry.fingerprint, None);
        }
        inner.keys.end_cooldowns()
    }

    /// Every entry's name, and the seconds that are left of its cooldown.
    pub fn cooldowns(&self, now: Instant) -> Vec<(String, Option<u64>)> {
        let inner = self.inner();
        let left = |place| {
            inner.keys.cooldown(place, now).map(|cooldown| cooldown.until.duration_since(now).as_secs())
        };
        inner.entries.iter().enumerate().map(|(place, entry)| (entry.id.clone(), left(place))).collect()
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::failure::FailureKind;

    use super::*;
    use crate::accounts::file::{self, Tokens};
    use crate::clock;

    fn keys(names: &[&str]) -> Vec<Secret> {
        names.iter().map(|name| Secret::new(*name)).collect()
    }

    fn pool_of(names: &[&str], memory: &Arc<Memory>, now: Instant) -> Pool {
        Pool::new(&keys(names), None, None, Arc::clone(memory), now)
    }

    fn limited(seconds: u64) -> Failure {
        let retry_after = Some(Duration::from_secs(seconds));
        Failure { retry_after, ..Failure::new(FailureKind::RateLimited, "slow down") }
    }

    /// The name of the entry to use now.
    fn picked(pool: &Pool, now: Instant) -> Option<String> {
        pool.pick(now).map(|(_, entry)| entry.id)
    }

    fn account(dir: &std::path::Path, id: &str) {
        let tokens = Tokens {
            id: id.to_owned(),
            access: Secret::new(format!("token of {id}")),
            refresh: None,
            expires_at: None,
            project: None,
        };
        file::write(&file::path(dir, Login::Codebuff, id), Login::Codebuff, &tokens).expect("written");
    }

    #[tokio::test]
    async fn a_key_is_used_until_it_fails_and_again_when_it_has_cooled_down() {
        let (memory, now) = (Arc::new(Memory::new(None)), clock::now());
        let pool = pool_of(&["a", "b"], &memory, now);
        let (place, entry) = pool.pick(now).expect("a key");
        assert_eq!((place, entry.id.as_str()), (0, "key-1"));
        let credential = entry.credential().await.expect("a key is always good");
        assert_eq!(credential.secret, Secret::new("a"));
        assert!(entry.renew(&credential).await.is_none(), "a key that was refused stays what it is");
        assert!(pool.another_ready(0, &limited(30), now));
        assert_eq!(pool.counts(now), (2, 0), "only asked");
        assert!(pool.failed(0, &limited(30), now), "the other one is ready");
        assert_eq!(picked(&pool, now).as_deref(), Some("key-2"));
        assert_eq!(pool.cooldowns(now), [("key-1".to_owned(), Some(30)), ("key-2".to_owned(), None)]);
        assert!(pool.is_ready(now));
        assert!(!pool.failed(1, &limited(10), now), "none is");
        assert!(!pool.is_ready(now) && pool.is_ready(now + Duration::from_secs(11)));
        assert_eq!(picked(&pool, now).as_deref(), Some("key-2"), "the one that is ready first");
        pool.succeeded(0);
        assert_eq!((pool.counts(now), pool.is_ready(now)), ((2, 1), true));
    }

    #[test]
    fn a_failure_that_is_not_the_keys_begins_no_cooldown() {
        let (memory, now) = (Arc::new(Memory::new(None)), clock::now());
        let pool = pool_of(&["a", "b"], &memory, now);
        for kind in [FailureKind::BadRequest, FailureKind::UpstreamError, FailureKind::Timeout] {
            assert!(!pool.failed(0, &Failure::new(kind, "no"), now), "{kind:?}");
        }
        assert_eq!((pool.counts(now), picked(&pool, now).as_deref()), ((2, 0), Some("key-1")));
    }

    #[test]
    fn cooldowns_outlive_the_pool_whatever_the_order_of_the_keys() {
        let (memory, now) = (Arc::new(Memory::new(None)), clock::now());
        let pool = pool_of(&["a", "b"], &memory, now);
        pool.failed(0, &limited(30), now);
        let turned = pool_of(&["b", "a", "c"], &memory, now);
        assert_eq!(
            turned.cooldowns(now),
            [("key-1".to_owned(), None), ("key-2".to_owned(), Some(30)), ("key-3".to_owned(), None)]
        );
        turned.succeeded(1);
        assert_eq!(pool_of(&["a"], &memory, now).counts(now), (1, 0), "its end is remembered too");
    }

    #[test]
    fn without_keys_none_is_needed() {
        let (memory, now) = (Arc::new(Memory::new(None)), clock::now());
        let pool = pool_of(&[], &memory, now);
        assert!(pool.pick(now).is_none() && pool.is_ready(now));
        assert!(!pool.failed(0, &limited(30), now));
        assert_eq!(pool.cooldowns(now), []);
    }

    #[tokio::test]
    async fn accounts_come_behind_the_keys_and_are_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Arc::new(Places::new(dir.path().to_owned(), None, |_| None));
        let (memory, now) = (Arc::new(Memory::new(None)), clock::now());
        let pool_at = |keys: &[Secret]| {
            Pool::new(keys, Some(Login::Codebuff), Some(Arc::clone(&places)), Arc::clone(&memory), now)
        };
        let only_accounts = pool_at(&[]);
        assert!(only_accounts.pick(now).is_none());
        account(dir.path(), "me@test");
        let (_, entry) = only_accounts.pick(now).expect("an empty pool looks at once");
        assert_eq!(entry.id, "me@test");
        let credential = entry.credential().await.expect("without an end");
        assert!(credential.is_access_token() && credential.secret == Secret::new("token of me@test"));

        let pool = pool_at(&keys(&["a"]));
        assert_eq!(pool.cooldowns(now), [("key-1".to_owned(), None), ("me@test".to_owned(), None)]);
        pool.failed(1, &limited(600), now);
        account(dir.path(), "you@test");
        pool.pick(now + RELOAD_INTERVAL);
        assert_eq!(pool.counts(now), (2, 1), "not yet");
        pool.pick(now + RELOAD_INTERVAL + Duration::from_secs(1));
        assert_eq!(pool.counts(now), (3, 1), "and the cooldown goes on");
        let resting: Vec<String> =
            pool.cooldowns(now).into_iter().filter_map(|(id, left)| left.map(|_| id)).collect();
        assert_eq!(resting, ["me@test"]);
    }

    #[test]
    fn the_key_in_use_stays_in_use_when_nothing_changed_on_the_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Arc::new(Places::new(dir.path().to_owned(), None, |_| None));
        let (memory, now) = (Arc::new(Memory::new(None)), clock::now());
        let pool = Pool::new(&keys(&["a", "b"]), Some(Login::Codebuff), Some(places), memory, now);
        pool.failed(0, &limited(1), now);
        assert_eq!(picked(&pool, now).as_deref(), Some("key-2"));
        let later = now + RELOAD_INTERVAL * 2;
        assert_eq!(picked(&pool, later).as_deref(), Some("key-2"), "its prompt cache is warm");
    }
}
