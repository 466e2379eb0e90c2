//! What the watchdog asks the proxy, over the same socket as every client.
//!
//! Every request makes a connection of its own: so it is answered by whoever accepts now, and a proxy that accepts nothing is
//! noticed.

use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use latimer_adapters::transport::http::{Http, HttpOptions, HttpResponse};
use latimer_adapters::transport::outbound::Outbound;
use latimer_adapters::transport::read_error_body;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::secret::Secret;
use latimer_protocol::status::{AccountState, Health, OverrideRequest, PROBE_MODEL, PROBE_PID};

use super::clock;
use crate::diagnose::{ANSWER_TIMEOUT_MS, MAX_TOKENS, Report, TEMPERATURE};
use crate::signal::MissReason;

/// What the watchdog calls itself as a client; its own turns are nobody's fault.
pub const CLIENT: &str = "latimer-watchdog";
/// The largest answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 4 << 20;
/// No limit of its own: [`within`] ends what takes too long.
const OUTER_TIMEOUT: Duration = Duration::from_secs(3600);

/// A client of the proxy's own interface.
pub struct ProxyClient {
    http: Http,
    base: String,
    token: RwLock<Option<Secret>>,
    source: Option<TokenSource>,
}

/// Reads the token of the state directory anew.
pub type TokenSource = Box<dyn Fn() -> Option<Secret> + Send + Sync>;

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReply {
    /// The process that answered.
    pub pid: Option<u32>,
    /// From the request to the first bytes of the answer.
    pub first_event: Duration,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelReply {
    /// What it wrote, as it came; nothing in it is trusted.
    pub text: String,
    /// Tokens of the question.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
}

/// Why the proxy gave no good answer: the error of every method of [`ProxyClient`]. Holds no text of a person's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyClientError {
    /// Nobody accepts connections.
    #[error("nobody accepts connections")]
    Unreachable,
    /// The connection broke before the answer was whole.
    #[error("the connection broke")]
    Broken,
    /// Nothing came in time.
    #[error("no answer within {0} ms")]
    Late(u128),
    /// An answer that means trouble.
    #[error("the proxy answered with status {0}")]
    Status(u16),
    /// An answer that is not what it should be.
    #[error("the proxy's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

impl ProxyClientError {
    /// The kind of miss it is.
    pub fn kind(&self) -> MissReason {
        match self {
            Self::Unreachable => MissReason::Refused,
            Self::Broken => MissReason::Reset,
            Self::Late(_) => MissReason::Timeout,
            Self::Status(_) => MissReason::Status,
            Self::Nonsense(_) => MissReason::Garbage,
        }
    }
}

impl From<Failure> for ProxyClientError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::Unreachable => Self::Unreachable,
            _ => Self::Broken,
        }
    }
}

impl ProxyClient {
    /// A client of the proxy that answers at this address.
    pub fn new(address: SocketAddr, token: Option<Secret>) -> Self {
        let http = Http::new(HttpOptions {
            // The proxy is on this machine.
            outbound: Outbound::Direct,
            connect: Duration::from_secs(3),
            ca_file: None,
        });
        Self { http, base: format!("http://{}", reachable(address)), token: RwLock::new(token), source: None }
    }

    /// Where the token is read again when the proxy does not take it: it may have been exchanged, or be wanted only now.
    #[must_use]
    pub fn with_token_source(self, source: TokenSource) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Reads the token again; true if it is another one.
    fn renew_token(&self) -> bool {
        let Some(newer) = self.source.as_ref().and_then(|source| source()) else { return false };
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = token.as_ref() != Some(&newer);
        *token = Some(newer);
        is_other
    }

