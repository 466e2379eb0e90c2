//! Claude Code headless: a process for each conversation, kept for a while. Pure: [`request`], [`stream`], [`dispatch`]. Here: which
//! process a turn goes to.

pub mod dispatch;
mod line;
pub mod request;
pub mod stream;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use latimer_protocol::failure::Failure;

use self::dispatch::{ClaudeDispatch, OnAnswer};
use self::request::Session;
use self::stream::{AnswerShape, ClaudeCodeReader};
use crate::agents::AGENT_HEADER;
use crate::agents::admission::Place;
use crate::agents::body::{TurnLines, answer_limits};
use crate::agents::endpoint::{AgentEndpoint, AgentLoad};
use crate::agents::history::{HistoryHash, HistoryKey};
use crate::agents::instructions;
use crate::agents::launch::Launch;
use crate::agents::line_process::LineProcess;
use crate::agents::place::TurnFolder;
use crate::agents::query::{AgentQuery, Part};
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

/// One endpoint that is Claude Code.
pub struct ClaudeCode {
    endpoint: AgentEndpoint,
    sessions: Arc<Mutex<Sessions>>,
}

/// A process with its conversation.
struct Conversation {
    process: LineProcess<ClaudeDispatch>,
    session: String,
    /// Its instructions and tool servers.
    _folder: TurnFolder,
}

/// The conversations of an endpoint.
struct Sessions {
    /// Processes in which no turn runs, the longest idle first, by what was said in them. Their own state is never looked at while this
    /// is locked: the end of a turn locks in the other order.
    idle: Vec<(HistoryKey, Arc<Conversation>)>,
    /// What was said in conversations whose process may be gone: only the newest turn of each can be gone on with.
    ended: ThreadBook<String>,
}

impl Sessions {
    /// The process in which exactly this was said: it is the caller's alone then.
    fn take(&mut self, key: HistoryKey) -> Option<Arc<Conversation>> {
        let at = self.idle.iter().position(|(known, _)| *known == key)?;
        Some(self.idle.remove(at).1)
    }
}

impl ClaudeCode {
    /// An endpoint of this name, below the folder of all agents. Starts nothing.
    pub fn new(agents: PathBuf, endpoint: &str, settings: AgentSettings) -> Self {
        let endpoint = AgentEndpoint::new(agents, endpoint, settings);
        let ended = endpoint.threads();
        Self { endpoint, sessions: Arc::new(Mutex::new(Sessions { idle: Vec::new(), ended })) }
    }

