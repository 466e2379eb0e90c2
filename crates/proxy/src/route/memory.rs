//! What routing knows and must not forget in a restart: health, limits of keys, which target answered which conversation. One file, written
//! whole, at most every few seconds.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use latimer_protocol::failure::Failure;
use latimer_protocol::quota::QuotaReading;
use latimer_protocol::status::AccountQuota;
use serde::{Deserialize, Serialize};

use super::affinity::Affinity;
use super::health::{Health, HealthRecord};
use super::limitations::LimitationStore;
use super::pictures::RefusedPictures;
use super::quota::{KnownAccount, QuotaOwner, QuotaSource, Quotas};
use super::rest::Cooldown;
use crate::clock::Clocks;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::shared::{SharedEntry, Topic};
use crate::sync::lock;

/// The file in the state directory.
const FILE: &str = "routes.json";
/// Targets and keys that are remembered.
const MAX_ENTRIES: usize = 4096;
/// How long other nodes believe what they heard of a target: longer than any limit of it.
const TARGET_HOLDS: Duration = Duration::from_secs(25 * 3600);
/// How long they believe who answered a conversation, and how long before its end that is told anew.
const AFFINITY_HOLDS: Duration = Duration::from_secs(3600);
const AFFINITY_TOLD: Duration = Duration::from_secs(3000);
/// What other nodes are told of a key whose time the provider named.
const NAMED: &str = "named";
/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The memory of all endpoints and routes. It outlives a change of the configuration.
#[derive(Debug)]
pub struct Memory {
    path: Option<PathBuf>,
    targets: Mutex<HashMap<String, Health>>,
    keys: Mutex<HashMap<String, Cooldown>>,
    affinity: Mutex<Affinity>,
    rounds: Mutex<HashMap<String, usize>>,
    /// Items a target takes: the most that worked, and the fewest that did not.
    items: Mutex<HashMap<String, (usize, usize)>>,
    /// What endpoints taught about themselves.
    pub limitations: LimitationStore,
    /// The pictures they refused.
    pub refused_pictures: RefusedPictures,
    /// By how many tokens a target's count of a prompt was above the estimate. Not kept over a restart.
    prompt_surplus: Mutex<HashMap<String, u64>>,
    /// What is left of the allowances of accounts.
    pub quotas: Quotas,
    changed: AtomicBool,
    /// Counts what other nodes told of keys.
    keys_told: AtomicU64,
    /// Other nodes, where there are any.
    nodes: OnceLock<Arc<PostgresStore>>,
}

/// What stands in `routes.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct MemoryFile {
    targets: HashMap<String, HealthRecord>,
    keys: HashMap<String, u64>,
    /// Those of them whose time the provider named.
    named_keys: HashSet<String>,
    affinity: Vec<(String, String, u64)>,
    items: HashMap<String, (usize, usize)>,
    quota: HashMap<String, KnownAccount>,
}

impl Memory {
    /// The memory of this state directory; without one it lives in memory. A file that cannot be read is set aside.
    pub fn new(dir: Option<&Path>) -> Self {
        let at = Clocks::now();
        let path = dir.map(|dir| dir.join(FILE));
        let file = path.as_deref().map(read).unwrap_or_default();
        let targets = file.targets.iter().take(MAX_ENTRIES);
        let named = file.named_keys;
        let keys = file.keys.into_iter().take(MAX_ENTRIES).filter_map(|(key, until)| {
            let until = at.from_unix(Some(until))?;
            let is_named = named.contains(&key);
            Some((key, Cooldown { until, is_named }))
        });
        Self {
            targets: Mutex::new(
                targets.map(|(name, saved)| (name.clone(), Health::load(saved, at))).collect(),
            ),
            keys: Mutex::new(keys.collect()),
            affinity: Mutex::new(Affinity::load(file.affinity, at)),
            rounds: Mutex::default(),
            items: Mutex::new(file.items.into_iter().take(MAX_ENTRIES).collect()),
            limitations: LimitationStore::new(dir, at.now),
            refused_pictures: RefusedPictures::default(),
            prompt_surplus: Mutex::default(),
            quotas: Quotas::load(file.quota, at.unix),
            changed: AtomicBool::new(false),
            keys_told: AtomicU64::new(0),
            nodes: OnceLock::new(),
            path,
        }
    }

