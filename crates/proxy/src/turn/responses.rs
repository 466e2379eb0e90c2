//! Turns of Responses clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared::{Raw, Wire};
use latimer_adapters::repair::Level;
use latimer_protocol::turn::Seal;
use serde_json::json;

use super::body::Keep;
use super::{
    EVENTS, Kind, Question, Surroundings, TurnBody, Way, answered, begin, call_ids, client, random, unix_now,
};
use crate::config::Protocol;
use crate::inbound::answer::Answer;
use crate::inbound::front::Front;
use crate::inbound::responses::error::{HttpError, RequestError};
use crate::inbound::responses::request::{self, Parsed};
use crate::inbound::responses::stream::{Begin, Writer};
use crate::inbound::responses::{answer, chain, compact};
use crate::inbound::tokens;
use crate::route::fleet::Leg;
use crate::server::reply::{self, Reply, said_no};
use crate::store::Store;

/// A larger conversation is not kept to be gone on with.
const MOST_KEPT: usize = 8 << 20;

/// Answers one `POST /v1/responses`.
pub async fn responses(surroundings: Surroundings, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let front = front(headers);
    let request = surroundings.request.clone();
    let begun = match whole(&surroundings.store, body).await {
        Ok(body) => ready(surroundings, headers, body, false),
        Err(error) => Err(error.into()),
    };
    match begun {
        Ok((body, stream)) => answered(body, stream, front, EVENTS, &request).await,
        Err(error) => said_no(error),
    }
}

/// Answers one `POST /v1/responses/compact`: the person's messages, and one item that stands for everything else.
pub async fn compact(surroundings: Surroundings, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let front = front(headers);
    let request = surroundings.request.clone();
    let body = match whole(&surroundings.store, body).await {
        Ok(body) => body,
        Err(error) => return said_no(error.into()),
    };
    match ready(surroundings, headers, body.clone(), true) {
        Ok((turn, _)) => match turn.collect().await {
            Ok(object) => reply::json(StatusCode::OK.as_u16(), compact::response(&object, &body)),
            Err(failure) => said_no(front.failure(&failure, &request)),
        },
        Err(error) => said_no(error),
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
        Err(error) => said_no(error.into()),
    }
}

fn front(headers: &HeaderMap) -> Front {
    Front::Responses { codex: client::is_codex(headers) }
}

/// A request that says everything itself: what it goes on with stands before its own input.
async fn whole(store: &Store, body: Bytes) -> Result<Bytes, RequestError> {
    let Some(id) = chain::previous(&body) else { return Ok(body) };
    let stored = store.response(&id, unix_now()).await.ok_or_else(|| chain::not_found(&id))?;
    // A body that cannot be joined is refused by its reader, in better words.
    Ok(chain::joined(&body, &stored.items).map_or(body, Bytes::from))
}

/// Reads a request and makes its turn ready; says whether the client wants a stream.
fn ready(
    surroundings: Surroundings,
    headers: &HeaderMap,
    body: Bytes,
    compacts: bool,
) -> Result<(TurnBody, bool), HttpError> {
    let front = front(headers);
    let Parsed { turn, stream, notes, echo, tools, input_tokens, compacts: asks, .. } =
        request::read(&body, &surroundings.seal)?;
    let stream = stream && !compacts;
    let question = Question::new(turn, stream, notes, headers, front, &surroundings.request)?;
    let legs = question.legs(&surroundings, front)?;
    let compaction = compacts || (asks && !legs.first().is_some_and(|leg| passes(leg, question.level)));
    let keeps = if body.len() <= MOST_KEPT { chain::kept(&body) } else { None };
    let writer = Begin {
        seed: random(),
        created_at: unix_now(),
        codex: client::is_codex(headers),
        stream,
        input_tokens,
        call_ids: call_ids(&question.turn.items),
        keeps: keeps.is_some(),
        compaction,
        seal: surroundings.seal.clone(),
    };
    let writer = Writer::new(writer, &echo, tools);
    let way = Way {
        answer: Answer::Responses(Box::new(answer::Answer::new(writer))),
        raw: Some(Raw {
            wire: Wire::Responses,
            body,
            headers: client::own_headers(headers),
            seal: surroundings.seal.clone(),
        }),
        keep: keeps.map(|input| Keep { store: surroundings.store.clone(), input }),
        kind: if compaction { Kind::Compaction } else { Kind::Turn },
    };
    Ok((begin(surroundings, question, legs, way, front)?, stream))
}

/// Whether an endpoint that speaks the client's protocol does its own compaction.
fn passes(leg: &Leg, level: Option<Level>) -> bool {
    let endpoint = &leg.runtime.endpoint;
    endpoint.protocol == Protocol::Responses && level.unwrap_or(endpoint.repair) == Level::Off
}
