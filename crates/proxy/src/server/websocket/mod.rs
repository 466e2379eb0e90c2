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

use self::session::{PendingTurn, Session, SessionTimes, StartTurn};
use super::proxy::Proxy;
use super::refusals::RefusalWatch;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::responses::socket::history::ConnectionHistory;
use crate::inbound::responses::socket::message::{self, ResponseCreate};
use crate::keys::keyring::ClientKey;
use crate::lifecycle::phase::until_not_serving;
use crate::sync::lock;
use crate::turn;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
/// The one version there is; RFC 6455, section 4.1.
const SUPPORTED_VERSION: HeaderValue = HeaderValue::from_static("13");
/// Bytes that are read and written at once; the library's own size is for servers with few connections.
const BUFFER_SIZE: usize = 16 << 10;

/// Where the upgrade of a connection waits until HTTP has let go of it: the service puts it here, and the connection's task takes it.
#[derive(Clone, Default)]
pub(super) struct UpgradeSlot(Arc<Mutex<Option<Upgrade>>>);

/// A connection on its way out of HTTP.
pub(super) struct Upgrade {
    pending: OnUpgrade,
    headers: HeaderMap,
    /// The most bytes of one message.
    body_limit: usize,
    /// The client key that asked for it.
    key: Option<Arc<ClientKey>>,
}

impl UpgradeSlot {
    /// The upgrade that was agreed on, if one was.
    pub(super) fn take(&self) -> Option<Upgrade> {
        lock(&self.0).take()
    }

    /// Agrees on the upgrade. `body_limit` bounds the bytes of one message.
    ///
    /// # Errors
    ///
    /// The handshake is not that of RFC 6455 (400).
    pub(super) fn open(
        &self,
        mut head: Parts,
        body_limit: usize,
        key: Option<Arc<ClientKey>>,
    ) -> Result<Response<Reply>, Refusal> {
        let accept = accept(&head)?;
        let headers = message::connection_headers(&std::mem::take(&mut head.headers));
        let pending = hyper::upgrade::on(Request::from_parts(head, ()));
        let upgrade = Upgrade { pending, headers, body_limit, key };
        *lock(&self.0) = Some(upgrade);
        let mut response = Response::new(Reply::Whole(None));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(ACCEPT, accept);
        Ok(response)
    }
}

/// The answer to the client's key.
fn accept(head: &Parts) -> Result<HeaderValue, Refusal> {
    let wrong = |what: &'static str| Err(Refusal::invalid(400, "invalid_handshake").message(what));
    if head.method != Method::GET || head.version != Version::HTTP_11 {
        return wrong("a WebSocket begins with a GET over HTTP/1.1");
    }
    if head.headers.get(VERSION) != Some(&SUPPORTED_VERSION) {
        return wrong("the header Sec-WebSocket-Version should be 13");
    }
    let Some(key) = head.headers.get(KEY).filter(|key| key.len() == 24) else {
        return wrong("the header Sec-WebSocket-Key should be 16 bytes in base64");
    };
    HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .or_else(|_| wrong("the header Sec-WebSocket-Key cannot be used"))
}

/// True when the upgrade is one to WebSocket.
pub(super) fn is_requested(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl Upgrade {
    /// Serves the connection to its end.
    pub(super) async fn serve(self, proxy: Arc<Proxy>) {
        let Self { pending, headers, body_limit, key } = self;
        let io = match pending.await {
            Ok(io) => TokioIo::new(io),
            Err(error) => return tracing::debug!(event = "websocket.lost", error = %error),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_SIZE)
            .write_buffer_size(BUFFER_SIZE)
            .max_message_size(Some(body_limit))
            .max_frame_size(Some(body_limit));
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let stopping = Box::pin(until_not_serving(proxy.watch_phase()));
        let protocol = ClientProtocol::Responses { client: turn::responses_client(&headers) };
        let recall = Arc::new(Mutex::new(ConnectionHistory::new(body_limit)));
        let turns = ConnectionTurns { proxy, protocol, headers, recall, key };
        tracing::debug!(event = "websocket.open");
        let session = Session::new(socket, turns, SessionTimes::default(), body_limit, stopping);
        let (end, requests) = session.run().await;
        tracing::info!(event = "websocket.closed", end, requests);
    }
}

/// Starts turns for the messages of one connection.
struct ConnectionTurns {
    proxy: Arc<Proxy>,
    protocol: ClientProtocol,
    /// Those of the handshake.
    headers: HeaderMap,
    /// Responses that the next request of the connection may go on with.
    recall: Arc<Mutex<ConnectionHistory>>,
    /// The client key of the handshake; it is asked again for each turn.
    key: Option<Arc<ClientKey>>,
}

impl StartTurn for ConnectionTurns {
    fn start(&self, mut create: ResponseCreate) -> PendingTurn {
        let request = self.proxy.request_name();
        let headers = message::headers(&self.headers, std::mem::take(&mut create.headers));
        let recall = Arc::clone(&self.recall);
        let (proxy, protocol, key) = (Arc::clone(&self.proxy), self.protocol, self.key.clone());
        Box::pin(async move {
            let context = proxy.begin_turn_for(key.as_deref(), &request).await;
            let context = context.map_err(|refusal| refusal.into_error(protocol, &request))?;
            let watch = RefusalWatch::of(&proxy, &context, &headers);
            let started = turn::over_socket(context, &headers, create, recall).await;
            started.inspect_err(|error| watch.error(error)).map(Box::new)
        })
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
    fn only_an_upgrade_to_websocket_is_one() {
        for (value, want) in [("websocket", true), ("WebSocket", true), ("h2c", false), ("websocket2", false)]
        {
            let headers: HeaderMap = [(UPGRADE, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(is_requested(&headers), want, "{value}");
        }
    }
}
