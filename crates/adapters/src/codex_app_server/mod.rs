//! `codex app-server`: processes that keep threads, each of which runs many turns.
//!
//! Pure: [`request`] (what is asked), [`mod@line`] and [`stream`] (what comes), [`approvals`] (what it is answered), [`dispatch`] (the state
//! of a connection), [`threads`] (which conversation is where), [`health`]. The process side: [`connection`], [`pool`], and here: a turn
//! from the place it waits for to the stream of its events.

pub mod approvals;
pub mod connection;
pub mod dispatch;
pub mod health;
pub mod line;
pub mod pictures;
pub mod pool;
pub mod request;
pub mod slot;
pub mod stream;
pub mod threads;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use latimer_protocol::failure::{Failure, FailureKind};
use serde_json::Value;

use self::connection::Connection;
use self::pictures::PicturesBefore;
use self::pool::{MemberStats, Pool};
use self::request::ThreadOptions;
use self::slot::{CallError, OnEnd, Pushed, TurnEnd};
use self::stream::AppServerReader;
use self::threads::{ThreadAt, Threads};
use crate::agents::admission::{Admission, Place};
use crate::agents::body::{TurnLines, answer_limits};
use crate::agents::endpoint::{AgentLoad, AgentProcess};
use crate::agents::history::HistoryHash;
use crate::agents::place::AgentPlace;
use crate::agents::query::{self, AgentQuery, MAX_INPUT_CHARS};
use crate::agents::queue::LineQueue;
use crate::agents::settings::{AgentSettings, PoolStart};
use crate::clock;
use crate::drive::{SteerTurn, StreamGuard, TurnStream};
use crate::endpoint_client::OpenResult;
use crate::prepared_request::{PreparedRequest, TurnInput};
use crate::reader::ReaderContext;
use crate::sync::lock;
use crate::transport::Body;

/// One endpoint that is `codex app-server`.
pub struct CodexAppServer {
    settings: Arc<AgentSettings>,
    pool: Arc<Pool>,
    admission: Admission,
    threads: Arc<Mutex<Threads>>,
}

/// A thread that is ready for a turn, and the process that has it.
struct Ready {
    connection: Arc<Connection>,
    member: usize,
    thread: String,
}

impl CodexAppServer {
    /// An endpoint of this name, below the folder of all agents. Starts a process only where the settings say so.
    pub fn new(agents: PathBuf, endpoint: &str, settings: AgentSettings) -> Self {
        let place = AgentPlace::new(agents, endpoint, &settings);
        let settings = Arc::new(settings);
        let pool = Arc::new(Pool::new(place, Arc::clone(&settings)));
        if let (PoolStart::Eager, Ok(runtime)) = (settings.start, tokio::runtime::Handle::try_current()) {
            let pool = Arc::clone(&pool);
            runtime.spawn(async move {
                if let Err(failure) = pool.any().await {
                    tracing::warn!(event = "agent.not_started", why = %failure.message.as_str());
                }
            });
        }
        let (keep, life) = (settings.threads.keep as usize, settings.threads.life);
        let threads = if settings.threads.ephemeral {
            Threads::new(keep, life)
        } else {
            Threads::kept(keep, life, &pool.place().threads_file())
        };
        Self { admission: Admission::new(&settings), settings, pool, threads: Arc::new(Mutex::new(threads)) }
    }

