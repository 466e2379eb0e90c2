//! The pooled HTTP client of one endpoint.
//!
//! Each endpoint has a client of its own, so that a provider that breaks uses up nobody else's connections, and each worker has its own pool
//! of it: the task of a connection runs on the thread that made it. There is no redirect and no cookie: a request goes to the host it names, directly or through the proxy of [`HttpOptions`], or nowhere.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    USER_AGENT,
};
use hyper::http::Extensions;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector, HttpInfo, capture_connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use latimer_protocol::failure::{Failure, FailureKind};
use rustls::ClientConfig;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::connector::OutboundConnector;
use super::inflate::Inflate;
use super::outbound::{Outbound, ProxyScheme};
use super::worker::PerWorker;
use super::{Body, cause, roots};
use crate::clock;
use crate::sync::lock;

/// Largest block of response headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Most response headers.
const MAX_HEADER_LINES: usize = 200;
/// Shorter than the 60 s and more after which common front servers hang up, so that few pooled connections are stale.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Idle connections kept to one host.
const POOL_SIZE: usize = 128;
/// Connections remembered as used before; ports come back, so the memory may be wiped at any time.
const MAX_REMEMBERED: usize = 4096;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Through which proxy, if any.
    pub outbound: Outbound,
    /// Limit on name lookup, TCP and TLS together.
    pub connect: Duration,
    /// A private CA in PEM, trusted beside the machine's own.
    pub ca_file: Option<PathBuf>,
}

/// An answer whose headers have arrived.
#[derive(Debug)]
pub struct HttpResponse {
    /// Any status; redirects and errors are answers too.
    pub status: StatusCode,
    /// As the provider sent them.
    pub headers: HeaderMap,
    /// Decompressed where needed.
    pub body: Body,
}

/// The client of one endpoint.
#[derive(Debug)]
pub struct Http {
    options: HttpOptions,
    plain: PerWorker<ClientPair<OutboundConnector>>,
    tls: PerWorker<ClientPair<HttpsConnector<OutboundConnector>>>,
    /// Made at the first https request: reading the trust store is most of a cold start.
    tls_settings: OnceCell<ClientConfig>,
}

/// One client with a pool, and one that always makes a new connection.
#[derive(Debug)]
struct ClientPair<C> {
    pooled: Client<C, Full<Bytes>>,
    fresh: Client<C, Full<Bytes>>,
    /// Local addresses of connections that answered before. One of them dying without an answer was merely stale.
    used: Mutex<HashSet<SocketAddr>>,
}

/// What is to be sent, possibly twice.
struct Outgoing<'a> {
    method: Method,
    uri: Uri,
    host: Arc<str>,
    headers: &'a [(HeaderName, HeaderValue)],
    body: Bytes,
}

/// Why an attempt gave no answer.
struct AttemptError {
    failure: Failure,
    stale: bool,
}

impl Http {
    /// A client that connects when it is first used.
    pub fn new(options: HttpOptions) -> Self {
        Self {
            options,
            plain: PerWorker::default(),
            tls: PerWorker::default(),
            tls_settings: OnceCell::new(),
        }
    }

