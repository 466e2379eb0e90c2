//! A small service that answers by path: account services, token endpoints and the like, for tests.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::sync::lock;

/// A request as the service got it: its first line, its head in lower case, its body.
#[derive(Debug, Clone)]
pub struct ServiceRequest {
    /// Method, path and version.
    pub line: String,
    /// The whole head, in lower case.
    pub head: String,
    /// The body, where it is JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

/// Answers each request with the first answer of its script whose word stands in the first line or the body, and uses it up.
/// A text is sent as it is.
#[derive(Debug)]
pub struct Service {
    /// `http://` and its address.
    pub base: String,
    requests: Arc<Mutex<Vec<ServiceRequest>>>,
}

impl Service {
    /// Begins to answer on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub async fn start(script: Vec<(&'static str, u16, Value)>) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&requests), Arc::new(Mutex::new(script)));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Ok(Self { base, requests })
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<ServiceRequest> {
        lock(&self.requests).clone()
    }

    /// Waits until a request holds this text in its body; `None` after five seconds.
    pub async fn wait_for(&self, text: &str) -> Option<ServiceRequest> {
        for _ in 0..500 {
            if let Some(found) =
                self.requests().into_iter().find(|requests| requests.body.to_string().contains(text))
            {
                return Some(found);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

type Script = Arc<Mutex<Vec<(&'static str, u16, Value)>>>;

async fn answer(mut socket: tokio::net::TcpStream, log: Arc<Mutex<Vec<ServiceRequest>>>, script: Script) {
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
        let mut script = lock(&script);
        let place = script.iter().position(|(word, _, _)| line.contains(word) || body.contains(word));
        place.map(|place| script.remove(place))
    };
    let (text, body) = (body.clone(), serde_json::from_str(&body).unwrap_or_default());
    lock(&log).push(ServiceRequest { line, head: head.to_ascii_lowercase(), body, text });
    let (status, answer) = match found {
        Some((_, status, Value::String(text))) => (status, text),
        Some((_, status, value)) => (status, value.to_string()),
        None => (404, "{\"error\":{\"message\":\"no such thing\"}}".to_owned()),
    };
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    let _ = socket.write_all(format!("{head}{answer}").as_bytes()).await;
}
