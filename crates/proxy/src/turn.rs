//! The walk of one turn, top to bottom: read, route, attempt, answer.
//!
//! One file for what each protocol does its own way (`responses`, `chat`, `messages`, `gemini`), one for the response body (`body`),
//! for what produces its events (`source`), for its log line and its rows (`log`), and for what a client says of itself
//! (`client_headers`). A turn imports `http` and `lifecycle`, and never the server.
//!
//! A turn is not a task: it is the response body. hyper polls the body, the body polls the attempt, the attempt polls the
//! upstream. So backpressure reaches the provider, and a client that leaves drops everything at once.

mod agent_loop;
mod agent_profile;
mod body;
mod chat;
mod client_headers;
mod gemini;
mod log;
mod messages;
mod notes;
mod responses;
mod small_writes;
mod source;
mod store_target;
mod trace_context;
mod waiting;

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::{ClientRequest, WireProtocol};
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::secret::redact_known;
use latimer_protocol::status::TurnState;
use latimer_protocol::turn::{Item, Note, SealKey, TurnRequest};

use self::body::StoreTarget;
pub use self::body::TurnBody;
pub use self::chat::chat;
pub(crate) use self::client_headers::{
    is_claude_code, is_discovery, is_gemini_cli, is_opencode, name as client_name, responses_client,
};
pub use self::gemini::{GeminiCaller, generate, generate_count};
use self::log::{Recorder, TurnLog};
pub use self::messages::{messages, messages_count};
pub use self::responses::{compact, input_tokens, over_socket, responses};
use self::source::EventSource;
use self::trace_context::ClientTrace;
use crate::agents::profile::AgentProfile;
use crate::agents::runs::Runs;
use crate::clock;
use crate::compactor::Compactor;
use crate::config::Effort;
use crate::http::reply::{Reply, error_response, json_pieces, refused_response};
use crate::inbound::client_protocol::{ClientProtocol, RefusalBody};
use crate::inbound::models;
use crate::inbound::notes::Notes;
use crate::inbound::pictures;
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::writer::WriterSeed;
use crate::inbound::writer::answer::Answer;
use crate::keys::keyring::KeyTurn;
use crate::lifecycle::force_stop::ForceStop;
use crate::lifecycle::open_turns::OpenTurn;
use crate::metrics::Metrics;
use crate::route::attempt::{AttemptRequest, Attempts, Progress};
use crate::route::endpoint_set::{EndpointSet, Ranking};
use crate::store::Store;
use crate::store::scope::Scope;
use crate::store::warn::{self, CacheMonitor};
use crate::text;

/// The content type of nearly every stream.
const EVENT_STREAM: &str = "text/event-stream";

/// What is said where a route has lost all of its endpoints.
const NO_TARGET: &str = "the route has no endpoint left; check the configuration";

/// What the server hands to a turn.
pub struct TurnContext {
    /// The endpoints of this moment; the turn keeps them to its end.
    pub endpoint_set: Arc<EndpointSet>,
    /// Counts the turn as open while it lives.
    pub open: OpenTurn,
    /// Fires when open turns must end.
    pub force_stop: ForceStop,
    /// Seals provider state for its way through the client.
    pub seal: SealKey,
    /// Takes the usage row and the response.
    pub store: Store,
    /// Knows the profiles that can be asked for as models.
    pub agents: Arc<Runs>,
    /// Knows which conversations had a warm prompt cache.
    pub caches: Arc<Mutex<CacheMonitor>>,
    /// How much of the turn is written down.
    pub recording: Recording,
    /// The name of the request in the log, such as `req_5f2c90d1a7b3e846`.
    pub request: String,
    /// The client key that asks; `None` for the owner.
    pub key: Option<KeyTurn>,
    /// Counts the turn when it is over.
    pub metrics: Arc<Metrics>,
    /// When the whole request was there.
    pub received: Instant,
}

/// How much of a turn is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Everything: log, usage row, trace.
    Full,
    /// Only a failure, in the log and as a trace: the turn is one of our own, such as a probe.
    FailuresOnly,
}

/// A request that was read, whatever its protocol was.
struct InboundRequest {
    /// What is asked.
    turn: TurnRequest,
    /// Whether the client wants a stream.
    stream: bool,
    /// What was changed or left out when it was read.
    notes: Notes,
    /// The level of repair that its headers or its profile choose.
    level: Option<RepairLevel>,
    /// The effort that its profile chose; the request as it came asks for another one.
    effort: Option<Effort>,
    /// The profile that was asked for as a model: the request as it came knows nothing of its instructions.
    profile: Option<Arc<AgentProfile>>,
    /// What names the conversation.
    conversation: Option<String>,
    /// The project that it works on.
    project: Option<String>,
    /// The trace that it belongs to.
    trace: Option<ClientTrace>,
    /// The client, as it calls itself.
    client: String,
    /// The protocol it speaks.
    protocol: ClientProtocol,
    /// The endpoints that may answer, and why in this order.
    ranking: Ranking,
}

