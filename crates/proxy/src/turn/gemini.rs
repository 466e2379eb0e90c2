//! Turns of Gemini clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_protocol::turn::Seal;

use super::{
    EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, client_headers, respond_to, start,
};
use crate::http::reply::{Reply, error_response, json};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::gemini::error::bad_request;
use crate::inbound::gemini::request::{self, GeminiRequest};
use crate::inbound::gemini::stream::{Form, GeminiWriter, GeminiWriterOptions};
use crate::inbound::tokens;
use crate::inbound::wire::http_error::HttpError;

/// Answers one `POST /v1beta/models/{model}:generateContent` or `:streamGenerateContent`.
pub async fn generate(
    context: TurnContext,
    headers: &HeaderMap,
    body: Bytes,
    model: &str,
    form: Form,
) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    let content_type = if form == Form::Array { "application/json" } else { EVENT_STREAM };
    let started = prepare(context, headers, &body, model, form).map(|body| (body, form != Form::Object));
    respond_to(started, protocol, content_type, &request).await
}

/// Answers one `POST /v1beta/models/{model}:countTokens`, without asking anybody.
pub fn generate_count(seal: &Seal, body: &[u8], model: &str) -> Response<Reply> {
    match request::read_count(model, body, seal) {
        Ok(parsed) => {
            let parsed = GeminiRequest { input_tokens: tokens::count(&parsed.turn), ..parsed };
            json(StatusCode::OK.as_u16(), request::count_answer(&parsed))
        }
        Err(error) => error_response(bad_request(&error)),
    }
}

fn client_protocol(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Gemini { cli: client_headers::is_gemini_cli(headers) }
}

/// Reads a request and starts its turn.
fn prepare(
    context: TurnContext,
    headers: &HeaderMap,
    body: &[u8],
    model: &str,
    form: Form,
) -> Result<TurnBody, HttpError> {
    let protocol = client_protocol(headers);
    let GeminiRequest { turn, notes, names, thoughts, input_tokens } =
        request::read(model, body, &context.seal).map_err(|error| bad_request(&error))?;
    let requested_model = turn.model.clone();
    let stream = form != Form::Object;
    let inbound = InboundRequest::new(&context, protocol, headers, turn, stream, notes)?;
    let options = GeminiWriterOptions { model: requested_model, form, thoughts, input_tokens };
    let writer = GeminiWriter::new(inbound.writer_seed(&context), options, names);
    start(context, inbound, ResponsePlan::from_model(writer.into_answer(), None))
}
