//! Turns of Chat Completions clients.

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderMap;
use latimer_adapters::prepared_request::{ClientRequest, WireProtocol};

use super::{
    EVENTS, InboundRequest, Kind, ResponsePlan, TurnBody, TurnContext, answered, begin, client, writer_seed,
};
use crate::http::reply::{Reply, error_response};
use crate::inbound::chat::request;
use crate::inbound::chat::stream::ChatWriter;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::wire::http_error::HttpError;

/// Answers one `POST /v1/chat/completions`.
pub async fn chat(surroundings: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let request = surroundings.request.clone();
    match ready(surroundings, headers, body) {
        Ok((body, stream)) => answered(body, stream, ClientProtocol::Chat, EVENTS, &request).await,
        Err(error) => error_response(error),
    }
}

fn ready(surroundings: TurnContext, headers: &HeaderMap, body: Bytes) -> Result<(TurnBody, bool), HttpError> {
    let front = ClientProtocol::Chat;
    let (turn, mut wants) = request::read(&body, &surroundings.seal)?;
    let (stream, notes) = (wants.stream, std::mem::take(&mut wants.notes));
    let question = InboundRequest::new(turn, stream, notes, headers, front, &surroundings.request)?;
    let targets = question.targets(&surroundings, front)?;
    let seed = writer_seed(&surroundings.seal, &question.turn.items, front);
    let seal = surroundings.seal.clone();
    let way = ResponsePlan {
        answer: ChatWriter::new(seed, wants).into_answer(),
        // One object at the end is made by the writer.
        raw: stream.then(|| ClientRequest {
            protocol: WireProtocol::Chat,
            body,
            headers: client::own_headers(headers),
            seal,
        }),
        keep: None,
        kind: Kind::Turn,
    };
    Ok((begin(surroundings, question, targets, way, front)?, stream))
}
