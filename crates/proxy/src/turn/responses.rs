//! Turns of Responses clients.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use latimer_adapters::prepared_request::WireProtocol;
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::SealKey;
use serde_json::{Value, json};

use super::body::ConnectionMemory;
use super::store_target::store_target;
use super::{
    AnswerSource, EVENT_STREAM, InboundRequest, ResponsePlan, TurnBody, TurnContext, as_stream,
    client_headers, random, respond, start, until_first_event,
};
use crate::clock;
use crate::config::Protocol;
use crate::http::reply::{self, RefusedRequest, Reply, error_response, refused_response};
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::responses::body::RequestBody;
use crate::inbound::responses::request::{self, ResponsesRequest};
use crate::inbound::responses::socket::history::ConnectionHistory;
use crate::inbound::responses::socket::message::ResponseCreate;
use crate::inbound::responses::stream::{ResponsesWriter, ResponsesWriterOptions, failed_stream};
use crate::inbound::responses::{chain, compact, wait_item};
use crate::inbound::tokens;
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::openai_error::bad_request;
use crate::inbound::writer::WriterSeed;
use crate::route::endpoint_set::RouteTarget;
use crate::sync::lock;

/// Answers one `POST /v1/responses`.
pub async fn responses(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    let original = body.clone();
    match begin(context, headers, body, Purpose::Answer, None).await {
        Ok(turn) => respond(turn.body, turn.stream, protocol, EVENT_STREAM, &request).await,
        Err(error) if protocol.behaviour().prefers_failed_streams && wants_stream(&original) => {
            refused_stream(&error, protocol)
        }
        Err(error) => refused_response(error),
    }
}

/// Whether a request, which need not be right, wants a stream.
fn wants_stream(body: &[u8]) -> bool {
    RequestBody::parse(body).is_ok_and(|parsed| parsed.wants_stream())
}

/// A refusal as a stream that fails at once: Codex shows the words of one, and the raw JSON of the other.
fn refused_stream(error: &HttpError, protocol: ClientProtocol) -> Response<Reply> {
    let refused = RefusedRequest::of(error);
    let seed = WriterSeed {
        random: random(),
        created_at: clock::unix_now(),
        client: protocol.behaviour(),
        ..WriterSeed::default()
    };
    let failure = Failure::new(FailureKind::BadRequest, refused.message.clone());
    let body = failed_stream(seed, &failure).into();
    let mut response = as_stream(Reply::Whole(Some(body)), EVENT_STREAM);
    response.extensions_mut().insert(refused);
    response
}

/// Starts the turn of one `response.create` of a connection, up to its first event. The connection remembers the response.
///
/// # Errors
///
/// The request cannot be read, or the turn failed before its first event. The response it goes on with is forgotten then.
pub async fn over_socket(
    context: TurnContext,
    headers: &HeaderMap,
    create: ResponseCreate,
    recall: Arc<Mutex<ConnectionHistory>>,
) -> Result<TurnBody, HttpError> {
    let request = context.request.clone();
    let memory = ConnectionMemory { recall, previous: create.previous_response_id };
    let purpose = if create.warm_up { Purpose::WarmUp } else { Purpose::Answer };
    let started = async {
        let turn = begin(context, headers, create.body, purpose, Some(memory.clone())).await?;
        until_first_event(turn.body, client_protocol(headers), &request).await
    };
    started.await.inspect_err(|_| memory.forget())
}

impl ConnectionMemory {
    /// The conversation before the request, where the connection remembers it.
    fn items(&self) -> Option<Bytes> {
        lock(&self.recall).find(self.previous.as_deref()?)
    }
}

/// Answers one `POST /v1/responses/compact`: the person's messages, and one item that stands for everything else.
pub async fn compact(context: TurnContext, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let protocol = client_protocol(headers);
    let request = context.request.clone();
    match begin(context, headers, body, Purpose::Compaction, None).await {
        Ok(turn) => match turn.body.collect().await {
            Ok(object) => reply::json(
                StatusCode::OK.as_u16(),
                compact::response(&object.into_vec(), turn.user_messages),
            ),
            Err(failure) => error_response(protocol.failure(&failure, &request)),
        },
        Err(error) => refused_response(error),
    }
}

