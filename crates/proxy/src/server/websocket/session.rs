//! One connection: what it receives, what it sends, and when it ends.
//!
//! Like a turn, a session is not a net of tasks: it is polled, and polls the turn of the moment. The turn is only asked for
//! more once the socket took everything that it gave, so backpressure reaches the provider; and a client that leaves ends the
//! session, which drops the turn.
//!
//! Invariant: one request is answered at a time, in the order in which they came.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use latimer_protocol::surrogates;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::inbound::responses::socket::message::{self, ResponseCreate};
use crate::inbound::responses::socket::payloads::{PayloadPart, PayloadSplitter};
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::openai_error::bad_request;
use crate::turn::TurnBody;

/// Requests that may wait for the one before them.
const MAX_WAITING: usize = 8;
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A turn on its way to its first event.
pub(super) type PendingTurn = Pin<Box<dyn Future<Output = Result<Box<TurnBody>, HttpError>> + Send>>;

/// Starts turns for requests.
pub(super) trait StartTurn {
    /// Starts a turn. Nothing is sent upstream before the first poll.
    fn start(&self, create: ResponseCreate) -> PendingTurn;
}

/// When a session pings, how long it waits for an answer, and how old it may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionTimes {
    /// From one ping to the next.
    pub(super) ping_interval: Duration,
    /// How long a ping may go unanswered.
    pub(super) pong_timeout: Duration,
    /// After this no request is begun any more.
    pub(super) max_age: Duration,
}

impl Default for SessionTimes {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(60),
            max_age: Duration::from_secs(60 * 60),
        }
    }
}

/// One connection.
pub(super) struct Session<S, T> {
    socket: WebSocketStream<S>,
    turns: T,
    times: SessionTimes,
    /// Requests so far.
    requests: u64,
    /// The most bytes of requests that may wait.
    limit: usize,
    waiting: VecDeque<QueuedRequest>,
    current: Current,
    /// Takes the turn's events out of their frames.
    payloads: PayloadSplitter,
    /// Messages that the socket has not taken yet.
    outgoing: VecDeque<Message>,
    /// The socket took messages that may not have left yet.
    needs_flush: bool,
    pings: Interval,
    /// Since when a ping is unanswered.
    unanswered: Option<Instant>,
    max_age: Pin<Box<Sleep>>,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    admission: Admission,
    /// How the session ends once its last message has left.
    ending: Option<SessionEnd>,
}

/// A request that waits for the one before it.
enum QueuedRequest {
    Create(ResponseCreate),
    /// It cannot be understood; told when it is its turn, so that no other request's answer seems to be meant.
    Invalid(HttpError),
}

/// What the session does for a request.
enum Current {
    Idle,
    Starting(PendingTurn),
    Streaming(Box<TurnBody>),
}

