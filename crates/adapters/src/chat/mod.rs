//! Chat Completions upstreams: headers, URL, credentials. The protocol itself is in [`request`] and [`stream`].

mod calls;
pub mod errors;
mod pairing;
pub mod quirks;
pub mod request;
pub mod stream;
mod think;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::secret::Secret;
use latimer_protocol::turn::TurnRequest;

use self::quirks::Quirks;
use crate::drive::{Limits, TurnStream};
use crate::transport::http::{Answer, Http};
use crate::transport::read_error_body;

/// The most of an error body that is read.
const ERROR_BODY: usize = 64 * 1024;
/// How long an error body may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

/// One Chat Completions endpoint.
pub struct Chat {
    /// The endpoint's name, for messages.
    pub name: String,
    /// `https://host/v1`, without `/chat/completions`.
    pub base_url: String,
    /// What the provider does differently.
    pub quirks: Quirks,
    /// Extra headers, sent as they are.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who owns opaque state made here: the preset's name, or the host.
    pub provider: String,
    /// From the request to the response headers.
    pub first_byte: Duration,
    /// Silence between two reads of the body.
    pub idle: Duration,
    /// The connection pool of this endpoint alone.
    pub http: Http,
}

/// A turn in the provider's words, ready to be sent as often as needed.
#[derive(Clone)]
pub struct Prepared {
    /// Lowered things a log should show.
    pub notes: Vec<String>,
    body: Bytes,
    model: String,
    owner: String,
    session: Option<(HeaderName, HeaderValue)>,
    names: request::Names,
}

impl Prepared {
    /// Bytes that go to the provider.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The same turn, after the model said one thing and was answered another.
    pub fn with_exchange(&self, said: &str, answer: &str) -> Option<Self> {
        let body = request::with_exchange(&self.body, said, answer)?.into();
        Some(Self { body, ..self.clone() })
    }
}

impl Chat {
    /// Translates the turn once, for all attempts.
    pub fn prepare(&self, turn: &TurnRequest) -> Prepared {
        let owner = format!("{}/{}", self.provider, turn.model);
        let written = request::write(turn, &self.quirks, &owner);
        let session =
            self.quirks.session_header.zip(turn.conversation.as_deref()).and_then(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            });
        Prepared {
            notes: written.notes,
            body: written.body.into(),
            model: turn.model.clone(),
            owner,
            session,
            names: written.names,
        }
    }

    /// Sends the turn. Returns once the provider accepted it; its events are still to come.
    pub async fn open(&self, prepared: &Prepared, key: Option<&Secret>) -> Result<TurnStream, Failure> {
        let url = format!("{}/chat/completions", self.base_url);
        let headers = self.request_headers(prepared, key)?;
        let answer = self.http.post(&url, &headers, prepared.body.clone(), self.first_byte).await?;
        if !answer.status.is_success() {
            return Err(self.refused(answer, &prepared.model).await);
        }
        let reader = stream::Reader::new(stream::ReaderOptions {
            owner: prepared.owner.clone(),
            names: prepared.names.clone(),
            endpoint: self.name.clone(),
            model: prepared.model.clone(),
        });
        let limits = Limits { idle: self.idle, ..Limits::default() };
        Ok(TurnStream::detect(answer.body, Box::new(reader), limits))
    }

    fn request_headers(
        &self,
        prepared: &Prepared,
        key: Option<&Secret>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("text/event-stream")),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        if !self.headers.iter().any(|(name, _)| *name == USER_AGENT) {
            headers
                .push((USER_AGENT, HeaderValue::from_static(concat!("latimer/", env!("CARGO_PKG_VERSION")))));
        }
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|_| {
                let message = format!(
                    "{}: the API key holds characters that cannot be sent; check it for line breaks",
                    self.name
                );
                Failure::new(Kind::Unauthorized, message)
            })?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        headers.extend(prepared.session.clone());
        headers.extend(self.headers.iter().cloned());
        Ok(headers)
    }

    async fn refused(&self, answer: Answer, model: &str) -> Failure {
        let status = answer.status.as_u16();
        let header = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = read_error_body(answer.body, ERROR_BODY, ERROR_BODY_TIME).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let retry_after = errors::retry_after(header.as_deref(), &body, now);
        errors::classify(status, retry_after, &body, &self.name, model)
    }
}