    /// Sends `body` to `url` and waits for the headers of the answer, at most `first_byte`.
    ///
    /// # Errors
    /// Where the address is none, nothing answered in time, or the connection broke before the headers.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        first_byte: Duration,
    ) -> Result<HttpResponse, Failure> {
        self.send(Outgoing::new(Method::POST, url, headers, body)?, first_byte).await
    }

    /// Asks for `url` and waits for the headers of the answer, at most `first_byte`.
    ///
    /// # Errors
    /// Where the address is none, nothing answered in time, or the connection broke before the headers.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(HeaderName, HeaderValue)],
        first_byte: Duration,
    ) -> Result<HttpResponse, Failure> {
        self.send(Outgoing::new(Method::GET, url, headers, Bytes::new())?, first_byte).await
    }

    /// Changes `url` as `body` says and waits for the headers of the answer, at most `first_byte`.
    ///
    /// # Errors
    /// Where the address is none, nothing answered in time, or the connection broke before the headers.
    pub async fn patch(
        &self,
        url: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        first_byte: Duration,
    ) -> Result<HttpResponse, Failure> {
        self.send(Outgoing::new(Method::PATCH, url, headers, body)?, first_byte).await
    }

    /// Deletes `url` and waits for the headers of the answer, at most `first_byte`.
    ///
    /// # Errors
    /// Where the address is none, nothing answered in time, or the connection broke before the headers.
    pub async fn delete(
        &self,
        url: &str,
        headers: &[(HeaderName, HeaderValue)],
        first_byte: Duration,
    ) -> Result<HttpResponse, Failure> {
        self.send(Outgoing::new(Method::DELETE, url, headers, Bytes::new())?, first_byte).await
    }

    async fn send(&self, outgoing: Outgoing<'_>, first_byte: Duration) -> Result<HttpResponse, Failure> {
        let response = if outgoing.uri.scheme_str() == Some("https") {
            let load = || roots::client_config(self.options.ca_file.as_deref());
            let settings = self.tls_settings.get_or_try_init(load).await?;
            self.send_by(self.tls.get_or_init(|| self.https(settings)), &outgoing, first_byte).await?
        } else {
            let clients = self.plain.get_or_init(|| ClientPair::new(&connector(&self.options)));
            self.send_by(clients, &outgoing, first_byte).await?
        };
        let (head, incoming) = response.into_parts();
        let inflate = Inflate::wanted(&head.headers)?;
        let body = Body::wire(incoming, inflate, outgoing.host);
        Ok(HttpResponse { status: head.status, headers: head.headers, body })
    }

    fn https(&self, settings: &ClientConfig) -> ClientPair<HttpsConnector<OutboundConnector>> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(settings.clone())
            .https_only()
            .enable_all_versions()
            .wrap_connector(connector(&self.options));
        ClientPair::new(&connector)
    }

    async fn send_by<C>(
        &self,
        clients: &ClientPair<C>,
        outgoing: &Outgoing<'_>,
        first_byte: Duration,
    ) -> Result<Response<Incoming>, Failure>
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let deadline = clock::now() + first_byte;
        match self.attempt(clients, &clients.pooled, outgoing, deadline, first_byte).await {
            Ok(response) => Ok(response),
            Err(failed) if failed.stale => {
                let again = self.attempt(clients, &clients.fresh, outgoing, deadline, first_byte).await;
                again.map_err(|failed| failed.failure)
            }
            Err(failed) => Err(failed.failure),
        }
    }

    async fn attempt<C>(
        &self,
        clients: &ClientPair<C>,
        client: &Client<C, Full<Bytes>>,
        outgoing: &Outgoing<'_>,
        deadline: Instant,
        first_byte: Duration,
    ) -> Result<Response<Incoming>, AttemptError>
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let mut request = outgoing.request();
        if let Some(authorization) = self.proxy_authorization(&outgoing.uri) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        let mut connection = capture_connection(&mut request);
        let mut response = std::pin::pin!(client.request(request));

        let connected = async { drop(connection.wait_for_connection_metadata().await) };
        let (limit, setting) = if first_byte < self.options.connect {
            (first_byte, "first_byte")
        } else {
            (self.options.connect, "connect")
        };
        let connect_deadline = deadline.min(clock::now() + limit);
        let early = tokio::select! {
            biased;
            result = &mut response => Some(result),
            () = connected => None,
            () = tokio::time::sleep_until(connect_deadline) => {
                return Err(too_slow(&format!("no connection to {}", outgoing.host), limit, setting).into());
            }
        };
        let result = match early {
            Some(result) => result,
            None => tokio::time::timeout_at(deadline, response).await.map_err(|_| {
                too_slow(&format!("{} did not begin to answer", outgoing.host), first_byte, "first_byte")
            })?,
        };
        match result {
            Ok(response) => {
                clients.remember(response.extensions());
                Ok(response)
            }
            Err(error) => {
                let failure = cause::of_request(&error, &outgoing.host);
                let stale = failure.kind == FailureKind::Interrupted && clients.used_before(&error);
                Err(AttemptError { failure, stale })
            }
        }
    }

    /// What a proxy wants to see with each request: one through which no tunnel leads.
    fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        let proxy = self.options.outbound.proxy(uri).filter(|_| uri.scheme_str() == Some("http"))?;
        let is_http = matches!(proxy.scheme(), ProxyScheme::Http | ProxyScheme::Https);
        proxy.authorization().filter(|_| is_http)
    }
}