/// Which requests are still taken. Only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Admission {
    /// All that come.
    Open,
    /// Those that came before the session is idle: the server stops.
    UntilIdle,
    /// None: the session has reached its age.
    Closed,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionEnd {
    /// The connection broke, or the client left without a close frame.
    Gone,
    /// The client closed it.
    ClosedByClient,
    /// We close it, with this reason.
    Close(CloseCode, &'static str),
}

impl<S: AsyncRead + AsyncWrite + Unpin, T: StartTurn> Session<S, T> {
    /// A session over a socket whose handshake is done. `limit` bounds the bytes of requests that wait, `stopping` fires when the
    /// server stops.
    pub(super) fn new(
        socket: WebSocketStream<S>,
        turns: T,
        times: SessionTimes,
        limit: usize,
        stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Self {
        let mut pings = tokio::time::interval_at(Instant::now() + times.ping_interval, times.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket,
            turns,
            times,
            requests: 0,
            limit,
            waiting: VecDeque::new(),
            current: Current::Idle,
            payloads: PayloadSplitter::default(),
            outgoing: VecDeque::new(),
            needs_flush: false,
            pings,
            unanswered: None,
            max_age: Box::pin(tokio::time::sleep(times.max_age)),
            stopping,
            admission: Admission::Open,
            ending: None,
        }
    }

    /// Serves the connection; returns how it ended and how many requests it carried, for the log.
    pub(super) async fn run(mut self) -> (&'static str, u64) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        // Before anything else: nobody reads the answer any more.
        self.current = Current::Idle;
        let end = match end {
            SessionEnd::Gone => "gone",
            SessionEnd::ClosedByClient => {
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.socket.flush()).await;
                "left"
            }
            SessionEnd::Close(code, reason) => {
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.close(code, reason)).await;
                reason
            }
        };
        (end, self.requests)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        while let Poll::Ready(received) = self.socket.poll_next_unpin(cx) {
            if let Some(end) = self.receive(received) {
                return Poll::Ready(end);
            }
        }
        while self.pings.poll_tick(cx).is_ready() {
            let since = *self.unanswered.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.times.pong_timeout {
                return Poll::Ready(SessionEnd::Close(CloseCode::Error, "pings were not answered"));
            }
            self.outgoing.push_back(Message::Ping(Bytes::new()));
        }
        self.admission = self.admission.max(self.poll_admission(cx));
        self.poll_answers(cx)
    }

    /// Asks only the clocks that can still change something: what has fired is not polled again.
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> Admission {
        if self.admission == Admission::Closed || self.max_age.as_mut().poll(cx).is_ready() {
            return Admission::Closed;
        }
        let is_stopping =
            self.admission == Admission::UntilIdle || self.stopping.as_mut().poll(cx).is_ready();
        if is_stopping { Admission::UntilIdle } else { Admission::Open }
    }

    /// Takes one message in.
    fn receive(&mut self, received: Option<Result<Message, Error>>) -> Option<SessionEnd> {
        self.unanswered = None;
        match received {
            None => Some(SessionEnd::Gone),
            Some(Ok(Message::Text(text))) => self.enqueue(&text),
            Some(Ok(Message::Binary(_))) => {
                Some(SessionEnd::Close(CloseCode::Unsupported, "messages should be text"))
            }
            Some(Ok(Message::Close(_))) => Some(SessionEnd::ClosedByClient),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Err(Error::Capacity(_))) => {
                Some(SessionEnd::Close(CloseCode::Size, "a message is larger than server.body_limit"))
            }
            Some(Err(Error::Utf8(_))) => {
                Some(SessionEnd::Close(CloseCode::Invalid, "a message is not UTF-8"))
            }
            Some(Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                Some(SessionEnd::Gone)
            }
            Some(Err(_)) => Some(SessionEnd::Close(CloseCode::Protocol, "a frame breaks the protocol")),
        }
    }

    /// Puts a request behind those that wait.
    fn enqueue(&mut self, text: &Utf8Bytes) -> Option<SessionEnd> {
        let request = match message::read(&surrogates::mend_text(text)) {
            Ok(message::ClientMessage::Create(create)) => QueuedRequest::Create(create),
            Ok(message::ClientMessage::Processed) => return None,
            Err(error) => QueuedRequest::Invalid(bad_request(&error)),
        };
        self.waiting.push_back(request);
        let bytes: usize = self.waiting.iter().map(QueuedRequest::bytes).sum();
        let too_many = self.waiting.len() > MAX_WAITING || (self.waiting.len() > 1 && bytes > self.limit);
        too_many.then_some(SessionEnd::Close(CloseCode::Policy, "too many requests wait on this connection"))
    }

    /// Sends what there is to send, and works on the next request. Only when the socket took it all, there may be more.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        loop {
            if let Err(error) = ready!(self.poll_send(cx)) {
                tracing::debug!(event = "websocket.broken", error = %error);
                return Poll::Ready(SessionEnd::Gone);
            }
            if let Some(end) = self.ending {
                return Poll::Ready(end);
            }
            match &mut self.current {
                Current::Idle => match self.waiting.pop_front() {
                    _ if self.admission == Admission::Closed => {
                        let minutes = self.times.max_age.as_secs() / 60;
                        self.push(message::limit_reached(minutes));
                        self.ending = Some(SessionEnd::Close(
                            CloseCode::Normal,
                            "the connection has lasted long enough",
                        ));
                    }
                    Some(QueuedRequest::Create(create)) => {
                        self.requests += 1;
                        self.current = Current::Starting(self.turns.start(create));
                    }
                    Some(QueuedRequest::Invalid(error)) => self.push(message::refusal(&error)),
                    None if self.admission == Admission::UntilIdle => {
                        return Poll::Ready(SessionEnd::Close(CloseCode::Away, "latimer is stopping"));
                    }
                    None => return Poll::Pending,
                },
                Current::Starting(pending) => match ready!(pending.as_mut().poll(cx)) {
                    Ok(turn) => self.current = Current::Streaming(turn),
                    Err(error) => {
                        self.current = Current::Idle;
                        self.push(message::refusal(&error));
                    }
                },
                Current::Streaming(turn) => match ready!(turn.poll_bytes(cx)) {
                    Some(frames) => self.outgoing.extend(self.payloads.split(frames).filter_map(message)),
                    None => self.current = Current::Idle,
                },
            }
        }
    }

    fn push(&mut self, text: String) {
        self.outgoing.push_back(Message::Text(text.into()));
    }

    /// Ready once everything has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.outgoing.is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            if let Some(message) = self.outgoing.pop_front() {
                self.socket.start_send_unpin(message)?;
                self.needs_flush = true;
            }
        }
        if self.needs_flush {
            ready!(self.socket.poll_flush_unpin(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the connection with a reason. A socket that is closed with something unread resets, and the client never sees why: so what still comes
    /// is read to its end.
    async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        if self.socket.close(Some(frame)).await.is_err() {
            return;
        }
        let mut answered = false;
        while let Some(Ok(message)) = self.socket.next().await {
            answered |= message.is_close();
        }
        let mut rest = [0; 4096];
        while !answered && matches!(self.socket.get_mut().read(&mut rest).await, Ok(1..)) {}
    }
}

impl QueuedRequest {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(create) => create.body.len(),
            Self::Invalid(_) => 0,
        }
    }
}

/// A payload as a message, or as the frames of one where it comes in parts. Writers write text, so that nothing is lost here.
fn message(part: PayloadPart) -> Option<Message> {
    let PayloadPart { bytes, begins, ends } = part;
    if begins && ends {
        return Utf8Bytes::try_from(bytes).ok().map(Message::Text);
    }
    let kind = if begins { Data::Text } else { Data::Continue };
    Some(Message::Frame(Frame::message(bytes, OpCode::Data(kind), ends)))
}

#[cfg(test)]
mod tests;
