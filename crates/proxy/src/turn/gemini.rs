//! Turns of Gemini clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_protocol::turn::Seal;

use super::{
    AnswerSource, EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, client_headers, respond,
    start, writer_seed,
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
    match prepare(context, headers, &body, model, form) {
        Ok(body) => respond(body, form != Form::Object, protocol, content_type, &request).await,
        Err(error) => error_response(error),
    }
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
    let inbound =
        InboundRequest::new(turn, form != Form::Object, notes, headers, protocol, &context.request)?;
    let targets = inbound.targets(&context, protocol)?;
    let seed = writer_seed(&context.seal, &inbound.turn.items, protocol);
    let options = GeminiWriterOptions { model: requested_model, form, thoughts, input_tokens };
    let answer = GeminiWriter::new(seed, options, names).into_answer();
    let plan = ResponsePlan { answer, raw: None, store_target: None, source: AnswerSource::Model };
    start(context, inbound, targets, plan, protocol)
}
