//! Whole turns without a server: a request in, the bytes of the response out, a scripted provider behind.

pub(super) mod log_lines;

use crate::inbound::client_protocol::ResponsesClient;
use std::task::{Context, Poll, Waker};

use http_body_util::BodyExt as _;
use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Step};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::config::parse::config_of;
use crate::inbound::gemini::stream::Form;
use crate::lifecycle::open_turns::OpenTurns;
use crate::lifecycle::phase::Phase;
use crate::route::memory::Memory;

/// Keys after which the file has a second endpoint: a model that neither lists leads nowhere then.
pub(super) const AND_ANOTHER: &str = "[[endpoint]]\nname = \"other\"\nbase_url = \"https://other.test\"\n";

/// What outlives the turns of a test.
pub(super) struct Setup {
    pub(super) provider: Provider,
    pub(super) endpoint_set: Arc<EndpointSet>,
    pub(super) turns: Arc<OpenTurns>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) store: Store,
}

impl Setup {
    pub(super) async fn new(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self::of("", answers).await
    }

    /// With these keys of the endpoint besides.
    pub(super) async fn of(keys: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        let provider = Provider::start(Scenario::new(answers)).await.expect("a port");
        let config = Arc::new(config_of(&format!(
            "[[endpoint]]\nname = \"lab\"\nbase_url = \"{}\"\nmodels = [\"m\"]\nretries = 0\n{keys}",
            provider.base_url()
        )));
        let endpoint_set = Arc::new(EndpointSet::new(config, Arc::new(Memory::new(None)), None, None));
        let turns = Arc::new(OpenTurns::default());
        Self {
            provider,
            endpoint_set,
            turns,
            phase: watch::Sender::new(Phase::Serving),
            store: Store::open(None),
        }
    }

    pub(super) fn context(&self, recording: Recording) -> TurnContext {
        TurnContext {
            endpoint_set: Arc::clone(&self.endpoint_set),
            open: self.turns.begin(),
            force_stop: ForceStop::new(self.phase.subscribe()),
            seal: SealKey::default(),
            store: self.store.clone(),
            agents: Runs::new(None),
            caches: Arc::default(),
            recording,
            request: "req_1".to_owned(),
            key: None,
            metrics: Arc::default(),
            received: clock::now(),
        }
    }

    /// The answer to one request of a protocol.
    async fn ask(&self, protocol: ClientProtocol, stream: bool) -> (u16, String) {
        self.ask_for(Recording::Full, protocol, stream).await
    }

    async fn ask_for(&self, recording: Recording, protocol: ClientProtocol, stream: bool) -> (u16, String) {
        let (context, headers) = (self.context(recording), HeaderMap::new());
        let messages = json!([{ "role": "user", "content": "Hi" }]);
        let body = |value: Value| value.to_string().into();
        let response = match protocol {
            ClientProtocol::Responses { .. } => {
                let request = json!({ "model": "m", "input": "Hi", "stream": stream });
                responses(context, &headers, body(request)).await
            }
            ClientProtocol::Chat { .. } => {
                let request = json!({ "model": "m", "messages": messages, "stream": stream });
                chat(context, &headers, body(request)).await
            }
            ClientProtocol::Messages { .. } => {
                let request =
                    json!({ "model": "m", "max_tokens": 99, "messages": messages, "stream": stream });
                super::messages(context, &headers, body(request)).await
            }
            ClientProtocol::Gemini { .. } => {
                let form = if stream { Form::Events } else { Form::Object };
                let request = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] });
                generate(context, GeminiCaller { headers: &headers, model: "m", form }, body(request)).await
            }
        };
        read(response).await
    }
}

/// The status of a response, and its body.
pub(super) async fn read(response: Response<Reply>) -> (u16, String) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("never fails").to_bytes();
    (status, String::from_utf8(bytes.into()).expect("text"))
}

/// The same, where the body is one JSON object.
pub(super) async fn read_json(response: Response<Reply>) -> (u16, Value) {
    let (status, body) = read(response).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("JSON: {body}")))
}

pub(super) fn answer() -> ScriptedAnswer {
    ScriptedAnswer::turn([Step::text("All is well.")])
}

pub(super) fn refusal() -> ScriptedAnswer {
    ScriptedAnswer::error(400, json!({ "error": { "message": "not like this", "code": "invalid" } }))
}

/// Each protocol, and what stands in its last event.
const PROTOCOLS: [(ClientProtocol, &str); 4] = [
    (ClientProtocol::Responses { client: ResponsesClient::Other }, "response.completed"),
    (ClientProtocol::Chat { opencode: false }, "[DONE]"),
    (ClientProtocol::Messages { agent: false }, "message_stop"),
    (ClientProtocol::Gemini { cli: false }, "\"finishReason\":\"STOP\""),
];

