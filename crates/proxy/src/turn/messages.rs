//! Turns of Messages clients.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::WireProtocol;
use latimer_protocol::turn::SealKey;

use super::client_headers::{is_claude_code, is_opencode};
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
    let protocol = client_protocol(headers);
    respond_to(prepare(context, headers, body), protocol, EVENT_STREAM, &request).await
}

fn client_protocol(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Messages { agent: is_claude_code(headers) || is_opencode(headers) }
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
    context.keep(client_protocol(headers), None, &body);
    let parsed =
        request::read(&body, &context.seal).map_err(|error| bad_request(&error, &context.request))?;
    let MessagesRequest { mut turn, stream, notes, stops, input_tokens, kind } = parsed;
    let requested_model = turn.model.clone();
    // Claude Code lists only models that are called Claude: the others go by an alias there.
    let config = &context.endpoint_set.config;
    let bare = models::without_window(config, &requested_model);
    resolve_alias(bare, |name| is_listed(config, name)).clone_into(&mut turn.model);
    let inbound = InboundRequest::new(&context, client_protocol(headers), headers, turn, stream, notes)?;
    let is_native = inbound.ranking.targets.first().is_some_and(speaks_messages);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::turn::Recording;
    use crate::turn::tests::{AND_ANOTHER, Setup, answer, read, read_json};

    async fn ask(setup: &Setup, request: &Value) -> Response<Reply> {
        super::messages(setup.context(Recording::Full), &HeaderMap::new(), request.to_string().into()).await
    }

    fn request(model: &str, stream: bool) -> Value {
        let messages = json!([{ "role": "user", "content": "Fix the flaky test" }]);
        json!({ "model": model, "max_tokens": 99, "messages": messages, "stream": stream, "novel": 7 })
    }

    /// As Claude Code asks for the title of a session (`fixtures/claude-code`).
    fn title_request() -> Value {
        let schema = json!({ "type": "object", "properties": { "title": { "type": "string" } } });
        let mut request = request("m", false);
        request["tools"] = json!([]);
        request["output_config"] = json!({ "format": { "type": "json_schema", "schema": schema } });
        request
    }

    #[tokio::test]
    async fn an_alias_leads_to_its_model_and_is_what_the_client_reads() {
        let setup = Setup::new([answer(), answer()]).await;
        for model in ["claude-m", "m"] {
            let (status, object) = read_json(ask(&setup, &request(model, false)).await).await;
            assert_eq!((status, &object["model"]), (200, &json!(model)), "{object}");
        }
        let asked: Vec<Value> =
            setup.provider.requests().iter().map(|sent| sent.body["model"].clone()).collect();
        assert_eq!(asked, ["m", "m"]);
    }

    #[tokio::test]
    async fn a_title_is_made_here_unless_the_upstream_speaks_the_protocol_itself() {
        let setup = Setup::new([answer()]).await;
        let (status, object) = read_json(ask(&setup, &title_request()).await).await;
        assert_eq!((status, setup.provider.request_count()), (200, 0), "{object}");
        let title = object["content"][0]["text"].as_str().expect("a text");
        assert_eq!(title, json!({ "title": "Fix the flaky test" }).to_string());
        let native = Setup::of("protocol = \"anthropic\"\n", [answer()]).await;
        let _ = read(ask(&native, &title_request()).await).await;
        assert_eq!(native.provider.request_count(), 1);
    }

    #[tokio::test]
    async fn only_a_stream_goes_to_an_upstream_of_the_same_protocol_as_it_came() {
        for (stream, passes) in [(true, true), (false, false)] {
            let setup = Setup::of("protocol = \"anthropic\"\nrepair = \"off\"\n", [answer()]).await;
            let _ = read(ask(&setup, &request("m", stream)).await).await;
            let sent = setup.provider.requests().remove(0);
            assert!(sent.path.ends_with("/messages"), "{}", sent.path);
            assert_eq!(sent.body.get("novel").is_some(), passes, "{}", sent.body);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_in_the_words_of_anthropic() {
        let setup = Setup::of(AND_ANOTHER, [answer()]).await;
        for (body, status, kind) in [
            ("{".to_owned(), 400, "invalid_request_error"),
            (
                json!({ "model": "m", "max_tokens": 9, "messages": 7 }).to_string(),
                400,
                "invalid_request_error",
            ),
            (request("claude-opus", true).to_string(), 404, "not_found_error"),
        ] {
            let context = setup.context(Recording::Full);
            let response = super::messages(context, &HeaderMap::new(), body.clone().into()).await;
            let (got, error) = read_json(response).await;
            assert_eq!(
                (got, &error["type"], &error["error"]["type"]),
                (status, &json!("error"), &json!(kind)),
                "{body}"
            );
            assert_eq!(error["request_id"], "req_1", "{error}");
        }
        assert_eq!((setup.provider.request_count(), setup.turns.open()), (0, 0));
    }
}