    /// The health document; all of it within the time given.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn health(&self, timeout: Duration) -> Result<Health, ProxyClientError> {
        let ask = async {
            let answer = self.http.get(&self.url("/health"), &self.headers(), OUTER_TIMEOUT).await;
            let (_, body) = whole(answer?).await?;
            serde_json::from_slice(&body).map_err(|_| ProxyClientError::Nonsense("no health document"))
        };
        let answer = within(timeout, ask).await;
        if matches!(answer, Err(ProxyClientError::Status(401) | ProxyClientError::Nonsense(_))) {
            // The next look has it.
            self.renew_token();
        }
        answer
    }

    /// A turn through the whole proxy; all of it within the time given.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn probe(&self, timeout: Duration) -> Result<ProbeReply, ProxyClientError> {
        let request = serde_json::json!({
            "model": PROBE_MODEL, "input": "Are you well?", "stream": true, "store": false,
        });
        let begun = clock::monotonic();
        let ask = async {
            let body = Bytes::from(request.to_string());
            let answer =
                self.http.post(&self.url("/v1/responses"), &self.headers(), body, OUTER_TIMEOUT).await;
            let answer = answer?;
            let first_event = begun.elapsed();
            let (headers, body) = whole(answer).await?;
            let is_complete =
                find(&body, b"response.completed") && find(&body, b"All parts of latimer answer.");
            if is_complete {
                Ok(ProbeReply { pid: answered_by(&headers), first_event })
            } else {
                Err(ProxyClientError::Nonsense("the turn did not complete"))
            }
        };
        within(timeout, ask).await
    }

    /// Puts a change in force; its id is the answer.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn set_override(
        &self,
        request: &OverrideRequest,
        timeout: Duration,
    ) -> Result<u64, ProxyClientError> {
        let body = serde_json::to_vec(request).map_err(|_| ProxyClientError::Nonsense("the request"))?;
        let ask = async {
            let url = self.url("/v1/admin/overrides");
            let answer = self.http.post(&url, &self.headers(), Bytes::from(body), OUTER_TIMEOUT).await;
            let (_, body) = whole(answer?).await?;
            let value: serde_json::Value =
                serde_json::from_slice(&body).map_err(|_| ProxyClientError::Nonsense("no JSON"))?;
            value.get("id").and_then(serde_json::Value::as_u64).ok_or(ProxyClientError::Nonsense("no id"))
        };
        within(timeout, ask).await
    }

    /// Takes a change back.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn remove_override(&self, id: u64, timeout: Duration) -> Result<(), ProxyClientError> {
        self.delete(&format!("/v1/admin/overrides/{id}"), timeout).await
    }

    /// Lets the proxy forget what an endpoint taught, or what all of them did.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn forget(&self, endpoint: Option<&str>, timeout: Duration) -> Result<(), ProxyClientError> {
        match endpoint {
            Some(endpoint) => self.delete(&format!("/v1/admin/learned/{endpoint}"), timeout).await,
            None => self.delete("/v1/admin/learned", timeout).await,
        }
    }

    /// Lets the proxy try an endpoint again that rests, or all of them.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn retry(&self, endpoint: Option<&str>, timeout: Duration) -> Result<(), ProxyClientError> {
        self.post("retry", endpoint, timeout).await
    }

    /// Lets the proxy make new connections to an endpoint, or to all of them.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn reconnect(&self, endpoint: Option<&str>, timeout: Duration) -> Result<(), ProxyClientError> {
        self.post("reconnect", endpoint, timeout).await
    }

    /// The accounts and how they are doing.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn accounts(&self, timeout: Duration) -> Result<Vec<AccountState>, ProxyClientError> {
        let ask = async {
            let answer = self.http.get(&self.url("/v1/accounts"), &self.headers(), OUTER_TIMEOUT).await;
            let (_, body) = whole(answer?).await?;
            #[derive(serde::Deserialize)]
            struct List {
                data: Vec<AccountState>,
            }
            let list: List =
                serde_json::from_slice(&body).map_err(|_| ProxyClientError::Nonsense("no list"))?;
            Ok(list.data)
        };
        within(timeout, ask).await
    }

    /// Asks a model one question, by the credentials of the proxy.
    ///
    /// # Errors
    ///
    /// See [`ProxyClientError`].
    pub async fn ask_model(&self, model: &str, report: &Report) -> Result<ModelReply, ProxyClientError> {
        let request = serde_json::json!({
            "model": model,
            "instructions": report.instructions,
            "input": report.text,
            "temperature": TEMPERATURE,
            "max_output_tokens": MAX_TOKENS,
            "stream": false,
            "store": false,
        });
        let mut headers = self.headers();
        // Its own failures must not come back as signals.
        headers.push((HeaderName::from_static("originator"), HeaderValue::from_static(CLIENT)));
        headers.push((HeaderName::from_static("x-latimer-repair"), HeaderValue::from_static("off")));
        let ask = async {
            let body = Bytes::from(request.to_string());
            let answer = self.http.post(&self.url("/v1/responses"), &headers, body, OUTER_TIMEOUT).await;
            let (_, body) = whole(answer?).await?;
            model_reply(&body).ok_or(ProxyClientError::Nonsense("no text"))
        };
        within(Duration::from_millis(ANSWER_TIMEOUT_MS), ask).await
    }

    async fn post(
        &self,
        what: &str,
        endpoint: Option<&str>,
        timeout: Duration,
    ) -> Result<(), ProxyClientError> {
        let path = endpoint.map_or_else(|| what.to_owned(), |endpoint| format!("{what}/{endpoint}"));
        let ask = async {
            let url = self.url(&format!("/v1/admin/{path}"));
            let answer = self.http.post(&url, &self.headers(), Bytes::new(), OUTER_TIMEOUT).await;
            whole(answer?).await.map(|_| ())
        };
        within(timeout, ask).await
    }

    async fn delete(&self, path: &str, timeout: Duration) -> Result<(), ProxyClientError> {
        let ask = async {
            let answer = self.http.delete(&self.url(path), &self.headers(), OUTER_TIMEOUT).await;
            whole(answer?).await.map(|_| ())
        };
        within(timeout, ask).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![
            (CONNECTION, HeaderValue::from_static("close")),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        headers.push((HeaderName::from_static("x-latimer-admin"), HeaderValue::from_static("1")));
        let bearer = |token: &Secret| HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(mut value)) = token.as_ref().map(bearer) {
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        headers
    }
}

