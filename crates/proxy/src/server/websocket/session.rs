//! One connection: what it hears, what it says, and when it ends.
//!
//! Like a turn, a session is not a net of tasks: it is polled, and polls the turn of the moment. The turn is only asked for
//! more once the socket took everything that it gave, so backpressure reaches the provider; and a client that leaves ends the
//! session, which drops the turn.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::inbound::responses::socket::message::{self, Create};
use crate::inbound::responses::socket::payloads::Payloads;
use crate::inbound::wire::http_error::HttpError;
use crate::turn::TurnBody;

/// Requests that may wait for the one before them.
const MOST_WAITING: usize = 8;
/// How long a client may take to take its leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// A turn being made ready, up to its first event.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Box<TurnBody>, HttpError>> + Send>>;

/// Makes turns of requests.
pub(super) trait Host {
    /// Begins a turn. Nothing is sent before the first poll.
    fn begin(&self, create: Create) -> Opening;
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// From one ping to the next.
    pub(super) ping: Duration,
    /// How long a ping may go unanswered.
    pub(super) silence: Duration,
    /// After this no request is begun any more.
    pub(super) life: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            life: Duration::from_secs(60 * 60),
        }
    }
}

/// One connection.
pub(super) struct Session<S, H> {
    socket: WebSocketStream<S>,
    host: H,
    times: Times,
    /// Requests so far.
    requests: u64,
    /// The most bytes of requests that may wait.
    limit: usize,
    waiting: VecDeque<Asked>,
    work: Work,
    /// Messages that the socket has not taken yet.
    out: VecDeque<Message>,
    /// The socket took messages that may not have left yet.
    unsent: bool,
    pings: Interval,
    /// Since when a ping is unanswered.
    unanswered: Option<Instant>,
    life: Pin<Box<Sleep>>,
    leave: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_old: bool,
    is_leaving: bool,
    /// The last message is on its way.
    ending: Option<End>,
}

/// What a message asked for.
enum Asked {
    Create(Create),
    /// It cannot be understood; told when it is its turn, so that no other request's answer seems to be meant.
    Nonsense(HttpError),
}

