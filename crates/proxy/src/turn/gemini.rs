//! Turns of Gemini clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_protocol::turn::Seal;

use super::{
    EVENTS, InboundRequest, Kind, ResponsePlan, TurnBody, TurnContext, answered, begin, client, writer_seed,
};
use crate::http::reply::{Reply, error_response, json};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::gemini::request::{self, Parsed};
use crate::inbound::gemini::stream::{Form, GeminiWriter, GeminiWriterOptions};
use crate::inbound::tokens;
use crate::inbound::wire::http_error::HttpError;

/// Answers one `POST /v1beta/models/{model}:generateContent` or `:streamGenerateContent`.
pub async fn generate(
    surroundings: TurnContext,
    headers: &HeaderMap,
    body: Bytes,
    model: &str,
    form: Form,
) -> Response<Reply> {
    let front = front(headers);
    let request = surroundings.request.clone();
    let content_type = if form == Form::Array { "application/json" } else { EVENTS };
    match ready(surroundings, headers, &body, model, form) {
        Ok(body) => answered(body, form != Form::Object, front, content_type, &request).await,
        Err(error) => error_response(error),
    }
}

/// Answers one `POST /v1beta/models/{model}:countTokens`, without asking anybody.
pub fn generate_count(seal: &Seal, body: &[u8], model: &str) -> Response<Reply> {
    match request::read_count(model, body, seal) {
        Ok(parsed) => {
            let parsed = Parsed { input_tokens: tokens::count(&parsed.turn), ..parsed };
            json(StatusCode::OK.as_u16(), request::count_answer(&parsed))
        }
        Err(error) => error_response(error.into()),
    }
}

fn front(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Gemini { cli: client::is_gemini_cli(headers) }
}

fn ready(
    surroundings: TurnContext,
    headers: &HeaderMap,
    body: &[u8],
    model: &str,
    form: Form,
) -> Result<TurnBody, HttpError> {
    let front = front(headers);
    let Parsed { turn, notes, names, thoughts, input_tokens } =
        request::read(model, body, &surroundings.seal)?;
    let asked = turn.model.clone();
    let question =
        InboundRequest::new(turn, form != Form::Object, notes, headers, front, &surroundings.request)?;
    let targets = question.targets(&surroundings, front)?;
    let seed = writer_seed(&surroundings.seal, &question.turn.items, front);
    let options = GeminiWriterOptions { model: asked, form, thoughts, input_tokens };
    let answer = GeminiWriter::new(seed, options, names).into_answer();
    let way = ResponsePlan { answer, raw: None, keep: None, kind: Kind::Turn };
    begin(surroundings, question, targets, way, front)
}
