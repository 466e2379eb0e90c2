//! Turns of Responses clients.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::{ClientRequest, WireProtocol};
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::turn::Seal;
use serde_json::json;

use super::body::{Recalled, StoreTarget};
use super::{
    EVENTS, InboundRequest, Kind, ResponsePlan, TurnBody, TurnContext, answered, begin, client, settled,
    writer_seed,
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

/// A larger conversation is not kept to be gone on with.
const MOST_KEPT: usize = 8 << 20;

/// Answers one `POST /v1/responses`.
pub async fn responses(surroundings: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let front = front(headers);
    let request = surroundings.request.clone();
    let begun = match whole(&surroundings.store, body).await {
        Ok(body) => ready(surroundings, headers, body, RequestFlags::default()),
        Err(error) => Err(error.into()),
    };
    match begun {
        Ok((body, stream)) => answered(body, stream, front, EVENTS, &request).await,
        Err(error) => error_response(error),
    }
}

/// Makes one `response.create` of a connection ready, with its first event. The connection remembers the answer.
pub async fn over_socket(
    surroundings: TurnContext,
    headers: &HeaderMap,
    create: Create,
    recall: Arc<Mutex<Recall>>,
) -> Result<TurnBody, HttpError> {
    let request = surroundings.request.clone();
    let recalled = Recalled { recall, previous: create.previous };
    let manner =
        RequestFlags { warm_up: create.warm_up, recalled: Some(recalled.clone()), ..RequestFlags::default() };
    let answer = async {
        let body = match recalled.joined(&create.body) {
            Some(body) => body,
            None => whole(&surroundings.store, create.body).await?,
        };
        let (body, _) = ready(surroundings, headers, body, manner)?;
        settled(body, front(headers), &request).await
    };
    answer.await.inspect_err(|_| recalled.forget())
}

impl Recalled {
    /// A request with everything before it, where the connection remembers that.
    fn joined(&self, body: &[u8]) -> Option<Bytes> {
        let recall = lock(&self.recall);
        let items = recall.find(self.previous.as_deref()?)?;
        chain::joined(body, &items).map(Bytes::from)
    }
}

/// Answers one `POST /v1/responses/compact`: the person's messages, and one item that stands for everything else.
pub async fn compact(surroundings: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let front = front(headers);
    let request = surroundings.request.clone();
    let body = match whole(&surroundings.store, body).await {
        Ok(body) => body,
        Err(error) => return error_response(error.into()),
    };
    let manner = RequestFlags { compacts: true, ..RequestFlags::default() };
    match ready(surroundings, headers, body.clone(), manner) {
        Ok((turn, _)) => match turn.collect().await {
            Ok(object) => reply::json(StatusCode::OK.as_u16(), compact::response(&object, &body)),
            Err(failure) => error_response(front.failure(&failure, &request)),
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

/// How a request is meant, beside what its body says.
#[derive(Default)]
struct RequestFlags {
    /// A summary is asked for.
    compacts: bool,
    /// No answer is wanted, only a name to go on with.
    warm_up: bool,
    /// The connection it came over.
    recalled: Option<Recalled>,
}

fn front(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Responses { codex: client::is_codex(headers) }
}

/// A request that says everything itself: what it goes on with stands before its own input.
async fn whole(store: &Store, body: Bytes) -> Result<Bytes, RequestError> {
    let Some(id) = chain::previous(&body) else { return Ok(body) };
    let stored = store.response(&id, clock::unix_now()).await.ok_or_else(|| chain::not_found(&id))?;
    // A body that cannot be joined is refused by its reader, in better words.
    Ok(chain::joined(&body, &stored.items).map_or(body, Bytes::from))
}

/// Reads a request and makes its turn ready; says whether the client wants a stream.
fn ready(
    surroundings: TurnContext,
    headers: &HeaderMap,
    body: Bytes,
    manner: RequestFlags,
) -> Result<(TurnBody, bool), HttpError> {
    let RequestFlags { compacts, warm_up, recalled } = manner;
    let front = front(headers);
    let Parsed { turn, stream, notes, echo, tools, input_tokens, compacts: asks, .. } =
        request::read(&body, &surroundings.seal)?;
    let stream = stream && !compacts;
    let question = InboundRequest::new(turn, stream, notes, headers, front, &surroundings.request)?;
    let targets = question.targets(&surroundings, front)?;
    let compaction =
        compacts || (asks && !targets.first().is_some_and(|target| passes(target, question.level)));
    let keep = keep(&surroundings.store, &body, recalled);
    let seed = writer_seed(&surroundings.seal, &question.turn.items, front);
    let options = ResponsesWriterOptions {
        stream,
        input_tokens: if warm_up { 0 } else { input_tokens },
        stores: keep.is_some(),
        compaction,
    };
    let writer = ResponsesWriter::new(seed, options, &echo, tools);
    let way = ResponsePlan {
        answer: writer.into_answer(),
        raw: Some(ClientRequest {
            protocol: WireProtocol::Responses,
            body,
            headers: client::own_headers(headers),
            seal: surroundings.seal.clone(),
        }),
        keep,
        kind: match (warm_up, compaction) {
            (true, _) => Kind::Known(String::new()),
            (false, true) => Kind::Compaction,
            (false, false) => Kind::Turn,
        },
    };
    Ok((begin(surroundings, question, targets, way, front)?, stream))
}

/// Where the answer to this request will be kept. A connection remembers it even where the client wants nothing stored.
fn keep(store: &Store, body: &[u8], recalled: Option<Recalled>) -> Option<StoreTarget> {
    let stores = body.len() <= MOST_KEPT && chain::is_stored(body);
    if recalled.is_none() && !stores {
        return None;
    }
    Some(StoreTarget { store: stores.then(|| store.clone()), recall: recalled, input: chain::input(body)? })
}

/// Whether an endpoint that speaks the client's protocol does its own compaction.
fn passes(target: &RouteTarget, level: Option<RepairLevel>) -> bool {
    let endpoint = &target.runtime.endpoint;
    endpoint.protocol == Protocol::Responses && level.unwrap_or(endpoint.repair) == RepairLevel::Off
}
