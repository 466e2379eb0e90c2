//! The endpoints and routes of one configuration, alive: connections, pools, limits, counters.

mod stats;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use latimer_adapters::adapter::Adapter;
use latimer_adapters::agents::child;
use latimer_protocol::status::{CandidateReport, EndpointState, RouteReport};
use tokio::sync::Semaphore;

pub use self::stats::{AskedToWait, OpenCount, Stats, TurnOutcome};
use super::bucket::Bucket;
use super::budget::Budget;
use super::build;
use super::memory::Memory;
use super::plan::{self, Candidate, order};
use super::pool::Pool;
use super::quota::LowQuota;
use super::rest::Rest;
use crate::accounts::Places;
use crate::clock::{self, Clocks};
use crate::config::{Config, Endpoint, RouteError, Strategy};
use crate::sync::lock;

/// Everything a turn needs to know of the configuration, taken once per turn.
pub struct EndpointSet {
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// What outlives it.
    pub memory: Arc<Memory>,
    /// Where accounts are.
    pub places: Option<Arc<Places>>,
    endpoints: Vec<Arc<EndpointRuntime>>,
}

/// One endpoint, alive.
pub struct EndpointRuntime {
    /// As configured.
    pub endpoint: Endpoint,
    /// Speaks its protocol.
    pub adapter: Adapter,
    /// Its keys and accounts.
    pub pool: Pool,
    /// What is remembered of it.
    pub memory: Arc<Memory>,
    /// Turns at once, where they are limited.
    pub slots: Option<Arc<Semaphore>>,
    bucket: Option<Mutex<Bucket>>,
    budget: Mutex<Budget>,
    /// What happened on it.
    pub stats: Arc<Stats>,
}

/// One possibility for a turn.
#[derive(Clone)]
pub struct RouteTarget {
    /// The endpoint.
    pub runtime: Arc<EndpointRuntime>,
    /// The model's name there.
    pub model: String,
    /// `endpoint/model`: its name in the log, and the key under which it is remembered.
    pub id: String,
}

/// The targets for a turn, the best first.
pub struct Ranking {
    /// Never empty unless a route has lost all of its endpoints.
    pub targets: Vec<RouteTarget>,
    /// Why they stand in this order; `None` where there is nothing to choose.
    pub report: Option<RouteReport>,
}

impl Ranking {
    /// The same for a request that an agent's own model was asked with: no agent is asked for it, for it might ask itself.
    #[must_use]
    pub fn for_an_agent(mut self) -> Self {
        let is_agent = |target: &RouteTarget| target.runtime.endpoint.agent.is_some();
        for candidate in self.report.iter_mut().flat_map(|report| &mut report.candidates) {
            if self.targets.iter().any(|target| is_agent(target) && target.id == candidate.target) {
                candidate.not_ready = Some("it is an agent, and an agent asks".to_owned());
            }
        }
        self.targets.retain(|target| !is_agent(target));
        self
    }
}

impl EndpointSet {
    /// Builds the set. Endpoints that did not change since `before` keep their connections and clocks;
    /// all of them keep their counters.
    pub fn new(
        config: Arc<Config>,
        memory: Arc<Memory>,
        places: Option<Arc<Places>>,
        before: Option<&Self>,
    ) -> Self {
        child::set_max(config.agents.children);
        let agents = agents_folder(&config, places.as_ref());
        let endpoints = config
            .endpoints
            .iter()
            .map(|endpoint| {
                let named = |old: &&Arc<EndpointRuntime>| old.endpoint.name == endpoint.name;
                let old = before.and_then(|set| set.endpoints.iter().find(named));
                if let Some(same) = old.filter(|old| old.endpoint == *endpoint) {
                    return Arc::clone(same);
                }
                let stats = old.map(|old| Arc::clone(&old.stats)).unwrap_or_default();
                Arc::new(EndpointRuntime::new(endpoint.clone(), &memory, places.as_ref(), (stats, &agents)))
            })
            .collect();
        Self { config, memory, places, endpoints }
    }

    /// The same set with new connections to an endpoint, or to all of them; turns that are open keep theirs.
    #[must_use]
    pub fn reconnected(&self, endpoint: Option<&str>) -> Self {
        let fresh = |old: &Arc<EndpointRuntime>| {
            if endpoint.is_some_and(|endpoint| old.endpoint.name.as_str() != endpoint) {
                return Arc::clone(old);
            }
            let (places, stats) = (self.places.as_ref(), Arc::clone(&old.stats));
            let agents = agents_folder(&self.config, places);
            Arc::new(EndpointRuntime::new(old.endpoint.clone(), &self.memory, places, (stats, &agents)))
        };
        Self {
            config: Arc::clone(&self.config),
            memory: Arc::clone(&self.memory),
            places: self.places.clone(),
            endpoints: self.endpoints.iter().map(fresh).collect(),
        }
    }

    /// The targets that may answer for a model, the best first; never empty unless a route has lost all of its endpoints.
    ///
    /// # Errors
    /// No route and no endpoint answers for the model; the text says what to configure.
    pub fn targets(
        &self,
        model: &str,
        conversation: Option<&str>,
        now: Instant,
    ) -> Result<Vec<RouteTarget>, RouteError> {
        self.ranking(model, conversation, now).map(|ranking| ranking.targets)
    }

