//! `opencode serve`: one server for an endpoint, with a session for each conversation. Pure: [`request`], [`stream`]. The process side:
//! [`server`], and here: which session a turn goes to.

mod line;
mod output;
pub mod request;
pub mod server;
mod slot;
pub mod stream;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use latimer_protocol::failure::Failure;

use self::server::{OnIdle, Server, Slot};
use self::stream::OpenCodeReader;
use crate::agents::admission::Place;
use crate::agents::body::{TurnLines, answer_limits};
use crate::agents::endpoint::{AgentEndpoint, AgentLoad};
use crate::agents::history::{HistoryHash, HistoryKey};
use crate::agents::query::AgentQuery;
use crate::agents::queue::LineQueue;
use crate::agents::settings::AgentSettings;
use crate::agents::thread_book::ThreadBook;
use crate::clock;
use crate::drive::{StreamGuard, TurnStream};
use crate::endpoint_client::OpenResult;
use crate::prepared_request::{PreparedRequest, TurnInput};
use crate::reader::ReaderContext;
use crate::sync::lock;
use crate::transport::Body;

/// One endpoint that is OpenCode.
pub struct OpenCode {
    endpoint: AgentEndpoint,
    /// Locked while a server starts, so that everybody who needs it waits for one start.
    server: tokio::sync::Mutex<Option<Arc<Server>>>,
    /// The sessions by what was said in them; one that a turn runs in is not among them.
    sessions: Arc<Mutex<ThreadBook<String>>>,
}

impl OpenCode {
    /// An endpoint of this name, below the folder of all agents. Starts nothing.
    pub fn new(agents: PathBuf, endpoint: &str, settings: AgentSettings) -> Self {
        let endpoint = AgentEndpoint::new(agents, endpoint, settings);
        let sessions = Arc::new(Mutex::new(endpoint.threads()));
        Self { endpoint, server: tokio::sync::Mutex::new(None), sessions }
    }

    /// Writes the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        self.endpoint.prepare(input)
    }

    /// Gives the turn to the session of its conversation. Dropping its events aborts it.
    ///
    /// # Errors
    /// The turn cannot be asked of it, there is no place, or no server answers.
    pub async fn open(&self, prepared: &PreparedRequest) -> OpenResult {
        let (endpoint, settings) = (&self.endpoint, &self.endpoint.settings);
        let query = endpoint.query(prepared)?;
        let place = endpoint.admission.enter(endpoint.name()).await?;
        let server = self.server(&query.model).await?;
        let (before, _) = query.split();
        let key = HistoryHash::new(&request::options_key(&query)).items(before).key();
        let known = self.take(key).filter(|_| !before.is_empty());
        let guard = match known {
            Some(session) => match self.begin(&server, &session, &query, true).await? {
                Some(turn) => turn,
                None => self.fresh(&server, &query).await?,
            },
            None => self.fresh(&server, &query).await?,
        };
        let context = ReaderContext::of(prepared, endpoint.name());
        let reader = Box::new(OpenCodeReader::new(context, settings.activity));
        let body = Body::from_stream(TurnLines::new(Arc::clone(&guard.queue), settings.limits));
        let guard = Box::new(PlacedTurn { turn: guard, _place: place });
        Ok(TurnStream::lines(body, reader, answer_limits(&settings.limits)).guarded_by(guard))
    }

    /// The session in which exactly this was said: it is the caller's alone then.
    fn take(&self, key: HistoryKey) -> Option<String> {
        let mut sessions = lock(&self.sessions);
        let session = sessions.get(key, clock::now())?;
        sessions.forget(&session);
        Some(session)
    }

    async fn fresh(&self, server: &Arc<Server>, query: &AgentQuery) -> Result<TurnGuard, Failure> {
        let session = server.session().await?;
        let begun = self.begin(server, &session, query, false).await?;
        begun.ok_or_else(|| {
            self.endpoint.place.failure("the server does not know the session that it has made")
        })
    }

    async fn begin(
        &self,
        server: &Arc<Server>,
        session: &str,
        query: &AgentQuery,
        is_known: bool,
    ) -> Result<Option<TurnGuard>, Failure> {
        let queue = Arc::new(LineQueue::default());
        let prompt = request::prompt(query, &self.endpoint.settings, &request::parts(query, is_known));
        // The guard stands before the call: whoever drops this future leaves no turn behind.
        let guard = TurnGuard {
            server: Arc::clone(server),
            session: session.to_owned(),
            queue: Arc::clone(&queue),
            has_ended_well: false,
        };
        let slot = Slot::new(queue, self.on_end(query, session));
        Ok(server.prompt(session, &prompt, slot).await?.map(|()| guard))
    }

    /// What is remembered in the step that reads a turn's end: what was said, and in which session.
    fn on_end(&self, query: &AgentQuery, session: &str) -> OnIdle {
        let said = HistoryHash::new(&request::options_key(query)).items(&query.items);
        let (sessions, session) = (Arc::clone(&self.sessions), session.to_owned());
        Box::new(move |answer: String| {
            lock(&sessions).put(said.answer(&answer).key(), session, clock::now());
        })
    }

    /// The server, started if need be. One that does not know the model is replaced by one that knows it too.
    async fn server(&self, model: &str) -> Result<Arc<Server>, Failure> {
        let mut current = self.server.lock().await;
        let mut models = std::collections::BTreeSet::from([model.to_owned()]);
        if let Some(server) = current.take().filter(|server| server.is_alive()) {
            if server.models.contains(model) || self.endpoint.settings.provider.is_none() {
                *current = Some(Arc::clone(&server));
                return Ok(server);
            }
            models.extend(server.models.iter().cloned());
        }
        let started = Server::start(&self.endpoint.place, &self.endpoint.settings, models).await?;
        *current = Some(Arc::clone(&started));
        Ok(started)
    }

    /// How busy it is.
    pub fn report(&self) -> AgentLoad {
        let threads = lock(&self.sessions).len();
        self.endpoint.report(Some(threads))
    }

    /// How many turns run, and how many wait for a place.
    pub fn load(&self) -> (usize, usize) {
        self.endpoint.load()
    }

    /// Ends the server, and waits until it is gone.
    pub async fn shutdown(&self) {
        let Some(server) = self.server.lock().await.take() else { return };
        let mut gone = server.gone();
        drop(server);
        let _ = gone.wait_for(|gone| *gone).await;
    }
}

/// Stands behind a turn's events: when they are dropped before its end, it is aborted.
struct TurnGuard {
    server: Arc<Server>,
    session: String,
    queue: Arc<LineQueue>,
    has_ended_well: bool,
}

/// A turn with the place that it has: given back when the turn is gone.
struct PlacedTurn {
    turn: TurnGuard,
    _place: Place,
}

impl StreamGuard for PlacedTurn {
    fn ended(&mut self, failed: bool) {
        self.turn.has_ended_well = !failed;
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.server.leave(&self.session, !self.has_ended_well);
    }
}
