//! What tests over sockets share: a link, and a small service that answers by path.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use latimer_adapters::link::Link;
use latimer_adapters::transport::http::{Http, HttpOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A link to this base.
pub(crate) fn link(base_url: &str) -> Arc<Link> {
    Arc::new(Link {
        name: "lab".into(),
        base_url: base_url.into(),
        provider: "lab".into(),
        headers: Vec::new(),
        first_byte: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        http: Http::new(HttpOptions { connect: Duration::from_secs(5), ca_file: None }),
    })
}

/// A request as the service got it: its first line, its head in lower case, its body.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Answers each request with the first answer of its script whose word stands in the first line or the body, and uses it up.
/// A text is sent as an event stream.
pub(crate) struct Service {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    pub(crate) async fn start(script: Vec<(&'static str, u16, Value)>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&seen), Arc::new(Mutex::new(script)));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Self { base, seen }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a log").clone()
    }

    /// Waits until a request holds this text in its body.
    pub(crate) async fn wait_for(&self, text: &str) -> Seen {
        for _ in 0..500 {
            if let Some(found) = self.seen().into_iter().find(|seen| seen.body.to_string().contains(text)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no request holds {text}: {:#?}", self.seen());
    }
}

type Script = Arc<Mutex<Vec<(&'static str, u16, Value)>>>;

async fn answer(mut socket: tokio::net::TcpStream, log: Arc<Mutex<Vec<Seen>>>, script: Script) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                break (text.clone(), body.to_owned());
            }
        }
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let line = head.lines().next().unwrap_or_default().to_owned();
    let found = {
        let mut script = script.lock().expect("a script");
        let place = script.iter().position(|(word, _, _)| line.contains(word) || body.contains(word));
        place.map(|place| script.remove(place))
    };
    let body = serde_json::from_str(&body).unwrap_or_default();
    log.lock().expect("a log").push(Seen { line, head: head.to_ascii_lowercase(), body });
    let (status, answer) = match found {
        Some((_, status, Value::String(text))) => (status, text),
        Some((_, status, value)) => (status, value.to_string()),
        None => (404, "{\"error\":{\"message\":\"no such thing\"}}".to_owned()),
    };
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    let _ = socket.write_all(format!("{head}{answer}").as_bytes()).await;
}
