//! The walk of one turn, top to bottom: read, route, attempt, answer.
//!
//! A turn is not a task: it is the response body. hyper polls the body, the body polls the attempt, the attempt polls the
//! upstream. So backpressure reaches the provider, and a client that leaves drops everything at once.

mod body;
mod chat;
mod client;
mod gemini;
mod log;
mod messages;
mod responses;
mod work;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::ClientRequest;
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::turn::{Item, Note, Seal, TurnRequest};

use self::body::StoreTarget;
pub use self::body::TurnBody;
pub use self::chat::chat;
pub(crate) use self::client::{is_codex, is_discovery, is_gemini_cli};
pub use self::gemini::{generate, generate_count};
use self::log::{Log, Recorder};
pub use self::messages::{messages, messages_count};
pub use self::responses::{compact, input_tokens, over_socket, responses};
use self::work::Work;
use crate::clock;
use crate::compactor::Compactor;
use crate::http::reply::{Reply, error_response, json};
use crate::inbound::client_protocol::{ClientProtocol, RefusalBody};
use crate::inbound::responses::error;
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::writer::WriterSeed;
use crate::inbound::writer::answer::Answer;
use crate::lifecycle::force_stop::ForceStop;
use crate::lifecycle::open_turns::OpenTurn;
use crate::route::attempt::{AttemptRequest, Attempts, Progress};
use crate::route::endpoint_set::{EndpointSet, RouteTarget};
use crate::store::Store;
use crate::store::warn::{self, CacheMonitor};

/// How long the HTTP status waits for the first event. After that the stream begins, and errors travel inside it.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// The content type of nearly every stream.
const EVENTS: &str = "text/event-stream";

/// What the server hands to a turn.
pub struct TurnContext {
    /// The configuration of this moment, alive.
    pub endpoint_set: Arc<EndpointSet>,
    /// Counts the turn as open while it lives.
    pub open: OpenTurn,
    /// Fires when open turns must end.
    pub cut: ForceStop,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
    /// Keeps rows and answers.
    pub store: Store,
    /// Knows whose caches were warm.
    pub caches: Arc<Mutex<CacheMonitor>>,
    /// A turn of our own: it stands in no log and no account.
    pub quiet: bool,
    /// The name of the request in the log, such as `req_1f_2`.
    pub request: String,
}

/// A request that was read, whatever its protocol was.
struct InboundRequest {
    /// What is asked.
    turn: TurnRequest,
    /// Whether the client wants a stream.
    stream: bool,
    /// What was lowered or dropped when it was read.
    notes: Vec<String>,
    /// The level of repair that it chose.
    level: Option<RepairLevel>,
    /// What names the conversation.
    conversation: Option<String>,
    /// The client, as it calls itself.
    client: String,
}

/// How a question is answered, as its protocol sees it.
struct ResponsePlan {
    answer: Answer,
    /// The request as it came, where the upstream may get it so.
    raw: Option<ClientRequest>,
    /// Where the answer is kept, to be gone on with.
    keep: Option<StoreTarget>,
    kind: Kind,
}

/// Who answers.
enum Kind {
    /// A model.
    Turn,
    /// A model, in several questions: a summary.
    Compaction,
    /// Nobody: the answer is known.
    Known(String),
}

impl InboundRequest {
    fn new(
        turn: TurnRequest,
        stream: bool,
        notes: Vec<String>,
        headers: &HeaderMap,
        front: ClientProtocol,
        request: &str,
    ) -> Result<Self, HttpError> {
        let level = client::repair_level(headers).map_err(|message| {
            let said = RefusalBody {
                status: 400,
                kind: "invalid_request_error",
                code: "invalid_value",
                param: None,
                message,
            };
            front.refusal(&said, request)
        })?;
        // A client's own session holds more than one conversation's cache key does.
        let conversation = client::session(headers).or_else(|| turn.conversation.clone());
        Ok(Self { turn, stream, notes, level, conversation, client: client::name(headers) })
    }