/// How a request is answered, as its protocol sees it.
struct ResponsePlan {
    answer: Answer,
    /// The request as it came, where the upstream may get it so.
    raw: Option<ClientRequest>,
    /// Where the response is stored, for the next request to go on with.
    store_target: Option<StoreTarget>,
    source: AnswerSource,
}

/// Where the answer comes from.
enum AnswerSource {
    /// A model.
    Model,
    /// A model that is asked several times: for a summary of the history.
    Compaction,
    /// This text; no model is asked.
    Local(String),
}

impl TurnContext {
    /// Keeps what a client sent, for whoever wants to see it or to send it again; nothing of our own turns.
    fn keep(&self, protocol: ClientProtocol, path_model: Option<&str>, body: &Bytes) {
        if self.recording == Recording::Full {
            self.open.running.asked(protocol, path_model.map(str::to_owned), body);
        }
    }

    /// Whose kept answers the turn may go on with, and whose its own will be.
    fn scope(&self) -> Scope {
        self.key.as_ref().map_or(Scope::Owner, |turn| Scope::Key(turn.key().record.id.clone()))
    }

    /// The request as it came, for an upstream that speaks this protocol too.
    fn client_request(&self, protocol: WireProtocol, headers: &HeaderMap, body: Bytes) -> ClientRequest {
        ClientRequest {
            protocol,
            body,
            headers: client_headers::own_headers(headers),
            seal: self.seal.clone(),
        }
    }
}

impl ResponsePlan {
    /// A model answers, and nothing is stored.
    fn from_model(answer: Answer, raw: Option<ClientRequest>) -> Self {
        Self { answer, raw, store_target: None, source: AnswerSource::Model }
    }
}

impl InboundRequest {
    /// # Errors
    ///
    /// A header that cannot be read, or a model to which no endpoint belongs.
    fn new(
        context: &TurnContext,
        protocol: ClientProtocol,
        headers: &HeaderMap,
        mut turn: TurnRequest,
        stream: bool,
        mut notes: Notes,
    ) -> Result<Self, HttpError> {
        let TurnContext { endpoint_set, request, .. } = context;
        turn.model.truncate(models::without_window(&endpoint_set.config, &turn.model).len());
        let profile = context.profile(&turn.model);
        context.check_model(protocol, &turn.model, profile.as_deref())?;
        let level = client_headers::repair_level(headers).map_err(|message| {
            let body = RefusalBody {
                status: 400,
                kind: "invalid_request_error",
                code: "invalid_value",
                param: None,
                message,
            };
            protocol.refusal(&body, request)
        })?;
        // A client's own session holds more than one conversation's cache key does.
        let conversation = client_headers::session(headers).or_else(|| turn.conversation.clone());
        let client = client_headers::name(headers);
        context.open.running.change(|report| {
            report.state = TurnState::Routing;
            report.client.clone_from(&client);
            protocol.name().clone_into(&mut report.protocol);
            report.asked = text::shown(&redact_known(&turn.model), text::MAX_NAME);
        });
        let profile = context.apply(profile, &mut turn, &mut notes, protocol)?;
        let ranking = endpoint_set
            .ranking(&turn.model, conversation.as_deref(), clock::now())
            .map_err(|error| protocol.no_model(&error.to_string(), request))?;
        let ranking = agent_loop::refused(ranking, headers, &turn.model, protocol, request)?;
        let route = endpoint_set.config.named_route(&turn.model);
        let effort = agent_profile::effort(profile.as_deref()).or_else(|| route?.effort);
        if let Some(effort) = effort {
            turn.reasoning.effort = Some(effort.name().to_owned());
        }
        Ok(Self {
            turn,
            stream,
            notes,
            level: level.or_else(|| route?.repair),
            effort,
            profile,
            conversation,
            project: client_headers::project(headers),
            trace: ClientTrace::of(headers, random()),
            client,
            protocol,
            ranking,
        })
    }

    /// What the writer of the answer must know.
    fn writer_seed(&self, context: &TurnContext) -> WriterSeed {
        let id = |item: &Item| if let Item::Call(call) = item { Some(call.id.to_string()) } else { None };
        WriterSeed {
            random: random(),
            created_at: clock::unix_now(),
            call_ids: self.turn.items.iter().filter_map(id).collect(),
            seal: context.seal.clone(),
            client: self.protocol.behaviour(),
        }
    }
}

