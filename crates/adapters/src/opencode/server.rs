//! One `opencode serve`: started, spoken to over loopback with a password of its own, its one stream of events handed to the turns that
//! they belong to.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::sse::SseDecoder;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::line::Event;
use super::output::Output;
use super::request;
pub use super::slot::{OnIdle, Slot};
use crate::agents::body::MAX_LINE;
use crate::agents::child::{self, AgentChild, Program, StopSignal};
use crate::agents::place::AgentPlace;
use crate::agents::queue::QueueEnd;
use crate::agents::settings::{AgentSettings, Approvals};
use crate::clock;
use crate::sync::lock;
use crate::transport::http::{Http, HttpOptions};
use crate::transport::outbound::Outbound;
use crate::transport::{Body, read_error_body};

/// How long a server on this machine may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take to answer what ends a turn or itself.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long after a look at an idle time that was not over the next one comes at the earliest.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// The most of an answer that is read.
const MAX_ANSWER: usize = 4 << 20;

/// A server that is asked. Dropping the last handle ends it.
pub struct Server {
    shared: Arc<Shared>,
    /// The models it was told of.
    pub models: BTreeSet<String>,
    orders: mpsc::UnboundedSender<Order>,
}

/// What the task of a server does beside reading.
enum Order {
    /// Nobody wants the rest of this session's turn.
    Abort(String),
}

struct Shared {
    endpoint: String,
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    http: Http,
    approvals: Approvals,
    call: Duration,
    sessions: Mutex<Sessions>,
    /// Set while the sessions are locked.
    ended: Mutex<Option<Failure>>,
    /// It is closed when no turn ran for so long.
    idle_close: Duration,
    gone: watch::Sender<bool>,
}

/// The turns that run, by their sessions.
struct Sessions {
    slots: HashMap<String, Slot>,
    /// When the last one began or ended, or something was asked.
    last_used: Instant,
    /// Questions under way: a turn may be about to begin.
    asking: usize,
}

/// A question under way.
struct Asking<'s>(&'s Shared);

impl<'s> Asking<'s> {
    fn new(shared: &'s Shared) -> Self {
        lock(&shared.sessions).asking += 1;
        Self(shared)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut sessions = lock(&self.0.sessions);
        sessions.asking -= 1;
        sessions.last_used = clock::now();
    }
}

impl Server {
    /// Starts a server for these models.
    ///
    /// # Errors
    /// It cannot be started, does not listen in time, or its configuration is refused.
    pub async fn start(
        place: &AgentPlace,
        settings: &AgentSettings,
        models: BTreeSet<String>,
    ) -> Result<Arc<Self>, Failure> {
        place.prepare()?;
        let path = place.program()?;
        let config = serde_json::to_vec(&request::config(settings, &models)).unwrap_or_default();
        let folders = folders(place, &config)?;
        let mut random = [0_u8; 24];
        getrandom::fill(&mut random).map_err(|_| place.failure("the system has no randomness"))?;
        let password = BASE64_STANDARD.encode(random);
        let mark = place.mark();
        let mut set: Vec<(&str, OsString)> = folders;
        set.push(("OPENCODE_SERVER_PASSWORD", password.clone().into()));
        set.push(("OPENCODE_DISABLE_AUTOUPDATE", "1".into()));
        let program = Program {
            path: &path,
            args: ["serve", "--hostname=127.0.0.1", "--port=0"].map(OsString::from).into(),
            environment: place.environment(&mark, &set),
            cwd: &place.cwd(),
            stop: StopSignal::Terminate,
            mark,
            agents: &place.agents,
        };
        let (mut child, pipes) =
            child::start(program).map_err(|error| error.failure(&place.endpoint, &path))?;
        drop(pipes.stdin);
        let mut output = Output::new(pipes.stdout, pipes.stderr);
        let begun = tokio::time::timeout(settings.limits.start, output.address(&mut child)).await;
        let base = match begun {
            Ok(Some(base)) => base,
            Ok(None) => {
                let words = output.tail.words().unwrap_or_else(|| "it said nothing".to_owned());
                let message = format!("{}: opencode ended before it listened: {words}", place.endpoint);
                return Err(Failure::new(FailureKind::UpstreamError, message));
            }
            Err(_) => {
                let limit = settings.limits.start;
                let message = format!(
                    "{}: opencode did not listen within {limit:?} (setting `agent.limits.start`)",
                    place.endpoint
                );
                return Err(Failure::new(FailureKind::Timeout, message));
            }
        };
        let shared = Arc::new(Shared::new(place, settings, base, &password));
        // A broken configuration is told by every call and not at the start.
        shared.call("GET", "/config", None).await?;
        let events = shared.events().await?;
        let (orders, receive) = mpsc::unbounded_channel();
        tokio::spawn(run(Arc::clone(&shared), child, output, events, receive));
        tracing::info!(event = "agent.started", endpoint = %place.endpoint, base = %shared.base);
        Ok(Arc::new(Self { shared, models, orders }))
    }