    /// The endpoints that may answer, the best first.
    fn targets(
        &self,
        surroundings: &TurnContext,
        front: ClientProtocol,
    ) -> Result<Vec<RouteTarget>, HttpError> {
        let TurnContext { endpoint_set, request, .. } = surroundings;
        endpoint_set
            .targets(&self.turn.model, self.conversation.as_deref(), clock::now())
            .map_err(|error| front.no_model(&error.to_string(), request))
    }
}

/// Makes a turn ready. Nothing is sent before its first poll.
fn begin(
    surroundings: TurnContext,
    question: InboundRequest,
    targets: Vec<RouteTarget>,
    way: ResponsePlan,
    front: ClientProtocol,
) -> Result<TurnBody, HttpError> {
    let InboundRequest { turn, stream, notes, level, conversation, client } = question;
    let affinity_key = surroundings.endpoint_set.affinity_key(&turn.model, conversation.as_deref());
    let keep_alive = surroundings.endpoint_set.config.server.keep_alive;
    let TurnContext { open, store, caches, cut, request, quiet, .. } = surroundings;
    let mut log = Log::new(open, Recorder { store, caches, client, conversation, quiet }, stream);
    for note in notes {
        log.note(&Note::request(note));
    }
    if let Some(warning) = warn::circle(&turn.items) {
        log.warn(&warning);
    }
    let work = match way.kind {
        Kind::Turn => {
            let asked = AttemptRequest { turn, raw: way.raw, level, affinity_key };
            Attempts::new(targets, asked).map(|attempts| Work::Turn(Box::new(attempts)))
        }
        Kind::Compaction => {
            Compactor::new(targets, turn).map(|compactor| Work::Compaction(Box::new(compactor)))
        }
        Kind::Known(text) => {
            log.note(&Note::turn("answered here: no model had to be asked"));
            Some(Work::Known(Some(text)))
        }
    };
    let nobody = || front.no_model("the route has no endpoint left; check the configuration", &request);
    Ok(TurnBody::new(work.ok_or_else(nobody)?, way.answer, log, way.keep, keep_alive, cut))
}

/// The answer to a turn: a stream, or one object at its end.
async fn answered(
    body: TurnBody,
    stream: bool,
    front: ClientProtocol,
    content_type: &'static str,
    request: &str,
) -> Response<Reply> {
    if stream {
        return streamed(body, front, content_type, request).await;
    }
    match body.collect().await {
        Ok(object) => json(StatusCode::OK.as_u16(), object),
        Err(failure) => error_response(front.failure(&failure, request)),
    }
}

/// Waits for the first event, so that errors keep their HTTP status.
async fn settled(mut body: TurnBody, front: ClientProtocol, request: &str) -> Result<TurnBody, HttpError> {
    match tokio::time::timeout(STATUS_PATIENCE, std::future::poll_fn(|cx| body.poll_first(cx))).await {
        Ok(Progress::Failed(failure))
            if front.behaviour().prefers_failed_streams && error::is_passing(&failure) =>
        {
            body.fail(&failure);
        }
        Ok(Progress::Failed(failure)) => {
            body.failed(&failure);
            return Err(front.failure(&failure, request));
        }
        Ok(Progress::More | Progress::Ended) => {}
        Err(_elapsed) => body.keep_alive(),
    }
    Ok(body)
}

/// The answer as a stream.
async fn streamed(
    body: TurnBody,
    front: ClientProtocol,
    content_type: &'static str,
    request: &str,
) -> Response<Reply> {
    let body = match settled(body, front, request).await {
        Ok(body) => body,
        Err(error) => return error_response(error),
    };
    let mut response = Response::new(Reply::Stream(Box::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// What the writer of this turn's answer must know.
fn writer_seed(seal: &Seal, items: &[Item], client: ClientProtocol) -> WriterSeed {
    let id = |item: &Item| if let Item::Call(call) = item { Some(call.id.to_string()) } else { None };
    WriterSeed {
        random: random(),
        created_at: clock::unix_now(),
        call_ids: items.iter().filter_map(id).collect(),
        seal: seal.clone(),
        client: client.behaviour(),
    }
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
