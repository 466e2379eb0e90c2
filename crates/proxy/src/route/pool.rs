//! The keys and accounts of one endpoint, with a clock for each.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use latimer_adapters::credential::Credential;
use latimer_protocol::failure::Failure;
use latimer_protocol::secret::Secret;

use super::keys::Keys;
use super::memory::Memory;
use crate::accounts::{self, Account, Places};
use crate::clock::{self, Clocks};
use crate::config::Login;
use crate::sync::lock;

/// How often accounts are looked for again.
const LOOK: Duration = Duration::from_secs(60);

/// Something an endpoint can be asked with.
#[derive(Debug, Clone)]
pub struct PoolEntry {
    /// What people call it.
    pub id: String,
    /// Who it is, the same in every release and order: state of providers is bound to it, and its clock is kept under it.
    pub fingerprint: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Key(Credential),
    Account(Arc<Account>),
}

/// The pool of one endpoint.
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
    members: Vec<PoolEntry>,
    keys: Keys,
    looked: Instant,
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
    pub async fn credential(&self) -> Result<Credential, Failure> {
        match &self.source {
            Source::Key(credential) => Ok(credential.clone()),
            Source::Account(account) => account.credential(Clocks::now().unix).await,
        }
    }

    /// The project of an account, which its first use found.
    pub fn has_project(&self, project: String) {
        if let Source::Account(account) = &self.source {
            account.has_project(project);
        }
    }

    /// Another credential of the same member, after the provider refused this one; `None` for a key, which stays what it is.
    pub async fn renewed(&self, refused: &Credential) -> Option<Result<Credential, Failure>> {
        match &self.source {
            Source::Key(_) => None,
            Source::Account(account) => Some(account.renewed(refused, Clocks::now().unix).await),
        }
    }
}

impl Pool {
    /// A pool of these keys and of the accounts of this login; their clocks go on where they stood.
    pub fn new(
        keys: &[Secret],
        login: Option<Login>,
        places: Option<Arc<Places>>,
        memory: Arc<Memory>,
    ) -> Self {
        let inner =
            Inner { members: Vec::new(), keys: Keys::resting_until(Vec::new()), looked: clock::now() };
        let pool = Self { inner: Mutex::new(inner), login, places, keys: keys.to_vec(), memory };
        pool.look(&mut pool.lock());
        pool
    }

    /// Looks for keys and accounts.
    fn look(&self, inner: &mut Inner) {
        let keys = self.keys.iter().enumerate().map(|(place, secret)| PoolEntry::key(place + 1, secret));
        let mut members: Vec<PoolEntry> = keys.collect();
        if let (Some(login), Some(places)) = (self.login, &self.places) {
            let found = accounts::load(login, places);
            for problem in &found.problems {
                tracing::warn!(event = "account.broken", login = login.name(), problem);
            }
            members.extend(found.accounts.iter().map(PoolEntry::account));
        }
        inner.looked = clock::now();
        let names = |members: &[PoolEntry]| {
            members.iter().map(|member| member.fingerprint.clone()).collect::<Vec<_>>()
        };
        if names(&members) == names(&inner.members) && !members.is_empty() {
            return;
        }
        let rests = members.iter().map(|member| self.memory.key_rests_until(&member.fingerprint)).collect();
        inner.keys = Keys::resting_until(rests);
        inner.members = members;
    }

    /// The member to use now, and its place; `None` for an empty pool.
    pub fn pick(&self, now: Instant) -> Option<(usize, PoolEntry)> {
        let mut inner = self.lock();
        if self.login.is_some() && (inner.members.is_empty() || inner.looked.elapsed() > LOOK) {
            self.look(&mut inner);
        }
        let place = inner.keys.pick(now)?;
        inner.members.get(place).cloned().map(|member| (place, member))
    }

    /// Notes a failure of a member and says whether another one is ready now.
    pub fn failed(&self, place: usize, failure: &Failure, now: Instant) -> bool {
        let mut inner = self.lock();
        let other = inner.keys.failed(place, failure, now);
        if let (Some(member), Some(until)) = (inner.members.get(place), inner.keys.rests_until(place, now)) {
            self.memory.key_rests(&member.fingerprint, Some(until));
        }
        other
    }

    /// A member worked: it rests no longer.
    pub fn worked(&self, place: usize) {
        let mut inner = self.lock();
        if inner.keys.worked(place)
            && let Some(member) = inner.members.get(place)
        {
            self.memory.key_rests(&member.fingerprint, None);
        }
    }

    /// Whether a member is ready, or none is needed.
    pub fn is_ready(&self, now: Instant) -> bool {
        let inner = self.lock();
        inner.members.is_empty() || inner.keys.resting(now) < inner.members.len()
    }

    /// How many members there are, and how many rest.
    pub fn counts(&self, now: Instant) -> (usize, usize) {
        let inner = self.lock();
        (inner.members.len(), inner.keys.resting(now))
    }

    /// Every member's name, and for how many seconds it rests.
    pub fn rests(&self, now: Instant) -> Vec<(String, Option<u64>)> {
        let inner = self.lock();
        let left =
            |place| inner.keys.rests_until(place, now).map(|until| until.duration_since(now).as_secs());
        inner.members.iter().enumerate().map(|(place, member)| (member.id.clone(), left(place))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}
