//! Turns of Messages clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::{ClientRequest, WireProtocol};
use latimer_protocol::turn::Seal;

use super::{
    EVENTS, InboundRequest, Kind, ResponsePlan, TurnBody, TurnContext, answered, begin, client, writer_seed,
};
use crate::config::{Config, Protocol};
use crate::http::reply::{Reply, error_response, json};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::messages::count;
use crate::inbound::messages::models::meant;
use crate::inbound::messages::request::{self, Parsed};
use crate::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::{models, tokens};
use crate::route::endpoint_set::RouteTarget;

/// Answers one `POST /v1/messages`.
pub async fn messages(surroundings: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let request = surroundings.request.clone();
    match ready(surroundings, headers, body) {
        Ok((body, stream)) => answered(body, stream, ClientProtocol::Messages, EVENTS, &request).await,
        Err(error) => error_response(error),
    }
}

/// Answers one `POST /v1/messages/count_tokens`, without asking anybody.
pub fn messages_count(seal: &Seal, body: &[u8], request: &str) -> Response<Reply> {
    match request::read(body, seal) {
        Ok(parsed) => json(StatusCode::OK.as_u16(), count::answer(tokens::count(&parsed.turn))),
        Err(error) => error_response(error.into_http(request)),
    }
}

fn ready(surroundings: TurnContext, headers: &HeaderMap, body: Bytes) -> Result<(TurnBody, bool), HttpError> {
    let front = ClientProtocol::Messages;
    let parsed =
        request::read(&body, &surroundings.seal).map_err(|error| error.into_http(&surroundings.request))?;
    let Parsed { mut turn, stream, notes, stops, input_tokens, purpose } = parsed;
    let asked = turn.model.clone();
    // Claude Code lists only models that are called Claude: the others go by an alias there.
    meant(&asked, |name| is_known(&surroundings.endpoint_set.config, name)).clone_into(&mut turn.model);
    let question = InboundRequest::new(turn, stream, notes, headers, front, &surroundings.request)?;
    let targets = question.targets(&surroundings, front)?;
    let known = purpose.local_answer(&question.turn).filter(|_| !targets.first().is_some_and(speaks_it));
    let seed = writer_seed(&surroundings.seal, &question.turn.items, front);
    let options = MessagesWriterOptions { model: asked, stream, input_tokens, stops };
    let seal = surroundings.seal.clone();
    let way = ResponsePlan {
        answer: MessagesWriter::new(seed, options).into_answer(),
        // One object at the end is made by the writer.
        raw: stream.then(|| ClientRequest {
            protocol: WireProtocol::Anthropic,
            body,
            headers: client::own_headers(headers),
            seal,
        }),
        keep: None,
        kind: known.map_or(Kind::Turn, Kind::Known),
    };
    Ok((begin(surroundings, question, targets, way, front)?, stream))
}

/// Whether a name leads to a model without being an alias.
fn is_known(config: &Config, name: &str) -> bool {
    models::find(config, name).is_some() || config.named_route(name).is_some()
}

/// Whether an endpoint has what Messages clients ask for beside turns: a search, a title after a schema.
fn speaks_it(target: &RouteTarget) -> bool {
    target.runtime.endpoint.protocol == Protocol::Anthropic
}
