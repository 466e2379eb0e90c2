//! Serving: connections in, the path table, limits, and stopping without breaking a stream.

mod accounts;
pub mod admin;
pub mod body;
mod connections;
pub mod guard;
pub mod overrides;
pub mod paths;
pub mod pulse;
mod stored;
mod vitals;
mod watchdog;
mod websocket;

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, UPGRADE};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use latimer_protocol::secret::Secret;
use latimer_protocol::status::Health;
use latimer_protocol::turn::Seal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use self::connections::{ConnectionGuard, ConnectionTracker};
use self::guard::TokenHash;
use self::overrides::Overrides;
use self::paths::{Action, Admin};
use self::pulse::Pulse;
use self::websocket::UpgradeSlot;
use crate::accounts::Places;
use crate::clock;
use crate::config::Config;
use crate::config::watch::Live;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json};
use crate::inbound::{gemini, messages, models};
use crate::lifecycle::force_stop::ForceStop;
use crate::lifecycle::open_turns::{OpenTurn, OpenTurns};
use crate::lifecycle::phase::{self, Phase, StopRequest};
use crate::probe::{self, Probe};
use crate::route::endpoint_set::EndpointSet;
use crate::route::memory::Memory;
use crate::store::Store;
use crate::store::warn::CacheMonitor;
use crate::sync::{read, write};
use crate::turn::{self, TurnContext};

/// How long a client may take for its request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// After a second signal, and for writing the last events after the grace period.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Connections at once; one more is told to come back.
const MOST_CONNECTIONS: usize = 10_000;
/// After handing over, how long a connection without a request is kept: its client may be about to use it.
const HANDED_OVER_IDLE: Duration = Duration::from_secs(5);
/// After handing over, the longest that turns may go on.
const HANDED_OVER: Duration = Duration::from_secs(600);
/// How often what routing learned is written, if it changed.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before accepting again when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The proxy: everything that outlives a connection.
pub struct Proxy {
    live: Arc<Live>,
    /// The fleet, the configuration it comes from, and the generation of the overrides in it.
    endpoint_set: RwLock<(Arc<EndpointSet>, Arc<Config>, u64)>,
    overrides: Overrides,
    probe: Probe,
    pulse: Pulse,
    memory: Arc<Memory>,
    store: Store,
    caches: Arc<Mutex<CacheMonitor>>,
    token: Option<TokenHash>,
    seal: Seal,
    turns: Arc<OpenTurns>,
    requests: AtomicU64,
    phase: watch::Sender<Phase>,
    started: Instant,
}

impl Proxy {
    /// A proxy over a configuration that may change. Without a token everyone who reaches the port may come in.
    /// The seal is for provider state on its way through clients; all nodes need the same.
    /// What routing learns is kept in the state directory, where there is one.
    /// Accounts are looked for in `places`.
    pub fn new(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: Seal,
        places: Option<Arc<Places>>,
    ) -> Arc<Self> {
        let state_dir = places.as_ref().map(|places| places.state_dir.clone());
        Self::build(live, token, seal, places, state_dir.as_deref())
    }

    /// The same in safe mode: nothing that was learned or kept is read or written, in case it is what breaks the proxy.
    pub fn safe(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: Seal,
        places: Option<Arc<Places>>,
    ) -> Arc<Self> {
        Self::build(live, token, seal, places, None)
    }