/// Answers one `POST /v1/responses/input_tokens`, without asking anybody.
pub fn input_tokens(seal: &SealKey, body: &[u8]) -> Response<Reply> {
    match request::read(body, seal) {
        Ok(request) => {
            let answer =
                json!({ "object": "response.input_tokens", "input_tokens": tokens::count(&request.turn) });
            reply::json(StatusCode::OK.as_u16(), answer.to_string())
        }
        Err(error) => error_response(bad_request(&error)),
    }
}

/// What a request is for, beside what its body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The model's answer.
    Answer,
    /// A summary of the history.
    Compaction,
    /// No answer, only an id to go on with.
    WarmUp,
}

fn client_protocol(headers: &HeaderMap) -> ClientProtocol {
    ClientProtocol::Responses { client: client_headers::responses_client(headers) }
}

/// A turn that was started, and what its request wants.
struct StartedTurn {
    body: TurnBody,
    /// Whether the client wants a stream.
    stream: bool,
    /// The person's messages that a compaction leaves standing; empty for every other turn.
    user_messages: Vec<Value>,
}

/// Starts the turn of a request, with the conversation that it goes on with before its own input. `memory` is that of the
/// connection, where the request came over one.
///
/// # Errors
///
/// The request cannot be read, or its conversation is not stored, or not any more.
async fn begin(
    context: TurnContext,
    headers: &HeaderMap,
    body: Bytes,
    purpose: Purpose,
    memory: Option<ConnectionMemory>,
) -> Result<StartedTurn, HttpError> {
    if purpose == Purpose::Answer {
        context.keep(client_protocol(headers), None, &body);
    }
    let body = wait_item::without(body);
    let parsed = RequestBody::parse(&body).map_err(|error| bad_request(&error))?;
    let Some(id) = parsed.previous_response_id() else {
        return prepare(context, headers, &body, &parsed, purpose, memory);
    };
    let joined = if let Some(items) = memory.as_ref().and_then(ConnectionMemory::items) {
        parsed.with_history(&items)
    } else {
        let stored = match context.scope().stored_id(&id) {
            Some(stored_id) => context.store.response(&stored_id, clock::unix_now()).await,
            None => None,
        };
        parsed.with_history(&stored.ok_or_else(|| chain::not_found(&id))?.items)
    };
    // A body that cannot be joined is refused by its reader, in better words.
    let Some(joined) = joined.map(Bytes::from).map(wait_item::without) else {
        return prepare(context, headers, &body, &parsed, purpose, memory);
    };
    let parsed = RequestBody::parse(&joined).map_err(|error| bad_request(&error))?;
    prepare(context, headers, &joined, &parsed, purpose, memory)
}

/// Reads a request, whose fields are `parsed`, and starts its turn.
fn prepare(
    context: TurnContext,
    headers: &HeaderMap,
    body: &Bytes,
    parsed: &RequestBody<'_>,
    purpose: Purpose,
    memory: Option<ConnectionMemory>,
) -> Result<StartedTurn, HttpError> {
    let protocol = client_protocol(headers);
    let ResponsesRequest { turn, stream, notes, echo, tools, input_tokens, compacts: asks, .. } =
        parsed.read(&context.seal).map_err(|error| bad_request(&error))?;
    let stream = stream && purpose != Purpose::Compaction;
    let inbound = InboundRequest::new(&context, protocol, headers, turn, stream, notes)?;
    let compaction = purpose == Purpose::Compaction
        || (asks
            && !(inbound.effort.is_none()
                && inbound.profile.is_none()
                && inbound
                    .ranking
                    .targets
                    .first()
                    .is_some_and(|target| compacts_itself(target, inbound.level))));
    let store_target = store_target(&context.store, context.scope(), body, parsed, memory);
    let user_messages = if purpose == Purpose::Compaction { parsed.user_messages() } else { Vec::new() };
    let options = ResponsesWriterOptions {
        stream,
        input_tokens: if purpose == Purpose::WarmUp { 0 } else { input_tokens },
        stores: store_target.is_some(),
        compaction,
    };
    let writer = ResponsesWriter::new(inbound.writer_seed(&context), options, &echo, tools);
    let plan = ResponsePlan {
        answer: writer.into_answer(),
        raw: Some(context.client_request(WireProtocol::Responses, headers, body.clone())),
        store_target,
        source: match purpose {
            Purpose::WarmUp => AnswerSource::Local(String::new()),
            Purpose::Answer | Purpose::Compaction if compaction => AnswerSource::Compaction,
            Purpose::Answer | Purpose::Compaction => AnswerSource::Model,
        },
    };
    let body = start(context, inbound, plan)?;
    Ok(StartedTurn { body, stream, user_messages })
}

