//! The rules of a session that are about time, with a clock of the tests' own.

use std::future::{pending, ready};

use latimer_protocol::failure::Again;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// Answers each request with an error, or never.
struct ScriptedTurns {
    answers: bool,
}

impl StartTurn for ScriptedTurns {
    fn start(&self, _: ResponseCreate) -> PendingTurn {
        if self.answers {
            let body = "{\"error\":{\"code\":\"refused_here\"}}".to_owned();
            Box::pin(ready(Err(HttpError { status: 400, retry_after: None, again: Again::default(), body })))
        } else {
            Box::pin(pending())
        }
    }
}

const CREATE: &str = "{\"type\":\"response.create\"}";

type Client = WebSocketStream<DuplexStream>;

/// A session under way, and its client.
async fn session(answers: bool) -> (JoinHandle<(&'static str, u64)>, Client) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
    let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    let session = Session::new(
        server,
        ScriptedTurns { answers },
        SessionTimes::default(),
        1 << 20,
        Box::pin(pending::<()>()),
    );
    (tokio::spawn(session.run()), client)
}

async fn next(client: &mut Client) -> Message {
    client.next().await.expect("not over").expect("no error")
}

fn code(message: &Message) -> Option<String> {
    let Message::Text(text) = message else { return None };
    let event: Value = serde_json::from_str(text).expect("JSON");
    event["error"]["code"].as_str().map(str::to_owned)
}

fn close_code(message: &Message) -> Option<CloseCode> {
    if let Message::Close(Some(frame)) = message { Some(frame.code) } else { None }
}

#[tokio::test(start_paused = true)]
async fn a_ping_comes_every_half_minute() {
    let (_session, mut client) = session(true).await;
    let begun = Instant::now();
    for number in 1..=5 {
        // The library answers each ping as it is read.
        assert!(next(&mut client).await.is_ping());
        assert_eq!(begun.elapsed().as_secs(), 30 * number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_let_go() {
    let (session, client) = session(true).await;
    let begun = Instant::now();
    let (end, _) = session.await.expect("no panic");
    assert_eq!(end, "pings were not answered");
    // The first ping, a minute without an answer, and a moment to say goodbye.
    let ended = begun.elapsed();
    assert!((90..=92).contains(&ended.as_secs()), "{ended:?}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_the_connection_says_so_and_closes() {
    let (session, mut client) = session(true).await;
    let begun = Instant::now();
    client.send(Message::text(CREATE)).await.expect("sent");
    assert_eq!(code(&next(&mut client).await).as_deref(), Some("refused_here"));
    let last = loop {
        match next(&mut client).await {
            Message::Ping(_) => {}
            message => break message,
        }
    };
    assert_eq!(code(&last).as_deref(), Some("websocket_connection_limit_reached"));
    assert_eq!(begun.elapsed().as_secs(), 60 * 60);
    assert_eq!(close_code(&next(&mut client).await), Some(CloseCode::Normal));
    assert!(client.next().await.is_none());
    assert_eq!(session.await.expect("no panic"), ("the connection has lasted long enough", 1));
}

#[tokio::test(start_paused = true)]
async fn an_open_turn_outlasts_the_hour() {
    let (session, mut client) = session(false).await;
    client.send(Message::text(CREATE)).await.expect("sent");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2 * 60 * 60) {
        assert!(next(&mut client).await.is_ping());
    }
    drop(client);
    assert_eq!(session.await.expect("no panic"), ("gone", 1));
}

#[tokio::test]
async fn a_frame_that_breaks_the_protocol_closes() {
    use tokio::io::AsyncWriteExt as _;
    // A text frame without a mask, and one with a mask that is not UTF-8.
    let cases: [(&[u8], CloseCode); 2] = [
        (&[0x81, 0x02, b'h', b'i'], CloseCode::Protocol),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], CloseCode::Invalid),
    ];
    for (bytes, want) in cases {
        let (session, mut client) = session(true).await;
        client.get_mut().write_all(bytes).await.expect("written");
        assert_eq!(close_code(&next(&mut client).await), Some(want));
        drop(client);
        session.await.expect("no panic");
    }
}
