//! Turns of Responses clients.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::WireProtocol;
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::turn::SealKey;
use serde_json::{Value, json};

use super::body::{ConnectionMemory, StoreTarget};
use super::{
    AnswerSource, EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, client_headers, respond,
    start, until_first_event,
};
use crate::clock;
use crate::config::Protocol;
use crate::http::reply::{self, Reply, error_response};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::responses::body::RequestBody;
use crate::inbound::responses::request::{self, ResponsesRequest};
use crate::inbound::responses::socket::history::ConnectionHistory;
use crate::inbound::responses::socket::message::ResponseCreate;
use crate::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use crate::inbound::responses::{chain, compact};
use crate::inbound::tokens;
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::openai_error::bad_request;
use crate::route::endpoint_set::RouteTarget;
use crate::store::Store;
use crate::sync::lock;

/// A larger request body, in bytes, is not stored: no later request can go on with its conversation.
const MAX_STORED: usize = 8 << 20;

/// Answers one `POST /v1/responses`.
pub async fn responses(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    match begin(context, headers, body, Purpose::Answer, None).await {
        Ok(turn) => respond(turn.body, turn.stream, protocol, EVENT_STREAM, &request).await,
        Err(error) => error_response(error),
    }
}

/// Starts the turn of one `response.create` of a connection, up to its first event. The connection remembers the response.
///
/// # Errors
///
/// The request cannot be read, or the turn failed before its first event. The response it goes on with is forgotten then.
pub async fn over_socket(
    context: TurnContext,
    headers: &HeaderMap,
    create: ResponseCreate,
    recall: Arc<Mutex<ConnectionHistory>>,
) -> Result<TurnBody, HttpError> {
    let request = context.request.clone();
    let memory = ConnectionMemory { recall, previous: create.previous_response_id };
    let purpose = if create.warm_up { Purpose::WarmUp } else { Purpose::Answer };
    let started = async {
        let turn = begin(context, headers, create.body, purpose, Some(memory.clone())).await?;
        until_first_event(turn.body, client_protocol(headers), &request).await
    };
    started.await.inspect_err(|_| memory.forget())
}

impl ConnectionMemory {
    /// The conversation before the request, where the connection remembers it.
    fn items(&self) -> Option<Bytes> {
        lock(&self.recall).find(self.previous.as_deref()?)
    }
}

/// Answers one `POST /v1/responses/compact`: the person's messages, and one item that stands for everything else.
pub async fn compact(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    match begin(context, headers, body, Purpose::Compaction, None).await {
        Ok(turn) => match turn.body.collect().await {
            Ok(object) => {
                reply::json(StatusCode::OK.as_u16(), compact::response(&object, turn.user_messages))
            }
            Err(failure) => error_response(protocol.failure(&failure, &request)),
        },
        Err(error) => error_response(error),
    }
}

/// Answers one `POST /v1/responses/input_tokens`, without asking anybody.
pub fn input_tokens(seal: &SealKey, body: &[u8]) -> Response<Reply> {
    match request::read(body, seal) {
        Ok(request) => {
            let answer =
                json!({ "object": "response.input_tokens", "input_tokens": tokens::count(&request.turn) });
            reply::json(StatusCode::OK.as_u16(), answer.to_string())
        }
        Err(error) => error_response(bad_request(&error)),
    }
}

/// What a request is for, beside what its body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The model's answer.
    Answer,
    /// A summary of the history.
    Compaction,
    /// No answer, only an id to go on with.
    WarmUp,
}

fn client_protocol(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Responses { codex: client_headers::is_codex(headers) }
}

/// A turn that was started, and what its request wants.
struct StartedTurn {
    body: TurnBody,
    /// Whether the client wants a stream.
    stream: bool,
    /// The person's messages that a compaction leaves standing; empty for every other turn.
    user_messages: Vec<Value>,
}

