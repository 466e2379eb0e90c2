//! Turns of Responses clients.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::{ClientRequest, WireProtocol};
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::turn::Seal;
use serde_json::json;

use super::body::{ConnectionMemory, StoreTarget};
use super::{
    AnswerSource, EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, client_headers, respond,
    start, until_first_event, writer_seed,
};
use crate::clock;
use crate::config::Protocol;
use crate::http::reply::{self, Reply, error_response};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::responses::request::{self, Parsed};
use crate::inbound::responses::socket::message::Create;
use crate::inbound::responses::socket::recall::Recall;
use crate::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions};
use crate::inbound::responses::{chain, compact};
use crate::inbound::tokens;
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::openai_error::RequestError;
use crate::route::endpoint_set::RouteTarget;
use crate::store::Store;
use crate::sync::lock;

/// A larger request body, in bytes, is not stored: no later request can go on with its conversation.
const MAX_STORED: usize = 8 << 20;

/// Answers one `POST /v1/responses`.
pub async fn responses(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    let begun = match with_history(&context.store, body).await {
        Ok(body) => prepare(context, headers, body, Purpose::Answer, None),
        Err(error) => Err(error.into()),
    };
    match begun {
        Ok((body, stream)) => respond(body, stream, protocol, EVENT_STREAM, &request).await,
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
    create: Create,
    recall: Arc<Mutex<Recall>>,
) -> Result<TurnBody, HttpError> {
    let request = context.request.clone();
    let memory = ConnectionMemory { recall, previous: create.previous };
    let purpose = if create.warm_up { Purpose::WarmUp } else { Purpose::Answer };
    let started = async {
        let body = match memory.joined(&create.body) {
            Some(body) => body,
            None => with_history(&context.store, create.body).await?,
        };
        let (body, _) = prepare(context, headers, body, purpose, Some(memory.clone()))?;
        until_first_event(body, client_protocol(headers), &request).await
    };
    started.await.inspect_err(|_| memory.forget())
}

impl ConnectionMemory {
    /// A request with everything before it, where the connection remembers that.
    fn joined(&self, body: &[u8]) -> Option<Bytes> {
        let recall = lock(&self.recall);
        let items = recall.find(self.previous.as_deref()?)?;
        chain::joined(body, &items).map(Bytes::from)
    }
}

/// Answers one `POST /v1/responses/compact`: the person's messages, and one item that stands for everything else.
pub async fn compact(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    let body = match with_history(&context.store, body).await {
        Ok(body) => body,
        Err(error) => return error_response(error.into()),
    };
    match prepare(context, headers, body.clone(), Purpose::Compaction, None) {
        Ok((turn, _)) => match turn.collect().await {
            Ok(object) => reply::json(StatusCode::OK.as_u16(), compact::response(&object, &body)),
            Err(failure) => error_response(protocol.failure(&failure, &request)),
        },
        Err(error) => error_response(error),
    }
}

/// Answers one `POST /v1/responses/input_tokens`, without asking anybody.
pub fn input_tokens(seal: &Seal, body: &[u8]) -> Response<Reply> {
    match request::read(body, seal) {
        Ok(parsed) => {
            let answer =
                json!({ "object": "response.input_tokens", "input_tokens": tokens::count(&parsed.turn) });
            reply::json(StatusCode::OK.as_u16(), answer.to_string())
        }
        Err(error) => error_response(error.into()),
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

/// The request with the conversation that it goes on with before its own input.
///
/// # Errors
///
/// That conversation is not stored, or not any more.
async fn with_history(store: &Store, body: Bytes) -> Result<Bytes, RequestError> {
    let Some(id) = chain::previous(&body) else { return Ok(body) };
    let stored = store.response(&id, clock::unix_now()).await.ok_or_else(|| chain::not_found(&id))?;
    // A body that cannot be joined is refused by its reader, in better words.
    Ok(chain::joined(&body, &stored.items).map_or(body, Bytes::from))
}

/// Reads a request and starts its turn; says whether the client wants a stream. `memory` is that of the connection, where the
/// request came over one.
fn prepare(
    context: TurnContext,
    headers: &HeaderMap,
    body: Bytes,
    purpose: Purpose,
    memory: Option<ConnectionMemory>,
) -> Result<(TurnBody, bool), HttpError> {
    let protocol = client_protocol(headers);
    let Parsed { turn, stream, notes, echo, tools, input_tokens, compacts: asks, .. } =
        request::read(&body, &context.seal)?;
    let stream = stream && purpose != Purpose::Compaction;
    let inbound = InboundRequest::new(turn, stream, notes, headers, protocol, &context.request)?;
    let targets = inbound.targets(&context, protocol)?;
    let compaction = purpose == Purpose::Compaction
        || (asks && !targets.first().is_some_and(|target| compacts_itself(target, inbound.level)));
    let store_target = store_target(&context.store, &body, memory);
    let seed = writer_seed(&context.seal, &inbound.turn.items, protocol);
    let options = ResponsesWriterOptions {
        stream,
        input_tokens: if purpose == Purpose::WarmUp { 0 } else { input_tokens },
        stores: store_target.is_some(),
        compaction,
    };
    let writer = ResponsesWriter::new(seed, options, &echo, tools);
    let plan = ResponsePlan {
        answer: writer.into_answer(),
        raw: Some(ClientRequest {
            protocol: WireProtocol::Responses,
            body,
            headers: client_headers::own_headers(headers),
            seal: context.seal.clone(),
        }),
        store_target,
        source: match purpose {
            Purpose::WarmUp => AnswerSource::Local(String::new()),
            Purpose::Answer | Purpose::Compaction if compaction => AnswerSource::Compaction,
            Purpose::Answer | Purpose::Compaction => AnswerSource::Model,
        },
    };
    Ok((start(context, inbound, targets, plan, protocol)?, stream))
}

/// Where the response to this request will be stored. A connection remembers it even where the client wants nothing stored.
fn store_target(store: &Store, body: &[u8], memory: Option<ConnectionMemory>) -> Option<StoreTarget> {
    let stores = body.len() <= MAX_STORED && chain::is_stored(body);
    if memory.is_none() && !stores {
        return None;
    }
    Some(StoreTarget { store: stores.then(|| store.clone()), memory, input: chain::input(body)? })
}

/// Whether an endpoint does compactions itself: it speaks the client's protocol, and nothing is repaired on the way.
fn compacts_itself(target: &RouteTarget, level: Option<RepairLevel>) -> bool {
    let endpoint = &target.runtime.endpoint;
    endpoint.protocol == Protocol::Responses && level.unwrap_or(endpoint.repair) == RepairLevel::Off
}
