//! Turns of Chat Completions clients.

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderMap;
use latimer_adapters::prepared_request::{ClientRequest, WireProtocol};

use super::{
    AnswerSource, EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, client_headers, respond,
    start, writer_seed,
};
use crate::http::reply::{Reply, error_response};
use crate::inbound::chat::request;
use crate::inbound::chat::stream::ChatWriter;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::wire::http_error::HttpError;

/// Answers one `POST /v1/chat/completions`.
pub async fn chat(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let request = context.request.clone();
    match prepare(context, headers, body) {
        Ok((body, stream)) => respond(body, stream, ClientProtocol::Chat, EVENT_STREAM, &request).await,
        Err(error) => error_response(error),
    }
}

/// Reads a request and starts its turn; says whether the client options a stream.
fn prepare(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Result<(TurnBody, bool), HttpError> {
    let protocol = ClientProtocol::Chat;
    let (turn, mut options) = request::read(&body, &context.seal)
        .map_err(|error| protocol.bad_request(&error, &context.request))?;
    let (stream, notes) = (options.stream, std::mem::take(&mut options.notes));
    let inbound = InboundRequest::new(turn, stream, notes, headers, protocol, &context.request)?;
    let targets = inbound.targets(&context, protocol)?;
    let seed = writer_seed(&context.seal, &inbound.turn.items, protocol);
    let seal = context.seal.clone();
    let plan = ResponsePlan {
        answer: ChatWriter::new(seed, options).into_answer(),
        // One object at the end is made by the writer.
        raw: stream.then(|| ClientRequest {
            protocol: WireProtocol::Chat,
            body,
            headers: client_headers::own_headers(headers),
            seal,
        }),
        store_target: None,
        source: AnswerSource::Model,
    };
    Ok((start(context, inbound, targets, plan, protocol)?, stream))
}
