//! The proxy: everything that outlives a connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::secret::Secret;
use latimer_protocol::turn::SealKey;
use tokio::sync::watch;

use super::client_keys;
use super::endpoints::CurrentEndpoints;
use super::entry::Entry;
use super::found_clients::FoundClients;
use super::lag::LagMeter;
use super::live_feed::LiveFeed;
use super::page_codes::Codes;
use super::page_logins::PageLogins;
use super::request_names::RequestNames;
use crate::accounts::{Fleet, Places};
use crate::agents::runs::Runs;
use crate::agents::schedules::Schedules;
use crate::clock;
use crate::clockwork::runner::Clockwork;
use crate::config::watch::Live;
use crate::http::refusal::Refusal;
use crate::keys::keyring::{ClientKey, Keyring, OpenStore};
use crate::lifecycle::force_stop::ForceStop;
use crate::lifecycle::open_turns::{OpenTurn, OpenTurns};
use crate::lifecycle::phase::Phase;
use crate::lifecycle::run_name::RunName;
use crate::metrics::Metrics;
use crate::probe::Probe;
use crate::route::endpoint_set::EndpointSet;
use crate::route::memory::Memory;
use crate::running::KeptRequests;
use crate::store::client_keys::FileKeys;
use crate::store::postgres::PostgresStore;
use crate::store::warn::CacheMonitor;
use crate::store::{self, Store};
use crate::turn::{Recording, TurnContext};

/// The state of a proxy. [`serve`](Self::serve) puts it on a socket.
pub struct Proxy {
    pub(super) live: Arc<Live>,
    pub(super) endpoints: CurrentEndpoints,
    pub(super) probe: Probe,
    pub(super) lag: LagMeter,
    /// Begins everything that is done by itself.
    pub(super) clockwork: Clockwork,
    pub(super) memory: Arc<Memory>,
    pub(super) store: Store,
    /// Profiles, runs and messages.
    pub(super) agents: Arc<Runs>,
    /// What begins runs by the clock.
    pub(super) schedules: Schedules,
    /// Knows whose prompt caches were warm.
    caches: Arc<Mutex<CacheMonitor>>,
    /// Keys for people.
    pub(super) keys: Keyring,
    /// Figures for other people's tools.
    pub(super) metrics: Arc<Metrics>,
    pub(super) entry: Entry,
    pub(super) seal: SealKey,
    pub(super) turns: Arc<OpenTurns>,
    /// One-time codes that open the page.
    pub(super) codes: Mutex<Codes>,
    /// Logins that pages began.
    pub(super) logins: Arc<PageLogins>,
    /// The coding agents of this machine.
    pub(super) clients: FoundClients,
    /// What pages are told as it happens.
    pub(super) feed: LiveFeed,
    names: RequestNames,
    phase: watch::Sender<Phase>,
    pub(super) started: Instant,
}

impl Proxy {
    /// A proxy over a configuration that may change. `token` is the secret of the state directory; where the configuration wants one and
    /// there is none, everyone who reaches the port may come in.
    /// The seal is for provider state on its way through clients; all nodes need the same.
    /// What routing learns is kept in the state directory, where there is one.
    /// Accounts are looked for in `places`.
    pub fn new(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: SealKey,
        places: Option<Arc<Places>>,
    ) -> Arc<Self> {
        let state_dir = places.as_ref().map(|places| places.state_dir.clone());
        Self::build(live, token, seal, places, state_dir.as_deref(), None)
    }

    /// The same, with a store that it shares with other nodes.
    pub fn sharing(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: SealKey,
        places: Option<Arc<Places>>,
        nodes: Arc<PostgresStore>,
    ) -> Arc<Self> {
        let state_dir = places.as_ref().map(|places| places.state_dir.clone());
        Self::build(live, token, seal, places, state_dir.as_deref(), Some(nodes))
    }

    /// The same in safe mode: nothing that was learned or stored is read or written, in case it is what breaks the proxy.
    pub fn safe(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: SealKey,
        places: Option<Arc<Places>>,
    ) -> Arc<Self> {
        Self::build(live, token, seal, places, None, None)
    }

    fn build(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: SealKey,
        places: Option<Arc<Places>>,
        state_dir: Option<&Path>,
        nodes: Option<Arc<PostgresStore>>,
    ) -> Arc<Self> {
        let memory = Arc::new(Memory::new(state_dir));
        if let Some(nodes) = &nodes {
            memory.share(nodes);
            if let Some(places) = &places {
                places.join(Arc::clone(nodes) as Arc<dyn Fleet>);
            }
        }
        let keys = match &nodes {
            Some(nodes) => shared_keys(nodes),
            None => Keyring::new(places.as_ref().map(|places| open_keys(&places.state_dir))),
        };
        let run = match (state_dir, &places) {
            _ if nodes.is_some() => RunName::random(),
            (Some(dir), _) => RunName::begin(dir, dir.join(store::FILE).exists()),
            (None, Some(_)) => RunName::random(),
            (None, None) => RunName::default(),
        };
        let agents = Runs::new(state_dir);
        Arc::new(Self {
            probe: Probe::default(),
            lag: LagMeter::default(),
            clockwork: Clockwork::default(),
            memory: Arc::clone(&memory),
            metrics: Arc::default(),
            schedules: Schedules::new(Arc::clone(&agents)),
            agents,
            store: nodes.map_or_else(|| Store::open(state_dir), Store::shared),
            keys,
            caches: Arc::default(),
            endpoints: CurrentEndpoints::new(Arc::clone(&live), Arc::clone(&memory), places),
            entry: Entry::new(token, &live.current()),
            live,
            seal,
            turns: Arc::new(OpenTurns::new(run)),
            codes: Mutex::default(),
            logins: Arc::default(),
            clients: FoundClients::default(),
            feed: LiveFeed::default(),
            names: RequestNames::new(),
            phase: watch::Sender::new(Phase::Serving),
            started: clock::now(),
        })
    }