    /// The same, and why they stand in this order.
    ///
    /// # Errors
    /// As [`EndpointSet::targets`].
    pub fn ranking(
        &self,
        model: &str,
        conversation: Option<&str>,
        now: Instant,
    ) -> Result<Ranking, RouteError> {
        self.rank(model, conversation, now, |route| self.memory.round(route))
    }

    /// How the targets for a model would be ranked for a new conversation that begins now. Nothing is counted and nothing is sent.
    ///
    /// # Errors
    /// As [`EndpointSet::targets`].
    pub fn foresee(&self, model: &str, now: Instant) -> Result<RouteReport, RouteError> {
        let Ranking { targets, report } =
            self.rank(model, None, now, |route| self.memory.next_round(route))?;
        Ok(report.unwrap_or_else(|| RouteReport {
            candidates: targets
                .iter()
                .map(|target| target.report(&target.candidate(0, &self.config, now), &self.config, now))
                .collect(),
            ..RouteReport::default()
        }))
    }

    fn rank(
        &self,
        model: &str,
        conversation: Option<&str>,
        now: Instant,
        round: impl FnOnce(&str) -> usize,
    ) -> Result<Ranking, RouteError> {
        let Some(route) = self.config.named_route(model) else {
            let (endpoint, model) = self.config.route(model)?;
            let targets = self.target(endpoint.name.as_str(), model).into_iter().collect();
            return Ok(Ranking { targets, report: None });
        };
        let targets: Vec<(RouteTarget, u32)> = route
            .targets
            .iter()
            .filter_map(|target| {
                Some((self.target(target.endpoint.as_str(), target.model.clone())?, target.priority))
            })
            .collect();
        let candidates: Vec<Candidate> =
            targets.iter().map(|(target, priority)| target.candidate(*priority, &self.config, now)).collect();
        let last = conversation.filter(|_| route.affinity).and_then(|conversation| {
            self.memory.affinity_target(&affinity_key(&route.name, conversation), now)
        });
        let affinity = last.and_then(|id| targets.iter().position(|(target, _)| target.id == id));
        let round = if route.strategy == Strategy::RoundRobin { round(&route.name) } else { 0 };
        let ranking = order(route.strategy, &candidates, round, affinity);
        let report = RouteReport {
            route: route.name.clone(),
            strategy: route.strategy.name().to_owned(),
            affinity: affinity.and_then(|at| targets.get(at)).map(|(target, _)| target.id.clone()),
            candidates: ranking
                .iter()
                .filter_map(|at| Some(targets.get(*at)?.0.report(candidates.get(*at)?, &self.config, now)))
                .collect(),
        };
        let targets = ranking.into_iter().filter_map(|at| targets.get(at).map(|(target, _)| target.clone()));
        Ok(Ranking { targets: targets.collect(), report: Some(report) })
    }

    /// The key under which a conversation is remembered, if its model is a route with affinity.
    pub fn affinity_key(&self, model: &str, conversation: Option<&str>) -> Option<String> {
        let route = self.config.named_route(model).filter(|route| route.affinity)?;
        conversation.map(|conversation| affinity_key(&route.name, conversation))
    }

    fn target(&self, endpoint: &str, model: String) -> Option<RouteTarget> {
        let runtime = self.endpoints.iter().find(|runtime| runtime.endpoint.name.as_str() == endpoint)?;
        let id = format!("{endpoint}/{model}");
        Some(RouteTarget { runtime: Arc::clone(runtime), model, id })
    }

    /// How every endpoint is doing, in the order of the configuration.
    pub fn states(&self, at: Clocks) -> Vec<EndpointState> {
        self.endpoints.iter().map(|runtime| runtime.state(at)).collect()
    }

    /// Ends the programs of agents, and waits until they are gone with all that they started, at most for so long.
    pub async fn shutdown(&self, limit: Duration) {
        let each = self.endpoints.iter().map(|runtime| runtime.adapter.shutdown());
        let _ = tokio::time::timeout(limit, futures_util::future::join_all(each)).await;
        child::all_gone(limit).await;
    }

    /// What rests of an endpoint, or of all of them, may be tried again now; how much that was.
    pub fn retry(&self, endpoint: Option<&str>) -> usize {
        let named = |runtime: &&Arc<EndpointRuntime>| {
            endpoint.is_none_or(|endpoint| runtime.endpoint.name.as_str() == endpoint)
        };
        let keys = self.endpoints.iter().filter(named).map(|runtime| runtime.pool.end_cooldowns());
        keys.sum::<usize>() + self.memory.retry(endpoint)
    }

    /// Every endpoint, alive.
    pub fn endpoints(&self) -> &[Arc<EndpointRuntime>] {
        &self.endpoints
    }
}

fn affinity_key(route: &str, conversation: &str) -> String {
    format!("{route}\n{conversation}")
}