    /// How a target is doing.
    pub fn health(&self, target: &str) -> Health {
        lock(&self.targets).get(target).copied().unwrap_or_default()
    }

    /// A target began to answer after so long.
    pub fn succeeded(&self, target: &str, latency: Duration) {
        self.change(target, |health| health.succeeded(latency));
    }

    /// A turn failed on a target.
    pub fn failed(&self, target: &str, failure: &Failure, now: Instant) {
        self.change(target, |health| health.failed(failure, now));
    }

    /// The targets of an endpoint, or all of them, may be tried again now, on all nodes.
    pub fn retry(&self, endpoint: Option<&str>) -> usize {
        let mut targets = lock(&self.targets);
        let before = targets.len();
        targets.retain(|target, _| {
            let stays = endpoint.is_some_and(|endpoint| target.split('/').next() != Some(endpoint));
            if !stays {
                self.tell(Topic::Target, target, None, Duration::ZERO);
            }
            stays
        });
        self.changed.store(true, Ordering::Relaxed);
        before - targets.len()
    }

    fn change(&self, target: &str, change: impl FnOnce(&mut Health)) {
        let mut targets = lock(&self.targets);
        if targets.len() < MAX_ENTRIES || targets.contains_key(target) {
            let health = targets.entry(target.to_owned()).or_default();
            let before = *health;
            change(health);
            self.changed.store(true, Ordering::Relaxed);
            if self.nodes.get().is_some() && health.differs_for_others(&before) {
                // Times from now: the clocks of nodes differ.
                let record = health.save(Clocks { now: crate::clock::now(), unix: 0 });
                let text = serde_json::to_string(&record).ok();
                self.tell(Topic::Target, target, text, TARGET_HOLDS);
            }
        }
    }

    /// From now on, nodes tell each other what they learn.
    pub fn share(self: &Arc<Self>, nodes: &Arc<PostgresStore>) {
        if self.nodes.set(Arc::clone(nodes)).is_ok() {
            self.limitations.share(nodes);
            let memory = Arc::downgrade(self);
            nodes.listen(Arc::new(move |entry| {
                if let Some(memory) = memory.upgrade() {
                    memory.hear(entry, Clocks::now());
                }
            }));
        }
    }

    /// Other nodes, where there are any.
    pub fn nodes(&self) -> Option<&Arc<PostgresStore>> {
        self.nodes.get()
    }

    fn tell(&self, topic: Topic, name: &str, value: Option<String>, holds: Duration) {
        if let Some(nodes) = self.nodes.get() {
            nodes.tell(topic, name, value, holds);
        }
    }

    /// Takes up what another node told. It is not told on.
    fn hear(&self, entry: &SharedEntry, at: Clocks) {
        match (entry.topic, entry.value.as_deref()) {
            (Topic::Target, value) => self.hear_of_target(&entry.name, value, entry.age, at.now),
            (Topic::Key, value) => {
                let mut keys = lock(&self.keys);
                let told = value.and_then(|value| Some((value == NAMED, at.now.checked_add(entry.left)?)));
                match told {
                    Some((is_named, until)) if keys.len() < MAX_ENTRIES || keys.contains_key(&entry.name) => {
                        keys.insert(entry.name.clone(), Cooldown { until, is_named });
                    }
                    _ => {
                        keys.remove(&entry.name);
                    }
                }
                drop(keys);
                self.keys_told.fetch_add(1, Ordering::Relaxed);
            }
            (Topic::Affinity, Some(target)) => {
                let answered = at.now.checked_sub(entry.age).unwrap_or(at.now);
                lock(&self.affinity).record(&entry.name, target, answered);
            }
            (Topic::Lesson, value) => self.limitations.hear(&entry.name, value, entry.age, at),
            _ => return,
        }
        self.changed.store(true, Ordering::Relaxed);
    }

    fn hear_of_target(&self, target: &str, value: Option<&str>, age: Duration, now: Instant) {
        let mut targets = lock(&self.targets);
        let record = value.and_then(|value| serde_json::from_str::<HealthRecord>(value).ok());
        let Some(record) = record else {
            targets.remove(target);
            return;
        };
        if targets.len() < MAX_ENTRIES || targets.contains_key(target) {
            let told = Health::load(&record, Clocks { now, unix: age.as_secs() });
            targets.entry(target.to_owned()).or_default().hear(told);
        }
    }