    /// Writes the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        query::prepare(input.turn, &self.settings, &self.pool.place().endpoint)
    }

    /// Begins the turn in the thread of its conversation. Returns once the server has taken it; dropping its events interrupts it.
    ///
    /// # Errors
    /// The turn cannot be asked of it, there is no place, or no process answers.
    pub async fn open(&self, prepared: &PreparedRequest) -> OpenResult {
        let query = AgentQuery::of(prepared).ok_or_else(|| self.bad("the request cannot be read"))?;
        if let Some(why) = &query.refusal {
            return Err(self.bad(why).into());
        }
        if query.input_chars() > MAX_INPUT_CHARS {
            let what = format!(
                "Codex takes {MAX_INPUT_CHARS} characters at most in one turn; shorten the last message"
            );
            return Err(Failure { status: Some(413), ..self.bad(&what) }.into());
        }
        let place = self.admission.enter(&self.pool.place().endpoint).await?;
        let cwd = self.pool.place().cwd();
        let options = ThreadOptions::new(&query, &self.settings, &cwd.to_string_lossy());
        let guard = match self.unpark(&query, &options, place) {
            Ok(guard) => guard,
            Err(place) => self.begin(&query, &options, place).await.map_err(|failure| self.named(failure))?,
        };
        let queue = Arc::clone(&guard.queue);
        let context = ReaderContext::of(prepared, &self.pool.place().endpoint);
        let reader = Box::new(AppServerReader::new(context, self.settings.activity));
        let body = Body::from_stream(TurnLines::new(queue, self.settings.limits));
        Ok(TurnStream::lines(body, reader, answer_limits(&self.settings.limits)).guarded_by(Box::new(guard)))
    }

    /// The turn that waits for the outputs at the end of the request.
    fn unpark(&self, query: &AgentQuery, options: &ThreadOptions, place: Place) -> Result<TurnGuard, Place> {
        let outputs: Vec<_> = query.last_outputs().collect();
        if outputs.is_empty() {
            return Err(place);
        }
        let queue = Arc::new(LineQueue::default());
        for member in 0..self.settings.pool as usize {
            let Some(connection) = self.pool.current(member) else { continue };
            let Some(thread) = connection.parked(&outputs) else { continue };
            let on_end = self.on_end(query, options, (member, connection.serial()), &thread);
            if let Some(thread) = connection.unpark(&outputs, &queue, on_end) {
                return Ok(TurnGuard { connection, thread, queue, has_ended_well: false, _place: place });
            }
        }
        Err(place)
    }

    /// A turn in the thread in which this was said, or in a new one.
    async fn begin(
        &self,
        query: &AgentQuery,
        options: &ThreadOptions,
        place: Place,
    ) -> Result<TurnGuard, Failure> {
        let (before, _) = query.split();
        let key = HistoryHash::new(&options.key()).items(before).key();
        let known = lock(&self.threads).find(key, clock::now()).filter(|_| !before.is_empty());
        let mut ready = None;
        if let Some(at) = known {
            ready = self.go_on(&at, query, options).await?;
            if ready.is_none() {
                lock(&self.threads).forget(&at.thread);
            }
        }
        let ready = match ready {
            Some(ready) => ready,
            None => self.fresh(query, options).await?,
        };
        self.start(ready, query, options, place).await
    }

    /// The thread as it was behind a turn; `None` where it is not there any more.
    async fn go_on(
        &self,
        at: &ThreadAt,
        query: &AgentQuery,
        options: &ThreadOptions,
    ) -> Result<Option<Ready>, Failure> {
        let is_newest = lock(&self.threads).is_newest(at);
        // A later process in the same place does not know the thread.
        let owner = self.pool.current(at.member).filter(|owner| owner.serial() == at.process);
        if let Some(connection) = &owner
            && is_newest
            && !connection.is_busy(&at.thread)
        {
            let (connection, thread) = (Arc::clone(connection), at.thread.clone());
            return Ok(Some(Ready { connection, member: at.member, thread }));
        }
        if self.settings.threads.ephemeral && owner.is_none() {
            return Ok(None);
        }
        // A dead owner's thread may be taken up by any process; one that runs is branched off.
        let (member, connection) = match owner {
            Some(connection) => (at.member, connection),
            None => self.pool.any().await?,
        };
        let (method, params) = if is_newest && !connection.is_busy(&at.thread) {
            ("thread/resume", options.resume(&at.thread, &query.model))
        } else {
            ("thread/fork", options.fork(&at.thread, &at.turn, &query.model))
        };
        match connection.call(method, params).await {
            Ok(answer) => Ok(Some(Ready { thread: thread_of(&answer)?, connection, member })),
            Err(error) if error.is_stale(method) || error.is_elsewhere() => {
                tracing::info!(event = "agent.thread_lost", endpoint = %self.pool.place().endpoint, method);
                Ok(None)
            }
            Err(error) => Err(error.failure(method)),
        }
    }

    /// A new thread, with what was said before.
    async fn fresh(&self, query: &AgentQuery, options: &ThreadOptions) -> Result<Ready, Failure> {
        let (member, connection) = self.pool.any().await?;
        let params = options.start(&query.model, self.settings.threads.ephemeral);
        let failed = |method: &'static str| move |error: CallError| error.failure(method);
        let answer = connection.call("thread/start", params).await.map_err(failed("thread/start"))?;
        let thread = thread_of(&answer)?;
        if let Some(params) = request::seed(query, &thread) {
            let seeded = connection.call("thread/inject_items", params).await;
            seeded.map_err(failed("thread/inject_items"))?;
        }
        Ok(Ready { connection, member, thread })
    }

    async fn start(
        &self,
        ready: Ready,
        query: &AgentQuery,
        options: &ThreadOptions,
        place: Place,
    ) -> Result<TurnGuard, Failure> {
        let Ready { connection, member, thread } = ready;
        let queue = Arc::new(LineQueue::default());
        let tools = query.tools.iter().map(|tool| tool.name.clone()).collect();
        lock(&self.threads).begin(&thread);
        // The guard stands before the call: whoever drops this future leaves no turn behind.
        let guard = TurnGuard {
            connection: Arc::clone(&connection),
            thread: thread.clone(),
            queue: Arc::clone(&queue),
            has_ended_well: false,
            _place: place,
        };
        let params = request::turn(&thread, query);
        let on_end = self.on_end(query, options, (member, connection.serial()), &thread);
        let started = connection.start_turn(&thread, params, &queue, tools, on_end).await;
        if let Err(error) = started {
            if error.is_stale("turn/start") {
                // The next try tells a new thread what was said.
                lock(&self.threads).forget(&thread);
                let message = format!("the agent has lost the conversation: {}", error.failure("turn/start"));
                return Err(Failure::new(FailureKind::Interrupted, message));
            }
            return Err(error.failure("turn/start"));
        }
        Ok(guard)
    }

    /// What is remembered of a turn in the step that reads its end: what was said, and where.
    fn on_end(
        &self,
        query: &AgentQuery,
        options: &ThreadOptions,
        (member, process): (usize, u64),
        thread: &str,
    ) -> OnEnd {
        let said = HistoryHash::new(&options.key()).items(&query.items);
        let (threads, pool) = (Arc::clone(&self.threads), Arc::clone(&self.pool));
        let pictures = PicturesBefore::of(self.pool.place().home(), thread);
        Box::new(move |end: TurnEnd| {
            let TurnEnd { thread, turn, is_completed, answer } = end;
            if !is_completed {
                return Vec::new();
            }
            pool.worked(member);
            let pictures = pictures.new_ones();
            let said = pictures.iter().fold(said.answer(&answer), |said, picture| said.answer(picture));
            lock(&threads).completed(said.key(), ThreadAt { thread, turn, member, process }, clock::now());
            pictures.iter().map(|picture| pictures::line(picture)).collect()
        })
    }

    /// More words for a turn that runs in this thread: taken, or not because it is over.
    pub fn push(&self, thread: &str, text: &str) -> Pushed {
        let alive = self.pool.alive();
        let mut pushed = alive.map(|connection| connection.push(thread, text));
        if pushed.any(|pushed| pushed == Pushed::Taken) { Pushed::Taken } else { Pushed::Over }
    }

    /// Ends the turn of this thread; whether there was one.
    pub fn interrupt(&self, thread: &str) -> bool {
        self.pool.alive().any(|connection| connection.interrupt(thread))
    }

    /// Its processes.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many turns run, and how many wait for a place.
    pub fn load(&self) -> (usize, usize) {
        (self.admission.running(), self.admission.waiting())
    }

    /// How busy it is.
    pub fn report(&self) -> AgentLoad {
        let (running, waiting) = self.load();
        let process = |member: MemberStats| AgentProcess {
            pid: member.pid,
            starts: Some(member.starts),
            running: Some(member.running),
        };
        let processes = self.pool.stats().into_iter().map(process).collect();
        AgentLoad { running, waiting, threads: Some(lock(&self.threads).len()), processes }
    }

    /// Ends all processes, and waits until they are gone.
    pub async fn shutdown(&self) {
        self.pool.shutdown().await;
    }

    fn bad(&self, why: &str) -> Failure {
        Failure::new(FailureKind::BadRequest, format!("{}: {why}", self.pool.place().endpoint))
    }

    /// A failure that begins with the endpoint's name.
    fn named(&self, failure: Failure) -> Failure {
        let name = &self.pool.place().endpoint;
        if failure.message.starts_with(name.as_str()) {
            return failure;
        }
        Failure { message: format!("{name}: {}", failure.message.as_str()).into(), ..failure }
    }
}

