//! Turns of Gemini clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_protocol::turn::SealKey;

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
pub async fn generate(context: TurnContext, caller: GeminiCaller<'_>, body: Bytes) -> Response<Reply> {
    let content_type = if caller.form == Form::Array { "application/json" } else { EVENT_STREAM };
    let id = context.request.clone();
    respond_to(prepare(context, caller, &body), caller.protocol(), content_type, &id).await
}

/// Answers one `POST /v1beta/models/{model}:countTokens`, without asking anybody.
pub fn generate_count(seal: &SealKey, body: &[u8], model: &str) -> Response<Reply> {
    match request::read_count(model, body, seal) {
        Ok(parsed) => {
            let parsed = GeminiRequest { input_tokens: tokens::count(&parsed.turn), ..parsed };
            json(StatusCode::OK.as_u16(), request::count_answer(&parsed))
        }
        Err(error) => error_response(bad_request(&error)),
    }
}

/// What a Gemini request says outside of its body.
#[derive(Debug, Clone, Copy)]
pub struct GeminiCaller<'h> {
    /// Of the HTTP request.
    pub headers: &'h HeaderMap,
    /// The model that the path names.
    pub model: &'h str,
    /// What the path's method and the query want: events, an array or one object.
    pub form: Form,
}

impl GeminiCaller<'_> {
    fn protocol(self) -> ClientProtocol {
        ClientProtocol::Gemini { cli: client_headers::is_gemini_cli(self.headers) }
    }
}

/// Reads a request and starts its turn; says whether the client wants a stream.
fn prepare(
    context: TurnContext,
    caller: GeminiCaller<'_>,
    body: &[u8],
) -> Result<(TurnBody, bool), HttpError> {
    let GeminiCaller { headers, model, form } = caller;
    let GeminiRequest { turn, notes, names, thoughts, input_tokens } =
        request::read(model, body, &context.seal).map_err(|error| bad_request(&error))?;
    let requested_model = turn.model.clone();
    let stream = form != Form::Object;
    let inbound = InboundRequest::new(&context, caller.protocol(), headers, turn, stream, notes)?;
    let options = GeminiWriterOptions { model: requested_model, form, thoughts, input_tokens };
    let writer = GeminiWriter::new(inbound.writer_seed(&context), options, names);
    Ok((start(context, inbound, ResponsePlan::from_model(writer.into_answer(), None))?, stream))
}