/// Whether an endpoint does compactions itself: it speaks the client's protocol, and nothing is repaired on the way.
fn compacts_itself(target: &RouteTarget, level: Option<RepairLevel>) -> bool {
    let endpoint = &target.runtime.endpoint;
    endpoint.protocol == Protocol::Responses && level.unwrap_or(endpoint.repair).lets_frames_pass()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use latimer_adapters::scripted::{ScriptedAnswer, Step};

    use super::*;
    use crate::inbound::responses::socket::message::{ClientMessage, read as read_message};
    use crate::turn::Recording;
    use crate::turn::tests::{AND_ANOTHER, Setup, answer, read, read_json, refusal};

    async fn ask(setup: &Setup, headers: &HeaderMap, request: &Value) -> Response<Reply> {
        responses(setup.context(Recording::Full), headers, request.to_string().into()).await
    }

    fn codex() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("originator", HeaderValue::from_static("codex_cli_rs"));
        headers
    }

    fn create(message: &Value) -> ResponseCreate {
        match read_message(&message.to_string()) {
            Ok(ClientMessage::Create(create)) => create,
            other => panic!("{other:?}"),
        }
    }

    /// A request over a connection to its end: the events it was answered with.
    async fn over(
        setup: &Setup,
        recall: &Arc<Mutex<ConnectionHistory>>,
        message: &Value,
    ) -> Result<String, HttpError> {
        let context = setup.context(Recording::Full);
        let mut body = over_socket(context, &HeaderMap::new(), create(message), Arc::clone(recall)).await?;
        let mut text = String::new();
        while let Some(bytes) = std::future::poll_fn(|cx| body.poll_bytes(cx)).await {
            text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
        Ok(text)
    }

    fn id_of(events: &str) -> String {
        let (_, rest) = events.split_once("\"id\":\"resp_").expect("an id");
        format!("resp_{}", rest.split('"').next().expect("its end"))
    }

    #[tokio::test]
    async fn a_warm_up_asks_nobody_and_can_be_gone_on_with() {
        let setup = Setup::new([answer()]).await;
        let recall = Arc::new(Mutex::new(ConnectionHistory::new(1 << 20)));
        let input = json!([{ "type": "message", "role": "user", "content": "Hi" }]);
        let warm = json!({ "type": "response.create", "model": "m", "input": input, "generate": false, "store": false });
        let events = over(&setup, &recall, &warm).await.expect("an answer");
        assert!(events.contains("response.completed"), "{events}");
        assert_eq!(setup.provider.request_count(), 0);
        let id = id_of(&events);
        assert_eq!(lock(&recall).find(&id).as_deref(), Some(input.to_string().as_bytes()));
        let next = json!({ "type": "response.create", "model": "m", "input": "And now?", "previous_response_id": id, "store": false });
        over(&setup, &recall, &next).await.expect("an answer");
        let sent = setup.provider.requests().remove(0).body.to_string();
        assert!(sent.contains("\"Hi\"") && sent.contains("And now?"), "{sent}");
        assert!(
            setup.store.response(&id, clock::unix_now()).await.is_none(),
            "the client wants nothing stored"
        );
    }

    #[tokio::test]
    async fn a_connection_forgets_the_response_that_could_not_be_gone_on_with() {
        let setup = Setup::new([refusal()]).await;
        let recall = Arc::new(Mutex::new(ConnectionHistory::new(1 << 20)));
        lock(&recall).keep("resp_1", Bytes::from_static(b"[]"));
        let next = json!({ "type": "response.create", "model": "m", "input": "x", "previous_response_id": "resp_1" });
        let error = over(&setup, &recall, &next).await.expect_err("refused");
        assert!(error.status == 400 && error.body.contains("not like this"), "{error:?}");
        assert!(lock(&recall).find("resp_1").is_none());
        let error = over(&setup, &recall, &next).await.expect_err("forgotten");
        assert!(error.body.contains("previous_response_not_found"), "{error:?}");
        assert_eq!(setup.provider.request_count(), 1);
    }

    #[tokio::test]
    async fn a_compaction_leaves_the_persons_messages_and_one_item_for_the_rest() {
        let setup = Setup::new([ScriptedAnswer::text("We made a file.")]).await;
        let person = json!({ "type": "message", "role": "user", "content": "make a file" });
        let agent = json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "done" }] });
        let request = json!({ "model": "m", "input": [person, agent], "stream": true });
        let context = setup.context(Recording::Full);
        let (status, object) =
            read_json(compact(context, &HeaderMap::new(), request.to_string().into()).await).await;
        assert_eq!((status, &object["object"]), (200, &json!("response.compaction")), "{object}");
        let output = object["output"].as_array().expect("items");
        assert_eq!(
            (output.len(), &output[0], &output[1]["type"]),
            (2, &person, &json!("compaction")),
            "{object}"
        );
        assert!(!object.to_string().contains("We made a file."), "the summary is sealed");
        let sent = setup.provider.requests().remove(0).body.to_string();
        assert!(sent.contains("Agent: done") && sent.contains("hand-off notes"), "{sent}");
    }

    #[tokio::test]
    async fn an_endpoint_compacts_itself_if_it_speaks_the_protocol_and_nothing_is_repaired() {
        use RepairLevel::{Off, Parse};
        for (protocol, repair, header, itself) in [
            ("responses", "off", None, true),
            ("responses", "parse", None, false),
            ("responses", "parse", Some(Off), true),
            ("responses", "off", Some(Parse), false),
            ("chat", "off", None, false),
        ] {
            let keys = format!("protocol = \"{protocol}\"\nrepair = \"{repair}\"\n");
            let setup = Setup::of(&keys, [answer()]).await;
            let targets = setup.endpoint_set.targets("m", None, clock::now()).expect("a target");
            assert_eq!(compacts_itself(&targets[0], header), itself, "{protocol} {repair} {header:?}");
        }
    }

    #[tokio::test]
    async fn codex_reads_a_passing_failure_in_the_stream_and_others_in_the_status() {
        for (headers, status, words) in
            [(codex(), 200, "response.failed"), (HeaderMap::new(), 503, "\"error\"")]
        {
            let down = ScriptedAnswer::error(503, json!({ "error": { "message": "too much to do" } }));
            let setup = Setup::new([down]).await;
            let request = json!({ "model": "m", "input": "Hi", "stream": true });
            let (got, body) = read(ask(&setup, &headers, &request).await).await;
            assert_eq!(got, status, "{body}");
            assert!(body.contains(words) && body.contains("too much to do"), "{body}");
            assert_eq!(setup.turns.failed(), 1);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_in_the_words_of_openai_and_starts_no_turn() {
        let setup = Setup::of(AND_ANOTHER, [answer()]).await;
        for (body, status, code) in [
            ("{".to_owned(), 400, "invalid_json"),
            (json!({ "model": "m", "input": 7 }).to_string(), 400, "invalid_type"),
            (json!({ "model": "gpt", "input": "Hi" }).to_string(), 404, "model_not_found"),
            (
                json!({ "model": "m", "input": "Hi", "previous_response_id": "resp_9" }).to_string(),
                400,
                "previous_response_not_found",
            ),
        ] {
            let context = setup.context(Recording::Full);
            let (got, error) =
                read_json(responses(context, &HeaderMap::new(), body.clone().into()).await).await;
            assert_eq!((got, &error["error"]["code"]), (status, &json!(code)), "{body}: {error}");
        }
        let request = json!({ "model": "gpt", "input": "Hi" });
        assert_eq!(read(ask(&setup, &codex(), &request).await).await.0, 400, "Codex repeats a 404");
        assert_eq!((setup.provider.request_count(), setup.turns.open()), (0, 0));
    }

    #[tokio::test]
    async fn a_response_that_broke_is_not_stored() {
        let setup = Setup::new([ScriptedAnswer::steps([Step::text("All is "), Step::Cut])]).await;
        let request = json!({ "model": "m", "input": "Hi", "stream": true });
        let (_, body) = read(ask(&setup, &HeaderMap::new(), &request).await).await;
        assert!(body.contains("response.failed"), "{body}");
        assert!(setup.store.response(&id_of(&body), clock::unix_now()).await.is_none());
    }
}
