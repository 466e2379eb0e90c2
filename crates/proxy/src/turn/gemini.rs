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
    context.keep(caller.protocol(), Some(caller.model), &body);
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

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
    use serde_json::{Value, json};

    use super::*;
    use crate::turn::Recording;
    use crate::turn::tests::{AND_ANOTHER, Setup, answer, read, read_json};

    fn request() -> Value {
        json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] })
    }

    async fn ask(
        setup: &Setup,
        headers: &HeaderMap,
        model: &str,
        form: Form,
        body: String,
    ) -> Response<Reply> {
        let caller = GeminiCaller { headers, model, form };
        generate(setup.context(Recording::Full), caller, body.into()).await
    }

    #[tokio::test]
    async fn each_form_has_its_content_type_and_its_shape() {
        let setup = Setup::new([answer(), answer(), answer()]).await;
        let headers = HeaderMap::new();
        for (form, content_type, start) in [
            (Form::Events, "text/event-stream", "data: {"),
            (Form::Array, "application/json", "[{"),
            (Form::Object, "application/json", "{"),
        ] {
            let response = ask(&setup, &headers, "m", form, request().to_string()).await;
            assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{form:?}");
            let (status, body) = read(response).await;
            assert!(status == 200 && body.starts_with(start), "{form:?}: {body}");
            if form != Form::Events {
                let value: Value = serde_json::from_str(&body).expect("JSON");
                assert_eq!(value.is_array(), form == Form::Array, "{body}");
            }
        }
        let asked = setup.provider.requests().iter().all(|sent| sent.body["model"] == "m");
        assert!(asked, "the path names the model");
    }

    #[tokio::test]
    async fn a_refusal_is_in_the_words_of_google() {
        let setup = Setup::of(AND_ANOTHER, [answer()]).await;
        let headers = HeaderMap::new();
        for (model, body, status, word) in [
            ("m", "{".to_owned(), 400, "INVALID_ARGUMENT"),
            ("m", json!({ "contents": 7 }).to_string(), 400, "INVALID_ARGUMENT"),
            ("gemini-pro", request().to_string(), 404, "NOT_FOUND"),
        ] {
            let (got, error) =
                read_json(ask(&setup, &headers, model, Form::Events, body.clone()).await).await;
            let error = &error["error"];
            assert_eq!(
                (got, &error["code"], &error["status"]),
                (status, &json!(status), &json!(word)),
                "{body}"
            );
        }
        assert_eq!((setup.provider.request_count(), setup.turns.open()), (0, 0));
    }

    /// It repeats a 5xx for minutes and shows a 400 at once (`inbound/gemini/error.rs`).
    #[tokio::test]
    async fn the_gemini_cli_is_known_by_its_name_and_told_of_what_lasts_with_a_400() {
        let gone = "[[endpoint]]\nname = \"gone\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"n\"]\nretries = 0\n";
        let setup = Setup::of(gone, [answer()]).await;
        for (name, status) in [("GeminiCLI/0.9 (linux)", 400), ("curl/8", 502)] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(name));
            let (got, error) =
                read_json(ask(&setup, &headers, "n", Form::Events, request().to_string()).await).await;
            assert_eq!((got, &error["error"]["code"]), (status, &json!(status)), "{name}: {error}");
        }
    }

    #[tokio::test]
    async fn tokens_of_the_same_request_are_counted_alike_in_both_shapes_of_the_question() {
        let seal = SealKey::default();
        let bare = request();
        let wrapped =
            json!({ "generateContentRequest": { "model": "models/m", "contents": bare["contents"] } });
        let mut counts = Vec::new();
        for body in [bare, wrapped] {
            let (status, answer) = read_json(generate_count(&seal, body.to_string().as_bytes(), "m")).await;
            assert_eq!(status, 200, "{answer}");
            counts.push(answer["totalTokens"].as_u64().expect("a number"));
        }
        assert!(counts[0] > 0 && counts[0] == counts[1], "{counts:?}");
        let (status, error) = read_json(generate_count(&seal, b"[]", "m")).await;
        assert_eq!((status, &error["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    }
}