/// Starts a turn. Nothing is sent upstream before its first poll.
fn start(context: TurnContext, inbound: InboundRequest, plan: ResponsePlan) -> Result<TurnBody, HttpError> {
    let InboundRequest {
        mut turn,
        stream,
        mut notes,
        level,
        effort,
        profile,
        conversation,
        project,
        trace,
        client,
        protocol,
        ranking,
    } = inbound;
    let Ranking { targets, report: route } = ranking;
    // Before anything is written down of a turn that there will not be.
    if targets.is_empty() && !matches!(plan.source, AnswerSource::Local(_)) {
        return Err(protocol.no_model(NO_TARGET, &context.request));
    }
    let mut raw = plan.raw.filter(|_| effort.is_none() && profile.is_none());
    if pictures::correct(&mut turn.items, &mut notes)
        && let Some(raw) = &mut raw
    {
        raw.body = pictures::corrected_body(&raw.body);
    }
    let affinity_key = context.endpoint_set.affinity_key(&turn.model, conversation.as_deref());
    let keep_alive = context.endpoint_set.config.server.keep_alive;
    let config = Arc::clone(&context.endpoint_set.config);
    let TurnContext { open, store, caches, force_stop, request, recording, key, metrics, received, .. } =
        context;
    let running = Arc::clone(&open.running);
    running.change(|report| {
        report.key = key.as_ref().map(|turn| turn.key().record.name.clone());
        report.node.clone_from(&config.server.node);
        report.session =
            conversation.as_deref().map(|session| text::shown(&redact_known(session), text::MAX_NAME));
        report.project = project;
        report.route = route;
    });
    let recorder = Recorder {
        store,
        caches,
        client,
        conversation,
        recording,
        key,
        config,
        metrics,
        received,
        protocol: protocol.name(),
        trace_id: trace.as_ref().map(ClientTrace::name),
    };
    let mut log = TurnLog::new(open, recorder, stream);
    for note in notes {
        log.note(&Note::request(note));
    }
    if let Some(warning) = warn::circle(&turn.items, &turn.tools) {
        log.warn(&warning);
    }
    let headers = trace.map(|trace| trace.headers()).unwrap_or_default();
    let source = match plan.source {
        AnswerSource::Model => {
            let running = Arc::clone(&running);
            let max_wait = protocol.behaviour().max_wait;
            let request = AttemptRequest { turn, raw, headers, level, max_wait, affinity_key, running };
            Attempts::new(targets, request).map(|attempts| EventSource::Attempts(Box::new(attempts)))
        }
        AnswerSource::Compaction => Compactor::new(targets, turn, headers, Arc::clone(&running))
            .map(|compactor| EventSource::Compactor(Box::new(compactor))),
        AnswerSource::Local(text) => {
            log.note(&Note::turn("answered here: no model had to be asked"));
            Some(EventSource::Local(Some(text)))
        }
    };
    let no_target = || protocol.no_model(NO_TARGET, &request);
    let source = source.ok_or_else(no_target)?;
    let body = TurnBody::new(source, plan.answer, log, plan.store_target, keep_alive, force_stop);
    let shows_waits = stream && protocol.behaviour().shows_waits_as_reasoning;
    Ok(if shows_waits { body.telling_waits(running) } else { body })
}

/// The answer to a turn that was started, or why it was not. The flag says whether the client wants a stream.
async fn respond_to(
    started: Result<(TurnBody, bool), HttpError>,
    protocol: ClientProtocol,
    content_type: &'static str,
    request: &str,
) -> Response<Reply> {
    match started {
        Ok((body, stream)) => respond(body, stream, protocol, content_type, request).await,
        Err(error) => refused_response(error),
    }
}

/// The answer to a turn: a stream, or one object at its end.
async fn respond(
    body: TurnBody,
    stream: bool,
    protocol: ClientProtocol,
    content_type: &'static str,
    request: &str,
) -> Response<Reply> {
    if stream {
        return stream_response(body, protocol, content_type, request).await;
    }
    match body.collect().await {
        Ok(object) => json_pieces(StatusCode::OK.as_u16(), object),
        Err(failure) => error_response(protocol.failure(&failure, request)),
    }
}

/// Waits for the first event, so that errors keep their HTTP status; and for no longer than there is nothing to say of a wait.
async fn until_first_event(
    mut body: TurnBody,
    protocol: ClientProtocol,
    request: &str,
) -> Result<TurnBody, HttpError> {
    let client = protocol.behaviour();
    let first = std::future::poll_fn(|cx| match body.poll_first(cx) {
        Poll::Pending if body.poll_wait(cx) => Poll::Ready(None),
        polled => polled.map(Some),
    });
    match tokio::time::timeout(client.status_timeout, first).await {
        Ok(Some(Progress::Failed(failure))) if client.prefers_failed_streams => body.fail(&failure),
        Ok(Some(Progress::Failed(failure))) => {
            body.record_failure(&failure);
            return Err(protocol.failure(&failure, request));
        }
        Ok(Some(Progress::More | Progress::Ended) | None) => {}
        Err(_elapsed) => body.keep_alive(),
    }
    Ok(body)
}

/// The answer as a stream.
async fn stream_response(
    body: TurnBody,
    protocol: ClientProtocol,
    content_type: &'static str,
    request: &str,
) -> Response<Reply> {
    let body = match until_first_event(body, protocol, request).await {
        Ok(body) => body,
        Err(error) => return error_response(error),
    };
    as_stream(Reply::Stream(Box::new(body)), content_type)
}

/// A stream, with the headers that keep it one.
fn as_stream(reply: Reply, content_type: &'static str) -> Response<Reply> {
    let mut response = Response::new(reply);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Sixteen random bytes, from which all ids of a response are made.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Ids must differ, not be secret: the clock is enough where the system gives no randomness.
        bytes = clock::unix_nanos().to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests;
