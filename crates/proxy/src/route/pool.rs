//! The keys and accounts of one endpoint, with a clock for each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use latimer_adapters::credential::Credential;
use latimer_protocol::failure::Failure;
use latimer_protocol::secret::Secret;

use super::keys::Keys;
use super::memory::Memory;

/// Something an endpoint can be asked with.
#[derive(Debug, Clone)]
pub struct Member {
    /// What people call it.
    pub id: String,
    /// Who it is, the same in every release and order: state of providers is bound to it, and its clock is kept under it.
    pub fingerprint: String,
    credential: Credential,
}

/// The pool of one endpoint.
#[derive(Debug)]
pub struct Pool {
    inner: Mutex<Inner>,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Inner {
    members: Vec<Member>,
    keys: Keys,
}

impl Member {
    fn key(number: usize, secret: &Secret) -> Self {
        let id = format!("key-{number}");
        Self { fingerprint: secret.fingerprint(), credential: Credential::api_key(&id, secret.clone()), id }
    }

    /// A credential that can be sent now.
    #[expect(clippy::unused_async, reason = "accounts refresh their tokens")]
    pub async fn credential(&self) -> Result<Credential, Failure> {
        Ok(self.credential.clone())
    }
}

impl Pool {
    /// A pool of these keys; their clocks go on where they stood.
    pub fn new(keys: &[Secret], memory: Arc<Memory>) -> Self {
        let members: Vec<Member> =
            keys.iter().enumerate().map(|(place, secret)| Member::key(place + 1, secret)).collect();
        let rests = members.iter().map(|member| memory.key_rests_until(&member.fingerprint)).collect();
        Self { inner: Mutex::new(Inner { members, keys: Keys::resting_until(rests) }), memory }
    }

    /// The member to use now, and its place; `None` for an empty pool.
    pub fn pick(&self, now: Instant) -> Option<(usize, Member)> {
        let mut inner = self.lock();
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
