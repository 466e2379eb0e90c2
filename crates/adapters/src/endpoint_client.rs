//! The client of one HTTP endpoint: where it is, how long it may take, its own connections, and how a turn is sent there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::quota::QuotaReading;
use latimer_protocol::secret::Secret;
use latimer_protocol::surrogates;

use crate::clock;
use crate::credential::Credential;
use crate::drive::{Limits, Reopen, TurnStream};
use crate::errors::{self, Classify, ErrorContext, RefusalWords};
use crate::prepared_request::{Headers, PreparedRequest, WireProtocol};
use crate::quota;
use crate::reader::Reader;
use crate::teaching::Teaching;
use crate::transport::http::{Http, HttpResponse};
use crate::transport::read_error_body;

/// How much of an error body is read, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// How long an error body may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an account service's answer is read, in bytes.
const MAX_ACCOUNT_BODY: usize = 4 << 20;

/// One endpoint on the network.
#[derive(Debug)]
pub struct EndpointClient {
    /// The endpoint's name, for messages.
    pub name: String,
    /// Without a trailing slash and without the path of a method.
    pub base_url: String,
    /// Who owns opaque state made here: the preset's name, or the endpoint's.
    pub provider: String,
    /// Extra headers, sent as they are.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// From the request to the response headers.
    pub first_byte: Duration,
    /// Silence between two reads of the body.
    pub idle: Duration,
    /// Longest time without anything of an answer, whatever else arrives.
    pub content: Duration,
    /// The connection pool of this endpoint alone.
    pub http: Http,
}

/// Why an upstream did not take a turn, and what that teaches.
#[derive(Debug)]
pub struct OpenError {
    /// For routing, the client and the log.
    pub failure: Failure,
    /// What to write differently next time; `None` for most refusals.
    pub teaching: Option<Box<Teaching>>,
    /// What is left of the account's allowances, where the headers say so.
    pub quota: Vec<QuotaReading>,
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self { failure, teaching: None, quota: Vec::new() }
    }
}

/// What sending a turn gives.
pub type OpenResult = Result<TurnStream, OpenError>;

/// Where a turn is posted, and with which headers: everything of a request but its body.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The whole URL.
    pub url: String,
    /// In the order in which they are sent.
    pub headers: Headers,
}

/// Why a request got no stream of events.
#[derive(Debug)]
pub enum SendError {
    /// There was no answer.
    Failure(Failure),
    /// The answer has a status other than 2xx.
    Response(ErrorResponse),
}

impl From<Failure> for SendError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// An answer with a status other than 2xx, its body read.
#[derive(Debug)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body's first 64 kB.
    pub body: Vec<u8>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// What is left of the account's allowances, where the headers say so.
    pub quota: Vec<QuotaReading>,
}