enum Work {
    Idle,
    Opening(Opening),
    Turn(Box<TurnBody>),
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client is not there any more.
    Gone,
    /// The client took its leave.
    Left,
    /// We take ours.
    Close(CloseCode, &'static str),
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Host> Session<S, H> {
    /// A session over a socket whose handshake is done. `limit` bounds the bytes of requests that wait, `leave` fires when the
    /// server stops.
    pub(super) fn new(
        socket: WebSocketStream<S>,
        host: H,
        times: Times,
        limit: usize,
        leave: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Self {
        let mut pings = tokio::time::interval_at(Instant::now() + times.ping, times.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket,
            host,
            times,
            requests: 0,
            limit,
            waiting: VecDeque::new(),
            work: Work::Idle,
            out: VecDeque::new(),
            unsent: false,
            pings,
            unanswered: None,
            life: Box::pin(tokio::time::sleep(times.life)),
            leave,
            is_old: false,
            is_leaving: false,
            ending: None,
        }
    }

    /// Serves the connection; returns how it ended and how many requests it carried, for the log.
    pub(super) async fn run(mut self) -> (&'static str, u64) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        // Before anything else: nobody reads the answer any more.
        self.work = Work::Idle;
        let end = match end {
            End::Gone => "gone",
            End::Left => {
                let _ = tokio::time::timeout(GOODBYE, self.socket.flush()).await;
                "left"
            }
            End::Close(code, reason) => {
                let _ = tokio::time::timeout(GOODBYE, self.close(code, reason)).await;
                reason
            }
        };
        (end, self.requests)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while let Poll::Ready(heard) = self.socket.poll_next_unpin(cx) {
            if let Some(end) = self.hear(heard) {
                return Poll::Ready(end);
            }
        }
        while self.pings.poll_tick(cx).is_ready() {
            let since = *self.unanswered.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.times.silence {
                return Poll::Ready(End::Close(CloseCode::Error, "pings were not answered"));
            }
            self.out.push_back(Message::Ping(Bytes::new()));
        }
        self.is_old = self.is_old || self.life.as_mut().poll(cx).is_ready();
        self.is_leaving = self.is_leaving || self.leave.as_mut().poll(cx).is_ready();
        self.speak(cx)
    }

    /// Takes one message in.
    fn hear(&mut self, heard: Option<Result<Message, Error>>) -> Option<End> {
        self.unanswered = None;
        match heard {
            None => Some(End::Gone),
            Some(Ok(Message::Text(text))) => self.asked(&text),
            Some(Ok(Message::Binary(_))) => {
                Some(End::Close(CloseCode::Unsupported, "messages should be text"))
            }
            Some(Ok(Message::Close(_))) => Some(End::Left),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Err(Error::Capacity(_))) => {
                Some(End::Close(CloseCode::Size, "a message is larger than server.body_limit"))
            }
            Some(Err(Error::Utf8(_))) => Some(End::Close(CloseCode::Invalid, "a message is not UTF-8")),
            Some(Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                Some(End::Gone)
            }
            Some(Err(_)) => Some(End::Close(CloseCode::Protocol, "a frame breaks the protocol")),
        }
    }

    fn asked(&mut self, text: &Utf8Bytes) -> Option<End> {
        let asked = match message::read(text) {
            Ok(message::Message::Create(create)) => Asked::Create(create),
            Ok(message::Message::Processed) => return None,
            Err(error) => Asked::Nonsense(error.into()),
        };
        self.waiting.push_back(asked);
        let bytes: usize = self.waiting.iter().map(Asked::bytes).sum();
        let too_many = self.waiting.len() > MOST_WAITING || (self.waiting.len() > 1 && bytes > self.limit);
        too_many.then_some(End::Close(CloseCode::Policy, "too many requests wait on this connection"))
    }

    /// Hands out what there is to say. Only when the socket took it all, there may be more.
    fn speak(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Err(error) = ready!(self.poll_send(cx)) {
                tracing::debug!(event = "websocket.broken", error = %error);
                return Poll::Ready(End::Gone);
            }
            if let Some(end) = self.ending {
                return Poll::Ready(end);
            }
            match &mut self.work {
                Work::Idle => match self.waiting.pop_front() {
                    _ if self.is_old => {
                        let minutes = self.times.life.as_secs() / 60;
                        self.say(message::limit_reached(minutes));
                        self.ending =
                            Some(End::Close(CloseCode::Normal, "the connection has lasted long enough"));
                    }
                    Some(Asked::Create(create)) => {
                        self.requests += 1;
                        self.work = Work::Opening(self.host.begin(create));
                    }
                    Some(Asked::Nonsense(error)) => self.say(message::refusal(&error)),
                    None if self.is_leaving => {
                        return Poll::Ready(End::Close(CloseCode::Away, "latimer is stopping"));
                    }
                    None => return Poll::Pending,
                },
                Work::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(turn) => self.work = Work::Turn(turn),
                    Err(error) => {
                        self.work = Work::Idle;
                        self.say(message::refusal(&error));
                    }
                },
                Work::Turn(turn) => match ready!(turn.poll_bytes(cx)) {
                    Some(frames) => self.out.extend(Payloads::new(frames).filter_map(text)),
                    None => self.work = Work::Idle,
                },
            }
        }
    }

    fn say(&mut self, text: String) {
        self.out.push_back(Message::Text(text.into()));
    }

    /// Ready once everything has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.out.is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            if let Some(message) = self.out.pop_front() {
                self.socket.start_send_unpin(message)?;
                self.unsent = true;
            }
        }
        if self.unsent {
            ready!(self.socket.poll_flush_unpin(cx))?;
            self.unsent = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes leave. A socket that is closed with something unread resets, and the client never sees why: so what still comes
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

impl Asked {
    fn bytes(&self) -> usize {
        match self {
            Self::Create(create) => create.body.len(),
            Self::Nonsense(_) => 0,
        }
    }
}

/// A payload as a message. Writers write text, so that nothing is lost here.
fn text(payload: bytes::Bytes) -> Option<Message> {
    Utf8Bytes::try_from(payload).ok().map(Message::Text)
}

#[cfg(test)]
mod tests;