    /// Counts what other nodes told of keys: after a change, cooldowns are to be looked at anew.
    pub fn keys_told(&self) -> u64 {
        self.keys_told.load(Ordering::Relaxed)
    }

    /// A key's cooldown; keys are named by their fingerprint.
    pub fn key_cooldown(&self, key: &str) -> Option<Cooldown> {
        lock(&self.keys).get(key).copied()
    }

    /// A key cools down so, or no longer.
    pub fn set_key_cooldown(&self, key: &str, cooldown: Option<Cooldown>) {
        let left = cooldown.map(|cooldown| cooldown.until.saturating_duration_since(crate::clock::now()));
        let mut keys = lock(&self.keys);
        match cooldown {
            Some(cooldown) if keys.len() < MAX_ENTRIES || keys.contains_key(key) => {
                keys.insert(key.to_owned(), cooldown);
            }
            Some(_) => {}
            None if keys.remove(key).is_none() => return,
            None => {}
        }
        let word = cooldown.map(|cooldown| if cooldown.is_named { NAMED } else { "" }.to_owned());
        self.tell(Topic::Key, key, word, left.unwrap_or_default());
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The target that answered a conversation last.
    pub fn affinity_target(&self, conversation: &str, now: Instant) -> Option<String> {
        lock(&self.affinity).find(conversation, now).map(str::to_owned)
    }

    /// A target answered a conversation.
    pub fn record_affinity(&self, conversation: &str, target: &str, now: Instant) {
        let mut affinity = lock(&self.affinity);
        let is_known = affinity.find(conversation, now + AFFINITY_TOLD) == Some(target);
        affinity.record(conversation, target, now);
        drop(affinity);
        if !is_known {
            self.tell(Topic::Affinity, conversation, Some(target.to_owned()), AFFINITY_HOLDS);
        }
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The next round of a route.
    pub fn round(&self, route: &str) -> usize {
        let mut rounds = lock(&self.rounds);
        let round = rounds.entry(route.to_owned()).or_default();
        *round = round.wrapping_add(1);
        round.wrapping_sub(1)
    }

    /// The same, without beginning it.
    pub fn next_round(&self, route: &str) -> usize {
        lock(&self.rounds).get(route).copied().unwrap_or_default()
    }

    /// How many items a target takes at most, where it showed that.
    pub fn max_items(&self, target: &str) -> Option<usize> {
        let (_, failed) = *lock(&self.items).get(target)?;
        (failed < usize::MAX).then(|| failed.saturating_sub(1).max(super::shape::MIN_ITEMS))
    }

    /// A target answered a turn of so many items.
    pub fn record_items_taken(&self, target: &str, items: usize) {
        self.change_items(target, |worked, failed| {
            *worked = items.max(*worked);
            // What works now was no limit.
            if *failed <= items {
                *failed = usize::MAX;
            }
        });
    }

    /// A target failed on a turn of so many items, and is thought to have failed because of them.
    pub fn record_item_limit(&self, target: &str, items: usize) {
        self.change_items(target, |worked, failed| {
            *failed = items.min(*failed);
            *worked = (*worked).min(items.saturating_sub(1));
        });
    }

    fn change_items(&self, target: &str, change: impl FnOnce(&mut usize, &mut usize)) {
        let mut all = lock(&self.items);
        if all.len() >= MAX_ENTRIES && !all.contains_key(target) {
            return;
        }
        let (worked, failed) = all.entry(target.to_owned()).or_insert((0, usize::MAX));
        change(worked, failed);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// By how many tokens a target's count of a prompt was above the estimate, the last time it said so.
    pub fn prompt_surplus(&self, target: &str) -> u64 {
        lock(&self.prompt_surplus).get(target).copied().unwrap_or(0)
    }

    /// A target counted so many more tokens in a prompt than the estimate.
    pub fn record_prompt_surplus(&self, target: &str, tokens: u64) {
        let mut all = lock(&self.prompt_surplus);
        if all.len() < MAX_ENTRIES || all.contains_key(target) {
            all.insert(target.to_owned(), tokens);
        }
    }

    /// A provider said what is left of an account's allowances.
    pub fn note_quota(&self, owner: QuotaOwner<'_>, readings: Vec<QuotaReading>, source: QuotaSource) {
        if !readings.is_empty() {
            self.quotas.note(owner, readings, source, Clocks::now().unix);
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Writes what changed since the last time.
    pub fn save(&self) {
        let Some(path) = &self.path else { return };
        if !self.changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let at = Clocks::now();
        let keys = lock(&self.keys).clone();
        let file = MemoryFile {
            targets: lock(&self.targets)
                .iter()
                .map(|(name, health)| (name.clone(), health.save(at)))
                .collect(),
            keys: keys
                .iter()
                .filter_map(|(key, cooldown)| Some((key.clone(), at.to_unix(Some(cooldown.until))?)))
                .collect(),
            named_keys: keys
                .into_iter()
                .filter(|(_, cooldown)| cooldown.is_named)
                .map(|(key, _)| key)
                .collect(),
            affinity: lock(&self.affinity).save(at),
            items: lock(&self.items).clone(),
            quota: self.quotas.save(),
        };
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        if let Err(error) = latimer_files::write(path, &bytes) {
            tracing::warn!(event = "routes.not_saved", error = %error);
        }
    }
}

/// What a proxy that need not run left behind of allowances; nothing where there is no file.
pub fn quota_of_file(dir: &Path, now: u64) -> Vec<AccountQuota> {
    let bytes = latimer_files::read(&dir.join(FILE), MAX_FILE_BYTES).unwrap_or_default();
    let file: MemoryFile = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut accounts: Vec<AccountQuota> =
        file.quota.values().map(|known| known.report_of_file(now)).collect();
    accounts.sort_by(|a, b| (&a.endpoint, &a.account).cmp(&(&b.endpoint, &b.account)));
    accounts
}

fn read(path: &Path) -> MemoryFile {
    let Ok(bytes) = latimer_files::read(path, MAX_FILE_BYTES) else { return MemoryFile::default() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        let aside = path.with_extension("json.corrupt");
        let kept = std::fs::rename(path, &aside).is_ok();
        tracing::warn!(event = "routes.corrupt", error = %error, kept, aside = %aside.display());
        MemoryFile::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use latimer_protocol::failure::FailureKind;

    #[test]
    fn it_survives_a_restart_and_noise() {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = Memory::new(Some(dir.path()));
        let now = clock::now();
        let wait = Some(Duration::from_secs(500));
        memory.failed(
            "a/m",
            &Failure { retry_after: wait, ..Failure::new(FailureKind::WindowExhausted, "x") },
            now,
        );
        memory.record_affinity("c", "a/m", now);
        let cooldown = |is_named| Some(Cooldown { until: now + Duration::from_secs(300), is_named });
        memory.set_key_cooldown("k", cooldown(true));
        memory.set_key_cooldown("guessed", cooldown(false));
        memory.record_item_limit("a/m", 40);
        memory.save();
        let again = Memory::new(Some(dir.path()));
        assert!(again.health("a/m").is_limited(now));
        assert_eq!(again.affinity_target("c", now).as_deref(), Some("a/m"));
        assert!(again.health("a/m").named_rest(now).is_some());
        let is_named = |key| again.key_cooldown(key).map(|cooldown| cooldown.is_named);
        assert_eq!((is_named("k"), is_named("guessed")), (Some(true), Some(false)));
        assert_eq!(again.max_items("a/m"), Some(39));
        std::fs::write(dir.path().join(FILE), "{\"targets\":").expect("written");
        assert!(Memory::new(Some(dir.path())).health("a/m").is_ready(now), "it starts afresh");
        assert!(dir.path().join("routes.json.corrupt").exists(), "and keeps the old file aside");
    }

    #[test]
    fn a_cooldown_can_be_ended() {
        let memory = Memory::new(None);
        let now = clock::now();
        let wait = Some(Duration::from_secs(500));
        for target in ["a/m", "ab/m"] {
            let limited = Failure { retry_after: wait, ..Failure::new(FailureKind::WindowExhausted, "x") };
            memory.failed(target, &limited, now);
        }
        assert_eq!(memory.retry(Some("a")), 1);
        assert!(memory.health("a/m").is_ready(now) && !memory.health("ab/m").is_ready(now));
    }

    #[test]
    fn limits_of_items_are_learned_both_ways() {
        let memory = Memory::new(None);
        memory.record_items_taken("a/m", 30);
        assert_eq!(memory.max_items("a/m"), None);
        memory.record_item_limit("a/m", 50);
        assert_eq!(memory.max_items("a/m"), Some(49));
        memory.record_items_taken("a/m", 60);
        assert_eq!(memory.max_items("a/m"), None, "it works again");
    }
}