    /// The jobs of this process. They are begun as long as it serves.
    pub fn clockwork(&self) -> &Clockwork {
        &self.clockwork
    }

    /// Takes up another token for requests from now on.
    pub fn rotate_token(&self, token: &Secret) {
        self.entry.rotate(token);
    }

    /// How long no turn was open; zero while one is.
    pub fn idle_for(&self) -> Duration {
        self.turns.idle_for()
    }

    /// Seals the sessions of pages: with another token they are over.
    pub(super) fn page_seal(&self) -> SealKey {
        self.entry.proof_key().unwrap_or_else(|| self.seal.clone())
    }

    /// Where the process stands.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Tells of every phase from now on.
    pub(super) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Enters the next phase. Everyone who watches it is told.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// The endpoints for a turn that begins now.
    pub(super) fn endpoints(&self) -> Arc<EndpointSet> {
        self.endpoints.get(clock::now())
    }

    /// Where state is kept between starts.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        self.endpoints().places.as_ref().map(|places| places.state_dir.clone())
    }

    /// A name for a request, such as `req_5f2c90d1a7b3e846`.
    pub(super) fn request_name(&self) -> String {
        self.names.next()
    }

    /// Counts a turn as open and gives it what it needs.
    ///
    /// # Errors
    ///
    /// No turn begins any more.
    pub(super) fn begin_turn(&self, request: &str) -> Result<TurnContext, Refusal> {
        self.check_accepts_turns()?;
        self.kept_requests();
        Ok(self.turn_context(self.turns.begin(), request))
    }

    /// What the last turns were asked and what they sent, as far as the configuration of this moment has it kept.
    pub(super) fn kept_requests(&self) -> &KeptRequests {
        let kept = self.turns.running.requests();
        kept.keep(self.live.current().server.keep_requests);
        kept
    }

    /// The same for a client key, if that is so and it may use more; `None` for the owner.
    ///
    /// # Errors
    ///
    /// No turn begins any more, or the key opens nothing or is over a limit.
    pub(super) async fn begin_turn_for(
        &self,
        key: Option<&ClientKey>,
        request: &str,
    ) -> Result<TurnContext, Refusal> {
        let Some(key) = key else { return self.begin_turn(request) };
        self.check_accepts_turns()?;
        let turn = self.keys.admit(key).await.map_err(|denied| client_keys::denied(denied, &self.metrics))?;
        let context = self.begin_turn(request)?;
        // Also a turn that is refused before it begins says who asked for it.
        context.open.running.change(|report| report.key = Some(turn.key().record.name.clone()));
        Ok(TurnContext { key: Some(turn), ..context })
    }

    /// Refuses while open turns are only waited for.
    ///
    /// # Errors
    ///
    /// No turn begins any more.
    pub(super) fn check_accepts_turns(&self) -> Result<(), Refusal> {
        if self.phase().accepts_turns() {
            return Ok(());
        }
        let mut refusal = Refusal::new(503, "server_error", "proxy_shutting_down")
            .message("latimer is stopping; the request can be sent again");
        refusal.retry_after = Some(1);
        Err(refusal)
    }

    /// What a turn gets, for a turn that is counted already. `request` is the name of the request in the log.
    pub(super) fn turn_context(&self, open: OpenTurn, request: &str) -> TurnContext {
        TurnContext {
            endpoint_set: self.endpoints(),
            open,
            force_stop: ForceStop::new(self.watch_phase()),
            seal: self.seal.clone(),
            store: self.store.clone(),
            agents: Arc::clone(&self.agents),
            caches: Arc::clone(&self.caches),
            recording: Recording::Full,
            request: request.to_owned(),
            key: None,
            metrics: Arc::clone(&self.metrics),
            received: clock::now(),
        }
    }
}

/// The keys of all nodes; a change is taken up when the database tells of it.
fn shared_keys(nodes: &Arc<PostgresStore>) -> Keyring {
    let store = Arc::clone(nodes);
    let keys = Keyring::shared(Box::new(move || Ok(Box::new(store.keys()))));
    nodes.listen_for_keys(keys.look_soon());
    keys
}

/// Opens the keys of a state directory. The file is the store's, which makes it at its start.
fn open_keys(state_dir: &Path) -> OpenStore {
    let path = state_dir.join(store::FILE);
    Box::new(move || Ok(Box::new(FileKeys::open(&path)?)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::parse::load;

    /// A proxy without endpoints, state directory and token.
    pub(in crate::server) fn proxy() -> Arc<Proxy> {
        let loaded = load("", &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        let live = Arc::new(Live::new(loaded.expect("a configuration").config, None));
        Proxy::new(live, None, SealKey::default(), None)
    }

    #[tokio::test]
    async fn turns_begin_until_the_proxy_drains() {
        let proxy = proxy();
        for phase in [Phase::Serving, Phase::HandingOver] {
            proxy.enter(phase);
            assert!(proxy.begin_turn("req_1").is_ok(), "{phase:?}");
        }
        proxy.enter(Phase::Draining);
        let refusal = proxy.begin_turn("req_1").err().expect("refused");
        assert_eq!((refusal.status, refusal.retry_after), (503, Some(1)));
        assert_eq!(proxy.turns.total(), 2, "a refused turn is not counted");
    }

    #[tokio::test]
    async fn every_request_has_a_name_of_its_own() {
        let proxy = proxy();
        assert_ne!(proxy.request_name(), proxy.request_name());
    }
}