#[tokio::test]
async fn every_protocol_has_its_answer_as_a_stream_and_as_one_object() {
    let setup = Setup::new((0..8).map(|_| answer())).await;
    for (protocol, end) in PROTOCOLS {
        let (status, stream) = setup.ask(protocol, true).await;
        assert_eq!(status, 200, "{stream}");
        assert!(stream.contains("All is well.") && stream.contains(end), "{protocol:?}: {stream}");
        let (status, object) = setup.ask(protocol, false).await;
        let object: Value = serde_json::from_str(&object).expect("JSON");
        assert!(status == 200 && object.to_string().contains("All is well."), "{protocol:?}: {object}");
    }
    assert_eq!((setup.turns.open(), setup.turns.total(), setup.turns.failed()), (0, 8, 0));
}

#[tokio::test]
async fn a_failure_before_the_first_event_has_a_status_in_every_protocol() {
    let setup = Setup::new((0..8).map(|_| refusal())).await;
    for (protocol, _) in PROTOCOLS {
        for stream in [true, false] {
            let (status, body) = setup.ask(protocol, stream).await;
            assert!((400..500).contains(&status), "{protocol:?}: {status} {body}");
            assert!(body.contains("not like this"), "{protocol:?}: {body}");
        }
    }
    assert_eq!((setup.turns.open(), setup.turns.failed()), (0, 8));
}

#[tokio::test]
async fn a_turn_of_our_own_leaves_a_trace_only_if_it_fails() {
    let setup = Setup::new([answer(), refusal()]).await;
    let protocol = ClientProtocol::Chat { opencode: false };
    assert_eq!(setup.ask_for(Recording::FailuresOnly, protocol, true).await.0, 200);
    assert_eq!(setup.turns.traces.one("t1", |_| true), None);
    assert_ne!(setup.ask_for(Recording::FailuresOnly, protocol, true).await.0, 200);
    let trace: Value =
        serde_json::from_str(&setup.turns.traces.one("t2", |_| true).expect("a trace")).expect("JSON");
    assert_eq!((&trace["finish"], &trace["endpoint"]), (&json!("failed"), &json!("lab")));
}

#[tokio::test]
async fn a_forced_stop_ends_a_stream_legally_and_once() {
    let stalled = ScriptedAnswer::steps([Step::text("All is "), Step::Stall]);
    let setup = Setup::new([stalled]).await;
    let request = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }], "stream": true });
    let response = chat(setup.context(Recording::Full), &HeaderMap::new(), request.to_string().into()).await;
    let Reply::Stream(mut stream) = response.into_body() else { panic!("no stream") };
    let mut text = String::new();
    setup.phase.send_replace(Phase::ForceStop);
    while let Some(bytes) = std::future::poll_fn(|cx| stream.poll_bytes(cx)).await {
        text.push_str(std::str::from_utf8(&bytes).expect("text"));
    }
    assert!(text.contains("All is ") && text.contains("error"), "{text}");
    assert!(stream.is_over());
    let again = stream.poll_bytes(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(again, Poll::Ready(None)));
    drop(stream);
    assert_eq!((setup.turns.open(), setup.turns.failed()), (0, 1));
}

#[tokio::test]
async fn a_response_is_stored_and_gone_on_with() {
    let setup = Setup::new([answer(), ScriptedAnswer::turn([Step::text("Again.")])]).await;
    let first = json!({ "model": "m", "input": "Hi" });
    let ask = async |request: Value| {
        let context = setup.context(Recording::Full);
        let response = responses(context, &HeaderMap::new(), request.to_string().into()).await;
        let bytes = response.into_body().collect().await.expect("never fails").to_bytes();
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let first = ask(first).await;
    let second = ask(json!({ "model": "m", "input": "And now?", "previous_response_id": first["id"] })).await;
    assert_eq!(second["status"], "completed", "{second}");
    let repeated = setup.provider.requests().last().expect("asked twice").body.to_string();
    assert!(repeated.contains("All is well.") && repeated.contains("And now?"), "{repeated}");
    let unknown = ask(json!({ "model": "m", "input": "x", "previous_response_id": "resp_unknown" })).await;
    assert_eq!(unknown["error"]["code"], "previous_response_not_found", "{unknown}");
}

#[test]
fn tokens_are_counted_without_asking_anybody() {
    let seal = SealKey::default();
    let responses = input_tokens(&seal, b"{\"model\":\"m\",\"input\":\"Hello there\"}");
    let messages = messages_count(
        &seal,
        b"{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Hello there\"}]}",
        "req_1",
    );
    let gemini = generate_count(
        &seal,
        b"{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hello there\"}]}]}",
        "m",
    );
    for response in [responses, messages, gemini] {
        assert_eq!(response.status(), 200);
    }
    assert_eq!(input_tokens(&seal, b"{").status(), 400);
}
