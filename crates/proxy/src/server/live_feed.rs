//! Those who listen to what happens: they share one text, the newest one. A listener that does not read costs nothing but its place.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Future;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::{Notify, watch};

use crate::http::reply::{ByteStream, Reply};

/// The longest silence: a listener that hears nothing for longer knows that the connection is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The newest event, for everyone who listens.
#[derive(Debug)]
pub(super) struct LiveFeed {
    event: watch::Sender<Bytes>,
    /// Somebody new listens.
    joined: Notify,
}

impl Default for LiveFeed {
    fn default() -> Self {
        Self { event: watch::Sender::new(Bytes::new()), joined: Notify::new() }
    }
}

impl LiveFeed {
    /// Whether anybody listens.
    pub(super) fn has_listeners(&self) -> bool {
        self.event.receiver_count() > 0
    }

    /// Waits for somebody new who listens.
    pub(super) async fn joined(&self) {
        self.joined.notified().await;
    }

    /// Tells everyone who listens. The text is one line.
    pub(super) fn send(&self, text: &str) {
        self.event.send_replace(format!("event: live\ndata: {text}\n\n").into());
    }

    /// The events for one more listener, from the state of this moment on.
    pub(super) fn listen(&self) -> LiveStream {
        let stream = LiveStream::new(self.event.subscribe());
        self.joined.notify_one();
        stream
    }

    /// A stream of events, which begins with the state of this moment.
    pub(super) fn subscribe(&self) -> Response<Reply> {
        let mut response = Response::new(Reply::Stream(Box::new(self.listen())));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

type NextEvent = Pin<Box<dyn Future<Output = Option<(Bytes, watch::Receiver<Bytes>)>> + Send>>;

/// The events for one listener.
pub(super) struct LiveStream {
    /// `None` once the proxy is gone.
    next: Option<NextEvent>,
}

impl LiveStream {
    fn new(events: watch::Receiver<Bytes>) -> Self {
        Self { next: Some(next(events)) }
    }
}

/// The next event, or a sign of life.
fn next(mut events: watch::Receiver<Bytes>) -> NextEvent {
    Box::pin(async move {
        match tokio::time::timeout(KEEP_ALIVE, events.changed()).await {
            Ok(Ok(())) => {
                let event = events.borrow_and_update().clone();
                Some((event, events))
            }
            Ok(Err(_)) => None,
            Err(_elapsed) => Some((Bytes::from_static(b": still here\n\n"), events)),
        }
    })
}

impl ByteStream for LiveStream {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(waiting) = &mut self.next else { return Poll::Ready(None) };
        let event = ready!(waiting.as_mut().poll(cx));
        let (bytes, events) = match event {
            Some((bytes, events)) => (Some(bytes), Some(events)),
            None => (None, None),
        };
        self.next = events.map(next);
        Poll::Ready(bytes)
    }

    fn is_over(&self) -> bool {
        self.next.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn event(stream: &mut LiveStream) -> Option<String> {
        let bytes = std::future::poll_fn(|cx| stream.poll_bytes(cx)).await?;
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_hears_the_newest_or_that_somebody_is_there() {
        let feed = LiveFeed::default();
        assert!(!feed.has_listeners());
        let mut stream = feed.listen();
        feed.joined().await;
        assert!(feed.has_listeners());
        feed.send("1");
        feed.send("2");
        assert_eq!(event(&mut stream).await.as_deref(), Some("event: live\ndata: 2\n\n"));
        assert_eq!(event(&mut stream).await.as_deref(), Some(": still here\n\n"));
        drop(feed);
        assert_eq!(event(&mut stream).await, None);
        assert!(stream.is_over());
    }
}