/// Starts the turn of a request, with the conversation that it goes on with before its own input. `memory` is that of the
/// connection, where the request came over one.
///
/// # Errors
///
/// The request cannot be read, or its conversation is not stored, or not any more.
async fn begin(
    context: TurnContext,
    headers: &HeaderMap,
    body: Bytes,
    purpose: Purpose,
    memory: Option<ConnectionMemory>,
) -> Result<StartedTurn, HttpError> {
    let parsed = RequestBody::parse(&body).map_err(|error| bad_request(&error))?;
    let Some(id) = parsed.previous_response_id() else {
        return prepare(context, headers, &body, &parsed, purpose, memory);
    };
    let joined = if let Some(items) = memory.as_ref().and_then(ConnectionMemory::items) {
        parsed.with_history(&items)
    } else {
        let stored = context.store.response(&id, clock::unix_now()).await;
        parsed.with_history(&stored.ok_or_else(|| chain::not_found(&id))?.items)
    };
    // A body that cannot be joined is refused by its reader, in better words.
    let Some(joined) = joined.map(Bytes::from) else {
        return prepare(context, headers, &body, &parsed, purpose, memory);
    };
    let parsed = RequestBody::parse(&joined).map_err(|error| bad_request(&error))?;
    prepare(context, headers, &joined, &parsed, purpose, memory)
}

/// Reads a request, whose fields are `parsed`, and starts its turn.
fn prepare(
    context: TurnContext,
    headers: &HeaderMap,
    body: &Bytes,
    parsed: &RequestBody<'_>,
    purpose: Purpose,
    memory: Option<ConnectionMemory>,
) -> Result<StartedTurn, HttpError> {
    let protocol = client_protocol(headers);
    let ResponsesRequest { turn, stream, notes, echo, tools, input_tokens, compacts: asks, .. } =
        parsed.read(&context.seal).map_err(|error| bad_request(&error))?;
    let stream = stream && purpose != Purpose::Compaction;
    let inbound = InboundRequest::new(&context, protocol, headers, turn, stream, notes)?;
    let compaction = purpose == Purpose::Compaction
        || (asks && !inbound.targets.first().is_some_and(|target| compacts_itself(target, inbound.level)));
    let store_target = store_target(&context.store, body, parsed, memory);
    let user_messages = if purpose == Purpose::Compaction { parsed.user_messages() } else { Vec::new() };
    let options = ResponsesWriterOptions {
        stream,
        input_tokens: if purpose == Purpose::WarmUp { 0 } else { input_tokens },
        stores: store_target.is_some(),
        compaction,
    };
    let writer = ResponsesWriter::new(inbound.writer_seed(&context), options, &echo, tools);
    let plan = ResponsePlan {
        answer: writer.into_answer(),
        raw: Some(context.client_request(WireProtocol::Responses, headers, body.clone())),
        store_target,
        source: match purpose {
            Purpose::WarmUp => AnswerSource::Local(String::new()),
            Purpose::Answer | Purpose::Compaction if compaction => AnswerSource::Compaction,
            Purpose::Answer | Purpose::Compaction => AnswerSource::Model,
        },
    };
    let body = start(context, inbound, plan)?;
    Ok(StartedTurn { body, stream, user_messages })
}

/// Where the response to this request will be stored. A connection remembers it even where the client wants nothing stored.
fn store_target(
    store: &Store,
    body: &Bytes,
    parsed: &RequestBody<'_>,
    memory: Option<ConnectionMemory>,
) -> Option<StoreTarget> {
    let stores = body.len() <= MAX_STORED && parsed.is_stored();
    if memory.is_none() && !stores {
        return None;
    }
    Some(StoreTarget { store: stores.then(|| store.clone()), memory, input: parsed.stored_input(body)? })
}

/// Whether an endpoint does compactions itself: it speaks the client's protocol, and nothing is repaired on the way.
fn compacts_itself(target: &RouteTarget, level: Option<RepairLevel>) -> bool {
    let endpoint = &target.runtime.endpoint;
    endpoint.protocol == Protocol::Responses && level.unwrap_or(endpoint.repair) == RepairLevel::Off
}