impl<C: Connect + Clone> ClientPair<C> {
    fn new(connector: &C) -> Self {
        let client = |idle: usize| {
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle)
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .http1_max_buf_size(MAX_HEADER_BYTES)
                .http1_max_headers(MAX_HEADER_LINES)
                .http2_max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
                .http2_initial_stream_window_size(512 * 1024)
                .http2_initial_connection_window_size(16 * 1024 * 1024)
                // A peer that vanished is noticed although nothing is written to it.
                .http2_keep_alive_interval(Duration::from_secs(30))
                .http2_keep_alive_timeout(Duration::from_secs(20))
                .build(connector.clone())
        };
        Self { pooled: client(POOL_SIZE), fresh: client(0), used: Mutex::default() }
    }

    fn remember(&self, extensions: &Extensions) {
        if let Some(info) = extensions.get::<HttpInfo>() {
            let mut used = lock(&self.used);
            if used.len() >= MAX_REMEMBERED {
                used.clear();
            }
            used.insert(info.local_addr());
        }
    }

    fn used_before(&self, error: &Error) -> bool {
        let mut extensions = Extensions::new();
        if let Some(connected) = error.connect_info() {
            connected.get_extras(&mut extensions);
        }
        let used = lock(&self.used);
        extensions.get::<HttpInfo>().is_some_and(|info| used.contains(&info.local_addr()))
    }
}

impl<'a> Outgoing<'a> {
    fn new(
        method: Method,
        url: &str,
        headers: &'a [(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Self, Failure> {
        let refuse =
            |why: &str| Err(Failure::new(FailureKind::Unreachable, format!("the provider's address {why}")));
        let Ok(uri) = url.parse::<Uri>() else { return refuse("is not a URL; check `base_url`") };
        let Some(authority) = uri.authority() else { return refuse("names no host; check `base_url`") };
        if authority.as_str().contains('@') {
            return refuse("holds a user name or password; put the key into `key` instead");
        }
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return refuse("begins with neither http:// nor https://; check `base_url`");
        }
        let host = Arc::from(authority.as_str());
        Ok(Self { method, uri, host, headers, body })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        // The two here, and the proxy's authorization, host and length, which come later.
        headers.reserve(self.headers.len() + 5);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("latimer/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in self.headers {
            let mut value = value.clone();
            if is_credential(name) {
                value.set_sensitive(true);
            }
            headers.insert(name, value);
        }
        request
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        Self { failure, stale: false }
    }
}

fn connector(options: &HttpOptions) -> OutboundConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(options.connect));
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    // TLS is laid over it by whoever asks for https.
    tcp.enforce_http(false);
    OutboundConnector::new(tcp, options.outbound.clone(), options.ca_file.clone())
}

fn too_slow(what: &str, limit: Duration, setting: &str) -> Failure {
    Failure::new(FailureKind::Timeout, format!("{what} within {limit:?} (setting `timeouts.{setting}`)"))
}

/// Sensitive values are neither printed nor kept in header compression tables.
fn is_credential(name: &HeaderName) -> bool {
    !matches!(*name, CONTENT_TYPE | ACCEPT)
        && ["auth", "key", "token", "cookie", "secret"].iter().any(|part| name.as_str().contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_sensitive() {
        let headers = [
            (HeaderName::from_static("authorization"), HeaderValue::from_static("Bearer x")),
            (HeaderName::from_static("x-api-key"), HeaderValue::from_static("x")),
            (HeaderName::from_static("x-title"), HeaderValue::from_static("x")),
        ];
        let outgoing =
            Outgoing::new(Method::POST, "https://a.example/v1", &headers, Bytes::new()).expect("url");
        let request = outgoing.request();
        let sensitive = |name: &str| request.headers().get(name).expect("sent").is_sensitive();
        assert!(sensitive("authorization") && sensitive("x-api-key") && !sensitive("x-title"));
    }

    #[test]
    fn odd_addresses_are_refused_without_showing_them() {
        for url in
            ["nonsense://user:hunter2@host/", "https://user:hunter2@host/v1", "/v1", "ftp://host/", "a b"]
        {
            let failure = Outgoing::new(Method::GET, url, &[], Bytes::new()).err().expect(url);
            assert_eq!(failure.kind, FailureKind::Unreachable);
            assert!(!failure.message.contains("hunter2"), "{failure}");
        }
    }
}
