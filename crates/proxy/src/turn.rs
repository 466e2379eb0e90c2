//! The walk of one turn, top to bottom: read, route, attempt, answer.
//!
//! A turn is not a task: it is the response body. hyper polls the body, the body polls the attempt, the attempt polls the
//! upstream. So backpressure reaches the provider, and a client that leaves drops everything at once.

mod body;
mod log;
mod work;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Response, StatusCode};
use latimer_adapters::prepared::{Raw, Wire};
use latimer_adapters::repair::Level;
use latimer_protocol::turn::{Item, Seal};

use self::body::Keep;
pub use self::body::TurnBody;
use self::log::{Books, Log};
use self::work::Work;
use crate::compactor::Compactor;
use crate::config::Protocol;
use crate::inbound::responses::answer::Answer;
use crate::inbound::responses::error::{self, HttpError, RequestError};
use crate::inbound::responses::request::{self, Parsed};
use crate::inbound::responses::stream::{Begin, Writer};
use crate::inbound::responses::{chain, compact};
use crate::route::attempt::{Asked, Attempts, Progress};
use crate::route::fleet::{Fleet, Leg};
use crate::server::reply::{Refusal, Reply, json};
use crate::server::shutdown::{Cut, OpenTurn};
use crate::store::Store;
use crate::store::warn::{self, Caches};

/// How long the HTTP status waits for the first event. After that the stream begins, and errors travel inside it.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// A larger conversation is not kept to be gone on with.
const MOST_KEPT: usize = 8 << 20;

/// The header with which a request chooses its level of repair.
const REPAIR: &str = "x-latimer-repair";

/// What the server hands to a turn.
pub struct Surroundings {
    /// The configuration of this moment, alive.
    pub fleet: Arc<Fleet>,
    /// Counts the turn as open while it lives.
    pub open: OpenTurn,
    /// Fires when open turns must end.
    pub cut: Cut,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
    /// Keeps rows and answers.
    pub store: Store,
    /// Knows whose caches were warm.
    pub caches: Arc<Mutex<Caches>>,
    /// A turn of our own: it stands in no log and no account.
    pub quiet: bool,
}

/// Answers one `POST /v1/responses`.
pub async fn responses(surroundings: Surroundings, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let codex = is_codex(headers);
    let body = match whole(&surroundings.store, body).await {
        Ok(body) => body,
        Err(error) => return from_error(error.into()),
    };
    match begin(surroundings, headers, body, false) {
        Ok((body, true)) => answer_stream(body, codex).await,
        Ok((body, false)) => match body.collect().await {
            Ok(object) => json(StatusCode::OK.as_u16(), object),
            Err(failure) => from_error(error::http_error(&failure, codex)),
        },
        Err(response) => *response,
    }
}

/// Answers one `POST /v1/responses/compact`: the person's messages, and one item that stands for everything else.
pub async fn compact(surroundings: Surroundings, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let codex = is_codex(headers);
    let body = match whole(&surroundings.store, body).await {
        Ok(body) => body,
        Err(error) => return from_error(error.into()),
    };
    match begin(surroundings, headers, body.clone(), true) {
        Ok((turn, _)) => match turn.collect().await {
            Ok(object) => json(StatusCode::OK.as_u16(), compact::response(&object, &body)),
            Err(failure) => from_error(error::http_error(&failure, codex)),
        },
        Err(response) => *response,
    }
}

/// A request that says everything itself: what it goes on with stands before its own input.
async fn whole(store: &Store, body: Bytes) -> Result<Bytes, RequestError> {
    let Some(id) = chain::previous(&body) else { return Ok(body) };
    let stored = store.response(&id, unix_now()).await.ok_or_else(|| chain::not_found(&id))?;
    // A body that cannot be joined is refused by its reader, in better words.
    Ok(chain::joined(&body, &stored.items).map_or(body, Bytes::from))
}

/// Reads a request and makes its turn ready; says whether the client wants a stream.
fn begin(
    surroundings: Surroundings,
    headers: &HeaderMap,
    body: Bytes,
    compacts: bool,
) -> Result<(TurnBody, bool), Box<Response<Reply>>> {
    let codex = is_codex(headers);
    let parsed =
        request::read(&body, &surroundings.seal).map_err(|error| Box::new(from_error(error.into())))?;
    let level = repair_level(headers).map_err(|refusal| Box::new(refusal.into_response()))?;
    let conversation = parsed.turn.conversation.clone().or_else(|| session(headers));
    let fleet = &surroundings.fleet;
    let no_model =
        |message: String| Box::new(refuse(Refusal::invalid(404, "model_not_found").message(message), codex));
    let legs = fleet
        .legs(&parsed.turn.model, conversation.as_deref(), Instant::now())
        .map_err(|error| no_model(error.to_string()))?;
    let stay = fleet.stay_key(&parsed.turn.model, conversation.as_deref());
    let compaction = compacts || (parsed.compacts && !legs.first().is_some_and(|leg| passes(leg, level)));
    let Parsed { turn, stream, notes, echo, tools, input_tokens, .. } = parsed;
    let stream = stream && !compacts;
    let Surroundings { open, store, caches, quiet, .. } = surroundings;
    let client = client(headers);
    let mut log = Log::new(open, Books { store: store.clone(), caches, client, conversation, quiet }, stream);
    for note in &notes {
        log.note(note);
    }
    if let Some(warning) = warn::circle(&turn.items) {
        log.warn(&warning);
    }
    let keeps = if body.len() <= MOST_KEPT { chain::kept(&body) } else { None };
    let begin = Begin {
        seed: random(),
        created_at: unix_now(),
        codex,
        stream,
        input_tokens,
        call_ids: call_ids(&turn.items),
        keeps: keeps.is_some(),
        compaction,
        seal: surroundings.seal.clone(),
    };
    let answer = Answer::new(Writer::new(begin, &echo, tools));
    let raw = Raw { wire: Wire::Responses, body, headers: own_headers(headers), seal: surroundings.seal };
    let work = if compaction {
        Compactor::new(legs, turn).map(|compactor| Work::Compaction(Box::new(compactor)))
    } else {
        let asked = Asked { turn, raw: Some(raw), level, stay };
        Attempts::new(legs, asked).map(|attempts| Work::Turn(Box::new(attempts)))
    };
    let work =
        work.ok_or_else(|| no_model("the route has no endpoint left; check the configuration".to_owned()))?;
    let keep = keeps.map(|input| Keep { store, input });
    let keep_alive = fleet.config.server.keep_alive;
    Ok((TurnBody::new(work, answer, log, keep, keep_alive, surroundings.cut), stream))
}

