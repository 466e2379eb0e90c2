//! The bytes of an answer as they arrive.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body as _, Incoming};
use latimer_protocol::failure::Failure;

use super::cause;
use super::inflate::Inflate;

/// How long the rest of a finished answer may take before its connection is given up.
const LINGER_TIMEOUT: Duration = Duration::from_millis(250);
/// How many bytes such a rest may have.
const MAX_LINGER_BYTES: usize = 16 * 1024;

enum Source {
    Wire { incoming: Incoming, host: Arc<str> },
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>),
    Over,
}

/// The decoded body of an answer. Dropping it cancels the request; over HTTP/1 that closes the connection.
pub struct Body {
    source: Source,
    inflate: Option<Box<Inflate>>,
}

impl Body {
    pub(super) fn wire(incoming: Incoming, inflate: Option<Inflate>, host: Arc<str>) -> Self {
        Self { source: Source::Wire { incoming, host }, inflate: inflate.map(Box::new) }
    }

    /// A body that does not come from a socket.
    pub fn from_stream(stream: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static) -> Self {
        Self { source: Source::Stream(Box::pin(stream)), inflate: None }
    }

    /// The next decoded chunk, `None` after a clean end. After an error or the end there is nothing more.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            if let Some(piece) = self.inflate.as_mut().and_then(|inflate| inflate.next()) {
                if piece.is_err() {
                    self.source = Source::Over;
                    self.inflate = None;
                }
                return Poll::Ready(Some(piece));
            }
            match std::task::ready!(self.poll_source(cx)) {
                Some(Ok(chunk)) => match &mut self.inflate {
                    Some(inflate) => inflate.feed(chunk),
                    None => return Poll::Ready(Some(Ok(chunk))),
                },
                Some(Err(failure)) => {
                    self.source = Source::Over;
                    self.inflate = None;
                    return Poll::Ready(Some(Err(failure)));
                }
                None => {
                    self.source = Source::Over;
                    return Poll::Ready(self.inflate.take().and_then(|mut inflate| inflate.finish()));
                }
            }
        }
    }

    /// [`Body::poll_chunk`] as a future.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Failure>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Lets go of an answer that is complete for its reader but perhaps not on the wire: many servers send the last
    /// chunk of the framing a moment after the last event, and dropping the body before it arrives would cost the next
    /// turn a new connection.
    pub(crate) fn release(mut self, cx: &mut Context<'_>) {
        if !matches!(self.source, Source::Wire { .. }) || !matches!(self.poll_source(cx), Poll::Pending) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let rest = async {
                    let mut left = MAX_LINGER_BYTES;
                    while let Some(Ok(chunk)) = poll_fn(|cx| self.poll_source(cx)).await {
                        left = left.saturating_sub(chunk.len());
                        if left == 0 {
                            break;
                        }
                    }
                };
                let _ = tokio::time::timeout(LINGER_TIMEOUT, rest).await;
            });
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        match &mut self.source {
            Source::Wire { incoming, host } => loop {
                match std::task::ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        // Trailers say nothing a reader wants to know.
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(cause::of_body(&error, host)))),
                    None => return Poll::Ready(None),
                }
            },
            Source::Stream(stream) => stream.as_mut().poll_next(cx),
            Source::Over => Poll::Ready(None),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("compressed", &self.inflate.is_some()).finish_non_exhaustive()
    }
}

/// What an error answer says, up to `limit` bytes and `timeout`; a body that breaks gives what had arrived.
pub async fn read_error_body(mut body: Body, limit: usize, timeout: Duration) -> Vec<u8> {
    let mut text = Vec::new();
    let read = async {
        while let Some(Ok(chunk)) = body.chunk().await {
            let room = limit - text.len();
            text.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if text.len() >= limit {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(timeout, read).await;
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};

    #[tokio::test(start_paused = true)]
    async fn an_error_body_is_bounded_in_size_and_time() {
        let endless = || stream::repeat_with(|| Ok(Bytes::from_static(b"0123456789")));
        assert_eq!(read_error_body(Body::from_stream(endless()), 25, Duration::from_secs(1)).await.len(), 25);
        let silent = endless().take(2).chain(stream::pending());
        let text = read_error_body(Body::from_stream(silent), 100, Duration::from_secs(1)).await;
        assert_eq!(text.len(), 20);
    }
}