/// The thread that an answer names.
fn thread_of(answer: &Value) -> Result<String, Failure> {
    let thread = answer["thread"]["id"].as_str().map(str::to_owned);
    thread.ok_or_else(|| Failure::new(FailureKind::UpstreamError, "the agent began a thread without a name"))
}

/// Stands behind a turn's events: when they are dropped, the turn is interrupted, unless it is over or waits for the client's tools.
struct TurnGuard {
    connection: Arc<Connection>,
    thread: String,
    queue: Arc<LineQueue>,
    has_ended_well: bool,
    /// Given back with it.
    _place: Place,
}

impl StreamGuard for TurnGuard {
    fn ended(&mut self, failed: bool) {
        self.has_ended_well = !failed;
    }

    fn steer(&self) -> Option<Arc<dyn SteerTurn>> {
        self.connection.steers().then(|| {
            let (connection, thread) = (Arc::clone(&self.connection), self.thread.clone());
            Arc::new(ThreadSteer { connection, thread }) as Arc<dyn SteerTurn>
        })
    }
}

/// The turn that runs in a thread.
struct ThreadSteer {
    connection: Arc<Connection>,
    thread: String,
}

impl fmt::Debug for ThreadSteer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ThreadSteer").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl SteerTurn for ThreadSteer {
    fn push(&self, text: &str) -> bool {
        self.connection.push(&self.thread, text) == Pushed::Taken
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.connection.leave(&self.thread, &self.queue, self.has_ended_well);
    }
}