impl RouteTarget {
    /// Until when the provider asked for no requests here. `None` where it did not, where another key is ready, and where the first key
    /// to be ready rests by a guess of latimer's.
    pub fn named_rest(&self, now: Instant) -> Option<Instant> {
        if self.runtime.pool.is_empty() {
            return self.runtime.memory.health(&self.id).named_rest(now);
        }
        self.runtime.pool.first_cooldown(now).filter(|first| first.is_named).map(|first| first.until)
    }

    /// Whether it failed too often in a row.
    pub fn is_failing(&self, now: Instant) -> bool {
        self.runtime.memory.health(&self.id).is_open(now)
    }

    fn candidate(&self, priority: u32, config: &Config, now: Instant) -> Candidate {
        let health = self.runtime.memory.health(&self.id);
        let avoided = config.avoided.contains(&self.runtime.endpoint.name);
        let known = self.runtime.endpoint.known_model(&self.model);
        let cost = known.map_or(0.0, |model| plan::cost(model.price));
        Candidate {
            low: self.low(now).is_some(),
            ready: !avoided && health.is_ready(now) && self.runtime.has_room(now),
            open_turns: self.runtime.stats.open.load(Ordering::Relaxed),
            score: health.score(priority, now) + cost,
        }
    }
}

impl RouteTarget {
    /// What is told of it beside the decision.
    fn report(&self, candidate: &Candidate, config: &Config, now: Instant) -> CandidateReport {
        CandidateReport {
            target: self.id.clone(),
            score: (candidate.score * 10.0).round() / 10.0,
            open_turns: candidate.open_turns,
            not_ready: if candidate.ready {
                self.low(now).map(|low| low.words())
            } else {
                Some(self.not_ready(config, now))
            },
        }
    }

    fn low(&self, now: Instant) -> Option<LowQuota> {
        self.runtime.pool.low(&self.model, Clocks { now, ..Clocks::now() })
    }

    fn not_ready(&self, config: &Config, now: Instant) -> String {
        if config.avoided.contains(&self.runtime.endpoint.name) {
            return "the watchdog asked to avoid it for a while".to_owned();
        }
        let rest = self.runtime.memory.health(&self.id).rest(now).or_else(|| self.runtime.pool.rest(now));
        rest.map_or_else(|| "it has no room for one more turn".to_owned(), |rest| rest.words(now))
    }
}

impl EndpointRuntime {
    fn new(
        endpoint: Endpoint,
        memory: &Arc<Memory>,
        places: Option<&Arc<Places>>,
        (stats, agents): (Arc<Stats>, &Path),
    ) -> Self {
        let now = clock::now();
        Self {
            adapter: build::adapter(&endpoint, agents),
            pool: Pool::new(&endpoint.keys, endpoint.login, places.cloned(), Arc::clone(memory), now),
            memory: Arc::clone(memory),
            slots: endpoint.max_parallel.map(|max| Arc::new(Semaphore::new(max as usize))),
            bucket: endpoint.requests_per_minute.map(|max| Mutex::new(Bucket::new(max, now))),
            budget: Mutex::new(Budget::default()),
            stats,
            endpoint,
        }
    }

    /// The retry budget.
    pub fn budget(&self) -> MutexGuard<'_, Budget> {
        lock(&self.budget)
    }

    /// Takes one request of the minute's, and says how long to wait for it.
    pub fn take_token(&self, now: Instant) -> Duration {
        self.bucket.as_ref().map_or(Duration::ZERO, |bucket| lock(bucket).take(now))
    }

    /// Whether one more turn would not have to wait.
    fn has_room(&self, now: Instant) -> bool {
        self.pool.is_ready(now)
            && self.slots.as_ref().is_none_or(|slots| slots.available_permits() > 0)
            && self.bucket.as_ref().is_none_or(|bucket| lock(bucket).is_ready(now))
    }

    /// Why no turn goes here while another target answers, if that is so.
    fn rest(&self, now: Instant) -> Option<Rest> {
        let of_models = self
            .endpoint
            .models
            .iter()
            .map(|model| self.memory.health(&format!("{}/{}", self.endpoint.name, model.id)).rest(now));
        let of_keys = self.pool.rest(now);
        Rest::of_endpoint(of_keys, of_models)
    }

    fn state(&self, at: Clocks) -> EndpointState {
        let now = at.now;
        let total = self.stats.total.load(Ordering::Relaxed);
        let words = lock(&self.stats.last_words).clone();
        let rest = self.rest(now);
        let last_failure = *lock(&self.stats.last_failure);
        let (keys, keys_resting) = self.pool.counts(now);
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
            last_failure_at: words.as_ref().map(|(_, at)| *at),
            last_message: words.map(|(words, _)| words),
            rests_until: rest.and_then(|rest| at.to_unix(Some(rest.until))),
            rests_because: rest.map(|rest| rest.why.to_owned()),
            keys_resting,
            keys,
        }
    }
}

/// The folder of all agents. Without a state directory there is none, and an agent says so when it is asked.
fn agents_folder(config: &Config, places: Option<&Arc<Places>>) -> PathBuf {
    places.map_or_else(PathBuf::new, |places| config.agents.folder(&places.state_dir))
}

mod all_nodes;
#[cfg(test)]
mod tests;
