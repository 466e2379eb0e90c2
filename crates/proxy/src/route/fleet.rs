//! The endpoints of one configuration, alive: connection pools, key pools, counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::header::{HeaderName, HeaderValue};
use latimer_adapters::adapter::Adapter;
use latimer_adapters::chat::Chat;
use latimer_adapters::credential::Credential;
use latimer_adapters::link::Link;
use latimer_adapters::transport::http::{Http, HttpOptions};
use latimer_protocol::failure::Failure;
use latimer_protocol::status::EndpointState;

use super::budget::Budget;
use super::keys::Keys;
use crate::config::{Config, Endpoint, Protocol};

/// Everything a turn needs to know of the configuration, taken once per turn.
pub struct Fleet {
    /// The configuration it was built from.
    pub config: Arc<Config>,
    endpoints: Vec<Arc<Runtime>>,
}

/// One endpoint, alive.
pub struct Runtime {
    /// As configured.
    pub endpoint: Endpoint,
    /// Speaks its protocol.
    pub adapter: Adapter,
    keys: Mutex<Keys>,
    budget: Mutex<Budget>,
    /// What happened on it.
    pub stats: Stats,
}

/// What happened on an endpoint.
#[derive(Default)]
pub struct Stats {
    open: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    last_failure: Mutex<Option<&'static str>>,
    repairs: Mutex<BTreeMap<String, u64>>,
}

impl Fleet {
    /// Builds the fleet. Endpoints that did not change since `before` keep their connections, clocks and counters.
    pub fn new(config: Arc<Config>, before: Option<&Self>) -> Self {
        let endpoints = config
            .endpoints
            .iter()
            .map(|endpoint| {
                before
                    .and_then(|fleet| fleet.endpoints.iter().find(|old| old.endpoint == *endpoint))
                    .map_or_else(|| Arc::new(Runtime::new(endpoint.clone())), Arc::clone)
            })
            .collect();
        Self { config, endpoints }
    }

    /// The endpoint of this name.
    pub fn find(&self, endpoint: &Endpoint) -> Option<&Arc<Runtime>> {
        self.endpoints.iter().find(|runtime| runtime.endpoint.name == endpoint.name)
    }

    /// How every endpoint is doing, in the order of the configuration.
    pub fn states(&self, now: Instant) -> Vec<EndpointState> {
        self.endpoints.iter().map(|runtime| runtime.state(now)).collect()
    }
}

impl Runtime {
    fn new(endpoint: Endpoint) -> Self {
        let link = Arc::new(Link {
            name: endpoint.name.to_string(),
            base_url: endpoint.base_url.clone(),
            headers: endpoint
                .headers
                .iter()
                .filter_map(|(name, value)| {
                    Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
                })
                .collect(),
            provider: endpoint.preset.map_or_else(|| endpoint.name.to_string(), str::to_owned),
            first_byte: endpoint.timeouts.first_byte,
            idle: endpoint.timeouts.idle,
            http: Http::new(HttpOptions {
                connect: endpoint.timeouts.connect,
                ca_file: endpoint.ca_file.clone(),
            }),
        });
        let Protocol::Chat = endpoint.protocol;
        let adapter = Adapter::Chat(Chat { link, quirks: endpoint.quirks.clone() });
        Self {
            adapter,
            keys: Mutex::new(Keys::new(endpoint.keys.len())),
            budget: Mutex::new(Budget::default()),
            stats: Stats::default(),
            endpoint,
        }
    }

    /// A key of the pool.
    pub fn credential(&self, key: usize) -> Option<Credential> {
        let secret = self.endpoint.keys.get(key)?;
        Some(Credential::api_key(format!("key-{}", key + 1), secret.clone()))
    }

    /// The pool's clocks.
    pub fn keys(&self) -> MutexGuard<'_, Keys> {
        lock(&self.keys)
    }

    /// The retry budget.
    pub fn budget(&self) -> MutexGuard<'_, Budget> {
        lock(&self.budget)
    }

    fn state(&self, now: Instant) -> EndpointState {
        let total = self.stats.total.load(Ordering::Relaxed);
        let last_failure = *lock(&self.stats.last_failure);
        EndpointState {
            name: self.endpoint.name.to_string(),
            state: match (total, last_failure) {
                (0, _) => "idle",
                (_, Some(_)) => "failing",
                (_, None) => "ok",
            }
            .to_owned(),
            turns_open: self.stats.open.load(Ordering::Relaxed),
            turns_total: total,
            turns_failed: self.stats.failed.load(Ordering::Relaxed),
            repairs: lock(&self.stats.repairs).clone(),
            last_failure: last_failure.map(str::to_owned),
            keys_resting: self.keys().resting(now),
            keys: self.endpoint.keys.len(),
        }
    }
}

impl Stats {
    /// A turn began.
    pub fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    /// So much of an answer by this model was repaired.
    pub fn repaired(&self, model: &str, repairs: u32) {
        if repairs > 0 {
            *lock(&self.repairs).entry(model.to_owned()).or_default() += u64::from(repairs);
        }
    }

    /// A turn ended: with a failure, well, or because the client left (`None` and not `well`).
    pub fn end(&self, failure: Option<&Failure>, well: bool) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            self.failed.fetch_add(1, Ordering::Relaxed);
            *lock(&self.last_failure) = Some(failure.kind.code());
        } else if well {
            *lock(&self.last_failure) = None;
        }
    }
}

/// A panic in one turn must not take the others along: the data behind these locks is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