/// The text and the usage of a whole answer.
fn model_reply(body: &[u8]) -> Option<ModelReply> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let parts = value.get("output")?.as_array()?.iter().filter(|item| item["type"] == "message");
    let parts = parts.filter_map(|item| item.get("content")?.as_array()).flatten();
    let text: String = parts.filter_map(|part| part.get("text")?.as_str()).collect();
    let tokens = |name: &str| value["usage"][name].as_u64().unwrap_or(0);
    let (input_tokens, output_tokens) = (tokens("input_tokens"), tokens("output_tokens"));
    Some(ModelReply { text, input_tokens, output_tokens })
}

/// Where a listener is reached from this machine.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        return SocketAddr::new(loopback, address.port());
    }
    address
}

/// Headers and body of an answer that means success.
async fn whole(answer: HttpResponse) -> Result<(HeaderMap, Vec<u8>), ProxyClientError> {
    let body = read_error_body(answer.body, MAX_BODY_BYTES, OUTER_TIMEOUT).await;
    if answer.status.is_success() {
        Ok((answer.headers, body))
    } else {
        Err(ProxyClientError::Status(answer.status.as_u16()))
    }
}

async fn within<T>(
    timeout: Duration,
    ask: impl Future<Output = Result<T, ProxyClientError>>,
) -> Result<T, ProxyClientError> {
    tokio::time::timeout(timeout, ask).await.unwrap_or(Err(ProxyClientError::Late(timeout.as_millis())))
}

/// The process that answered a probe.
fn answered_by(headers: &HeaderMap) -> Option<u32> {
    headers.get(PROBE_PID)?.to_str().ok()?.parse().ok()
}

fn find(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_probe_names_the_process() {
        let mut headers = HeaderMap::new();
        assert_eq!(answered_by(&headers), None);
        headers.insert(PROBE_PID, HeaderValue::from_static("31"));
        assert_eq!(answered_by(&headers), Some(31));
    }

    #[test]
    fn a_models_text_and_its_usage_are_read() {
        let body = br#"{"output":[{"type":"reasoning","content":[{"text":"hm"}]},{"type":"message","content":[{"type":"output_text","text":"{\"action\""},{"text":":1}"}]}],"usage":{"input_tokens":8,"output_tokens":3}}"#;
        let want = ModelReply { text: "{\"action\":1}".to_owned(), input_tokens: 8, output_tokens: 3 };
        assert_eq!(model_reply(body), Some(want));
        assert_eq!(model_reply(b"{}"), None);
    }

    #[test]
    fn every_address_is_reached_by_loopback() {
        assert_eq!(reachable(([0, 0, 0, 0], 80).into()), ([127, 0, 0, 1], 80).into());
        assert_eq!(reachable(([10, 0, 0, 1], 80).into()), ([10, 0, 0, 1], 80).into());
    }

    #[tokio::test]
    async fn silence_is_told_within_the_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let api = ProxyClient::new(listener.local_addr().expect("an address"), None);
        let error = api.health(Duration::from_millis(50)).await.expect_err("nobody accepts");
        assert_eq!(error, ProxyClientError::Late(50));
    }
}
