//! A WebSocket client of the Responses API.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Harness, WAIT_TIMEOUT};

pub(crate) struct WebSocketClient {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

/// What came of a handshake that was refused: the status and the body.
pub(crate) type Refused = (u16, String);

impl WebSocketClient {
    /// Connects with the token.
    pub(crate) async fn connect(harness: &Harness) -> Self {
        let token = format!("Bearer {}", harness.token());
        Self::try_connect(harness, "/v1/responses", &[("authorization", &token)]).await.expect("connected")
    }

    /// Tries to connect.
    pub(crate) async fn try_connect(
        harness: &Harness,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Refused> {
        Self::open(&harness.url, path, headers).await
    }

    /// The same to a proxy of this address.
    pub(crate) async fn open(url: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        let address = url.trim_start_matches("http://");
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
        for (name, value) in headers {
            let name: hyper::header::HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let stream = TcpStream::connect(address).await.expect("connected");
        // Of what it gets, a client may have to take in one event that holds a whole answer.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
            }
            Err(error) => panic!("no HTTP answer: {error}"),
        }
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("sent");
    }

    /// Asks for a turn that is not stored; `more` are further fields.
    pub(crate) async fn create(&mut self, input: &str, more: Value) {
        let mut body = json!({ "type": "response.create", "model": "glm-5", "store": false, "input": [{ "type": "message", "role": "user", "content": input }] });
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        self.send(Message::text(body.to_string())).await;
    }

    /// The next message that is no ping.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(WAIT_TIMEOUT, self.socket.next()).await.expect("in time");
            match next.expect("not over").expect("no error") {
                Message::Ping(_) => {}
                message => return message,
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).expect("one JSON object"),
            other => panic!("not an event: {other:?}"),
        }
    }

    /// All events up to the end of one answer, or one error.
    pub(crate) async fn answer(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            let kind = event["type"].as_str().expect("a type").to_owned();
            events.push(event);
            if matches!(
                kind.as_str(),
                "response.completed" | "response.incomplete" | "response.failed" | "error"
            ) {
                return events;
            }
        }
    }

    /// The code with which the server closes; nothing else may come before.
    pub(crate) async fn closed(&mut self) -> u16 {
        match self.next().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("not a close: {other:?}"),
        }
    }
}

/// The same events as a stream, for the checker of streams.
pub(crate) fn as_stream(events: &[Value]) -> String {
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or(""));
    events.iter().map(frame).collect::<String>() + "data: [DONE]\n\n"
}

/// The text of an answer.
pub(crate) fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["delta"].as_str()).collect()
}

/// The name of an answer.
pub(crate) fn id(events: &[Value]) -> String {
    let last = events.last().expect("events");
    last["response"]["id"].as_str().unwrap_or_else(|| panic!("no answer: {last}")).to_owned()
}