    /// Whether it can be asked.
    pub fn is_alive(&self) -> bool {
        lock(&self.shared.ended).is_none()
    }

    /// A new session.
    ///
    /// # Errors
    /// It refuses, or does not answer.
    pub async fn session(&self) -> Result<String, Failure> {
        let answer = self.shared.call("POST", "/session", Some(&request::session())).await?;
        let id = answer["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| self.shared.failure(FailureKind::UpstreamError, "a session without a name"))
    }

    /// Gives a session a prompt, whose events go into the queue. `None` where the server does not know the session.
    ///
    /// # Errors
    /// It refuses, or does not answer.
    pub async fn prompt(&self, session: &str, prompt: &Value, slot: Slot) -> Result<Option<()>, Failure> {
        self.shared.begin(session, slot)?;
        let path = format!("/session/{session}/prompt_async");
        match self.shared.ask("POST", &path, Some(prompt)).await {
            Ok((200..300, _)) => Ok(Some(())),
            Ok((404, _)) => {
                self.leave(session, false);
                Ok(None)
            }
            Ok((status, body)) => {
                self.leave(session, false);
                Err(self.shared.refused(status, &body))
            }
            Err(failure) => {
                self.leave(session, true);
                Err(failure)
            }
        }
    }

    /// Nobody reads a session any more; what still runs in it is ended.
    pub fn leave(&self, session: &str, aborts: bool) {
        let mut sessions = lock(&self.shared.sessions);
        sessions.slots.remove(session);
        sessions.last_used = clock::now();
        drop(sessions);
        if aborts {
            let _ = self.orders.send(Order::Abort(session.to_owned()));
        }
    }

    /// Waits until it is gone, which it is soon after its last handle.
    pub fn gone(&self) -> watch::Receiver<bool> {
        self.shared.gone.subscribe()
    }
}

/// The private folders of a server, with its configuration in one of them.
fn folders(place: &AgentPlace, config: &[u8]) -> Result<Vec<(&'static str, OsString)>, Failure> {
    let mut set = Vec::new();
    for (variable, name) in [
        ("XDG_DATA_HOME", "data"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_STATE_HOME", "state"),
    ] {
        set.push((variable, place.home().join(name).into_os_string()));
    }
    if place.is_home_private() {
        let folder = place.home().join("config/opencode");
        latimer_files::prepare(&place.home().join("config"))
            .and_then(|()| latimer_files::prepare(&folder))
            .map_err(|error| place.failure(&format!("`{}` cannot be used: {error}", folder.display())))?;
        place.keep("config/opencode/opencode.json", config)?;
    }
    Ok(set)
}

impl Shared {
    fn new(place: &AgentPlace, settings: &AgentSettings, base: String, password: &str) -> Self {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("opencode:{password}")));
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if let Ok(mut value) = HeaderValue::try_from(basic) {
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        let options = HttpOptions { outbound: Outbound::Direct, connect: CONNECT, ca_file: None };
        Self {
            endpoint: place.endpoint.clone(),
            base,
            headers,
            http: Http::new(options),
            approvals: settings.safety.approvals,
            call: settings.limits.call,
            sessions: Mutex::new(Sessions { slots: HashMap::new(), last_used: clock::now(), asking: 0 }),
            ended: Mutex::default(),
            idle_close: settings.idle_close,
            gone: watch::Sender::new(false),
        }
    }

    /// A turn of a session begins, unless the server is gone.
    fn begin(&self, session: &str, slot: Slot) -> Result<(), Failure> {
        let mut sessions = lock(&self.sessions);
        if let Some(failure) = lock(&self.ended).clone() {
            return Err(failure);
        }
        sessions.slots.insert(session.to_owned(), slot);
        sessions.last_used = clock::now();
        Ok(())
    }

    /// When it is to be closed if no turn begins until then.
    fn idle_until(&self) -> Instant {
        lock(&self.sessions).last_used + self.idle_close
    }

    /// Whether it was idle for long enough; no turn begins in it any more then.
    fn close_idle(&self) -> bool {
        let sessions = lock(&self.sessions);
        let is_used = sessions.asking > 0 || !sessions.slots.is_empty();
        let is_idle = !is_used && clock::now() >= sessions.last_used + self.idle_close;
        if is_idle {
            let failure = self.failure(FailureKind::Interrupted, "the idle agent was closed");
            lock(&self.ended).get_or_insert(failure);
        }
        is_idle
    }

    fn failure(&self, kind: FailureKind, what: &str) -> Failure {
        Failure::new(kind, format!("{}: {what}", self.endpoint))
    }

    fn refused(&self, status: u16, body: &[u8]) -> Failure {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = value["name"].as_str().unwrap_or("no reason");
        let words = value["data"]["message"].as_str().unwrap_or_default();
        let kind = if status == 400 { FailureKind::BadRequest } else { FailureKind::UpstreamError };
        self.failure(kind, &format!("opencode refused with {status}: {name} {words}"))
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Vec<u8>), Failure> {
        let _asking = Asking::new(self);
        let url = format!("{}{path}", self.base);
        let response = if method == "GET" {
            self.http.get(&url, &self.headers, self.call).await?
        } else {
            let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
            self.http.post(&url, &self.headers, body, self.call).await?
        };
        let status = response.status.as_u16();
        Ok((status, read_error_body(response.body, MAX_ANSWER, self.call).await))
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        match self.ask(method, path, body).await? {
            (200..300, body) => Ok(serde_json::from_slice(&body).unwrap_or_default()),
            (status, body) => Err(self.refused(status, &body)),
        }
    }

    async fn events(&self) -> Result<Body, Failure> {
        let url = format!("{}/event", self.base);
        let response = self.http.get(&url, &self.headers, self.call).await?;
        if !response.status.is_success() {
            return Err(self.refused(response.status.as_u16(), &[]));
        }
        Ok(response.body)
    }

    /// Hands an event to the turn of its session; the permission that it asks for, where it asks for one.
    fn event(&self, data: &[u8]) -> Option<String> {
        let event = serde_json::from_slice::<Event<'_>>(data).ok()?;
        let (kind, properties) = (event.kind.some()?, event.properties.0.as_ref()?);
        // An error of no session is everybody's.
        let mut sessions = lock(&self.sessions);
        match properties.session() {
            Some(session) => {
                if let Some(slot) = sessions.slots.get_mut(session) {
                    slot.take(kind, properties, data);
                }
            }
            None if kind == "session.error" => {
                sessions.slots.values_mut().for_each(|slot| slot.take(kind, properties, data));
            }
            None => {}
        }
        matches!(kind, "permission.asked" | "permission.updated")
            .then(|| properties.id.some().map(str::to_owned))
            .flatten()
    }

    async fn reply(&self, permission: &str) {
        let reply = if self.approvals == Approvals::Accept { "once" } else { "reject" };
        let path = format!("/permission/{permission}/reply");
        let body = serde_json::json!({ "reply": reply });
        let replied = tokio::time::timeout(GOODBYE, self.call("POST", &path, Some(&body))).await;
        if !matches!(replied, Ok(Ok(_))) {
            tracing::warn!(event = "agent.permission_unanswered", endpoint = %self.endpoint);
        }
    }

    fn end(&self, failure: &Failure) {
        let mut sessions = lock(&self.sessions);
        lock(&self.ended).get_or_insert_with(|| failure.clone());
        for (_, slot) in sessions.slots.drain() {
            slot.queue.close(QueueEnd::Broken(failure.clone()));
        }
    }
}

/// Reads the events until the server is gone, or nobody wants it.
async fn run(
    shared: Arc<Shared>,
    mut child: AgentChild,
    mut output: Output,
    mut events: Body,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut frames = SseDecoder::new(MAX_LINE);
    let mut permissions = Vec::new();
    let mut is_wanted = true;
    let mut idle_until = shared.idle_until();
    let why = loop {
        tokio::select! {
            chunk = events.chunk() => {
                let Some(Ok(chunk)) = chunk else { break "closed its events".to_owned() };
                let taken = frames.push(&chunk, &mut |frame| permissions.extend(shared.event(frame.data)));
                if taken.is_err() {
                    break "sent an event that is too large".to_owned();
                }
                for permission in permissions.drain(..) {
                    shared.reply(&permission).await;
                }
            }
            order = orders.recv() => {
                let Some(Order::Abort(session)) = order else {
                    is_wanted = false;
                    break "was closed".to_owned();
                };
                let path = format!("/session/{session}/abort");
                drop(tokio::time::timeout(GOODBYE, shared.call("POST", &path, None)).await);
            }
            () = output.drain() => {}
            () = sleep_until(idle_until) => {
                if shared.close_idle() {
                    is_wanted = false;
                    break "was closed, being idle".to_owned();
                }
                // A turn that runs is looked at again when it may be over.
                idle_until = shared.idle_until().max(clock::now() + IDLE_INTERVAL);
            }
            exit = child.wait() => break format!("ended with {}", exit.words()),
        }
    };
    let words = output.tail.words().map(|words| format!(": {words}")).unwrap_or_default();
    let failure = shared.failure(FailureKind::Interrupted, &format!("the agent {why}{words}"));
    shared.end(&failure);
    if is_wanted {
        tracing::warn!(event = "agent.died", endpoint = %shared.endpoint, why = %failure.message.as_str());
    }
    // No signal ends its commands: this does.
    if child.ended().is_none() {
        drop(tokio::time::timeout(GOODBYE, shared.call("POST", "/global/dispose", None)).await);
    }
    child.stop().await;
    shared.gone.send_replace(true);
}
