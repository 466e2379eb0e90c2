//! Turns of Chat Completions clients.

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderMap;
use latimer_adapters::prepared_request::WireProtocol;

use super::client_headers::is_opencode;
use super::{EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, respond_to, start};
use crate::http::reply::Reply;
use crate::inbound::chat::request;
use crate::inbound::chat::stream::ChatWriter;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::wire::http_error::HttpError;

/// Answers one `POST /v1/chat/completions`.
pub async fn chat(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let request = context.request.clone();
    respond_to(prepare(context, headers, body), client_protocol(headers), EVENT_STREAM, &request).await
}

fn client_protocol(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Chat { opencode: is_opencode(headers) }
}

/// Reads a request and starts its turn; says whether the client wants a stream.
fn prepare(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Result<(TurnBody, bool), HttpError> {
    let protocol = client_protocol(headers);
    context.keep(protocol, None, &body);
    let (turn, mut options) = request::read(&body, &context.seal)
        .map_err(|error| protocol.bad_request(&error, &context.request))?;
    let (stream, notes) = (options.stream, std::mem::take(&mut options.notes));
    let inbound = InboundRequest::new(&context, protocol, headers, turn, stream, notes)?;
    let answer = ChatWriter::new(inbound.writer_seed(&context), options).into_answer();
    // One object at the end is made by the writer.
    let raw = stream.then(|| context.client_request(WireProtocol::Chat, headers, body));
    Ok((start(context, inbound, ResponsePlan::from_model(answer, raw))?, stream))
}

#[cfg(test)]
mod tests {
    use latimer_adapters::scripted::ScriptedAnswer;
    use serde_json::{Value, json};

    use super::*;
    use crate::turn::Recording;
    use crate::turn::tests::{AND_ANOTHER, Setup, answer, read, read_json};

    async fn ask(setup: &Setup, request: Value) -> Response<Reply> {
        chat(setup.context(Recording::Full), &HeaderMap::new(), request.to_string().into()).await
    }

    fn request(stream: bool) -> Value {
        let messages = json!([{ "role": "user", "content": "Hi" }]);
        json!({ "model": "m", "messages": messages, "stream": stream, "novel": 7 })
    }

    #[tokio::test]
    async fn only_a_stream_goes_to_an_upstream_of_the_same_protocol_as_it_came() {
        for (repair, stream, passes) in [("off", true, true), ("off", false, false), ("parse", true, false)] {
            let setup = Setup::of(&format!("repair = \"{repair}\"\n"), [answer()]).await;
            let (status, body) = read(ask(&setup, request(stream)).await).await;
            assert!(status == 200 && body.contains("All is well."), "{repair} {stream}: {body}");
            let sent = setup.provider.requests().remove(0).body;
            assert_eq!(sent.get("novel").is_some(), passes, "{repair} {stream}: {sent}");
            assert_eq!(sent["stream"], true, "an answer is always read as a stream");
        }
    }

    #[tokio::test]
    async fn usage_is_told_to_a_client_that_asks_for_it() {
        let setup = Setup::new([answer(), answer()]).await;
        let (_, without) = read(ask(&setup, request(true)).await).await;
        let mut with = request(true);
        with["stream_options"] = json!({ "include_usage": true });
        let (_, with) = read(ask(&setup, with).await).await;
        let counts = |body: &str| body.contains("\"completion_tokens\":5");
        assert!(!counts(&without) && counts(&with), "{without}\n{with}");
    }

    #[tokio::test]
    async fn a_refusal_is_in_the_words_of_openai() {
        let setup = Setup::of(AND_ANOTHER, [ScriptedAnswer::text("never asked")]).await;
        let mut no_model = request(true);
        no_model["model"] = json!("gpt");
        for (body, status, code, param) in [
            ("{".to_owned(), 400, json!("invalid_json"), Value::Null),
            (
                json!({ "model": "m", "messages": 7 }).to_string(),
                400,
                json!("invalid_type"),
                json!("messages"),
            ),
            (no_model.to_string(), 404, json!("model_not_found"), json!("model")),
        ] {
            let context = setup.context(Recording::Full);
            let (got, error) = read_json(chat(context, &HeaderMap::new(), body.clone().into()).await).await;
            let error = &error["error"];
            assert_eq!((got, &error["code"], &error["param"]), (status, &code, &param), "{body}: {error}");
            assert_eq!(error["type"], "invalid_request_error", "{body}");
        }
        assert_eq!((setup.provider.request_count(), setup.turns.open()), (0, 0));
    }
}