    fn build(
        live: Arc<Live>,
        token: Option<&Secret>,
        seal: Seal,
        places: Option<Arc<Places>>,
        state_dir: Option<&Path>,
    ) -> Arc<Self> {
        let memory = Arc::new(Memory::new(state_dir));
        let store = Store::open(state_dir);
        let config = live.current();
        let endpoint_set = EndpointSet::new(Arc::clone(&config), Arc::clone(&memory), places, None);
        Arc::new(Self {
            endpoint_set: RwLock::new((Arc::new(endpoint_set), config, 0)),
            overrides: Overrides::default(),
            probe: Probe::default(),
            pulse: Pulse::default(),
            memory,
            store,
            caches: Arc::default(),
            live,
            token: token.map(TokenHash::new),
            seal,
            turns: Arc::new(OpenTurns::new()),
            requests: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Serving),
            started: clock::now(),
        })
    }

    /// Serves until `stop` yields once; a second yield shortens the grace period. Returns when every turn has ended, well
    /// or with a legal terminal event.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: mpsc::Receiver<StopRequest>,
    ) -> io::Result<()> {
        let pulse = async {
            self.pulse.measure().await;
            Ok(())
        };
        tokio::select! {
            served = Arc::clone(&self).serve_connections(listener, stop) => served,
            never = pulse => never,
        }
    }

    async fn serve_connections(
        self: Arc<Self>,
        listener: TcpListener,
        mut stop: mpsc::Receiver<StopRequest>,
    ) -> io::Result<()> {
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let house = ConnectionTracker::new();
        let mut save = tokio::time::interval(SAVE_EVERY);
        let how = loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                how = stop.recv() => break how,
                _ = save.tick() => {
                    self.memory.save();
                    continue;
                }
            };
            match accepted {
                Ok((stream, _)) => match Arc::clone(&connections).try_acquire_owned() {
                    Ok(permit) => {
                        let connection = Arc::clone(&self).connection(stream, house.open());
                        tokio::spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(_) => reject_busy(&stream),
                },
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    tracing::warn!(event = "accept.paused", error = %error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        drop(listener);
        if how == Some(StopRequest::HandOver) {
            self.hand_over(&house, &mut stop).await;
        }
        self.drain(house, stop).await;
        self.memory.save();
        self.store.flush();
        Ok(())
    }

    /// How long no turn was open.
    pub fn idle_for(&self) -> Duration {
        self.turns.idle_for()
    }

    /// One connection, whatever becomes of it. It keeps the house open until it is over.
    async fn connection(self: Arc<Self>, stream: TcpStream, guest: ConnectionGuard) {
        let _ = stream.set_nodelay(true);
        let doorway = UpgradeSlot::default();
        let (proxy, door) = (Arc::clone(&self), doorway.clone());
        let service = hyper::service::service_fn(move |request| {
            let (proxy, door) = (Arc::clone(&proxy), door.clone());
            async move { Ok::<_, Infallible>(proxy.answer(request, &door).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let served = tokio::select! {
            biased;
            served = connection.as_mut() => served,
            () = phase::until_draining(self.phase.subscribe()) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // A client that leaves or speaks garbage is no event of ours.
        if let Err(error) = served {
            tracing::debug!(event = "connection.broken", error = %error);
        }
        if let Some(upgrade) = doorway.take()
            && AssertUnwindSafe(upgrade.serve(self)).catch_unwind().await.is_err()
        {
            tracing::error!(event = "websocket.panicked");
        }
        drop(guest);
    }

    /// Answers what comes on the connections that are open, until they are closed or idle. A request to stop ends this.
    async fn hand_over(&self, house: &ConnectionTracker, stop: &mut mpsc::Receiver<StopRequest>) {
        const LOOK: Duration = Duration::from_millis(50);
        self.phase.send_replace(Phase::HandingOver);
        tracing::info!(event = "handover.begin", turns = self.turns.open(), connections = house.count());
        let begun = clock::now();
        while house.count() > 0 {
            let idle = begun.elapsed().min(self.idle_for()) > HANDED_OVER_IDLE;
            if idle || begun.elapsed() > HANDED_OVER {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.recv() => break,
            }
        }
        tracing::info!(event = "handover.end", turns = self.turns.open(), connections = house.count());
    }

    async fn drain(&self, house: ConnectionTracker, mut stop: mpsc::Receiver<StopRequest>) {
        self.phase.send_replace(Phase::Draining);
        let grace = self.live.current().server.grace;
        tracing::info!(event = "drain.begin", turns = self.turns.open(), grace_s = grace.as_secs());
        let closed = house.closed();
        tokio::pin!(closed);
        let done = tokio::select! {
            () = &mut closed => true,
            () = tokio::time::sleep(grace) => false,
            _ = stop.recv() => tokio::time::timeout(LAST_WORDS, &mut closed).await.is_ok(),
        };
        if !done {
            self.phase.send_replace(Phase::ForceStop);
            let _ = tokio::time::timeout(LAST_WORDS, closed).await;
        }
        tracing::info!(event = "drain.end", turns = self.turns.open());
    }

    /// A name for a request, unique on this machine.
    fn request_name(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("req_{:x}_{number:x}", std::process::id())
    }

    async fn answer(&self, request: Request<Incoming>, door: &UpgradeSlot) -> Response<Reply> {
        let id = self.request_name();
        let front = paths::front(request.uri().path(), request.headers());
        let answered = AssertUnwindSafe(self.route(request, &id, door)).catch_unwind().await;
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(refusal)) => {
                tracing::debug!(event = "request.refused", request = %id, status = refusal.status, code = refusal.code);
                refusal.into_response(front, &id)
            }
            Err(_) => {
                tracing::error!(event = "request.panicked", request = %id);
                Refusal::new(500, "server_error", "internal_error")
                    .message(format!("latimer made a mistake; its log has the details under {id}"))
                    .into_response(front, &id)
            }
        };
        if let Ok(value) = HeaderValue::try_from(id) {
            response.headers_mut().insert("x-request-id", value);
        }
        if *self.phase.borrow() == Phase::HandingOver {
            // The next request of this client shall go to the other process.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        id: &str,
        door: &UpgradeSlot,
    ) -> Result<Response<Reply>, Refusal> {
        let (head, incoming) = request.into_parts();
        let config = self.live.current();
        if head.uri.authority().is_some() {
            return Err(Refusal::invalid(400, "invalid_target")
                .message("latimer is not a forward proxy; send a path, not a whole URL"));
        }
        guard::check_origin(&head.headers, &config.server.hosts)?;
        let known = self.token.as_ref().is_none_or(|token| guard::has_token(&head.headers, token));
        let action = paths::find(&head.method, head.uri.path());
        if !known && !matches!(action, Ok(Action::Health | Action::Root | Action::Options(_))) {
            return Err(unauthorized());
        }
        if paths::is_responses(head.uri.path()) && wants_upgrade(&head.headers) {
            if config.server.websocket && websocket::is_meant(&head.headers) {
                self.accepts_turns()?;
                return door.open(head, config.server.body_limit);
            }
            // Codex falls back to plain HTTP at once on 426, and only then.
            return Err(Refusal::invalid(426, "upgrade_not_supported").message("latimer speaks the Responses protocol over HTTP, not over WebSocket, unless `server.websocket` is true; send POST /v1/responses"));
        }
        let headers = &head.headers;
        let body = async |incoming| body::read(headers, incoming, config.server.body_limit).await;
        match action? {
            Action::Responses => {
                self.accepts_turns()?;
                let body = body(incoming).await?;
                if !probe::asks(&body) {
                    return Ok(turn::responses(self.begin_turn(id)?, headers, body).await);
                }
                let stage = self.probe.stage().await.map_err(|error| no_probe(&error))?;
                let mut surroundings = self.surroundings(stage.turns.begin(), id);
                surroundings.endpoint_set = Arc::clone(&stage.endpoint_set);
                surroundings.quiet = true;
                Ok(turn::responses(surroundings, headers, body).await)
            }
            Action::Compact => {
                let surroundings = self.begin_turn(id)?;
                Ok(turn::compact(surroundings, headers, body(incoming).await?).await)
            }
            Action::Chat => {
                let surroundings = self.begin_turn(id)?;
                Ok(turn::chat(surroundings, headers, body(incoming).await?).await)
            }
            Action::Messages => {
                let surroundings = self.begin_turn(id)?;
                Ok(turn::messages(surroundings, headers, body(incoming).await?).await)
            }
            Action::Generate(target) if target.method != gemini::target::Method::Count => {
                let surroundings = self.begin_turn(id)?;
                let form = target.form(head.uri.query());
                let body = body(incoming).await?;
                Ok(turn::generate(surroundings, headers, body, &target.model, form).await)
            }
            Action::Generate(target) => {
                Ok(turn::generate_count(&self.seal, &body(incoming).await?, &target.model))
            }
            Action::CountTokens => Ok(turn::messages_count(&self.seal, &body(incoming).await?, id)),
            Action::InputTokens => Ok(turn::input_tokens(&self.seal, &body(incoming).await?)),
            Action::Response(response) => {
                stored::retrieve(&self.store, response, head.uri.query().unwrap_or_default()).await
            }
            Action::DeleteResponse(response) => stored::delete(&self.store, response).await,
            Action::CancelResponse(response) => stored::cancel(&self.store, response).await,
            Action::InputItems(response) => {
                stored::input_items(&self.store, response, head.uri.query().unwrap_or_default()).await
            }
            Action::GeminiModels => Ok(json(200, gemini::models::list(&config))),
            Action::GeminiModel(id) => {
                gemini::models::one(&config, id).map(|model| json(200, model)).ok_or_else(|| no_model(id))
            }
            Action::Models if headers.contains_key("anthropic-version") => {
                Ok(json(200, messages::models::list(&config, turn::is_discovery(headers))))
            }
            Action::Models => Ok(json(200, models::list(&config))),
            Action::Model(id) => {
                models::one(&config, id).map(|model| json(200, model)).ok_or_else(|| no_model(id))
            }
            Action::Accounts => Ok(json(200, accounts::document(&self.endpoint_set()))),
            Action::Turns => Ok(json(200, self.turns.traces.list())),
            Action::Turn(id) => {
                self.turns.traces.one(id).map(|trace| json(200, trace)).ok_or_else(|| no_turn(id))
            }
            Action::Admin(what) => self.administer(what, headers, incoming).await,
            Action::Health if known => Ok(json(200, self.health())),
            Action::Health => Ok(json(200, "{\"status\":\"ok\"}")),
            Action::Root => Ok(json(
                200,
                concat!("{\"name\":\"latimer\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}"),
            )),
            Action::Options(allow) => {
                let mut response = json(204, "");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                Ok(response)
            }
        }
    }

    async fn administer(
        &self,
        what: Admin<'_>,
        headers: &HeaderMap,
        incoming: Incoming,
    ) -> Result<Response<Reply>, Refusal> {
        match what {
            Admin::Overrides => Ok(admin::list(&self.overrides)),
            Admin::AddOverride => {
                let body = body::read(headers, incoming, admin::BODY_LIMIT).await?;
                admin::add(&self.overrides, &self.live.current(), &body)
            }
            Admin::RemoveOverride(id) => admin::remove(&self.overrides, id),
            Admin::Forget(endpoint) => admin::forget(&self.memory.limitations, endpoint),
            Admin::Retry(endpoint) => {
                tracing::info!(event = "route.retried", endpoint = endpoint.unwrap_or("*"));
                Ok(json(200, format!("{{\"retried\":{}}}", self.memory.retry(endpoint))))
            }
            Admin::Reconnect(endpoint) => {
                self.reconnect(endpoint);
                Ok(json(200, "{}"))
            }
            Admin::Watchdog => watchdog::show(self.state_dir().as_deref()).await,
            Admin::Cancel(id) => watchdog::cancel(self.state_dir().as_deref(), id).await,
        }
    }

    fn state_dir(&self) -> Option<PathBuf> {
        self.endpoint_set().places.as_ref().map(|places| places.state_dir.clone())
    }

    fn begin_turn(&self, request: &str) -> Result<TurnContext, Refusal> {
        self.accepts_turns()?;
        Ok(self.surroundings(self.turns.begin(), request))
    }

    /// Refuses while open turns are only waited for.
    fn accepts_turns(&self) -> Result<(), Refusal> {
        if self.phase.borrow().accepts_turns() {
            return Ok(());
        }
        let mut refusal = Refusal::new(503, "server_error", "proxy_shutting_down")
            .message("latimer is stopping; the request can be sent again");
        refusal.retry_after = Some(1);
        Err(refusal)
    }

    fn surroundings(&self, open: OpenTurn, request: &str) -> TurnContext {
        TurnContext {
            endpoint_set: self.endpoint_set(),
            open,
            cut: ForceStop::new(self.phase.subscribe()),
            seal: self.seal.clone(),
            store: self.store.clone(),
            caches: Arc::clone(&self.caches),
            quiet: false,
            request: request.to_owned(),
        }
    }

    /// The fleet of the current configuration; a changed configuration or override is taken up by the first turn after it.
    fn endpoint_set(&self) -> Arc<EndpointSet> {
        let (config, now) = (self.live.current(), clock::now());
        let generation = self.overrides.generation(now);
        let is_current = |built: &(Arc<EndpointSet>, Arc<Config>, u64)| {
            Arc::ptr_eq(&built.1, &config) && built.2 == generation
        };
        {
            let built = read(&self.endpoint_set);
            if is_current(&built) {
                return Arc::clone(&built.0);
            }
        }
        let mut slot = write(&self.endpoint_set);
        if !is_current(&slot) {
            let changed = self.overrides.apply(&config, now);
            let before = Arc::clone(&slot.0);
            let endpoint_set =
                EndpointSet::new(changed, Arc::clone(&self.memory), before.places.clone(), Some(&before));
            *slot = (Arc::new(endpoint_set), config, generation);
        }
        Arc::clone(&slot.0)
    }

    /// The next turns of an endpoint, or of all, make new connections.
    fn reconnect(&self, endpoint: Option<&str>) {
        // Takes up a changed configuration first, so that the slot holds the newest fleet.
        drop(self.endpoint_set());
        let mut slot = write(&self.endpoint_set);
        slot.0 = Arc::new(slot.0.reconnected(endpoint));
        tracing::info!(event = "route.reconnected", endpoint = endpoint.unwrap_or("*"));
    }

    fn health(&self) -> String {
        let now = clock::now();
        let draining = *self.phase.borrow() != Phase::Serving;
        let health = Health {
            status: if draining { "draining" } else { "ok" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: now.saturating_duration_since(self.started).as_secs(),
            memory_bytes: vitals::resident_memory(),
            turns_open: self.turns.open(),
            turns_total: self.turns.total(),
            turns_failed: self.turns.failed(),
            usage_lost: self.store.lost(),
            warnings: self.turns.warnings(),
            lag_ms: u64::try_from(self.pulse.lag(now).as_millis()).unwrap_or(u64::MAX),
            descriptors: vitals::descriptors(),
            overrides: self.overrides.states(now),
            config: self.live.state(),
            endpoints: self.endpoint_set().states(now),
        };
        serde_json::to_string(&health).unwrap_or_default()
    }
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let asks = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("upgrade"))
    };
    headers.contains_key(UPGRADE) && headers.get(CONNECTION).is_none_or(asks)
}

fn unauthorized() -> Refusal {
    Refusal::new(401, "authentication_error", "invalid_api_key").message(
        "latimer needs its own token as `Authorization: Bearer …`; it is in the file `token` of the state directory (`latimer launch` passes it on by itself)",
    )
}

fn no_model(id: &str) -> Refusal {
    let shown = crate::text::shown(id, crate::text::MAX_NAME);
    Refusal::invalid(404, "model_not_found")
        .message(format!("no endpoint lists the model `{shown}`; GET /v1/models shows those that are listed"))
}

fn no_probe(error: &io::Error) -> Refusal {
    Refusal::new(503, "server_error", "probe_unavailable")
        .message(format!("the probe cannot be answered: {error}"))
}

fn no_turn(id: &str) -> Refusal {
    let shown = crate::text::shown(id, crate::text::MAX_WORD);
    Refusal::invalid(404, "turn_not_found")
        .message(format!("no turn `{shown}` is remembered; GET /v1/turns lists the last ones"))
}

/// Errors of one connection that say nothing about the listener.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Says "come back later" without reading a byte.
fn reject_busy(stream: &TcpStream) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 138\r\n\r\n{\"error\":{\"message\":\"latimer has too many connections open; try again\",\"type\":\"server_error\",\"param\":null,\"code\":\"server_is_overloaded\"}}\n";
    let _ = stream.try_write(BUSY);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_busy_answer_counts_its_bytes() {
        let source = include_str!("mod.rs");
        let start = source.find("content-length: ").expect("stated") + "content-length: ".len();
        let stated: usize = source[start..start + 3].parse().expect("a number");
        let body = "{\"error\":{\"message\":\"latimer has too many connections open; try again\",\"type\":\"server_error\",\"param\":null,\"code\":\"server_is_overloaded\"}}\n";
        assert_eq!(stated, body.len());
    }
}