impl EndpointClient {
    /// The headers of a request: the usual ones, then those of the turn, then those of the endpoint.
    pub fn headers(&self, accept: &'static str, prepared: &[(HeaderName, HeaderValue)]) -> Headers {
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static(accept)),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (USER_AGENT, HeaderValue::from_static(concat!("latimer/", env!("CARGO_PKG_VERSION")))),
        ];
        for (name, value) in prepared.iter().chain(&self.headers) {
            match headers.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value.clone(),
                None => headers.push((name.clone(), value.clone())),
            }
        }
        headers
    }

    /// `authorization: Bearer …`.
    ///
    /// # Errors
    /// Where the secret holds characters that no header may hold.
    pub fn bearer(&self, secret: &Secret) -> Result<(HeaderName, HeaderValue), Failure> {
        self.secret_header(AUTHORIZATION, format!("Bearer {}", secret.expose()))
    }

    /// [`EndpointClient::headers`], and the credential as `authorization: Bearer …` where there is one.
    ///
    /// # Errors
    /// Where the secret holds characters that no header may hold.
    pub fn bearer_headers(
        &self,
        accept: &'static str,
        prepared: &[(HeaderName, HeaderValue)],
        credential: Option<&Credential>,
    ) -> Result<Headers, Failure> {
        let mut headers = self.headers(accept, prepared);
        if let Some(credential) = credential.filter(|credential| !credential.secret.is_empty()) {
            headers.push(self.bearer(&credential.secret)?);
        }
        Ok(headers)
    }

    /// A header that holds a secret.
    ///
    /// # Errors
    /// Where the secret holds characters that no header may hold.
    pub fn secret_header(
        &self,
        name: HeaderName,
        text: String,
    ) -> Result<(HeaderName, HeaderValue), Failure> {
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            let message = format!(
                "{}: the API key holds characters that cannot be sent; check it for line breaks",
                self.name
            );
            Failure::new(FailureKind::Unauthorized, message)
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// Sends a turn and gives the stream of its events, which are still to come.
    ///
    /// # Errors
    /// What [`EndpointClient::open_stream`] says, as `classify` reads it, with what it teaches about the endpoint.
    pub async fn send(
        &self,
        prepared: &PreparedRequest,
        head: &RequestHead,
        reader: Box<dyn Reader>,
        classify: Classify,
    ) -> Result<TurnStream, OpenError> {
        let opened = self.open_stream(prepared.protocol, head, prepared.body.clone(), reader).await;
        opened.map_err(|error| match error {
            SendError::Failure(failure) => failure.into(),
            SendError::Response(response) => {
                let failure = classify(&self.error_context(&response, &prepared.model));
                self.open_error(failure, &response, prepared)
            }
        })
    }

    /// The same for a body that holds more than the turn, and for those who act on a refusal themselves.
    ///
    /// # Errors
    /// [`SendError::Failure`] where the endpoint did not answer, [`SendError::Response`] for a status other than 2xx.
    pub async fn open_stream(
        &self,
        protocol: WireProtocol,
        head: &RequestHead,
        body: Bytes,
        reader: Box<dyn Reader>,
    ) -> Result<TurnStream, SendError> {
        let response = self.post(head, body).await?;
        let quota = quota::readings(&response.headers, clock::unix_now());
        let stream = match protocol {
            WireProtocol::CommandCode => TurnStream::lines(response.body, reader, self.limits()),
            _ => TurnStream::detect(response.body, reader, self.limits()),
        };
        Ok(stream.with_quota(quota))
    }

    async fn post(&self, head: &RequestHead, body: Bytes) -> Result<HttpResponse, SendError> {
        let response = self.http.post(&head.url, &head.headers, body, self.first_byte).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        Err(SendError::Response(ErrorResponse::read(response).await))
    }

    /// Goes on with an answer that the provider pauses: each body is posted like the one before it.
    pub fn reopen(self: &Arc<Self>, head: RequestHead, model: String, classify: Classify) -> Reopen {
        let (client, request) = (Arc::clone(self), Arc::new((head, model)));
        Box::new(move |body: Bytes| {
            let (client, request) = (Arc::clone(&client), Arc::clone(&request));
            Box::pin(async move {
                let (head, model) = &*request;
                match client.post(head, body).await {
                    Ok(response) => Ok(response.body),
                    Err(SendError::Failure(failure)) => Err(failure),
                    Err(SendError::Response(response)) => {
                        Err(classify(&client.error_context(&response, model)))
                    }
                }
            })
        })
    }

    /// Sends a small request to an account service and reads its answer, whatever the status: POST with a body, GET without.
    ///
    /// # Errors
    /// Where nothing answered within `timeout`.
    pub async fn call(
        &self,
        url: &str,
        headers: &Headers,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let response = match body {
            Some(body) => self.http.post(url, headers, body, timeout).await?,
            None => self.http.get(url, headers, timeout).await?,
        };
        let status = response.status.as_u16();
        Ok((status, read_error_body(response.body, MAX_ACCOUNT_BODY, timeout).await))
    }

    /// A refusal with what is known of the request.
    pub fn error_context<'a>(&'a self, response: &'a ErrorResponse, model: &'a str) -> ErrorContext<'a> {
        ErrorContext::new(response.status, &response.body, &self.name, model)
            .with_retry_after(response.retry_after)
    }

    /// A classified refusal, and what it teaches about the endpoint.
    pub fn open_error(
        &self,
        failure: Failure,
        response: &ErrorResponse,
        prepared: &PreparedRequest,
    ) -> OpenError {
        let words = RefusalWords::of(&String::from_utf8_lossy(&response.body));
        let teaching = Teaching::of(failure.kind, Some(response.status), &words, prepared).map(Box::new);
        OpenError { failure, teaching, quota: response.quota.clone() }
    }

    /// How much and how long an answer may be.
    pub fn limits(&self) -> Limits {
        Limits { idle: self.idle, content: self.content, ..Limits::default() }
    }
}

impl ErrorResponse {
    async fn read(response: HttpResponse) -> Self {
        let status = response.status.as_u16();
        let header =
            response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let quota = quota::readings(&response.headers, clock::unix_now());
        let body = read_error_body(response.body, MAX_ERROR_BODY, ERROR_BODY_TIMEOUT).await;
        let body = surrogates::mend(&body).unwrap_or(body);
        let retry_after = errors::retry_after(header.as_deref(), &body, clock::unix_now());
        Self { status, body, retry_after, quota }
    }
}
