//! Turns of Messages clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::WireProtocol;
use latimer_protocol::turn::SealKey;

use super::{
    AnswerSource, EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, respond_to, start,
};
use crate::config::{Config, Protocol};
use crate::http::reply::{Reply, error_response, json};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::messages::count;
use crate::inbound::messages::error::bad_request;
use crate::inbound::messages::models::resolve_alias;
use crate::inbound::messages::request::{self, MessagesRequest};
use crate::inbound::messages::stream::{MessagesWriter, MessagesWriterOptions};
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::{models, tokens};
use crate::route::endpoint_set::RouteTarget;

/// Answers one `POST /v1/messages`.
pub async fn messages(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let request = context.request.clone();
    respond_to(prepare(context, headers, body), ClientProtocol::Messages, EVENT_STREAM, &request).await
}

/// Answers one `POST /v1/messages/count_tokens`, without asking anybody.
pub fn messages_count(seal: &SealKey, body: &[u8], request: &str) -> Response<Reply> {
    match request::read(body, seal) {
        Ok(parsed) => json(StatusCode::OK.as_u16(), count::answer(tokens::count(&parsed.turn))),
        Err(error) => error_response(bad_request(&error, request)),
    }
}

/// Reads a request and starts its turn; says whether the client wants a stream.
fn prepare(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Result<(TurnBody, bool), HttpError> {
    let parsed =
        request::read(&body, &context.seal).map_err(|error| bad_request(&error, &context.request))?;
    let MessagesRequest { mut turn, stream, notes, stops, input_tokens, kind } = parsed;
    let requested_model = turn.model.clone();
    // Claude Code lists only models that are called Claude: the others go by an alias there.
    let config = &context.endpoint_set.config;
    let bare = models::without_window(config, &requested_model);
    resolve_alias(bare, |name| is_listed(config, name)).clone_into(&mut turn.model);
    let inbound = InboundRequest::new(&context, ClientProtocol::Messages, headers, turn, stream, notes)?;
    let is_native = inbound.targets.first().is_some_and(speaks_messages);
    let options = MessagesWriterOptions { model: requested_model, stream, input_tokens, stops };
    let writer = MessagesWriter::new(inbound.writer_seed(&context), options);
    // One object at the end is made by the writer.
    let raw = stream.then(|| context.client_request(WireProtocol::Messages, headers, body));
    let mut plan = ResponsePlan::from_model(writer.into_answer(), raw);
    if let Some(text) = kind.local_answer(&inbound.turn).filter(|_| !is_native) {
        plan.source = AnswerSource::Local(text);
    }
    Ok((start(context, inbound, plan)?, stream))
}

/// Whether a name leads to a model without being an alias.
fn is_listed(config: &Config, name: &str) -> bool {
    models::find(config, name).is_some() || config.named_route(name).is_some()
}

/// Whether an endpoint has what Messages clients ask for beside turns: a search, a title after a schema.
fn speaks_messages(target: &RouteTarget) -> bool {
    target.runtime.endpoint.protocol == Protocol::Messages
}