/// Whether an endpoint that speaks the client's protocol does its own compaction.
fn passes(leg: &Leg, level: Option<Level>) -> bool {
    let endpoint = &leg.runtime.endpoint;
    endpoint.protocol == Protocol::Responses && level.unwrap_or(endpoint.repair) == Level::Off
}

/// The client, as it calls itself: the first word of its name.
fn client(headers: &HeaderMap) -> String {
    let name = headers.get("originator").or_else(|| headers.get(USER_AGENT));
    let name = name.and_then(|name| name.to_str().ok()).unwrap_or("unknown");
    name.split(['/', ' ']).next().unwrap_or(name).chars().take(40).collect()
}

/// Call ids of the conversation so far.
fn call_ids(items: &[Item]) -> HashSet<String> {
    let id = |item: &Item| if let Item::Call(call) = item { Some(call.id.to_string()) } else { None };
    items.iter().filter_map(id).collect()
}

/// Waits for the first event, so that errors keep their HTTP status, then streams.
async fn answer_stream(mut body: TurnBody, codex: bool) -> Response<Reply> {
    match tokio::time::timeout(STATUS_PATIENCE, std::future::poll_fn(|cx| body.poll_first(cx))).await {
        // Codex answers a 5xx with thirty requests, and a failed stream with six: after our own retries that is plenty.
        Ok(Progress::Failed(failure)) if codex && error::is_passing(&failure) => body.fail(&failure),
        Ok(Progress::Failed(failure)) => {
            body.failed(&failure);
            return from_error(error::http_error(&failure, codex));
        }
        Ok(Progress::More | Progress::Ended) => {}
        Err(_elapsed) => body.keep_alive(),
    }
    let mut response = Response::new(Reply::Turn(Box::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// True when the caller is Codex, by the headers it always sends.
fn is_codex(headers: &HeaderMap) -> bool {
    let starts =
        |value: Option<&HeaderValue>| value.is_some_and(|value| value.as_bytes().starts_with(b"codex"));
    starts(headers.get("originator"))
        || starts(headers.get(USER_AGENT))
        || headers.contains_key("x-codex-turn-metadata")
}

/// What names the conversation where the request does not: the session headers of known clients.
fn session(headers: &HeaderMap) -> Option<String> {
    const SESSION: [&str; 4] = ["session_id", "session-id", "thread-id", "x-session-id"];
    SESSION.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::to_owned)
}

/// The client's headers that may concern an upstream of the same protocol; never a credential.
fn own_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    const NEVER: [&str; 9] = [
        "authorization",
        "x-api-key",
        "cookie",
        "host",
        "content-length",
        "content-type",
        "accept",
        "accept-encoding",
        "connection",
    ];
    let keep = |name: &HeaderName| !NEVER.contains(&name.as_str());
    headers.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The level of repair that the request chooses.
fn repair_level(headers: &HeaderMap) -> Result<Option<Level>, Refusal> {
    let Some(value) = headers.get(REPAIR) else { return Ok(None) };
    match value.as_bytes() {
        b"off" => Ok(Some(Level::Off)),
        b"parse" => Ok(Some(Level::Parse)),
        b"assist" => Ok(Some(Level::Assist)),
        _ => Err(Refusal::invalid(400, "invalid_value")
            .message(format!("the header {REPAIR} is `off`, `parse` or `assist`"))),
    }
}

/// Codex asks six times after a 404 and once after a 400, and shows the message of either.
fn refuse(mut refusal: Refusal, codex: bool) -> Response<Reply> {
    refusal.param = Some("model".to_owned());
    if codex {
        refusal.status = 400;
    }
    refusal.into_response()
}

fn from_error(error: HttpError) -> Response<Reply> {
    let mut response = json(error.status, error.body);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Sixteen random bytes, from which all ids of a response are made.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Ids must differ, not be secret: the clock is enough where the system gives no randomness.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        bytes = nanos.to_le_bytes();
    }
    bytes
}
