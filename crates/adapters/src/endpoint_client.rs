//! What every HTTP upstream has: where it is, how patient to be, its own connections, and what its refusals mean.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::secret::Secret;

use crate::drive::Limits;
use crate::errors;
use crate::limitation::{self, Limitation};
use crate::prepared_request::PreparedRequest;
use crate::transport::http::{Http, HttpResponse};
use crate::transport::read_error_body;

/// The most of an error body that is read.
const ERROR_BODY: usize = 64 * 1024;
/// How long an error body may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// The most of a small answer of a provider's account service that is read.
const SMALL_BODY: usize = 4 << 20;

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
    /// The connection pool of this endpoint alone.
    pub http: Http,
}

/// Why an upstream did not take a turn, and what that teaches.
#[derive(Debug)]
pub struct OpenError {
    /// For routing, the client and the log.
    pub failure: Failure,
    /// What to leave out next time; `None` for most refusals.
    pub limitation: Option<Limitation>,
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self { failure, limitation: None }
    }
}

/// A refusal with its body read.
#[derive(Debug)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body's first 64 kB.
    pub body: Vec<u8>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
}

/// The headers of a JSON request.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

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
    pub fn bearer(&self, secret: &Secret) -> Result<(HeaderName, HeaderValue), Failure> {
        self.secret_header(AUTHORIZATION, format!("Bearer {}", secret.expose()))
    }

    /// A header that holds a secret.
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
            Failure::new(Kind::Unauthorized, message)
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// Sends a turn. A status other than 2xx is a refusal.
    pub async fn post(
        &self,
        url: &str,
        headers: &Headers,
        body: Bytes,
    ) -> Result<Result<HttpResponse, ErrorResponse>, Failure> {
        let answer = self.http.post(url, headers, body, self.first_byte).await?;
        if answer.status.is_success() { Ok(Ok(answer)) } else { Ok(Err(ErrorResponse::read(answer).await)) }
    }

    /// Sends a small request of an account service and reads its JSON, whatever the status.
    pub async fn call(
        &self,
        url: &str,
        headers: &Headers,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let answer = match body {
            Some(body) => self.http.post(url, headers, body, timeout).await?,
            None => self.http.get(url, headers, timeout).await?,
        };
        let status = answer.status.as_u16();
        Ok((status, read_error_body(answer.body, SMALL_BODY, timeout).await))
    }

    /// What a refusal means, in the common wordings.
    pub fn refused(&self, refusal: &ErrorResponse, prepared: &PreparedRequest) -> OpenError {
        let failure =
            errors::classify(refusal.status, refusal.retry_after, &refusal.body, &self.name, &prepared.model);
        self.with_limitation(failure, refusal, prepared)
    }

    /// A classified refusal, and what it teaches.
    pub fn with_limitation(
        &self,
        failure: Failure,
        refusal: &ErrorResponse,
        prepared: &PreparedRequest,
    ) -> OpenError {
        let said = errors::said(&refusal.body);
        let teaches = failure.kind == Kind::BadRequest || failure.kind == Kind::ModelNotFound;
        let limitation =
            if teaches { limitation::learn(refusal.status, &said, prepared.features) } else { None };
        OpenError { failure, limitation }
    }

    /// How much and how long an answer may be.
    pub fn limits(&self) -> Limits {
        Limits { idle: self.idle, ..Limits::default() }
    }
}

impl ErrorResponse {
    /// Reads the body of an answer that is none.
    pub async fn read(answer: HttpResponse) -> Self {
        let status = answer.status.as_u16();
        let header = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = read_error_body(answer.body, ERROR_BODY, ERROR_BODY_TIME).await;
        let retry_after = errors::retry_after(header.as_deref(), &body, unix_now());
        Self { status, body, retry_after }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
