//! A small account service on loopback, which also answers turns.
#![allow(unreachable_pub, reason = "a module of a test")]

use std::sync::{Arc, Mutex};

use serde_json::Value;

/// One request of a small account service.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// The whole head, in lower case.
    pub head: String,
    /// The JSON that was sent.
    pub body: Value,
}

/// What was asked, in order.
pub type Seen = Arc<Mutex<Vec<Asked>>>;

/// Reads one request; `None` when the client left.
async fn request(socket: &mut tokio::net::TcpStream) -> Option<Asked> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_ascii_lowercase();
        let length =
            lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
            return Some(Asked { line, head: lower, body: serde_json::from_str(body).unwrap_or_default() });
        }
    }
}

/// A small account service: answers by a word of the path; each answer once, in order.
pub async fn service(script: Vec<(&'static str, Value)>) -> (String, Seen) {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut script = script;
        while let Ok((mut socket, _)) = listener.accept().await {
            let Some(asked) = request(&mut socket).await else { continue };
            let found = script.iter().position(|(word, _)| asked.line.contains(word));
            let (status, body) = match found {
                Some(place) => (200, script.remove(place).1.to_string()),
                None => (404, "{\"error\":{\"message\":\"no such method\"}}".to_owned()),
            };
            log.lock().expect("a log").push(asked);
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (base, seen)
}

/// Methods and paths.
pub fn lines(seen: &Seen) -> Vec<String> {
    seen.lock().expect("a log").iter().map(|asked| asked.line.clone()).collect()
}

/// What was sent.
pub fn bodies(seen: &Seen) -> Vec<Value> {
    seen.lock().expect("a log").iter().map(|asked| asked.body.clone()).collect()
}
