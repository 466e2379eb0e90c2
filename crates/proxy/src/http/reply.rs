//! The body type that all responses share, and the responses that are no stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use latimer_protocol::failure::Again;

use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::rope::Rope;

/// A body that is made while it is sent. Dropping it ends the work behind it.
pub trait ByteStream: Send {
    /// The next bytes for the client; `None` once there are no more.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// True once the last byte was handed out.
    fn is_over(&self) -> bool;
}

/// The body of every response.
pub enum Reply {
    /// All of it at once; `None` once it was handed out, or when there is nothing.
    Whole(Option<Bytes>),
    /// All of it, in pieces that are not copied into one.
    Pieces(Rope),
    /// What is still being made, such as the answer to a turn.
    Stream(Box<dyn ByteStream>),
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
            Self::Pieces(rope) => Poll::Ready(rope.pop().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                stream.poll_bytes(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pieces(rope) => rope.is_empty(),
            Self::Stream(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces(rope) => SizeHint::with_exact(rope.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A response with a JSON body, or with none where `body` is empty. A `status` that HTTP does not have becomes 500.
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

/// The same with a body in pieces.
pub fn json_pieces(status: u16, body: Rope) -> Response<Reply> {
    json(status, Bytes::new()).map(|_| Reply::Pieces(body))
}

/// Read by the SDKs of OpenAI and Anthropic, which repeat a request by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error as a response, with `Retry-After` where it says when to come back.
pub fn error_response(error: HttpError) -> Response<Reply> {
    let mut response = json(error.status, error.body);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.again == Again::ByNobody {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

/// Stands beside the response to a request that was refused before a turn began, for whoever writes down what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// The HTTP status.
    pub status: u16,
    /// What the client was told.
    pub message: String,
}

impl RefusedRequest {
    /// What an error says, whatever the client's protocol: all of them have the words in the same place.
    pub fn of(error: &HttpError) -> Self {
        let body: serde_json::Value = serde_json::from_str(&error.body).unwrap_or_default();
        let message = body["error"]["message"].as_str().unwrap_or_default().to_owned();
        Self { status: error.status, message }
    }
}

/// An error before a turn began, as a response.
pub fn refused_response(error: HttpError) -> Response<Reply> {
    let refused = RefusedRequest::of(&error);
    let mut response = error_response(error);
    response.extensions_mut().insert(refused);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderMap;

    /// Hands out its pieces one by one.
    struct Pieces(Vec<&'static str>);

    impl ByteStream for Pieces {
        fn poll_bytes(&mut self, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
            Poll::Ready(self.0.pop().map(Bytes::from))
        }

        fn is_over(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn next(body: &mut Reply) -> Option<Bytes> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            _ => None,
        }
    }

    #[test]
    fn a_whole_body_knows_its_size_and_is_handed_out_once() {
        let mut body = json(200, "{}").into_body();
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(!body.is_end_stream());
        assert_eq!(next(&mut body).as_deref(), Some(&b"{}"[..]));
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body), None);
        assert!(json(204, "").into_body().is_end_stream(), "no body at all");
    }

    #[test]
    fn a_body_in_pieces_knows_its_size_and_ends_behind_the_last() {
        let mut rope = Rope::default();
        rope.push(&vec![b'x'; 100_000]);
        let mut body = json_pieces(200, rope).into_body();
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let mut sizes = Vec::new();
        while let Some(bytes) = next(&mut body) {
            sizes.push(bytes.len());
        }
        assert!(sizes.len() > 1 && sizes.iter().sum::<usize>() == 100_000, "{sizes:?}");
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_stream_ends_when_its_source_does() {
        let mut body = Reply::Stream(Box::new(Pieces(vec!["b", "a"])));
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(next(&mut body).as_deref(), Some(&b"a"[..]));
        assert!(!body.is_end_stream());
        assert_eq!(next(&mut body).as_deref(), Some(&b"b"[..]));
        assert!(body.is_end_stream());
    }

    #[test]
    fn an_error_says_when_to_come_back() {
        let error = |retry_after| HttpError {
            status: 503,
            retry_after,
            again: Again::default(),
            body: "{}".to_owned(),
        };
        let header = |headers: &HeaderMap| headers.get(RETRY_AFTER).cloned();
        let response = error_response(error(Some(7)));
        assert_eq!(response.status(), 503);
        assert_eq!(header(response.headers()), Some(HeaderValue::from_static("7")));
        assert_eq!(header(error_response(error(None)).headers()), None);
        assert!(!response.headers().contains_key(SHOULD_RETRY));
        let spent = error_response(HttpError { again: Again::ByNobody, ..error(None) });
        assert_eq!(spent.headers()[SHOULD_RETRY], "false");
    }
}
