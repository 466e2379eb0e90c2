//! The Responses API over WebSocket: from the handshake to the end of the connection.
//!
//! There is no second server in here: a message becomes the same turn that `POST /v1/responses` makes, and what goes back are
//! the events of the same writer, one in each message.

mod session;

use std::sync::{Arc, Mutex};

use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use self::session::{Host, Opening, Session, Times};
use super::Proxy;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::responses::socket::message::{self, Create};
use crate::inbound::responses::socket::recall::Recall;
use crate::lifecycle::phase::until_not_serving;
use crate::sync::lock;
use crate::turn;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
/// The one version there is.
const THIRTEEN: HeaderValue = HeaderValue::from_static("13");
/// What is read and written at once; the library's own measure is for servers with few connections.
const BUFFER: usize = 16 << 10;

/// What remains of a connection once it has left HTTP. The service puts it here, and the connection's task takes it.
#[derive(Clone, Default)]
pub(super) struct UpgradeSlot(Arc<Mutex<Option<Upgrade>>>);

/// A connection on its way out of HTTP.
pub(super) struct Upgrade {
    on: OnUpgrade,
    headers: HeaderMap,
    body_limit: usize,
}

impl UpgradeSlot {
    /// The upgrade that was agreed on, if one was.
    pub(super) fn take(&self) -> Option<Upgrade> {
        lock(&self.0).take()
    }

    /// Agrees on the upgrade, or says what is wrong with the handshake.
    pub(super) fn open(&self, mut head: Parts, body_limit: usize) -> Result<Response<Reply>, Refusal> {
        let accept = accept(&head)?;
        let headers = message::connected(&std::mem::take(&mut head.headers));
        let on = hyper::upgrade::on(Request::from_parts(head, ()));
        let upgrade = Upgrade { on, headers, body_limit };
        *lock(&self.0) = Some(upgrade);
        let mut response = Response::new(Reply::Whole(None));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let answer = response.headers_mut();
        answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.insert(ACCEPT, accept);
        Ok(response)
    }
}

/// The answer to the client's key.
fn accept(head: &Parts) -> Result<HeaderValue, Refusal> {
    let wrong = |what: &str| Err(Refusal::invalid(400, "invalid_handshake").message(what));
    if head.method != Method::GET || head.version != Version::HTTP_11 {
        return wrong("a WebSocket begins with a GET over HTTP/1.1");
    }
    if head.headers.get(VERSION) != Some(&THIRTEEN) {
        return wrong("the header Sec-WebSocket-Version should be 13");
    }
    let Some(key) = head.headers.get(KEY).filter(|key| key.len() == 24) else {
        return wrong("the header Sec-WebSocket-Key should be 16 bytes in base64");
    };
    HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .or_else(|_| wrong("the header Sec-WebSocket-Key cannot be used"))
}

/// True when the upgrade is one to WebSocket.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl Upgrade {
    /// Serves the connection to its end.
    pub(super) async fn serve(self, proxy: Arc<Proxy>) {
        let Self { on, headers, body_limit } = self;
        let io = match on.await {
            Ok(io) => TokioIo::new(io),
            Err(error) => return tracing::debug!(event = "websocket.lost", error = %error),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(body_limit))
            .max_frame_size(Some(body_limit));
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let leave = Box::pin(until_not_serving(proxy.phase.subscribe()));
        let front = ClientProtocol::Responses { codex: turn::is_codex(&headers) };
        let recall = Arc::new(Mutex::new(Recall::new(body_limit)));
        let conversation = Conversation { proxy, front, headers, recall };
        tracing::debug!(event = "websocket.open");
        let session = Session::new(socket, conversation, Times::default(), body_limit, leave);
        let (end, requests) = session.run().await;
        tracing::info!(event = "websocket.closed", end, requests);
    }
}

/// What makes turns of a connection's messages.
struct Conversation {
    proxy: Arc<Proxy>,
    front: ClientProtocol,
    headers: HeaderMap,
    recall: Arc<Mutex<Recall>>,
}

impl Host for Conversation {
    fn begin(&self, mut create: Create) -> Opening {
        let request = self.proxy.request_name();
        let headers = message::headers(&self.headers, std::mem::take(&mut create.headers));
        let recall = Arc::clone(&self.recall);
        let surroundings =
            self.proxy.begin_turn(&request).map_err(|refusal| refusal.into_error(self.front, &request));
        Box::pin(
            async move { turn::over_socket(surroundings?, &headers, create, recall).await.map(Box::new) },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, version: &'static str, key: &'static str) -> Parts {
        let request = Request::builder()
            .method(method)
            .header(VERSION, version)
            .header(KEY, key)
            .body(())
            .expect("fine");
        request.into_parts().0
    }

    #[test]
    fn handshakes() {
        // The example of RFC 6455, section 1.3.
        let answer = accept(&head("GET", "13", "dGhlIHNhbXBsZSBub25jZQ==")).expect("accepted");
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for head in [
            head("POST", "13", "dGhlIHNhbXBsZSBub25jZQ=="),
            head("GET", "8", "dGhlIHNhbXBsZSBub25jZQ=="),
            head("GET", "13", "c2hvcnQ="),
        ] {
            assert_eq!(accept(&head).expect_err("refused").status, 400);
        }
    }

    #[test]
    fn only_one_kind_of_upgrade_is_meant() {
        for (value, meant) in
            [("websocket", true), ("WebSocket", true), ("h2c", false), ("websocket2", false)]
        {
            let headers: HeaderMap = [(UPGRADE, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(is_meant(&headers), meant, "{value}");
        }
    }
}
