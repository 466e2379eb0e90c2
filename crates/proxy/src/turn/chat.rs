//! Turns of Chat Completions clients.

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderMap;
use latimer_adapters::prepared_request::WireProtocol;

use super::{EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, respond_to, start};
use crate::http::reply::Reply;
use crate::inbound::chat::request;
use crate::inbound::chat::stream::ChatWriter;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::wire::http_error::HttpError;

/// Answers one `POST /v1/chat/completions`.
pub async fn chat(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let request = context.request.clone();
    respond_to(prepare(context, headers, body), ClientProtocol::Chat, EVENT_STREAM, &request).await
}

/// Reads a request and starts its turn; says whether the client wants a stream.
fn prepare(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Result<(TurnBody, bool), HttpError> {
    let protocol = ClientProtocol::Chat;
    let (turn, mut options) = request::read(&body, &context.seal)
        .map_err(|error| protocol.bad_request(&error, &context.request))?;
    let (stream, notes) = (options.stream, std::mem::take(&mut options.notes));
    let inbound = InboundRequest::new(&context, protocol, headers, turn, stream, notes)?;
    let answer = ChatWriter::new(inbound.writer_seed(&context), options).into_answer();
    // One object at the end is made by the writer.
    let raw = stream.then(|| context.client_request(WireProtocol::Chat, headers, body));
    Ok((start(context, inbound, ResponsePlan::from_model(answer, raw))?, stream))
}