    /// Writes the turn once, for all attempts.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        self.endpoint.prepare(input)
    }

    /// Gives the turn to the process of its conversation. Dropping its events interrupts it.
    ///
    /// # Errors
    /// The turn cannot be asked of it, there is no place, or no process can be started.
    pub async fn open(&self, prepared: &PreparedRequest) -> OpenResult {
        let (endpoint, settings) = (&self.endpoint, &self.endpoint.settings);
        let query = endpoint.query(prepared)?;
        let place = endpoint.admission.enter(endpoint.name()).await?;
        let (conversation, line) = self.conversation(&query)?;
        let queue = Arc::new(LineQueue::default());
        let on_end = self.on_end(&query, &conversation);
        let begin = |dispatch: &mut ClaudeDispatch| {
            dispatch.start_turn(&line, Arc::clone(&queue), on_end, clock::now())
        };
        conversation.process.with(begin).map_err(|failure| conversation.process.named(failure))?;
        let shape = if query.schema.is_some() { AnswerShape::Structured } else { AnswerShape::Text };
        let context = ReaderContext::of(prepared, endpoint.name());
        let reader = Box::new(ClaudeCodeReader::new(context, settings.activity, shape));
        let body = Body::from_stream(TurnLines::new(Arc::clone(&queue), settings.limits));
        let guard = TurnGuard { conversation, queue, _place: place };
        Ok(TurnStream::lines(body, reader, answer_limits(&settings.limits)).guarded_by(Box::new(guard)))
    }

    /// The process for a turn, and the line that it is given.
    fn conversation(&self, query: &AgentQuery) -> Result<(Arc<Conversation>, serde_json::Value), Failure> {
        let (before, _) = query.split();
        let key = HistoryHash::new(&request::options_key(query)).items(before).key();
        let line = |parts: &[Part]| request::turn(parts).map_err(|why| self.endpoint.bad(why));
        let known = lock(&self.sessions).take(key).filter(|_| !before.is_empty());
        if let Some(known) = known.filter(|known| known.process.is_alive()) {
            return Ok((known, line(&query.input())?));
        }
        let mut sessions = lock(&self.sessions);
        let ended = sessions.ended.get(key, clock::now()).filter(|_| !before.is_empty());
        if let Some(session) = &ended {
            // Whoever goes on with it says something new in it.
            sessions.ended.forget(session);
        }
        // Room for one more process: those that are idle longest go first.
        let max = (self.endpoint.settings.pool as usize).saturating_sub(self.endpoint.admission.running());
        let over = sessions.idle.len().saturating_sub(max);
        sessions.idle.drain(..over);
        drop(sessions);
        if let Some(session) = ended {
            return Ok((self.start(query, &Session::Resumed(&session))?, line(&query.input())?));
        }
        let mut parts = vec![Part::Text { text: query.as_transcript() }];
        parts.extend(query.pictures().into_iter().map(|url| Part::Image { url }));
        let session = self.new_session()?;
        Ok((self.start(query, &Session::New(&session))?, line(&parts)?))
    }

    fn new_session(&self) -> Result<String, Failure> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random)
            .map_err(|_| self.endpoint.place.failure("the system has no randomness"))?;
        Ok(request::session_name(random))
    }

    fn start(&self, query: &AgentQuery, session: &Session<'_>) -> Result<Arc<Conversation>, Failure> {
        let settings = &self.endpoint.settings;
        let launch = Launch::new(&self.endpoint.place)?;
        let instructions = instructions::for_agent(&query.instructions, settings)
            .map(|text| launch.file("instructions.md", text.as_bytes()))
            .transpose()?;
        let mcp = request::mcp_file(settings).map(|bytes| launch.file("mcp.json", &bytes)).transpose()?;
        let args = request::arguments(query, settings, session, instructions.as_deref(), mcp.as_deref());
        let program = launch.program(args, &self.variables());
        let dispatch = ClaudeDispatch::new(settings.safety.approvals, clock::now());
        let idle = Some(settings.idle_close);
        let process = LineProcess::start(program, dispatch, self.endpoint.name(), idle)?;
        let (Session::New(session) | Session::Resumed(session)) = session;
        Ok(Arc::new(Conversation { process, session: (*session).to_owned(), _folder: launch.folder }))
    }

    /// What it is told by its environment: its own home, its model, and that trying again is the proxy's work.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut all: Vec<(&str, OsString)> = vec![
            ("CLAUDE_CONFIG_DIR", self.endpoint.place.home().into()),
            ("CLAUDE_CODE_MAX_RETRIES", "0".into()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
            ("DISABLE_AUTOUPDATER", "1".into()),
        ];
        if let Some(provider) = &self.endpoint.settings.provider {
            let base = provider.base_url.strip_suffix("/v1").unwrap_or(&provider.base_url);
            all.push(("ANTHROPIC_BASE_URL", base.into()));
            all.push(("ANTHROPIC_CUSTOM_HEADERS", format!("{AGENT_HEADER}: 1").into()));
            if let Some(key) = &provider.key {
                all.push(("ANTHROPIC_API_KEY", key.expose().into()));
            }
        }
        all
    }

    /// What is remembered in the step that reads a turn's end: what was said, and in which process.
    fn on_end(&self, query: &AgentQuery, conversation: &Arc<Conversation>) -> OnAnswer {
        let said = HistoryHash::new(&request::options_key(query)).items(&query.items);
        // Not the process itself: this stands in its state.
        let (sessions, conversation) = (Arc::clone(&self.sessions), Arc::downgrade(conversation));
        Box::new(move |answer: String| {
            let Some(conversation) = conversation.upgrade() else { return };
            let key = said.answer(&answer).key();
            let mut sessions = lock(&sessions);
            sessions.ended.put(key, conversation.session.clone(), clock::now());
            sessions.idle.push((key, conversation));
        })
    }

    /// How busy it is.
    pub fn report(&self) -> AgentLoad {
        let threads = {
            let sessions = lock(&self.sessions);
            sessions.idle.len() + sessions.ended.len()
        };
        self.endpoint.report(Some(threads))
    }

    /// How many turns run, and how many wait for a place.
    pub fn load(&self) -> (usize, usize) {
        self.endpoint.load()
    }

    /// Ends all processes in which no turn runs, and waits until they are gone.
    pub async fn shutdown(&self) {
        let idle = std::mem::take(&mut lock(&self.sessions).idle);
        for (_, conversation) in idle {
            conversation.process.close().await;
        }
    }
}

/// Stands behind a turn's events: when they are dropped before its end, it is interrupted.
struct TurnGuard {
    conversation: Arc<Conversation>,
    queue: Arc<LineQueue>,
    /// Given back with it.
    _place: Place,
}

impl StreamGuard for TurnGuard {
    fn ended(&mut self, _failed: bool) {}
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        let queue = &self.queue;
        // The process ends with its last handle, and hears of this before.
        self.conversation.process.with(|dispatch| dispatch.leave(queue, clock::now()));
    }
}
