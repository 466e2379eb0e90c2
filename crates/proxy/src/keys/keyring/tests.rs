use std::collections::HashMap;
use std::sync::Mutex;

use super::*;
use crate::clock;
use crate::keys::KeyProof;
use crate::keys::KeyUse;
use crate::keys::limits::{Limits, Rate};
use crate::keys::period::Period;
use crate::keys::scope::ModelScope;
use crate::keys::secret::KeyId;
use crate::keys::secret::NewSecret;
use crate::sync::lock;

/// A store in memory that several rings share, and that can be taken away.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    version: u64,
    records: Vec<KeyRecord>,
    used: HashMap<(KeyId, super::super::period::LimitWindow), Amounts>,
    is_gone: bool,
}

struct Handle(Shared, u64);

impl Shared {
    fn ring(&self) -> Keyring {
        let shared = self.clone();
        let open = move || Ok(Box::new(Handle(shared.clone(), 0)) as Box<dyn KeyStore>);
        let ring = Keyring::new(Some(Box::new(open)));
        // What the clockwork does in a proxy.
        let asks = ring.asks.clone().expect("a store");
        tokio::spawn(async move {
            loop {
                let (done, wait) = oneshot::channel();
                if asks.try_send(Ask::Exchange(done)).is_ok() {
                    let _ = wait.await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        ring
    }

    fn change(&self, change: impl FnOnce(&mut Inside)) {
        let mut inside = lock(&self.0);
        inside.version += 1;
        change(&mut inside);
    }

    fn make(&self, name: &str, limits: Limits) -> NewSecret {
        let made = NewSecret::draw().expect("randomness");
        let record = KeyRecord {
            id: made.id.clone(),
            name: name.to_owned(),
            proof: made.proof.clone(),
            models: ModelScope::All,
            limits,
            created_at: 1,
            expires_at: None,
            rotated_at: None,
            revoked_at: None,
        };
        self.change(|inside| inside.records.push(record));
        made
    }
}

fn gone() -> KeyStoreError {
    KeyStoreError::Unavailable("gone".to_owned())
}

impl KeyStore for Handle {
    fn changed(&mut self) -> Result<Option<Vec<KeyRecord>>, KeyStoreError> {
        let inside = lock(&self.0.0);
        if inside.is_gone {
            return Err(gone());
        }
        let is_new = std::mem::replace(&mut self.1, inside.version) != inside.version;
        Ok(is_new.then(|| inside.records.clone()))
    }

    fn all(&mut self) -> Result<Vec<KeyRecord>, KeyStoreError> {
        Ok(lock(&self.0.0).records.clone())
    }

    fn exchange(&mut self, used: &[KeyUse]) -> Result<Vec<KeyUse>, KeyStoreError> {
        let mut inside = lock(&self.0.0);
        if inside.is_gone {
            return Err(gone());
        }
        if used.iter().any(|one| !one.amounts.is_nothing()) {
            inside.version += 1;
        }
        let totals = used.iter().map(|one| {
            let total = inside.used.entry((one.key.clone(), one.window)).or_default();
            *total += one.amounts;
            KeyUse { amounts: *total, ..one.clone() }
        });
        Ok(totals.collect())
    }

    fn used(&mut self, _: &KeyId) -> Result<Vec<KeyUse>, KeyStoreError> {
        Err(gone())
    }

    fn add(&mut self, _: &KeyRecord) -> Result<(), KeyStoreError> {
        Err(gone())
    }

    fn rotate(&mut self, _: &str, _: &KeyProof, _: u64) -> Result<KeyRecord, KeyStoreError> {
        Err(gone())
    }

    fn revoke(&mut self, _: &str, _: u64) -> Result<KeyRecord, KeyStoreError> {
        Err(gone())
    }
}

async fn found(ring: &Keyring, key: &str) -> Result<Arc<ClientKey>, Option<KeyProblem>> {
    match ring.find([key].into_iter()).await {
        KeyLookup::Key(key) => Ok(key),
        KeyLookup::Refused(problem) => Err(Some(problem)),
        KeyLookup::Nothing => Err(None),
    }
}

/// Waits until something is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain");
}

#[tokio::test]
async fn a_key_opens_from_its_first_moment_until_it_is_revoked() {
    let shared = Shared::default();
    let ring = shared.ring();
    assert!(matches!(found(&ring, "the-token-of-the-owner").await, Err(None)));
    let made = shared.make("anna", Limits::default());
    until(async || found(&ring, made.key.expose()).await.is_ok()).await;
    let other = NewSecret::draw_for(made.id.clone()).expect("randomness");
    assert_eq!(found(&ring, other.key.expose()).await.err(), Some(Some(KeyProblem::Unknown)));
    let key = found(&ring, made.key.expose()).await.expect("known");
    let turn = ring.admit(&key).await.expect("admitted");
    shared.change(|inside| inside.records[0].revoked_at = Some(2));
    let revoked = KeyProblem::Revoked("anna".to_owned());
    until(async || found(&ring, made.key.expose()).await.err() == Some(Some(revoked.clone()))).await;
    assert_eq!(ring.admit(&key).await.err(), Some(Denied::Key(revoked)), "an older connection, too");
    assert_eq!(key.live.open(), 1, "what runs goes on");
    drop(turn);
    assert_eq!(key.live.open(), 0);
}

#[tokio::test]
async fn a_key_ends_with_its_time() {
    let shared = Shared::default();
    let made = shared.make("anna", Limits::default());
    shared.change(|inside| inside.records[0].expires_at = Some(clock::unix_now()));
    let ring = shared.ring();
    let expired = KeyProblem::Expired("anna".to_owned());
    until(async || found(&ring, made.key.expose()).await.err() == Some(Some(expired.clone()))).await;
}

#[tokio::test]
async fn two_processes_count_together_and_nothing_is_lost_without_a_store() {
    let shared = Shared::default();
    let limits = Limits { tokens: Rate::of_count("100/month").ok(), ..Limits::default() };
    let made = shared.make("anna", limits);
    let rings = [shared.ring(), shared.ring()];
    for ring in &rings {
        until(async || found(ring, made.key.expose()).await.is_ok()).await;
    }
    let [one, two] = [&rings[0], &rings[1]];
    let key = found(one, made.key.expose()).await.expect("known");
    shared.change(|inside| inside.is_gone = true);
    one.flush();
    let mut turn = one.admit(&key).await.expect("admitted without a store");
    turn.spend(100, 0);
    drop(turn);
    one.flush();
    let over = one.admit(&key).await.err().expect("over");
    assert!(matches!(over, Denied::Limit(name, OverLimit::Tokens(..)) if name == "anna"));
    let there = found(two, made.key.expose()).await.expect("known");
    assert!(two.admit(&there).await.is_ok(), "it cannot know");
    shared.change(|inside| inside.is_gone = false);
    until(async || two.admit(&there).await.is_err()).await;
    one.flush();
    let used = there.live.used(Period::Month, clock::unix_now());
    assert_eq!(used.tokens, 100, "once");
}
