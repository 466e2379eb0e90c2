//! Answers that are not streams: JSON bodies, refusals, and the body type all answers share.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::inbound::client_protocol::{ClientProtocol, RefusalBody};
use crate::inbound::responses::error::HttpError;
use crate::turn::TurnBody;

/// The body of every answer.
pub enum Reply {
    /// All of it at once.
    Whole(Option<Bytes>),
    /// A turn that is still going on.
    Turn(Box<TurnBody>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Turn(turn) => turn.poll_bytes(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Turn(turn) => turn.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Turn(_) => SizeHint::default(),
        }
    }
}

/// A JSON answer.
pub fn json(status: u16, body: impl Into<Bytes>) -> Response<Reply> {
    let body: Bytes = body.into();
    let mut response = Response::new(Reply::Whole((!body.is_empty()).then_some(body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request that is turned away before a turn begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`.
    pub code: &'static str,
    /// `error.param`.
    pub param: Option<String>,
    /// `error.message`: what happened and what to do next.
    pub message: String,
    /// The methods a path takes, for 405.
    pub allow: Option<&'static str>,
    /// Seconds, for 503.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal without words yet.
    pub fn new(status: u16, kind: &'static str, code: &'static str) -> Self {
        Self { status, kind, code, param: None, message: String::new(), allow: None, retry_after: None }
    }

    /// A refusal of type `invalid_request_error`.
    pub fn invalid(status: u16, code: &'static str) -> Self {
        Self::new(status, "invalid_request_error", code)
    }

    /// Adds the words.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The answer, in the client's protocol. `request` is the name of the request in the log.
    pub fn into_response(self, front: ClientProtocol, request: &str) -> Response<Reply> {
        let allow = self.allow;
        let mut response = error_response(self.into_error(front, request));
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }

    /// The same as an error, for where there is no HTTP answer.
    pub fn into_error(self, front: ClientProtocol, request: &str) -> HttpError {
        let said = RefusalBody {
            status: self.status,
            kind: self.kind,
            code: self.code,
            param: self.param.as_deref(),
            message: &self.message,
        };
        HttpError { retry_after: self.retry_after, ..front.refusal(&said, request) }
    }
}

/// An error as an answer.
pub fn error_response(error: HttpError) -> Response<Reply> {
    let mut response = json(error.status, error.body);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
